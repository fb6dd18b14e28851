"""How PostgreSQL gets from the values of one type to those of another, where it must be told."""

from __future__ import annotations

from typing import Any

from alembic.operations import ops
from sqlalchemy.exc import CompileError

from ptah_migrate._runtime import named

_NUMBERS = frozenset(
    {"SMALLINT", "INTEGER", "BIGINT", "NUMERIC", "REAL", "FLOAT", "DOUBLE PRECISION"}
)
_TEXTS = frozenset({"TEXT", "VARCHAR", "CHAR"})
_MOMENTS = frozenset({"DATE", "TIMESTAMP"})


def using(op: ops.AlterColumnOp) -> str:
    """Return the expression of a change of type; empty where PostgreSQL knows it by itself."""
    new, old = compiled(op.modify_type), compiled(op.existing_type)
    if not new or not old or _plain(new) == _plain(old):
        return ""
    column = named.POSTGRESQL.identifier_preparer.quote(op.column_name)
    return f"{column}{_between(_plain(old), _plain(new))}::{new}"


def compiled(type_: Any) -> str:
    """Return a type as PostgreSQL writes it; nothing for one that it does not know."""
    if type_ is None:
        return ""
    try:
        return str(type_.compile(dialect=named.POSTGRESQL))
    except CompileError:
        return ""


def _plain(text: str) -> str:
    """Return the name of a type without its length: ``NUMERIC(10, 2)`` -> ``NUMERIC``."""
    return text.partition("(")[0].partition(" WITH")[0].strip()


def _between(old: str, new: str) -> str:
    """Return the type to go through: there is not a way from each to each."""
    if (old in _NUMBERS and new in _NUMBERS) or (old in _MOMENTS and new in _MOMENTS):
        return ""
    if "BOOLEAN" in (old, new) and (old in _NUMBERS or new in _NUMBERS):
        return "" if "INTEGER" in (old, new) else "::INTEGER"
    return "" if old in _TEXTS or new in _TEXTS else "::TEXT"


def parted(op: ops.AlterColumnOp) -> list[ops.AlterColumnOp]:
    """
    Return a change of type with its default taken away before, and put back after it.

    PostgreSQL casts the old default to the new type, and often cannot.
    """
    existing = op.existing_server_default
    if not using(op) or not existing:
        return [op]
    default = existing if op.modify_server_default is False else op.modify_server_default
    common: dict[str, Any] = {
        "schema": op.schema,
        "existing_nullable": op.existing_nullable,
        "existing_comment": op.existing_comment,
    }
    without = ops.AlterColumnOp(
        op.table_name,
        op.column_name,
        existing_type=op.existing_type,
        existing_server_default=existing,
        modify_server_default=None,
        **common,
    )
    change = ops.AlterColumnOp(
        op.table_name,
        op.column_name,
        existing_type=op.existing_type,
        modify_type=op.modify_type,
        modify_nullable=op.modify_nullable,
        modify_comment=op.modify_comment,
        existing_server_default=None,
        **common,
    )
    if default is None:
        return [without, change]
    with_default = ops.AlterColumnOp(
        op.table_name,
        op.column_name,
        existing_type=op.modify_type,
        existing_server_default=None,
        modify_server_default=default,
        **{**common, "existing_nullable": op.modify_nullable or op.existing_nullable},
    )
    if op.modify_nullable is not None:
        with_default.existing_nullable = op.modify_nullable
    return [without, change, with_default]
