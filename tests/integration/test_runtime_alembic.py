"""What revisions written for Alembic find: ``context``, options, conventions, callbacks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import alembic.context
import alembic.op
import pytest
import sqlalchemy as sa

from ptah_migrate.errors import ConfigError, LockError, StepError
from tests.helpers import Database, PackageMaker, rows, tables
from tests.integration.running import Alembic, migrator, query, schema

TABLE = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"


TOLD = """
import json
op.create_table("told", sa.Column("text", sa.Text))
op.bulk_insert(sa.table("told", sa.column("text")), [{{"text": json.dumps({0})}}])
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("context.is_offline_mode()", False, id="is_offline_mode"),
        pytest.param("context.get_bind() is op.get_bind()", True, id="get_bind"),
        pytest.param("context.get_context() is op.get_context()", True, id="get_context"),
        pytest.param("context.get_context().bind is op.get_bind()", True, id="bind"),
        pytest.param(
            "context.get_impl().__class__ is op.get_context().impl.__class__", True, id="impl"
        ),
        pytest.param("context.get_x_argument()", ["a=1", "b=x y"], id="x arguments"),
        pytest.param(
            "context.get_x_argument(as_dictionary=True)", {"a": "1", "b": "x y"}, id="as a mapping"
        ),
        pytest.param("context.config.attributes['mail']", "on", id="attributes of the run"),
        pytest.param("context.config.attributes['size']", 3, id="attributes of the package"),
        pytest.param("context.get_context().opts['invented']", {"deep": 1}, id="invented options"),
        pytest.param("context.get_context().opts['render_as_batch']", True, id="known options"),
        pytest.param("context.get_context().version_table", "ptah_db_versions", id="version_table"),
        pytest.param("context.get_context().opts['place']", "12:30", id="a text with a colon"),
        pytest.param(
            "context.config.get_main_option('sqlalchemy.url') == "
            "op.get_bind().engine.url.render_as_string(hide_password=False)",
            True,
            id="the URL",
        ),
    ],
)
def test_what_context_says(
    expression: str, expected: object, database: Database, make_package: PackageMaker
) -> None:
    """``from alembic import context`` is live beside ``op``, with all that was registered."""
    options = {
        "invented": {"deep": 1},
        "render_as_batch": True,
        "place": "12:30",
        "version_table": "elsewhere",
    }
    blog = make_package(
        "blog", {"001": TOLD.format(expression)}, options=options, attributes={"size": 3}
    )

    migrator(
        database, blog, x_arguments=["a=1", "b=x y"], attributes={"mail": "on", "size": 1}
    ).upgrade()

    ((text,),) = query(database, "SELECT text FROM told")
    assert json.loads(text) == expected


CONVENTION = {"uq": "uq_%(table_name)s_%(column_0_name)s", "ix": "ix_%(column_0_label)s"}
BATCH = """
with op.batch_alter_table("post") as batch:
    batch.add_column(sa.Column("slug", sa.String(20)))
    batch.create_unique_constraint(None, ["slug"])
"""


@pytest.mark.parametrize(
    "registered",
    [
        pytest.param({"naming_convention": CONVENTION}, id="the convention alone"),
        pytest.param({"metadata": sa.MetaData(naming_convention=CONVENTION)}, id="the models"),
        pytest.param({"naming_convention": "blog.names:CONVENTION"}, id="a dotted name"),
    ],
)
def test_naming_conventions(
    registered: dict[str, Any], database: Database, make_package: PackageMaker
) -> None:
    """A registered naming convention names what batch operations make, as in plain Alembic."""
    blog = make_package(
        "blog",
        {"001": TABLE.format("post"), "002": BATCH},
        files={"names.py": f"CONVENTION = {CONVENTION!r}\n"},
        fresh="steps",
        **registered,
    )
    reference = database.another()
    metadata = sa.MetaData(naming_convention=CONVENTION)
    Alembic(reference, blog, target_metadata=metadata).upgrade("head")

    migrator(database, blog).upgrade()

    assert schema(database.engine) == schema(reference.engine)
    unique = sa.inspect(database.engine).get_unique_constraints("post")
    assert [constraint["name"] for constraint in unique] == ["uq_post_slug"]


def test_on_version_apply(database: Database, make_package: PackageMaker) -> None:
    """The registered callback is called for each step with what plain Alembic gives it."""
    calls: dict[str, list[Any]] = {"ours": [], "alembic": []}

    def recorder(into: str) -> Callable[..., None]:
        def callback(ctx: Any, step: Any, heads: set[str], run_args: Any, **_: Any) -> None:
            assert ctx.connection.in_transaction()
            calls[into].append(
                (
                    step.is_upgrade,
                    step.is_migration,
                    step.up_revision_id,
                    set(step.down_revision_ids),
                    set(step.source_revision_ids),
                    set(step.destination_revision_ids),
                    set(heads),
                    dict(run_args),
                )
            )

        return callback

    options: dict[str, Any] = {"on_version_apply": [recorder("ours")]}
    blog = make_package("blog", {"001": "pass", "002": "pass"}, options=options)
    alembic = Alembic(database.another(), blog, on_version_apply=recorder("alembic"))
    alembic.upgrade("head")
    alembic.downgrade("-1")

    migrator(database, blog).upgrade()
    migrator(database, blog).downgrade("blog:-1")

    assert calls["ours"] == calls["alembic"]


def test_options_by_name(database: Database, make_package: PackageMaker) -> None:
    """Options and hooks may be registered as dotted names, for a registration that is only text."""
    hooks = """
    seen = []
    def applied(ctx, step, heads, run_args):
        seen.append(step.up_revision_id)
    def options():
        return {"on_version_apply": "blog.hooks:applied"}
    """
    blog = make_package(
        "blog", {"001": "pass"}, files={"hooks.py": hooks}, options="blog.hooks:options"
    )

    migrator(database, blog).upgrade()

    from blog import hooks as module  # type: ignore[import-not-found]

    assert module.seen == ["001"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param([1], "the options of package 'blog' are not a mapping", id="no mapping"),
        pytest.param(
            "blog.nothing:options",
            "the options of package 'blog', 'blog.nothing:options', cannot be imported",
            id="not there",
        ),
    ],
)
def test_bad_options(
    options: Any, words: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Options that cannot be used are an error that names the package, before anything is run."""
    with pytest.raises(ConfigError, match=words):
        migrator(sqlite_database, make_package("blog", {"001": "pass"}, options=options)).upgrade()

    assert tables(sqlite_database.engine) == set()


HALF = f"""
{TABLE.format("post")}
op.execute("INSERT INTO post VALUES (1)")
{TABLE.format("note")}
raise ValueError("stop")
"""


def test_registered_without_transactional_ddl(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Registered so, a step on SQLite leaves what plain Alembic leaves, and that is told."""
    blog = make_package("blog", {"001": HALF}, options={"transactional_ddl": False})
    reference = sqlite_database.another()
    with pytest.raises(ValueError, match="stop"):
        Alembic(reference, blog).upgrade("head")

    with pytest.raises(StepError) as caught:
        migrator(sqlite_database, blog).upgrade()

    assert schema(sqlite_database.engine) == schema(reference.engine)
    assert caught.value.left_behind == len(schema(reference.engine)["tables"])
    assert rows(sqlite_database.engine) == set()
    assert [s.problem for s in migrator(sqlite_database, blog).status()] == [
        "upgrade of 001 failed: ValueError: stop; it left 1 statement(s) behind"
    ]


def test_a_second_connection_may_write_without_transactional_ddl(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Registered so, a second connection can write in the middle of a step, as in plain Alembic."""
    body = f"""
    {TABLE.format("post")}
    with op.get_bind().engine.begin() as second:
        second.execute(sa.text("INSERT INTO post VALUES (1)"))
    op.execute("INSERT INTO post VALUES (2)")
    """
    blog = make_package("blog", {"001": body}, options={"transactional_ddl": False})

    migrator(sqlite_database, blog).upgrade()

    assert query(sqlite_database, "SELECT id FROM post") == [(1,), (2,)]
    assert rows(sqlite_database.engine) == {("blog", "001")}


def test_a_transaction_is_back_for_the_next_package(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """One package without transactions does not take them from the next one."""
    first = make_package("aaa", {"001": "pass"}, options={"transactional_ddl": False})
    second = make_package("bbb", {"001": HALF})

    with pytest.raises(StepError):
        migrator(sqlite_database, first, second).upgrade()

    assert rows(sqlite_database.engine) == {("aaa", "001")}
    assert schema(sqlite_database.engine)["tables"] == {}


# -- module globals ----------------------------------------------------------------------


def test_a_revision_that_binds_op_itself(database: Database, make_package: PackageMaker) -> None:
    """Alembic's own context manager leaves ``op`` unbound: the next step has it all the same."""
    own = """
    from alembic.operations import Operations
    with Operations.context(context.get_context()):
        op.create_table("own", sa.Column("id", sa.Integer))
    """
    blog = make_package("blog", {"001": own, "002": TABLE.format("post")})

    migrator(database, blog).upgrade()

    assert {"own", "post"} <= tables(database.engine)
    assert vars(alembic.op).get("_proxy") is None


NESTED = f"""
from ptah_migrate import Migrator
from ptah_migrate.errors import LockError
{TABLE.format("post")}
try:
    context.config.attributes["again"]()
except LockError as error:
    op.execute("INSERT INTO post VALUES (1)")
else:
    raise AssertionError("a nested run on the same database")
{TABLE.format("note")}
"""


def test_a_run_inside_a_step(database: Database, make_package: PackageMaker) -> None:
    """An upgrade of the same database from inside a step is refused at once; the step goes on."""
    caught: list[LockError] = []

    def again() -> None:
        try:
            migrator(database.engine, blog, lock_timeout=60).upgrade()
        except LockError as error:
            caught.append(error)
            raise

    blog = make_package("blog", {"001": NESTED, "002": TABLE.format("more")})

    migrator(database, blog, attributes={"again": again}).upgrade()

    assert [str(error) for error in caught] == [
        "the migration lock is held by this process, in a step that is running now, waited 0 s"
    ]
    assert query(database, "SELECT id FROM post") == [(1,)]
    assert {"note", "more"} <= tables(database.engine)
    assert rows(database.engine) == {("blog", "002")}


def test_a_run_inside_a_step_that_is_not_caught(
    database: Database, make_package: PackageMaker
) -> None:
    """The refusal of a nested run fails the step like any other error, with its place."""
    blog = make_package("blog", {"001": "context.config.attributes['again']()"})
    again = migrator(database, blog).upgrade

    with pytest.raises(StepError) as caught:
        migrator(database, blog, attributes={"again": again}).upgrade()

    assert caught.value.cause.startswith("the migration lock is held by this process")
    assert caught.value.place.startswith(f"{blog.migrations / '001.py'}:")


def test_another_database_inside_a_step(database: Database, make_package: PackageMaker) -> None:
    """A step may upgrade another database; afterwards ``op`` is that of the outer step again."""
    other = database.another()
    inner = make_package("inner", {"001": TABLE.format("inside")})
    outer = make_package(
        "outer",
        {"001": f"{TABLE.format('a')}\ncontext.config.attributes['go']()\n{TABLE.format('b')}"},
    )

    migrator(database, outer, attributes={"go": migrator(other, inner).upgrade}).upgrade()

    assert {"a", "b"} <= tables(database.engine)
    assert "inside" not in tables(database.engine)
    assert "inside" in tables(other.engine)
    assert (rows(database.engine), rows(other.engine)) == (
        {("outer", "001")},
        {("inner", "001")},
    )


def test_two_threads_two_databases(database: Database, make_package: PackageMaker) -> None:
    """Two threads that upgrade two databases at once: each table is made in its own database."""
    databases = [database, database.another()]
    count = 12
    packages = [
        make_package(
            name,
            {f"{n:03}": f"{TABLE.format(f'{name}_{n}')}" for n in range(count)},
        )
        for name in ("left", "right")
    ]
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def run(index: int) -> None:
        try:
            start.wait()
            migrator(databases[index], packages[index]).upgrade()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    for where, package in zip(databases, packages, strict=True):
        names = {name for name in tables(where.engine) if not name.startswith("ptah_db")}
        assert names == {f"{package.name}_{n}" for n in range(count)}


@pytest.mark.parametrize("body", ["raise ValueError(1)", "raise KeyboardInterrupt", "pass"])
def test_nothing_stays_bound(
    body: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """After a run, also one that failed, ``op`` and ``context`` are bound to nothing."""
    blog = make_package("blog", {"001": body})

    with suppress(StepError, KeyboardInterrupt):
        migrator(sqlite_database, blog).upgrade()

    with pytest.raises((NameError, AttributeError, TypeError)):
        alembic.op.execute("SELECT 1")
    with pytest.raises((NameError, AttributeError, TypeError)):
        alembic.context.is_offline_mode()


def test_modules_are_as_imported(database: Database, make_package: PackageMaker) -> None:
    """Two packages with one id, dataclasses, and imports of the package's own code all work."""
    text = """
    from __future__ import annotations
    import dataclasses
    import sqlalchemy as sa
    from alembic import op
    from {0}.names import NAME
    revision = "001"
    down_revision = None

    @dataclasses.dataclass
    class Row:
        name: str = NAME

    def upgrade():
        op.create_table(Row().name, sa.Column("id", sa.Integer))
    """
    packages = [
        make_package(
            name,
            {"001.py": text.format(name)},
            files={"names.py": f"NAME = '{name}_table'\n"},
        )
        for name in ("one", "two")
    ]

    migrator(database, *packages).upgrade()

    assert {"one_table", "two_table"} <= tables(database.engine)
