"""Write a new revision file: decide everything first, then make one file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate._authoring import files, naming
from ptah_migrate._authoring.naming import listed, shown
from ptah_migrate._authoring.templates import RevisionValues, render_revision
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
    from ptah_migrate.model import Package

# What reading accepts on both sides: ids of old histories have dots and dashes.
_REQUIREMENT = re.compile(r"\??(?P<package>[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<id>[\w.-]+)\Z")


@dataclass(frozen=True, slots=True)
class NewRevision:
    """A revision file that was written; ``down`` are the ids it follows."""

    id: str
    path: Path
    down: tuple[str, ...]


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
) -> NewRevision:
    """
    Write the file of a new revision and return what it is.

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

    Raises:
        RevisionIdError: the id cannot be used.
        RevisionExistsError: the package has a revision, or a file, of this id.
        MultipleHeadsError: there are several heads and none was named.
        UnknownRevisionError: ``head`` is not in the history.
        UsageError: ``requires``, ``labels`` or ``head`` say something impossible.
        AuthoringError: the file cannot be written; nothing is left behind.

    """
    down = _parents(history, head, splice=splice)
    values = RevisionValues(
        "", message, down, _labels(history, labels), _requires(package, requires)
    )
    return _write(package, history, id, values, directory)


def merge(
    package: Package,
    history: History,
    *,
    heads: Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - the word users say
    message: str = "",
) -> NewRevision:
    """
    Write a revision that joins heads (all of them by default) and does nothing else.

    Raises:
        AuthoringError: there are not two different heads to join.
        RevisionIdError, RevisionExistsError, UnknownRevisionError: as ``revision``.

    """
    named = [found for word in heads for found in _resolved(history, word)]
    down = tuple(dict.fromkeys(named)) if heads else history.heads
    _refuse_followed(history, down)
    if len(down) < 2:
        raise AuthoringError(
            f"a merge of package '{package.name}' needs two heads, "
            f"there is {listed(down) or 'none'}",
            hint=f"its heads: {', '.join(history.heads) or 'none'}",
        )
    return _write(package, history, id, RevisionValues("", message, down), None)


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
    taken = {label for old in history.revisions.values() for label in old.labels}
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


def _write(
    package: Package,
    history: History,
    given: str | None,
    values: RevisionValues,
    directory: Path | None,
) -> NewRevision:
    _refuse_half_characters(values.message)
    folder = _folder(package, directory)
    stems = _stems(folder)
    revision_id = _new_id(package, history, given, stems, folder)
    if revision_id in values.labels:
        raise UsageError(
            f"'{revision_id}' cannot be both id and label", hint="choose another label"
        )
    path = folder / f"{revision_id}.py"
    source = render_revision(
        RevisionValues(revision_id, values.message, values.down, values.labels, values.requires)
    )
    try:
        files.create(path, source)
    except FileExistsError as error:
        raise _exists(package, revision_id, path, given) from error
    except OSError as error:
        raise files.cannot("write", error, path) from error
    return NewRevision(revision_id, path, values.down)


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
    if directory is None:
        return folders[0]
    for folder in folders:
        nested = package.recursive and directory.absolute().is_relative_to(folder)
        if directory.is_dir() and (nested or directory.samefile(folder)):
            return directory.absolute()
    raise AuthoringError(
        f"'{directory}' is not a directory of package '{package.name}'",
        hint=f"its directories: {', '.join(map(str, folders))}",
    )


def _stems(folder: Path) -> list[str]:
    """Return the names of all Python files in a folder: each is taken, whatever it holds."""
    try:
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".py")
    except OSError as error:
        raise files.cannot("read", error, folder) from error


def _new_id(
    package: Package, history: History, given: str | None, stems: Sequence[str], folder: Path
) -> str:
    """Return the id of the new revision, which no revision, file or label has."""
    if given is None:
        numbered = [stem for stem in stems if stem.isdigit()]
        return naming.next_id(package.name, (*history.revisions, *numbered))
    naming.check_id(given)
    labels = [label for old in history.revisions.values() for label in old.labels]
    other = naming.same(given, (*history.revisions, *stems, *labels))
    if other is None:
        return given
    if other != given:
        raise RevisionIdError(
            f"revision id '{given}' differs from '{other}' of package '{package.name}' "
            "only in upper and lower case",
            hint="leave -r out to get the next number",
        )
    known = history.revisions.get(given)
    raise _exists(package, given, known.path if known else folder / f"{given}.py", given)


def _exists(
    package: Package, revision_id: str, path: Path, given: str | None
) -> RevisionExistsError:
    error = RevisionExistsError(package.name, revision_id, str(path))
    if given is None:  # somebody else took the number a moment ago
        error.hint = "run the same command again"
    return error
