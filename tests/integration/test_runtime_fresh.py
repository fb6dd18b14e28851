"""What a package without a recorded version gets, for every cell of the table, on each database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from ptah_migrate.errors import PtahMigrateError, TargetError, UnrecordedTablesError
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows
from tests.integration.running import everything, execute, migrator, schema, words

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
key = {"primary_key": True, "autoincrement": False}
sa.Table("author", metadata, sa.Column("id", sa.Integer, **key))
sa.Table(
    "post",
    metadata,
    sa.Column("id", sa.Integer, **key),
    sa.Column("title", sa.String(40)),
)
"""
KEY = "sa.Column('id', sa.Integer, primary_key=True, autoincrement=False)"
AUTHOR = f"op.create_table('author', {KEY})"
POST = f"op.create_table('post', {KEY})"
TITLE = "op.add_column('post', sa.Column('title', sa.String(40)))"

HISTORIES = {
    # makes the package's tables itself
    "complete": {"001": f"{AUTHOR}\n{POST}", "002": TITLE},
    # starts from tables that existed before, the 2012 way
    "partial": {"001": "op.execute('SELECT 1')", "002": TITLE},
    # one table is made by nobody
    "without author": {"001": POST, "002": TITLE},
}
STATES = {
    "none": (),
    "match": (
        "CREATE TABLE author (id INTEGER NOT NULL, PRIMARY KEY (id))",
        "CREATE TABLE post (id INTEGER NOT NULL, title VARCHAR(40), PRIMARY KEY (id))",
    ),
    "differ": (
        "CREATE TABLE author (id INTEGER NOT NULL, PRIMARY KEY (id))",
        "CREATE TABLE post (id INTEGER NOT NULL, PRIMARY KEY (id))",
    ),
    "author only": ("CREATE TABLE author (id INTEGER NOT NULL, PRIMARY KEY (id))",),
    "post only": ("CREATE TABLE post (id INTEGER NOT NULL, title VARCHAR(40), PRIMARY KEY (id))",),
    "old post only": ("CREATE TABLE post (id INTEGER NOT NULL, PRIMARY KEY (id))",),
}

CREATED = ["blog created author post seeded 002"]
SEEDED = ["blog seeded 002"]
RUN = ["blog None -> 001", "blog 001 -> 002"]
HEAD = {("blog", "002")}


@dataclass(frozen=True)
class Case:
    """One cell: a history, a state of the tables, an order, and what must come of it."""

    history: str
    tables: str
    order: str
    plan: list[str] = field(default_factory=list)
    rows: set[tuple[str, str]] = field(default_factory=lambda: HEAD)
    target: str = "blog"
    policy: str = "verify"
    models: bool = True
    registered: dict[str, Any] = field(default_factory=dict)
    error: type[PtahMigrateError] | None = None


def cell(name: str, history: str, tables: str, order: str, *args: Any, **kwargs: Any) -> Any:
    """Return a case with its name."""
    return pytest.param(Case(history, tables, order, *args, **kwargs), id=name)


def refused(name: str, *args: Any, **kwargs: Any) -> Any:
    """Return a case that must be refused with nothing done."""
    kwargs.setdefault("error", UnrecordedTablesError)
    return cell(name, *args, rows=set(), **kwargs)


FORCE = {"force": True}
STEPS = {"fresh": "steps"}
CREATE = {"fresh": "create"}

SEED_CASES = [
    cell("none exist, complete", "complete", "none", "seed", CREATED),
    cell("none exist, partial", "partial", "none", "seed", CREATED),
    cell("match, complete", "complete", "match", "seed", SEEDED),
    cell("match, partial", "partial", "match", "seed", SEEDED),
    refused("differ, partial, verify", "partial", "differ", "seed"),
    refused("differ, complete, verify", "complete", "differ", "seed"),
    refused("some exist, complete, verify", "complete", "author only", "seed"),
    cell("differ, partial, trust", "partial", "differ", "seed", SEEDED, policy="trust"),
    cell("differ, complete, trust", "complete", "differ", "seed", SEEDED, policy="trust"),
    cell(
        "some exist, complete, trust",
        "complete",
        "author only",
        "seed",
        ["blog created post seeded 002"],
        policy="trust",
    ),
    cell("force, none", "complete", "none", "seed", rows=set(), registered=FORCE),
    cell("force, match", "complete", "match", "seed", rows=set(), registered=FORCE),
    cell(
        "force, differ, trust",
        "partial",
        "differ",
        "seed",
        rows=set(),
        registered=FORCE,
        policy="trust",
    ),
    cell("fresh=steps", "complete", "none", "seed", rows=set(), registered=STEPS),
    cell("fresh=create", "complete", "none", "seed", CREATED, registered=CREATE),
    cell(
        "only tables of nobody are missing",
        "without author",
        "post only",
        "seed",
        ["blog created author seeded 002"],
    ),
    refused(
        "tables of nobody are missing, others differ", "without author", "old post only", "seed"
    ),
    cell(
        "no models, its revisions make them", "complete", "none", "seed", rows=set(), models=False
    ),
    cell("no models, nothing to make", "partial", "none", "seed", SEEDED, models=False),
    refused("no models, tables exist", "complete", "match", "seed", models=False),
    cell(
        "no models, tables exist, trust",
        "complete",
        "match",
        "seed",
        SEEDED,
        models=False,
        policy="trust",
    ),
]

UPGRADE_CASES = [
    cell("none exist, complete", "complete", "none", "upgrade", RUN),
    cell("none exist, partial", "partial", "none", "upgrade", CREATED),
    cell("match, complete", "complete", "match", "upgrade", SEEDED),
    cell("match, partial", "partial", "match", "upgrade", SEEDED),
    cell("differ, partial", "partial", "differ", "upgrade", RUN),
    cell("differ, partial, trust", "partial", "differ", "upgrade", RUN, policy="trust"),
    refused("differ, complete", "complete", "differ", "upgrade"),
    refused("differ, complete, trust", "complete", "differ", "upgrade", policy="trust"),
    refused("some exist, complete", "complete", "author only", "upgrade"),
    cell("force, none", "complete", "none", "upgrade", RUN, registered=FORCE),
    cell("force, differ, partial", "partial", "differ", "upgrade", RUN, registered=FORCE),
    cell("fresh=steps, none", "complete", "none", "upgrade", RUN, registered=STEPS),
    cell("fresh=steps, differ", "partial", "differ", "upgrade", RUN, registered=STEPS),
    cell("fresh=create, none", "complete", "none", "upgrade", CREATED, registered=CREATE),
    cell("fresh=create, differ", "partial", "differ", "upgrade", RUN, registered=CREATE),
    cell(
        "only tables of nobody are missing",
        "without author",
        "post only",
        "upgrade",
        ["blog created author seeded 002"],
    ),
    cell(
        "tables of nobody are missing, none exist",
        "without author",
        "none",
        "upgrade",
        CREATED,
    ),
    cell(
        "tables of nobody are missing, others differ",
        "partial",
        "old post only",
        "upgrade",
        ["blog created author", *RUN],
    ),
    cell("no models, none exist", "complete", "none", "upgrade", RUN, models=False),
    cell("no models, partial", "partial", "differ", "upgrade", RUN, models=False),
    refused("no models, tables exist", "complete", "match", "upgrade", models=False),
    cell(
        "to a middle revision, none exist, complete",
        "complete",
        "none",
        "upgrade",
        RUN[:1],
        {("blog", "001")},
        "blog:001",
    ),
    cell(
        "to a middle revision, differ, partial",
        "partial",
        "differ",
        "upgrade",
        RUN[:1],
        {("blog", "001")},
        "blog:+1",
    ),
    refused(
        "to a middle revision, none exist, partial",
        "partial",
        "none",
        "upgrade",
        target="blog:001",
        error=TargetError,
    ),
    cell(
        "to the head by its id, none exist, partial",
        "partial",
        "none",
        "upgrade",
        CREATED,
        target="blog:002",
    ),
    cell(
        "to the head by counting, none exist, partial",
        "partial",
        "none",
        "upgrade",
        CREATED,
        target="blog:+2",
    ),
    cell(
        "to a middle revision, match: the truth is the head",
        "complete",
        "match",
        "upgrade",
        SEEDED,
        target="blog:001",
    ),
]


_AT_HEAD: dict[str, dict[str, Any]] = {}


@pytest.fixture
def at_head(database: Database) -> Callable[[], dict[str, Any]]:
    """Return a function that gives the schema of the models; it is made once for each database."""

    def found() -> dict[str, Any]:
        if database.name not in _AT_HEAD:
            reference = database.another()
            execute(reference, *STATES["match"])
            _AT_HEAD[database.name] = schema(reference.engine)
        return _AT_HEAD[database.name]

    return found


def package(make_package: PackageMaker, case: Case) -> PackageOnDisk:
    """Write the package of a case."""
    how = {"metadata": "blog.models:metadata"} if case.models else {}
    return make_package(
        "blog", HISTORIES[case.history], files={"models.py": MODELS}, **how, **case.registered
    )


@pytest.mark.parametrize("case", [*SEED_CASES, *UPGRADE_CASES])
def test_a_package_without_a_row(
    case: Case,
    database: Database,
    make_package: PackageMaker,
    at_head: Callable[[], dict[str, Any]],
) -> None:
    """The cell of the table is planned, planning writes nothing, and the run does the plan."""
    execute(database, *STATES[case.tables])
    mine = migrator(database, package(make_package, case), seed_policy=case.policy)
    operation = "populate" if case.order == "seed" else case.order
    before = everything(database)

    if case.error is not None:
        with pytest.raises(case.error):
            mine.plan(case.target, operation=operation)
        with pytest.raises(case.error):
            getattr(mine, case.order)(case.target)
        assert everything(database) == before
        return
    plan = mine.plan(case.target, operation=operation)
    assert words(plan) == case.plan
    assert everything(database) == before
    report = getattr(mine, case.order)(case.target)

    assert report.plan == plan
    assert rows(database.engine) == case.rows
    if case.rows == HEAD and case.models and case.policy == "verify":
        assert schema(database.engine) == at_head()


@pytest.mark.parametrize(
    ("order", "how"),
    [
        pytest.param("seed", "seeded", id="seeded"),
        pytest.param("upgrade", "run", id="run"),
        pytest.param("stamp", "stamped", id="stamped"),
    ],
)
def test_status_tells_how_the_row_came(
    order: str, how: str, database: Database, make_package: PackageMaker
) -> None:
    """``status`` tells a row that was run from one that was seeded or stamped."""
    mine = migrator(database, package(make_package, Case("complete", "none", order)))

    getattr(mine, order)()

    assert [(s.state, s.how) for s in mine.status()] == [("current", how)]


@pytest.mark.parametrize("order", ["seed", "upgrade"])
def test_a_refusal_shows_the_differences(
    order: str, database: Database, make_package: PackageMaker
) -> None:
    """A refusal names the tables, the differences, and the ways out."""
    execute(database, *STATES["differ"])
    mine = migrator(database, package(make_package, Case("complete", "differ", order)))

    with pytest.raises(UnrecordedTablesError) as caught:
        getattr(mine, order)()

    assert caught.value.tables == ("author", "post")
    assert caught.value.differences == ("missing column post.title",)
    assert "ptah-migrate stamp blog:REVISION" in caught.value.hint
    mine.stamp("blog:001")
    mine.upgrade()
    assert rows(database.engine) == HEAD


def test_a_row_that_is_there_stays(database: Database, make_package: PackageMaker) -> None:
    """Seeding leaves a recorded version alone, even one that the code does not know."""
    mine = migrator(database, package(make_package, Case("complete", "none", "seed")))
    mine.upgrade("blog:001")
    mine.seed()
    assert rows(database.engine) == {("blog", "001")}
    execute(database, "UPDATE ptah_db_versions SET version_num = 'gone'")

    mine.seed()

    assert rows(database.engine) == {("blog", "gone")}


def test_every_head_is_seeded(database: Database, make_package: PackageMaker) -> None:
    """A history with several heads is seeded with all of them."""
    files = {
        "001.py": revision_source("001"),
        "a.py": revision_source("a", "001"),
        "b.py": revision_source("b", "001"),
    }
    mine = migrator(database, make_package("blog", files))

    mine.seed()

    assert rows(database.engine) == {("blog", "a"), ("blog", "b")}
    assert [s.state for s in mine.status()] == ["current"]


def test_a_head_that_another_needs_is_not_recorded(
    database: Database, make_package: PackageMaker
) -> None:
    """Where one head depends on the other only the outer one is seeded, as Alembic stores it."""
    files = {
        "a.py": revision_source("a", labels=["x"]),
        "b.py": revision_source("b", depends_on=["a"]),
    }
    mine = migrator(database, make_package("blog", files))

    mine.seed()

    assert rows(database.engine) == {("blog", "b")}
    mine.check()


def test_tables_to_skip_are_not_made(database: Database, make_package: PackageMaker) -> None:
    """A table of the skip list is not created, and its absence is no difference."""
    blog = package(make_package, Case("partial", "none", "seed"))
    mine = migrator(database, blog, skip_tables=["author"])

    mine.seed()

    assert "author" not in sa.inspect(database.engine).get_table_names()
    assert rows(database.engine) == HEAD


def test_another_packages_tables_are_left_alone(
    database: Database, make_package: PackageMaker
) -> None:
    """Of a MetaData that two packages share each one creates and compares its own tables."""
    shared = sa.MetaData()
    sa.Table("mine", shared, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "theirs",
        shared,
        sa.Column("id", sa.ForeignKey("mine.id"), primary_key=True),
        info={"ptah_package": "cms"},
    )
    step = {"001": "pass"}
    blog = make_package("blog", step, metadata=shared)
    cms = make_package("cms", step, metadata=shared, tables=["theirs"])
    mine = migrator(database, cms, blog)

    assert words(mine.plan("blog", operation="populate")) == ["blog created mine seeded 001"]
    assert words(mine.plan(operation="populate")) == [
        "blog created mine seeded 001",
        "cms created theirs seeded 001",
    ]
    mine.seed()

    assert rows(database.engine) == {("blog", "001"), ("cms", "001")}


def test_tables_that_refer_to_another_packages_come_after_them(
    database: Database, make_package: PackageMaker
) -> None:
    """Created tables that refer to another package's are made after it, whatever the names."""
    shared = sa.MetaData()
    sa.Table("users", shared, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "entries",
        shared,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.ForeignKey("users.id")),
    )
    first = make_package("aaa", {"001": "pass"}, metadata=shared, tables=["entries"])
    last = make_package(
        "zzz",
        {"001": "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))"},
        metadata=shared,
        tables=["users"],
    )
    mine = migrator(database, first, last)

    mine.upgrade()

    assert rows(database.engine) == {("aaa", "001"), ("zzz", "001")}
    assert {"entries", "users"} <= set(sa.inspect(database.engine).get_table_names())


def test_models_that_cannot_be_imported(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Models that raise on import are an error that names package and models; nothing happens."""
    blog = make_package(
        "blog", {"001": "pass"}, files={"models.py": "1 / 0"}, metadata="blog.models:metadata"
    )

    with pytest.raises(PtahMigrateError) as caught:
        migrator(sqlite_database, blog).upgrade()

    assert str(caught.value) == (
        "the models of package 'blog', 'blog.models:metadata', cannot be imported: "
        "ZeroDivisionError: division by zero"
    )
    assert sa.inspect(sqlite_database.engine).get_table_names() == []
