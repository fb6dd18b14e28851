"""The databases that ptah-migrate knows the ways of."""

from __future__ import annotations

from ptah_migrate._runtime.databases.base import Database
from ptah_migrate._runtime.databases.mysql import MySQL
from ptah_migrate._runtime.databases.postgresql import PostgreSQL
from ptah_migrate._runtime.databases.sqlite import SQLite

_KNOWN: dict[str, type[Database]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MySQL,
}


def for_dialect(name: str, *, schema: str | None = None) -> Database:
    """Return a fresh object for one run on a database of this SQLAlchemy dialect."""
    return _KNOWN.get(name, Database)(schema=schema)


__all__ = ["Database", "for_dialect"]
