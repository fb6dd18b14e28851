"""Columns and tables that may have been renamed, and what a rename then is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from alembic.operations import ops
from sqlalchemy import Column

from ptah_migrate._runtime.autogenerate.operations import Code, RenameColumn, key
from ptah_migrate._runtime.autogenerate.values import python_type
from ptah_migrate.drafts import Questioner, Rename

if TYPE_CHECKING:
    from ptah_migrate._runtime.comparison import Comparison

# So much of two tables' columns must have the same names for them to be one.
_ALIKE = 0.6

Operations = list[ops.MigrateOperation]


def apply(comparison: Comparison, ask: Questioner) -> Operations:
    """Return the operations, with a rename wherever a dropped and an added thing are one."""
    found = _tables(comparison, list(comparison.operations.ops), ask)
    result: Operations = []
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            result += _columns(comparison, op, ask)
        else:
            result.append(op)
    return result


# -- tables ----------------------------------------------------------------------------


def _tables(comparison: Comparison, found: Operations, ask: Questioner) -> Operations:
    made = [op for op in found if isinstance(op, ops.CreateTableOp)]
    gone = [op for op in found if isinstance(op, ops.DropTableOp)]
    for drop in gone:
        for create in made:
            if not _same_table(drop, create):
                continue
            rename = Rename(comparison.package.name, "", key(drop), key(create))
            if ask.renamed(rename):
                found = _renamed_table(found, drop, create)
                made.remove(create)
                break
    return found


def _same_table(drop: ops.DropTableOp, create: ops.CreateTableOp) -> bool:
    old = {column.name for column in drop.to_table().columns}
    new = {column.name for column in create.to_table().columns}
    return drop.schema == create.schema and len(old & new) >= _ALIKE * len(old | new)


def _renamed_table(
    found: Operations, drop: ops.DropTableOp, create: ops.CreateTableOp
) -> Operations:
    """Return operations that rename a table, and change its columns; the rest a next run finds."""
    old, new = drop.to_table(), create.to_table()
    schema = f", schema={create.schema!r}" if create.schema else ""
    names = (drop.table_name, create.table_name)
    rename = Code(
        [f"op.rename_table({names[0]!r}, {names[1]!r}{schema})"],
        [f"op.rename_table({names[1]!r}, {names[0]!r}{schema})"],
    )
    changes: Operations = [
        ops.AddColumnOp(create.table_name, column, schema=create.schema)
        for column in new.columns
        if column.name not in old.columns
    ]
    changes += [
        ops.DropColumnOp.from_column_and_tablename(create.schema, create.table_name, column)
        for column in old.columns
        if column.name not in new.columns
    ]
    skipped = {key(drop), key(create)}
    kept = [
        op
        for op in found
        if op not in (drop, create)
        and not (isinstance(op, ops.ModifyTableOps) and key(op) in skipped)
    ]
    modified = ops.ModifyTableOps(create.table_name, changes, schema=create.schema)
    return [rename, *([modified] if changes else []), *kept]


# -- columns ---------------------------------------------------------------------------


def _columns(comparison: Comparison, op: ops.ModifyTableOps, ask: Questioner) -> Operations:
    pairs = list(_renamed_columns(comparison, op, ask))
    if not pairs:
        return [op]
    done = [one for pair in pairs for one in pair]
    kept = [one for one in op.ops if one not in done]
    # An index or a constraint of the old name must go before, one of the new name comes after.
    before = [one for one in kept if isinstance(one, ops.DropIndexOp | ops.DropConstraintOp)]
    after = [one for one in kept if one not in before]
    renames = [_rename(op, drop.to_column(), add.column) for drop, add in pairs]
    changes = [
        change
        for drop, add in pairs
        for change in _changes(comparison, op, drop.to_column(), add.column)
    ]
    parts = (before, renames, [*changes, *after])
    return [ops.ModifyTableOps(op.table_name, part, schema=op.schema) for part in parts if part]


def _renamed_columns(
    comparison: Comparison, op: ops.ModifyTableOps, ask: Questioner
) -> Iterator[tuple[ops.DropColumnOp, ops.AddColumnOp]]:
    added = [one for one in op.ops if isinstance(one, ops.AddColumnOp)]
    for drop in [one for one in op.ops if isinstance(one, ops.DropColumnOp)]:
        for add in list(added):
            if not _compatible(comparison, drop.to_column(), add.column):
                continue
            names = (drop.column_name, add.column.name)
            if ask.renamed(Rename(comparison.package.name, key(op), *names)):
                added.remove(add)
                yield drop, add
                break


def _compatible(comparison: Comparison, old: Column[Any], new: Column[Any]) -> bool:
    if old.primary_key != new.primary_key:
        return False
    known = python_type(old.type)
    return (known is not None and known is python_type(new.type)) or not _other_type(
        comparison, old, new
    )


def _other_type(comparison: Comparison, old: Column[Any], new: Column[Any]) -> bool:
    return bool(comparison.context.migration_context.impl.compare_type(old, new))


def _rename(op: ops.ModifyTableOps, old: Column[Any], new: Column[Any]) -> RenameColumn:
    return RenameColumn(
        op.table_name,
        str(old.name),
        schema=op.schema,
        modify_name=str(new.name),
        existing_type=old.type,
        existing_nullable=old.nullable,
        existing_server_default=old.server_default or False,
    )


def _changes(
    comparison: Comparison, op: ops.ModifyTableOps, old: Column[Any], new: Column[Any]
) -> Sequence[ops.AlterColumnOp]:
    """Return what is left to change in a column after it got its new name."""
    change = ops.AlterColumnOp(
        op.table_name,
        str(new.name),
        schema=op.schema,
        existing_type=old.type,
        existing_nullable=old.nullable,
        existing_server_default=old.server_default or False,
        modify_type=new.type if _other_type(comparison, old, new) else None,
        modify_nullable=new.nullable if new.nullable != old.nullable else None,
    )
    if bool(old.server_default) != bool(new.server_default):
        change.modify_server_default = new.server_default
        change.existing_server_default = old.server_default
    return [change] if change.has_changes() else []
