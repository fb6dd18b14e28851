"""
Are two server defaults the same?

Databases give defaults back in their own words: PostgreSQL adds casts, MariaDB
fills decimals up and knows no ``now()``. Alembic compares texts there, and on
PostgreSQL asks the server without quoting what it asks. Here equal texts are
the same, and what else looks different the server itself may call equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import types
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable, DefaultClause

if TYPE_CHECKING:
    from alembic.ddl.impl import DefaultImpl
    from sqlalchemy import Column, Connection
    from sqlalchemy.engine import Dialect

_CAST = re.compile(r"::[\w \".]+(?:\([\d, ]+\))?(?:\[\])*\Z")
_NOW = re.compile(
    r"(?:now|current_timestamp|localtime|localtimestamp)(?:\((?P<digits>\d*)\))?", re.IGNORECASE
)
_MYSQL = ("mysql", "mariadb")


def compare_well(impl: DefaultImpl, connection: Connection) -> None:
    """
    Let this one ``impl`` of a migration context compare server defaults our way.

    It is the method for that, of an object that nobody else has. Alembic's hook
    for functions of one's own cannot be used: it fails where the database has a
    computed column (seen in 1.20).
    """
    theirs: Callable[..., Any] = impl.compare_server_default

    def compare(
        inspected: Column[Any], column: Column[Any], wanted: str | None, found: str | None
    ) -> bool:
        verdict = _differs(connection, inspected, column, found)
        return bool(theirs(inspected, column, wanted, found)) if verdict is None else verdict

    vars(impl)["compare_server_default"] = compare


def _differs(
    connection: Connection, inspected: Column[Any], column: Column[Any], found: str | None
) -> bool | None:
    """
    Return whether the default of a column differs from the models'.

    None leaves it to Alembic: where one side has none, for sequences behind keys.
    """
    dialect = connection.dialect
    wanted = _text(column, dialect)
    if found is None or wanted is None:
        return None
    if _normal(found, dialect) == _normal(wanted, dialect):
        return False
    if dialect.name == "sqlite" or (dialect.name in _MYSQL and not _number(inspected)):
        return True
    return not _equal(connection, found, wanted)


def _text(column: Column[Any], dialect: Dialect) -> str | None:
    """Return a column's default as its CREATE TABLE would say it."""
    if not isinstance(column.server_default, DefaultClause):
        return None  # computed, or an identity
    compiler = dialect.ddl_compiler(dialect, CreateTable(column.table))
    return compiler.get_column_default_string(column)


def _normal(text: str, dialect: Dialect) -> str:
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and _closed(text[1:-1]):
        text = text[1:-1].strip()
    if dialect.name == "postgresql":
        text = _CAST.sub("", text)
    if dialect.name in _MYSQL:
        if now := _NOW.fullmatch(text):
            return f"current_timestamp({(now['digits'] or '').strip('0')})"
        text = text.replace("\\'", "''")
    if text.lower() in ("true", "false") and dialect.name in (*_MYSQL, "sqlite"):
        return "1" if text.lower() == "true" else "0"
    return text.lower() if "'" not in text and '"' not in text else text


def _closed(text: str) -> bool:
    """Return whether every parenthesis that is opened in a text is closed in it."""
    depth = 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0


def _number(column: Column[Any]) -> bool:
    return isinstance(column.type, types.Numeric | types.Integer | types.Boolean)


def _equal(connection: Connection, found: str, wanted: str) -> bool:
    """Ask the server; what it cannot compare is not equal."""
    try:
        with connection.begin_nested():
            statement = f"SELECT ({found}) = ({wanted})"
            return bool(connection.exec_driver_sql(statement.replace("%", "%%")).scalar())
    except DBAPIError:
        return False
