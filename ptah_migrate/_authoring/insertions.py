"""The few lines that a package needs in files of its author's: put in, and taken out again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptah_migrate._authoring import edits, files
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.project import Found

INCLUDE = ".migrations"
PYPROJECT = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Insertions:
    """What goes into the author's files, the inserted texts by file, and what a person must do."""

    changes: tuple[FileChange, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    todo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    """An insertion into one of the author's files, and what to tell if it cannot be made."""

    file: str
    edit: Callable[[bytes], edits.Edit]
    paste: str


def put_in(found: Found, *, registered: bool, besides: Collection[str] = frozenset()) -> Insertions:
    """
    Return the insertions, but for files ``besides``, which somebody else writes.

    ``registered``: the package has no need of ``config.include``.
    """
    changes: list[FileChange] = []
    texts: dict[str, str] = {}
    todo: list[str] = []
    for wish in _wishes(found, registered=registered):
        if wish.file in besides:
            continue
        path = files.inside(found.root, found.root / wish.file)
        before = files.read(path)
        if before is None:
            todo.append(f"{wish.file}: there is none; {wish.paste}")
            continue
        edit = wish.edit(before)
        changes.append(_change(path, before, edit))
        if edit.added:
            texts[wish.file] = edit.added
        if edit.refused:
            todo.append(f"{wish.file}: {edit.refused}; {wish.paste}")
    return Insertions(tuple(changes), texts, tuple(todo))


def _wishes(found: Found, *, registered: bool) -> Iterator[_Wish]:
    """Yield the line in ``includeme`` (unless registered otherwise) and the entry point."""
    module = f"{found.name}.migrations"
    if not registered:
        yield _Wish(
            files.relative(found.root, found.folder / "__init__.py"),
            lambda source: edits.include(source, found.name, INCLUDE),
            f'a Pyramid application needs in its includeme(config):\nconfig.include("{INCLUDE}")',
        )
    yield _Wish(
        PYPROJECT,
        lambda source: edits.entry_point(source, found.name, module),
        "the package is found by this entry point:\n" + edits.entry_lines(found.name, module),
    )


def _change(path: Path, before: bytes, edit: edits.Edit) -> FileChange:
    if edit.added:
        return FileChange("edit", path, edit.content, before)
    return FileChange("skip" if edit.refused else "identical", path, before, note=edit.refused)


def take_out(root: Path, package: str, texts: Mapping[str, str]) -> Insertions:
    """Return what removes the recorded texts again, and nothing else of the files."""
    changes: list[FileChange] = []
    todo: list[str] = []
    for file, text in texts.items():
        path = files.inside(root, root / file)
        before = files.read(path)
        if before is None:
            continue
        edit = _without(file, before, package, text)
        if edit.refused:
            changes.append(FileChange("keep", path, before, before, edit.refused))
            todo.append(f"{file}: {edit.refused}; take out by hand:\n{text.strip()}")
        elif edit.content != before:
            changes.append(FileChange("edit", path, edit.content, before))
    return Insertions(tuple(changes), {}, tuple(todo))


def _without(file: str, source: bytes, package: str, text: str) -> edits.Edit:
    if file.endswith(".toml"):
        return edits.without_entry_point(source, package, text)
    return edits.without_include(source, package, INCLUDE, text)
