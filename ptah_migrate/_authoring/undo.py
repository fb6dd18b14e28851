"""Take back what ``init`` made: remove what is unedited, keep what the author changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ptah_migrate._authoring import files, insertions, package, state
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.state import ORIGINAL, Record
from ptah_migrate._authoring.update import one_of, recorded


def plan_undo(directory: Path, *, name: str | None = None) -> FilePlan:
    """
    Return what takes back ``init``; writes nothing.

    A generated file goes if nobody edited it. The lines in the author's own
    files are taken out, and files that were overwritten by order come back.

    Args:
        directory: the project, or a folder in it.
        name: the package; may be left out when only one was generated here.

    Raises:
        UsageError: no package is named and there are several.
        AuthoringError: nothing was generated here.

    """
    root, records = recorded(directory)
    chosen = one_of(root, records, name)
    old = records[chosen]
    changes = [change for file in old.files for change in _taken_back(root, file, old)]
    taken = insertions.take_out(root, chosen, old.edits)
    rest = {name: record for name, record in records.items() if name != chosen}
    shared = {folder for record in rest.values() for folder in record.folders}
    return FilePlan(
        chosen,
        root,
        (*changes, *taken.changes, package.state_change(root, rest)),
        taken.todo,
        folders=tuple(
            files.inside(root, root / folder / state.NAME).parent
            for folder in old.folders
            if folder not in shared
        ),
    )


def _taken_back(root: Path, name: str, old: Record) -> Iterator[FileChange]:
    path = files.inside(root, root / name)
    there = files.read(path)
    if there is None:
        return
    if state.digest(there) != old.files[name]:
        yield FileChange("keep", path, there, there, "changed by you")
        return
    original = path.with_name(path.name + ORIGINAL)
    before = files.read(original) if name in old.replaced else None
    if before is not None and state.digest(before) == old.replaced[name]:
        yield FileChange("edit", path, before, there, f"from {original.name}")
        yield FileChange("remove", original, b"", before)
    else:
        yield FileChange("remove", path, b"", there)
