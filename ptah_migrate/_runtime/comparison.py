"""
What separates a database from the models of one package.

Alembic compares; what it gets to see is only the package's own: a copy of its
tables with stubs for those its foreign keys refer to, and reflection of nothing
else. A neighbour's table can therefore not be mentioned, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import compare as alembic_compare
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, MetaData, Table, inspect
from sqlalchemy.exc import NoInspectionAvailable, UnsupportedCompilationError
from sqlalchemy.types import NullType

from ptah_migrate._runtime import named, schema, versions
from ptah_migrate._runtime.contexts import options_of
from ptah_migrate._runtime.defaults import compare_well
from ptah_migrate.drafts import Difference
from ptah_migrate.errors import ModelsError
from ptah_migrate.model import Package

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import Inspector

_STUB = "ptah_migrate_stub"

IncludeName = Callable[[str | None, str, Mapping[str, str | None]], bool]
IncludeObject = Callable[[Any, str | None, str, bool, Any], bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    The difference between a database and the models of one package.

    Attributes:
        package: whose models.
        operations: what would bring the database to the models, in an order
            that works; Alembic's operations.
        context: Alembic's, of the connection that was compared; for rendering.
        metadata: the tables that were compared, and stubs of referred-to ones.
        neighbours: the referred-to tables of other packages, and whose they are;
            ``""`` for one that no registered package owns.
        named: enums and sequences, which Alembic does not compare.
        differences: the same as ``operations`` and ``named``, in words.

    """

    package: Package
    operations: ops.UpgradeOps
    context: AutogenContext
    metadata: MetaData
    neighbours: Mapping[str, str] = field(default_factory=dict)
    named: named.Named = field(default_factory=named.Named)
    differences: tuple[Difference, ...] = ()


def compare(
    connection: Connection,
    package: Package,
    tables: Sequence[Table],
    *,
    removed: Iterable[str] = (),
    owners: Mapping[str, str] | None = None,
    sequences: Iterable[str] = (),
    defaults: bool = True,
) -> Comparison:
    """
    Compare the database with a package's tables; reads only, the caller ends the transaction.

    Args:
        connection: the database.
        package: for its registered options.
        tables: the package's own tables, of its models.
        removed: tables that are the package's and that its models have no more.
        owners: tables of other packages in the same MetaData, and whose they are.
        sequences: those that the package's revisions name.
        defaults: compare server defaults too.

    Raises:
        ModelsError: the database cannot be described, or the models not be compared.

    """
    copied = _copied(tables)
    mine = {table.key for table in tables}
    context = _context(connection, package, copied, mine, set(removed) - mine, defaults=defaults)
    script = ops.MigrationScript(
        rev_id=None, upgrade_ops=ops.UpgradeOps([]), downgrade_ops=ops.DowngradeOps([])
    )
    try:
        # The public produce_migrations() does just this, with a context of its own, whose
        # inspector reflects every table that is reached by foreign keys.
        alembic_compare._populate_migration_script(context, script)  # noqa: SLF001
    except (NotImplementedError, NoInspectionAvailable, UnsupportedCompilationError) as error:
        raise ModelsError(
            f"the database cannot be compared with the models of package '{package.name}': "
            f"{' '.join(str(error).split()) or type(error).__name__}",
            hint="its dialect does not tell enough; write the revision by hand",
        ) from error
    operations = script.upgrade_ops or ops.UpgradeOps([])
    operations.ops[:] = _ordered(operations.ops)
    neighbours = {
        table.key: (owners or {}).get(table.key, "")
        for table in copied.tables.values()
        if _STUB in table.info
    }
    beside = named.look(context.inspector, context.dialect, copied, mine, sequences)
    differences = (*words(operations.as_diffs()), *beside.differences(copied))
    return Comparison(
        package,
        operations,
        context,
        copied,
        neighbours,
        beside,
        tuple(sorted(differences, key=lambda one: (one.table, one.words))),
    )


# -- what Alembic gets to see --------------------------------------------------------


def _copied(tables: Sequence[Table]) -> MetaData:
    """Return a MetaData with copies of the tables, and stubs for those they refer to."""
    copied = MetaData()
    if tables:
        origin = tables[0].metadata
        copied = MetaData(schema=origin.schema, naming_convention=origin.naming_convention)
    for table in tables:
        table.to_metadata(copied)
    for table in list(copied.tables.values()):
        for key in table.foreign_keys:
            name, _, column = key.target_fullname.rpartition(".")
            _stub(copied, name, [column])
    return copied


def _stub(metadata: MetaData, key: str, columns: Sequence[str]) -> None:
    """Put a table that has nothing but what is referred to, where there is none yet."""
    schema, _, name = key.rpartition(".")
    schema = schema or metadata.schema or ""
    table = metadata.tables.get(f"{schema}.{name}" if schema else name)
    if table is None:
        table = Table(name, metadata, schema=schema or None, info={_STUB: True})
    for column in columns if _STUB in table.info else ():
        if column not in table.columns:
            table.append_column(Column(column, NullType()))


def _context(
    connection: Connection,
    package: Package,
    copied: MetaData,
    mine: set[str],
    removed: set[str],
    *,
    defaults: bool,
) -> AutogenContext:
    options = options_of(package)
    visible = mine | removed
    schemas = {key.rpartition(".")[0] for key in visible}
    default = connection.dialect.default_schema_name or ""
    opts = {
        # What EnvironmentContext.configure() fills in for those who do not say.
        "alembic_module_prefix": "op.",
        "sqlalchemy_module_prefix": "sa.",
        "user_module_prefix": None,
        "render_as_batch": False,
        "compare_type": True,
        **options,
        "compare_server_default": defaults and options.get("compare_server_default", True),
        "target_metadata": copied,
        "version_table": versions.TABLE,
        "include_schemas": schemas != {""},
        "include_name": _include_name(visible, schemas, default, options.get("include_name")),
        "include_object": _include_object(options.get("include_object")),
    }
    migration = MigrationContext.configure(connection, opts=opts)
    compare_well(migration.impl, connection)
    context = AutogenContext(migration, metadata=copied)
    vars(context)["inspector"] = _limited(connection, mine, visible)
    return context


def _include_name(
    visible: set[str], schemas: set[str], default: str, theirs: IncludeName | None
) -> IncludeName:
    # Asked for every table of the database: a name of the default schema is in it twice.
    known = visible | {key.removeprefix(f"{default}.") for key in visible if default}

    def include(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        if kind == "table":
            schema = parents.get("schema_name")
            if (f"{schema}.{name}" if schema else name) not in known:
                return False
        elif kind == "schema" and (name or "") not in schemas:
            return False
        return theirs is None or theirs(name, kind, parents)

    return include


def _include_object(theirs: IncludeObject | None) -> IncludeObject:
    def include(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:  # noqa: FBT001 - Alembic's signature
        if kind == "table" and _STUB in thing.info:
            return False
        return theirs is None or bool(theirs(thing, name, kind, reflected, other))

    return include


def _limited(connection: Connection, mine: set[str], visible: set[str]) -> Inspector:
    """
    Return an inspector that reflects a table without those it refers to.

    SQLAlchemy would go on to these, and to those they refer to: through all the
    neighbours. A stub is enough to compare a foreign key with.
    """
    inspector = inspect(connection)
    default = connection.dialect.default_schema_name
    plain = {key.removeprefix(f"{default}.") for key in mine}
    reflect = inspector.reflect_table

    def reflect_table(table: Table, *args: Any, **options: Any) -> None:
        reflect(table, *args, **{**options, "resolve_fks": False})
        # Alembic keeps two collections: tables that the models have, and removed ones.
        together = plain if table.key in plain else visible - mine
        for one in list(table.foreign_keys):
            key, _, column = one.target_fullname.rpartition(".")
            if key not in together and key != table.key:
                _stub(table.metadata, key, [column])

    vars(inspector)["reflect_table"] = reflect_table
    return inspector


# -- order -----------------------------------------------------------------------------


def _ordered(found: Sequence[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """
    Return operations in an order that is the same on every run, and that works.

    New tables first, in Alembic's order; then changes, by table; then what is
    dropped, referring tables before those they refer to. Alembic goes through
    sets there.
    """
    created = [op for op in found if isinstance(op, ops.CreateTableOp)]
    made = {op.table_name for op in created}
    dropped = {_key(op): op for op in found if isinstance(op, ops.DropTableOp)}
    altered = [op for op in found if isinstance(op, ops.ModifyTableOps)]
    for op in altered:
        op.ops[:] = _sorted(op.ops)
    known = (ops.CreateTableOp, ops.DropTableOp, ops.ModifyTableOps)
    rest = [op for op in found if not isinstance(op, known)]
    indexes = [op for op in altered if op.table_name in made]
    changes = sorted(
        (op for op in altered if op.table_name not in made),
        key=lambda op: (op.schema or "", op.table_name),
    )
    gone = {_key(op) for op in dropped.values()}
    before = [op for op in changes if _key(op) not in gone]
    emptied = {_key(op): op for op in changes if _key(op) in gone}
    last: list[ops.MigrateOperation] = []
    for key in _drop_order(dropped):
        last += [op for name, op in emptied.items() if name == key]
        last.append(dropped[key])
    return [*created, *indexes, *before, *rest, *last]


def _key(op: ops.DropTableOp | ops.ModifyTableOps) -> str:
    return f"{op.schema}.{op.table_name}" if op.schema else op.table_name


def _sorted(found: Sequence[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """Return a table's operations; those that Alembic takes from a set by their names."""
    order: list[ops.MigrateOperation] = []
    for kind, run in groupby(found, key=type):
        if issubclass(kind, ops.AddColumnOp | ops.AlterColumnOp):
            order += run
        else:
            order += sorted(run, key=_name)
    return sorted(order, key=lambda op: isinstance(op, ops.DropColumnOp))


def _name(op: ops.MigrateOperation) -> tuple[str, ...]:
    found = (getattr(op, one, None) for one in ("constraint_name", "index_name", "column_name"))
    return (*(str(one or "") for one in found), str(getattr(op, "local_cols", "")))


def _drop_order(dropped: Mapping[str, ops.DropTableOp]) -> tuple[str, ...]:
    graph: dict[str, set[str]] = {key: set() for key in sorted(dropped)}
    for key, op in sorted(dropped.items()):
        for target in schema.referred(op.to_table()) & (graph.keys() - {key}):
            graph[target].add(key)
    return schema.ordered(graph)


# -- in words ---------------------------------------------------------------------------


def words(diffs: Iterable[Any]) -> tuple[Difference, ...]:
    """
    Return Alembic's differences in words, in a stable order.

    Of a table that one side lacks, nothing more is said: not its indexes too.
    """
    found = {one for diff in diffs for one in _differences(diff)}
    whole = {one.table for one in found if one.kind in _WHOLE}
    kept = [one for one in found if one.table not in whole or one.kind in _WHOLE]
    return tuple(sorted(kept, key=lambda one: (one.table, one.words)))


_WHOLE = ("add_table", "remove_table")


def _differences(diff: Any) -> Iterator[Difference]:
    """Yield what one difference says, as Alembic gives it: a tuple, or a list of them."""
    if isinstance(diff, list):
        for one in diff:
            yield from _differences(one)
        return
    verb, *rest = diff
    side = "models" if verb.startswith("add") else "database"
    plain = Difference("", "", verb, side)
    known = "missing" if side == "models" else "unexpected"
    if verb in _WHOLE:
        yield replace(plain, table=rest[0].key, words=f"{known} table {rest[0].key}")
    elif verb in ("add_column", "remove_column"):
        table = f"{rest[0]}.{rest[1]}" if rest[0] else rest[1]
        yield replace(plain, table=table, words=f"{known} column {table}.{rest[2].name}")
    elif verb.startswith("modify_") and len(rest) == 6:
        table = f"{rest[0]}.{rest[1]}" if rest[0] else rest[1]
        changed = verb.removeprefix("modify_")
        text = f"column {table}.{rest[2]} has {changed} {_shown(rest[4])}, not {_shown(rest[5])}"
        yield Difference(table, text, verb, "both")
    else:
        thing = rest[0]
        table = getattr(getattr(thing, "table", None), "key", "") or getattr(thing, "key", "")
        kind = {"fk": "foreign key"}.get(_kind(verb), _kind(verb))
        name = getattr(thing, "name", None) or _columns(thing)
        text = " ".join(f"{known} {kind} {name} of {table}".split())
        yield replace(plain, table=table, words=text)


def _kind(verb: str) -> str:
    return str(verb).partition("_")[2].replace("_", " ")


def _columns(thing: Any) -> str:
    columns = [str(column.name) for column in getattr(thing, "columns", ())]
    return f"({', '.join(columns)})" if columns else ""


def _shown(value: Any) -> str:
    """Return a type, default, comment or flag as text."""
    argument = getattr(value, "arg", None)
    if argument is not None:
        return repr(str(getattr(argument, "text", argument)))
    return repr(value)
