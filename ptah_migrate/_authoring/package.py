"""
Give a package its migrations, or make a project that has them.

``plan_init`` looks and decides, ``apply`` does it: all of the plan or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptah_migrate._authoring import edits, files, project, skeleton, state
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.naming import check_package, distribution_of, title_of

# An author who has these wants to keep them; nothing else depends on their content.
_OPTIONAL = frozenset({"README.md", ".gitignore"})

_INCLUDE = ".migrations"

# What a recorded answer may hold to be used again: it goes into code and file names.
_HARMLESS = re.compile(r"[\w.:-]*\Z")


@dataclass(frozen=True, slots=True)
class InitPlan:
    """
    What ``init`` will do.

    ``todo`` is what a person must do, because it could not be done safely: each
    names the file, the reason, and the exact lines to paste.
    """

    package: str
    directory: Path
    changes: tuple[FileChange, ...]
    todo: tuple[str, ...] = ()


def plan_init(directory: Path, *, name: str | None = None, title: str | None = None) -> InitPlan:
    """
    Return what gives the package in a directory its migrations; writes nothing.

    An empty directory gets a whole project. A second run finds everything
    ``identical``: what was answered before is remembered in the state file.

    Args:
        directory: the project, or a folder in it.
        name: the package; left out when the directory has one, or is empty.
        title: the package's title for people; made of its name by default.

    Raises:
        NameTakenError: the name cannot be a package's.
        AuthoringError: there is no package, or a path leads out of the project.
        MissingExtraError: copier is not installed.

    """
    found = project.find(directory, name)
    records = state.load(found.root)
    old = records.get(found.name)
    title = _title(found.name, title, old)
    check_package(found.name, title, existing=not found.new)
    answers = _answers(found, title, old, records)
    generated = {
        path: _compared(found.root, path, content, old.files.get(path) if old else None)
        for path, content in skeleton.render(answers).items()
    }
    wishes = () if answers["new"] else _wishes(found, registered=bool(answers["registered"]))
    inserted = _insertions(found.root, wishes)
    record = _record(answers, generated, inserted, old)
    return InitPlan(
        found.name,
        found.root,
        (
            *generated.values(),
            *inserted.changes,
            _state_change(found.root, {**records, found.name: record}),
        ),
        (*inserted.todo, *_left_out(generated)),
    )


def apply(plan: InitPlan) -> None:
    """
    Do what a plan says, all of it or nothing.

    Raises:
        AuthoringError: a file of the author's is in the way, a file changed
            since the plan was made, or writing failed. Nothing was changed.

    """
    files.apply(plan.directory, plan.changes)


# -- deciding ----------------------------------------------------------------------


def _title(name: str, given: str | None, old: state.Record | None) -> str:
    recorded = old.answers.get("title") if old is not None else None
    title = recorded if given is None and isinstance(recorded, str) else given
    return title_of(name) if title is None else title.strip()


def _answers(
    found: project.Found,
    title: str,
    old: state.Record | None,
    records: Mapping[str, state.Record],
) -> dict[str, str | bool]:
    """Return what the template asks. What was found out the first time stays."""
    folder = files.relative(found.root, found.folder)
    answers: dict[str, str | bool] = {
        "distribution": distribution_of(found.name),
        "test": _test_module(found.name, records),
        "metadata": "" if found.new else project.metadata(found.folder, found.name),
        "registered": not found.new and project.registers(found.folder, found.name),
        "new": found.new,
    }
    for key, value in (old.answers if old is not None else {}).items():
        if key in answers and type(value) is type(answers[key]) and _HARMLESS.match(str(value)):
            answers[key] = value
    return answers | {
        "name": found.name,
        "title": title,
        "folder": folder,
        "source": folder.removesuffix(found.name.replace(".", "/")).strip("/"),
    }


def _test_module(name: str, records: Mapping[str, state.Record]) -> str:
    """Return the name of the test module, another one for a project's second package."""
    plain = "test_migrations"
    others = (record for other, record in records.items() if other != name)
    if any(f"tests/{plain}.py" in record.files for record in others):
        return f"{plain}_{name.replace('.', '_')}"
    return plain


def _compared(root: Path, name: str, content: bytes, recorded: str | None) -> FileChange:
    """Return what happens to a generated file, given what is there and what we once wrote."""
    path = files.inside(root, root / name)
    there = files.read(path)
    if there is None:
        return FileChange("create", path, content)
    if _lf(there) == content:
        return FileChange("identical", path, there)
    if state.digest(_lf(there)) == recorded:
        return FileChange("edit", path, content, there)
    if state.digest(content) == recorded or name in _OPTIONAL:
        return FileChange("skip", path, there)
    return FileChange("conflict", path, content, there)


@dataclass(frozen=True, slots=True)
class _Insertions:
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


def _wishes(found: project.Found, *, registered: bool) -> Iterator[_Wish]:
    """Yield the line in ``includeme`` (unless registered otherwise) and the entry point."""
    module = f"{found.name}.migrations"
    if not registered:
        yield _Wish(
            files.relative(found.root, found.folder / "__init__.py"),
            lambda source: edits.include(source, found.name, _INCLUDE),
            f'a Pyramid application needs in its includeme(config):\nconfig.include("{_INCLUDE}")',
        )
    yield _Wish(
        "pyproject.toml",
        lambda source: edits.entry_point(source, found.name, module),
        "the package is found by this entry point:\n" + edits.entry_lines(found.name, module),
    )


def _insertions(root: Path, wishes: Iterable[_Wish]) -> _Insertions:
    changes: list[FileChange] = []
    texts: dict[str, str] = {}
    todo: list[str] = []
    for wish in wishes:
        path = files.inside(root, root / wish.file)
        before = files.read(path)
        if before is None:
            todo.append(f"{wish.file}: there is none; {wish.paste}")
            continue
        edit = wish.edit(before)
        changes.append(_inserted(path, before, edit))
        if edit.added:
            texts[wish.file] = edit.added
        if edit.refused:
            todo.append(f"{wish.file}: {edit.refused}; {wish.paste}")
    return _Insertions(tuple(changes), texts, tuple(todo))


def _inserted(path: Path, before: bytes, edit: edits.Edit) -> FileChange:
    if edit.added:
        return FileChange("edit", path, edit.content, before)
    return FileChange("skip" if edit.refused else "identical", path, before)


def _left_out(generated: Mapping[str, FileChange]) -> tuple[str, ...]:
    """Return what an author's own .gitignore lacks."""
    ignored = generated.get(".gitignore")
    if ignored is None or ignored.status != "skip" or b"*.sqlite" in ignored.content.split():
        return ()
    return (".gitignore: yours was kept; the project's database is in:\n*.sqlite",)


def _record(
    answers: Mapping[str, str | bool],
    generated: Mapping[str, FileChange],
    inserted: _Insertions,
    old: state.Record | None,
) -> state.Record:
    """Return what to remember; a file the author keeps keeps the hash it had."""
    hashes = dict(old.files) if old else {}
    hashes |= {
        name: state.digest(_lf(change.content))
        for name, change in generated.items()
        if change.status != "skip"
    }
    texts = {**(old.edits if old else {}), **inserted.texts}
    return state.Record(skeleton.TEMPLATE, skeleton.VERSION, answers, hashes, texts)


def _lf(content: bytes) -> bytes:
    """Return a text file as git would store it, wherever it was checked out."""
    return content.replace(b"\r\n", b"\n")


def _state_change(root: Path, records: Mapping[str, state.Record]) -> FileChange:
    path = files.inside(root, root / state.NAME)
    content, there = state.dump(records), files.read(path)
    if there is None:
        return FileChange("create", path, content)
    return FileChange("identical" if _lf(there) == content else "edit", path, content, there)
