"""Several packages in one database: order, their own rows, dependants, orphans."""

from __future__ import annotations

import logging
import shutil

import pytest

from ptah_migrate import Migrator, Registry
from ptah_migrate.errors import (
    DatabaseAheadError,
    DependantsError,
    MissingPackageError,
    UnknownPackageError,
    UnknownRevisionError,
    UsageError,
)
from ptah_migrate.model import PackageStatus
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows, tables
from tests.integration.running import everything, execute, journal, migrator, state, words


def table(name: str) -> dict[str, str]:
    """Return the bodies of a revision that makes a table of this name."""
    return {
        "upgrade": f"op.create_table({name!r}, sa.Column('id', sa.Integer, primary_key=True))",
        "downgrade": f"op.drop_table({name!r})",
    }


@pytest.fixture
def crowd(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package of two revisions that requires nothing."""
    return make_package(
        "crowd",
        {
            "001.py": revision_source("001", message="Add users", **table("crowd_user")),
            "002.py": revision_source("002", "001", message="Add groups", **table("crowd_group")),
        },
    )


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package of two revisions, the first of which requires the other's second."""
    return make_package(
        "blog",
        {
            "001.py": revision_source("001", requires=["crowd:002"], **table("blog_post")),
            "002.py": revision_source("002", "001", **table("blog_comment")),
        },
    )


BOTH = {("blog", "002"), ("crowd", "002")}
TABLES = {"blog_comment", "blog_post", "crowd_group", "crowd_user"}


def users_tables(database: Database) -> set[str]:
    """Return the tables that are not the bookkeeping's."""
    return {name for name in tables(database.engine) if not name.startswith("ptah_db")}


def test_what_is_required_runs_first(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """Both packages have 001 and 002: all four run, the required ones first, each under its key."""
    mine = migrator(database, blog, crowd)

    plan = mine.plan()
    report = mine.upgrade()

    assert words(plan) == [
        "crowd None -> 001",
        "crowd 001 -> 002",
        "blog None -> 001",
        "blog 001 -> 002",
    ]
    assert report.plan == plan
    assert [done.item for done in report.done] == list(plan.items)
    assert rows(database.engine) == BOTH
    assert users_tables(database) == TABLES
    assert journal(database, "done") == [
        ("crowd", "001", "upgrade"),
        ("crowd", "002", "upgrade"),
        ("blog", "001", "upgrade"),
        ("blog", "002", "upgrade"),
    ]


def test_a_named_package_brings_what_it_requires(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """To upgrade one package upgrades the other as far as the first requires it."""
    crowd.add("003.py", revision_source("003", "002", **table("crowd_role")))

    migrator(database, blog, crowd).upgrade("blog:001")

    assert rows(database.engine) == {("blog", "001"), ("crowd", "002")}


def test_a_package_that_requires_nothing_is_upgraded_alone(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """To upgrade one package leaves the others alone."""
    migrator(database, blog, crowd).upgrade("crowd")

    assert rows(database.engine) == {("crowd", "002")}
    assert users_tables(database) == {"crowd_group", "crowd_user"}


def test_steps_are_logged(
    sqlite_database: Database, crowd: PackageOnDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """Each step is one record of the logger ``ptah.alembic``, as in 2012."""
    with caplog.at_level(logging.INFO, "ptah.alembic"):
        migrator(sqlite_database, crowd).upgrade()
        migrator(sqlite_database, crowd).downgrade("crowd:base")

    assert [r.getMessage() for r in caplog.records if r.name == "ptah.alembic"] == [
        "crowd: running upgrade None -> 001, Add users",
        "crowd: running upgrade 001 -> 002, Add groups",
        "crowd: running downgrade 002 -> 001, Add groups",
        "crowd: running downgrade 001 -> None, Add users",
    ]


@pytest.mark.parametrize(
    ("target", "dependants"),
    [
        pytest.param("crowd:base", ("blog:001", "blog:002"), id="all"),
        pytest.param("crowd:-1", ("blog:001", "blog:002"), id="the required one"),
    ],
)
def test_a_downgrade_names_the_dependants(
    target: str,
    dependants: tuple[str, ...],
    database: Database,
    blog: PackageOnDisk,
    crowd: PackageOnDisk,
) -> None:
    """A downgrade that others depend on names their revisions and does nothing."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()
    before = everything(database)

    with pytest.raises(DependantsError) as caught:
        mine.downgrade(target)

    assert caught.value.dependants == dependants
    assert caught.value.hint == "--cascade downgrades them first"
    assert everything(database) == before


def test_cascade_takes_the_dependants_down_first(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """With ``cascade`` what depends goes first, and only that."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()

    report = mine.downgrade("crowd:001", cascade=True)

    assert words(report.plan) == ["blog 002 -> 001", "blog 001 -> None", "crowd 002 -> 001"]
    assert rows(database.engine) == {("crowd", "001")}
    assert users_tables(database) == {"crowd_user"}


def test_a_downgrade_touches_its_own_rows(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """To downgrade one package to its base deletes its row and nobody else's."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()

    mine.downgrade("blog:base")

    assert rows(database.engine) == {("crowd", "002")}
    assert users_tables(database) == {"crowd_group", "crowd_user"}


def test_two_targets_of_one_downgrade(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """Both packages named: no dependant is left over, the order is still theirs."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()

    report = mine.downgrade("crowd:base", "blog:base")

    assert words(report.plan) == [
        "blog 002 -> 001",
        "blog 001 -> None",
        "crowd 002 -> 001",
        "crowd 001 -> None",
    ]
    assert rows(database.engine) == set()


def test_an_uninstalled_package_stays_in_the_record(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """One package and its directory gone: the other still upgrades, ``status`` shows the orphan."""
    migrator(database, blog, crowd).upgrade("crowd:001", "blog")
    migrator(database, blog, crowd).downgrade("blog:001")
    shutil.rmtree(blog.directory)
    crowd.add("003.py", revision_source("003", "002", **table("crowd_role")))
    left = migrator(database, crowd)

    left.upgrade()

    assert rows(database.engine) == {("blog", "001"), ("crowd", "003")}
    assert left.status() == (
        PackageStatus("blog", "", "orphan", rows=("001",), how="run"),
        PackageStatus(
            "crowd",
            "",
            "current",
            rows=("003",),
            heads=("003",),
            how="run",
            origin="application",
        ),
    )
    left.check()


def test_a_registered_package_without_its_directory_stops_nobody(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """A registered package whose directory is gone is broken in ``status``; others upgrade."""
    shutil.rmtree(blog.directory)
    mine = migrator(database, blog, crowd)

    mine.upgrade("crowd")

    found = {status.package: (status.state, status.problem) for status in mine.status()}
    assert found["crowd"] == ("current", "")
    assert found["blog"][0] == "broken"
    assert "of package 'blog'" in found["blog"][1]


def test_a_required_package_is_missing(database: Database, blog: PackageOnDisk) -> None:
    """A required package that is not registered is named, with who needs it, before anything."""
    with pytest.raises(MissingPackageError) as caught:
        migrator(database, blog).upgrade()

    assert str(caught.value) == (
        "revision '001' of package 'blog' requires package 'crowd', which is not registered"
    )
    assert tables(database.engine) == set()


def test_a_required_package_is_only_installed(
    sqlite_database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """A required package that is installed but not included is said to be so, and listed."""
    mine = Migrator(sqlite_database.engine, Registry([blog.package], available=[crowd.package]))

    with pytest.raises(MissingPackageError) as caught:
        mine.upgrade()

    assert caught.value.hint == (
        "'crowd' is installed but not included: include it in the application"
    )
    assert [(s.package, s.state) for s in mine.status()] == [
        ("blog", "unrecorded"),
        ("crowd", "available"),
    ]


def test_stamp_records_without_running(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """A stamp records the named revision, runs nothing, and other packages' rows stay."""
    mine = migrator(database, blog, crowd)
    mine.upgrade("crowd")

    mine.stamp("blog:001")

    assert rows(database.engine) == {("blog", "001"), ("crowd", "002")}
    assert users_tables(database) == {"crowd_group", "crowd_user"}
    assert {s.package: s.how for s in mine.status()} == {"blog": "stamped", "crowd": "run"}


def test_a_database_ahead_of_the_code(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """A recorded revision that no file has is refused by name; ``stamp`` with ``purge`` helps."""
    mine = migrator(database, crowd)
    mine.upgrade()
    execute(database, "UPDATE ptah_db_versions SET version_num = '009'")
    before = everything(database)

    for order, target in (
        (mine.upgrade, "crowd"),
        (mine.downgrade, "crowd:base"),
        (mine.stamp, "crowd"),
    ):
        with pytest.raises(DatabaseAheadError) as caught:
            order(target)
        assert (caught.value.package, caught.value.recorded) == ("crowd", ("009",))

    assert everything(database) == before
    assert [(s.state, s.problem) for s in mine.status()] == [
        ("ahead", "the code does not know 009")
    ]
    mine.stamp("crowd:002", purge=True)
    assert rows(database.engine) == {("crowd", "002")}


def test_unknown_names_are_refused_first(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """One unknown package or revision among good targets: it is named and nothing happens."""
    mine = migrator(database, blog, crowd)

    with pytest.raises(UnknownPackageError) as package:
        mine.upgrade("crowd", "blgo")
    with pytest.raises(UnknownRevisionError) as revision:
        mine.upgrade("crowd", "blog:005")

    assert package.value.hint.startswith("did you mean 'blog'?")
    assert (revision.value.package, revision.value.revision) == ("blog", "005")
    assert tables(database.engine) == set()


def test_a_start_is_for_scripts(sqlite_database: Database, crowd: PackageOnDisk) -> None:
    """A target that states where it starts from is refused where the database knows it."""
    with pytest.raises(UsageError, match="a place to start from is for scripts: crowd:002"):
        migrator(sqlite_database, crowd).upgrade("crowd:001:002")


def test_a_package_without_revisions(database: Database, make_package: PackageMaker) -> None:
    """A package without revisions is upgraded and seeded without a row, and is no pending work."""
    empty = make_package("blank")
    mine = migrator(database, empty)

    mine.upgrade()
    mine.seed()

    assert tables(database.engine) == set()
    assert [(s.package, s.state) for s in mine.status()] == [("blank", "empty")]
    mine.check()


def test_upgrading_twice_is_nothing_to_do(
    database: Database, blog: PackageOnDisk, crowd: PackageOnDisk
) -> None:
    """At head there is no error and no change, not even in the journal."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()
    before = everything(database)

    report = mine.upgrade()

    assert not report.plan
    assert report.done == ()
    assert everything(database) == before


def test_up_down_up_is_up(database: Database, blog: PackageOnDisk, crowd: PackageOnDisk) -> None:
    """Down to the base and up again gives the same schema and rows."""
    mine = migrator(database, blog, crowd)
    mine.upgrade()
    before = state(database)

    mine.downgrade("blog:base", "crowd:base")
    mine.upgrade()

    assert state(database) == before
