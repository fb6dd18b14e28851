"""
MariaDB and MySQL: a named lock of the server, with the database in its name.

DDL commits implicitly here: a step that fails half-way cannot be undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from ptah_migrate._runtime.databases.base import Database, poll, unlock, verb

if TYPE_CHECKING:
    from sqlalchemy import Connection

_GET = text("SELECT GET_LOCK(:name, 0)")
_RELEASE = text("SELECT RELEASE_LOCK(:name)")
_MINE = text("SELECT IS_USED_LOCK(:name) = CONNECTION_ID()")
_HOLDER = text(
    "SELECT p.id, p.user, p.host FROM information_schema.processlist AS p "
    "WHERE p.id = IS_USED_LOCK(:name)"
)

# What leaves the transaction open; everything else commits before and after itself.
# fmt: off
_WITHIN = frozenset({
    "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES",
    "SHOW", "SET", "DO", "CALL", "EXPLAIN", "DESCRIBE", "DESC",
    "USE", "SAVEPOINT", "RELEASE", "ROLLBACK", "HANDLER", "LOAD", "PREPARE",
    "EXECUTE", "DEALLOCATE", "KILL",
})
# fmt: on
_SYNTAX_ERROR = 1064
_TEMPORARY = re.compile(r"\s*(?:CREATE(?:\s+OR\s+REPLACE)?|DROP)\s+TEMPORARY\b", re.IGNORECASE)

# A server that closes idle sessions early would give the lock away during a long computation.
_WAIT = 28_800


class MySQL(Database):
    """Implicit commits, GET_LOCK."""

    transactional_ddl = False

    def __init__(self, *, schema: str | None = None) -> None:
        super().__init__(schema=schema)
        self._lock_name: str | None = None

    @contextmanager
    def session(self, connection: Connection) -> Iterator[None]:
        """Keep the server from closing the session while a step computes."""
        before = connection.exec_driver_sql("SELECT @@SESSION.wait_timeout").scalar()
        changed = before is not None and int(before) < _WAIT
        if changed:
            connection.exec_driver_sql(f"SET SESSION wait_timeout = {_WAIT}")
        connection.rollback()
        try:
            yield
        finally:
            if changed and not connection.invalidated and not connection.closed:
                connection.rollback()
                connection.exec_driver_sql(f"SET SESSION wait_timeout = {before}")
                connection.rollback()

    def commits_before(self, statement: str) -> bool:
        """DDL commits first, even when it fails then."""
        return verb(statement) not in _WITHIN and not _TEMPORARY.match(statement)

    def commits(self, connection: Connection, statement: str) -> bool:
        """DDL commits itself, and so do COMMIT and its relatives."""
        return self.commits_before(statement)

    def not_understood(self, error: BaseException) -> bool:
        """Tell a syntax error, before which DDL does not commit either."""
        arguments: tuple[Any, ...] = getattr(getattr(error, "orig", None), "args", ())
        return arguments[:1] == (_SYNTAX_ERROR,)

    def acquire(self, connection: Connection, timeout: float) -> None:
        """Poll ``GET_LOCK``: its own wait would hide who holds it, and since when."""

        def attempt() -> bool:
            taken = connection.execute(_GET, self._name(connection)).scalar() == 1
            connection.commit()
            return taken

        poll(attempt, lambda: self._holder(connection), timeout)

    def release(self, connection: Connection) -> None:
        """Release the named lock."""
        unlock(connection, _RELEASE, lambda: self._name(connection))

    def holds(self, connection: Connection) -> bool:
        """Ask the server whether this very session has the lock."""
        if connection.invalidated:
            return False
        return bool(connection.execute(_MINE, self._name(connection)).scalar())

    def _name(self, connection: Connection) -> dict[str, str]:
        # MySQL allows 64 characters, MariaDB 192; the lock is of the whole server.
        if self._lock_name is None:
            database = connection.exec_driver_sql("SELECT DATABASE()").scalar()
            self._lock_name = f"ptah-migrate-{self.digest(str(database)).hex()[:32]}"
        return {"name": self._lock_name}

    def _holder(self, connection: Connection) -> str:
        row = connection.execute(_HOLDER, self._name(connection)).first()
        connection.commit()
        return f"connection {row[0]} ({row[1]}@{row[2]})" if row is not None else ""
