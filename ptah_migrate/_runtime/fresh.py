"""
What a package without a recorded version gets. Pure: facts in, decision out.

The table is in the reference (``docs/reference/no-row.md``). Its reason: to
seed by belief is the best documented way to lose data, so a package is seeded
only when its tables were just made from the models, or match them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ptah_migrate.drafts import Difference
from ptah_migrate.errors import PtahMigrateError, TargetError, UnrecordedTablesError
from ptah_migrate.model import Package


class Action(str, Enum):
    """What to do with the package."""

    RUN = "run"
    SEED = "seed"
    REFUSE = "refuse"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class TableState:
    """
    The package's own tables, as the models, the history and the database see them.

    Attributes:
        models: tables of the package's models, in the order to create them.
        existing: those of ``models`` and of the history that the database has.
        made: tables that the history makes at some time.
        final: tables that the history leaves at its head.
        everything: the history makes tables whose names cannot be read from it
            (``create_all``): none can be said to be made by nobody.
        differences: what comparing the database with the models found; only
            meaningful when some of the tables exist.

    """

    models: tuple[str, ...] = ()
    existing: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset()
    everything: bool = False
    differences: tuple[Difference, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the history makes every table of the models itself."""
        return self.everything or set(self.models) <= self.final

    @property
    def creatable(self) -> tuple[str, ...]:
        """Missing tables of the models that no revision makes."""
        if self.everything:
            return ()
        return tuple(t for t in self.models if t not in self.existing and t not in self.made)

    @property
    def missing(self) -> tuple[str, ...]:
        """Missing tables of the models."""
        return tuple(t for t in self.models if t not in self.existing)


@dataclass(frozen=True, slots=True)
class Fresh:
    """The decision: tables to create first, why, and the error of a refusal."""

    action: Action
    create: tuple[str, ...] = ()
    reason: str = ""
    error: PtahMigrateError | None = None


def decide(
    package: Package,
    tables: TableState,
    *,
    populate: bool,
    trust: bool = False,
    to_head: bool = True,
) -> Fresh:
    """
    Return what a package without a row gets.

    Args:
        package: the package, for ``force`` and ``fresh``.
        tables: the state of its own tables.
        populate: the wish is to create and seed, not to upgrade.
        trust: seed tables that differ, as in 2012 (populate only).
        to_head: the upgrade goes to the head; a schema made from the models
            stands there and nowhere else.

    """
    if package.force or package.fresh == "steps":
        return Fresh(Action.NOTHING if populate else Action.RUN)
    complete = tables.complete and package.fresh != "create"
    if not tables.existing:
        return _none_exist(package, tables, complete=complete, populate=populate, to_head=to_head)
    if tables.models and _matches(tables):
        create = tables.creatable
        return Fresh(Action.SEED, create, created(len(create)) if create else "schema matches")
    if populate and trust:
        return Fresh(Action.SEED, tables.missing, "trusted, not compared")
    if populate or complete:
        error = UnrecordedTablesError(
            package.name, sorted(tables.existing), [d.words for d in tables.differences]
        )
        return Fresh(Action.REFUSE, error=error)
    return Fresh(Action.RUN, tables.creatable)


def _matches(tables: TableState) -> bool:
    """Return whether only tables are missing that no revision makes: creating them is a match."""
    return {difference.table for difference in tables.differences} <= set(tables.creatable)


def _none_exist(
    package: Package, tables: TableState, *, complete: bool, populate: bool, to_head: bool
) -> Fresh:
    if populate and not tables.models and tables.made:
        # Nothing could be created here, and a seed would say that it was.
        return Fresh(Action.NOTHING, reason="its tables are made by its revisions: run upgrade")
    if not populate and complete:
        return Fresh(Action.RUN)
    if not populate and not to_head:
        error = TargetError(
            f"package '{package.name}' has no tables yet, and its history starts from tables "
            "that existed before: only its head can be made",
            hint=f"run: ptah-migrate upgrade {package.name}",
        )
        return Fresh(Action.REFUSE, error=error)
    return Fresh(Action.SEED, tables.models, created(len(tables.models)))


def created(count: int) -> str:
    """Return the words for so many tables made."""
    if not count:
        return "nothing to create"
    return f"created {count} table{'s' if count > 1 else ''}"
