"""
The journal ``ptah_db_journal``: what was done to this database, append-only.

It tells rows that steps made from rows that were seeded or stamped, and shows
a step that a database without transactional DDL left half-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ptah_migrate._runtime.writes import Write
from ptah_migrate.model import Item, Step

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert
    from sqlalchemy.engine import Dialect

TABLE = "ptah_db_journal"

DONE = "done"
STARTED = "started"
FAILED = "failed"

_HOW = {"upgrade": "run", "downgrade": "run", "seeded": "seeded", "stamped": "stamped"}


# Named tuples: a status of many packages makes two of each.


class Entry(NamedTuple):
    """One entry, as far as the status of a package needs it."""

    package: str
    revision: str
    operation: str
    state: str
    statements: int
    detail: str

    @property
    def how(self) -> str:
        """How the package's rows came about: ``run``, ``seeded`` or ``stamped``."""
        return _HOW.get(self.operation, "") if self.state == DONE else ""


class LastWords(NamedTuple):
    """The newest entry of a package, and its newest one of something that was done."""

    newest: Entry
    done: Entry | None


def table(schema: str | None = None) -> Table:
    """Return the journal's table."""
    return Table(
        TABLE,
        MetaData(),
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("at", DateTime, nullable=False),
        Column("package", String(128), nullable=False),
        Column("revision", String(128), nullable=False),
        Column("operation", String(16), nullable=False),
        Column("state", String(16), nullable=False),
        Column("seconds", Float),
        Column("statements", Integer),
        Column("detail", Text),
        # As a constraint it is part of CREATE TABLE everywhere: `last` reads by it.
        UniqueConstraint("package", "id"),
        schema=schema,
        implicit_returning=False,
    )


_ENTRY = "j.package, j.revision, j.operation, j.state, j.statements, j.detail"
_BY_GROUP = f"""
SELECT {_ENTRY} FROM {{journal}} AS j
WHERE j.id IN (SELECT max(id) FROM {{journal}} GROUP BY package, state) ORDER BY j.id
"""  # noqa: S608 - the name is quoted
# From package to package by the index: its time does not grow with the number of
# entries. As text, because to compile it takes longer than to run it.
_BY_INDEX = f"""
WITH RECURSIVE packages(package) AS (
  SELECT min(package) FROM {{journal}}
  UNION ALL
  SELECT (SELECT min(k.package) FROM {{journal}} AS k WHERE k.package > packages.package)
  FROM packages WHERE packages.package IS NOT NULL
)
SELECT {_ENTRY} FROM packages JOIN {{journal}} AS j ON
  j.id = (
    SELECT k.id FROM {{journal}} AS k
    WHERE k.package = packages.package ORDER BY k.id DESC LIMIT 1
  )
  OR j.id = (
    SELECT k.id FROM {{journal}} AS k
    WHERE k.package = packages.package AND k.state = '{{done}}' ORDER BY k.id DESC LIMIT 1
  )
ORDER BY j.id
"""  # noqa: S608 - the same


class Journal:
    """Writes and reads entries; the caller owns every transaction."""

    def __init__(self, schema: str | None = None) -> None:
        self.schema = schema

    @cached_property
    def table(self) -> Table:
        """The table; who has nothing to do needs none."""
        return table(self.schema)

    @cached_property
    def _insert(self) -> Insert:
        # Inline: PostgreSQL is not asked for the next id in a statement of its own.
        return self.table.insert().inline()

    def _last(self, dialect: Dialect) -> str:
        """Return the query of the newest entry of each package, and of its newest one done."""
        name = dialect.identifier_preparer.format_table(self.table)
        # MariaDB takes seconds for the better query.
        query = _BY_INDEX if dialect.name in ("sqlite", "postgresql") else _BY_GROUP
        return query.format(journal=name, done=DONE)

    def ensure(self, connection: Connection) -> None:
        """Create the table where it is missing."""
        connection.execute(CreateTable(self.table, if_not_exists=True))

    def write(
        self,
        connection: Connection,
        item: Item,
        state: str,
        *,
        seconds: float | None = None,
        statements: int | None = None,
        detail: str = "",
    ) -> None:
        """Append one entry."""
        connection.execute(self._insert, self.values(item, state, seconds, statements, detail))

    def done(self, step: Step, *, seconds: float, statements: int) -> Write:
        """Return what appends the entry of a step that was run."""
        return Write(self._insert, self.values(step, DONE, round(seconds, 3), statements))

    def write_all(self, connection: Connection, items: Iterable[Item], state: str) -> None:
        """Append an entry for each item, all at once."""
        if values := [self.values(item, state) for item in items]:
            connection.execute(self._insert, values)

    def values(
        self,
        item: Item,
        state: str,
        seconds: float | None = None,
        statements: int | None = None,
        detail: str = "",
    ) -> dict[str, object]:
        """Return the row of an entry, with the time of this machine in UTC."""
        step = isinstance(item, Step)
        return {
            "at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            "package": item.package,
            "revision": item.revision.id if isinstance(item, Step) else ",".join(item.rows)[:128],
            "operation": item.direction.value if isinstance(item, Step) else item.kind,
            "state": state,
            "seconds": seconds,
            "statements": statements,
            "detail": (detail or ("" if step else getattr(item, "reason", "")))[:2000],
        }

    def last(self, connection: Connection) -> Mapping[str, LastWords]:
        """Return the last words on every package; empty without the table; ends the transaction."""
        try:
            rows = connection.exec_driver_sql(self._last(connection.dialect)).all()
        except DBAPIError:
            rows = []
        finally:
            connection.rollback()
        found: dict[str, LastWords] = {}
        for package, revision, operation, state, statements, detail in rows:
            entry = Entry(package, revision, operation, state, statements or 0, detail or "")
            before = found.get(package)
            done = entry if state == DONE else before.done if before is not None else None
            found[package] = LastWords(entry, done)
        return found
