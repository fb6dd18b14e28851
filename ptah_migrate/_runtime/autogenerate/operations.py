"""Operations that Alembic has no names for, each with what takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic.operations import ops
from sqlalchemy import Column

from ptah_migrate.drafts import Fill


class Code(ops.MigrateOperation):
    """Statements as Python source, and those that undo them; ``imports`` that they need."""

    def __init__(
        self, lines: Sequence[str] = (), back: Sequence[str] = (), imports: Sequence[str] = ()
    ) -> None:
        self.lines = tuple(lines)
        self.back = tuple(back)
        self.imports = tuple(imports)

    def reverse(self) -> Code:
        """Return the operation that undoes this one."""
        return Code(self.back, self.lines, self.imports)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the operation as Alembic lists differences."""
        return ("code", self.lines)


class RenameColumn(ops.AlterColumnOp):
    """A new name for a column; Alembic renders it, but does not know the way back."""

    def reverse(self) -> RenameColumn:
        """Return the operation that gives the old name back."""
        return RenameColumn(
            self.table_name,
            str(self.modify_name),
            schema=self.schema,
            modify_name=self.column_name,
            existing_type=self.existing_type,
            existing_nullable=self.existing_nullable,
            existing_server_default=self.existing_server_default,
        )


class FillRows(ops.MigrateOperation):
    """A value for the rows that have none in a column that is about to need one."""

    def __init__(
        self, fill: Fill, column: Column[Any], schema: str | None, value: str, *, every: bool
    ) -> None:
        self.fill = fill
        self.column = column
        self.schema = schema
        self.value = value
        self.every = every

    def reverse(self) -> Code:
        """Return nothing to do: what the rows had before is nothing."""
        return Code()

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the operation as Alembic lists differences."""
        return ("fill", self.fill)


def key(op: Any) -> str:
    """Return the name of an operation's table as a MetaData lists it."""
    return f"{op.schema}.{op.table_name}" if op.schema else str(op.table_name)
