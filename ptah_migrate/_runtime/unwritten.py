"""
Revisions that nobody has written yet, in a plan.

Running an empty revision records it, and what its author then writes into it
never runs on that database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptah_migrate._history import History
from ptah_migrate.errors import UnwrittenError
from ptah_migrate.model import Direction, Plan, Revision, Seed


def found(plan: Plan, histories: Mapping[str, History]) -> tuple[Revision, ...]:
    """Return the unwritten revisions that a plan runs, or seeds; a person's stamp is an order."""
    return tuple(revision for revision in _recorded(plan, histories) if revision.unwritten)


def refuse(plan: Plan, histories: Mapping[str, History]) -> None:
    """
    Return quietly when every revision of a plan is written.

    Raises:
        UnwrittenError: one is not.

    """
    for revision in found(plan, histories):
        raise UnwrittenError(revision.package, revision.id, str(revision.path))


def _recorded(plan: Plan, histories: Mapping[str, History]) -> Iterator[Revision]:
    for item in plan.items:
        if not isinstance(item, Seed):
            if item.direction is Direction.UP:
                yield item.revision
        elif item.kind == "seeded" and item.rows:
            history = histories[item.package]
            applied = history.ancestors(item.rows)
            yield from (history.revisions[id_] for id_ in history.order() if id_ in applied)
