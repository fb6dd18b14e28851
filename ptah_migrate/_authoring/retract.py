"""Take back the newest revision, as long as nothing of anybody's work is in it."""

from __future__ import annotations

import ast
import io
import os
import tokenize
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate._authoring import files, headfile, sources
from ptah_migrate._authoring.conventions import DEFAULT, Conventions
from ptah_migrate._authoring.exclusive import alone
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.naming import listed
from ptah_migrate._authoring.templates import (
    Lookup,
    RevisionValues,
    Templates,
    constants,
    render_revision,
)
from ptah_migrate._history import History, read
from ptah_migrate.errors import AuthoringError, MultipleHeadsError
from ptah_migrate.registry import directories

if TYPE_CHECKING:
    from ptah_migrate.model import Package, Revision

_LINES = 10  # of a docstring, that may be the message


def retract(
    package: Package,
    *,
    applied: Collection[str] = (),
    template: Path | None = None,
    conventions: Conventions = DEFAULT,
    sure: bool = False,
) -> Revision:
    """
    Remove the file of the newest revision and return what it was.

    Args:
        package: whose revision.
        applied: the ids that the reachable database records for the package.
        template: the file it was made of, where that was named.
        conventions: those that it was made with.
        sure: somebody knows that what is in the file is not needed. What a
            template makes can be made again to compare; what was found by a
            comparison with a database cannot, so it counts as work too.

    Raises:
        AuthoringError: there is none, it is applied, another one depends on it,
            or it has more in it than its template (without ``sure``); nothing
            is removed.
        MultipleHeadsError: none of several heads is the newest.
        HistoryError: the files do not make a history.

    """
    with alone(directories(package)[0]):
        history = read(package)
        newest = _newest(history, applied)
        content = files.read(newest.path) or b""
        if not (sure or _is_generated(history.directories[0], content, template, conventions)):
            raise AuthoringError(
                f"'{newest.path}' has more in it than its template, it is not removed",
                hint="if its operations are not needed: --yes removes it all the same",
            )
        _remove(history, newest, content, conventions)
    return newest


def _newest(history: History, applied: Collection[str]) -> Revision:
    if not history.heads:
        raise AuthoringError(
            f"package '{history.package}' has no revisions", hint="there is nothing to take back"
        )
    if len(history.heads) > 1:
        raise MultipleHeadsError(history.package, history.heads)
    newest = history.revisions[history.heads[0]]
    if newest.id in applied:
        before = newest.down[0] if len(newest.down) == 1 else "-1" if newest.down else "base"
        raise AuthoringError(
            f"revision '{newest.id}' of package '{history.package}' is applied in the database",
            hint=f"run: ptah-migrate downgrade {history.package}:{before}",
        )
    if history.dependants[newest.id]:
        raise AuthoringError(
            f"revision '{newest.id}' of package '{history.package}' is needed by "
            f"{listed(history.dependants[newest.id])}",
            hint="take that one back first",
        )
    return newest


# -- as it was generated -------------------------------------------------------------


def _is_generated(
    folder: Path, content: bytes, template: Path | None, conventions: Conventions
) -> bool:
    """Return whether a template gives this file, apart from what a formatter may change."""
    try:
        tree = ast.parse(content)
        values = _values(tree)
        found = _told(content)
    except (SyntaxError, ValueError, TypeError, tokenize.TokenError, RecursionError):
        return False
    own = sources.find(folder, conventions.templates).own
    messages = _messages(values.message) if own or template else [values.message]
    return any(
        generated == content or _told(generated) == found
        for message in messages
        for generated in _renderings(replace(values, message=message), template, own)
    )


def _messages(docstring: str) -> Iterator[str]:
    """Yield what the message may have been: a template may say more in the docstring."""
    yield docstring
    lines = docstring.split("\n")[:_LINES]
    for count in reversed(range(len(lines) + 1)):
        yield "\n".join(lines[:count])


def _values(tree: ast.Module) -> RevisionValues:
    """Return what a template must be told to give this file."""
    said = constants(tree)
    [revision] = _several(said.get("revision"))
    return RevisionValues(
        id=revision,
        message=ast.get_docstring(tree, clean=False) or "",
        down=_several(said.get("down_revision")),
        labels=_several(said.get("branch_labels")),
        requires=_several(said.get("requires")),
    )


def _several(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple):
        return value
    raise ValueError(value)


def _renderings(
    values: RevisionValues, template: Path | None, own: tuple[Templates, ...]
) -> Iterator[bytes]:
    for kind, candidates in (("revision", own), ("data", own), ("revision", ()), ("data", ())):
        try:
            yield render_revision(values, Lookup(kind, template, candidates))
        except AuthoringError:
            continue  # that template cannot have made it


def _told(content: bytes) -> tuple[str, list[str]]:
    """Return what a file says to Python and to readers, without its layout."""
    tokens = tokenize.tokenize(io.BytesIO(content).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return ast.dump(ast.parse(content)), comments


# -- removing ------------------------------------------------------------------------


def _remove(history: History, newest: Revision, content: bytes, conventions: Conventions) -> None:
    folder = history.directories[0]
    changes = [FileChange("remove", newest.path, b"", content)]
    if headfile.wanted(folder, conventions.file_template):
        left = {id_: one for id_, one in history.revisions.items() if id_ != newest.id}
        before = History(history.package, left, history.directories, branches=history.branches)
        changes.append(headfile.change(folder, headfile.stems(before)))
    files.apply(Path(os.path.commonpath(history.directories)), changes)
