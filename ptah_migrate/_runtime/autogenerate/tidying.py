"""An order inside one direction that every database accepts, and nothing that is done twice."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.operations import ops

from ptah_migrate._runtime.autogenerate.operations import key

Operations = list[ops.MigrateOperation]


def tidy(found: Sequence[ops.MigrateOperation]) -> Operations:
    """
    Return operations that MariaDB takes too.

    An index goes with its table, and cannot go before a foreign key that needs
    it; a foreign key goes before everything else in its table.
    """
    dropped = {key(op) for op in found if isinstance(op, ops.DropTableOp)}
    result: Operations = []
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            gone = key(op) in dropped
            kept = [one for one in op.ops if not (gone and isinstance(one, ops.DropIndexOp))]
            if kept:
                ordered = sorted(kept, key=lambda one: not _drops_key(one))
                result.append(ops.ModifyTableOps(op.table_name, ordered, schema=op.schema))
        else:
            result.append(op)
    return result


def _drops_key(op: ops.MigrateOperation) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"
