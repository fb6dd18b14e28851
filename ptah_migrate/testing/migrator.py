"""For tests of one revision: the database before it, rows in it, the step, the rows after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from ptah_migrate._runtime import Migrator, parse_target
from ptah_migrate.errors import UsageError
from ptah_migrate.registry import Registry
from ptah_migrate.testing.place import is_partial

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

    from ptah_migrate.testing.subjects import Packages


class PtahMigrator:
    """
    Runs revisions of the project's packages on the test's own database.

    ``before("shop:003").insert("post", {"title": "x"}).up()`` reads as it is
    done: each method but ``rows`` and ``at`` returns the object itself. A
    method without a target goes on with the package of the method before it, or
    with the project's only one.

    Attributes:
        engine: the database, empty at first: the fixture ``ptah_engine``.
        migrator: a `Migrator` of it, for everything else.

    """

    def __init__(self, engine: Engine, packages: Packages) -> None:
        self.engine = engine
        self.migrator = Migrator(engine, packages.registry())
        self._package = packages.default[0] if len(packages.default) == 1 else ""
        self._next = ""
        self._run_steps(packages)

    def _run_steps(self, packages: Packages) -> None:
        """Let every revision run, whatever a registration says of a fresh database."""
        found = dict(self.migrator.registry.packages)
        for name in packages.own:
            history = self.migrator.histories.get(name)
            if history is not None and not is_partial(found[name], history, self.migrator):
                found[name] = found[name]._replace(fresh="steps")
        self.migrator = Migrator(self.engine, Registry(found.values()))

    # -- steps -----------------------------------------------------------------------

    def before(self, target: str) -> Self:
        """Run what a revision (``shop:003``) comes after, and requires; ``up()`` then runs it."""
        package, id_ = self._split(target)
        history = self.migrator.histories[package]
        [found] = history.resolve(id_)
        wanted = [f"{package}:{parent}" for parent in history.parents(found)]
        requires = history.revisions[found].requires
        wanted += [str(wish) for wish in requires if not wish.optional]
        if wanted:
            self.migrator.upgrade(*wanted)
        self._next = f"{package}:{found}"
        return self

    def up(self, target: str = "") -> Self:
        """Run the revision that ``before`` named, the next one, or all up to a target."""
        self.migrator.upgrade(self._target(target, "+1"))
        return self

    def down(self, target: str = "") -> Self:
        """Take the last revision back, or all down to a target (``shop:001``, ``shop:base``)."""
        self._next = ""
        self.migrator.downgrade(self._target(target, "-1"))
        return self

    def _target(self, target: str, step: str) -> str:
        following, self._next = self._next, ""
        if not target and following:
            return following
        if target:
            self._package = parse_target(target).package
            return target
        if not self._package:
            raise UsageError("which package?", hint=f"name it, for example: blog:{step}")
        return f"{self._package}:{step}"

    def _split(self, target: str) -> tuple[str, str]:
        package, _, id_ = target.rpartition(":")
        self._package = package or self._package
        self.migrator.registry.get(self._package)
        if self._package not in self.migrator.histories:
            raise self.migrator.histories.broken[self._package]
        return self._package, id_

    # -- rows ------------------------------------------------------------------------

    def insert(self, table: str, *rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Self:
        """Insert rows into a table as it is now; each a mapping, or a list of them."""
        found: list[dict[str, Any]] = []
        for row in rows:
            found += [dict(row)] if isinstance(row, Mapping) else [dict(one) for one in row]
        if found:
            with self.engine.begin() as connection:
                connection.execute(self._reflected(table).insert(), found)
        return self

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table as it is now, by its primary key."""
        reflected = self._reflected(table)
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(reflected).order_by(*reflected.primary_key))
            return [dict(row) for row in found.mappings()]

    def at(self, package: str = "") -> tuple[str, ...]:
        """Return the revisions that are recorded for a package."""
        return self.migrator.versions_recorded().get(package or self._package, ())

    def _reflected(self, table: str) -> Table:
        schema, _, name = table.rpartition(".")
        return sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=self.engine)
