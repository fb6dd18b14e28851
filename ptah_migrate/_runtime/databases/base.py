"""What the runner asks of a database; each module beside this one answers where databases differ."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from ptah_migrate.errors import LockError

logger = logging.getLogger("ptah_migrate.lock")

_HELD = threading.local()

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5


class Database:
    """
    A database that rolls DDL back, and that has no lock of ours.

    The base class is what an unknown dialect gets: plain transactions.
    """

    transactional_ddl = True

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

    def before_commit(self, connection: Connection) -> None:
        """Check what must hold at the end of a step, inside its transaction."""

    @contextmanager
    def locked(self, connection: Connection, timeout: float) -> Iterator[None]:
        """
        Hold the lock; nobody else runs on this database meanwhile.

        Raises:
            LockError: somebody else holds it for ``timeout`` seconds; or this
                very thread does, which would wait for itself.

        """
        key = self.lock_key(connection)
        mine: set[bytes] = _HELD.__dict__.setdefault("keys", set())
        if key in mine:
            raise LockError(0.0, "this process, in a step that is running now")
        self.acquire(connection, timeout)
        mine.add(key)
        try:
            yield
        finally:
            mine.discard(key)
            self.release(connection)

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

    def lock_key(self, connection: Connection) -> bytes:
        """Return a digest that is equal for every runner that must wait for another."""
        name = connection.engine.url.database or ""
        return hashlib.sha256(f"ptah-migrate\0{name}\0{self.schema or ''}".encode()).digest()


def poll(
    attempt: Callable[[], bool], holder: Callable[[], str], timeout: float
) -> None:
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
        time.sleep(min(pause * random.uniform(0.5, 1.5), max(timeout - waited, 0.001)))  # noqa: S311 - jitter
        pause = min(pause * 2, LONGEST_PAUSE)


def _by(holder: str) -> str:
    return f", held by {holder}" if holder else ""


def whoami() -> str:
    """Return how this process presents itself to others that wait for it."""
    return f"ptah-migrate {socket.gethostname()}:{os.getpid()}"
