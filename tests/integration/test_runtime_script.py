"""The SQL script of a plan: run from empty it gives what the online run gives."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess

import pytest
import sqlalchemy as sa

from ptah_migrate.errors import DependantsError, OfflineError, UnknownRevisionError
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows
from tests.integration.running import (
    everything,
    execute,
    journal,
    migrator,
    query,
    schema,
    state,
)

MODELS = """
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table("page", metadata, sa.Column("id", sa.Integer, primary_key=True))
sa.Table(
    "link",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("page_id", sa.ForeignKey("page.id")),
    sa.Column("text", sa.String(40), index=True),
)
"""
TEXTS = ["100 %", "%(name)s %s %%", "it's", 'a "b" `c`', r"back\slash \n", "a:b :c", "é ☃ 😀"]


@pytest.fixture
def packages(make_package: PackageMaker) -> list[PackageOnDisk]:
    """Return three packages: one complete, one that requires it, one that starts from models."""
    crowd = make_package(
        "crowd",
        {
            "001.py": revision_source(
                "001",
                message="Add users; it's 100 % done -- really",
                upgrade=f"""
                table = op.create_table(
                    "users",
                    sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("name", sa.String(60), nullable=False, server_default="no%body"),
                )
                op.bulk_insert(table, [{{"name": name}} for name in {TEXTS!r}])
                """,
                downgrade='op.drop_table("users")',
            ),
            "002.py": revision_source(
                "002",
                "001",
                upgrade="""
                op.add_column("users", sa.Column("since", sa.DateTime))
                op.execute("UPDATE users SET name = 'fifty %' WHERE name LIKE '100 %'")
                """,
                downgrade='op.drop_column("users", "since")',
            ),
        },
    )
    blog = make_package(
        "blog",
        {
            "001.py": revision_source(
                "001",
                requires=["crowd:001"],
                upgrade="""
                op.create_table(
                    "post",
                    sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", name="fk_user")),
                )
                """,
                downgrade='op.drop_table("post")',
            ),
            "a.py": revision_source(
                "a",
                "001",
                upgrade="""
                with op.get_context().autocommit_block():
                    op.create_index("ix_post", "post", ["user_id"])
                op.execute("INSERT INTO post (user_id) SELECT min(id) FROM users")
                """,
            ),
            "b.py": revision_source("b", "001"),
        },
        branches=True,
    )
    cms = make_package(
        "cms",
        {"001": "op.add_column('link', sa.Column('text', sa.String(40)))"},
        files={"models.py": MODELS},
        metadata="cms.models:metadata",
    )
    return [crowd, blog, cms]


def statements(script: str) -> list[str]:
    """Return the statements of a script, without its comments."""
    text = "".join(line for line in script.splitlines(True) if not line.startswith("--"))
    return [part.strip() for part in re.split(r";\n", text) if part.strip()]


def run(database: Database, script: str) -> None:
    """Run a script as people do: as it is, each statement when the one before it is done."""
    if database.name == "sqlite":
        driver = sqlite3.connect(str(database.engine.url.database))
        driver.executescript(script)
        driver.close()
        return
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        cursor = connection.connection.cursor()
        for statement in statements(script):
            cursor.execute(statement)


def told(database: Database) -> list[tuple[str, str, str, str]]:
    """Return what the journal tells, without times and counts."""
    return [
        tuple(row)
        for row in query(
            database,
            "SELECT package, revision, operation, detail FROM ptah_db_journal "
            "WHERE state = 'done' ORDER BY id",
        )
    ]


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param((), id="all"),
        pytest.param(("crowd",), id="one"),
        pytest.param(("crowd:001", "cms"), id="some"),
        pytest.param(("blog:a",), id="with what it requires"),
    ],
)
def test_a_script_from_empty(
    targets: tuple[str, ...], database: Database, packages: list[PackageOnDisk]
) -> None:
    """The script of an empty database gives the schema, data, rows and journal of the run."""
    other = database.another()
    script = migrator(other, *packages).script(*targets, empty=True)
    assert everything(other)["tables"] == set()

    migrator(database, *packages).upgrade(*targets)
    run(other, script)

    assert state(other) == state(database)
    assert told(other) == told(database)
    mine, theirs = migrator(database, *packages), migrator(other, *packages)
    assert theirs.status() == mine.status()
    assert not theirs.plan(*targets)


CLIENTS = {
    "sqlite": ["sqlite3", "-bail", "{database}"],
    "postgresql": ["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "{url}"],
    "mariadb": [
        "mariadb",
        "--default-character-set=utf8mb4",
        "-h{host}",
        "-P{port}",
        "-u{user}",
        "{database}",
    ],
}


def test_a_script_through_the_client(database: Database, packages: list[PackageOnDisk]) -> None:
    """The script goes through the database's own command as it is."""
    url = database.engine.url
    command = [
        part.format(
            database=url.database,
            url=url.set(drivername="postgresql").render_as_string(hide_password=False),
            host=url.host,
            port=url.port,
            user=url.username,
        )
        for part in CLIENTS[database.name]
    ]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    reference = database.another()
    migrator(reference, *packages).upgrade()

    done = subprocess.run(
        command,
        input=migrator(database, *packages).script(empty=True),
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert state(database) == state(reference)


def test_a_script_from_where_the_database_stands(
    database: Database, packages: list[PackageOnDisk]
) -> None:
    """Without further words the script goes on from where the database stands."""
    mine = migrator(database, *packages)
    mine.upgrade("crowd:001")
    before = everything(database)

    script = mine.script()

    assert everything(database) == before
    run(database, script)
    mine.check()
    assert mine.script() == ""
    reference = database.another()
    migrator(reference, *packages).upgrade()
    assert state(database) == state(reference)


def test_a_script_of_a_downgrade(database: Database, packages: list[PackageOnDisk]) -> None:
    """The script of a downgrade takes the dependants along only if that is asked for."""
    mine = migrator(database, *packages)
    mine.upgrade("crowd", "blog:001")

    with pytest.raises(DependantsError):
        mine.script("crowd:base", operation="downgrade")
    run(database, mine.script("crowd:base", operation="downgrade", cascade=True))

    assert rows(database.engine) == set()
    assert schema(database.engine)["tables"] == {}


def test_a_script_between_two_revisions(database: Database, packages: list[PackageOnDisk]) -> None:
    """``package:from:to`` does not ask the database, which need not even be there."""
    crowd, blog, _ = packages
    url = sa.make_url(database.url).set(database="/no/where" if database.name == "sqlite" else "no")
    away = migrator(sa.create_engine(url), crowd, blog)
    migrator(database, crowd, blog).upgrade("crowd:001")

    run(database, away.script("crowd:001:002"))
    assert rows(database.engine) == {("crowd", "002")}
    run(database, away.script("blog:base:a"))
    assert rows(database.engine) == {("crowd", "002"), ("blog", "a")}
    run(database, away.script("blog:a:base", operation="downgrade"))
    run(database, away.script("crowd:002:001", operation="downgrade"))

    assert rows(database.engine) == {("crowd", "001")}
    with pytest.raises(UnknownRevisionError):
        away.script("crowd:005:006")


def test_two_heads_that_merge(database: Database, make_package: PackageMaker) -> None:
    """Rows that come and go in a script are those of the run."""
    files = {
        "001.py": revision_source("001"),
        "a.py": revision_source("a", "001"),
        "b.py": revision_source("b", "001"),
        "m.py": revision_source("m", ("a", "b")),
    }
    mine = migrator(database, make_package("blog", files))
    run(database, mine.script("blog:a", empty=True))
    assert rows(database.engine) == {("blog", "a")}
    run(database, mine.script("blog:b"))
    assert rows(database.engine) == {("blog", "a"), ("blog", "b")}
    run(database, mine.script())
    assert rows(database.engine) == {("blog", "m")}

    run(database, mine.script("blog:b", operation="downgrade"))

    assert rows(database.engine) == {("blog", "a"), ("blog", "b")}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("sa.inspect(op.get_bind())", id="an inspector"),
        pytest.param("op.get_bind().execute(sa.text('SELECT 1')).scalar()", id="a query"),
        pytest.param(
            "with op.get_bind().engine.connect() as c:\n    c.execute(sa.text('SELECT 1'))",
            id="a second connection",
        ),
    ],
)
def test_a_revision_that_looks_at_the_database(
    body: str, database: Database, make_package: PackageMaker
) -> None:
    """A revision that needs a database to say what it does is refused by name."""
    blog = make_package("blog", {"001": "pass", "002": body})

    with pytest.raises(OfflineError) as caught:
        migrator(database, blog).script()

    assert str(caught.value).startswith(
        "revision '002' of package 'blog' cannot be written as SQL: "
    )
    assert "is_offline_mode()" in caught.value.hint
    assert everything(database)["tables"] == set()


def test_batch_operations_need_a_database(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A batch operation that must look at its table first is refused by name."""
    body = """
    with op.batch_alter_table("post") as batch:
        batch.drop_column("x")
    """
    blog = make_package("blog", {"001": body})

    with pytest.raises(OfflineError, match="revision '001' of package 'blog'"):
        migrator(sqlite_database, blog).script()


def test_a_revision_that_knows_of_scripts(database: Database, make_package: PackageMaker) -> None:
    """A revision can ask whether it is written as a script."""
    body = """
    if context.is_offline_mode():
        op.execute("CREATE TABLE offline (id INTEGER)")
    else:
        op.execute("CREATE TABLE online (id INTEGER)")
    """
    mine = migrator(database, make_package("blog", {"001": body}))

    run(database, mine.script())

    assert set(schema(database.engine)["tables"]) == {"offline"}


HOSTILE = [
    pytest.param("001", "Add\x0bDROP TABLE victim;", id="a vertical tab in the message"),
    pytest.param("001", "Add\rDROP TABLE victim;", id="a carriage return in the message"),
    pytest.param("001", "Add\u2028DROP TABLE victim;", id="a line separator in the message"),
    pytest.param("1\n;DROP TABLE victim; --", "", id="a line in the id"),
    pytest.param("1'; DROP TABLE victim; --", "", id="a quote in the id"),
    pytest.param("1\\'; DROP TABLE victim; --", "", id="a backslash in the id"),
    pytest.param("1*/ DROP TABLE victim; /*", "*/ DROP TABLE victim;", id="an end of a comment"),
]


@pytest.mark.parametrize(("id_", "message"), HOSTILE)
def test_words_stay_words(
    id_: str, message: str, database: Database, make_package: PackageMaker
) -> None:
    """Nothing of a message or an id becomes a statement, and the id is recorded as it is."""
    execute(database, "CREATE TABLE victim (id INTEGER)")
    text = f"{message!r}\n" + revision_source(id_)
    mine = migrator(database, make_package("blog", {"001.py": text}))

    run(database, mine.script())

    assert set(schema(database.engine)["tables"]) == {"victim"}
    assert rows(database.engine) == {("blog", id_)}


def test_what_a_script_looks_like(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A script says what it does, item by item, each in a transaction."""
    blog = make_package(
        "blog",
        {
            "001.py": revision_source(
                "001",
                message="Add posts",
                upgrade="op.create_table('post', sa.Column('id', sa.Integer))",
            )
        },
    )

    script = migrator(sqlite_database, blog).script()

    assert script[script.index("-- blog") :] == (
        "-- blog: running upgrade None -> 001, Add posts\n"
        "BEGIN;\n"
        "\n"
        "CREATE TABLE post (\n"
        "    id INTEGER\n"
        ");\n"
        "\n"
        "INSERT INTO ptah_db_versions (package, version_num) VALUES ('blog', '001');\n"
        "\n"
        "INSERT INTO ptah_db_journal (at, package, revision, operation, state, detail) "
        "VALUES (CURRENT_TIMESTAMP, 'blog', '001', 'upgrade', 'done', '');\n"
        "\n"
        "COMMIT;\n"
        "\n"
    )


def test_the_journal_of_a_script(database: Database, packages: list[PackageOnDisk]) -> None:
    """A script leaves the entries that the run would leave."""
    run(database, migrator(database, *packages).script("cms", "crowd", empty=True))

    assert journal(database, "done") == [
        ("cms", "001", "seeded"),
        ("crowd", "001", "upgrade"),
        ("crowd", "002", "upgrade"),
    ]
