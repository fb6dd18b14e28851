"""Plans, results and revisions in words, the same for every command."""

from __future__ import annotations

from typing import Any

from ptah_migrate.model import Done, Item, Plan, Revision, Seed, Step


def item(it: Item) -> str:
    """Return one item of a plan, without its verb's tense: ``blog: upgrade None -> 001, text``."""
    if isinstance(it, Step):
        doc = f", {it.revision.doc}" if it.revision.doc else ""
        return f"{it.package}: {it.direction.value} {it.source} -> {it.destination}{doc}"
    parts = [f"create {', '.join(it.create)}"] if it.create else []
    if it.kind == "stamped":
        parts.append(f"stamp {', '.join(it.rows) or 'None'}")
    elif it.rows:
        parts.append(f"seed {', '.join(it.rows)} ({it.reason})")
    return f"{it.package}: {'; '.join(parts)}"


def done(it: Done) -> str:
    """Return one finished item: ``blog 001 -> 002 (0.05 s)``."""
    what = it.item
    if isinstance(what, Step):
        return f"{what.package} {what.source} -> {what.destination} ({it.seconds:.2f} s)"
    return f"{what.package} {_past(what)}"


def _past(seed: Seed) -> str:
    parts = []
    if seed.create:
        count = len(seed.create)
        parts.append(f"created {count} table{'s' if count > 1 else ''}: {', '.join(seed.create)}")
    if seed.kind == "stamped":
        parts.append(f"stamped {', '.join(seed.rows) or 'None'}")
    elif seed.rows:
        parts.append(f"seeded {', '.join(seed.rows)} ({seed.reason})")
    return "; ".join(parts)


def plan_value(plan: Plan) -> list[dict[str, Any]]:
    """Return a plan as JSON shows it."""
    return [item_value(it) for it in plan.items]


def item_value(it: Item) -> dict[str, Any]:
    """Return one item of a plan as JSON shows it."""
    if isinstance(it, Step):
        return {
            "kind": it.direction.value,
            "package": it.package,
            "revision": it.revision.id,
            "message": it.revision.doc,
            "path": str(it.revision.path),
            "before": list(it.before),
            "after": list(it.after),
        }
    return {
        "kind": it.kind,
        "package": it.package,
        "create": list(it.create),
        "before": list(it.before),
        "after": list(it.rows),
        "reason": it.reason,
    }


def revision_value(revision: Revision) -> dict[str, Any]:
    """Return a revision as JSON shows it."""
    return {
        "package": revision.package,
        "revision": revision.id,
        "message": revision.doc,
        "down_revision": list(revision.down),
        "depends_on": list(revision.depends_on),
        "requires": [str(requirement) for requirement in revision.requires],
        "run_before": [str(requirement) for requirement in revision.run_before],
        "branch_labels": list(revision.labels),
        "path": str(revision.path),
    }



