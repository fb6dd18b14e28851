"""Names for constraints that nobody named, on tables that exist."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from alembic.operations import ops

# How SQLite is told which foreign key is meant. Alembic never reports that a unique
# constraint without a name is gone, so those need none.
CONVENTION = {"fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s"}

_LONGEST = 63


class DropUnnamed(ops.DropConstraintOp):
    """Drops a constraint under the name that a naming convention gives it."""

    def __init__(self, op: ops.DropConstraintOp, name: str) -> None:
        super().__init__(name, op.table_name, type_=op.constraint_type, schema=op.schema)
        made: Any = op.reverse()
        made.constraint_name = name
        self._made = made

    def reverse(self) -> Any:
        """Return the operation that makes it again, with that name."""
        return self._made


def name(found: Sequence[ops.MigrateOperation]) -> None:
    """Give the constraints in operations names, where they have none."""
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            op.ops[:] = [_named(one) for one in op.ops]


def _named(one: ops.MigrateOperation) -> ops.MigrateOperation:
    if getattr(one, "constraint_name", "") is not None:
        return one
    if isinstance(one, ops.CreateForeignKeyOp):
        one.constraint_name = _short(
            _key_name(one.source_table, one.local_cols, one.referent_table)
        )
    elif isinstance(one, ops.CreateUniqueConstraintOp):
        one.constraint_name = _short(f"uq_{one.table_name}_{'_'.join(map(str, one.columns))}")
    elif isinstance(one, ops.DropConstraintOp) and one.constraint_type == "foreignkey":
        made: Any = one.reverse()
        return DropUnnamed(one, _key_name(one.table_name, made.local_cols, made.referent_table))
    return one


def _key_name(table: str, columns: Sequence[str], referred: str) -> str:
    return f"fk_{table}_{'_'.join(columns)}_{referred}"


def _short(text: str) -> str:
    """Return a name that PostgreSQL and MariaDB take."""
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: _LONGEST - 9]}_{digest}"
