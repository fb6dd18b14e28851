"""
What a revision file says as a row of plain values, and the Revision made of it.

``[id, file, down, doc, flags]``, and where one of them says anything also
``depends_on, requires, run_before, labels``. The file is a number: its place
among the files of the package. JSON keeps a row as it is, and most rows are
never looked at: of a chain, its shape is found without making a Revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ptah_migrate._history.graph import Shape
from ptah_migrate.model import Requirement, Revision

UPGRADE, DOWNGRADE, UNWRITTEN = 1, 2, 4

Row = Sequence[Any]
PLAIN = 5  # values of a row that only says its id, file, parents and docstring


def revision(
    package: str,
    path: str,
    id_: str,
    down: Iterable[str],
    doc: str,
    flags: int,
    depends_on: Iterable[str] = (),
    requires: Iterable[str] = (),
    run_before: Iterable[str] = (),
    labels: Iterable[str] = (),
) -> Revision:
    """Return the revision of a row whose file lies at ``path``."""
    return Revision(
        package,
        id_,
        path,
        tuple(down),
        tuple(depends_on),
        tuple(map(_requirement, requires)),
        tuple(map(_requirement, run_before)),
        tuple(labels),
        doc,
        flags & UPGRADE != 0,
        flags & DOWNGRADE != 0,
        flags & UNWRITTEN != 0,
    )


def _requirement(text: str) -> Requirement:
    package, _, identifier = text.removeprefix("?").partition(":")
    return Requirement(package, identifier, text.startswith("?"))


class Revisions(Mapping[str, Revision]):
    """The revisions of rows, each made when it is first asked for."""

    def __init__(self, package: str, rows: Mapping[str, Row], path: Callable[[int], str]) -> None:
        self._package = package
        self._rows = rows
        self._path = path
        self._made: dict[str, Revision] = {}

    def __getitem__(self, id_: str) -> Revision:
        found = self._made.get(id_)
        if found is None:
            id_, file, *rest = self._rows[id_]
            found = self._made[id_] = revision(self._package, self._path(file), id_, *rest)
        return found

    def richer(self) -> Iterator[Revision]:
        """Yield the revisions that say more than what a plain one does; no other one is made."""
        return (self[id_] for id_, row in self._rows.items() if len(row) > PLAIN)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def chain(rows: Mapping[str, Row]) -> Shape | None:
    """Return the shape of rows that are one chain; None where it takes more to tell."""
    followed: dict[str | None, str] = {}
    for id_, _, down, _, _, *more in rows.values():
        if len(down) > 1 or (more and (more[0] or more[3])):
            return None
        followed[down[0] if down else None] = id_
    order: list[str] = []
    id_ = followed.get(None)
    while id_ is not None and len(order) < len(rows):
        order.append(id_)
        id_ = followed.get(id_)
    if len(order) < len(rows) or len(followed) < len(rows):
        return None
    return Shape(
        linear=True,
        heads=tuple(order[-1:]),
        bases=tuple(order[:1]),
        tops=tuple(order[-1:]),
        order=tuple(order),
    )
