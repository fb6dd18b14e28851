"""What happens to the database when an application starts."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sqlalchemy as sa
from pyramid import testing
from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationExecutionError

import ptah_migrate
from ptah_migrate.errors import (
    ConfigError,
    DatabaseError,
    HistoryError,
    MissingPackageError,
    PendingError,
    RegistrationError,
    StepError,
)
from tests.helpers import Database, PackageMaker, revision_source, rows, tables
from tests.integration.applications import addon, application, create, on_created, start

VARIABLE = "PTAH_MIGRATE_ON_START"

UNREACHABLE = "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("post", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture(autouse=True)
def no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the person who runs the tests demands of applications."""
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def blog(make_package: PackageMaker) -> str:
    """Return an add-on with two revisions, which make the tables ``post`` and ``tag``."""
    make_package("blog", {"001": create("post"), "002": create("tag")}, init=addon("blog"))
    return "blog"


@pytest.fixture
def shop(make_package: PackageMaker) -> str:
    """Return an add-on whose only revision makes the table ``item``."""
    make_package("shop", {"001": create("item")}, init=addon("shop"))
    return "shop"


@pytest.fixture
def needy(make_package: PackageMaker) -> str:
    """Return an add-on whose only revision needs the tables of ``blog``."""
    source = revision_source("001", requires=("blog:002",), upgrade=create("comment"))
    make_package("comments", {"001.py": source}, init=addon("comments"))
    return "comments"


def steps_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the steps that ran, as they were logged."""
    return [r.getMessage() for r in caplog.records if r.name == "ptah.alembic"]


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what start-up said at a level."""
    records = (r for r in caplog.records if r.name == "ptah.migrate")
    return [r.getMessage() for r in records if r.levelno == level]


# -- the two moments ---------------------------------------------------------------------


def test_make_wsgi_app(blog: str, shop: str, database: Database) -> None:
    """An application that starts brings every registered package to its head."""
    config = application(database)
    config.ptah_migrate()
    config.include(blog)
    config.include(shop)

    start(config)

    assert rows(database.engine) == {("blog", "002"), ("shop", "001")}
    assert tables(database.engine) >= {"post", "tag", "item"}


def test_commit(blog: str, database: Database) -> None:
    """The commit upgrades: what comes after it in the application's code finds the tables."""
    config = application(database, blog)
    config.ptah_migrate()

    config.commit()

    assert rows(database.engine) == {("blog", "002")}


def test_without_the_directive(blog: str, sqlite_database: Database) -> None:
    """An application that only includes us touches no database."""
    start(application(sqlite_database, blog))

    assert tables(sqlite_database.engine) == set()


def test_nothing_twice(blog: str, database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Commits, the start and a second start together run each step once."""
    caplog.set_level(logging.INFO, "ptah.alembic")
    config = application(database, blog)
    config.ptah_migrate()
    config.commit()
    config.commit()
    start(config)
    again = application(database, blog)
    again.ptah_migrate()

    start(again)

    assert steps_logged(caplog) == [
        "blog: running upgrade None -> 001",
        "blog: running upgrade 001 -> 002",
    ]


def test_after_a_commit_half_way(
    blog: str, shop: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """What is registered after a commit half-way is migrated too."""
    caplog.set_level(logging.INFO, "ptah.alembic")
    config = application(database, blog)
    config.ptah_migrate()
    config.commit()
    config.include(shop)

    start(config)

    assert rows(database.engine) == {("blog", "002"), ("shop", "001")}
    assert len(steps_logged(caplog)) == 3


def test_directive_after_the_commit(blog: str, database: Database) -> None:
    """The directive may come after the commit of what it migrates."""
    config = application(database, blog)
    config.commit()
    config.ptah_migrate()

    start(config)

    assert rows(database.engine) == {("blog", "002")}


def test_in_unit_tests(blog: str, shop: str, database: Database) -> None:
    """
    Under ``testConfig`` each call commits itself: what was registered before is migrated.

    What comes later has to wait for ``make_wsgi_app``, which unit tests do not call.
    """
    with testing.testConfig(settings={"sqlalchemy.url": database.url}) as config:
        config.include(blog)
        config.ptah_migrate()
        config.include(shop)

        assert rows(database.engine) == {("blog", "002")}

        start(config)

    assert rows(database.engine) == {("blog", "002"), ("shop", "001")}


def test_directive_in_sibling_includes(make_package: PackageMaker, database: Database) -> None:
    """Several add-ons and the application may all call the directive, more than once."""
    call = "    config.ptah_migrate()"
    make_package("blog", {"001": create("post")}, init=addon("blog", after=call))
    make_package("shop", {"001": create("item")}, init=addon("shop", after=call))
    make_package("all", init="def includeme(c):\n    c.include('blog')\n    c.include('shop')\n")
    config = application(database, "all")
    config.ptah_migrate()
    config.ptah_migrate()

    start(config)

    assert rows(database.engine) == {("blog", "001"), ("shop", "001")}


@pytest.mark.parametrize("commit", [False, True], ids=["one commit", "commit half-way"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_other_subscribers(
    blog: str, shop: str, sqlite_database: Database, place: str, commit: bool
) -> None:
    """Subscribers of ApplicationCreated find the tables, whoever came first."""
    seen: list[set[str]] = []

    def look(event: Any) -> None:
        seen.append(tables(sqlite_database.engine))

    config = Configurator(settings={"sqlalchemy.url": sqlite_database.url})
    if place == "before":
        config.add_subscriber(look, ApplicationCreated)
    config.include(blog)
    config.ptah_migrate()
    if commit:
        config.commit()
    config.include(shop)
    if place == "after":
        config.add_subscriber(look, ApplicationCreated)

    start(config)

    assert [found & {"post", "tag", "item"} for found in seen] == [{"post", "tag", "item"}]


def test_two_applications(blog: str, shop: str, database: Database) -> None:
    """Two applications in one process keep their packages apart."""
    other = database.another()
    for place, addon_ in ((database, blog), (other, shop)):
        config = application(place, addon_)
        config.ptah_migrate()
        start(config)

    assert rows(database.engine) == {("blog", "002")}
    assert rows(other.engine) == {("shop", "001")}


def test_suspended(blog: str, sqlite_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Loaded in ``suspended()`` an application says nothing and leaves the database alone."""
    caplog.set_level(logging.INFO)
    config = application(sqlite_database, blog, on_start="nonsense")
    config.ptah_migrate()
    config.ptah_populate()

    with ptah_migrate.suspended():
        start(config)

    assert tables(sqlite_database.engine) == set()
    assert messages(caplog, logging.INFO) == []


# -- neighbours --------------------------------------------------------------------------


def test_neighbour_comes_later(
    blog: str, needy: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A package whose neighbour is registered after a commit waits for it."""
    caplog.set_level(logging.INFO, "ptah.alembic")
    config = application(database, needy)
    config.ptah_migrate()
    config.commit()
    assert rows(database.engine) == set()
    config.include(blog)

    start(config)

    assert [line.partition(":")[0] for line in steps_logged(caplog)] == ["blog", "blog", "comments"]


def test_only_who_must_waits(needy: str, shop: str, database: Database) -> None:
    """Who needs nobody that is missing does not wait for who does."""
    config = application(database, needy, shop)
    config.ptah_migrate()

    config.commit()

    assert rows(database.engine) == {("shop", "001")}


def test_waiting_is_passed_on(
    make_package: PackageMaker, blog: str, needy: str, database: Database
) -> None:
    """A package that needs one that waits, waits as well."""
    source = revision_source("001", requires=("comments:001",), upgrade=create("vote"))
    make_package("votes", {"001.py": source}, init=addon("votes"))
    config = application(database, "votes", needy)
    config.ptah_migrate()
    config.commit()
    assert rows(database.engine) == set()
    config.include(blog)

    start(config)

    assert rows(database.engine) == {("blog", "002"), ("comments", "001"), ("votes", "001")}


def test_optional_neighbour_comes_later(
    make_package: PackageMaker, blog: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """An optional neighbour that is still to come goes first; one that never comes is no error."""
    caplog.set_level(logging.INFO, "ptah.alembic")
    source = revision_source("001", requires=("?blog:002", "?never:001"), upgrade=create("feed"))
    make_package("feeds", {"001.py": source}, init=addon("feeds"))
    config = application(database, "feeds")
    config.ptah_migrate()
    config.commit()
    config.include(blog)

    start(config)

    assert [line.partition(":")[0] for line in steps_logged(caplog)] == ["blog", "blog", "feeds"]


def test_neighbour_never_comes(needy: str, database: Database) -> None:
    """A neighbour that is missing at the end is an error, before the first statement."""
    config = application(database, needy)
    config.ptah_migrate()
    config.commit()

    with pytest.raises(MissingPackageError) as error:
        start(config)

    assert str(error.value) == (
        "revision '001' of package 'comments' requires package 'blog', which is not registered"
    )
    assert tables(database.engine) == set()


def test_neighbour_only_installed(
    make_package: PackageMaker, needy: str, sqlite_database: Database
) -> None:
    """A neighbour that is installed and not included is named as such."""
    make_package("blog", {"001": "pass", "002": "pass"}).install()
    config = application(sqlite_database, needy)
    config.ptah_migrate()

    with pytest.raises(MissingPackageError) as error:
        start(config)

    assert error.value.hint == (
        "'blog' is installed but not included: include it in the application"
    )


# -- failures ----------------------------------------------------------------------------


@pytest.fixture
def broken(make_package: PackageMaker) -> str:
    """Return an add-on whose second revision fails."""
    make_package(
        "broken", {"001": create("first"), "002": "raise ValueError('no')"}, init=addon("broken")
    )
    return "broken"


def test_failing_step(broken: str, database: Database) -> None:
    """A step that fails stops the start with our own error, not Pyramid's around it."""
    config = application(database, broken)
    config.ptah_migrate()

    with pytest.raises(StepError) as error:
        start(config)

    assert (error.value.package, error.value.revision) == ("broken", "002")
    assert rows(database.engine) == {("broken", "001")}


def test_failing_step_first(broken: str, sqlite_database: Database) -> None:
    """After a failure no subscriber of another package sees a half-made database."""
    seen: list[Any] = []
    config = Configurator(settings={"sqlalchemy.url": sqlite_database.url})
    on_created(config, seen.append)
    config.include(broken)
    config.ptah_migrate()

    with pytest.raises(StepError):
        start(config)

    assert seen == []


def test_failing_step_in_a_commit(broken: str, sqlite_database: Database) -> None:
    """A bare ``commit()`` is Pyramid's: it wraps the error, which is inside."""
    config = application(sqlite_database, broken)
    config.ptah_migrate()

    with pytest.raises(ConfigurationExecutionError) as error:
        config.commit()

    assert isinstance(error.value.evalue, StepError)
    assert isinstance(error.value.__context__, StepError)


def test_repaired(make_package: PackageMaker, broken: str, database: Database) -> None:
    """After the repair a plain restart goes on where it stopped."""
    config = application(database, broken)
    config.ptah_migrate()
    with pytest.raises(StepError):
        start(config)
    make_package.made[-1].add("002.py", revision_source("002", "001", upgrade=create("second")))
    again = application(database, broken)
    again.ptah_migrate()

    start(again)

    assert rows(database.engine) == {("broken", "002")}


def test_unreadable_history(
    make_package: PackageMaker, shop: str, sqlite_database: Database
) -> None:
    """A package whose files cannot be read stops the start, and is named with file and line."""
    made = make_package("bad", init=addon("bad"))
    path = made.add("001.py", "def upgrade(:\n")
    config = application(sqlite_database, "bad", shop)
    config.ptah_migrate()

    with pytest.raises(HistoryError) as error:
        start(config)

    assert f"{path}:1" in str(error.value)
    assert tables(sqlite_database.engine) == set()


def test_no_database(blog: str) -> None:
    """An application without a database is told how to name one."""
    config = Configurator()
    config.include(blog)
    config.ptah_migrate()

    with pytest.raises(ConfigError) as error:
        start(config)

    assert str(error.value) == "the settings name no database"


def test_no_packages(sqlite_database: Database) -> None:
    """Without packages the directive needs no database."""
    config = Configurator()
    config.include("ptah_migrate")
    config.ptah_migrate()
    config.ptah_populate()

    start(config)


# -- events ------------------------------------------------------------------------------


def test_migrated(blog: str, shop: str, database: Database) -> None:
    """``DatabaseMigrated`` tells what was done, before the application is created."""
    seen: list[ptah_migrate.DatabaseMigrated] = []
    config = application(database, blog, shop)
    config.add_subscriber(seen.append, ptah_migrate.DatabaseMigrated)
    config.ptah_migrate()

    registry = start(config)

    assert [event.registry for event in seen] == [registry]
    assert [str(step.key) for step in seen[0].report.plan.steps] == [
        "blog:001",
        "blog:002",
        "shop:001",
    ]


def test_migrated_each_part(blog: str, shop: str, sqlite_database: Database) -> None:
    """After a commit half-way each part of the start has its own event."""
    seen: list[ptah_migrate.DatabaseMigrated] = []
    config = application(sqlite_database, blog)
    config.add_subscriber(seen.append, ptah_migrate.DatabaseMigrated)
    config.ptah_migrate()
    config.commit()
    config.include(shop)

    start(config)

    assert [[step.package for step in event.report.plan.steps] for event in seen] == [
        ["blog", "blog"],
        ["shop"],
    ]


@pytest.mark.parametrize("names", [(), ("blog",)], ids=["no packages", "all at head"])
def test_migrated_nothing(blog: str, sqlite_database: Database, names: tuple[str, ...]) -> None:
    """An upgrade with nothing to do is an upgrade: its event comes, once."""
    before = application(sqlite_database, *names)
    before.ptah_migrate()
    start(before)
    seen: list[ptah_migrate.DatabaseMigrated] = []
    config = application(sqlite_database, *names)
    config.add_subscriber(seen.append, ptah_migrate.DatabaseMigrated)
    config.ptah_migrate()

    start(config)

    assert [bool(event.report.plan) for event in seen] == [False]


@pytest.mark.parametrize("mode", ["check", "warn", "off"])
def test_migrated_only_by_upgrades(shop: str, sqlite_database: Database, mode: str) -> None:
    """No other mode sends ``DatabaseMigrated``."""
    seen: list[Any] = []
    config = application(sqlite_database, shop)
    config.add_subscriber(seen.append, ptah_migrate.DatabaseMigrated)
    config.ptah_migrate(mode)

    start(config)

    assert seen == []


def test_failing_subscriber(blog: str, sqlite_database: Database) -> None:
    """An error of a subscriber reaches the user as it is."""

    def fail(event: Any) -> None:
        raise LookupError("mine")

    config = application(sqlite_database, blog)
    config.add_subscriber(fail, ptah_migrate.DatabaseMigrated)
    config.ptah_migrate()

    with pytest.raises(LookupError, match="mine"):
        start(config)


def test_before_tables_are_created(make_package: PackageMaker, database: Database) -> None:
    """``BeforeCreateDbSchema`` comes before an upgrade makes tables from models, in time for it."""
    make_package("blog", {"001": "pass"}, files={"models.py": MODELS})
    config = application(database)
    config.register_migration("blog", "blog:migrations", metadata="blog.models:metadata")

    def extend(event: Any) -> None:
        from blog.models import metadata  # type: ignore[import-not-found]

        sa.Table("late", metadata, sa.Column("id", sa.Integer, primary_key=True))

    config.add_subscriber(extend, ptah_migrate.BeforeCreateDbSchema)
    config.ptah_migrate()

    start(config)

    assert tables(database.engine) >= {"post", "late"}
    assert rows(database.engine) == {("blog", "001")}


# -- modes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "environment", "setting", "expected"),
    [
        pytest.param(None, None, None, "upgrade", id="nothing said"),
        pytest.param("off", None, None, "off", id="argument"),
        pytest.param(None, "off", None, "off", id="environment"),
        pytest.param(None, None, "off", "off", id="setting"),
        pytest.param("upgrade", "off", "off", "upgrade", id="argument first"),
        pytest.param("off", "upgrade", "upgrade", "off", id="argument first, off"),
        pytest.param(None, "upgrade", "off", "upgrade", id="environment before setting"),
        pytest.param(None, "off", "upgrade", "off", id="environment before setting, off"),
        pytest.param(None, "", "off", "off", id="empty environment"),
        pytest.param(None, None, " OFF ", "off", id="case and spaces"),
        pytest.param(None, None, "", "upgrade", id="empty setting"),
    ],
)
def test_mode(
    blog: str,
    sqlite_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    environment: str | None,
    setting: str | None,
    expected: str,
) -> None:
    """The argument says what start-up does, else the environment, else the setting."""
    if environment is not None:
        monkeypatch.setenv(VARIABLE, environment)
    known = {} if setting is None else {"on_start": setting}
    config = application(sqlite_database, blog, **known)
    config.ptah_migrate(argument)

    start(config)

    assert bool(rows(sqlite_database.engine)) == (expected == "upgrade")


def test_setting_alone(blog: str, database: Database) -> None:
    """The setting is enough: the application need not call the directive."""
    start(application(database, blog, on_start="upgrade"))

    assert rows(database.engine) == {("blog", "002")}


def test_bad_argument(sqlite_database: Database) -> None:
    """A mode that does not exist is refused where it is written."""
    with pytest.raises(RegistrationError) as error:
        application(sqlite_database).ptah_migrate("upgrad")

    assert str(error.value) == "'upgrad' is no start-up mode"
    assert error.value.hint == "one of upgrade, check, warn, off"


@pytest.mark.parametrize("place", [VARIABLE, "setting ptah_migrate.on_start"])
@pytest.mark.parametrize("value", ["upgrad", "false", "1"])
def test_bad_setting(
    blog: str,
    sqlite_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    value: str,
) -> None:
    """A mode that does not exist stops the start, and is named with its place."""
    settings = {}
    if place == VARIABLE:
        monkeypatch.setenv(VARIABLE, value)
    else:
        settings["on_start"] = value
    config = application(sqlite_database, blog, **settings)
    config.ptah_migrate()

    with pytest.raises(ConfigError) as error:
        start(config)

    assert str(error.value) == f"'{value}' is no start-up mode ({place})"
    assert tables(sqlite_database.engine) == set()


def test_application_decides(make_package: PackageMaker, sqlite_database: Database) -> None:
    """Of several modes the application's counts, though an add-on spoke first."""
    call = "    config.ptah_migrate('upgrade')"
    make_package("blog", {"001": create("post")}, init=addon("blog", after=call))
    config = application(sqlite_database, "blog")
    config.ptah_migrate("off")

    start(config)

    assert tables(sqlite_database.engine) == set()


def test_check_at_head(blog: str, shop: str, database: Database) -> None:
    """With all packages at their heads an application that checks starts."""
    before = application(database, blog, shop)
    before.ptah_migrate()
    start(before)
    config = application(database, blog, shop)
    config.ptah_migrate("check")

    start(config)


def test_check_pending(
    blog: str, shop: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """With one package behind, the check logs where each is, names the command, and refuses."""
    before = application(database, shop)
    before.ptah_migrate()
    start(before)
    ours = application(database, blog)
    ours.commit()
    ptah_migrate.Migrator(database.engine, ptah_migrate.Registry(_packages(ours))).upgrade(
        "blog:001"
    )
    config = application(database, blog, shop)
    config.register_migration("third", "blog:migrations")
    config.ptah_migrate("check")

    with pytest.raises(PendingError) as error:
        start(config)

    lines = ("blog is at 001, head is 002", "third is at None, head is 002")
    assert error.value.lines == lines
    assert error.value.hint == "run: ptah-migrate SETTINGS.ini upgrade"
    assert messages(caplog, logging.ERROR) == [
        *lines,
        "the application does not start; run: ptah-migrate SETTINGS.ini upgrade",
    ]
    assert rows(database.engine) == {("blog", "001"), ("shop", "001")}


def _packages(config: Configurator) -> Any:
    from ptah_migrate._pyramid.startup import packages_of

    return packages_of(config.registry)


def test_check_without_a_version_table(
    blog: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """On a database that was never migrated the check says nothing and writes nothing."""
    config = application(database, blog)
    config.ptah_migrate("check")

    start(config)

    assert messages(caplog, logging.ERROR) == []
    assert tables(database.engine) == set()


def test_warn(blog: str, database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A warning names what is pending and the command, and the application starts."""
    config = application(database, blog)
    config.ptah_migrate("warn")

    start(config)

    assert messages(caplog, logging.WARNING) == [
        "blog is at None, head is 002",
        "run: ptah-migrate SETTINGS.ini upgrade",
    ]
    assert tables(database.engine) == set()


def test_warn_without_a_database(blog: str, caplog: pytest.LogCaptureFixture) -> None:
    """A mode that only warns does not stop the start either when it cannot look."""
    config = Configurator(settings={"sqlalchemy.url": UNREACHABLE})
    config.include(blog)
    config.ptah_migrate("warn")

    start(config)

    [warning] = messages(caplog, logging.WARNING)
    assert warning.startswith("whether migrations are pending is not known: the database ")


@pytest.mark.parametrize("mode", ["upgrade", "check"])
def test_unreachable(blog: str, mode: str) -> None:
    """A database that cannot be reached stops the start, and is named."""
    config = Configurator(settings={"sqlalchemy.url": UNREACHABLE})
    config.include(blog)
    config.ptah_migrate(mode)

    with pytest.raises(DatabaseError) as error:
        start(config)

    assert "postgresql+psycopg://nobody:***@127.0.0.1:1/nothing" in str(error.value)


# -- the engine --------------------------------------------------------------------------

COOKIECUTTER = """
import zope.sqlalchemy
from sqlalchemy import engine_from_config
from sqlalchemy.orm import sessionmaker

def includeme(config):
    settings = config.get_settings()
    settings["tm.manager_hook"] = "pyramid_tm.explicit_manager"
    engine = engine_from_config(settings, "db.")
    factory = sessionmaker()
    factory.configure(bind=engine)
    zope.sqlalchemy.register(factory)
    config.registry["dbsession_factory"] = factory
"""


def test_cookiecutter(make_package: PackageMaker, blog: str, database: Database) -> None:
    """An application of the official cookiecutter's shape is migrated with its own engine."""
    make_package("portal", files={"models.py": COOKIECUTTER})
    config = Configurator(settings={"db.url": database.url})
    config.include("portal.models")
    config.include(blog)
    config.ptah_migrate()

    start(config)

    assert rows(database.engine) == {("blog", "002")}


# -- settings of the migrator ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param(
            "lock_timeout",
            "soon",
            "the setting ptah_migrate.lock_timeout, 'soon', is no number of seconds",
            id="lock timeout",
        ),
        pytest.param(
            "packages",
            True,
            "the setting ptah_migrate.packages, 'True', is no list",
            id="packages",
        ),
    ],
)
def test_bad_value(
    blog: str, sqlite_database: Database, name: str, value: Any, message: str
) -> None:
    """A setting that cannot be read stops the start and is named."""
    config = application(sqlite_database, blog, **{name: value})
    config.ptah_migrate()

    with pytest.raises(ConfigError) as error:
        start(config)

    assert str(error.value) == message


def test_version_table_schema(blog: str, postgresql_database: Database) -> None:
    """``ptah_migrate.version_table_schema`` says where the version table lives."""
    with postgresql_database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA book")
    config = application(postgresql_database, blog, version_table_schema="book")
    config.ptah_migrate()

    start(config)

    inspector = sa.inspect(postgresql_database.engine)
    assert "ptah_db_versions" in inspector.get_table_names(schema="book")


@pytest.mark.parametrize(("value", "commits"), [("step", 2), ("package", 1), (None, 1)])
def test_transaction(value: str | None, commits: int, blog: str, sqlite_database: Database) -> None:
    """``ptah_migrate.transaction`` says how many steps share a transaction."""
    config = application(sqlite_database, blog, transaction=value)
    config.ptah_migrate()
    seen: list[int] = []

    def note(connection: sa.Connection) -> None:
        seen.append(1)

    sa.event.listen(sa.Engine, "commit", note)
    try:
        start(config)
    finally:
        sa.event.remove(sa.Engine, "commit", note)

    assert len(seen) == 1 + commits  # our tables are made in one of their own
