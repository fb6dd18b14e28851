"""
Columns that must have a value, on tables that may have rows.

No database adds such a column to rows that have nothing to put there. It is
added empty, filled, and only then closed: that works on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alembic.operations import ops
from sqlalchemy import Column, Computed, Identity, MetaData

from ptah_migrate._runtime.autogenerate import values
from ptah_migrate._runtime.autogenerate.operations import FillRows, key
from ptah_migrate.drafts import Fill, Questioner

Operations = list[ops.MigrateOperation]


def apply(
    found: Sequence[ops.MigrateOperation], package: str, metadata: MetaData, ask: Questioner
) -> Operations:
    """Return the operations, with values for existing rows wherever some are needed."""
    result: Operations = []
    for op in found:
        if isinstance(op, ops.ModifyTableOps):
            result += _Table(op, package, metadata, ask).filled()
        else:
            result.append(op)
    return result


class _Table:
    def __init__(
        self, op: ops.ModifyTableOps, package: str, metadata: MetaData, ask: Questioner
    ) -> None:
        self.op = op
        self.package = package
        self.metadata = metadata
        self.ask = ask
        self.adding: Operations = []
        self.filling: Operations = []
        self.closing: Operations = []

    def filled(self) -> Iterator[ops.MigrateOperation]:
        retyped = {
            one.column_name
            for one in self.op.ops
            if isinstance(one, ops.AlterColumnOp) and _closes(one) and one.modify_type is not None
        }
        for one in self.op.ops:
            if isinstance(one, ops.AddColumnOp):
                self._add(one)
            elif isinstance(one, ops.AlterColumnOp) and one.column_name in retyped:
                self._retype(one)
            else:
                if isinstance(one, ops.AlterColumnOp) and _closes(one):
                    self._close(one)
                self.closing.append(one)
        if not self.filling and not self._split:
            yield self.op
            return
        for part in (self.adding, self.closing):
            if part:
                yield ops.ModifyTableOps(self.op.table_name, part, schema=self.op.schema)
            if part is self.adding:
                yield from self.filling

    _split = False

    def _add(self, one: ops.AddColumnOp) -> None:
        column = one.column
        if not _needs_value(column):
            self.adding.append(one)
            return
        self._split = True
        empty: Column[Any] = Column(column.name, column.type, nullable=True, comment=column.comment)
        self.adding.append(ops.AddColumnOp(one.table_name, empty, schema=one.schema))
        self._fill(self._of_models(column), every=True)
        self.closing.append(
            ops.AlterColumnOp(
                one.table_name,
                str(column.name),
                schema=one.schema,
                existing_type=column.type,
                existing_comment=column.comment,
                modify_nullable=False,
            )
        )

    def _retype(self, one: ops.AlterColumnOp) -> None:
        """Change a type before what is empty is filled with a value of the new one."""
        if not _closes(one):
            self.adding.append(one)
            return
        self._close(one)
        closing = ops.AlterColumnOp(
            one.table_name,
            one.column_name,
            schema=one.schema,
            existing_type=one.modify_type,
            existing_server_default=_new_default(one),
            existing_comment=one.existing_comment
            if one.modify_comment is False
            else one.modify_comment,
            modify_nullable=False,
        )
        one.modify_nullable = None
        self.adding.append(one)
        self.closing.append(closing)

    def _close(self, one: ops.AlterColumnOp) -> None:
        """Fill what is empty in a column that is there; its new default is not for old rows."""
        type_ = one.existing_type if one.modify_type is None else one.modify_type
        column: Column[Any] = Column(one.column_name, type_, server_default=_default(one))
        self._fill(self._of_models(column), every=False)

    def _of_models(self, column: Column[Any]) -> Column[Any]:
        """Return the column as the models have it, with its keys and defaults, where they do."""
        table = self.metadata.tables.get(key(self.op))
        return column if table is None else table.columns.get(str(column.name), column)

    def _fill(self, column: Column[Any], *, every: bool) -> None:
        fill = Fill(
            self.package, key(self.op), str(column.name), repr(column.type), values.safe(column)
        )
        value = self._asked(fill, column)
        if value is not None:
            self.filling.append(FillRows(fill, column, self.op.schema, value, every=every))

    def _asked(self, fill: Fill, column: Column[Any]) -> str | None:
        """Return source of the value, asked for until it fits."""
        problem = ""
        while True:
            answer = self.ask.value(fill, problem)
            if answer is None:
                return fill.default
            try:
                return values.parsed(answer, column)
            except ValueError as error:
                problem = f"{answer!r} {error}"


def _needs_value(column: Column[Any]) -> bool:
    if column.nullable or column.primary_key:
        return False
    return column.server_default is None and column.computed is None and column.identity is None


def _closes(op: ops.AlterColumnOp) -> bool:
    return op.modify_nullable is False


def _new_default(op: ops.AlterColumnOp) -> Any:
    changed = op.modify_server_default is not False
    return op.modify_server_default if changed else op.existing_server_default


def _default(op: ops.AlterColumnOp) -> Any:
    for found in (op.modify_server_default, op.existing_server_default):
        if found not in (None, False) and not isinstance(found, Computed | Identity):
            return getattr(found, "arg", found)
    return None
