"""Steps that end transactions, open connections, or come with the caller's own connection."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ptah_migrate.errors import StepError, UsageError
from tests.helpers import Database, PackageMaker, PackageOnDisk, rows, tables
from tests.integration.running import journal, migrator, query

TABLE = "op.create_table('post', sa.Column('id', sa.Integer, primary_key=True))"
ADD = "op.execute('INSERT INTO post (id) VALUES ({0})')"

ENDINGS = {
    "an autocommit block": f"""
        {ADD.format(1)}
        with op.get_context().autocommit_block():
            op.create_index('ix_post', 'post', ['id'])
        {ADD.format(2)}
    """,
    "two autocommit blocks": f"""
        with op.get_context().autocommit_block():
            {ADD.format(1)}
        with op.get_context().autocommit_block():
            {ADD.format(2)}
    """,
    "a raw COMMIT": f"""
        {ADD.format(1)}
        op.execute("COMMIT")
        {ADD.format(2)}
    """,
    "a raw COMMIT at the end": f"""
        {ADD.format(1)}
        {ADD.format(2)}
        op.execute("COMMIT")
    """,
    "commit() of the connection": f"""
        {ADD.format(1)}
        op.get_bind().commit()
        {ADD.format(2)}
    """,
    "commit() of a session": f"""
        from sqlalchemy.orm import Session
        session = Session(bind=op.get_bind())
        session.execute(sa.text("INSERT INTO post (id) VALUES (1)"))
        session.commit()
        {ADD.format(2)}
    """,
    "a session as a block": f"""
        from sqlalchemy.orm import Session
        with Session(op.get_bind()) as session, session.begin():
            session.execute(sa.text("INSERT INTO post (id) VALUES (1)"))
        {ADD.format(2)}
    """,
    "a savepoint": f"""
        with op.get_bind().begin_nested() as savepoint:
            {ADD.format(3)}
            savepoint.rollback()
        {ADD.format(1)}
        with op.get_bind().begin_nested():
            {ADD.format(2)}
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_record_is_true_after(
    ending: str, database: Database, make_package: PackageMaker
) -> None:
    """However a step ends the transaction, its work and its row are there, and the next runs."""
    blog = make_package("blog", {"001": TABLE, "002": ENDINGS[ending], "003": ADD.format(4)})
    mine = migrator(database, blog)

    mine.upgrade()

    assert query(database, "SELECT id FROM post ORDER BY id") == [(1,), (2,), (4,)]
    assert rows(database.engine) == {("blog", "003")}
    assert journal(database, "done") == [("blog", n, "upgrade") for n in ("001", "002", "003")]
    assert [(s.state, s.problem) for s in mine.status()] == [("current", "")]


def test_create_index_concurrently(
    postgresql_database: Database, make_package: PackageMaker
) -> None:
    """CREATE INDEX CONCURRENTLY works in an autocommit block, under the lock."""
    body = """
    with op.get_context().autocommit_block():
        op.create_index('ix_post', 'post', ['id'], postgresql_concurrently=True)
    """
    blog = make_package("blog", {"001": TABLE, "002": (body, body.replace("create", "drop"))})
    mine = migrator(postgresql_database, blog)

    mine.upgrade()

    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_post'::regclass"
    assert query(postgresql_database, valid) == [(True,)]
    assert rows(postgresql_database.engine) == {("blog", "002")}


SECOND = f"""
    {TABLE}
    {ADD.format(1)}
    with op.get_bind().engine.connect() as second:
        assert second.execute(sa.text("SELECT count(*) FROM earlier")).scalar() == 0
    with op.get_bind().engine.connect() as third, op.get_bind().engine.connect() as fourth:
        third.execute(sa.text("SELECT count(*) FROM earlier")).all()
        fourth.execute(sa.text("SELECT count(*) FROM earlier")).all()
    {ADD.format(2)}
"""
EARLIER = "op.create_table('earlier', sa.Column('id', sa.Integer, primary_key=True))"


def check_second(engine: sa.Engine, blog: PackageOnDisk) -> None:
    """Run a step that opens a second connection, and look at what it did."""
    migrator(engine, blog).upgrade()

    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id FROM post ORDER BY id").scalars().all()
        versions = connection.exec_driver_sql("SELECT version_num FROM ptah_db_versions").all()
    assert found == [1, 2]
    assert [tuple(row) for row in versions] == [("002",)]


def test_a_second_connection(database: Database, make_package: PackageMaker) -> None:
    """A step may open a second connection in its middle: it works at once and disturbs nothing."""
    check_second(database.engine, make_package("blog", {"001": EARLIER, "002": SECOND}))


def test_a_second_connection_of_a_small_pool(
    database: Database, make_package: PackageMaker
) -> None:
    """It works where the application's pool holds a single connection."""
    engine = sa.create_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=1)

    check_second(engine, make_package("blog", {"001": EARLIER, "002": SECOND}))

    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    engine.dispose()


MEMORY = [
    pytest.param("sqlite://", {}, id="the default pool"),
    pytest.param("sqlite://", {"poolclass": sa.StaticPool}, id="StaticPool"),
    pytest.param(
        "sqlite:///file:{0}?mode=memory&cache=shared&uri=true",
        {"poolclass": sa.QueuePool},
        id="with a name and a pool",
    ),
]


@pytest.mark.parametrize(("url", "options"), MEMORY)
def test_a_second_connection_to_a_database_in_memory(
    url: str, options: dict[str, Any], make_package: PackageMaker
) -> None:
    """In memory there is one connection: the second one cannot end the transaction of the step."""
    engine = sa.create_engine(url.format("second"), **options)

    check_second(engine, make_package("blog", {"001": EARLIER, "002": SECOND}))


@pytest.mark.parametrize(("url", "options"), MEMORY)
def test_a_database_in_memory(
    url: str, options: dict[str, Any], make_package: PackageMaker
) -> None:
    """A database in memory is upgraded where it is, a failing step is undone, and it lives on."""
    engine = sa.create_engine(url.format("lives"), **options)
    drop = "op.drop_table('post')"
    blog = make_package("blog", {"001": (TABLE, drop), "002": f"{ADD.format(1)}\n1 / 0"})
    mine = migrator(engine, blog)

    with pytest.raises(StepError):
        mine.upgrade()

    assert rows(engine) == {("blog", "001")}
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT * FROM post").all() == []
        connection.exec_driver_sql("INSERT INTO post VALUES (7)")
    assert [s.state for s in mine.status()] == ["pending"]
    mine.downgrade("blog:base")
    assert rows(engine) == set()
    assert "post" not in tables(engine)


def test_the_callers_connection(database: Database, make_package: PackageMaker) -> None:
    """A connection of the caller's is used, left open, in no transaction, with its own settings."""
    blog = make_package("blog", {"001": TABLE, "002": ADD.format(1)})
    with database.engine.connect() as connection:
        before = settings(connection)
        mine = migrator(connection, blog)

        mine.upgrade()
        mine.check()

        assert not connection.in_transaction()
        assert settings(connection) == before
        connection.exec_driver_sql("INSERT INTO post (id) VALUES (2)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT id FROM post").scalars().all() == [1]


def settings(connection: sa.Connection) -> list[Any]:
    """Return the settings of a session that a run changes."""
    queries = {
        "sqlite": ["PRAGMA busy_timeout", "PRAGMA foreign_keys"],
        "postgresql": ["SHOW application_name", "SHOW client_connection_check_interval"],
        "mysql": ["SELECT @@SESSION.wait_timeout"],
    }[connection.dialect.name]
    found = [connection.exec_driver_sql(query).scalar() for query in queries]
    connection.rollback()
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        found.append(driver.isolation_level)
    return found


def test_a_setting_that_the_server_refuses(
    postgresql_database: Database, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that cannot be made, or that an old server lacks, does not keep the others away."""
    wanted = {
        "application_name": "us",
        "idle_session_timeout": "soon",
        "no_such_setting": "1",
        "statement_timeout": "1h",
    }
    monkeypatch.setattr("ptah_migrate._runtime.databases.postgresql._SETTINGS", wanted)
    seen: list[Any] = []
    body = "context.config.attributes['see'](op.get_bind())"
    blog = make_package("blog", {"001": body})

    def see(connection: sa.Connection) -> None:
        seen.extend(connection.exec_driver_sql(f"SHOW {name}").scalar() for name in asked)

    asked = ("application_name", "statement_timeout")
    with postgresql_database.engine.connect() as connection:
        before = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in asked]
        connection.rollback()
        migrator(connection, blog, attributes={"see": see}).upgrade()
        after = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in asked]

    assert seen == ["us", "1h"]
    assert after == before


def test_a_server_that_cannot_tell_its_settings(
    postgresql_database: Database, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the question for the settings is refused, they stay as they are, and steps are run."""
    wanted = {"application_name": "us", "no'such": "1"}
    monkeypatch.setattr("ptah_migrate._runtime.databases.postgresql._SETTINGS", wanted)

    migrator(postgresql_database, make_package("blog", {"001": TABLE})).upgrade()

    assert rows(postgresql_database.engine) == {("blog", "001")}


def test_a_connection_in_a_transaction(database: Database, make_package: PackageMaker) -> None:
    """A connection in a transaction is refused: a step could not be committed by itself."""
    blog = make_package("blog", {"001": TABLE})
    with database.engine.connect() as connection, connection.begin():
        with pytest.raises(UsageError, match="the connection is in a transaction"):
            migrator(connection, blog).upgrade()
        assert connection.in_transaction()

    assert tables(database.engine) == set()


FAILING = {"001": TABLE, "002": f"{ADD.format(1)}\n1 / 0"}


@pytest.mark.parametrize("how", ["create_engine", "execution_options"])
def test_an_autocommit_engine(how: str, database: Database, make_package: PackageMaker) -> None:
    """An engine in autocommit mode gives steps in transactions all the same."""
    engine = (
        sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
        if how == "create_engine"
        else database.engine.execution_options(isolation_level="AUTOCOMMIT")
    )

    with pytest.raises(StepError):
        migrator(engine, make_package("blog", FAILING)).upgrade()

    assert query(database, "SELECT id FROM post") == []
    assert rows(database.engine) == {("blog", "001")}
    engine.dispose()


@pytest.mark.parametrize("how", ["create_engine", "execution_options"])
def test_an_autocommit_connection(how: str, database: Database, make_package: PackageMaker) -> None:
    """A connection in autocommit mode is refused, or its steps are in transactions all the same."""
    level = "AUTOCOMMIT"
    blog = make_package("blog", FAILING)
    engine = sa.create_engine(
        database.url, **({"isolation_level": level} if how == "create_engine" else {})
    )
    with engine.connect() as connection:
        if how == "execution_options":
            connection.execution_options(isolation_level=level)
        with pytest.raises((UsageError, StepError)) as caught:
            migrator(connection, blog).upgrade()

    if caught.type is UsageError:
        assert str(caught.value).startswith("the connection is in autocommit mode")
        assert tables(database.engine) == set()
    else:
        assert query(database, "SELECT id FROM post") == []
    engine.dispose()


def test_other_isolation_levels_stay(
    postgresql_database: Database, make_package: PackageMaker
) -> None:
    """The isolation level that an engine was made with is the level of its steps."""
    engine = sa.create_engine(postgresql_database.url, isolation_level="SERIALIZABLE")
    level = "op.get_bind().exec_driver_sql('SHOW transaction_isolation').scalar()"
    blog = make_package("blog", {"001": f"assert {level} == 'serializable', {level}"})

    migrator(engine, blog).upgrade()

    assert rows(engine) == {("blog", "001")}
    engine.dispose()


def test_the_engines_listeners_and_options(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Connections are set up by the caller's ``connect`` listeners and execution options."""
    engine = sa.create_engine(sqlite_database.url).execution_options(mark="here")
    opened = []

    @sa.event.listens_for(engine, "connect")
    def connect(driver: Any, _record: Any) -> None:
        opened.append(driver)
        driver.create_function("answer", 0, lambda: 42)

    body = """
    assert op.get_bind().exec_driver_sql("SELECT answer()").scalar() == 42
    assert op.get_bind().get_execution_options()["mark"] == "here"
    """

    migrator(engine, make_package("blog", {"001": body})).upgrade()

    assert len(opened) == 1
    assert rows(engine) == {("blog", "001")}


def test_an_engine_that_begins_itself(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """The well-known recipe that sends BEGIN by listeners goes together with our own BEGIN."""
    engine = sa.create_engine(sqlite_database.url)

    @sa.event.listens_for(engine, "connect")
    def connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    blog = make_package("blog", FAILING)
    for bind in (engine, engine.connect()):
        with pytest.raises(StepError):
            migrator(bind, blog).upgrade()

        assert rows(sqlite_database.engine) == {("blog", "001")}
        assert query(sqlite_database, "SELECT id FROM post") == []
    engine.dispose()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_sqlite_connections_of_the_new_kind(
    autocommit: bool, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Connections opened with ``autocommit=`` of Python 3.12 give steps in transactions."""
    engine = sa.create_engine(sqlite_database.url, connect_args={"autocommit": autocommit})
    blog = make_package("blog", FAILING)

    with pytest.raises(StepError):
        migrator(engine, blog).upgrade()
    with engine.connect() as connection:
        with pytest.raises(StepError):
            migrator(connection, blog).upgrade()
        driver: Any = connection.connection.dbapi_connection
        assert driver.autocommit is autocommit

    assert rows(sqlite_database.engine) == {("blog", "001")}
    assert query(sqlite_database, "SELECT id FROM post") == []
    engine.dispose()


def test_the_file_is_whole(sqlite_database: Database, make_package: PackageMaker) -> None:
    """After the run any other program can open and write the database."""
    migrator(sqlite_database, make_package("blog", {"001": TABLE})).upgrade()

    path = Path(str(sqlite_database.engine.url.database))
    with sqlite3.connect(path, timeout=0) as other:
        other.execute("INSERT INTO post VALUES (1)")
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()
