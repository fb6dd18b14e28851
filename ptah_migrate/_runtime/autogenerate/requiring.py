"""What a revision needs of other packages: the revisions that make the tables it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from alembic.operations import ops

from ptah_migrate import _history
from ptah_migrate._runtime import schema

if TYPE_CHECKING:
    from ptah_migrate._history import History
    from ptah_migrate._runtime.comparison import Comparison


def referred(found: Iterable[ops.MigrateOperation]) -> set[str]:
    """Return the tables that new foreign keys of the operations refer to."""
    return set(_referred(found))


def _referred(found: Iterable[ops.MigrateOperation]) -> Iterator[str]:
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            yield from _referred(op.ops)
        elif isinstance(op, ops.CreateTableOp):
            yield from schema.referred(op.to_table())
        elif isinstance(op, ops.AddColumnOp):
            yield from schema.referred(op.column)
        elif isinstance(op, ops.CreateForeignKeyOp):
            there = op.kw.get("referent_schema")
            yield f"{there}.{op.referent_table}" if there else op.referent_table


def required(
    comparison: Comparison,
    found: Sequence[ops.MigrateOperation],
    histories: Mapping[str, History],
    coming: Mapping[str, set[str]],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """
    Return required revisions, packages whose coming revision is required, and notes.

    ``coming``: the tables that each package gets by a revision of this run.
    """
    package = comparison.package.name
    revisions: dict[str, str] = {}
    after: set[str] = set()
    notes: list[str] = []
    wanted = referred(found) & set(comparison.neighbours)
    for table in sorted(wanted):
        other = comparison.neighbours[table]
        if not other:
            notes.append(f"nobody registered owns table '{table}', which is referred to")
        elif table in coming.get(other, ()):
            after.add(other)
        elif revision := _revision(table, histories.get(other)):
            revisions[other] = _later(histories[other], revisions.get(other), revision)
        else:
            notes.append(f"no revision of package '{other}' makes table '{table}'")
    known = histories.get(package)
    needed = tuple(
        f"{other}:{revision}"
        for other, revision in sorted(revisions.items())
        if other not in after and not _known(known, other, histories[other], revision)
    )
    return needed, tuple(sorted(after)), tuple(notes)


def _revision(table: str, history: History | None) -> str | None:
    """Return the revision that makes a table, else the head."""
    if history is None or not history.heads:
        return None
    return _history.makers(history).get(table) or history.order()[-1]


def _later(history: History, first: str | None, second: str) -> str:
    if first is None or first in history.ancestors([second]):
        return second
    return first


def _known(own: History | None, other: str, history: History, revision: str) -> bool:
    """Return whether a revision of the package requires this one already, or a later one."""
    if own is None:
        return False
    named = [
        one.id
        for mine in own.wishes
        for one in mine.requires
        if one.package == other and not one.optional and one.id in history.revisions
    ]
    return revision in history.ancestors(named)
