"""Tables and first data made by an application that starts."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationExecutionError

import ptah_migrate
from ptah_migrate._pyramid.startup import all_steps
from ptah_migrate._pyramid.steps import choose
from ptah_migrate.errors import (
    CycleError,
    PopulateError,
    RegistrationError,
    UnknownStepError,
    UnrecordedTablesError,
)
from ptah_migrate.model import PopulateStep
from tests.helpers import Database, PackageMaker, contents, rows, tables
from tests.integration.applications import addon, application, create, start

VARIABLE = "PTAH_MIGRATE_ON_START"

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("post", metadata, sa.Column("id", sa.Integer, primary_key=True))
sa.Table("tag", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""

REGISTER = """
def includeme(config):
    config.include("ptah_migrate")
    config.register_migration("blog", "blog:migrations", metadata="blog.models:metadata"{more})
"""

STEPS = """
import ptah_migrate

@ptah_migrate.populate("blog-authors", title="Authors", active=False, requires=("blog-tables",))
def authors(registry):
    pass

@ptah_migrate.populate("blog-tables")
def make(registry):
    pass
"""


@pytest.fixture(autouse=True)
def no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the person who runs the tests demands of applications."""
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def blog(make_package: PackageMaker) -> str:
    """Return an add-on with two models, and a first revision that never makes their tables."""
    make_package(
        "blog",
        {"001": "raise RuntimeError('ran')"},
        files={"models.py": MODELS},
        init=REGISTER.format(more=""),
    )
    return "blog"


def committed(config: Configurator) -> dict[str, PopulateStep]:
    """Commit, and return the steps as commands and start-up see them."""
    config.commit()
    return all_steps(config.registry)


# -- registering -------------------------------------------------------------------------


def test_decorator(make_package: PackageMaker) -> None:
    """A decorated function is a step once its module was scanned, active unless it says no."""
    make_package("blog", files={"data.py": STEPS})
    config = Configurator()

    config.scan("blog.data")

    from blog import data  # type: ignore[import-not-found]

    steps = committed(config)
    assert steps["blog-tables"] == PopulateStep("blog-tables", data.make, "", True, ())
    assert steps["blog-authors"] == PopulateStep(
        "blog-authors", data.authors, "Authors", False, ("blog-tables",)
    )


def test_directive(make_package: PackageMaker) -> None:
    """The directive registers the same; the factory may be a dotted name."""
    make_package("blog", files={"data.py": STEPS})
    config = Configurator(package="blog")
    config.include("ptah_migrate")

    config.ptah_populate_step(
        "first", factory=".data.make", title="First", active=False, requires=("second",)
    )

    from blog import data

    expected = PopulateStep("first", data.make, "First", False, ("second",))
    assert committed(config)["first"] == expected


def test_directive_at_once(make_package: PackageMaker) -> None:
    """A step knows its factory, and that it is active and needs nothing, unless told."""
    config = Configurator()
    config.include("ptah_migrate")

    config.ptah_populate_step("first", print, requires="second")
    config.ptah_populate_step("third", factory=print)

    steps = committed(config)
    assert steps["first"] == PopulateStep("first", print, "", True, ("second",))
    assert steps["third"] == PopulateStep("third", print, "", True, ())


def test_ours_is_there() -> None:
    """The step that makes the tables is there without being registered."""
    config = Configurator()
    config.include("ptah_migrate")

    step = committed(config)[ptah_migrate.POPULATE_DB_SCHEMA]

    assert (step.name, step.active) == ("ptah-db-schema", True)


def test_no_factory() -> None:
    """A step without a factory is refused where it is written."""
    config = Configurator()
    config.include("ptah_migrate")

    with pytest.raises(RegistrationError) as error:
        config.ptah_populate_step("first")

    assert str(error.value) == "populate step 'first' has no factory to call"


def test_conflict(make_package: PackageMaker) -> None:
    """Two steps of one name from two places conflict at commit, naming both."""
    made = make_package("blog", files={"data.py": STEPS})
    config = Configurator()
    config.scan("blog")
    config.ptah_populate_step("blog-tables", print)

    with pytest.raises(ConfigurationConflictError) as error:
        config.commit()

    assert f"Line 7 of file {made.directory / 'data.py'}" in str(error.value)
    assert __file__ in str(error.value)


def test_same_line_twice(make_package: PackageMaker) -> None:
    """The same step reached twice is one step."""
    make_package("blog", files={"data.py": STEPS}, init="def includeme(c): c.scan()")
    config = Configurator()
    config.include("blog")
    config.scan("blog")

    assert "blog-tables" in committed(config)


def test_introspection() -> None:
    """Steps are among the application's introspectables."""
    config = Configurator()
    config.include("ptah_migrate")
    config.ptah_populate_step("first", print, "First")
    config.commit()

    shown = config.introspector.get("populate steps", "first")

    assert (shown["title"], shown["active"], shown["factory"]) == ("First", True, print)


# -- running -----------------------------------------------------------------------------


def test_creates_and_seeds(blog: str, database: Database) -> None:
    """Populating makes the tables of the models and records the head; no step runs."""
    config = application(database, blog)
    config.ptah_populate()

    start(config)

    assert tables(database.engine) >= {"post", "tag"}
    assert rows(database.engine) == {("blog", "001")}


def test_by_commit(blog: str, database: Database) -> None:
    """A commit populates: what comes after it in the application's code finds the data."""
    config = application(database, blog)
    config.ptah_populate()

    config.commit()

    assert rows(database.engine) == {("blog", "001")}


def test_active_steps(sqlite_database: Database) -> None:
    """Active steps run once, with the registry, a required one first, inactive ones not."""
    ran: list[tuple[str, Any]] = []
    config = application(sqlite_database)
    for name, active, requires in (
        ("a", True, ("z",)),
        ("b", True, ()),
        ("c", False, ()),
        ("z", False, ()),
    ):
        factory = lambda registry, name=name: ran.append((name, registry))  # noqa: E731
        config.ptah_populate_step(name, factory, active=active, requires=requires)
    config.ptah_populate()
    config.ptah_populate()

    registry = start(config)

    assert ran == [("b", registry), ("z", registry), ("a", registry)]


def test_requires_the_schema(blog: str, database: Database) -> None:
    """A step that requires ``POPULATE_DB_SCHEMA`` finds the tables, and can fill them."""

    def fill(registry: Any) -> None:
        with database.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO post (id) VALUES (7)"))

    config = application(database, blog)
    config.ptah_populate_step("a", fill, requires=(ptah_migrate.POPULATE_DB_SCHEMA,))
    config.ptah_populate()

    start(config)

    assert contents(database.engine) == {"post": [(7,)], "tag": []}


def test_then_upgraded(blog: str, make_package: PackageMaker, database: Database) -> None:
    """With both directives populating comes first; only what it did not seed is upgraded."""
    make_package("shop", {"001": create("item")}, init=addon("shop"))
    config = application(database, blog, "shop")
    config.ptah_migrate()
    config.ptah_populate()

    start(config)

    assert tables(database.engine) >= {"post", "tag", "item"}
    assert rows(database.engine) == {("blog", "001"), ("shop", "001")}


def test_forced(make_package: PackageMaker, database: Database) -> None:
    """A package registered with ``force=True`` gets no row from populating; its steps run."""
    make_package(
        "blog",
        {"001": create("post"), "002": create("tag")},
        files={"models.py": MODELS},
        init=REGISTER.format(more=", force=True"),
    )
    populated = application(database, "blog")
    populated.ptah_populate()
    start(populated)
    assert rows(database.engine) == set()
    config = application(database, "blog")
    config.ptah_populate()
    config.ptah_migrate()

    start(config)

    assert rows(database.engine) == {("blog", "002")}


def test_row_stays(blog: str, make_package: PackageMaker, database: Database) -> None:
    """A recorded version stays as it is, also one that the code does not know."""
    config = application(database, blog)
    config.ptah_populate()
    start(config)
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE ptah_db_versions SET version_num = 'zzz'"))
    again = application(database, blog)
    again.ptah_populate()

    start(again)

    assert rows(database.engine) == {("blog", "zzz")}


def test_existing_tables(blog: str, database: Database) -> None:
    """A table that is there is left alone, with its rows."""
    with database.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE post (id INTEGER NOT NULL PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO post (id) VALUES (7)"))
    config = application(database, blog)
    config.ptah_populate()

    start(config)

    assert contents(database.engine) == {"post": [(7,)], "tag": []}
    assert rows(database.engine) == {("blog", "001")}


@pytest.mark.parametrize("value", ["tag", "tag, other", "other\ntag", ["tag"]])
def test_skipped_tables(blog: str, sqlite_database: Database, value: Any) -> None:
    """Tables that ``ptah_migrate.skip_tables`` names are not made."""
    config = application(sqlite_database, blog, skip_tables=value)
    config.ptah_populate()

    start(config)

    assert tables(sqlite_database.engine) & {"post", "tag"} == {"post"}
    assert rows(sqlite_database.engine) == {("blog", "001")}


OLD = "CREATE TABLE post (id INTEGER NOT NULL PRIMARY KEY, old INTEGER)"


def test_tables_that_differ(blog: str, database: Database) -> None:
    """Tables that are not as the models say are not believed to be at the head."""
    with database.engine.begin() as connection:
        connection.execute(sa.text(OLD))
    config = application(database, blog)
    config.ptah_populate()

    with pytest.raises(UnrecordedTablesError) as error:
        start(config)

    assert error.value.package == "blog"
    assert "unexpected column post.old" in error.value.differences
    assert rows(database.engine) == set()


def test_tables_that_differ_trusted(blog: str, database: Database) -> None:
    """``ptah_migrate.seed_policy = trust`` believes it, as 2012 did."""
    with database.engine.begin() as connection:
        connection.execute(sa.text(OLD))
    config = application(database, blog, seed_policy=" trust ")
    config.ptah_populate()

    start(config)

    assert rows(database.engine) == {("blog", "001")}


def test_event(blog: str, database: Database) -> None:
    """``BeforeCreateDbSchema`` comes before the tables, in time to add one; once."""
    seen: list[set[str]] = []

    def extend(event: Any) -> None:
        from blog.models import metadata  # type: ignore[import-not-found]

        seen.append(tables(database.engine))
        sa.Table("late", metadata, sa.Column("id", sa.Integer, primary_key=True))

    config = application(database, blog)
    config.add_subscriber(extend, ptah_migrate.BeforeCreateDbSchema)
    config.ptah_populate()
    config.ptah_migrate()

    start(config)

    assert seen == [set()]
    assert tables(database.engine) >= {"post", "tag", "late"}


def test_replaced(blog: str, sqlite_database: Database) -> None:
    """An application may make its tables itself: a step of that name replaces ours."""
    ran: list[Any] = []
    config = application(sqlite_database, blog)
    config.ptah_populate_step(ptah_migrate.POPULATE_DB_SCHEMA, ran.append)
    config.ptah_populate()

    registry = start(config)

    assert ran == [registry]
    assert tables(sqlite_database.engine) == set()


# -- half-way ----------------------------------------------------------------------------


def test_after_a_commit_half_way(blog: str, make_package: PackageMaker, database: Database) -> None:
    """Steps and packages that come after a commit are not forgotten; nothing runs twice."""
    models = MODELS.replace("post", "item").replace("tag", "price")
    init = REGISTER.format(more="").replace("blog", "shop")
    make_package("shop", {"001": "pass"}, files={"models.py": models}, init=init)
    ran: list[str] = []
    config = application(database, blog)
    config.ptah_populate()
    config.ptah_populate_step("early", lambda registry: ran.append("early"))
    config.commit()
    assert (ran, rows(database.engine)) == (["early"], {("blog", "001")})
    config.include("shop")
    config.ptah_populate_step("late", lambda registry: ran.append("late"))

    start(config)

    assert ran == ["early", "late"]
    assert rows(database.engine) == {("blog", "001"), ("shop", "001")}


def test_required_step_comes_later(sqlite_database: Database) -> None:
    """A step whose requirement is registered after a commit waits for it."""
    ran: list[str] = []
    config = application(sqlite_database)
    config.ptah_populate()
    config.ptah_populate_step("a", lambda registry: ran.append("a"), requires=("b",))
    config.commit()
    assert ran == []
    config.ptah_populate_step("b", lambda registry: ran.append("b"))

    start(config)

    assert ran == ["b", "a"]


def test_required_step_never_comes(sqlite_database: Database) -> None:
    """A requirement that is missing at the end is an error that names it."""
    config = application(sqlite_database)
    config.ptah_populate()
    config.ptah_populate_step("a", print, requires=("bb",))
    config.ptah_populate_step("b", print)

    with pytest.raises(UnknownStepError) as error:
        start(config)

    assert str(error.value) == "no populate step is called 'bb'"
    assert error.value.hint == "did you mean 'b'? known: a, b, ptah-db-schema"


def test_cycle(sqlite_database: Database) -> None:
    """Steps that require one another are an error that names them."""
    config = application(sqlite_database)
    config.ptah_populate()
    config.ptah_populate_step("a", print, requires=("b",))
    config.ptah_populate_step("b", print, requires=("a",))

    with pytest.raises(CycleError) as error:
        start(config)

    assert sorted(error.value.members) == ["a", "b"]


def test_failing_step(make_package: PackageMaker, sqlite_database: Database) -> None:
    """A step that fails stops the start, and is named; no upgrade follows."""
    make_package("shop", {"001": create("item")}, init=addon("shop"))

    def fail(registry: Any) -> None:
        raise LookupError("mine")

    config = application(sqlite_database, "shop")
    config.ptah_populate_step("a", fail)
    config.ptah_populate()
    config.ptah_migrate()

    with pytest.raises(PopulateError) as error:
        start(config)

    assert str(error.value) == "populate step 'a' failed: LookupError: mine"
    assert isinstance(error.value.__cause__, LookupError)
    assert "item" not in tables(sqlite_database.engine)


def test_failing_step_in_a_commit(sqlite_database: Database) -> None:
    """A bare ``commit()`` is Pyramid's: it wraps the error."""

    def fail(registry: Any) -> None:
        raise LookupError("mine")

    config = application(sqlite_database)
    config.ptah_populate_step("a", fail)
    config.ptah_populate()

    with pytest.raises(ConfigurationExecutionError) as error:
        config.commit()

    assert isinstance(error.value.evalue, PopulateError)


# -- who may -----------------------------------------------------------------------------


def test_under_a_command(blog: str, sqlite_database: Database) -> None:
    """Loaded by a command of ours an application populates nothing."""
    ran: list[Any] = []
    config = application(sqlite_database, blog)
    config.ptah_populate_step("a", ran.append)
    config.ptah_populate()

    with ptah_migrate.suspended():
        start(config)

    assert ran == []
    assert tables(sqlite_database.engine) == set()
    assert [step.name for step in choose(all_steps(config.registry))] == ["ptah-db-schema", "a"]


@pytest.mark.parametrize("mode", ["check", "warn", "off"])
def test_operator_decides(
    blog: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Who sets another mode than ``upgrade`` from outside wants a start that writes nothing."""
    monkeypatch.setenv(VARIABLE, mode)
    config = application(sqlite_database, blog)
    config.ptah_populate()

    start(config)

    assert tables(sqlite_database.engine) == set()


def test_code_decides(blog: str, database: Database) -> None:
    """Code may populate and then check, as 2012 did."""
    config = application(database, blog)
    config.ptah_populate()
    config.ptah_migrate("check")

    start(config)

    assert rows(database.engine) == {("blog", "001")}
