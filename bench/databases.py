"""Databases that are made for one measurement, and dropped."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

SERVERS = {
    "postgresql": os.environ.get(
        "PTAH_MIGRATE_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
    ),
    "mariadb": os.environ.get(
        "PTAH_MIGRATE_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/mysql"
    ),
}
KINDS = ("sqlite", "sqlite-memory", *SERVERS)
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Databases:
    """Where databases of one kind are made; ``problem`` says why none can be."""

    kind: str
    folder: Path
    problem: str = ""
    version: str = ""

    @contextmanager
    def new(self) -> Iterator[str]:
        """Yield the URL of an empty database, which is dropped afterwards."""
        name = f"bench_{uuid.uuid4().hex[:16]}"
        if self.kind.startswith("sqlite"):
            try:
                yield f"sqlite:///{self.folder / name}.sqlite"
            finally:
                for path in self.folder.glob(f"{name}.sqlite*"):
                    path.unlink()
            return
        admin = _admin(self.kind)
        try:
            _execute(admin, f"CREATE DATABASE {name}")
            url = admin.url.set(database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            force = " WITH (FORCE)" if self.kind == "postgresql" else ""
            _execute(admin, f"DROP DATABASE IF EXISTS {name}{force}")
            admin.dispose()


@contextmanager
def found(kind: str) -> Iterator[Databases]:
    """Yield where databases of a kind are made, and leave nothing behind."""
    where = MEMORY if kind == "sqlite-memory" and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench-databases-", dir=where) as folder:
        problem = version = ""
        if kind == "sqlite-memory" and where is None:
            problem = f"{MEMORY} is not there"
        elif kind in SERVERS:
            problem, version = _asked(kind)
        else:
            version = f"SQLite {sa.create_engine('sqlite://').dialect.dbapi.sqlite_version}"  # type: ignore[union-attr]
        yield Databases(kind, Path(folder), problem, version)


def _admin(kind: str) -> sa.Engine:
    return sa.create_engine(
        SERVERS[kind], isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5}
    )


def _execute(admin: sa.Engine, statement: str) -> None:
    with admin.connect() as connection:
        connection.exec_driver_sql(statement)


def _asked(kind: str) -> tuple[str, str]:
    """Return why a server cannot be used, and its version."""
    try:
        with _admin(kind).connect() as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
    except (sa.exc.DBAPIError, ModuleNotFoundError) as error:
        return str(error).partition("\n")[0], ""
    return "", f"{ {'postgresql': 'PostgreSQL', 'mariadb': 'MariaDB'}[kind] } {version}"
