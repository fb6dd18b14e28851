"""Tools that test Alembic projects run unchanged on a generated package."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from ptah_migrate._authoring import apply, plan_init
from ptah_migrate.errors import UnknownPackageError
from ptah_migrate.testing import alembic_config
from tests.helpers import DATABASES, Database, PackageMaker, forget, tables
from tests.integration.checked import process
from tests.integration.scaffolds import build

PYTEST_ALEMBIC = """
import pytest
from ptah_migrate.testing import alembic_config as configuration

@pytest.fixture
def alembic_config():
    return configuration("blog")

@pytest.fixture
def alembic_engine(ptah_engine):
    return ptah_engine
"""
GAUNTLET = """
import os
import pytest
from alembic_gauntlet.testing import MigrationTestBase
from blog.models import Base
from ptah_migrate.testing import alembic_config as configuration

class TestMigrations(MigrationTestBase):
    @pytest.fixture
    def migration_db_url(self):
        return os.environ["GAUNTLET_URL"]

    @pytest.fixture
    def orm_metadata(self):
        return Base.metadata

    @pytest.fixture
    def alembic_config(self):
        return configuration("blog")
"""
OSLO = """
import unittest
import pytest
from alembic import command
from blog.models import Base
from oslo_db.sqlalchemy import test_migrations
from ptah_migrate.testing import alembic_config

class TestModels(test_migrations.ModelsMigrationsSync, unittest.TestCase):
    @pytest.fixture(autouse=True)
    def database(self, ptah_engine):
        self.engine = ptah_engine

    def get_engine(self):
        return self.engine

    def get_metadata(self):
        return Base.metadata

    def db_sync(self, engine):
        config = alembic_config("blog")
        config.attributes["connection"] = engine
        command.upgrade(config, "head")

    def include_object(self, object_, name, type_, reflected, compare_to):
        return name != "alembic_version"
"""
# Version 0.13.1 puts its tests in at tests/conftest.py, which fails with pytest 9.2; it
# documents this way too.
READY_MADE = """
from pytest_alembic.tests import *
from pytest_alembic.tests.experimental import test_downgrade_leaves_no_trace
"""
EVERYWHERE = [
    pytest.param(name, marks=pytest.mark.slow if name != "sqlite" else []) for name in DATABASES
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package as it is generated, with its first revision."""
    root = tmp_path_factory.mktemp("tools")
    apply(plan_init(root, name="blog", new=True, data={"first_revision": True}))
    return root / "blog"


@pytest.fixture
def project(generated: Path, tmp_path: Path) -> Path:
    """Return a generated package of the test's own, without tests."""
    shutil.copytree(generated, tmp_path / "blog")
    shutil.rmtree(tmp_path / "blog/tests")
    return tmp_path / "blog"


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_pytest_alembic(project: Path, kind: str, make_database: Callable[[str], Database]) -> None:
    """
    The four tests of pytest-alembic pass, and the experimental one that rolls tables back.

    MariaDB cannot do that. Its other experimental one reads an alembic.ini, and
    models that are made the way they were before SQLAlchemy 2.
    """
    pytest.importorskip("pytest_alembic")
    words, expected = (["-k", "not no_trace"], 4) if kind == "mariadb" else ([], 5)
    build(
        project,
        {
            "conftest.py": PYTEST_ALEMBIC,
            "tests/test_alembic.py": READY_MADE,
        },
    )

    done = process(
        project,
        "-q",
        *words,
        plugins=["pytest_alembic"],
        environment={"PTAH_MIGRATE_TEST_URL": make_database(kind).url},
    )

    assert done.stdout.splitlines()[-1].startswith(f"{expected} passed"), done.stdout + done.stderr


@pytest.mark.slow
def test_alembic_gauntlet(project: Path, postgresql_database: Database) -> None:
    """The seven tests of alembic-gauntlet pass; they are about PostgreSQL only."""
    for module in ("alembic_gauntlet", "asyncpg", "pytest_asyncio"):
        pytest.importorskip(module)
    build(project, {"tests/test_gauntlet.py": GAUNTLET})
    url = sa.make_url(postgresql_database.url).set(drivername="postgresql+asyncpg")

    done = process(
        project,
        "-q",
        "-o",
        "asyncio_mode=auto",
        plugins=["alembic-gauntlet", "asyncio"],
        environment={"GAUNTLET_URL": url.render_as_string(hide_password=False)},
    )

    assert done.stdout.splitlines()[-1].startswith("7 passed"), done.stdout + done.stderr


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_oslo_db(project: Path, kind: str, make_database: Callable[[str], Database]) -> None:
    """The test of oslo.db that models and revisions agree passes."""
    pytest.importorskip("oslo_db")
    build(project, {"tests/test_models.py": OSLO})

    done = process(project, "-q", environment={"PTAH_MIGRATE_TEST_URL": make_database(kind).url})

    assert done.stdout.splitlines()[-1].startswith("1 passed"), done.stdout + done.stderr


# -- the configuration itself ----------------------------------------------------------


def test_the_commands_of_alembic(make_package: PackageMaker, sqlite_database: Database) -> None:
    """Alembic's own commands work with it: on a URL, on a connection, and without any."""
    made = make_package(
        "blog", {"001": "op.execute('CREATE TABLE post (id INTEGER)')", "002": "pass"}
    )
    config = alembic_config(made.package)
    config.set_main_option("sqlalchemy.url", sqlite_database.url)

    command.upgrade(config, "001")
    with sqlite_database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    config.attributes["connection"] = sqlite_database.engine
    command.downgrade(config, "001")

    assert tables(sqlite_database.engine) == {"post", "alembic_version"}
    with sqlite_database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == "001"


def test_sql_of_alembic(make_package: PackageMaker, capsys: pytest.CaptureFixture[str]) -> None:
    """Alembic writes the revisions as SQL."""
    made = make_package("blog", {"001": "op.execute('CREATE TABLE post (id INTEGER)')"})
    config = alembic_config(made.package)
    config.set_main_option("sqlalchemy.url", "sqlite://")

    command.upgrade(config, "head", sql=True)

    assert "CREATE TABLE post (id INTEGER)" in capsys.readouterr().out


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what a project in this process leaves: its folder on the path, its modules."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    forget("blog")


@pytest.mark.usefixtures("forgotten")
def test_by_name(project: Path) -> None:
    """A package is found by its name in a project; a wrong name is said."""
    config = alembic_config("blog", project=project)

    assert config.get_main_option("version_locations") == str(project / "src/blog/migrations")
    with pytest.raises(UnknownPackageError, match="'blgo'"):
        alembic_config("blgo", project=project)
