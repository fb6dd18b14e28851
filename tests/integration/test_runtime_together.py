"""Steps that share a transaction: a failure undoes its own step, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from ptah_migrate._runtime.alone import alone
from ptah_migrate.errors import StepError, UsageError
from ptah_migrate.model import Done, Step
from tests.helpers import Database, PackageMaker, PackageOnDisk, rows, tables
from tests.integration.running import everything, journal, migrator, query

TABLE = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"
ROW = "op.execute('INSERT INTO a VALUES (1)')"

SWALLOWED = """
try:
    getattr(op.get_bind(), 'roll' + 'back')()
except Exception:
    pass
"""

# What a step may do to the transaction, in plain words and hidden from who reads its code.
ENDINGS = [
    pytest.param("op.get_bind().commit()", id="commit"),
    pytest.param("getattr(op.get_bind(), 'com' + 'mit')()", id="hidden commit"),
    pytest.param("op.execute('COM' + 'MIT')", id="hidden COMMIT"),
    pytest.param("op.execute(' '.join(['COMMIT']))", id="joined COMMIT"),
    pytest.param("op.get_bind().rollback()", id="rollback"),
    pytest.param("getattr(op.get_bind(), 'roll' + 'back')()", id="hidden rollback"),
    pytest.param("op.execute(''.join(['ROLL', 'BACK']))", id="hidden ROLLBACK"),
    pytest.param(SWALLOWED, id="swallowed"),
    pytest.param(
        "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')", id="autocommit"
    ),
    pytest.param(
        "with getattr(op.get_context(), 'autocommit' + '_block')():\n    op.execute('SELECT 1')",
        id="hidden autocommit",
    ),
]
SECOND = """
engine = getattr(op.get_bind(), 'eng' + 'ine')
with getattr(engine, 'conn' + 'ect')() as second:
    assert second.execute(sa.text('SELECT count(*) FROM a')).scalar() == 1
"""


@contextmanager
def commits() -> Iterator[list[int]]:
    """Yield a list that grows with each commit of a transaction."""
    seen: list[int] = []

    def note(_connection: object) -> None:
        seen.append(1)

    sa.event.listen(sa.Engine, "commit", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "commit", note)


@pytest.fixture(params=["sqlite", "postgresql"])
def transactional(request: pytest.FixtureRequest) -> Database:
    """Return a database in which DDL can be undone."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


def test_one_commit_for_a_package(sqlite_database: Database, make_package: PackageMaker) -> None:
    """On SQLite ten steps of a package wait for the disk once."""
    blog = make_package("blog", {f"{n:03}": TABLE.format(f"t{n}") for n in range(1, 11)})
    migrator(sqlite_database, blog).upgrade("blog:+1")

    with commits() as together:
        migrator(sqlite_database, blog).upgrade("blog:006")
    with commits() as alone_:
        migrator(sqlite_database, blog, transaction="step").upgrade()

    assert len(together) == 2  # our tables, then five steps
    assert len(alone_) == 5
    assert rows(sqlite_database.engine) == {("blog", "010")}
    assert [entry[1] for entry in journal(sqlite_database)] == [f"{n:03}" for n in range(1, 11)]


def told_of(names: list[str]) -> Callable[[Done], None]:
    """Return what notes each finished step by its name."""

    def note(done: Done) -> None:
        assert isinstance(done.item, Step)
        names.append(str(done.item.key))

    return note


@pytest.mark.parametrize("kind", ["step", "package"])
def test_a_failing_step(kind: str, transactional: Database, make_package: PackageMaker) -> None:
    """The steps before it stay, it leaves nothing, and a rerun goes on with it."""
    failing = f"{TABLE.format('c')}\nop.execute('INSERT INTO nowhere VALUES (1)')"
    blog = make_package(
        "blog", {"001": TABLE.format("a"), "002": TABLE.format("b"), "003": failing, "004": "pass"}
    )
    told: list[str] = []

    with pytest.raises(StepError) as caught:
        migrator(
            transactional,
            blog,
            transaction=kind,
            progress=told_of(told),
        ).upgrade()

    assert caught.value.applied == ("blog:001", "blog:002") == tuple(told)
    assert caught.value.left_behind == 0
    assert rows(transactional.engine) == {("blog", "002")}
    assert {"a", "b", "c"} & set(tables(transactional.engine)) == {"a", "b"}
    make_package("blog", {"001": TABLE.format("a"), "002": TABLE.format("b"), "003": "pass"})
    steps = migrator(transactional, blog).upgrade().plan.steps
    assert [step.revision.id for step in steps] == ["003", "004"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_step_does_to_the_transaction(
    ending: str, transactional: Database, make_package: PackageMaker
) -> None:
    """Whatever it ends or undoes: every step runs, and all is as with a transaction for each."""
    steps = {
        "001": TABLE.format("a"),
        "002": ROW,
        "003": f"{ending}\n{TABLE.format('b')}",
        "004": TABLE.format("c"),
    }
    blog = make_package("blog", steps)
    other = transactional.another()

    migrator(transactional, blog, transaction="package").upgrade()
    migrator(other, blog, transaction="step").upgrade()

    assert query(transactional, "SELECT count(*) FROM a") == [(1,)]
    assert rows(transactional.engine) == {("blog", "004")}
    assert everything(transactional) == everything(other)


@pytest.mark.parametrize("second", [SECOND, SECOND.replace("' + '", "")])
def test_a_second_connection_sees_finished_steps(
    second: str, transactional: Database, make_package: PackageMaker
) -> None:
    """A step that looks from a second connection finds what the steps before it did."""
    blog = make_package(
        "blog", {"001": TABLE.format("a"), "002": ROW, "003": second, "004": TABLE.format("b")}
    )

    report = migrator(transactional, blog, transaction="package").upgrade()

    assert [step.revision.id for step in report.plan.steps] == ["001", "002", "003", "004"]
    assert rows(transactional.engine) == {("blog", "004")}


def test_a_database_that_undoes_everything(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """ON CONFLICT ROLLBACK ends the whole transaction: the steps before it are done again."""
    blog = make_package(
        "blog",
        {
            "001": TABLE.format("a"),
            "002": ROW,
            "003": "op.execute('INSERT OR ROLLBACK INTO a VALUES (1)')",
        },
    )

    with pytest.raises(StepError) as caught:
        migrator(sqlite_database, blog).upgrade()

    assert caught.value.applied == ("blog:001", "blog:002")
    assert rows(sqlite_database.engine) == {("blog", "002")}
    assert query(sqlite_database, "SELECT count(*) FROM a") == [(1,)]


def test_an_interruption_keeps_finished_steps(
    transactional: Database, make_package: PackageMaker
) -> None:
    """Ctrl-C in a step: the steps before it are recorded, as the command says."""
    blog = make_package(
        "blog", {"001": TABLE.format("a"), "002": "raise KeyboardInterrupt", "003": "pass"}
    )

    with pytest.raises(KeyboardInterrupt):
        migrator(transactional, blog, transaction="package").upgrade()

    assert rows(transactional.engine) == {("blog", "001")}
    assert "a" in tables(transactional.engine)


def test_downgrade_together(transactional: Database, make_package: PackageMaker) -> None:
    """The way down shares a transaction like the way up."""
    steps = {f"{n:03}": (TABLE.format(f"t{n}"), f"op.drop_table('t{n}')") for n in range(1, 5)}
    blog = make_package("blog", steps)
    mine = migrator(transactional, blog, transaction="package")
    mine.upgrade()

    mine.downgrade("blog:001")

    assert rows(transactional.engine) == {("blog", "001")}
    assert [name for name in tables(transactional.engine) if name[0] == "t"] == ["t1"]


def test_no_such_transaction(sqlite_database: Database) -> None:
    """An unknown word is refused, with the known ones."""
    with pytest.raises(UsageError, match="transaction 'all' is not known") as caught:
        migrator(sqlite_database, transaction="all")

    assert caught.value.hint == "one of auto, step, package"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("op.create_table('a')", False, id="plain"),
        pytest.param("op.get_bind().execute(text('SELECT 1'))", False, id="query"),
        pytest.param("op.execute('UPDATE a SET b = 1')", False, id="update"),
        pytest.param("op.execute('  -- why\\n vacuum')", True, id="VACUUM"),
        pytest.param("op.execute('PRAGMA foreign_keys = OFF')", True, id="PRAGMA"),
        pytest.param("op.get_bind().commit()", True, id="commit"),
        pytest.param("[Session(op.get_bind()) for _ in a]", True, id="inside a list"),
        pytest.param("helper()", True, id="in a function it calls"),
    ],
)
def test_what_the_code_shows(body: str, expected: bool) -> None:
    """Names and texts of a revision's functions tell whether it needs its own transaction."""
    module = ModuleType("revision")
    source = f"def upgrade():\n    {body}\n"
    if "helper" in body:
        source += "def helper():\n    engine.connect()\n"
    exec(source, vars(module))

    assert alone(module) is expected


def test_postgresql_commits_each_step(
    postgresql_database: Database, make_package: PackageMaker
) -> None:
    """By default PostgreSQL gets a transaction for each step, and keeps no locks between them."""
    blog = make_package("blog", {f"{n:03}": TABLE.format(f"t{n}") for n in range(1, 9)})

    with commits() as each:
        migrator(postgresql_database, blog).upgrade("blog:004")
    with commits() as shared:
        migrator(postgresql_database, blog, transaction="package").upgrade()

    # The session and the lock take some too, the same in both.
    assert len(each) - len(shared) == 3


MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("{0}_a", metadata, sa.Column("id", sa.Integer, primary_key=True))
sa.Table("{0}_b", metadata, sa.Column("kind", sa.Enum("x", "y", name="{1}")))
"""


def seeded(make_package: PackageMaker, count: int, enum: str = "{0}_kind") -> list[PackageOnDisk]:
    """Return packages whose tables are made from their models."""
    return [
        make_package(
            name,
            {"001": "op.add_column('old', sa.Column('x', sa.Integer))"},
            files={"models.py": MODELS.format(name, enum.format(name))},
            metadata=f"{name}.models:metadata",
        )
        for name in (f"seed{number}" for number in range(count))
    ]


def test_seeding_asks_for_no_table(transactional: Database, make_package: PackageMaker) -> None:
    """Each table is one statement, and all rows are one: what is missing is listed once."""
    counts: list[int] = []
    for number in (1, 5):
        packages = seeded(make_package, number)
        sent: list[str] = []

        def note(_c: object, _cursor: object, text: str, *_: object, to: list[str] = sent) -> None:
            to.append(text)

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            migrator(transactional.another(), *packages).seed()
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        counts.append(len([text for text in sent if "INSERT INTO ptah_db" in text]))

        assert len([text for text in sent if text.lstrip().startswith("CREATE TABLE seed")]) == (
            2 * number
        )

    assert counts == [2, 2]


def test_seeding_what_two_packages_share(
    transactional: Database, make_package: PackageMaker
) -> None:
    """A type that two packages use is made once; both are seeded."""
    packages = seeded(make_package, 2, enum="kind")

    report = migrator(transactional, *packages).seed()

    assert [done.item.package for done in report.done] == ["seed0", "seed1"]
    assert rows(transactional.engine) == {("seed0", "001"), ("seed1", "001")}
    assert [entry[:2] for entry in journal(transactional)] == [("seed0", "001"), ("seed1", "001")]


# -- killed ------------------------------------------------------------------------------

# Forks one runner for each statement that a run sends to SQLite, and kills it there.
KILLER = """
import json, os, sys
import sqlalchemy as sa
from ptah_migrate import Migrator, Registry, make_package

folder, paths = sys.argv[1], json.loads(sys.argv[2])
registry = Registry(make_package(name, path) for name, path in paths.items())

def states(url):
    engine = sa.create_engine(url)
    recorded = Migrator(engine, registry).versions_recorded()
    return {name: list(ids) for name, ids in recorded.items()}, sa.inspect(engine).get_table_names()

def upgrade(url, last):
    engine = sa.create_engine(url)
    left = [last]

    @sa.event.listens_for(engine, "connect")
    def connected(connection, _record):
        def count(_statement):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
        connection.set_trace_callback(count)

    Migrator(engine, registry).upgrade()

for number in range(1000):
    url = f"sqlite:///{folder}/{number}.sqlite"
    child = os.fork()
    if not child:
        upgrade(url, number)
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after = states(url)
    upgrade(url, 10_000)
    print(json.dumps([killed, *after, *states(url)]))
    if not killed:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each run is a fork of one process")
def test_killed_at_every_statement(make_package: PackageMaker, tmp_path: Path) -> None:
    """What is recorded is there, and nothing else; the next run does the rest."""
    bodies = {
        name: {"001": TABLE.format(f"{name}1"), "002": "pass", "003": TABLE.format(f"{name}3")}
        for name in ("blog", "shop")
    }
    paths = {name: str(make_package(name, some).migrations) for name, some in bodies.items()}
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path), json.dumps(paths)],
        capture_output=True,
        text=True,
        check=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [killed for killed, *_ in found] == [9] * (len(found) - 1) + [0]
    whole = {name: ["003"] for name in bodies}
    for _, recorded, there, recorded_then, there_then in found:
        # The steps of a package are committed together: none of them, or all.
        assert recorded.items() <= whole.items()
        expected = {f"{name}{number}" for name in recorded for number in (1, 3)}
        assert _made(there) == expected
        assert recorded_then == whole
        assert _made(there_then) == {f"{name}{number}" for name in bodies for number in (1, 3)}
    assert {len(recorded) for _, recorded, *_ in found} == {0, 1, 2}


def _made(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("ptah_")}
