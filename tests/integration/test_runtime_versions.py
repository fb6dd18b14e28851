"""The version table, that of 2012 too; databases that cannot be reached or used."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from ptah_migrate._runtime import engine as engines
from ptah_migrate.errors import (
    ConfigError,
    DatabaseError,
    MissingExtraError,
    PtahMigrateError,
    StepError,
    VersionTableError,
)
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows, tables
from tests.integration.running import everything, execute, migrator, query

TABLE_2012 = (
    "CREATE TABLE ptah_db_versions (package VARCHAR(128) NOT NULL, "
    "version_num VARCHAR(32) NOT NULL, PRIMARY KEY (package))"
)


@pytest.fixture
def old(database: Database) -> Database:
    """Return a database as the code of 2012 left it, with two packages."""
    execute(
        database,
        TABLE_2012,
        "INSERT INTO ptah_db_versions VALUES ('blog', '001'), ('cms', '0301')",
    )
    return database


def shape(database: Database) -> tuple[list[str], int]:
    """Return the key of the version table and the length of its ids."""
    inspector = sa.inspect(database.engine)
    key = inspector.get_pk_constraint("ptah_db_versions")["constrained_columns"]
    columns = {c["name"]: c["type"] for c in inspector.get_columns("ptah_db_versions")}
    length: int = columns["version_num"].length  # type: ignore[attr-defined]
    return key, length


NARROW = (["package"], 32)
WIDE = (["package", "version_num"], 128)


def test_a_table_of_2012_is_used_as_it_is(old: Database, make_package: PackageMaker) -> None:
    """The table of 2012 is read and written without being changed, other packages' rows stay."""
    mine = migrator(old, make_package("blog", {"001": "pass", "002": "pass"}))

    assert [(s.package, s.state, s.rows, s.how) for s in mine.status()] == [
        ("blog", "pending", ("001",), ""),
        ("cms", "orphan", ("0301",), ""),
    ]
    mine.upgrade()
    assert rows(old.engine) == {("blog", "002"), ("cms", "0301")}
    mine.downgrade("blog:base")
    assert rows(old.engine) == {("cms", "0301")}
    mine.stamp("blog:001")

    assert rows(old.engine) == {("blog", "001"), ("cms", "0301")}
    assert shape(old) == NARROW


LONG = "a_revision_whose_name_is_longer_than_32_characters"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {
                "001.py": revision_source("001"),
                "a.py": revision_source("a", "001"),
                "b.py": revision_source("b", "001"),
            },
            {("blog", "a"), ("blog", "b"), ("cms", "0301")},
            id="a second head",
        ),
        pytest.param(
            {"001.py": revision_source("001"), "long.py": revision_source(LONG, "001")},
            {("blog", LONG), ("cms", "0301")},
            id="a longer id",
        ),
    ],
)
def test_a_table_of_2012_is_widened_when_it_must_be(
    files: dict[str, str],
    expected: set[tuple[str, str]],
    old: Database,
    make_package: PackageMaker,
) -> None:
    """A second head or a longer id widens the table; the rows of every package stay."""
    mine = migrator(old, make_package("blog", files, branches=True))

    mine.upgrade()

    assert rows(old.engine) == expected
    assert shape(old) == WIDE
    assert "ptah_db_versions_new" not in tables(old.engine)
    mine.downgrade("blog:001")
    mine.upgrade()
    assert rows(old.engine) == expected


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_widening_is_undone_with_its_step(
    kind: str, request: pytest.FixtureRequest, make_package: PackageMaker
) -> None:
    """Where the step is undone after the table was widened, the table is as it was."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    execute(database, TABLE_2012, "INSERT INTO ptah_db_versions VALUES ('blog', '001')")

    def stop(**_: Any) -> None:
        raise ValueError("stop")

    files = {"001.py": revision_source("001"), "long.py": revision_source(LONG, "001")}
    blog = make_package("blog", files, options={"on_version_apply": [stop]})

    with pytest.raises(StepError):
        migrator(database, blog).upgrade()

    assert shape(database) == NARROW
    assert rows(database.engine) == {("blog", "001")}


def test_a_new_table_has_room(database: Database, make_package: PackageMaker) -> None:
    """A new database gets the wide table."""
    migrator(database, make_package("blog", {"001": "pass"})).upgrade()

    assert shape(database) == WIDE


def test_long_names_fit(database: Database, make_package: PackageMaker) -> None:
    """The longest package name and ids with dots and words of other alphabets are recorded."""
    ids = ["1.0.0", "x" * 128, "rev_é"]
    files = {
        f"{n}.py": revision_source(id_, ids[n - 1] if n else None) for n, id_ in enumerate(ids)
    }
    blog = make_package("blog", files)
    mine = migrator(database, blog)

    for id_ in ids:
        mine.upgrade(f"blog:{id_}")
        assert rows(database.engine) == {("blog", id_)}


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("package VARCHAR(20), version_num VARCHAR(20), more INTEGER", id="one more"),
        pytest.param("version_num VARCHAR(32)", id="Alembic's own"),
        pytest.param("id INTEGER", id="another"),
    ],
)
def test_foreign_columns(columns: str, database: Database, make_package: PackageMaker) -> None:
    """A table of our name with other columns is refused by every command and left alone."""
    execute(database, f"CREATE TABLE ptah_db_versions ({columns})")
    mine = migrator(database, make_package("blog", {"001": "pass"}))
    names = tuple(column.split()[0] for column in columns.split(", "))

    for order in (mine.upgrade, mine.status, mine.check, mine.plan, mine.seed, mine.stamp):
        with pytest.raises(VersionTableError) as caught:
            order()
        assert (caught.value.table, caught.value.columns) == ("ptah_db_versions", names)

    assert tables(database.engine) == {"ptah_db_versions"}


def test_rows_that_changed_meanwhile(database: Database, make_package: PackageMaker) -> None:
    """A row that somebody changed during the step is not overwritten; the step says so."""
    steal = "op.execute(\"UPDATE ptah_db_versions SET version_num = 'x' WHERE package = 'blog'\")"
    blog = make_package("blog", {"001": "pass", "002": steal})

    with pytest.raises(StepError, match="was changed by somebody else"):
        migrator(database, blog).upgrade()

    assert rows(database.engine) == {("blog", "001")}


@pytest.mark.parametrize("name", ["aside", "on the :side", "1/2 {a} \\side", "50%", '"50%s"'])
def test_a_schema_for_the_table(
    postgresql_database: Database, make_package: PackageMaker, name: str
) -> None:
    """The version table and the journal can live in a schema of their own, whatever its name."""
    with postgresql_database.engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    blog = make_package("blog", {"001": "pass", "002": "pass"})
    mine = migrator(postgresql_database, blog, version_table_schema=name)

    mine.upgrade()

    inspector = sa.inspect(postgresql_database.engine)
    assert set(inspector.get_table_names(schema=name)) == {"ptah_db_versions", "ptah_db_journal"}
    assert tables(postgresql_database.engine) == set()
    mine.check()
    assert [(s.state, s.how) for s in mine.status()] == [("current", "run")]
    mine.downgrade("blog:001")
    assert [(s.state, s.rows) for s in mine.status()] == [("pending", ("001",))]


# -- databases that cannot be used ---------------------------------------------------------


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package with one revision."""
    return make_package("blog", {"001": "pass"})


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql+psycopg://me:s3cret@127.0.0.1:1/x", id="PostgreSQL, no server"),
        pytest.param("mysql+pymysql://me:s3cret@127.0.0.1:1/x", id="MariaDB, no server"),
        pytest.param("postgresql://me:s3cret@127.0.0.1:1/x?password=s3cret", id="twice"),
        pytest.param("postgresql://127.0.0.1:1/x?user=me&password=s3cret", id="in the query"),
        pytest.param("mysql://me:s3cret@no-such-host.invalid/x", id="no such host"),
    ],
)
@pytest.mark.parametrize("order", ["status", "upgrade"])
def test_an_unreachable_database(url: Any, order: str, blog: PackageOnDisk) -> None:
    """A server that cannot be reached is an error of ours that shows no password."""
    mine = migrator(url, blog)

    with pytest.raises(DatabaseError) as caught:
        getattr(mine, order)()

    told = f"{caught.value} {caught.value.hint} {mine!r}"
    assert "s3cret" not in told
    assert str(caught.value).startswith("the database ")
    assert "cannot be used: " in str(caught.value)
    assert "\n" not in told


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("change", [{"database": "no_such_db"}, {"username": "no_such_user"}])
def test_a_wrong_name(
    kind: str, change: dict[str, str], request: pytest.FixtureRequest, blog: PackageOnDisk
) -> None:
    """A wrong database or user name is an error of ours, in one line, without the password."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    url: Any = sa.make_url(database.url).set(password="s3cret", **change)  # type: ignore[arg-type]

    with pytest.raises(DatabaseError) as caught:
        migrator(url, blog).upgrade()

    assert "s3cret" not in str(caught.value)
    assert next(iter(change.values())) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        pytest.param("nonsense", ConfigError, "cannot be understood", id="no URL"),
        pytest.param("", ConfigError, "cannot be understood", id="nothing"),
        pytest.param(
            "postgresql://me:s3cret@host:port/x", ConfigError, "cannot be understood", id="a port"
        ),
        pytest.param(
            "postgresql://me:s3c@ret@host/x", ConfigError, "has an '@' in its", id="an @ too many"
        ),
        pytest.param(
            "nosuchdb://me:s3cret@host/x", ConfigError, "knows no database 'nosuchdb'", id="unknown"
        ),
        pytest.param(
            "postgresql+nosuch://me:s3cret@host/x",
            ConfigError,
            "knows no database 'postgresql+nosuch'",
            id="an unknown driver",
        ),
        pytest.param(
            "postgresql+pg8000://me:s3cret@host/x",
            ConfigError,
            "the driver of 'postgresql+pg8000' is not installed",
            id="a driver that is not installed",
        ),
    ],
)
def test_a_wrong_url(
    url: Any, error: type[PtahMigrateError], words: str, blog: PackageOnDisk
) -> None:
    """A wrong URL is an error of ours that does not repeat the password."""
    with pytest.raises(error) as caught:
        migrator(url, blog)

    assert words in str(caught.value)
    assert "s3c" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        pytest.param("postgresql://host/x", "psycopg", "postgresql", id="PostgreSQL"),
        pytest.param("postgresql+psycopg://host/x", "psycopg", "postgresql", id="named"),
        pytest.param("mysql://host/x", "pymysql", "mysql", id="MySQL"),
        pytest.param("mariadb://host/x", "pymysql", "mysql", id="MariaDB"),
    ],
)
def test_a_missing_driver_names_the_extra(
    url: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, blog: PackageOnDisk
) -> None:
    """A driver that is not installed is told with the pip command that brings it."""

    def absent(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(engines, "find_spec", lambda _name: None)
    monkeypatch.setattr(engines, "create_engine", absent)

    with pytest.raises(MissingExtraError) as caught:
        migrator(url, blog)

    assert caught.value.hint == f"pip install 'ptah-migrate[{extra}]'"


def test_a_user_who_may_not_write(postgresql_database: Database, blog: PackageOnDisk) -> None:
    """A user who may only read can ask for the status; to upgrade it is one clear error."""
    role = f"reader_{postgresql_database.engine.url.database}"
    execute(postgresql_database, f"CREATE ROLE {role} LOGIN")
    try:
        url: Any = sa.make_url(postgresql_database.url).set(username=role)
        mine = migrator(url, blog)
        assert [s.state for s in mine.status()] == ["unrecorded"]

        with pytest.raises(DatabaseError) as caught:
            mine.upgrade()

        assert str(caught.value).endswith("refuses: permission denied for schema public")
    finally:
        execute(postgresql_database, f"DROP ROLE {role}")


def test_a_table_that_may_not_be_read(postgresql_database: Database, blog: PackageOnDisk) -> None:
    """A version table that the user may not read is not taken for none."""
    migrator(postgresql_database, blog).upgrade()
    role = f"reader_{postgresql_database.engine.url.database}"
    execute(postgresql_database, f"CREATE ROLE {role} LOGIN")
    before = everything(postgresql_database)
    try:
        url: Any = sa.make_url(postgresql_database.url).set(username=role)

        with pytest.raises(DatabaseError) as caught:
            migrator(url, blog).status()

        assert str(caught.value) == (
            "table 'ptah_db_versions' cannot be read: permission denied for table ptah_db_versions"
        )
    finally:
        execute(postgresql_database, f"DROP ROLE {role}")
    assert everything(postgresql_database) == before


def test_a_pool_without_a_free_connection(sqlite_database: Database, blog: PackageOnDisk) -> None:
    """An application that holds its only connection is told so, not left waiting for ever."""
    engine = sa.create_engine(
        sqlite_database.url, pool_size=1, max_overflow=0, pool_timeout=0.1, poolclass=sa.QueuePool
    )
    with engine.connect(), pytest.raises(DatabaseError) as caught:
        migrator(engine, blog).upgrade()

    assert "has no connection to sqlite:///" in str(caught.value)
    engine.dispose()


def test_the_journal_has_everything(database: Database, make_package: PackageMaker) -> None:
    """Each thing done is one entry with its time, package, revision, operation and count."""
    table = "op.create_table('t', sa.Column('id', sa.Integer))"
    blog = make_package("blog", {"001": (table, "op.drop_table('t')")})
    mine = migrator(database, blog)
    mine.upgrade()
    mine.downgrade("blog:base")
    mine.stamp("blog:001")

    found = query(
        database,
        "SELECT package, revision, operation, statements, detail, seconds >= 0 "
        "FROM ptah_db_journal WHERE state = 'done' ORDER BY id",
    )

    assert [tuple(row[:5]) for row in found] == [
        ("blog", "001", "upgrade", 1, ""),
        ("blog", "001", "downgrade", 1, ""),
        ("blog", "001", "stamped", None, "stamped by order"),
    ]
    assert all(row[5] for row in found[:2])
