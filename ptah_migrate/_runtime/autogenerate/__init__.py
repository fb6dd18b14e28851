"""Revisions made of the difference between a database and the models of packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from alembic.operations import ops

from ptah_migrate._runtime.answers import Silent
from ptah_migrate._runtime.autogenerate import filling, kinds, leftovers, naming, renames
from ptah_migrate._runtime.autogenerate.message import message
from ptah_migrate._runtime.autogenerate.operations import key
from ptah_migrate._runtime.autogenerate.rendering import Renderer
from ptah_migrate._runtime.autogenerate.requiring import required
from ptah_migrate._runtime.autogenerate.tidying import tidy
from ptah_migrate._runtime.contexts import options_of
from ptah_migrate.drafts import Body, Questioner
from ptah_migrate.errors import ModelsError

if TYPE_CHECKING:
    from ptah_migrate._history import History
    from ptah_migrate._runtime.comparison import Comparison

__all__ = ["bodies"]

Operations = list[ops.MigrateOperation]


def bodies(
    comparisons: Sequence[Comparison], histories: Mapping[str, History], ask: Questioner
) -> tuple[Body, ...]:
    """
    Return what a revision of each package has to do, those that others need first.

    An empty one stands for models that the database agrees with.

    Raises:
        ModelsError: something cannot be rendered, or packages need each other.

    """
    renamed = [(one, renames.apply(one, ask)) for one in comparisons]
    coming = {one.package.name: _made(found) for one, found in renamed}
    made = [_body(one, found, histories, coming, ask) for one, found in renamed]
    return _ordered(made)


def _made(found: Sequence[ops.MigrateOperation]) -> set[str]:
    return {key(op) for op in found if isinstance(op, ops.CreateTableOp)}


def _body(
    comparison: Comparison,
    renamed: Operations,
    histories: Mapping[str, History],
    coming: Mapping[str, set[str]],
    ask: Questioner,
) -> Body:
    package = comparison.package.name
    before = kinds.existing(comparison, renamed)
    naming.name(renamed)
    prepared = leftovers.cleared(comparison, kinds.prepare(comparison, renamed))
    up, down = _directed(comparison, prepared, histories.get(package))
    filled = filling.apply(up, package, comparison.metadata, ask)
    back = filling.apply(down, package, comparison.metadata, Silent())
    requires, after, notes = required(comparison, up, histories, coming)
    upgrade, imports = _rendered(comparison, filled, before)
    downgrade, more = _rendered(comparison, back, kinds.remaining(comparison))
    return Body(
        package,
        upgrade,
        downgrade,
        tuple(sorted(imports | more)),
        requires,
        after,
        (*ask.notes(package), *notes, *_keys(renamed)),
        tuple(one.words for one in comparison.differences),
        message(renamed) or _of_named(comparison),
    )


def _keys(found: Sequence[ops.MigrateOperation]) -> Iterator[str]:
    """Yield a note for each table whose primary key changes: Alembic does not write that."""
    for op in found:
        for one in op.ops if isinstance(op, ops.ModifyTableOps) else ():
            added = isinstance(one, ops.AddColumnOp) and one.column.primary_key
            dropped = isinstance(one, ops.DropColumnOp) and one.to_column().primary_key
            if added or dropped:
                yield f"the primary key of {key(op)} changes, which is for you to write"
                break


def _rendered(comparison: Comparison, found: Operations, before: set[str]) -> tuple[str, set[str]]:
    renderer = Renderer(comparison, before)
    source = renderer.source(found)
    return source, renderer.imports


def _directed(
    comparison: Comparison, prepared: Operations, history: History | None
) -> tuple[Operations, Operations]:
    """Return the operations of both directions, after the package's own directives saw them."""
    script = ops.MigrationScript(
        rev_id=None,
        upgrade_ops=ops.UpgradeOps(prepared),
        downgrade_ops=ops.DowngradeOps([op.reverse() for op in reversed(prepared)]),
    )
    hook = options_of(comparison.package).get("process_revision_directives")
    scripts = [script]
    heads = history.heads if history is not None else ()
    for one in hook if isinstance(hook, list | tuple) else (hook,) if hook is not None else ():
        one(comparison.context.migration_context, heads, scripts)
    if not scripts:
        return [], []
    up, down = scripts[0].upgrade_ops, scripts[0].downgrade_ops
    return (
        tidy(up.ops if up is not None else (), comparison.metadata),
        tidy(down.ops if down is not None else (), comparison.metadata),
    )


def _of_named(comparison: Comparison) -> str:
    changed = [one.new.key for one in comparison.named.changed]
    missing = [str(one.name) for one in comparison.named.missing]
    found = [*changed, *missing, *comparison.named.unexpected]
    return f"Change {', '.join(found)}" if found else ""


def _ordered(made: Sequence[Body]) -> tuple[Body, ...]:
    """Return bodies so that each comes after those it needs; by name otherwise."""
    by_name = {body.package: body for body in sorted(made, key=lambda body: body.package)}
    graph = {name: [n for n in body.after if n in by_name] for name, body in by_name.items()}
    try:
        return tuple(by_name[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = ", ".join(f"'{name}'" for name in dict.fromkeys(error.args[1]))
        raise ModelsError(
            f"packages {names} refer to each other's new tables, so none can be the first",
            hint="leave one of the foreign keys out for now, and write it by a second revision",
        ) from error
