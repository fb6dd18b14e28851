"""What is special on SQLite: foreign keys, files, folders, locks of the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import ptah_migrate
from ptah_migrate.errors import DatabaseError, StepError
from tests.helpers import Database, PackageMaker, rows, tables
from tests.integration.running import execute, migrator, query

FAMILY = """
op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True))
op.create_table(
    "child",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.Integer, sa.ForeignKey("parent.id", ondelete="CASCADE")),
)
op.execute("INSERT INTO parent VALUES (1), (2)")
op.execute("INSERT INTO child VALUES (1, 1), (2, 1), (3, 2)")
"""
BATCH = """
with op.batch_alter_table("parent") as batch:
    batch.add_column(sa.Column("name", sa.String(10)))
    batch.create_unique_constraint("uq_name", ["name"])
"""


@pytest.fixture
def strict(sqlite_database: Database) -> Iterator[sa.Engine]:
    """Yield an engine whose connections have foreign keys switched on."""
    engine = sa.create_engine(sqlite_database.url)

    @sa.event.listens_for(engine, "connect")
    def connect(driver: Any, _record: Any) -> None:
        driver.execute("PRAGMA foreign_keys = ON")

    yield engine
    engine.dispose()


def test_batch_operations_keep_the_children(
    strict: sa.Engine, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A batch operation on a parent keeps its children, with foreign keys on."""
    blog = make_package("blog", {"001": FAMILY, "002": BATCH})

    migrator(strict, blog).upgrade()

    assert query(sqlite_database, "SELECT id, parent_id FROM child ORDER BY id") == [
        (1, 1),
        (2, 1),
        (3, 2),
    ]
    assert rows(strict) == {("blog", "002")}
    with strict.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize("transactional", [True, False])
def test_foreign_keys_are_on_again(
    transactional: bool, strict: sa.Engine, make_package: PackageMaker
) -> None:
    """On the caller's own connection foreign keys are on again after a run, also a failing one."""
    blog = make_package(
        "blog",
        {"001": FAMILY, "002": BATCH, "003": "1 / 0"},
        options={"transactional_ddl": transactional},
    )
    with strict.connect() as connection:
        with pytest.raises(StepError):
            migrator(connection, blog).upgrade()

        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM child").scalar() == 3


ORPHAN = "op.execute('DELETE FROM parent WHERE id = 2')"


def test_a_step_that_leaves_orphans(
    strict: sa.Engine, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A step that leaves rows without the row they refer to is refused and undone."""
    blog = make_package("blog", {"001": FAMILY, "002": ORPHAN})

    with pytest.raises(StepError) as caught:
        migrator(strict, blog).upgrade()

    assert caught.value.cause == (
        "the step leaves rows of table 'child' without the row of 'parent' they refer to"
    )
    assert caught.value.revision == "002"
    assert query(sqlite_database, "SELECT id FROM parent ORDER BY id") == [(1,), (2,)]
    assert rows(strict) == {("blog", "001")}


def test_orphans_of_old_do_not_count(
    strict: sa.Engine, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Rows that were orphans before do not stop a step; one more does."""
    blog = make_package(
        "blog",
        {"001": FAMILY, "002": BATCH, "003": "op.execute('INSERT INTO child VALUES (9, 99)')"},
    )
    migrator(strict, blog).upgrade("blog:001")
    execute(sqlite_database, "DELETE FROM parent WHERE id = 2")  # foreign keys are off there

    with pytest.raises(StepError) as caught:
        migrator(strict, blog).upgrade()

    assert caught.value.revision == "003"
    assert rows(strict) == {("blog", "002")}
    assert query(sqlite_database, "SELECT count(*) FROM child") == [(3,)]


def test_without_foreign_keys_nothing_is_checked(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Where the application does not switch foreign keys on, orphans are its own affair."""
    blog = make_package("blog", {"001": FAMILY, "002": ORPHAN})

    migrator(sqlite_database, blog).upgrade()

    assert rows(sqlite_database.engine) == {("blog", "002")}


# -- files -------------------------------------------------------------------------------


def beside(database: Database) -> list[str]:
    """Return the names of the files in the folder of the database."""
    path = Path(str(database.engine.url.database))
    return sorted(entry.name.replace(path.stem, "NAME") for entry in path.parent.iterdir())


@pytest.mark.parametrize("body", ["pass", "1 / 0"])
def test_the_lock_file_is_removed(
    body: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """After a run, also one that failed, only the database is left in its folder."""
    inside = "import os\nassert os.path.exists(op.get_bind().engine.url.database + '{0}')\n{1}"
    blog = make_package("blog", {"001": inside.format(".ptah-migrate-lock", body)})

    try:
        migrator(sqlite_database, blog).upgrade()
    except StepError as error:
        assert "ZeroDivisionError" in error.cause  # noqa: PT017 - one of the two cases

    assert beside(sqlite_database) == ["NAME.sqlite"]


def test_a_lock_file_that_was_left(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A lock file that nobody holds is no lock."""
    path = Path(f"{sqlite_database.engine.url.database}.ptah-migrate-lock")
    path.write_text("ptah-migrate gone:1, since long ago\n")

    migrator(sqlite_database, make_package("blog", {"001": "pass"}), lock_timeout=0).upgrade()

    assert rows(sqlite_database.engine) == {("blog", "001")}
    assert not path.exists()


def test_reading_makes_no_file(sqlite_database: Database, make_package: PackageMaker) -> None:
    """``status``, ``plan`` and ``check`` on a file that does not exist do not make it."""
    mine = migrator(sqlite_database, make_package("blog", {"001": "pass"}))

    assert [s.state for s in mine.status()] == ["unrecorded"]
    assert len(mine.plan().steps) == 1
    assert not mine.initialised()
    assert mine.versions_recorded() == {}

    assert beside(sqlite_database) == []


def test_a_writer_in_between_is_waited_for(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """An application that writes meanwhile is waited for, beyond the driver's five seconds."""
    execute(sqlite_database, "CREATE TABLE busy (id INTEGER)")
    other = sqlite3.connect(
        str(sqlite_database.engine.url.database), check_same_thread=False, isolation_level=None
    )
    other.execute("BEGIN IMMEDIATE")

    def free() -> None:
        time.sleep(6)
        other.execute("COMMIT")

    thread = threading.Thread(target=free)
    thread.start()
    migrator(sqlite_database, make_package("blog", {"001": "pass"})).upgrade()
    thread.join()
    other.close()

    assert rows(sqlite_database.engine) == {("blog", "001")}


def test_a_database_that_is_read_only(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A database opened read-only can be read; to upgrade it is one clear error."""
    execute(sqlite_database, "CREATE TABLE post (id INTEGER)")
    path = sqlite_database.engine.url.database
    url: Any = f"sqlite:///file:{path}?mode=ro&uri=true"
    mine = migrator(url, make_package("blog", {"001": "pass"}))

    assert [s.state for s in mine.status()] == ["unrecorded"]
    with pytest.raises(DatabaseError) as caught:
        mine.upgrade()

    assert str(caught.value).endswith("refuses: attempt to write a readonly database")
    assert caught.value.hint == "is it read-only, or locked, or may this user not do it?"
    assert tables(sqlite_database.engine) == {"post"}
    assert beside(sqlite_database) == ["NAME.sqlite"]


AS_NOBODY = """
import os, sys
from ptah_migrate import Migrator, Registry, make_package
from ptah_migrate.errors import PtahMigrateError

registry = Registry([make_package("blog", sys.argv[2])])
Migrator("sqlite://", registry).upgrade()  # loads what another user may not be able to read
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Migrator(sys.argv[1], registry).upgrade()
except PtahMigrateError as error:
    print(type(error).__name__, error, sep=": ")
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """Yield a folder that other users can reach too."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
@pytest.mark.parametrize(
    ("folder_mode", "file_mode"),
    [
        pytest.param(0o777, 0o444, id="the file"),
        pytest.param(0o555, 0o666, id="the folder"),
        pytest.param(0o555, None, id="the folder, no file yet"),
    ],
)
def test_what_the_user_may_not_write(
    folder_mode: int, file_mode: int | None, public: Path, make_package: PackageMaker
) -> None:
    """A file or folder that the user may not write gives one clear error, not a raw one."""
    blog = make_package("blog", {"001": "op.create_table('t', sa.Column('id', sa.Integer))"})
    shutil.copytree(blog.migrations, public / "migrations")
    place = public / "place"
    place.mkdir()
    path = place / "app.sqlite"
    if file_mode is not None:
        sqlite3.connect(path).executescript("CREATE TABLE other (id INTEGER)").connection.close()
        path.chmod(file_mode)
    place.chmod(folder_mode)

    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, f"sqlite:///{path}", str(public / "migrations")],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=public,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(ptah_migrate.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )

    assert done.stderr == ""
    assert done.stdout.startswith(f"DatabaseError: the database sqlite:///{path} ")
    assert done.stdout.endswith(
        (": attempt to write a readonly database\n", ": unable to open database file\n")
    )
    assert sorted(entry.name for entry in place.iterdir()) == (
        [] if file_mode is None else ["app.sqlite"]
    )


def test_a_folder_that_does_not_exist(tmp_path: Path, make_package: PackageMaker) -> None:
    """A database in a folder that does not exist gives one clear error."""
    url: Any = f"sqlite:///{tmp_path}/nowhere/app.sqlite"

    with pytest.raises(DatabaseError, match="unable to open database file"):
        migrator(url, make_package("blog", {"001": "pass"})).upgrade()

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A database that cannot grow undoes the step; with room again the rerun succeeds."""
    engine = sa.create_engine(sqlite_database.url)
    pages = [10]

    @sa.event.listens_for(engine, "connect")
    def connect(driver: Any, _record: Any) -> None:
        driver.execute(f"PRAGMA max_page_count = {pages[0]}")

    body = """
    op.create_table("big", sa.Column("text", sa.Text))
    for _ in range(100):
        op.execute("INSERT INTO big VALUES (hex(randomblob(2000)))")
    """
    blog = make_package("blog", {"001": body})

    with pytest.raises(StepError, match="database or disk is full"):
        migrator(engine, blog).upgrade()
    assert "big" not in tables(sqlite_database.engine)
    pages[0] = 10_000
    migrator(engine, blog).upgrade()

    assert query(sqlite_database, "SELECT count(*) FROM big") == [(100,)]
    engine.dispose()


def test_a_file_that_is_no_database(tmp_path: Path, make_package: PackageMaker) -> None:
    """A file that is something else gives one clear error and stays as it is."""
    path = tmp_path / "app.sqlite"
    path.write_text("This is a letter, and long enough to be taken for a header of SQLite.\n" * 20)
    before = path.read_bytes()
    url: Any = f"sqlite:///{path}"

    for order in ("status", "upgrade"):
        with pytest.raises(DatabaseError, match="file is not a database"):
            getattr(migrator(url, make_package("blog", {"001": "pass"})), order)()

    assert path.read_bytes() == before


def test_whoever_logs_statements_sees_all_of_them(
    sqlite_database: Database, make_package: PackageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """What records steps stands in SQLAlchemy's log if there is one, and is the same without."""
    blog = make_package(
        "blog", dict.fromkeys(["001", "002", "003", "004"], "op.execute('SELECT 1')")
    )
    migrator(sqlite_database, blog).upgrade("blog:002")
    with caplog.at_level("INFO", "sqlalchemy.engine.Engine"):
        migrator(sqlite_database, blog).upgrade()

    said = [record.getMessage() for record in caplog.records]
    for start in ("SAVEPOINT", "RELEASE", "UPDATE ptah_db_versions", "INSERT INTO ptah_db_journal"):
        assert sum(text.startswith(start) for text in said) == 2, start
    assert rows(sqlite_database.engine) == {("blog", "004")}
    kinds = "typeof(at), length(at), typeof(seconds), typeof(statements), state, operation, detail"
    entries = query(sqlite_database, f"SELECT {kinds} FROM ptah_db_journal ORDER BY id")
    assert entries == [("text", 26, "real", "integer", "done", "upgrade", "")] * 4
    assert query(sqlite_database, "SELECT revision FROM ptah_db_journal ORDER BY id") == [
        (f"{number:03}",) for number in range(1, 5)
    ]
