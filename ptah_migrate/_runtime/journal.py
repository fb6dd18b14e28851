"""
The journal ``ptah_db_journal``: what was done to this database, append-only.

It tells rows that steps made from rows that were seeded or stamped, and shows
a step that a database without transactional DDL left half-way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
    func,
    or_,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ptah_migrate.model import Item, Step

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select

TABLE = "ptah_db_journal"

DONE = "done"
STARTED = "started"
FAILED = "failed"

_HOW = {"upgrade": "run", "downgrade": "run", "seeded": "seeded", "stamped": "stamped"}


@dataclass(frozen=True, slots=True)
class Entry:
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


@dataclass(frozen=True, slots=True)
class LastWords:
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


class Journal:
    """Writes and reads entries; the caller owns every transaction."""

    def __init__(self, schema: str | None = None) -> None:
        self.table = table(schema)

    def _last(self, dialect: str) -> Select[Any]:
        """Return the query of the newest entry of each package, and of its newest one done."""
        columns = self.table.c
        entry = select(
            columns.package,
            columns.revision,
            columns.operation,
            columns.state,
            columns.statements,
            columns.detail,
        ).order_by(columns.id)
        if dialect in ("mysql", "mariadb"):  # these take seconds for the other one
            newest = select(func.max(columns.id)).group_by(columns.package, columns.state)
            return entry.where(columns.id.in_(newest))
        return self._by_index(entry)

    def _by_index(self, entry: Select[Any]) -> Select[Any]:
        """
        Return the query that goes from package to package by the index.

        Its time does not grow with the number of entries, as that of a GROUP BY does.
        """
        columns = self.table.c
        first = select(func.min(columns.package).label("package")).cte("packages", recursive=True)
        following = (
            select(func.min(columns.package))
            .where(columns.package > first.c.package)
            .correlate(first)
            .scalar_subquery()
        )
        names = first.union_all(select(following).where(first.c.package.is_not(None)))
        inner = self.table.alias().c

        def newest(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
            found = select(inner.id).where(inner.package == names.c.package, *conditions)
            return found.order_by(inner.id.desc()).limit(1).correlate(names).scalar_subquery()

        return entry.select_from(names).join(
            self.table, or_(columns.id == newest(), columns.id == newest(inner.state == DONE))
        )

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
        connection.execute(
            self.table.insert(), self.values(item, state, seconds, statements, detail)
        )

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
            rows = connection.execute(self._last(connection.dialect.name)).all()
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
