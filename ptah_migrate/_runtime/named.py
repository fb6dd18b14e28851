"""
What Alembic's comparison does not see: the values of named enums, and sequences.

Both are things of their own in PostgreSQL, sequences in MariaDB too; elsewhere
there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from ptah_migrate.drafts import Difference

POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Kind:
    """A named enum: a type that PostgreSQL has beside the tables."""

    name: str
    labels: tuple[str, ...]
    schema: str | None = None

    @property
    def sql(self) -> str:
        """Its name in SQL, quoted where need be."""
        quote = POSTGRESQL.identifier_preparer.quote
        return f"{quote(self.schema)}.{quote(self.name)}" if self.schema else quote(self.name)

    @property
    def key(self) -> str:
        """Its name as a table's key is written."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Changed:
    """A named enum whose values in the database are not those of the models."""

    old: Kind
    new: Kind

    @property
    def added(self) -> tuple[str, ...]:
        """The values that only the models have."""
        return tuple(label for label in self.new.labels if label not in self.old.labels)

    @property
    def removed(self) -> tuple[str, ...]:
        """The values that only the database has."""
        return tuple(label for label in self.old.labels if label not in self.new.labels)


def kind_of(type_: Any) -> Kind | None:
    """Return the named enum that PostgreSQL makes of a column's type, if we are to make it."""
    if isinstance(type_, TypeDecorator):
        return kind_of(type_.load_dialect_impl(POSTGRESQL))
    found = type_.dialect_impl(POSTGRESQL)
    if isinstance(found, sa.ARRAY):
        return kind_of(found.item_type)
    if not isinstance(found, sa.Enum) or not found.native_enum or not found.name:
        return None
    if not getattr(found, "create_type", True):
        return None
    return Kind(str(found.name), tuple(found.enums), found.schema)


def kinds(columns: Iterable[Column[Any]]) -> dict[str, Kind]:
    """Return the named enums of columns, by their keys."""
    found = (kind_of(column.type) for column in columns)
    return {kind.key: kind for kind in found if kind is not None}


def columns_of(metadata: MetaData) -> Iterator[Column[Any]]:
    """Yield the columns of all tables."""
    for table in metadata.sorted_tables:
        yield from table.columns


def stored_kinds(inspector: Any, dialect: Dialect) -> dict[str, Kind] | None:
    """Return the named enums of a PostgreSQL database; None where there is no such thing."""
    if dialect.name != "postgresql":
        return None
    default = inspector.default_schema_name
    found = [
        Kind(
            one["name"],
            tuple(one["labels"]),
            None if one["schema"] == default else one["schema"],
        )
        for one in inspector.get_enums(schema="*")
    ]
    return {kind.key: kind for kind in found}


def changed_kinds(models: Mapping[str, Kind], stored: Mapping[str, Kind] | None) -> list[Changed]:
    """Return the enums whose values differ; another order alone is no difference."""
    return [
        Changed(stored[key], kind)
        for key, kind in sorted(models.items())
        if stored is not None and key in stored and set(stored[key].labels) != set(kind.labels)
    ]


def sequences(columns: Iterable[Column[Any]]) -> dict[str, sa.Sequence]:
    """Return the sequences that columns of the models take their values from, by their keys."""
    found: dict[str, sa.Sequence] = {}
    for column in columns:
        for one in (column.default, getattr(column.server_default, "arg", None)):
            made = getattr(one, "sequence", one)  # next_value() of one
            if isinstance(made, sa.Sequence) and not made.optional:
                found[key_of(made)] = made
    return found


def stored_sequences(inspector: Any, dialect: Dialect, schemas: Iterable[str | None]) -> set[str]:
    """Return the sequences of a database, as far as it can have any."""
    found: set[str] = set()
    if dialect.supports_sequences:
        for schema in dict.fromkeys((None, *schemas)):
            prefix = f"{schema}." if schema else ""
            found.update(prefix + name for name in inspector.get_sequence_names(schema=schema))
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """
    The enums and sequences of one package, in its models and in the database.

    Attributes:
        stored: the enums of the database; None where there is no such thing.
        changed: enums with other values.
        missing: sequences that only the models have.
        unexpected: sequences that the package's revisions made, and only the database has.
        made: every sequence that its revisions name.

    """

    stored: Mapping[str, Kind] | None = None
    changed: tuple[Changed, ...] = ()
    missing: tuple[sa.Sequence, ...] = ()
    unexpected: tuple[str, ...] = ()
    made: frozenset[str] = frozenset()

    def differences(self, metadata: MetaData) -> tuple[Difference, ...]:
        """Return what differs in words; the values of an enum belong to the first table with it."""
        found = [
            Difference("", f"missing sequence {key_of(one)}", "add_sequence", "models")
            for one in self.missing
        ]
        found += [
            Difference("", f"unexpected sequence {name}", "remove_sequence", "database")
            for name in self.unexpected
        ]
        for one in self.changed:
            table = _table_with(metadata, one.new.key)
            found += [_value(table, label, one, "missing", "models") for label in one.added]
            found += [_value(table, label, one, "unexpected", "database") for label in one.removed]
        return tuple(found)


def look(
    inspector: Any, dialect: Dialect, metadata: MetaData, tables: Iterable[str], made: Iterable[str]
) -> Named:
    """
    Return what the models of ``tables`` name, beside what the database has.

    ``made``: the sequences that the package's revisions name.
    """
    own = [column for column in columns_of(metadata) if column.table.key in set(tables)]
    stored = stored_kinds(inspector, dialect)
    wanted = sequences(own)
    ever = frozenset(made)
    there = stored_sequences(inspector, dialect, (one.schema for one in wanted.values()))
    return Named(
        stored,
        tuple(changed_kinds(kinds(own), stored)),
        tuple(wanted[name] for name in sorted(wanted) if name not in there)
        if dialect.supports_sequences
        else (),
        tuple(sorted((there & ever) - set(wanted))),
        ever,
    )


def key_of(sequence: sa.Sequence) -> str:
    """Return the name of a sequence as a table's key is written."""
    return f"{sequence.schema}.{sequence.name}" if sequence.schema else sequence.name


def _table_with(metadata: MetaData, key: str) -> str:
    for column in columns_of(metadata):
        kind = kind_of(column.type)
        if kind is not None and kind.key == key:
            return column.table.key
    return ""


def _value(table: str, label: str, one: Changed, known: str, side: str) -> Difference:
    verb = "add_value" if side == "models" else "remove_value"
    return Difference(table, f"{known} value {label!r} of enum {one.new.key}", verb, side)
