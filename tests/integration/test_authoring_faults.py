"""A full disk, or any other fault at any moment: the whole change or nothing of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import pytest

from ptah_migrate import _history, registry
from ptah_migrate._authoring import (
    Conventions,
    apply,
    plan_init,
    plan_undo,
    plan_update,
    rebase,
    retract,
    revision,
)
from ptah_migrate.errors import AuthoringError
from ptah_migrate.model import Package
from tests.integration.scaffolds import INIT, PYPROJECT, build, tree, versions

Act = Callable[[], object]
SLUGS = Conventions(file_template="{rev}_{slug}")
ONE_LINE = re.compile(r"cannot write '[^']+': no space left on device\Z")
KINDS = ("open", "write", "fsync", "link", "replace", "unlink")
HISTORY = {
    "pyproject.toml": "",
    "blog/001_a.py": "revision = '001'\ndown_revision = None\n",
    "blog/002_mine.py": "revision = '002'\ndown_revision = '001'\n",
    "blog/002_theirs.py": "revision = '002'\ndown_revision = '001'\n",
    "blog/003_mine.py": "revision = '003'\ndown_revision = '002'\n",
    "blog/head.txt": "002_theirs\n",
    "shop/001.py": "revision = '001'\ndown_revision = None\nrequires = ('blog:003',)\n",
}


class Faults:
    """Counts calls that write, and lets one of them fail."""

    def __init__(self) -> None:
        self.kind, self.number = "", 0
        self._calls = 0

    def arm(self, kind: str, number: int) -> None:
        """Let this call of a kind fail, counted from now on."""
        self.kind, self.number, self._calls = kind, number, 0

    def happened(self) -> bool:
        """Return whether the call was reached."""
        return self._calls >= self.number

    def strike(self, kind: str) -> bool:
        """Return whether this call is the one."""
        self._calls += kind == self.kind
        return kind == self.kind and self._calls == self.number


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Return what lets calls of the operating system fail; waiting for the disk is left out."""
    found = Faults()
    full = OSError(28, "No space left on device")

    def failing(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            # Not what git and temporary folders need; nor removing a scrap, which nothing can undo.
            scrap = str(words[0]).endswith(".tmp")
            ours = {"open": scrap, "unlink": not scrap and "dir_fd" not in more}.get(kind, True)
            if ours and found.strike(kind):
                raise full
            return real(*words, **more)

        return call

    real_fdopen = os.fdopen

    def fdopen(*words: Any, **more: Any) -> IO[bytes]:
        file: IO[bytes] = real_fdopen(*words, **more)
        return Half(file, full) if found.strike("write") else file  # type: ignore[return-value]

    for kind in ("open", "link", "replace", "unlink"):
        monkeypatch.setattr(os, kind, failing(kind, getattr(os, kind)))
    monkeypatch.setattr(os, "fsync", failing("fsync", lambda descriptor: None))
    monkeypatch.setattr(os, "fdopen", fdopen)
    yield found
    monkeypatch.undo()


class Half:
    """A file that takes half of what is written, and then no more."""

    def __init__(self, file: IO[bytes], error: OSError) -> None:
        self._file, self._error = file, error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        """Write half of it."""
        self._file.write(content[: len(content) // 2])
        raise self._error


@contextmanager
def restored(root: Path, kept: Path) -> Iterator[None]:
    """Put a folder back to what it was."""
    yield
    shutil.rmtree(root)
    shutil.copytree(kept, root)


def package(root: Path, name: str = "blog") -> Package:
    """Return a package of the history."""
    return registry.make_package(name, str(root / name))


def new_plug_in(root: Path, tmp_path: Path) -> Act:
    """Return what makes a whole distribution."""
    plan = plan_init(root, name="shop", new=True)
    return lambda: apply(plan)


def existing(root: Path, tmp_path: Path) -> Act:
    """Return what gives a package its migrations."""
    build(root, {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT})
    plan = plan_init(root)
    return lambda: apply(plan)


def taken_back(root: Path, tmp_path: Path) -> Act:
    """Return what takes back init."""
    existing(root, tmp_path)()
    plan = plan_undo(root)
    return lambda: apply(plan)


def update(root: Path, tmp_path: Path) -> Act:
    """Return what edits, merges, marks, makes and removes files."""
    lines = "".join(f"{n}\n" for n in range(9))
    old, new = versions(
        tmp_path / "releases",
        {"edit": "1\n", "merge": lines, "conflict": "1\n", "gone": "1\n"},
        {"edit": "2\n", "merge": lines + "x\n", "conflict": "2\n", "more/new": "1\n"},
    )
    build(root, {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT})
    apply(plan_init(root, source=old))
    build(root, {"merge": "mine\n" + lines, "conflict": "mine\n"})
    plan = plan_update(root, source=new)
    return lambda: apply(plan)


def new_revision(root: Path, tmp_path: Path) -> Act:
    """Return what makes a revision, and writes the head file anew."""
    build(root, {name: text for name, text in HISTORY.items() if "mine" not in name})
    blog = package(root)
    return lambda: revision(blog, _history.read(blog), message="x", conventions=SLUGS)


def retracted(root: Path, tmp_path: Path) -> Act:
    """Return what takes a revision back."""
    new_revision(root, tmp_path)()
    return lambda: retract(package(root), conventions=SLUGS)


def renumbered(root: Path, tmp_path: Path) -> Act:
    """Return what renumbers two revisions, and what names one of them."""
    build(root, HISTORY)
    blog, shop = package(root), package(root, "shop")
    mine = ["002_mine", "003_mine"]
    return lambda: rebase(blog, mine=mine, neighbours=[shop], conventions=SLUGS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "prepare",
    [new_plug_in, existing, taken_back, update, new_revision, retracted, renumbered],
)
def test_all_or_nothing(
    tmp_path: Path, faults: Faults, prepare: Callable[[Path, Path], Act], kind: str
) -> None:
    """Whichever call fails, the files are as before or as wanted; the next command works."""
    root, kept = tmp_path / "project", tmp_path / "kept"
    root.mkdir()
    faults.arm("", 0)
    act = prepare(root, tmp_path)
    shutil.copytree(root, kept)
    before = tree(root)
    with restored(root, kept):
        act()
        after = tree(root)
    assert before != after

    for number in range(1, 60):
        with restored(root, kept):
            faults.arm(kind, number)
            problem = refused(act)
            reached = faults.happened()
            faults.arm("", 0)
            if problem is not None:
                assert ONE_LINE.match(str(problem))
                assert problem.hint == "nothing was changed"
                assert tree(root) == before
                act()
            assert tree(root) == after
        if not reached:
            return
    pytest.fail("the sweep did not reach its end")


def refused(act: Act) -> AuthoringError | None:
    """Do it, and return what was wrong."""
    try:
        act()
    except AuthoringError as error:
        return error
    return None
