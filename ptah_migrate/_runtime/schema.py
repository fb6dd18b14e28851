"""A package's own tables: found, created, and compared with its models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, Table, inspect

from ptah_migrate import dotted
from ptah_migrate._history import History, HistoryTables
from ptah_migrate._history import tables as history_tables
from ptah_migrate._runtime import journal, versions
from ptah_migrate._runtime.fresh import Difference, TableState
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


def own_tables(package: Package) -> tuple[Table, ...]:
    """
    Return the package's own tables, referred-to ones first.

    Of a MetaData that several packages share: those registered as ``tables``,
    otherwise those that no ``info={'ptah_package': …}`` gives to another one.

    Raises:
        ConfigError: the models cannot be imported.

    """
    found = metadata(package)
    if found is None:
        return ()
    if package.tables is not None:
        missing = [name for name in package.tables if name not in found.tables]
        if missing:
            raise ConfigError(
                f"package '{package.name}' registers tables its models do not have: "
                f"{', '.join(missing)}"
            )
    return tuple(table for table in found.sorted_tables if _owned(table, package))


def _owned(table: Table, package: Package) -> bool:
    if table.name in (versions.TABLE, journal.TABLE) or table.key in package.skip_tables:
        return False
    if package.tables is not None:
        return table.key in package.tables
    return bool(table.info.get("ptah_package", package.name) == package.name)


def state(connection: Connection | None, package: Package, history: History) -> TableState:
    """
    Return the state of a package's tables; reads only, ends the transaction.

    No connection stands for an empty database.

    The models are compared with the database only where some of their tables
    exist: nothing is reflected on an empty database.
    """
    own = own_tables(package)
    made = history_tables(history)
    existing: frozenset[str] = frozenset()
    differences: tuple[Difference, ...] = ()
    if connection is not None:
        names = {table.key for table in own} | made.ever
        existing = frozenset(names & _existing(connection, names))
        if own and existing:
            differences = compare(connection, own, made)
        connection.rollback()
    return TableState(
        models=tuple(table.key for table in own),
        existing=existing,
        made=made.ever,
        final=made.final,
        everything=made.everything,
        differences=differences,
    )


def _existing(connection: Connection, names: Iterable[str]) -> set[str]:
    """Return the tables of the schemas that ``names`` are in, one listing for each schema."""
    schemas = {name.rpartition(".")[0] for name in names}
    inspector = inspect(connection)
    known = set(inspector.get_schema_names()) if any(schemas) else set()
    found: set[str] = set()
    for schema in schemas:
        if schema and schema not in known:
            continue
        prefix = f"{schema}." if schema else ""
        found.update(prefix + name for name in inspector.get_table_names(schema=schema or None))
    return found


def create(
    connection: Connection, package: Package, names: Sequence[str], *, checkfirst: bool = True
) -> None:
    """
    Create these tables of a package's models; the caller owns the transaction.

    ``checkfirst`` asks for each table, sequence and type whether it is there.
    """
    wanted = set(names)
    tables = [table for table in own_tables(package) if table.key in wanted]
    if tables:
        tables[0].metadata.create_all(connection, tables=tables, checkfirst=checkfirst)


def compare(
    connection: Connection, own: Sequence[Table], made: HistoryTables
) -> tuple[Difference, ...]:
    """Return the differences between the database and these tables, in a stable order."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    mine = {table.key for table in own} | (made.ever - made.final)
    context = MigrationContext.configure(
        connection,
        opts={
            "target_metadata": own[0].metadata,
            "include_name": _include_name(mine),
            "include_object": lambda obj, name, kind, reflected, other: (
                kind != "table" or obj.key in mine
            ),
            "include_schemas": any(table.schema for table in own),
            "compare_type": True,
            "version_table": versions.TABLE,
        },
    )
    found: list[Difference] = []
    for diff in compare_metadata(context, own[0].metadata):
        found.extend(_differences(diff))
    return tuple(sorted(found, key=lambda difference: (difference.table, difference.words)))


def _include_name(mine: set[str]) -> Callable[[str | None, str, Any], bool]:
    def include(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "table" or (parents.get("schema_qualified_table_name") or name) in mine

    return include


def _differences(diff: Any) -> list[Difference]:
    """Return one difference as Alembic gives it (a tuple, or a list of them) in words."""
    if isinstance(diff, list):
        return [words for one in diff for words in _differences(one)]
    verb, *rest = diff
    known = "missing" if verb.startswith("add") else "unexpected"
    if verb in ("add_table", "remove_table"):
        return [Difference(rest[0].key, f"{known} table {rest[0].key}")]
    if verb in ("add_column", "remove_column"):
        table = f"{rest[0]}.{rest[1]}" if rest[0] else rest[1]
        return [Difference(table, f"{known} column {table}.{rest[2].name}")]
    if verb.startswith("modify_") and len(rest) == 6:
        table = f"{rest[0]}.{rest[1]}" if rest[0] else rest[1]
        changed = verb.removeprefix("modify_")
        words = f"column {table}.{rest[2]} has {changed} {rest[4]!r}, not {rest[5]!r}"
        return [Difference(table, words)]
    thing = rest[0]
    table = getattr(getattr(thing, "table", None), "key", "")
    kind = verb.partition("_")[2].replace("_", " ")
    name = getattr(thing, "name", None) or ""
    return [Difference(table, " ".join(f"{known} {kind} {name} of {table}".split()))]
