"""What the runner asks of a database; the modules beside this one answer where they differ."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from ptah_migrate.errors import LockError, LockLostError

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

    from ptah_migrate._runtime.writes import Write

logger = logging.getLogger("ptah_migrate.lock")

# What this thread holds, and how many of these the present task does: with
# run_sync() several tasks share a thread, and Alembic's globals with it.
_HELD = threading.local()
_MINE: ContextVar[int] = ContextVar("ptah_migrate_locks", default=0)
_VERB = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(\w*)", re.DOTALL)
_READING = ("SELECT", "SHOW", "PRAGMA", "EXPLAIN", "BEGIN", "START", "SAVEPOINT", "RELEASE")
_ENDING = ("COMMIT", "END")

SAVEPOINT = "SAVEPOINT ptah_migrate_step"
RELEASE = f"RELEASE {SAVEPOINT}"

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5


class Database:
    """
    A database that rolls DDL back, and that has no lock of ours.

    The base class is what an unknown dialect gets: plain transactions.
    """

    transactional_ddl = True
    together = False  # whether the steps of a package share a transaction, unless it is said

    def __init__(self, *, schema: str | None = None) -> None:
        self.schema = schema

    @contextmanager
    def session(self, connection: Connection) -> Iterator[None]:
        """Set the connection up for a run, and put back what was changed."""
        yield

    @contextmanager
    def step(self, connection: Connection, *, transactional: bool = True) -> Iterator[None]:
        """Surround one step, outside its transaction, which its package may not want."""
        yield

    def savepoint(self, connection: Connection) -> None:
        """Set the mark that ``back`` returns to, in the transaction of a package."""
        connection.exec_driver_sql(SAVEPOINT)

    def passed(self, connection: Connection) -> None:
        """Forget the mark: the step is done."""
        connection.exec_driver_sql(RELEASE)

    def back(self, connection: Connection) -> bool:
        """
        Undo a step down to its mark and commit the steps before it.

        Sent past SQLAlchemy, which may take the transaction for ended. False
        when the database has undone those steps too.
        """
        try:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(f"ROLLBACK TO {SAVEPOINT}")
                cursor.execute("COMMIT")
            finally:
                cursor.close()
        except Exception:  # noqa: BLE001 - each driver has errors of its own
            return False
        return True

    def resume(self, connection: Connection) -> None:
        """Be in a transaction again, where a step has ended it without SQLAlchemy's knowledge."""

    def before_commit(self, connection: Connection) -> None:
        """
        Check what must hold at the end of a step, inside its transaction.

        Raises:
            DatabaseError: it does not hold; the step must be undone.

        """

    def record(self, connection: Connection, rows: Sequence[Write], entry: Write) -> bool:
        """
        Write the rows and the entry of a step, in its transaction, while the lock is ours.

        Return False where a row that had to be there was not.

        Raises:
            LockLostError: the lock is not ours any more; the step must be undone.

        """
        if not self.holds(connection):
            raise LockLostError
        return all(self.met(connection, one) or not one.meets for one in (*rows, entry))

    def met(self, connection: Connection, one: Write) -> bool:
        """Execute a statement that records a step; return whether it met a row."""
        return connection.execute(one.statement, one.values).rowcount != 0

    def commits_before(self, statement: str) -> bool:
        """Return whether to execute this statement commits what was done before it."""
        return False

    def commits(self, connection: Connection, statement: str) -> bool:
        """Return whether this statement, now executed, and all before it can't be rolled back."""
        return verb(statement) in _ENDING

    def not_understood(self, error: BaseException) -> bool:
        """Return whether the database refused a statement before it did anything."""
        return False

    @contextmanager
    def locked(self, connection: Connection, timeout: float) -> Iterator[None]:
        """
        Hold the lock; nobody else runs on this database meanwhile.

        Raises:
            LockError: somebody else holds it for ``timeout`` seconds; or this
                very thread does, which would wait for itself.

        """
        key = self.identity(connection)
        held: list[str] = _HELD.__dict__.setdefault("keys", [])
        if key in held:
            raise LockError(0.0, "this process, in a step that is running now")
        if len(held) > _MINE.get():
            raise LockError(0.0, "another task of this thread, one database at a time")
        held.append(key)
        token = _MINE.set(len(held))
        try:
            self.acquire(connection, timeout)
            try:
                yield
            finally:
                self.release(connection)
        finally:
            _MINE.reset(token)
            held.remove(key)

    def acquire(self, connection: Connection, timeout: float) -> None:
        """
        Take the lock on this connection; ends the transaction it is in.

        Raises:
            LockError: somebody else has it for ``timeout`` seconds.

        """

    def release(self, connection: Connection) -> None:
        """Give the lock back; quiet when the connection is already gone."""

    def holds(self, connection: Connection) -> bool:
        """Return whether the lock is still ours; sends at most one statement."""
        return not connection.invalidated

    def identity(self, connection: Connection) -> str:
        """Return the database and schema as this process knows them, without a password."""
        url = connection.engine.url
        return f"{url.host}:{url.port}/{url.database} {self.schema or ''}"

    def digest(self, database: str) -> bytes:
        """Return what is equal for all runners that must wait for one another, as bytes."""
        return hashlib.sha256(f"ptah-migrate\0{database}\0{self.schema or ''}".encode()).digest()


def verb(statement: str) -> str:
    """Return the first word of a statement, in capitals."""
    found = _VERB.match(statement)
    return found.group(1).upper() if found is not None else ""


def changes(statement: str) -> bool:
    """Return whether a statement is one of those that people mean by "it did something"."""
    return verb(statement) not in (*_READING, *_ENDING)


def poll(attempt: Callable[[], bool], holder: Callable[[], str], timeout: float) -> None:
    """
    Call ``attempt`` until it succeeds, with growing, jittered pauses.

    Raises:
        LockError: it did not within ``timeout`` seconds; ``holder()`` is named.

    """
    start = time.monotonic()
    pause, told = FIRST_PAUSE, False
    while not attempt():
        waited = time.monotonic() - start
        if waited >= timeout:
            raise LockError(round(waited, 1), holder())
        if not told and waited > 1:
            told = True
            logger.info("waiting for the migration lock%s", _by(holder()))
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
        time.sleep(min(pause * jitter, max(timeout - waited, 0.001)))
        pause = min(pause * 2, LONGEST_PAUSE)


def _by(holder: str) -> str:
    return f", held by {holder}" if holder else ""


def whoami() -> str:
    """Return how this process presents itself to others that wait for it."""
    return f"ptah-migrate {socket.gethostname()}:{os.getpid()}"


def unlock(
    connection: Connection, statement: TextClause, parameters: Callable[[], Mapping[str, object]]
) -> None:
    """Send what gives a lock back; nothing on a connection that is gone, the server did it."""
    if connection.invalidated or connection.closed:
        return
    try:
        connection.rollback()
        connection.execute(statement, parameters())
        connection.commit()
    except DBAPIError:
        connection.invalidate()
