"""Revisions that carry the template's mark: nobody has written them yet."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from pyramid.exceptions import ConfigurationExecutionError

from ptah_migrate._authoring import revision
from ptah_migrate._history import read, unwritten
from ptah_migrate._pyramid.settings import migrator_options
from ptah_migrate.errors import ConfigError, UnwrittenError
from tests.helpers import Database, PackageMaker, PackageOnDisk, rows, tables
from tests.integration.applications import addon, application, create, install_kiosk, start
from tests.integration.running import migrator, words
from tests.integration.test_pyramid_served import PATIENCE, answered, served, steps_logged

MARK = "pass  # ptah-migrate: not written yet"
POLL = 2.5  # the reloader looks at the files each second, the first time to remember them
MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("post", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return an add-on whose first revision is written and whose second is not."""
    return make_package("blog", {"001": create("post"), "002": MARK}, init=addon("blog"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"def upgrade():\n    {MARK}\n", True),
        ("def upgrade():\r\n    # ptah-migrate: not written yet\r\n".replace("\r", ""), True),
        ("def upgrade():\n    pass\n", False),
        ('"""about # ptah-migrate: not written yet"""\n', False),
        ("x = 1  # ptah-migrate: not written yet\n", False),
    ],
)
def test_the_mark(text: str, expected: bool) -> None:
    """The mark counts where the template puts it, not where somebody talks about it."""
    assert unwritten(text) is expected


def test_a_new_file_is_marked(blog: PackageOnDisk) -> None:
    """A generated revision is unwritten until the last mark is deleted."""
    path = revision(blog.package, read(blog.package)).path
    states = []
    for _ in range(3):
        states.append(read(blog.package).revisions["003"].unwritten)
        path.write_text(path.read_text().replace("# ptah-migrate: not written yet", "", 1))

    assert states == [True, True, False]


def test_upgrade_warns(
    blog: PackageOnDisk, sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """An unwritten revision that a person runs is run, with a warning that names the file."""
    migrator(sqlite_database, blog).upgrade()
    migrator(sqlite_database, blog).downgrade("blog:001")

    path = blog.migrations / "002.py"
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        f"blog: 002 is not written yet, it is recorded as applied all the same ({path})"
    ]


def test_upgrade_refuses(blog: PackageOnDisk, database: Database) -> None:
    """Where the setting says so, nothing at all is run; what is written can be named."""
    strict = migrator(database, blog, refuse_unwritten=True)

    for call in (strict.upgrade, strict.plan, lambda: strict.script("blog:base:head")):
        with pytest.raises(UnwrittenError) as caught:
            call()
    assert str(caught.value) == (
        f"revision '002' of package 'blog' is not written yet ({blog.migrations / '002.py'})"
    )
    assert tables(database.engine) == set()

    strict.upgrade("blog:001")
    assert rows(database.engine) == {("blog", "001")}


def test_seeding_refuses(make_package: PackageMaker, sqlite_database: Database) -> None:
    """An unwritten revision is not recorded unrun either; a stamp by a person is an order."""
    made = make_package(
        "blog",
        {"001": create("post"), "002": MARK},
        files={"models.py": MODELS},
        metadata="blog.models:metadata",
    )
    strict = migrator(sqlite_database, made, refuse_unwritten=True)

    with pytest.raises(UnwrittenError):
        strict.seed()

    assert words(strict.stamp("blog").plan) == ["blog stamped 002"]
    assert words(strict.downgrade("blog:001").plan) == ["blog 002 -> 001"]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (True, True), ("0", False), ("no", False), ("On", True)]
)
def test_the_setting(value: Any, expected: bool) -> None:
    """The setting is read as settings files write truth."""
    found = migrator_options({"ptah_migrate.refuse_unwritten": value})

    assert found["refuse_unwritten"] is expected


def test_a_setting_that_says_nothing() -> None:
    """A word that is neither true nor false is refused, not guessed."""
    with pytest.raises(ConfigError, match="'maybe', is neither true nor false"):
        migrator_options({"ptah_migrate.refuse_unwritten": "maybe"})


def test_a_start_refuses(blog: PackageOnDisk, sqlite_database: Database) -> None:
    """An application with the setting does not start on an unwritten revision."""
    config = application(sqlite_database, "blog", refuse_unwritten="true")
    config.ptah_migrate()

    with pytest.raises((UnwrittenError, ConfigurationExecutionError)):
        start(config)

    assert rows(sqlite_database.engine) == set()


# -- a server that reloads --------------------------------------------------------------


class Reloader:
    """What hupper gives to the process that it watches."""

    def __init__(self) -> None:
        self.watched: set[str] = set()

    def watch_files(self, files: list[str]) -> None:
        """Remember the files."""
        self.watched.update(files)


@pytest.fixture
def reloader(monkeypatch: pytest.MonkeyPatch) -> Reloader:
    """Return what watches this process."""
    found = Reloader()
    monkeypatch.setattr("hupper.worker._reloader_proxy", found)
    return found


def test_a_reload_waits_for_the_author(
    blog: PackageOnDisk,
    make_package: PackageMaker,
    sqlite_database: Database,
    reloader: Reloader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A start under a reloader leaves the package alone until it is written; others go on."""
    make_package("shop", {"001": create("item")}, init=addon("shop"))

    def serve() -> set[tuple[str, str]]:
        config = application(sqlite_database, "blog", "shop")
        config.ptah_migrate()
        start(config)
        return rows(sqlite_database.engine)

    assert serve() == {("shop", "001")}
    path = blog.migrations / "002.py"
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        f"blog: 002 is not written yet, a server that reloads leaves it alone ({path})"
    ]

    path.write_text(path.read_text().replace(MARK, create("tag")))
    assert serve() == {("blog", "002"), ("shop", "001")}


def test_a_reload_of_what_requires_it(
    blog: PackageOnDisk, make_package: PackageMaker, sqlite_database: Database, reloader: Reloader
) -> None:
    """A package that would pull the unwritten revision in waits as well."""
    made = make_package("shop", {"001": create("item")}, init=addon("shop"))
    path = made.migrations / "001.py"
    path.write_text(path.read_text().replace("\n\n\n", "\nrequires = 'blog:002'\n\n\n", 1))
    config = application(sqlite_database, "blog", "shop")
    config.ptah_migrate()
    start(config)

    assert "post" not in tables(sqlite_database.engine)
    assert "item" not in tables(sqlite_database.engine)


def test_a_reload_does_not_seed(
    make_package: PackageMaker, sqlite_database: Database, reloader: Reloader
) -> None:
    """Populating under a reloader records no unwritten revision."""
    code = addon("blog").replace('"blog!")', '"blog!", metadata="blog.models:metadata")')
    make_package(
        "blog", {"001": create("post"), "002": MARK}, files={"models.py": MODELS}, init=code
    )
    config = application(sqlite_database, "blog")
    config.ptah_populate()
    start(config)

    assert "ptah_db_versions" not in tables(sqlite_database.engine) or (
        rows(sqlite_database.engine) == set()
    )


@pytest.mark.parametrize("mode", ["upgrade", "check", "warn"])
def test_the_reloader_watches(
    blog: PackageOnDisk, sqlite_database: Database, reloader: Reloader, mode: str
) -> None:
    """New, changed and repaired revisions are seen: the directory and its files are watched."""
    (blog.migrations / "003.py").write_text("revision = '003'\nbroken(")
    config = application(sqlite_database, "blog", on_start=mode)
    config.ptah_migrate()
    try:
        start(config)
    except Exception:  # it is broken, and watched
        assert mode == "upgrade"

    names = ("", "001.py", "002.py", "003.py")
    assert reloader.watched >= {str(blog.migrations / name) for name in names}


@pytest.mark.slow
def test_pserve_reload(tmp_path: Path, sqlite_database: Database) -> None:
    """A revision begun while ``pserve --reload`` runs is applied once it is written."""
    kiosk = install_kiosk(tmp_path, sqlite_database.url)
    log = tmp_path / "log"
    path = tmp_path / "kiosk_papers/migrations/003.py"
    header = "revision = '003'\ndown_revision = '002'\nfrom alembic import op\n"
    command = ["pyramid.scripts.pserve", "--reload", str(kiosk.ini)]

    with served(command, kiosk.environment(), log) as server:
        answered(kiosk, server, log, "/papers")
        time.sleep(POLL)
        path.write_text(f"{header}def upgrade():\n    {MARK}\n")
        _until(log, "003 is not written yet, a server that reloads leaves it alone")
        answered(kiosk, server, log, "/papers")
        time.sleep(POLL)
        path.write_text(f"{header}def upgrade():\n    op.execute('CREATE TABLE late (id INT)')\n")
        _until(log, "kiosk_papers: running upgrade 002 -> 003")
        answered(kiosk, server, log, "/papers")

    assert steps_logged(log).count("kiosk_papers: running upgrade 002 -> 003") == 1
    assert "late" in tables(sqlite_database.engine)


def _until(log: Path, text: str) -> None:
    """Wait until a server logs a text."""
    end = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
