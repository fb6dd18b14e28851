"""Compare generated files with what is on disk, and with what was generated before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate._authoring import files
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.state import ORIGINAL, digest, lf
from ptah_migrate.errors import AuthoringError, UsageError

# An author who has these wants to keep them; nothing else depends on their content.
OPTIONAL = frozenset({"CHANGES.md", "LICENSE", "README.md", ".gitignore"})

# What to do with a file that is somebody's: stop, overwrite it, or keep it.
CONFLICTS = ("stop", "force", "skip")


@dataclass(frozen=True, slots=True)
class Compared:
    """
    A generated file beside what is there: ``there`` is None for nothing.

    ``recorded`` is the hash of what was generated last time, None for never.
    """

    name: str
    path: Path
    content: bytes
    there: bytes | None
    recorded: str | None

    @property
    def identical(self) -> bool:
        """Whether the file is as generated, whatever its line ends."""
        return self.there is not None and lf(self.there) == self.content

    @property
    def unedited(self) -> bool:
        """Whether the file is as it was generated last time."""
        return self.there is not None and digest(self.there) == self.recorded

    @property
    def unchanged(self) -> bool:
        """Whether the template makes what it made last time."""
        return digest(self.content) == self.recorded


def look(
    root: Path, rendered: Mapping[str, bytes], recorded: Mapping[str, str]
) -> tuple[Compared, ...]:
    """
    Return each generated file with what is there.

    Raises:
        AuthoringError: a path leads out of the project, or cannot be read.

    """
    return tuple(
        Compared(name, path, content, files.read(path), recorded.get(name))
        for name, content in rendered.items()
        for path in (files.inside(root, root / name),)
    )


def changes(found: Compared, conflicts: str = "stop") -> Iterator[FileChange]:
    """
    Yield what ``init`` does with a generated file.

    Overwriting by order keeps what was there beside the file, so that undo can
    bring it back.
    """
    if found.there is None:
        yield FileChange("create", found.path, found.content)
    elif found.identical:
        yield FileChange("identical", found.path, found.there)
    elif found.unedited:
        yield FileChange("edit", found.path, found.content, found.there)
    elif found.unchanged:
        yield FileChange("skip", found.path, found.there, note="changed by you")
    elif found.recorded is None and found.name in OPTIONAL:
        yield FileChange("skip", found.path, found.there, note="yours")
    elif conflicts == "skip":
        yield FileChange("skip", found.path, found.there, note="kept by order")
    elif conflicts == "force":
        original = _original(found.path)
        yield FileChange("edit", found.path, found.content, found.there, f"see {original.name}")
        yield FileChange("create", original, found.there)
    else:
        yield FileChange("conflict", found.path, found.content, found.there)


def _original(path: Path) -> Path:
    original = path.with_name(path.name + ORIGINAL)
    if original.exists() or original.is_symlink():
        raise AuthoringError(
            f"'{original}' is there already: '{path.name}' would be kept under that name",
            hint="move it away, then run the same command again",
        )
    return original


def check_conflicts(conflicts: str) -> None:
    """
    Accept what is to be done with files in the way.

    Raises:
        UsageError: it is none of `CONFLICTS`.

    """
    if conflicts not in CONFLICTS:
        raise UsageError(f"conflicts cannot be '{conflicts}'", hint=f"one of {CONFLICTS}")
