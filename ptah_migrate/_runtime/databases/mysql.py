"""
MariaDB and MySQL: a named lock of the server, with the database in its name.

DDL commits implicitly here: a step that fails half-way cannot be undone.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ptah_migrate._runtime.databases.base import Database, poll

_GET = text("SELECT GET_LOCK(:name, 0)")
_RELEASE = text("SELECT RELEASE_LOCK(:name)")
_MINE = text("SELECT IS_USED_LOCK(:name) = CONNECTION_ID()")
_HOLDER = text(
    "SELECT p.id, p.user, p.host FROM information_schema.processlist AS p "
    "WHERE p.id = IS_USED_LOCK(:name)"
)


class MySQL(Database):
    """Implicit commits, GET_LOCK."""

    transactional_ddl = False

    def acquire(self, connection: Connection, timeout: float) -> None:
        """Poll ``GET_LOCK``: its own wait would hide who holds it, and since when."""

        def attempt() -> bool:
            taken = connection.execute(_GET, self._name(connection)).scalar() == 1
            connection.commit()
            return taken

        poll(attempt, lambda: self._holder(connection), timeout)

    def release(self, connection: Connection) -> None:
        """Release; nothing to do on a connection that is gone, the server did it."""
        if connection.invalidated or connection.closed:
            return
        try:
            connection.rollback()
            connection.execute(_RELEASE, self._name(connection))
            connection.commit()
        except DBAPIError:
            connection.invalidate()

    def holds(self, connection: Connection) -> bool:
        """Ask the server whether this very session has the lock."""
        if connection.invalidated:
            return False
        return bool(connection.execute(_MINE, self._name(connection)).scalar())

    def _name(self, connection: Connection) -> dict[str, str]:
        # MySQL allows 64 characters, MariaDB 192; the lock is of the whole server.
        return {"name": "ptah-migrate-" + self.lock_key(connection).hex()[:32]}

    def _holder(self, connection: Connection) -> str:
        row = connection.execute(_HOLDER, self._name(connection)).first()
        connection.commit()
        return f"connection {row[0]} ({row[1]}@{row[2]})" if row is not None else ""
