"""One runner at a time: who waits, who is told what, and what happens when a runner dies."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

import ptah_migrate
from ptah_migrate.errors import LOCKED, LockError, LockLostError
from tests.conftest import CI
from tests.helpers import (
    DATABASES,
    Database,
    PackageMaker,
    PackageOnDisk,
    revision_source,
    rows,
    tables,
)
from tests.integration.running import journal, migrator, query

TABLE = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"
STARTERS = 8

# -- many processes at once ----------------------------------------------------------------

WORKER = """
import json, sys
from ptah_migrate import Migrator, Registry, make_package

Migrator("sqlite://", Registry()).upgrade()  # loads everything before the start
print("ready", flush=True)
for line in sys.stdin:
    url, path, arguments = json.loads(line)
    try:
        registry = Registry([make_package("blog", path)])
        report = Migrator(url, registry, lock_timeout=120, x_arguments=arguments).upgrade()
        told = len(report.done)
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
    print(json.dumps(told), flush=True)
"""


class Worker:
    """A process that upgrades what it is told to."""

    def __init__(self) -> None:
        path = [str(Path(ptah_migrate.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, path)), "PYTHONUTF8": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )

    def ready(self) -> Worker:
        """Wait until it has loaded everything."""
        assert self._line() == "ready"
        return self

    def start(self, database: Database, package: PackageOnDisk, *arguments: str) -> None:
        """Let it upgrade."""
        assert self.process.stdin is not None
        order = [database.url, str(package.migrations), arguments]
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def result(self) -> int | str:
        """Return the number of steps that it did, or the error."""
        found: int | str = json.loads(self._line())
        return found

    def kill(self) -> None:
        """Kill it the hard way."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def workers(count: int) -> Iterator[list[Worker]]:
    """Yield processes that wait for an order."""
    crew = [Worker() for _ in range(count)]
    try:
        yield [worker.ready() for worker in crew]
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.communicate()


def counted(make_package: PackageMaker, kind: str) -> PackageOnDisk:
    """Return a package whose steps leave a row each time they run."""
    concurrently = ", postgresql_concurrently=True" if kind == "postgresql" else ""
    tally = "op.execute(\"INSERT INTO tally (step) VALUES ('{0}')\")"
    return make_package(
        "blog",
        {
            "001": "op.create_table('tally', sa.Column('step', sa.String(3), nullable=False))",
            "002": tally.format("002"),
            "003": f"""
                with op.get_context().autocommit_block():
                    op.create_index('ix_tally', 'tally', ['step']{concurrently})
                {tally.format("003")}
            """,
            "004": tally.format("004"),
        },
    )


def storm(rounds: int, database: Database, package: PackageOnDisk) -> None:
    """Let all processes upgrade at once, again and again, each time an empty database."""
    with workers(STARTERS) as crew:
        for _ in range(rounds):
            fresh = database.another()
            for worker in crew:
                worker.start(fresh, package)
            results = [worker.result() for worker in crew]

            assert sorted(map(str, results)) == ["0"] * (STARTERS - 1) + ["4"]
            assert query(fresh, "SELECT step FROM tally ORDER BY step") == [
                ("002",),
                ("003",),
                ("004",),
            ]
            assert journal(fresh, "done") == [
                ("blog", id_, "upgrade") for id_ in ("001", "002", "003", "004")
            ]
            assert rows(fresh.engine) == {("blog", "004")}
            assert [i["name"] for i in sa.inspect(fresh.engine).get_indexes("tally")] == [
                "ix_tally"
            ]
            fresh.engine.dispose()


def test_eight_processes_at_once(database: Database, make_package: PackageMaker) -> None:
    """Eight processes upgrade at once, five times: all succeed, each step is done once."""
    storm(5, database, counted(make_package, database.name))


@pytest.mark.slow
@pytest.mark.skipif(CI, reason="five rounds are enough here, make test does twenty")
def test_eight_processes_at_once_twenty_times(
    database: Database, make_package: PackageMaker
) -> None:
    """Eight processes upgrade at once, twenty times: all succeed, each step is done once."""
    storm(20, database, counted(make_package, database.name))


# -- waiting ---------------------------------------------------------------------------------


@contextmanager
def held(database: Database, make_package: PackageMaker) -> Iterator[Callable[[], None]]:
    """Keep a run in the middle of a step, in a thread; yield what lets it go on."""
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(60)

    holder = make_package("holder", {"001": "context.config.attributes['wait']()"})
    mine = migrator(database, holder, attributes={"wait": wait})
    thread = threading.Thread(target=mine.upgrade)
    thread.start()
    assert inside.wait(60)
    try:
        yield go_on.set
    finally:
        go_on.set()
        thread.join(60)


HOLDERS = {
    "sqlite": rf"ptah-migrate \S+:{os.getpid()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d",
    "postgresql": rf"ptah-migrate \S+:{os.getpid()} \(pid \d+, client \S+, since \S+ \S+\)",
    "mariadb": r"connection \d+ \(root@\S+\)",
}


def test_a_lock_that_is_held(
    database: Database, make_package: PackageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """After the given time the second run gives up, names the holder, and has done nothing."""
    blog = make_package("blog", {"001": TABLE.format("post")})
    with held(database, make_package):
        started = time.monotonic()
        with (
            caplog.at_level(logging.INFO, "ptah_migrate.lock"),
            pytest.raises(LockError) as caught,
        ):
            migrator(database, blog, lock_timeout=3).upgrade()
        waited = time.monotonic() - started

    assert caught.value.exit_code == LOCKED == 4
    assert caught.match(
        rf"^the migration lock is held by {HOLDERS[database.name]}, waited [3-9](\.\d)? s$"
    )
    assert 3 <= waited < 15
    said = [record for record in caplog.records if record.name == "ptah_migrate.lock"]
    assert [record.getMessage().partition(",")[0] for record in said] == [
        "waiting for the migration lock"
    ]
    assert "post" not in tables(database.engine)
    migrator(database, blog).upgrade()
    assert rows(database.engine) == {("blog", "001"), ("holder", "001")}


@pytest.mark.parametrize("order", ["upgrade", "downgrade", "stamp", "seed"])
def test_every_writing_order_takes_the_lock(
    order: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Everything that writes takes the lock, also where there is nothing to do."""
    blog = make_package("blog", {"001": "pass"})
    target = "blog:base" if order == "downgrade" else "blog"
    with held(sqlite_database, make_package), pytest.raises(LockError):
        getattr(migrator(sqlite_database, blog, lock_timeout=0), order)(target)


def test_reading_does_not_wait(database: Database, make_package: PackageMaker) -> None:
    """``status``, ``plan`` and ``check`` answer at once while somebody runs."""
    blog = make_package("blog", {"001": "pass"})
    mine = migrator(database, blog)
    mine.upgrade()

    with held(database, make_package):
        started = time.monotonic()
        mine.check()
        assert not mine.plan()
        assert [s.state for s in mine.status() if s.package == "blog"] == ["current"]
        assert time.monotonic() - started < 5


def test_a_waiting_run_goes_on(database: Database, make_package: PackageMaker) -> None:
    """A run that waited finds the state that the other one left, and says how long it waited."""
    blog = make_package("blog", {"001": TABLE.format("post")})
    with held(database, make_package) as go_on:
        timer = threading.Timer(1.5, go_on)
        timer.start()
        report = migrator(database, blog).upgrade()
        timer.join()

    assert 0.3 < report.waited < 30
    assert rows(database.engine) == {("blog", "001"), ("holder", "001")}


def test_two_databases_do_not_wait_for_each_other(
    database: Database, make_package: PackageMaker
) -> None:
    """The lock is of one database, not of the server."""
    other = database.another()
    blog = make_package("blog", {"001": "pass"})
    mine = migrator(other, blog, lock_timeout=0)

    with held(database, make_package):
        mine.stamp()

    assert rows(other.engine) == {("blog", "001")}


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_nothing_stays_locked(
    kind: str, request: pytest.FixtureRequest, make_package: PackageMaker
) -> None:
    """After a run the lock is free, though the application's pool is as before."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    blog = make_package("blog", {"001": "1 / 0"})
    with pytest.raises(Exception, match="ZeroDivisionError"):
        migrator(database, blog).upgrade()
    with database.engine.connect() as connection:
        with pytest.raises(Exception, match="ZeroDivisionError"):
            migrator(connection, blog).upgrade()

        with pytest.raises(Exception, match="ZeroDivisionError"):
            migrator(database, blog, lock_timeout=0).upgrade()


# -- runners that die ------------------------------------------------------------------------

HANG = """
if context.get_x_argument():
    import pathlib, time
    pathlib.Path(context.get_x_argument()[0]).touch()
    {0}
"""


def killed_inside(database: Database, package: PackageOnDisk, marker: Path) -> float:
    """Kill a process in the middle of a step; return when."""
    with workers(1) as (worker,):
        worker.start(database, package, str(marker))
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)
        worker.kill()
        return time.monotonic()


def test_a_killed_runner_frees_the_lock(
    database: Database, make_package: PackageMaker, tmp_path: Path
) -> None:
    """A process killed in a step frees the lock; the next run does the step."""
    hang = HANG.format("time.sleep(300)")
    blog = make_package("blog", {"001": "pass", "002": f"{hang}\n{TABLE.format('post')}"})
    when = killed_inside(database, blog, tmp_path / "inside")
    mine = migrator(database, blog, lock_timeout=30)

    problem = "upgrade of 002 was begun and is not finished" if database.name == "mariadb" else ""
    done = () if database.name == "sqlite" else ("001",)  # there the package is one transaction
    assert [(s.rows, s.problem) for s in mine.status()] == [(done, problem)]
    mine.upgrade()

    assert time.monotonic() - when < 15
    assert rows(database.engine) == {("blog", "002")}
    assert [(s.state, s.problem) for s in mine.status()] == [("current", "")]


def test_a_runner_killed_in_a_statement(
    postgresql_database: Database, make_package: PackageMaker, tmp_path: Path
) -> None:
    """On PostgreSQL the lock is free soon after, though the server was inside a long statement."""
    hang = HANG.format("op.execute('SELECT pg_sleep(120)')")
    blog = make_package("blog", {"001": f"{TABLE.format('post')}\n{hang}"})
    when = killed_inside(postgresql_database, blog, tmp_path / "inside")

    migrator(postgresql_database, blog, lock_timeout=60).upgrade()

    assert time.monotonic() - when < 30
    assert rows(postgresql_database.engine) == {("blog", "001")}


def test_a_runner_killed_after_a_commit(
    database: Database, make_package: PackageMaker, tmp_path: Path
) -> None:
    """A step killed after it committed something is shown as not finished, on every database."""
    hang = HANG.format("time.sleep(300)")
    body = f"""
{TABLE.format("post")}
with op.get_context().autocommit_block():
    op.create_index('ix_post', 'post', ['id'])
{hang}
"""
    blog = make_package("blog", {"001": body})
    killed_inside(database, blog, tmp_path / "inside")

    assert [(s.state, s.problem) for s in migrator(database, blog).status()] == [
        ("unrecorded", "upgrade of 001 was begun and is not finished")
    ]
    assert "post" in tables(database.engine)


# -- connections that are lost -----------------------------------------------------------------

SERVERS = [kind for kind in DATABASES if kind != "sqlite"]


def kill(database: Database, connection: sa.Connection | None = None) -> None:
    """Cut every other connection to a database, or the given one, from outside."""
    with database.engine.connect() as other:
        if database.name == "postgresql":
            other.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        found = other.exec_driver_sql(
            "SELECT id FROM information_schema.processlist "
            "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        for (number,) in found.all():
            other.exec_driver_sql(f"KILL {number}")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Database:
    """Return an empty database of a server."""
    database: Database = request.getfixturevalue(f"{request.param}_database")
    return database


KILL = "context.config.attributes['kill']()"
LOSSES = {
    "in a step": f"{KILL}\nop.execute('SELECT 1')",
    "at the end of a step": KILL,
    "in a step that goes on after it": f"""
        {KILL}
        try:
            op.execute("SELECT 1")
        except Exception:
            op.get_bind().rollback()
        op.execute("UPDATE tally SET id = 2")
    """,
    "in an autocommit block": f"""
        with op.get_context().autocommit_block():
            {KILL}
            op.execute("UPDATE tally SET id = 2")
    """,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_connection(loss: str, server: Database, make_package: PackageMaker) -> None:
    """Once the connection with the lock is lost nothing more is run; a rerun succeeds."""
    tally = f"{TABLE.format('tally')}\nop.execute('INSERT INTO tally VALUES (1)')"
    blog = make_package("blog", {"001": tally, "002": LOSSES[loss], "003": TABLE.format("later")})

    with pytest.raises(LockLostError):
        migrator(server, blog, attributes={"kill": lambda: kill(server)}).upgrade()

    assert rows(server.engine) == {("blog", "001")}
    assert query(server, "SELECT id FROM tally") == [(1,)]
    assert "later" not in tables(server.engine)
    migrator(server, blog, attributes={"kill": lambda: None}).upgrade()
    assert rows(server.engine) == {("blog", "003")}


@pytest.mark.parametrize("steps", [["001"], ["001", "002"]], ids=["one", "several"])
@pytest.mark.parametrize("transaction", ["step", "package"])
def test_a_lock_that_a_revision_gives_back(
    transaction: str, steps: list[str], postgresql_database: Database, make_package: PackageMaker
) -> None:
    """A revision that releases all locks of its session is undone: somebody else may be at work."""
    thief = f"{TABLE.format('made')}\nop.execute('SELECT pg_advisory_unlock_all()')"
    sources = {"001": TABLE.format("first"), "002": "pass"}
    blog = make_package("blog", {**{id_: sources[id_] for id_ in steps}, "003": thief})

    with pytest.raises(LockLostError):
        migrator(postgresql_database, blog, transaction=transaction).upgrade()

    assert "made" not in tables(postgresql_database.engine)
    assert ("blog", "003") not in rows(postgresql_database.engine)


def test_the_lock_is_asked_for_and_kept(
    postgresql_database: Database, make_package: PackageMaker
) -> None:
    """To ask whether the lock is ours, at every step, never lets anybody else have it."""
    steps = {f"{number:03}": "context.config.attributes['others']()" for number in range(1, 6)}
    blog = make_package("blog", steps)
    locks = (
        "SELECT l.pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
        "WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
    )
    holders: list[object] = []

    migrator(
        postgresql_database,
        blog,
        attributes={"others": lambda: holders.append(query(postgresql_database, locks))},
    ).upgrade()

    assert len(holders) == 5
    assert all(len(one) == 1 and one == holders[0] for one in holders)  # type: ignore[arg-type]
    assert query(postgresql_database, locks) == []


@pytest.mark.parametrize("what", ["step", "seed"])
def test_a_connection_lost_between_two_items(
    what: str, server: Database, make_package: PackageMaker
) -> None:
    """A connection that is lost between two items is noticed before the next one does anything."""
    first = make_package("aaa", {"001": TABLE.format("first")})
    second = make_package(
        "bbb",
        {"001.py": revision_source("001", upgrade=TABLE.format("second"), requires=["aaa:001"])},
        files={
            "models.py": "import sqlalchemy as sa\nmetadata = sa.MetaData()\n"
            "sa.Table('second', metadata, sa.Column('id', sa.Integer, primary_key=True))\n"
        },
        metadata="bbb.models:metadata",
        fresh="create" if what == "seed" else "steps",
    )
    order = [first, second]
    mine = migrator(server, *order, progress=lambda _done: kill(server))

    with pytest.raises(LockLostError):
        mine.upgrade()

    assert "second" not in tables(server.engine)
    assert {package for package, _ in rows(server.engine)} == {order[0].name}


def test_a_callers_connection_that_is_lost(server: Database, make_package: PackageMaker) -> None:
    """The caller's own connection, lost in a step, is left for the caller to connect anew."""
    blog = make_package("blog", {"001": LOSSES["in a step"]})
    other = sa.create_engine(server.url)
    with other.connect() as connection:
        with pytest.raises(LockLostError):
            migrator(connection, blog, attributes={"kill": lambda: kill(server)}).upgrade()

        connection.rollback()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    other.dispose()
