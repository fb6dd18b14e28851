"""Write a new revision file: decide everything first, then make one file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate import _history
from ptah_migrate._authoring import files, formatting, headfile, naming, sources, templates
from ptah_migrate._authoring.conventions import DEFAULT, Conventions
from ptah_migrate._authoring.exclusive import alone
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.naming import listed, shown
from ptah_migrate._authoring.operations import laid_out
from ptah_migrate._authoring.templates import Lookup, RevisionValues, render_revision
from ptah_migrate.errors import (
    AuthoringError,
    MultipleHeadsError,
    RevisionExistsError,
    RevisionIdError,
    UnknownRevisionError,
    UsageError,
)
from ptah_migrate.registry import directories

if TYPE_CHECKING:
    from ptah_migrate._history import History
    from ptah_migrate.drafts import Body
    from ptah_migrate.model import Package

# What reading accepts on both sides: ids of old histories have dots and dashes.
_REQUIREMENT = re.compile(r"\??(?P<package>[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<id>[\w.-]+)\Z")


@dataclass(frozen=True, slots=True)
class NewRevision:
    """
    A revision file that was written; ``down`` are the ids it follows.

    ``problem`` is what the formatter had to say; the file is there all the same.
    ``template`` is the one of somebody's own that it was made of, with the commit.
    ``source`` is what the file holds, or would hold.
    """

    id: str
    path: Path
    down: tuple[str, ...]
    problem: str = ""
    template: str = ""
    source: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A revision that is to be written with operations in it, and what it may be told."""

    package: Package
    history: History
    body: Body
    id: str | None = None
    message: str = ""
    requires: tuple[str, ...] = ()
    head: str | None = None
    splice: bool = False
    labels: tuple[str, ...] = ()
    directory: Path | None = None
    template: Path | None = None
    conventions: Conventions = DEFAULT


def revision(
    package: Package,
    history: History,
    *,
    id: str | None = None,  # noqa: A002 - the word users say
    message: str = "",
    requires: Sequence[str] = (),
    head: str | None = None,
    splice: bool = False,
    labels: Sequence[str] = (),
    directory: Path | None = None,
    data: bool = False,
    template: Path | None = None,
    conventions: Conventions = DEFAULT,
) -> NewRevision:
    """
    Write the file of a new revision and return what it is.

    Several processes may do so at once: each looks at the files again when it
    is its turn, so that automatic numbers are distinct.

    Args:
        package: who gets it.
        history: the package's revisions so far.
        id: the revision's id and file name; the next number by default.
        message: the docstring, kept to the letter.
        requires: revisions of other packages, ``other:003``, ``?other:003``.
        head: what it follows; ``base`` begins a new root. By default the head.
        splice: allow ``head`` to have a follower already.
        labels: branch labels.
        directory: one of the package's directories; the first by default.
        data: begin with operations that move rows instead of none.
        template: the file to make it of, instead of those that are configured.
        conventions: how files are named, formatted, and made of which templates.

    Raises:
        RevisionIdError: the id cannot be used.
        RevisionExistsError: the package has a revision, or a file, of this id.
        MultipleHeadsError: there are several heads and none was named.
        UnknownRevisionError: ``head`` is not in the history.
        UsageError: ``requires``, ``labels`` or ``head`` say something impossible.
        AuthoringError: the file cannot be written, or not be made of the
            template; nothing is left behind.

    """
    if data and template is not None:
        raise UsageError("a template is named, and the one for data", hint="leave one of them out")
    wanted = _requires(package, requires)

    def decide(known: History) -> RevisionValues:
        down = _parents(known, head, splice=splice)
        return RevisionValues("", message, down, _labels(known, labels), wanted)

    lookup = Lookup("data" if data else "revision", template)
    return _write(package, history, id, decide, directory, lookup, conventions)


def merge(
    package: Package,
    history: History,
    *,
    heads: Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - the word users say
    message: str = "",
    conventions: Conventions = DEFAULT,
) -> NewRevision:
    """
    Write a revision that joins heads (all of them by default) and does nothing else.

    Raises:
        AuthoringError: there are not two different heads to join.
        RevisionIdError, RevisionExistsError, UnknownRevisionError: as ``revision``.

    """

    def decide(known: History) -> RevisionValues:
        named = [found for word in heads for found in _resolved(known, word)]
        down = tuple(dict.fromkeys(named)) if heads else known.heads
        _refuse_followed(known, down)
        if len(down) < 2:
            raise AuthoringError(
                f"a merge of package '{package.name}' needs two heads, "
                f"there is {listed(down) or 'none'}",
                hint=f"its heads: {', '.join(known.heads) or 'none'}",
            )
        return RevisionValues("", message, down)

    return _write(package, history, id, decide, None, Lookup(), conventions)


def revisions(wanted: Sequence[Wanted], *, dry_run: bool = False) -> tuple[NewRevision, ...]:
    """
    Write revisions of several packages, all of them or none, and return what they are.

    A body that needs the coming revision of another package must come after it.

    Args:
        wanted: the revisions, those that others need first.
        dry_run: write nothing; the ids are those that would be taken now.

    Raises:
        AuthoringError, PtahMigrateError: as ``revision``; nothing is left behind.

    """
    folders = [_folder(one.package, one.directory) for one in wanted]
    made: list[_Prepared] = []
    with ExitStack() as stack:
        for folder in sorted(set(folders)):
            stack.enter_context(alone(folder))
        ids: dict[str, str] = {}
        for one, folder in zip(wanted, folders, strict=True):
            made.append(_prepared(one, folder, ids))
            ids[one.package.name] = made[-1].values.id
        if dry_run:
            return tuple(one.result() for one in made)
        stack.enter_context(_all_or_none(made))
        for prepared in made:
            prepared.write()
    return tuple(replace(one.result(), problem=one.formatted()) for one in made)


def _prepared(one: Wanted, folder: Path, ids: Mapping[str, str]) -> _Prepared:
    operations = laid_out(one.body, one.package)
    coming = tuple(f"{name}:{ids[name]}" for name in one.body.after if name in ids)
    requires = _requires(one.package, (*one.requires, *one.body.requires, *coming))
    message = one.message or one.body.message

    def decide(known: History) -> RevisionValues:
        down = _parents(known, one.head, splice=one.splice)
        labels = _labels(known, one.labels)
        return RevisionValues("", message, down, labels, requires, operations)

    return _prepare(
        one.package,
        one.history,
        one.id,
        decide,
        folder,
        Lookup(file=one.template),
        one.conventions,
    )


@contextmanager
def _all_or_none(made: Sequence[_Prepared]) -> Iterator[None]:
    """Take back what was written in the block if it raises."""
    beside = {
        path: files.read(path)
        for one in made
        for path in (
            one.known.directories[0] / headfile.NAME,
            one.known.directories[0] / sources.LOCK,
        )
    }
    try:
        yield
    except BaseException:
        for one in made:
            if one.done:
                one.path.unlink(missing_ok=True)
        for path, content in beside.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif files.read(path) != content:
                path.write_bytes(content)
        raise


# -- deciding ------------------------------------------------------------------------


def _parents(history: History, head: str | None, *, splice: bool) -> tuple[str, ...]:
    """Return the ids that a new revision follows."""
    if head is None or head == "head":
        if len(history.heads) > 1:
            raise MultipleHeadsError(history.package, history.heads)
        return history.heads
    if head == "base":
        return ()
    down = _resolved(history, head)
    if not splice:
        _refuse_followed(history, down)
    return down


def _resolved(history: History, word: str) -> tuple[str, ...]:
    found = history.resolve(word)
    if not found:
        raise UnknownRevisionError(history.package, word, tuple(history.revisions))
    return found


def _refuse_followed(history: History, ids: Sequence[str]) -> None:
    inner = [id_ for id_ in ids if id_ not in history.heads]
    if inner:
        raise AuthoringError(
            f"{listed(inner)} of package '{history.package}' is not a head, "
            f"another revision follows it",
            hint=f"heads: {', '.join(history.heads)}; --splice begins a branch here",
        )


def _labels(history: History, labels: Sequence[str]) -> tuple[str, ...]:
    taken = {label for old in history.revisions.values() for label in old.labels} if labels else ()
    for label in labels:
        if not label.isidentifier() or label.lower() in naming.PLACES:
            raise UsageError(
                f"{shown(label)} cannot be a branch label",
                hint="letters, digits and '_', no digit first",
            )
        if label in taken or label in history.revisions:
            raise UsageError(
                f"package '{history.package}' already uses '{label}'", hint="choose another label"
            )
    return tuple(dict.fromkeys(labels))


def _requires(package: Package, words: Sequence[str]) -> tuple[str, ...]:
    for word in words:
        match = _REQUIREMENT.match(word)
        if match is None or match["id"] in naming.PLACES:
            raise UsageError(
                f"{shown(word)} cannot be required",
                hint="package:revision, as in other:003, or ?other:003 if it is optional",
            )
        if match["package"] == package.name:
            raise UsageError(
                f"{shown(word)} is of the package itself", hint="name what it follows with --head"
            )
    return tuple(dict.fromkeys(words))


# -- writing -------------------------------------------------------------------------

Decide = Callable[["History"], RevisionValues]


@dataclass(slots=True)
class _Prepared:
    """A revision file that can be written: everything is decided and rendered."""

    package: Package
    known: History
    given: str | None
    values: RevisionValues
    path: Path
    source: bytes
    template: str
    commit: str
    conventions: Conventions
    done: bool = field(default=False)

    def write(self) -> None:
        """Make the file, and what stands beside it."""
        try:
            files.create(self.path, self.source)
        except FileExistsError as error:
            raise _exists(self.package, self.values.id, self.path, self.given) from error
        except OSError as error:
            raise files.cannot("write", error, self.path) from error
        self.done = True
        _write_down(self.known, self.values, self.path, self.conventions, self.commit)

    def formatted(self) -> str:
        """Run the formatter, if there is one, and return its problem."""
        return _format(self.path, self.source, self.values, self.conventions.formatter)

    def result(self) -> NewRevision:
        """Return what it is."""
        return NewRevision(
            self.values.id,
            self.path,
            self.values.down,
            template=self.template,
            source=self.source,
        )


def _write(
    package: Package,
    history: History,
    given: str | None,
    decide: Decide,
    directory: Path | None,
    lookup: Lookup,
    conventions: Conventions,
) -> NewRevision:
    folder = _folder(package, directory)
    with alone(folder):
        prepared = _prepare(package, history, given, decide, folder, lookup, conventions)
        prepared.write()
    return replace(prepared.result(), problem=prepared.formatted())


def _prepare(
    package: Package,
    history: History,
    given: str | None,
    decide: Decide,
    folder: Path,
    lookup: Lookup,
    conventions: Conventions,
) -> _Prepared:
    """Decide and render everything; the caller keeps other writers out of the folder."""
    known = _as_it_is_now(package, history)
    found = sources.find(known.directories[0], conventions.templates)
    lookup = replace(lookup, own=found.own)
    values = decide(known)
    _refuse_half_characters(values.message)
    values = _named(package, known, given, values, folder)
    stem = naming.stem(conventions.naming_of(known.directories[0]), values.id, values.message)
    source = render_revision(values, lookup)
    return _Prepared(
        package,
        known,
        given,
        values,
        folder / f"{stem}.py",
        source,
        lookup.chosen,
        found.commit,
        conventions,
    )


def _as_it_is_now(package: Package, history: History) -> History:
    """Return the history again if somebody added or removed a file since it was read."""
    if history.kept is not None and history.kept.valid(exact=False):
        return history
    found = {revision.path for revision in history.revisions.values()}
    if found == set(_history.candidates(package)) and history.directories:
        return history
    return _history.read(package)


def _named(
    package: Package, known: History, given: str | None, values: RevisionValues, folder: Path
) -> RevisionValues:
    revision_id = _new_id(package, known, given, _stems(folder), folder)
    if revision_id in values.labels:
        raise UsageError(
            f"'{revision_id}' cannot be both id and label", hint="choose another label"
        )
    return replace(values, id=revision_id)


def _write_down(
    known: History, values: RevisionValues, path: Path, conventions: Conventions, commit: str
) -> None:
    """Update the small files beside the revisions; if that fails there is no new revision."""
    folder = known.directories[0]
    try:
        changes: list[FileChange] = []
        if commit:
            changes.append(sources.lock(folder, conventions.templates, commit))
        if headfile.wanted(folder, conventions.file_template):
            changes.append(headfile.change(folder, [*_other_heads(known, values), path.stem]))
        files.apply(folder, changes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _other_heads(known: History, values: RevisionValues) -> list[str]:
    """Return the names of the files that stay heads beside a new revision."""
    followed = {known.revisions[down].path.stem for down in values.down}
    return [stem for stem in headfile.stems(known) if stem not in followed]


def _format(path: Path, source: bytes, values: RevisionValues, formatter: str) -> str:
    """Run the formatter and return its problem; what it must not change is put back."""
    if not formatter:
        return ""
    problem = formatting.run(formatter, path)
    try:
        changed = templates.difference(path.read_bytes(), values)
        if changed:
            path.write_bytes(source)
            problem = f"{formatter} changed what the file says: {changed}"
    except OSError as error:
        problem = f"{formatter} left a file that cannot be read: {error.strerror}"
    return problem


def _refuse_half_characters(message: str) -> None:
    """Refuse what is left of bytes that are no text: Python 3.13 compiles no docstring with it."""
    try:
        message.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the message {shown(message)} has half a character at {error.start + 1}",
            hint="type it again, or correct the encoding of the terminal",
        ) from error


def _folder(package: Package, directory: Path | None) -> Path:
    folders = directories(package)
    found = folders[0] if directory is None else _one_of(package, folders, directory)
    if ".git" in (part.lower() for part in found.resolve().parts):
        raise AuthoringError(f"'{found}' belongs to git", hint="register another directory")
    return found


def _one_of(package: Package, folders: Sequence[Path], directory: Path) -> Path:
    """Return a directory if it is one of the package's, or really lies in one of them."""
    for folder in folders:
        nested = package.recursive and directory.resolve().is_relative_to(folder.resolve())
        if directory.is_dir() and (nested or directory.samefile(folder)):
            return directory.absolute()
    raise AuthoringError(
        f"'{directory}' is not a directory of package '{package.name}'",
        hint=f"its directories: {', '.join(map(str, folders))}",
    )


def _stems(folder: Path) -> list[str]:
    """Return the names of all Python files in a folder: each is taken, whatever it holds."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - hot
        return sorted(name[:-3] for name in names if name.endswith(".py"))
    except OSError as error:
        raise files.cannot("read", error, folder) from error


def _new_id(
    package: Package, history: History, given: str | None, stems: Sequence[str], folder: Path
) -> str:
    """Return the id of the new revision, which no revision, file or label has."""
    if given is None:
        known = history.revisions
        numbered = [stem for stem in stems if stem.isdigit() and stem not in known]
        return naming.next_id(package.name, (*known, *numbered))
    naming.check_id(given)
    labels = [label for one in history.revisions.values() for label in one.labels]
    other = naming.same(given, (*history.revisions, *stems, *labels))
    if other is None:
        return given
    if other != given:
        raise RevisionIdError(
            f"revision id '{given}' differs from '{other}' of package '{package.name}' "
            "only in upper and lower case",
            hint="leave -r out to get the next number",
        )
    old = history.revisions.get(given)
    raise _exists(package, given, old.path if old else folder / f"{given}.py", given)


def _exists(
    package: Package, revision_id: str, path: Path, given: str | None
) -> RevisionExistsError:
    error = RevisionExistsError(package.name, revision_id, str(path))
    if given is None:  # somebody who could not be kept waiting took the number
        error.hint = "run the same command again"
    return error
