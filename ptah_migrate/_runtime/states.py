"""Where a package is, as the database and the code see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptah_migrate._runtime.journal import FAILED, STARTED
from ptah_migrate.model import Package, PackageStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptah_migrate._history import Heads, Histories
    from ptah_migrate._runtime.journal import LastWords


def of(
    package: Package,
    recorded: Sequence[str],
    words: LastWords | None,
    histories: Histories,
    at: Heads | None = None,
) -> PackageStatus:
    """
    Return the status of a package.

    Args:
        package: the registered package.
        recorded: its rows.
        words: the last entries of the journal about it.
        histories: read where ``at`` does not settle it.
        at: its heads, where they are known without that.

    """
    current = at is not None and recorded == tuple(sorted(at.tops)) != ()
    status = PackageStatus(
        package.name,
        package.title,
        "current" if current else "broken",
        rows=tuple(recorded),
        heads=at.heads if at is not None and current else (),
        how=how(words) if recorded else "",
        problem=half_done(words) if current else "",
        origin=str(package.origin),
    )
    if current:
        return status
    history = histories.get(package.name)
    if history is None:
        return status._replace(problem=str(histories.broken[package.name]))
    status = status._replace(heads=history.heads, problem=half_done(words))
    if unknown := history.unknown(recorded):
        problem = f"the code does not know {', '.join(unknown)}"
        return status._replace(state="ahead", problem=problem)
    applied = history.ancestors(recorded)
    pending = tuple(id_ for id_ in history.order() if id_ not in applied)
    if pending:
        return status._replace(state="pending" if recorded else "unrecorded", pending=pending)
    return status._replace(state="current" if recorded else "empty")


def pending_line(status: PackageStatus) -> str:
    """Return one package that is not at its head, in words."""
    if status.state in ("broken", "ahead"):
        return f"{status.package}: {status.problem}"
    present = ", ".join(status.rows) or "None"
    return f"{status.package} is at {present}, head is {', '.join(status.heads) or 'None'}"


def how(words: LastWords | None) -> str:
    """Return how the rows came about: the word of the last entry that is a success."""
    return words.done.how if words is not None and words.done is not None else ""


def half_done(words: LastWords | None) -> str:
    """Return what a last entry that is no success says."""
    if words is None or words.newest.state not in (FAILED, STARTED):
        return ""
    entry = words.newest
    if entry.state == STARTED:
        return f"{entry.operation} of {entry.revision} was begun and is not finished"
    left = f"; it left {entry.statements} statement(s) behind" if entry.statements else ""
    return f"{entry.operation} of {entry.revision} failed: {entry.detail}{left}"
