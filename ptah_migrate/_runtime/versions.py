"""
The version table ``ptah_db_versions(package, version_num)``.

Its 2012 form has ``package`` as the only key and 32 characters for an id. It
is used as it is, and widened only when a second head or a longer id must be
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, bindparam, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ptah_migrate._runtime.engine import reason
from ptah_migrate._runtime.writes import Write
from ptah_migrate.errors import DatabaseError, VersionTableError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Delete, Insert, Update

TABLE = "ptah_db_versions"
LONGEST = 128
LONGEST_2012 = 32

Rows = Mapping[str, tuple[str, ...]]


@cache
def table(schema: str | None = None, name: str = TABLE) -> Table:
    """Return the table as new databases get it."""
    return Table(
        name,
        MetaData(),
        Column("package", String(LONGEST), primary_key=True, nullable=False),
        Column("version_num", String(LONGEST), primary_key=True, nullable=False),
        schema=schema,
        implicit_returning=False,
    )


class Versions:
    """Reads and writes the rows; the caller owns every transaction."""

    def __init__(self, schema: str | None = None) -> None:
        self.schema = schema
        self.table = table(schema)
        self._checked = False

    # Made once: SQLAlchemy compiles a statement anew for every literal in it. And
    # not before one is needed: most runs only read.

    @cached_property
    def _row(self) -> ColumnElement[bool]:
        columns = self.table.c
        return (columns.package == bindparam("of")) & (columns.version_num == bindparam("old"))

    @cached_property
    def _update(self) -> Update:
        return self.table.update().where(self._row).values(version_num=bindparam("new"))

    @cached_property
    def _delete(self) -> Delete:
        return self.table.delete().where(self._row)

    @cached_property
    def _insert(self) -> Insert:
        return self.table.insert().values(package=bindparam("of"), version_num=bindparam("new"))

    def read(self, connection: Connection) -> Rows:
        """
        Return the recorded ids of every package, sorted.

        Reads only: a database without the table gives an empty mapping and the
        table is not created. Packages that are not registered are included.
        The transaction is ended, so that the next read sees what others wrote.

        Raises:
            VersionTableError: the table exists but has other columns.

        """
        # Every column: a foreign table is recognised by what it has too many of.
        name = connection.dialect.identifier_preparer.format_table(self.table)
        try:
            result = connection.exec_driver_sql(f"SELECT * FROM {name}")  # noqa: S608 - quoted name
        except DBAPIError as error:
            connection.rollback()
            if inspect(connection).has_table(TABLE, schema=self.schema):
                raise DatabaseError(f"table '{TABLE}' cannot be read: {reason(error)}") from error
            connection.rollback()
            return {}
        columns = list(result.keys())
        if sorted(columns) != ["package", "version_num"]:
            result.close()
            connection.rollback()
            raise VersionTableError(TABLE, columns)
        at = columns.index("package")
        found: dict[str, list[str]] = {}
        for row in result:
            found.setdefault(str(row[at]), []).append(str(row[1 - at]))
        connection.rollback()
        return {package: tuple(sorted(ids)) for package, ids in found.items()}

    def exists(self, connection: Connection) -> bool:
        """Return whether the table is there; ends the transaction."""
        found = inspect(connection).has_table(TABLE, schema=self.schema)
        connection.rollback()
        return found

    def ensure(self, connection: Connection) -> None:
        """Create the table where it is missing."""
        connection.execute(CreateTable(self.table, if_not_exists=True))

    def write(
        self, connection: Connection, package: str, before: Iterable[str], after: Iterable[str]
    ) -> None:
        """
        Replace the rows of one package; no other package's row is touched.

        Raises:
            DatabaseError: the rows are not ``before`` any more.

        """
        for statement, values, meets in self.writes(connection, package, before, after):
            if connection.execute(statement, values).rowcount == 0 and meets:
                raise changed(package)

    def writes(
        self, connection: Connection, package: str, before: Iterable[str], after: Iterable[str]
    ) -> list[Write]:
        """Return the statements of ``write``; makes room for the new rows, where it has to."""
        rows = moves(before, after)
        if come := [new for _, new in rows if new]:
            self._make_room(connection, come, several=len(set(after)) > 1)
        return [
            Write(self._update, {"of": package, "old": old, "new": new}, meets=True)
            if old and new
            else Write(self._delete, {"of": package, "old": old}, meets=True)
            if old
            else Write(self._insert, {"of": package, "new": new})
            for old, new in rows
        ]

    def add(self, connection: Connection, rows: Sequence[tuple[str, str]]) -> None:
        """Write rows (package, id) of packages that have none, all at once."""
        if rows:
            several = len({package for package, _ in rows}) < len(rows)
            self._make_room(connection, [row for _, row in rows], several=several)
            connection.execute(self._insert, [{"of": package, "new": row} for package, row in rows])

    # -- the 2012 form -------------------------------------------------------------

    def _make_room(self, connection: Connection, rows: list[str], *, several: bool) -> None:
        """Widen a table of 2012, once, when its key or its length is too small."""
        if self._checked or not (several or max(map(len, rows)) > LONGEST_2012):
            return
        self._checked = True
        inspector = inspect(connection)
        if not inspector.has_table(TABLE, schema=self.schema):
            return
        key = inspector.get_pk_constraint(TABLE, schema=self.schema)
        columns = {c["name"]: c["type"] for c in inspector.get_columns(TABLE, schema=self.schema)}
        length = getattr(columns.get("version_num"), "length", None) or LONGEST
        narrow = length < max(map(len, rows))
        if narrow or key["constrained_columns"] == ["package"]:
            _widen(connection, self.table, key.get("name"))


def moves(before: Iterable[str], after: Iterable[str]) -> list[tuple[str, str]]:
    """Return (old id, new id) of each row to change; one is empty to insert or to delete a row."""
    old, new = set(before), set(after)
    return list(zip_longest(sorted(old - new), sorted(new - old), fillvalue=""))


def changed(package: str) -> DatabaseError:
    """Return the error of rows that are not what was read under the lock."""
    return DatabaseError(
        f"the recorded version of package '{package}' was changed by somebody else",
        hint="see: ptah-migrate current, then run the same command again",
    )


def _widen(connection: Connection, wide: Table, key: str | None) -> None:
    """Give the table its present form; the rows of every package stay."""
    quote = connection.dialect.identifier_preparer
    name = quote.format_table(wide)
    text = f"VARCHAR({LONGEST}) NOT NULL"
    if connection.dialect.name == "sqlite":
        new = table(wide.schema, f"{TABLE}_new")
        connection.execute(CreateTable(new))
        connection.execute(
            new.insert().from_select(["package", "version_num"], select(*wide.columns))
        )
        connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(new)} RENAME TO {TABLE}")
    elif connection.dialect.name in ("mysql", "mariadb"):
        drop = "DROP PRIMARY KEY, " if key or _has_key(connection, wide) else ""
        connection.exec_driver_sql(
            f"ALTER TABLE {name} {drop}MODIFY package {text}, MODIFY version_num {text}, "
            "ADD PRIMARY KEY (package, version_num)"
        )
    else:
        if key:
            connection.exec_driver_sql(f"ALTER TABLE {name} DROP CONSTRAINT {quote.quote(key)}")
        for column in ("package", "version_num"):
            connection.exec_driver_sql(
                f"ALTER TABLE {name} ALTER COLUMN {column} TYPE VARCHAR({LONGEST})"
            )
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD PRIMARY KEY (package, version_num)")


def _has_key(connection: Connection, wide: Table) -> bool:
    found = inspect(connection).get_pk_constraint(wide.name, schema=wide.schema)
    return bool(found["constrained_columns"])
