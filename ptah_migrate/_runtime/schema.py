"""A package's own tables: found, created, and compared with its models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy import Column, Connection, Inspector, MetaData, Table, inspect

from ptah_migrate import dotted
from ptah_migrate._history import History
from ptah_migrate._history import tables as history_tables
from ptah_migrate._runtime.fresh import TableState
from ptah_migrate.drafts import Difference
from ptah_migrate.errors import ConfigError
from ptah_migrate.model import Package


def metadata(package: Package) -> MetaData | None:
    """
    Return the models' MetaData, importing them when a dotted name was registered.

    Raises:
        ConfigError: it cannot be imported, or is something else.

    """
    value = dotted.resolve(package.metadata, f"the models of package '{package.name}'")
    if value is None:
        return None
    if not isinstance(value, MetaData) and not hasattr(value, "metadata") and callable(value):
        value = value()
    found = getattr(value, "metadata", value) if not isinstance(value, MetaData) else value
    if not isinstance(found, MetaData):
        raise ConfigError(
            f"the models of package '{package.name}' are a {type(found).__name__}, not a MetaData",
            hint="register metadata='pkg.models:Base.metadata'",
        )
    return found


def state(
    connection: Connection | None,
    package: Package,
    history: History,
    own: Sequence[Table],
    listing: Inspector | None = None,
) -> TableState:
    """
    Return the state of a package's ``own`` tables; reads only, ends the transaction.

    No connection stands for an empty database. A ``listing`` asks for the
    tables of a schema once, however many packages are looked at.

    The models are compared with the database only where some of their tables
    exist: nothing is reflected on an empty database.
    """
    made = history_tables(history)
    existing: frozenset[str] = frozenset()
    differences: tuple[Difference, ...] = ()
    if connection is not None:
        names = {table.key for table in own} | made.ever
        existing = frozenset(names & _existing(listing or inspect(connection), names))
        if own and existing:
            from ptah_migrate._runtime import comparison

            differences = comparison.compare(
                connection, package, own, removed=made.ever - made.final, defaults=False
            ).differences
        connection.rollback()
    return TableState(
        models=tuple(table.key for table in own),
        existing=existing,
        made=made.ever,
        final=made.final,
        everything=made.everything,
        differences=differences,
    )


def _existing(inspector: Inspector, names: Iterable[str]) -> set[str]:
    """Return the tables of the schemas that ``names`` are in, one listing for each schema."""
    schemas = {name.rpartition(".")[0] for name in names}
    known = set(inspector.get_schema_names()) if any(schemas) else set()
    found: set[str] = set()
    for schema in schemas:
        if schema and schema not in known:
            continue
        prefix = f"{schema}." if schema else ""
        found.update(prefix + name for name in inspector.get_table_names(schema=schema or None))
    return found


def in_order(found: MetaData) -> list[Table]:
    """
    Return the tables, referred-to ones first, otherwise by name.

    Unlike ``MetaData.sorted_tables`` it takes foreign keys to tables that are
    not in the MetaData, and says nothing about circles.
    """
    graph: dict[str, set[str]] = {key: set() for key in sorted(found.tables)}
    for key, table in sorted(found.tables.items()):
        names = referred(table)
        inside = {f"{found.schema}.{name}" for name in names - graph.keys() if found.schema}
        graph[key] = (names | inside) & (graph.keys() - {key})
    return [found.tables[key] for key in ordered(graph)]


def referred(of: Table | Column[Any]) -> set[str]:
    """Return the keys of the tables that the foreign keys of a table or column refer to."""
    return {key.target_fullname.rpartition(".")[0] for key in of.foreign_keys}


def ordered(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the keys, each after those it names; as they come where they go round in a circle."""
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError:
        return tuple(graph)


def named(package: Package, names: Collection[str]) -> list[Table]:
    """Return these tables of a package's models, referred-to ones first."""
    found = metadata(package) if names else None
    wanted = set(names)
    return [] if found is None else [t for t in in_order(found) if t.key in wanted]


def create(
    connection: Connection, package: Package, names: Sequence[str], *, checkfirst: bool = True
) -> None:
    """
    Create these tables of a package's models; the caller owns the transaction.

    ``checkfirst`` asks for each table, sequence and type whether it is there.
    """
    tables = named(package, names)
    if tables:
        tables[0].metadata.create_all(connection, tables=tables, checkfirst=checkfirst)
