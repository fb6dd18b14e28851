"""Runs packages, by ptah-migrate and by Alembic itself, for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import alembic.op
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from ptah_migrate import Migrator, Plan, Registry
from ptah_migrate.model import Seed
from tests.helpers import Database, PackageOnDisk, contents, dump, rows, tables


def migrator(
    database: Database | sa.Engine | sa.Connection, *packages: PackageOnDisk, **options: Any
) -> Migrator:
    """Return a Migrator of these packages."""
    bind = database.engine if isinstance(database, Database) else database
    return Migrator(bind, Registry(made.package for made in packages), **options)


def words(plan: Plan) -> list[str]:
    """Return a plan as short texts, in order: ``blog 001 -> 002``, ``blog seeded 002``."""
    return [
        " ".join(
            (item.package, "created", *item.create, item.kind, *item.rows)
            if item.create and item.rows
            else (item.package, "created", *item.create)
            if item.create
            else (item.package, item.kind, *item.rows)
        )
        if isinstance(item, Seed)
        else f"{item.package} {item.source} -> {item.destination}"
        for item in plan.items
    ]


def schema(engine: sa.Engine) -> dict[str, Any]:
    """Return the schema as plain values, without what belongs to the bookkeeping."""
    found = dump(engine)
    if "sequences" in found:
        found["sequences"] = [name for name in found["sequences"] if not name.startswith("ptah_db")]
    return found


def state(database: Database) -> dict[str, Any]:
    """Return everything that a step may change: schema, data, recorded versions."""
    engine = database.engine
    return {"schema": schema(engine), "data": contents(engine), "rows": rows(engine)}


def everything(database: Database) -> dict[str, Any]:
    """Return all that a database has, the bookkeeping included."""
    found: dict[str, Any] = {"tables": tables(database.engine), **state(database)}
    if "ptah_db_journal" in found["tables"]:
        found["journal"] = journal(database)
    return found


def journal(database: Database, state: str = "") -> list[tuple[str, ...]]:
    """Return the journal as (package, revision, operation), oldest first, or with the state."""
    query = "SELECT package, revision, operation, state FROM ptah_db_journal ORDER BY id"
    with database.engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    return [row[:3] for row in found if row[3] == state] if state else found


def execute(database: Database, *statements: str) -> None:
    """Execute statements, each committed."""
    for statement in statements:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as it orders them."""
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


class Alembic:
    """Alembic itself on the files of one package, with its own version table."""

    def __init__(self, database: Database, package: PackageOnDisk, **options: Any) -> None:
        self.engine = database.engine
        self.options = options
        folder = str(package.migrations)
        self.script = ScriptDirectory(folder, version_locations=[folder])

    def upgrade(self, target: str) -> None:
        """Do what ``alembic upgrade`` does."""
        self._run(lambda rev, _: self.script._upgrade_revs(target, rev), target)

    def downgrade(self, target: str) -> None:
        """Do what ``alembic downgrade`` does."""
        self._run(lambda rev, _: self.script._downgrade_revs(target, rev), target)

    def stamp(self, target: str) -> None:
        """Do what ``alembic stamp`` does."""
        self._run(lambda rev, _: self.script._stamp_revs(target, rev), target)

    def rows(self) -> set[str]:
        """Return what Alembic recorded."""
        if "alembic_version" not in tables(self.engine):
            return set()
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            return set(found.scalars())

    def _run(self, function: Callable[..., Any], target: str) -> None:
        settings: Mapping[str, Any] = {"transaction_per_migration": True, **self.options}
        env = EnvironmentContext(Config(), self.script, fn=function, destination_rev=target)
        try:
            with env, self.engine.connect() as connection:
                env.configure(connection=connection, **settings)
                with env.begin_transaction():
                    env.run_migrations()
        finally:
            vars(alembic.op)["_proxy"] = None  # Alembic leaves it bound when a step raises
