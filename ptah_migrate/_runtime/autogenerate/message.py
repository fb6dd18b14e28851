"""A short line that says what operations do, always the same for the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic.operations import ops

from ptah_migrate._runtime.autogenerate.operations import RenameColumn, key

_MOST = 2


def message(found: Sequence[ops.MigrateOperation]) -> str:
    """Return ``Add posts``, ``Add posts.title and tags, and 3 more``, or nothing."""
    groups: dict[str, list[str]] = {}
    whole = {key(op) for op in found if isinstance(op, ops.CreateTableOp | ops.DropTableOp)}
    for op in found:
        if isinstance(op, ops.ModifyTableOps) and key(op) in whole:
            continue
        for verb, name in _said(op):
            names = groups.setdefault(verb, [])
            if name not in names:
                names.append(name)
    parts = [f"{verb} {_listed(names)}" for verb, names in groups.items()]
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _MOST:
        return " and ".join(names)
    return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def _said(op: ops.MigrateOperation) -> Iterator[tuple[str, str]]:
    if isinstance(op, ops.CreateTableOp):
        yield "add", key(op)
    elif isinstance(op, ops.DropTableOp):
        yield "drop", key(op)
    for one in op.ops if isinstance(op, ops.ModifyTableOps) else ():
        table = key(op)
        if isinstance(one, RenameColumn):
            yield "rename", f"{table}.{one.column_name} to {one.modify_name}"
        elif isinstance(one, ops.AddColumnOp):
            yield "add", f"{table}.{one.column.name}"
        elif isinstance(one, ops.DropColumnOp):
            yield "drop", f"{table}.{one.column_name}"
        elif isinstance(one, ops.AlterColumnOp):
            yield "change", f"{table}.{one.column_name}"
        else:
            yield "change", table
