"""Files are written whole or not at all, together or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptah_migrate._authoring import files
from ptah_migrate._authoring.files import FileChange
from ptah_migrate.errors import AuthoringError


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and mode of everything below a folder."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes() if path.is_file() else b"/",
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
    }


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> Callable[[], bool]:
    """Let the call of this number of an os function fail, once; tell whether it came to that."""
    real, calls = getattr(os, name), 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)
    return lambda: calls >= number


def test_a_new_file(tmp_path: Path) -> None:
    """A new file holds exactly its content, and nothing else is left in the folder."""
    files.create(tmp_path / "001.py", b"one\n")

    assert (tmp_path / "001.py").read_bytes() == b"one\n"
    assert os.listdir(tmp_path) == ["001.py"]


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_counts(tmp_path: Path, umask: int, mode: int) -> None:
    """A new file has the permissions that the person's umask says."""
    old = os.umask(umask)
    try:
        files.create(tmp_path / "001.py", b"")
    finally:
        os.umask(old)

    assert (tmp_path / "001.py").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    """Whatever has the name already stays as it is."""
    path = tmp_path / "001.py"
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    before = path.lstat()

    with pytest.raises(FileExistsError):
        files.create(path, b"other")

    assert os.listdir(tmp_path) == ["001.py"]
    assert (path.lstat().st_ino, path.lstat().st_size) == (before.st_ino, before.st_size)


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hard links are not to be had a file is still made once, and whole."""

    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)

    files.create(tmp_path / "001.py", b"one")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "001.py", b"two")

    assert tree(tmp_path).keys() == {"001.py"}
    assert (tmp_path / "001.py").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["open", "fdopen", "fsync"])
def test_a_fault_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """When writing fails there is no file, not even a part of one."""
    failing(monkeypatch, name, 1)

    with pytest.raises(OSError, match="No space left"):
        files.create(tmp_path / "001.py", b"one")

    assert os.listdir(tmp_path) == []


def project(root: Path) -> list[FileChange]:
    """Return changes of every kind for a small project, which is made."""
    (root / "pkg").mkdir()
    (root / "pkg/__init__.py").write_bytes(b"old\r\n")
    (root / "pkg/__init__.py").chmod(0o640)
    (root / "kept.txt").write_bytes(b"kept")
    return [
        FileChange("create", root / "pkg/migrations/__init__.py", b"new\n"),
        FileChange("create", root / "tests/deep/test.py", b"test\n"),
        FileChange("edit", root / "pkg/__init__.py", b"old\r\nnew\r\n", b"old\r\n"),
        FileChange("identical", root / "kept.txt", b"kept"),
        FileChange("skip", root / "kept.txt", b"kept"),
        FileChange("create", root / "state.json", b"{}\n"),
    ]


def test_a_plan_is_applied(tmp_path: Path) -> None:
    """Files are made with their folders, edited in place, and the rest is left alone."""
    changes = project(tmp_path)

    files.apply(tmp_path, changes)

    found = {name: content for name, (content, _) in tree(tmp_path).items() if content != b"/"}
    assert found == {
        "kept.txt": b"kept",
        "pkg/__init__.py": b"old\r\nnew\r\n",
        "pkg/migrations/__init__.py": b"new\n",
        "state.json": b"{}\n",
        "tests/deep/test.py": b"test\n",
    }
    assert (tmp_path / "pkg/__init__.py").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["open", "fdopen", "fsync", "link", "replace", "mkdir", "chmod"])
def test_a_fault_at_any_step_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """Whichever call fails, the project is byte for byte as it was, new folders gone."""
    for number in range(1, 30):
        root = tmp_path_factory.mktemp("project")
        changes = project(root)
        before = tree(root)
        with pytest.MonkeyPatch.context() as monkeypatch:
            happened = failing(monkeypatch, name, number)
            problem = None
            try:
                files.apply(root, changes)
            except AuthoringError as error:
                problem = error
        if problem is not None:
            assert "no space left on device" in str(problem)
            assert problem.hint == "nothing was changed"
            assert tree(root) == before
        else:
            # A link that fails has a substitute; later calls are after the fact.
            assert not happened() or name in ("link", "open", "fsync")
            assert not [path for path in tree(root) if path.endswith(".tmp")]
        if not happened():
            return
    pytest.fail("the sweep did not reach the end")


def test_a_failure_to_put_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If even the way back fails, the files concerned are named."""
    changes = project(tmp_path)
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(target).name == "__init__.py":
            real(source, target)
            monkeypatch.setattr(os, "link", fail)
            monkeypatch.setattr(os, "replace", fail)
        else:
            fail()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", replace)

    with pytest.raises(AuthoringError) as caught:
        files.apply(tmp_path, changes)

    assert str(caught.value) == (
        f"writing failed, and these files could not be put back: {tmp_path / 'pkg/__init__.py'}"
    )


def test_a_conflict_stops_everything(tmp_path: Path) -> None:
    """One file in the way, and no other is written; each one is named."""
    changes = [
        *project(tmp_path),
        FileChange("conflict", tmp_path / "kept.txt", b"other", b"kept"),
    ]
    before = tree(tmp_path)

    with pytest.raises(AuthoringError) as caught:
        files.apply(tmp_path, changes)

    assert str(caught.value) == "these files exist and differ from what would be made: kept.txt"
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["pkg/__init__.py", "state.json"])
def test_a_file_changed_meanwhile(tmp_path: Path, name: str) -> None:
    """A plan made of another state of the files is not applied."""
    changes = project(tmp_path)
    (tmp_path / name).write_bytes(b"somebody else")
    before = tree(tmp_path)

    with pytest.raises(AuthoringError, match="changed by somebody else meanwhile"):
        files.apply(tmp_path, changes)

    assert tree(tmp_path) == before


def test_paths_that_lead_out(tmp_path: Path) -> None:
    """A file outside the project is refused, whatever way leads to it."""
    root, outside = tmp_path / "project", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "file").write_bytes(b"")
    (root / "loop").symlink_to("loop")
    (root / "out.py").symlink_to(outside / "new.py")
    (root / ".git").mkdir()
    paths = [
        "../outside/x",
        "link/x",
        "out.py",
        ".git/hooks/pre-commit",
        ".GIT/x",
        "sub/.git/x",
        ".git./x",
        ".git /x",
        "GIT~1/x",
        ".g\u200cit/x",
        ".git::$INDEX_ALLOCATION/x",
        "file/x",
        "loop/x",
        "/etc/x",
        "",
        ".git",
    ]

    for path in paths:
        with pytest.raises(AuthoringError):
            files.apply(root, [FileChange("create", root / path, b"")])

    assert os.listdir(outside) == []
    assert sorted(os.listdir(root)) == [".git", "file", "link", "loop", "out.py"]


def test_links_that_stay_inside(tmp_path: Path) -> None:
    """A link to another place of the project is followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert files.inside(tmp_path, tmp_path / "link/x.py") == (tmp_path / "real/x.py").resolve()
