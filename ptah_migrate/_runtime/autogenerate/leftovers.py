"""What MariaDB leaves behind a foreign key: the index that it made for it by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from alembic.operations import ops

from ptah_migrate._runtime.autogenerate.operations import Code, key

if TYPE_CHECKING:
    from ptah_migrate._runtime.comparison import Comparison

_IF_MARIADB = 'if op.get_context().dialect.name in ("mariadb", "mysql"):'


def cleared(
    comparison: Comparison, found: Sequence[ops.MigrateOperation]
) -> list[ops.MigrateOperation]:
    """Return the operations, with the index dropped of each foreign key that goes and had one."""
    if comparison.context.dialect.name not in ("mariadb", "mysql"):
        return list(found)
    result: list[ops.MigrateOperation] = []
    for op in found:
        result.append(op)
        if isinstance(op, ops.ModifyTableOps) and op.table_name in _names(comparison):
            result += [_without(op, name) for name in _left(comparison, op)]
    return result


def _names(comparison: Comparison) -> set[str]:
    return {table.name for table in comparison.metadata.tables.values()}


def _left(comparison: Comparison, op: ops.ModifyTableOps) -> Iterator[str]:
    """Yield the indexes that have a dropped key's name and would stay."""
    inspector: Any = comparison.context.inspector
    gone = {one.column_name for one in op.ops if isinstance(one, ops.DropColumnOp)}
    known = {one.index_name for one in op.ops if isinstance(one, ops.DropIndexOp)}
    wanted = _wanted(comparison, op)
    keys = [getattr(one, "constraint_name", None) for one in op.ops if _drops_key(one)]
    indexes = inspector.get_indexes(op.table_name, schema=op.schema) if keys else ()
    for index in indexes:
        name = index["name"]
        if name in keys and name not in known | wanted and not gone & set(index["column_names"]):
            yield name


def _drops_key(op: Any) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def _wanted(comparison: Comparison, op: ops.ModifyTableOps) -> set[Any]:
    table = comparison.metadata.tables.get(key(op))
    return {index.name for index in table.indexes} if table is not None else set()


def _without(op: ops.ModifyTableOps, name: str) -> Code:
    schema = f", schema={op.schema!r}" if op.schema else ""
    return Code(
        [f"{_IF_MARIADB}\n    op.drop_index({name!r}, table_name={op.table_name!r}{schema})"]
    )
