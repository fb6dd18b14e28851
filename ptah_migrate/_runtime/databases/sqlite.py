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

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import event

from ptah_migrate._runtime.databases.base import RELEASE, SAVEPOINT, Database, poll, verb, whoami
from ptah_migrate._runtime.writes import Prepared, prepare
from ptah_migrate.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.sql.dml import UpdateBase

    from ptah_migrate._runtime.writes import Write

_ENGINE_LOGGER = logging.getLogger("sqlalchemy.engine.Engine")

BUSY_MILLISECONDS = 60_000

# Rows without the row they refer to: how many, by table and referred table.
Orphans = Counter[tuple[str, str]]


class SQLite(Database):
    """
    Transactional once BEGIN is ours; one lock file per database file.

    A commit waits for the disk, and takes longer than most steps.
    """

    together = True

    def __init__(self, *, schema: str | None = None) -> None:
        super().__init__(schema=schema)
        self._file: IO[str] | None = None
        self._path: Path | None = None
        self._orphans: Orphans | None = None
        self._transactional = True
        self._foreign_keys = False
        self._begin_due = False
        self._direct = False
        self._prepared: dict[UpdateBase, Prepared] = {}

    @contextmanager
    def session(self, connection: Connection) -> Iterator[None]:
        """Take transactions over from the driver, wait for other writers."""
        connection.rollback()
        driver = _driver(connection)
        before = _take_over(driver)
        busy = _outside(connection, "PRAGMA busy_timeout")
        _outside(connection, f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        self._listen(connection)
        self._direct = _unobserved(connection)
        try:
            yield
        finally:
            self._listen(connection, stop=True)
            if not connection.closed and not connection.invalidated:
                connection.rollback()
                _outside(connection, f"PRAGMA busy_timeout = {int(busy or 0)}")
                _give_back(driver, before)

    @contextmanager
    def step(self, connection: Connection, *, transactional: bool = True) -> Iterator[None]:
        """Keep foreign keys off during a step; leave BEGIN to the driver where that is wished."""
        connection.rollback()
        self._transactional = transactional
        self._foreign_keys = bool(_outside(connection, "PRAGMA foreign_keys"))
        if self._foreign_keys:
            if self._orphans is None:
                self._orphans = _orphans(connection)
            _outside(connection, "PRAGMA foreign_keys = OFF")
        if not transactional:
            self._listen(connection, stop=True)
            _driver(connection).isolation_level = ""
        try:
            yield
        finally:
            if not transactional:
                self._listen(connection)
            if not connection.invalidated and not connection.closed:
                connection.rollback()
                _driver(connection).isolation_level = None
                if self._foreign_keys:
                    _outside(connection, "PRAGMA foreign_keys = ON")

    def _listen(self, connection: Connection, *, stop: bool = False) -> None:
        act = event.remove if stop else event.listen
        act(connection, "begin", self._on_begin)
        act(connection, "before_cursor_execute", self._on_execute)

    def _on_begin(self, connection: Connection) -> None:
        self._begin_due = connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT"
        if self._begin_due:
            # An autocommit block puts the driver back to its default mode when it ends.
            _driver(connection).isolation_level = None

    def _on_execute(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        """Send BEGIN before the first statement, unless the application's own listener does."""
        if self._begin_due:
            self._begin_due = False
            if verb(statement) != "BEGIN" and not _in_transaction(connection):
                connection.exec_driver_sql("BEGIN IMMEDIATE")

    # -- past SQLAlchemy -----------------------------------------------------------
    #
    # The mark, the row and the entry of a step take SQLite microseconds, and
    # SQLAlchemy as long as most steps. So they go to the driver, wherever both
    # agree that a transaction is open; else SQLAlchemy has to begin one first.

    def savepoint(self, connection: Connection) -> None:
        """Set the mark of a step."""
        if (driver := self._open(connection)) is None:
            super().savepoint(connection)
        else:
            driver.execute(SAVEPOINT)

    def passed(self, connection: Connection) -> None:
        """Forget the mark of a step."""
        if (driver := self._open(connection)) is None:
            super().passed(connection)
        else:
            driver.execute(RELEASE)

    def met(self, connection: Connection, one: Write) -> bool:
        """Execute what records a step; each statement is compiled once."""
        if (driver := self._open(connection)) is None:
            return super().met(connection, one)
        prepared = self._prepared.get(one.statement)
        if prepared is None:
            prepared = prepare(one.statement, one.values, connection.dialect)
            self._prepared[one.statement] = prepared
        return bool(driver.execute(prepared.text, prepared.row(one.values)).rowcount)

    def _open(self, connection: Connection) -> Any:
        """Return the driver's connection if statements can go to it; else None."""
        if not self._direct or self._begin_due or not connection.in_transaction():
            return None
        driver = _driver(connection)
        return driver if driver.in_transaction else None

    def back(self, connection: Connection) -> bool:
        """Undo a step down to its mark; of orphans that steps had mended nothing is known then."""
        kept = super().back(connection)
        if not kept:
            self._orphans = None
        return kept

    def resume(self, connection: Connection) -> None:
        """Begin again after a raw COMMIT: without it every statement would commit by itself."""
        if self._transactional and not _in_transaction(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def before_commit(self, connection: Connection) -> None:
        """
        Refuse to commit a step that left rows without the row they refer to.

        Rows that were so before the step do not count.

        Raises:
            DatabaseError: the first such table is named.

        """
        if not self._foreign_keys:
            return
        now = _orphans(connection)
        if new := sorted(now - (self._orphans or Counter())):
            table, parent = new[0]
            raise DatabaseError(
                f"the step leaves rows of table '{table}' without the row of '{parent}' "
                "they refer to",
                hint="delete or correct those rows in the revision",
            )
        self._orphans = now

    def commits(self, connection: Connection, statement: str) -> bool:
        """Outside a transaction each statement commits itself."""
        return not _in_transaction(connection)

    def acquire(self, connection: Connection, timeout: float) -> None:
        """Lock a file beside the database; without a place for one, BEGIN IMMEDIATE is the lock."""
        name = _file_name(connection)
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
            # that the path has gone and opens a new one (see _locked). Windows
            # refuses to remove an open file; there it stays, unlocked.
            with suppress(OSError):
                self._path.unlink()
            self._file.close()
        self._file = None

    def identity(self, connection: Connection) -> str:
        """Return the file's path; a database in memory belongs to its thread."""
        return _file_name(connection) or f"memory of thread {threading.get_ident()}"


# -- the driver's connection -----------------------------------------------------------


def _unobserved(connection: Connection) -> bool:
    """Return whether nobody would miss a statement that SQLAlchemy does not see."""
    return (
        connection.dialect.driver == "pysqlite"
        and connection.dialect.paramstyle == "qmark"
        and not connection.get_execution_options().get("schema_translate_map")
        and not connection.engine.echo
        and not _ENGINE_LOGGER.isEnabledFor(logging.INFO)
    )


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _in_transaction(connection: Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", True))


def _take_over(driver: Any) -> tuple[str | None, bool | int | None]:
    """Switch the driver's own transactions off and return what its settings were."""
    before = (driver.isolation_level, getattr(driver, "autocommit", None))
    if isinstance(before[1], bool):  # Python 3.12's way, instead of isolation_level
        driver.autocommit = True
        driver.autocommit = -1  # sqlite3.LEGACY_TRANSACTION_CONTROL
    driver.isolation_level = None
    return before


def _give_back(driver: Any, before: tuple[str | None, bool | int | None]) -> None:
    driver.isolation_level = before[0]
    if isinstance(before[1], bool):
        driver.autocommit = before[1]


def _outside(connection: Connection, statement: str) -> Any:
    """Execute where no transaction is open: a PRAGMA inside one is silently ignored."""
    cursor = _driver(connection).cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return row[0] if row else None


def _orphans(connection: Connection) -> Orphans:
    cursor = _driver(connection).cursor()
    try:
        cursor.execute("PRAGMA foreign_key_check")
        return Counter((row[0], row[2]) for row in cursor.fetchall())
    finally:
        cursor.close()


def _file_name(connection: Connection) -> str:
    """Return the path of the database's file, as SQLite knows it; empty for one in memory."""
    cursor = _driver(connection).cursor()
    try:
        cursor.execute("PRAGMA database_list")
        names = [row[2] for row in cursor.fetchall() if row[1] == "main"]
    finally:
        cursor.close()
    return os.path.realpath(names[0]) if names and names[0] else ""


# -- the lock file ---------------------------------------------------------------------


def _locked(path: Path) -> IO[str] | None:
    """Return the file, opened and locked; None while somebody else has it."""
    file = _opened(path)
    try:
        if not _try_lock(file) or not _still_there(file, path):
            file.close()
            return None
        if file.writable():
            file.seek(0)
            file.truncate()
            file.write(f"{whoami()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("a+", encoding="utf-8")
    except PermissionError:
        return path.open(encoding="utf-8")  # another user's; a lock on it counts all the same


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
