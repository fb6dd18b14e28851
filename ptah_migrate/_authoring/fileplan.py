"""What ``init``, its undo and ``update`` will do to the files of a project."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate._authoring import files
from ptah_migrate._authoring.files import FileChange


@dataclass(frozen=True, slots=True)
class FilePlan:
    """
    Every file that is looked at, and what will happen to it.

    ``todo`` is what a person must do, because it could not be done safely: each
    names the file, the reason, and the exact lines to paste. ``marked``:
    conflicts carry markers and do not stop the rest. ``folders`` go at the end,
    if they are empty then.
    """

    package: str
    directory: Path
    changes: tuple[FileChange, ...]
    todo: tuple[str, ...] = ()
    marked: bool = False
    folders: tuple[Path, ...] = ()

    @property
    def pending(self) -> tuple[FileChange, ...]:
        """The changes that would write or remove something, or cannot: none means up to date."""
        return tuple(
            change for change in self.changes if change.status == "conflict" or files.writes(change)
        )

    @property
    def conflicts(self) -> tuple[FileChange, ...]:
        """The files of which a person must make one of two versions."""
        return tuple(change for change in self.changes if change.status == "conflict")


def apply(plan: FilePlan) -> None:
    """
    Do what a plan says, all of it or nothing.

    Raises:
        AuthoringError: a file of the author's is in the way, a file changed
            since the plan was made, or writing failed. Nothing was changed.

    """
    files.apply(plan.directory, plan.changes, marked=plan.marked, folders=plan.folders)


# -- showing -----------------------------------------------------------------------


def diff(plan: FilePlan) -> str:
    """Return what a plan changes as a patch for the project's folder; nothing for no change."""
    return "".join(
        "".join(_patch(files.relative(plan.directory, change.path), change))
        for change in plan.changes
        if files.writes(change)
    )


def _patch(name: str, change: FileChange) -> Iterator[str]:
    old = None if change.before is None else _lines(change.before)
    new = None if change.status == "remove" else _lines(change.content)
    header = f"diff --git a/{name} b/{name}\n"
    if old is None:
        header += "new file mode 100644\n"
    elif new is None:
        header += "deleted file mode 100644\n"
    yield header
    yield from map(
        _ended,
        difflib.unified_diff(
            old or [],
            new or [],
            "/dev/null" if old is None else f"a/{name}",
            "/dev/null" if new is None else f"b/{name}",
        ),
    )


def _lines(content: bytes) -> Sequence[str]:
    # Not str.splitlines: it would split at other characters than the newline too.
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
