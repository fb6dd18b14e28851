"""A database of nobody's, for as long as a question takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from ptah_migrate._runtime.engine import engine_for, masked, reason
from ptah_migrate.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL


@contextmanager
def database(url: URL, *, prefix: str = "ptah_scratch") -> Iterator[Engine]:
    """
    Yield the engine of an empty database of the same kind, which is gone afterwards.

    For SQLite a file in a temporary directory; for a server a database of a
    new name (``prefix`` and some letters) beside the one that ``url`` names,
    which is only connected to.

    Raises:
        DatabaseError: the server does not answer, or does not let us make one.

    """
    if url.get_backend_name() == "sqlite":
        with TemporaryDirectory(prefix="ptah-migrate-") as directory:
            engine = engine_for(f"sqlite:///{Path(directory) / 'scratch.sqlite'}")
            event.listen(engine, "connect", _careless)
            try:
                yield engine
            finally:
                engine.dispose()
        return
    server = engine_for(url).execution_options(isolation_level="AUTOCOMMIT")
    name = f"{prefix}_{uuid.uuid4().hex[:16]}"
    _order(server, f"CREATE DATABASE {name}")
    try:
        engine = engine_for(url.set(database=name))
        try:
            yield engine
        finally:
            engine.dispose()
    finally:
        _order(server, f"DROP DATABASE {name}")


def _careless(connection: Any, _record: Any) -> None:
    """Wait for no disk: whoever reads a scratch database after a crash?"""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _order(server: Engine, statement: str) -> None:
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        raise DatabaseError(
            f"a scratch database cannot be made at {masked(server)}: {reason(error)}",
            hint="let its user create databases, or take SQLite: --url sqlite://",
        ) from error
