"""
The fixtures of all tests: databases, packages on disk, the command.

Every database is the test's own. Servers are taken from the environment; one
that does not answer skips its tests, and fails them where ``CI`` is set.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from tests.helpers import (
    CACHE,
    DATABASES,
    OURS,
    Command,
    Database,
    PackageMaker,
    Result,
    Server,
    invoke,
)

POSTGRESQL = os.environ.get(
    "PTAH_MIGRATE_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
MARIADB = os.environ.get("PTAH_MIGRATE_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/mysql")
CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

# A loaded machine is no reason to fail; in CI the examples are the same on every run.
settings.register_profile("ptah", deadline=None, derandomize=CI)
settings.load_profile("ptah")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what is remembered out of the user's cache directory."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(CACHE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """Yield the PostgreSQL server, whether it answers or not."""
    with Server.connected("postgresql", POSTGRESQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """Yield the MariaDB server, whether it answers or not."""
    with Server.connected("mariadb", MARIADB) as server:
        yield server


@pytest.fixture
def make_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Database]]:
    """Yield a function that makes an empty database of the named kind."""
    with ExitStack() as stack:

        def make(kind: str) -> Database:
            url = create(kind)
            engine = sa.create_engine(url)
            stack.callback(engine.dispose)
            return Database(kind, url, engine, lambda: make(kind))

        def create(kind: str) -> str:
            name = f"ptah_{uuid.uuid4().hex[:16]}"
            if kind == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('database') / name}.sqlite"
            server: Server = request.getfixturevalue(f"{kind}_server")
            if server.problem:
                _missing(server.problem)
            url = server.take(name)
            stack.callback(server.give_back, url)
            return url

        yield make


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, make_database: Callable[[str], Database]) -> Database:
    """Return an empty database; the test runs once on each kind."""
    return make_database(request.param)


@pytest.fixture
def sqlite_database(make_database: Callable[[str], Database]) -> Database:
    """Return an empty SQLite database."""
    return make_database("sqlite")


@pytest.fixture
def postgresql_database(make_database: Callable[[str], Database]) -> Database:
    """Return an empty PostgreSQL database."""
    return make_database("postgresql")


@pytest.fixture
def mariadb_database(make_database: Callable[[str], Database]) -> Database:
    """Return an empty MariaDB database."""
    return make_database("mariadb")


@pytest.fixture
def packages_root(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return the directory in which `make_package` writes; it is on ``sys.path``."""
    root = tmp_path_factory.mktemp("packages")
    monkeypatch.syspath_prepend(root)
    # Two texts of one size within one second would otherwise be taken for the same.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return root


@pytest.fixture
def make_package(packages_root: Path) -> Iterator[PackageMaker]:
    """Yield a function that writes importable packages with migrations."""
    maker = PackageMaker(packages_root)
    yield maker
    maker.forget()


@pytest.fixture
def run_cli(tmp_path: Path, packages_root: Path) -> Command:
    """Return a function that runs ``ptah-migrate`` as a process, in ``tmp_path``."""
    return Command(tmp_path, [packages_root])


@pytest.fixture
def invoke_cli(packages_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs ``ptah-migrate`` inside this process."""
    for name in list(os.environ):
        if name.startswith(OURS) and name != CACHE:
            monkeypatch.delenv(name)
    return invoke


def _missing(problem: str) -> None:
    """Skip the test for want of a server; in CI, fail it."""
    if CI:
        pytest.fail(problem, pytrace=False)
    pytest.skip(problem)
