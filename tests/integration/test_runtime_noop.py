"""What it costs to find out that there is nothing to do."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from ptah_migrate import Migrator, Registry
from ptah_migrate._runtime.databases import for_dialect
from ptah_migrate.errors import DatabaseAheadError, LockError, MultipleHeadsError
from tests.helpers import Command, Database, PackageMaker, revision_source


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield the statements that are sent to any database from here on."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def many(make_package: PackageMaker, count: int) -> Registry:
    return Registry(
        make_package(f"pkg{number}", {"001": "pass"}).package for number in range(count)
    )


@pytest.mark.parametrize("count", [1, 30, pytest.param(1000, marks=pytest.mark.slow)])
def test_one_select(count: int, make_package: PackageMaker, sqlite_database: Database) -> None:
    """Nothing to do is one SELECT, the state of all two, however many packages there are."""
    registry = many(make_package, count)
    Migrator(sqlite_database.engine, registry).stamp(*registry.packages)

    for act in (Migrator.upgrade, Migrator.check):
        with statements() as sent:
            act(Migrator(sqlite_database.engine, registry))

        assert sent == ["SELECT * FROM ptah_db_versions"]

    with statements() as sent:
        status = Migrator(sqlite_database.engine, registry).status()

    assert len(sent) == 2  # the journal says how
    assert [(one.state, one.how, one.heads) for one in status] == [
        ("current", "stamped", ("001",))
    ] * count


def test_one_select_on_every_database(make_package: PackageMaker, database: Database) -> None:
    """No session is set up, no lock taken, no journal read."""
    registry = many(make_package, 2)
    Migrator(database.engine, registry).upgrade()
    Migrator(database.engine, registry).plan()

    with statements() as sent:
        report = Migrator(database.engine, registry).upgrade()

    assert [text for text in sent if "ptah_db_versions" in text] == [
        "SELECT * FROM ptah_db_versions"
    ]
    assert [text for text in sent if "ptah" in text and "_versions" not in text] == []
    assert not report.plan
    assert report.plan.packages == ("pkg0", "pkg1")


def test_nothing_to_do_needs_no_lock(make_package: PackageMaker, database: Database) -> None:
    """A server that starts while somebody upgrades another one's packages does not wait."""
    registry = many(make_package, 1)
    Migrator(database.engine, registry).upgrade()
    held = for_dialect(database.dialect)
    more = Registry([*registry, make_package("late", {"001": "pass"}).package])

    with database.engine.connect() as connection, held.locked(connection, 5):
        # This thread holds the lock: whoever asks for it is refused at once.
        assert not Migrator(database.engine, registry, lock_timeout=0).upgrade().plan
        with pytest.raises(LockError):
            Migrator(database.engine, more, lock_timeout=0).upgrade()


def test_a_database_ahead_is_refused_still(make_package: PackageMaker, database: Database) -> None:
    """Rows that are not the heads are looked into."""
    blog = make_package("blog", {"001": "pass", "002": "pass"})
    Migrator(database.engine, Registry([blog.package])).upgrade()
    (blog.migrations / "002.py").unlink()

    with pytest.raises(DatabaseAheadError, match="002"):
        Migrator(database.engine, Registry([blog.package])).upgrade()


def test_several_heads_are_ambiguous_at_them_too(
    make_package: PackageMaker, sqlite_database: Database
) -> None:
    """`blog:head` of a history with two heads is refused, also where both are applied."""
    blog = make_package(
        "blog",
        {
            "001.py": revision_source("001"),
            "002.py": revision_source("002", "001"),
            "003.py": revision_source("003", "001"),
        },
    )
    migrator = Migrator(sqlite_database.engine, Registry([blog.package]))
    migrator.upgrade("blog:heads")

    assert not migrator.upgrade("blog:heads").plan
    with pytest.raises(MultipleHeadsError):
        migrator.upgrade("blog")


CODE = """
import sys
from ptah_migrate import Migrator, Registry, make_package
migrator = Migrator(sys.argv[1], Registry([make_package("blog", "blog:migrations")]))
getattr(migrator, sys.argv[2])()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"alembic", "mako", "jinja2"}))
"""


@pytest.mark.parametrize("act", ["upgrade", "status", "check", "plan"])
def test_alembic_is_not_loaded(
    act: str, make_package: PackageMaker, sqlite_database: Database, tmp_path: Path
) -> None:
    """Who has nothing to run loads no Alembic, and none of what it loads."""
    blog = make_package("blog", {"001": "pass"})
    Migrator(sqlite_database.engine, Registry([blog.package])).upgrade()

    done = subprocess.run(
        [sys.executable, "-c", CODE, sqlite_database.url, act],
        env=Command(tmp_path, [blog.root]).environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_one_package_costs_one_package(
    make_package: PackageMaker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`upgrade blog` opens the revisions of blog, and of what it requires; no others."""
    crowd = make_package("crowd", {"001": "pass"})
    blog = make_package("blog", {"001.py": revision_source("001", requires=["crowd:001"])})
    other = make_package("other", {"001": "pass"})
    migrator = Migrator(database.engine, Registry([crowd.package, blog.package, other.package]))
    module = importlib.import_module("ptah_migrate._history.parsing")
    opened: list[Path] = []
    real = module._read

    def read(path: str, *rest: object) -> object:
        opened.append(Path(path))
        return real(path, *rest)

    monkeypatch.setattr(module, "_read", read)

    migrator.upgrade("blog")

    assert {path.parent for path in opened} == {blog.migrations, crowd.migrations}


def test_what_is_sent_beside_the_steps(
    make_package: PackageMaker, postgresql_database: Database
) -> None:
    """The tables are listed once for all packages; a step has one statement beside its own."""
    create = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"
    registry = Registry(
        make_package(name, {"001": create.format(name), "002": "pass"}).package
        for name in ("blog", "cms", "shop")
    )

    with statements() as sent:
        Migrator(postgresql_database.engine, registry).upgrade()

    listings = [text for text in sent if "pg_class.relname" in text]
    steps = [text.split()[0] for text in sent[sent.index(next(filter(_is_step, sent))) :]]
    assert len(listings) <= 3  # of the tables, and whether the versions' is there: twice
    assert steps[:4] == ["CREATE", "WITH", "WITH", "CREATE"]


def _is_step(statement: str) -> bool:
    return "CREATE TABLE blog" in statement
