"""What existing rows get in a column that must have a value: safe ones, and typed ones."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import ColumnDefault, DefaultClause
from sqlalchemy.types import TypeDecorator, TypeEngine

_NOW: dict[type, str] = {
    dt.datetime: "sa.func.current_timestamp()",
    dt.date: "sa.func.current_date()",
    dt.time: "sa.func.current_time()",
}
_SAFE: dict[type, str] = {
    bool: "False",
    int: "0",
    float: "0",
    Decimal: "0",
    str: "''",
    bytes: "b''",
}
_TRUE = frozenset({"true", "yes", "y", "1", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "f"})


def plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that the database has for a type of somebody's own."""
    while isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance if hasattr(type_, "impl_instance") else type_.impl  # type: ignore[assignment]
    return type_


def python_type(type_: TypeEngine[Any]) -> type | None:
    """Return the Python type of a column's values, as far as its type tells."""
    try:
        return plain(type_).python_type
    except NotImplementedError:
        return None


def safe(column: sa.Column[Any]) -> str | None:
    """
    Return Python source of a value that any row may have; None where there is none.

    That is the default of the model where it is a constant, else an empty
    value of the type. What must differ from row to row, or be in another table,
    has none.
    """
    if isinstance(column.server_default, DefaultClause):
        return _server_default(column.server_default)
    if column.primary_key or column.foreign_keys or _unique(column):
        return None
    default = column.default
    if isinstance(default, ColumnDefault) and default.is_scalar:
        value = getattr(default.arg, "name", default.arg)
        if type(value) in (bool, int, float, str) and type(column.type) is type(plain(column.type)):
            return repr(value)
    return _of_type(plain(column.type))


def _server_default(default: DefaultClause) -> str | None:
    text = getattr(default.arg, "text", default.arg)
    if not isinstance(text, str):
        return None
    return repr(text) if isinstance(default.arg, str) else f"sa.text({text!r})"


def _unique(column: sa.Column[Any]) -> bool:
    if column.unique:
        return True
    table: sa.Table | None = getattr(column, "table", None)
    if table is None:
        return False
    unique = [one.columns for one in table.constraints if isinstance(one, sa.UniqueConstraint)]
    unique += [one.columns for one in table.indexes if one.unique]
    return any(column.name in columns for columns in unique)


def _of_type(type_: TypeEngine[Any]) -> str | None:
    if isinstance(type_, sa.Enum):
        return repr(type_.enums[0]) if type_.enums else None
    if isinstance(type_, sa.JSON):
        return "{}"
    known = python_type(type_)
    return (_NOW.get(known) or _SAFE.get(known)) if known is not None else None


def parsed(text: str, column: sa.Column[Any]) -> str:
    """
    Return Python source of a value that a person typed for a column.

    Raises:
        ValueError: it is none for the column's type; the words say why.

    """
    type_ = plain(column.type)
    if isinstance(type_, sa.Enum):
        if text not in type_.enums:
            raise ValueError(f"is none of {', '.join(type_.enums)}")
        return repr(text)
    known = python_type(type_)
    if known is bool:
        return _flag(text)
    if known is int:
        return _number(text, int)
    if known in (float, Decimal):
        return _number(text, Decimal)
    if known in _NOW:
        return _moment(text, known)
    return repr(text)


def _flag(text: str) -> str:
    if text.lower() in _TRUE:
        return "True"
    if text.lower() in _FALSE:
        return "False"
    raise ValueError("is neither true nor false")


def _number(text: str, kind: type[int | Decimal]) -> str:
    try:
        value = kind(text.strip())
    except (ValueError, InvalidOperation):
        raise ValueError("is no number" if kind is Decimal else "is no whole number") from None
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("is no number")
    return str(value)


def _moment(text: str, known: Any) -> str:
    if text.lower() == "now":
        return _NOW[known]
    try:
        return repr(known.fromisoformat(text))
    except ValueError:
        raise ValueError("is no date or time like 2026-01-31, or now") from None


def imports(value: str) -> tuple[str, ...]:
    """Return the imports that a value's source needs."""
    return ("import datetime",) if value.startswith("datetime.") else ()
