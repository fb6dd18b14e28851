"""A plan of file changes is shown as a patch that makes the same of the files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ptah_migrate._authoring.fileplan import FilePlan, apply, diff
from ptah_migrate._authoring.files import FileChange
from ptah_migrate.errors import AuthoringError


def project(root: Path) -> FilePlan:
    """Return a plan with a change of every kind, over files that are made."""
    root.mkdir()
    texts = {
        "edited.txt": b"one\r\ntwo\r\nno end",
        "merged.txt": b"a\nb\nc\n",
        "gone.txt": b"old\n",
        "same.txt": b"same\n",
    }
    for name, text in texts.items():
        (root / name).write_bytes(text)
    return FilePlan(
        "blog",
        root,
        (
            FileChange("create", root / "new/file.txt", b"n\xc3\xa9w\x0cline\n"),
            FileChange("create", root / "new/empty.txt", b""),
            FileChange("edit", root / "edited.txt", b"one\r\nTWO\r\nno end", texts["edited.txt"]),
            FileChange("merge", root / "merged.txt", b"a\nB\nc\nd", texts["merged.txt"]),
            FileChange("remove", root / "gone.txt", b"", texts["gone.txt"]),
            FileChange("identical", root / "same.txt", texts["same.txt"]),
        ),
    )


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_patch(tmp_path: Path) -> None:
    """What git makes with the patch is what applying the plan makes."""
    mine, gits = project(tmp_path / "mine"), project(tmp_path / "git")

    apply(mine)
    subprocess.run(
        ["git", "apply", "-p1", "--whitespace=nowarn", "-"],
        cwd=gits.directory,
        input=diff(gits).encode("utf-8", "surrogateescape"),
        check=True,
    )

    assert tree(mine.directory) == tree(gits.directory)


def test_a_small_patch(tmp_path: Path) -> None:
    """A patch shows paths of the project, and says what has no last newline."""
    path = tmp_path / "a/b.txt"
    plan = FilePlan("blog", tmp_path, (FileChange("edit", path, b"1\n2", b"1\n"),))

    assert diff(plan) == (
        "diff --git a/a/b.txt b/a/b.txt\n"
        "--- a/a/b.txt\n"
        "+++ b/a/b.txt\n"
        "@@ -1 +1,2 @@\n"
        " 1\n"
        "+2\n"
        "\\ No newline at end of file\n"
    )


def test_nothing_to_show(tmp_path: Path) -> None:
    """A plan that changes nothing has an empty patch, and nothing pending."""
    plan = FilePlan("blog", tmp_path, (FileChange("identical", tmp_path / "a", b"1"),))

    assert (diff(plan), plan.pending, plan.conflicts) == ("", (), ())


def test_conflicts(tmp_path: Path) -> None:
    """A conflict stops the whole plan, unless conflicts carry markers."""
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    change = FileChange("conflict", path, b"<<<<<<< yours", b"mine")
    other = FileChange("create", tmp_path / "b", b"")

    with pytest.raises(AuthoringError, match="exist and differ"):
        apply(FilePlan("blog", tmp_path, (other, change)))
    assert tree(tmp_path) == {"a": b"mine"}

    apply(FilePlan("blog", tmp_path, (other, change), marked=True))
    assert tree(tmp_path) == {"a": b"<<<<<<< yours", "b": b""}


def test_a_file_that_stays_in_conflict(tmp_path: Path) -> None:
    """A conflict without markers is told and leaves its file alone."""
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    plan = FilePlan(
        "blog", tmp_path, (FileChange("conflict", path, b"mine", b"mine"),), marked=True
    )

    apply(plan)

    assert (plan.pending, diff(plan)) == (plan.conflicts, "")
    assert tree(tmp_path) == {"a": b"mine"}
