"""Asynchronous applications: the recipe with ``run_sync``, and what cannot work is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from ptah_migrate.errors import ConfigError, LockError, StepError, UsageError
from tests.helpers import Database, PackageMaker, PackageOnDisk, rows, tables
from tests.integration.running import migrator, query

pytest.importorskip("greenlet")

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

TABLE = "op.create_table('post', sa.Column('id', sa.Integer, primary_key=True))"
ADD = "op.execute('INSERT INTO post (id) VALUES ({0})')"
BLOCK = f"""
    {ADD.format(1)}
    with op.get_context().autocommit_block():
        op.create_index('ix_post', 'post', ['id'])
    {ADD.format(2)}
"""

ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


@contextmanager
def async_engine(database: Database) -> Iterator[AsyncEngine]:
    """Yield an asynchronous engine for a database."""
    module = ASYNC[database.name].partition("+")[2]
    pytest.importorskip(module)
    url = sa.make_url(database.url).set(drivername=ASYNC[database.name])
    yield create_async_engine(url)


async def upgrade(engine: AsyncEngine, blog: PackageOnDisk) -> None:
    """Upgrade as the documented recipe does."""
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: migrator(sync, blog).upgrade())


@pytest.mark.parametrize("kind", ASYNC)
def test_the_asynchronous_recipe(
    kind: str, request: pytest.FixtureRequest, make_package: PackageMaker
) -> None:
    """``run_sync`` with a connection of an asynchronous engine runs steps, in transactions."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    blog = make_package("blog", {"001": TABLE, "002": BLOCK, "003": f"{ADD.format(3)}\n1 / 0"})

    async def main() -> None:
        with async_engine(database) as engine:
            with pytest.raises(StepError):
                await upgrade(engine, blog)
            await engine.dispose()

    asyncio.run(main())

    assert query(database, "SELECT id FROM post ORDER BY id") == [(1,), (2,)]
    assert rows(database.engine) == {("blog", "002")}


def test_two_tasks_do_not_mix(sqlite_database: Database, make_package: PackageMaker) -> None:
    """Two tasks of one event loop migrate two databases: each right, or refused by a LockError."""
    databases = [sqlite_database, sqlite_database.another()]
    names = {f"t{n}" for n in range(1, 20)}
    bodies = [f"op.create_table('{name}', sa.Column('id', sa.Integer))" for name in sorted(names)]
    blog = make_package("blog", {f"{n:03}": body for n, body in enumerate(bodies)})
    expected = names | {"ptah_db_versions", "ptah_db_journal"}

    async def one(database: Database) -> bool:
        with async_engine(database) as engine:
            try:
                await upgrade(engine, blog)
            except LockError:
                return False
            finally:
                await engine.dispose()
            return True

    async def main() -> list[bool]:
        return list(await asyncio.gather(*(one(database) for database in databases)))

    done = asyncio.run(main())

    assert any(done)
    for database, complete in zip(databases, done, strict=True):
        assert tables(database.engine) == (expected if complete else set())


@pytest.mark.parametrize("kind", ["engine", "connection"])
def test_an_asynchronous_engine_is_refused(
    kind: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """An asynchronous engine or connection is refused with the recipe as the hint."""
    with async_engine(sqlite_database) as engine:
        bind: Any = engine if kind == "engine" else engine.connect()

        with pytest.raises(UsageError) as caught:
            migrator(bind, make_package("blog", {"001": TABLE}))

    assert "run_sync" in caught.value.hint


def test_an_asynchronous_url_is_refused(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """The URL of an asynchronous driver is refused with what to write instead."""
    pytest.importorskip("aiosqlite")
    url: Any = sqlite_database.url.replace("sqlite:", "sqlite+aiosqlite:")

    with pytest.raises(ConfigError, match="'sqlite\\+aiosqlite' is an asynchronous driver"):
        migrator(url, make_package("blog", {"001": TABLE})).upgrade()
