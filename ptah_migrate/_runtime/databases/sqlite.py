"""
SQLite: real transactions, a lock file beside the database, foreign keys kept whole.

By default Python's driver commits before DDL. Here the driver's own
transactions are switched off and every transaction begins with BEGIN
IMMEDIATE, so that a failing step leaves nothing and two writers take turns.

Alembic's batch mode recreates tables; with foreign keys on, the drop of the
old one deletes the rows that refer to it. The PRAGMA works only outside a
transaction: off before BEGIN, checked before COMMIT, put back after.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, event

from ptah_migrate._runtime.databases.base import Database, poll, whoami
from ptah_migrate.errors import DatabaseError

BUSY_MILLISECONDS = 60_000


class SQLite(Database):
    """Transactional once BEGIN is ours; one lock file per database file."""

    def __init__(self, *, schema: str | None = None) -> None:
        super().__init__(schema=schema)
        self._file: IO[str] | None = None
        self._path: Path | None = None
        self._foreign_keys = False

    @contextmanager
    def session(self, connection: Connection) -> Iterator[None]:
        """Take transactions over from the driver, wait for other writers."""
        driver = _driver(connection)
        before = driver.isolation_level
        connection.rollback()
        driver.isolation_level = None
        busy = _pragma(connection, "busy_timeout")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.rollback()
        event.listen(connection, "begin", _begin)
        try:
            yield
        finally:
            event.remove(connection, "begin", _begin)
            if not connection.closed and not connection.invalidated:
                connection.rollback()
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(busy)}")
                connection.rollback()
                driver.isolation_level = before

    @contextmanager
    def step(self, connection: Connection, *, transactional: bool = True) -> Iterator[None]:
        """Switch foreign keys off around a step, if they were on; leave BEGIN to the driver or not."""
        connection.rollback()
        self._foreign_keys = bool(_outside(connection, "PRAGMA foreign_keys"))
        if self._foreign_keys:
            _outside(connection, "PRAGMA foreign_keys = OFF")
        if not transactional:
            event.remove(connection, "begin", _begin)
            _driver(connection).isolation_level = ""
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.rollback()
                _driver(connection).isolation_level = None
                if self._foreign_keys:
                    _outside(connection, "PRAGMA foreign_keys = ON")
            if not transactional:
                event.listen(connection, "begin", _begin)

    def before_commit(self, connection: Connection) -> None:
        """
        Refuse to commit a step that left rows without the row they refer to.

        Raises:
            DatabaseError: the first such table is named.

        """
        if not self._foreign_keys:
            return
        row = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if row is not None:
            raise DatabaseError(
                f"the step leaves rows of table '{row[0]}' without the row of '{row[2]}' "
                "they refer to",
                hint="delete or correct those rows in the revision",
            )

    def acquire(self, connection: Connection, timeout: float) -> None:
        """Lock a file beside the database; without a place for one, BEGIN IMMEDIATE is the lock."""
        name = next(
            (row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main"),
            "",
        )
        connection.rollback()
        if not name:
            return
        path = Path(f"{name}.ptah-migrate-lock")

        def attempt() -> bool:
            try:
                self._file = _locked(path)
            except OSError:
                return True  # a read-only folder: BEGIN IMMEDIATE has to do
            self._path = path
            return self._file is not None

        poll(attempt, lambda: _read(path), timeout)

    def release(self, connection: Connection) -> None:
        """Remove the lock file and give it free."""
        if self._file is not None and self._path is not None:
            # Removed while it is still locked: whoever opened it meanwhile finds
            # that the path has gone and opens a new one (see _locked).
            self._path.unlink(missing_ok=True)
            self._file.close()
        self._file = None

    def lock_key(self, connection: Connection) -> bytes:
        """Return the file's path; a database in memory is its own."""
        name = connection.engine.url.database or f"memory-{threading.get_ident()}"
        return os.path.realpath(name).encode()


def _begin(connection: Connection) -> None:
    """Send BEGIN for SQLAlchemy's, except inside an autocommit block."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    # An autocommit block puts the driver back to its default mode when it ends.
    _driver(connection).isolation_level = None
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _pragma(connection: Connection, name: str) -> int:
    value = int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
    connection.rollback()
    return value


def _outside(connection: Connection, statement: str) -> Any:
    """Execute where no transaction is open: a PRAGMA inside one is silently ignored."""
    cursor = _driver(connection).cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return row[0] if row else None


def _locked(path: Path) -> IO[str] | None:
    """Return the file, opened and locked; None while somebody else has it."""
    file = path.open("a+", encoding="utf-8")
    try:
        if not _try_lock(file) or not _still_there(file, path):
            file.close()
            return None
        file.seek(0)
        file.truncate()
        file.write(f"{whoami()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
