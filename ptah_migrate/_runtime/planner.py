"""
Gathers what a plan is decided from, and has it decided: see ``plan``.

Reads histories, rows, models and the tables of packages without a row; writes
nothing. Loaded where there is something to plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import inspect

from ptah_migrate._history import tables as history_tables
from ptah_migrate._runtime import fresh, plan, schema, states, unwritten
from ptah_migrate.errors import UnrecordedTablesError, UsageError
from ptah_migrate.model import (
    DOWNGRADE,
    HEADS,
    POPULATE,
    STAMP,
    UPGRADE,
    Package,
    Plan,
    Target,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Inspector, Table

    from ptah_migrate._history import Histories, History
    from ptah_migrate._runtime.journal import Journal
    from ptah_migrate._runtime.ownership import Owners
    from ptah_migrate._runtime.versions import Rows, Versions
    from ptah_migrate.registry import Registry


class Planner:
    """
    Plans for one database.

    ``trust`` seeds tables that differ from the models; ``refuse_unwritten``
    refuses a plan with a revision that nobody has written yet.
    """

    def __init__(
        self,
        registry: Registry,
        histories: Histories,
        owners: Owners,
        versions: Versions,
        journal: Journal,
        *,
        trust: bool,
        refuse_unwritten: bool,
    ) -> None:
        self.registry = registry
        self.histories = histories
        self.owners = owners
        self.versions = versions
        self.journal = journal
        self.trust = trust
        self.refuse_unwritten = refuse_unwritten

    def plan(
        self,
        connection: Connection | None,
        operation: str,
        targets: Sequence[Target],
        *,
        cascade: bool = False,
        purge: bool = False,
    ) -> Plan:
        """
        Return the plan for a database; for an empty one where there is no connection.

        Raises:
            PtahMigrateError: what would stop the run half-way, see ``plan``.

        """
        rows = self.versions.read(connection) if connection is not None else {}
        decisions: dict[str, fresh.Fresh] = {}
        if operation in (UPGRADE, POPULATE):
            decisions = self._fresh(connection, operation, targets, rows)
        return self._decide(operation, targets, rows, decisions, cascade=cascade, purge=purge)

    def stated(self, operation: str, targets: Sequence[Target], *, cascade: bool = False) -> Plan:
        """Return the plan of targets that all say where they start; what they need is there."""
        named = {target.package for target in targets}
        others = self.histories.of(
            name for name in plan.reach(named, self.histories) if name not in named
        )
        rows = {name: tuple(sorted(history.tops)) for name, history in others.items()}
        return self._decide(operation, targets, rows, {}, cascade=cascade)

    def _decide(
        self,
        operation: str,
        targets: Sequence[Target],
        rows: Rows,
        decisions: Mapping[str, fresh.Fresh],
        *,
        cascade: bool = False,
        purge: bool = False,
    ) -> Plan:
        names = {target.package for target in targets}
        if operation == DOWNGRADE:
            names.update(name for name in rows if name in self.registry.packages)
        facts = plan.Facts(
            histories=self.histories.of(plan.reach(names, self.histories)),
            rows=self._started(targets, rows),
            fresh=decisions,
            broken=self.histories.broken,
            available=self.registry.available,
            refers=self._refers(decisions),
        )
        if operation == UPGRADE:
            todo = plan.upgrade(targets, facts)
        elif operation == DOWNGRADE:
            todo = plan.downgrade(targets, facts, cascade=cascade)
        elif operation == STAMP:
            todo = plan.stamp(targets, facts, purge=purge)
        elif operation == POPULATE:
            todo = plan.seed([target.package for target in targets], facts)
        else:
            raise UsageError(
                f"there is no operation {operation!r}",
                hint="one of upgrade, downgrade, stamp, populate",
            )
        if self.refuse_unwritten:
            unwritten.refuse(todo, self.histories)
        return todo

    def _started(self, targets: Sequence[Target], rows: Rows) -> Rows:
        """Return the rows, with those that ``package:from:to`` targets state."""
        stated = {
            target.package: self.histories[target.package].resolve(target.start)
            for target in targets
            if target.start is not None and target.package in self.histories
        }
        return {**rows, **stated}

    def _fresh(
        self, connection: Connection | None, operation: str, targets: Sequence[Target], rows: Rows
    ) -> dict[str, fresh.Fresh]:
        """Return the decision for every reached package without a row."""
        stated = {target.package for target in targets if target.start is not None}
        names = [target.package for target in targets]
        if operation == UPGRADE:
            names = list(plan.reach(names, self.histories))
        found: dict[str, fresh.Fresh] = {}
        listing = inspect(connection) if connection is not None else None
        for name in names:
            history = self.histories.get(name)
            if rows.get(name) or history is None or name in stated:
                continue
            package = self.registry.packages[name]
            found[name] = fresh.decide(
                package,
                self._table_state(connection, package, history, listing),
                populate=operation == POPULATE,
                trust=self.trust,
                to_head=all(_to_head(target, history) for target in targets),
            )
        return self._explained(connection, found)

    def _explained(
        self, connection: Connection | None, found: dict[str, fresh.Fresh]
    ) -> dict[str, fresh.Fresh]:
        """Let a refusal name the step that a database without transactional DDL left half-way."""
        refused = {
            n: d.error for n, d in found.items() if isinstance(d.error, UnrecordedTablesError)
        }
        if connection is None or not refused:
            return found
        words = self.journal.last(connection)
        for name, error in refused.items():
            if half_done := states.half_done(words.get(name)):
                better = UnrecordedTablesError(
                    name, error.tables, error.differences, half_done=half_done
                )
                found[name] = replace(found[name], error=better)
        return found

    def _table_state(
        self,
        connection: Connection | None,
        package: Package,
        history: History,
        listing: Inspector | None,
    ) -> fresh.TableState:
        if package.force or package.fresh == "steps":
            return fresh.TableState()
        return schema.state(connection, package, history, self._creatable(package), listing)

    def _refers(self, decisions: Mapping[str, fresh.Fresh]) -> dict[str, frozenset[str]]:
        """Return whose tables the tables to create refer to."""
        creating = [self.registry.packages[n] for n, d in decisions.items() if d.create]
        if not creating:
            return {}
        made = {
            name: package
            for package in decisions
            for name in history_tables(self.histories[package]).ever
        }
        of = made | {t.key: package.name for package in creating for t in self._creatable(package)}
        return {
            package.name: frozenset(
                of.get(name, "")
                for table in self._creatable(package)
                for name in schema.referred(table)
            )
            - {package.name, ""}
            for package in creating
        }

    def _creatable(self, package: Package) -> tuple[Table, ...]:
        return self.owners.of(package).creatable


def _to_head(target: Target, history: History) -> bool:
    """Return whether a target leaves nothing of a history out, from its base."""
    if target.package != history.package or target.spec in HEADS:
        return True
    return len(history.upgrades(target.spec, ())) == len(history)
