"""An order inside one direction that every database accepts, and nothing that is done twice."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.operations import ops
from sqlalchemy import MetaData, Table

from ptah_migrate._runtime.autogenerate.operations import key

Operations = list[ops.MigrateOperation]


def tidy(found: Sequence[ops.MigrateOperation], metadata: MetaData) -> Operations:
    """
    Return operations that every database takes.

    An index goes with its table, and cannot go before a foreign key that needs
    it; a foreign key goes before everything else in its table. A type that
    stays is the one of the models, where another database would not know the
    reflected one.
    """
    dropped = {key(op) for op in found if isinstance(op, ops.DropTableOp)}
    result: Operations = []
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            gone = key(op) in dropped
            kept = [one for one in op.ops if not (gone and isinstance(one, ops.DropIndexOp))]
            if kept:
                for one in kept:
                    if isinstance(one, ops.AlterColumnOp):
                        _generalise(one, metadata.tables.get(key(op)))
                ordered = sorted(kept, key=lambda one: not _drops_key(one))
                result.append(ops.ModifyTableOps(op.table_name, ordered, schema=op.schema))
        else:
            result.append(op)
    return result


def _generalise(op: ops.AlterColumnOp, table: Table | None) -> None:
    reflected = type(op.existing_type).__module__.startswith("sqlalchemy.dialects.")
    if reflected and op.modify_type is None and table is not None:
        column = table.columns.get(str(op.modify_name or op.column_name))
        if column is not None:
            op.existing_type = column.type


def _drops_key(op: ops.MigrateOperation) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"
