"""
Bring the generated files of a project to today's version of the template.

A three-way merge of each file: what the template made once, what the author
made of it, what the template makes today. Nothing of the author's is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ptah_migrate._authoring import (
    compare,
    files,
    merge3,
    origins,
    package,
    project,
    scaffold,
    skeleton,
    state,
)
from ptah_migrate._authoring.bases import Bases
from ptah_migrate._authoring.blueprint import Blueprint
from ptah_migrate._authoring.compare import Compared
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.origins import Fetcher, Origin
from ptah_migrate._authoring.package import Own
from ptah_migrate._authoring.scaffold import Scaffold
from ptah_migrate._authoring.state import Record
from ptah_migrate.errors import AuthoringError, UsageError

NEW = ".new"  # behind the name of a file that cannot be merged: the template's version


def plan_update(
    directory: Path,
    *,
    name: str | None = None,
    source: Scaffold | None = None,
    own: Own | None = None,
    data: Mapping[str, object] | None = None,
) -> FilePlan:
    """
    Return what brings a package's files to today's template; writes nothing.

    A template of somebody's own is taken again from where it was: from git as
    it is there now, not as of the commit that made the files.

    A conflict does not stop the rest: the file gets markers, or stays as it is
    and the template's version is put beside it as ``*.new``.

    Args:
        directory: the project, or a folder in it.
        name: the package; may be left out when only one was generated here.
        source: the templates; those that came with ptah-migrate by default.
        own: another template than the one that made the files, or another place of it.
        data: answers by key, to what the template asks now.

    Raises:
        UsageError: no package is named and there are several, or an answer that
            nobody asked for.
        AuthoringError: nothing was generated here, a newer template did it, or
            a file still has markers of an earlier update.
        MissingExtraError: copier is not installed.

    """
    root, records = recorded(directory)
    chosen = one_of(root, records, name)
    with scaffold.opened(source) as template, origins.fetcher() as fetch:
        return _plan(root, chosen, records, template, own or Own(), data or {}, fetch)


def recorded(directory: Path) -> tuple[Path, dict[str, Record]]:
    """
    Return the project's folder and what was generated there.

    Raises:
        AuthoringError: nothing was.

    """
    root = state.find(directory)
    records = state.load(root) if root is not None else {}
    if root is None or not records:
        raise AuthoringError(
            f"nothing in '{directory}' was made by ptah-migrate",
            hint=f"there is no {state.NAME}; run: ptah-migrate init",
        )
    return root, records


def one_of(root: Path, records: dict[str, Record], name: str | None) -> str:
    """
    Return the named package, or the only one.

    Raises:
        UsageError: there is none of this name, or several.

    """
    if name is None and len(records) == 1:
        return next(iter(records))
    if name is None or name not in records:
        wrong = "name a package" if name is None else f"'{name}' was not made here"
        raise UsageError(wrong, hint=f"in '{root}' there are: {', '.join(sorted(records))}")
    return name


def _plan(
    root: Path,
    name: str,
    records: dict[str, Record],
    template: Scaffold,
    own: Own,
    data: Mapping[str, object],
    fetch: Fetcher,
) -> FilePlan:
    old = records[name]
    origin = _origin(root, old, own, fetch)
    source = Blueprint(template.package, template.version, origin, own.trust)
    if old.version > template.version:
        package.refuse_other_version(name, old, Blueprint(template.package, template.version))
    made = package.make(source, project.find(root, name), records, data)
    chosen, rendered = made.answers, made.files
    compared = compare.look(root, rendered, old.files)
    gone = list(_gone(root, old, rendered))
    _refuse_markers(root, [*(one.path for one in compared), *(change.path for change in gone)])
    bases = Bases(root, old, lambda: _earlier(old, template, own, fetch))
    inserted = package.inserted_into(made)
    changes = [change for one in compared for change in _changes(one, bases)]
    changes += [*gone, *inserted.changes]
    hashes = {one.name: digest for one in compared if (digest := _digest(one)) is not None}
    record = package.remember(root, chosen, hashes, changes, inserted, old, source)
    record = replace(record, files={k: v for k, v in record.files.items() if k in rendered})
    changes.append(package.state_change(root, {**records, name: record}))
    return FilePlan(name, root, tuple(changes), inserted.todo, marked=True)


def _origin(root: Path, old: Record, own: Own, fetch: Fetcher) -> Origin:
    """Return the template to follow: the one that is named, else the one that made the files."""
    if own.template:
        return origins.resolve(own.template, root, fetch)
    if origins.is_elsewhere(old.template) and own.setting:
        return origins.resolve(own.setting, root, fetch)
    return origins.recalled(old.template, root, fetch)


def _earlier(old: Record, template: Scaffold, own: Own, fetch: Fetcher) -> Blueprint | None:
    """Return what made the files; None where it is not to be had, like a folder's past."""
    if old.template != origins.BUILTIN and not old.commit:
        return None
    origin = fetch.fetch(old.template, old.commit) if old.commit else Origin()
    folder = template.folder(old.version) if old.version else template.package
    return None if folder is None else Blueprint(folder, old.version, origin, own.trust)


def _digest(one: Compared) -> str | None:
    """Return what to remember of a file; nothing of one that was the author's from the start."""
    return None if package.is_theirs(one) else state.digest(one.content)


def _refuse_markers(root: Path, paths: Iterable[Path]) -> None:
    marked = [path for path in paths if merge3.has_markers(files.read(path) or b"")]
    if marked:
        names = ", ".join(files.relative(root, path) for path in marked)
        raise AuthoringError(
            f"these files have markers of an earlier update: {names}",
            hint="choose what they shall say, then run the same command again",
        )


# -- one file --------------------------------------------------------------------


def _gone(root: Path, old: Record, rendered: Mapping[str, bytes]) -> Iterator[FileChange]:
    """Yield the files that the template does not make any more."""
    for name in old.files:
        path = files.inside(root, root / name)
        there = files.read(path)
        if name in rendered or there is None:
            continue
        if state.digest(there) == old.files[name]:
            yield FileChange("remove", path, b"", there, "not in the template any more")
        else:
            yield FileChange("keep", path, there, there, "not in the template any more")


def _changes(one: Compared, bases: Bases) -> Iterator[FileChange]:
    one_sided = one.identical or one.unedited or one.unchanged
    if one.there is None and one.recorded is not None:
        yield FileChange("skip", one.path, b"", note="deleted by you")
    elif one.there is None or one_sided or package.is_theirs(one):
        yield from compare.changes(one)
    else:
        base = bases.find(one.name) if one.recorded is not None else None
        yield from _merged(one, one.there, base)


def _merged(one: Compared, there: bytes, base: bytes | None) -> Iterator[FileChange]:
    """Yield what becomes of a file that both sides changed."""
    if base is None:
        yield from _beside(one, there, "what was generated once is not to be found")
        return
    merged = merge3.merge(base, there, one.content)
    if merged.conflicts:
        yield FileChange("conflict", one.path, merged.content, there, "has markers")
    elif merged.content == there:
        yield FileChange("skip", one.path, there, note="has it already")
    elif skeleton.unusable(one.name, merged.content) and not skeleton.unusable(one.name, there):
        yield from _beside(one, there, "both changes together are not usable")
    else:
        yield FileChange("merge", one.path, merged.content, there)


def _beside(one: Compared, there: bytes, why: str) -> Iterator[FileChange]:
    """Yield a file that stays, and the template's version beside it."""
    path = one.path.with_name(one.path.name + NEW)
    yield FileChange("conflict", one.path, there, there, f"{why}: see {path.name}")
    earlier = files.read(path)
    if earlier is None:
        yield FileChange("create", path, one.content)
    elif state.lf(earlier) == one.content:
        yield FileChange("identical", path, earlier)
    else:
        raise AuthoringError(
            f"'{path}' is left over from an earlier update",
            hint="use or remove it, then run the same command again",
        )
