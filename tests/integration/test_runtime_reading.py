"""Reading never writes: not a row, not a table, not a file, on no database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import sqlalchemy as sa

from ptah_migrate import Migrator
from ptah_migrate.errors import PendingError, PtahMigrateError, TargetError, UsageError
from ptah_migrate.model import PackageStatus
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source
from tests.integration.running import everything, migrator, words

READING: dict[str, Callable[[Migrator], object]] = {
    "plan": lambda mine: mine.plan(),
    "plan of a target": lambda mine: mine.plan("blog:002"),
    "plan of a downgrade": lambda mine: mine.plan("blog:base", operation="downgrade"),
    "plan of a stamp": lambda mine: mine.plan("blog:001", operation="stamp"),
    "plan of populate": lambda mine: mine.plan(operation="populate"),
    "status": lambda mine: mine.status(),
    "check": lambda mine: mine.check(),
    "script": lambda mine: mine.script(),
    "script from empty": lambda mine: mine.script(empty=True),
    "initialised": lambda mine: mine.initialised(),
    "versions_recorded": lambda mine: mine.versions_recorded(),
}


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package with models and two revisions."""
    models = """
    import sqlalchemy as sa
    metadata = sa.MetaData()
    sa.Table("post", metadata, sa.Column("id", sa.Integer, primary_key=True))
    """
    table = "op.create_table('post', sa.Column('id', sa.Integer, primary_key=True))"
    return make_package(
        "blog",
        {"001": (table, "op.drop_table('post')"), "002": "op.execute('DELETE FROM post')"},
        files={"models.py": models},
        metadata="blog.models:metadata",
    )


@pytest.mark.parametrize("order", READING)
def test_reading_an_empty_database(order: str, database: Database, blog: PackageOnDisk) -> None:
    """Reading an empty database leaves it empty: the version table is not made."""
    with pytest.raises(PendingError) if order == "check" else nullcontext():
        READING[order](migrator(database, blog))

    assert everything(database)["tables"] == set()


@pytest.mark.parametrize("order", READING)
def test_reading_a_database_at_work(order: str, database: Database, blog: PackageOnDisk) -> None:
    """Reading a database in the middle of a history leaves all of it as it was."""
    migrator(database, blog).upgrade("blog:001")
    before = everything(database)

    with pytest.raises(PendingError) if order == "check" else nullcontext():
        READING[order](migrator(database, blog))

    assert everything(database) == before


def test_reading_sends_no_writing_statement(sqlite_database: Database, blog: PackageOnDisk) -> None:
    """Reading works on a database that refuses every write."""
    migrator(sqlite_database, blog).upgrade("blog:001")
    engine = sa.create_engine(sqlite_database.url)

    @sa.event.listens_for(engine, "connect")
    def connect(driver: object, _record: object) -> None:
        driver.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]

    mine = migrator(engine, blog)

    assert words(mine.plan()) == ["blog 001 -> 002"]
    assert [s.state for s in mine.status()] == ["pending"]
    with pytest.raises(PendingError):
        mine.check()
    engine.dispose()


def test_check_names_what_is_pending(
    database: Database, blog: PackageOnDisk, make_package: PackageMaker
) -> None:
    """``check`` raises with one line for each package that is not at its head."""
    cms = make_package("cms", {"001": "pass"})
    done = make_package("done", {"001": "pass"})
    mine = migrator(database, blog, cms, done)
    mine.upgrade("blog:001", "done")

    with pytest.raises(PendingError) as caught:
        mine.check()

    assert caught.value.lines == ("blog is at 001, head is 002", "cms is at None, head is 001")
    assert caught.value.exit_code == 3
    assert caught.value.hint == "run: ptah-migrate upgrade"
    mine.check("done")
    with pytest.raises(PendingError):
        mine.check("done", "cms")


def test_status_of_every_kind(
    database: Database, blog: PackageOnDisk, make_package: PackageMaker
) -> None:
    """``status`` gives each package with title, rows, heads and what is pending, by name."""
    mine = migrator(
        database,
        blog,
        make_package("blank", title="Blank"),
        make_package("cms", {"001": "pass"}),
        make_package("odd", {"001.py": "revision = 1\ndown_revision = None\n"}),
        make_package(
            "tree",
            {
                "001.py": revision_source("001"),
                "a.py": revision_source("a", "001"),
                "b.py": revision_source("b", "001"),
            },
        ),
    )
    mine.upgrade("blog:001", "tree:a")
    mine.stamp("cms")

    assert mine.status() == (
        PackageStatus("blank", "Blank", "empty", origin="application"),
        PackageStatus(
            "blog",
            "",
            "pending",
            rows=("001",),
            heads=("002",),
            pending=("002",),
            how="run",
            origin="application",
        ),
        PackageStatus(
            "cms",
            "",
            "current",
            rows=("001",),
            heads=("001",),
            how="stamped",
            origin="application",
        ),
        PackageStatus(
            "odd",
            "",
            "broken",
            problem=mine.status()[3].problem,
            origin="application",
        ),
        PackageStatus(
            "tree",
            "",
            "pending",
            rows=("a",),
            heads=("a", "b"),
            pending=("b",),
            how="run",
            origin="application",
        ),
    )
    assert mine.status()[3].problem.endswith("revision is 1, it must be a text that is not empty")


@pytest.mark.parametrize(
    "target",
    ["", ":", "blog:", ":001", "blog:001:002:003", "blog::002"],
)
def test_targets_that_are_none(target: str, sqlite_database: Database, blog: PackageOnDisk) -> None:
    """A text that is no target is refused with the forms that are."""
    with pytest.raises(TargetError) as caught:
        migrator(sqlite_database, blog).upgrade(target)

    assert str(caught.value) == f"'{target}' is not a target"
    assert "package:REVISION" in caught.value.hint


@pytest.mark.parametrize("targets", [(), ("blog",)])
def test_a_downgrade_needs_a_place(
    targets: tuple[str, ...], sqlite_database: Database, blog: PackageOnDisk
) -> None:
    """A downgrade without a place is refused: nobody loses tables by leaving a word out."""
    mine = migrator(sqlite_database, blog)
    mine.upgrade()

    with pytest.raises(UsageError):
        mine.downgrade(*targets)
    with pytest.raises(UsageError):
        mine.plan(*targets, operation="downgrade")

    mine.check()


def test_an_operation_that_is_none(sqlite_database: Database, blog: PackageOnDisk) -> None:
    """An operation or policy that does not exist is refused with those that do."""
    with pytest.raises(PtahMigrateError) as caught:
        migrator(sqlite_database, blog).plan(operation="sidegrade")
    with pytest.raises(UsageError, match="names a place"):
        migrator(sqlite_database, blog).seed("blog:001")
    with pytest.raises(UsageError) as policy:
        migrator(sqlite_database, blog, seed_policy="hope")

    assert caught.value.hint == "one of upgrade, downgrade, stamp, populate"
    assert policy.value.hint == "one of verify, trust"
