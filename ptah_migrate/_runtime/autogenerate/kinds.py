"""
Statements for named enums and sequences, around the operations that use them.

A revision runs on every database: each statement asks first whether the one it
runs on has such things. They are plain SQL, so that a script can have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy import Column

from ptah_migrate._runtime import named
from ptah_migrate._runtime.autogenerate.operations import Code, key
from ptah_migrate._runtime.named import POSTGRESQL, Changed, Kind

if TYPE_CHECKING:
    from ptah_migrate._runtime.comparison import Comparison

Operations = list[ops.MigrateOperation]

_IF_POSTGRESQL = 'if op.get_context().dialect.name == "postgresql":'
_IF_SEQUENCES = "if op.get_context().dialect.supports_sequences:"


def prepare(comparison: Comparison, found: Sequence[ops.MigrateOperation]) -> Operations:
    """Return the operations with what they need of enums and sequences around them."""
    known = existing(comparison, found)
    changed = comparison.named.changed
    front: Operations = [_grown(comparison, one, found) for one in changed if not one.removed]
    front += [_new_sequence(one) for one in _sequences(comparison, found)]
    result: Operations = []
    for op in found:
        for kind in named.kinds(_arriving(op)).values():
            if kind.key not in known:
                known.add(kind.key)
                result.append(_new_kind(kind, made=isinstance(op, ops.CreateTableOp)))
        result.append(op)
    gone = _gone(comparison, found, known)
    last: Operations = [_replaced(comparison, one) for one in changed if one.removed]
    last += [_old_sequence(name) for name in comparison.named.unexpected]
    return [*front, *result, *gone, *last]


def existing(comparison: Comparison, found: Iterable[ops.MigrateOperation]) -> set[str]:
    """
    Return the named enums that are there before the operations.

    Where the database has no such thing: those of columns that it has already.
    """
    if comparison.named.stored is not None:
        return set(comparison.named.stored)
    arriving = {(key(op), column.name) for op, column in _all_arriving(found)}
    own = [
        column
        for column in named.columns_of(comparison.metadata)
        if (column.table.key, column.name) not in arriving
    ]
    return set(named.kinds(own))


def remaining(comparison: Comparison) -> set[str]:
    """Return the named enums that are there after the operations, as far as the models tell."""
    return set(named.kinds(named.columns_of(comparison.metadata)))


def _all_arriving(
    found: Iterable[ops.MigrateOperation],
) -> Iterator[tuple[Any, Column[Any]]]:
    for op in found:
        for column in _arriving(op):
            yield op, column


def _arriving(op: ops.MigrateOperation) -> Iterator[Column[Any]]:
    """Yield the columns that an operation brings, or gives another type."""
    if isinstance(op, ops.CreateTableOp):
        yield from op.to_table().columns
    for one in op.ops if isinstance(op, ops.ModifyTableOps) else ():
        if isinstance(one, ops.AddColumnOp):
            yield one.column
        elif isinstance(one, ops.AlterColumnOp) and one.modify_type is not None:
            yield Column(one.column_name, one.modify_type)


def _leaving(op: ops.MigrateOperation) -> Iterator[Column[Any]]:
    if isinstance(op, ops.DropTableOp):
        yield from op.to_table().columns
    for one in op.ops if isinstance(op, ops.ModifyTableOps) else ():
        if isinstance(one, ops.DropColumnOp):
            yield one.to_column()
        elif isinstance(one, ops.AlterColumnOp) and one.modify_type is not None:
            yield Column(one.column_name, one.existing_type)


# -- enums -----------------------------------------------------------------------------


def _only_postgresql(*statements: str) -> str:
    lines = [f"    op.execute({statement!r})" for statement in statements]
    return "\n".join([_IF_POSTGRESQL, *lines])


def _create(kind: Kind) -> str:
    return f"CREATE TYPE {kind.sql} AS ENUM ({', '.join(map(_literal, kind.labels))})"


def _literal(label: str) -> str:
    """Return a text for SQL inside ``op.execute()``, where a colon begins a parameter."""
    return _escaped("'" + label.replace("'", "''") + "'")


def _escaped(sql: str) -> str:
    """Return SQL in which no colon begins a parameter; a cast stays as it is."""
    return re.sub(r"(?<!:):(?!:)", r"\\:", sql)


def _new_kind(kind: Kind, *, made: bool) -> Code:
    """Return what makes a type; a new table makes it by itself, but does not take it away."""
    drop = _only_postgresql(f"DROP TYPE {kind.sql}")
    return Code([] if made else [_only_postgresql(_create(kind))], [drop])


def _gone(
    comparison: Comparison, found: Sequence[ops.MigrateOperation], known: set[str]
) -> Operations:
    """Return what drops the types that nothing uses any more."""
    stored = comparison.named.stored or {}
    left = remaining(comparison)
    result: dict[str, Code] = {}
    for op in found:
        for kind in named.kinds(_leaving(op)).values():
            if kind.key in stored and kind.key not in left and not _used(comparison, kind, found):
                again = [] if isinstance(op, ops.DropTableOp) else [_only_postgresql(_create(kind))]
                known.discard(kind.key)
                drop = [_only_postgresql(f"DROP TYPE {kind.sql}")]
                result[kind.key] = Code(drop, again)
    return list(result.values())


def _used(comparison: Comparison, kind: Kind, found: Sequence[ops.MigrateOperation]) -> bool:
    """Return whether a column that stays, of whomever, has a type."""
    leaving = {
        (key(op), str(column.name))
        for op in found
        for column in (_leaving(op) if isinstance(op, ops.DropTableOp | ops.ModifyTableOps) else ())
    }
    return bool({(one.table, one.column) for one in _users(comparison, kind)} - leaving)


_USERS = sa.text("""
    SELECT n.nspname, c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid),
           CASE WHEN t.typname = :name THEN '' ELSE '[]' END
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typelem <> 0
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN pg_namespace m ON m.oid = t.typnamespace
    WHERE (t.typname = :name OR e.typname = :name) AND m.nspname = :schema
      AND NOT a.attisdropped
    ORDER BY 1, 2, 3
""")


@dataclass(frozen=True, slots=True)
class _User:
    """A column that has a type, or (``array``: ``[]``) an array of it."""

    table: str
    column: str
    default: str | None
    array: str


def _users(comparison: Comparison, kind: Kind) -> list[_User]:
    """Return the columns of a PostgreSQL database that have a type, with their defaults."""
    connection = comparison.context.connection
    if connection is None or connection.dialect.name != "postgresql":
        return []
    default = connection.dialect.default_schema_name
    rows = connection.execute(_USERS, {"name": kind.name, "schema": kind.schema or default})
    return [
        _User(table if schema == default else f"{schema}.{table}", *rest)
        for schema, table, *rest in rows
    ]


def _grown(comparison: Comparison, one: Changed, found: Sequence[ops.MigrateOperation]) -> Code:
    """Return what adds values to a type before all else, and at the very last takes them away."""
    lines = [
        f"        op.execute({f'ALTER TYPE {one.new.sql} ADD VALUE IF NOT EXISTS {place}'!r})"
        for place in _places(one)
    ]
    block = "    with op.get_context().autocommit_block():"
    gone = {key(op) for op in found if isinstance(op, ops.DropTableOp)}
    own = gone | set(comparison.metadata.tables)
    before = [user for user in _users(comparison, one.old) if user.table in own]
    back = _rebuilt(one.new, one.old, before)
    return Code(["\n".join([_IF_POSTGRESQL, block, *lines])], [back])


def _replaced(comparison: Comparison, one: Changed) -> Code:
    """Return what takes values from a type when all else is done, and first gives them back."""
    after = [
        _User(column.table.key, str(column.name), _default(column), _array(column))
        for column in named.columns_of(comparison.metadata)
        if (kind := named.kind_of(column.type)) is not None and kind.key == one.new.key
    ]
    return Code([_rebuilt(one.old, one.new, after)], [_rebuilt(one.new, one.old, after)])


def _default(column: Column[Any]) -> str | None:
    """Return a column's server default as SQL."""
    default = getattr(column.server_default, "arg", None)
    if isinstance(default, str):
        return _literal(default)
    text = getattr(default, "text", None)
    return text if isinstance(text, str) else None


def _array(column: Column[Any]) -> str:
    return "[]" if isinstance(column.type.dialect_impl(POSTGRESQL), sa.ARRAY) else ""


def _places(one: Changed) -> Iterator[str]:
    """Yield the new values, each with its neighbour, in an order that has the neighbour first."""
    there = set(one.old.labels)
    labels = one.new.labels
    for place, label in enumerate(labels):
        if label in there:
            continue
        following = next((other for other in labels[place:] if other in there), None)
        if place:
            yield f"{_literal(label)} AFTER {_literal(labels[place - 1])}"
        elif following is not None:
            yield f"{_literal(label)} BEFORE {_literal(following)}"
        else:
            yield _literal(label)
        there.add(label)


def _rebuilt(old: Kind, new: Kind, users: Iterable[_User]) -> str:
    """Return statements that put another type in the place of one; lost values stop them."""
    aside = Kind(f"{old.name}_before", old.labels, old.schema)
    quote = POSTGRESQL.identifier_preparer.quote
    statements = [f"ALTER TYPE {old.sql} RENAME TO {quote(aside.name)}", _create(new)]
    for one in users:
        table = ".".join(map(quote, one.table.split(".")))
        alter = f"ALTER TABLE {table} ALTER COLUMN {quote(one.column)}"
        type_ = f"{new.sql}{one.array}"
        default = [f"{alter} SET DEFAULT {_escaped(one.default)}"] if one.default else []
        if default:
            statements.append(f"{alter} DROP DEFAULT")
        value = f"{quote(one.column)}::text{one.array}::{type_}"
        statements += [f"{alter} TYPE {type_} USING {value}", *default]
    statements.append(f"DROP TYPE {aside.sql}")
    return _only_postgresql(*statements)


# -- sequences -------------------------------------------------------------------------


def _sequences(
    comparison: Comparison, found: Sequence[ops.MigrateOperation]
) -> Iterable[sa.Sequence]:
    """Return the sequences to make; where a database has none: those of the columns that come."""
    if comparison.context.dialect.supports_sequences:
        return comparison.named.missing
    arriving = named.sequences(column for _, column in _all_arriving(found))
    return [one for name, one in sorted(arriving.items()) if name not in comparison.named.made]


def _new_sequence(sequence: sa.Sequence) -> Code:
    source = _source(sequence)
    return Code([_made(source)], [_dropped(source)])


def _old_sequence(name: str) -> Code:
    schema, _, plain = name.rpartition(".")
    source = _source(sa.Sequence(plain, schema=schema or None))
    return Code([_dropped(source)], [_made(source)])


def _made(source: str) -> str:
    return f"{_IF_SEQUENCES}\n    op.execute(sa.schema.CreateSequence({source}))"


def _dropped(source: str) -> str:
    return f"{_IF_SEQUENCES}\n    op.execute(sa.schema.DropSequence({source}))"


_OPTIONS = ("start", "increment", "minvalue", "maxvalue", "cycle", "cache", "schema")


def _source(sequence: sa.Sequence) -> str:
    given = [(name, getattr(sequence, name, None)) for name in _OPTIONS]
    words = [f"{name}={value!r}" for name, value in given if value is not None]
    return f"sa.Sequence({', '.join([repr(str(sequence.name)), *words])})"
