"""Plans, results and revisions in words and in JSON, the same for every command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ptah_migrate.model import Seed, Step

if TYPE_CHECKING:
    from ptah_migrate.model import Done, Item, Package, PackageStatus, Plan, Revision


def item(it: Item) -> str:
    """Return one item of a plan: ``blog: upgrade None -> 001, text``."""
    if isinstance(it, Step):
        return f"{it.package}: {it.direction.value} {_way(it)}{_message(it)}"
    return f"{it.package}: {'; '.join(_parts(it, 'create', 'seed', 'stamp'))}"


def would(it: Item) -> list[str]:
    """Return the lines of a dry run: ``would upgrade blog None -> 001, text``."""
    if isinstance(it, Step):
        return [f"would {it.direction.value} {it.package} {_way(it)}{_message(it)}"]
    lines = [f"would create {_tables(it)} of {it.package}: {', '.join(it.create)}"]
    rows = f"would seed {it.package} {', '.join(it.rows)} ({it.reason})"
    return [*(lines if it.create else ()), *([rows] if it.rows else ())]


def done(it: Done) -> str:
    """Return one finished item: ``blog 001 -> 002 (0.05 s)``."""
    if isinstance(it.item, Step):
        return f"{it.item.package} {_way(it.item)} ({it.seconds:.2f} s)"
    return f"{it.item.package} {'; '.join(_parts(it.item, 'created', 'seeded', 'stamped'))}"


def _way(step: Step) -> str:
    return f"{step.source} -> {step.destination}"


def _message(step: Step) -> str:
    return f", {step.revision.doc}" if step.revision.doc else ""


def _tables(seed: Seed) -> str:
    return f"{len(seed.create)} table{'s' if len(seed.create) > 1 else ''}"


def _parts(seed: Seed, create: str, seeding: str, stamp: str) -> list[str]:
    parts = [f"{create} {_tables(seed)}: {', '.join(seed.create)}"] if seed.create else []
    if seed.kind == "stamped":
        parts.append(f"{stamp} {', '.join(seed.rows) or 'None'}")
    elif seed.rows:
        parts.append(f"{seeding} {', '.join(seed.rows)} ({seed.reason})")
    return parts


# -- JSON ------------------------------------------------------------------------------


def package_value(package: Package, directory: str, *, included: bool) -> dict[str, Any]:
    """Return a registered package as JSON shows it."""
    return {
        "package": package.name,
        "title": package.title,
        "path": package.path,
        "directory": directory,
        "included": included,
        "origin": str(package.origin),
    }


def status_value(status: PackageStatus) -> dict[str, Any]:
    """Return the state of a package as JSON shows it."""
    return {
        "package": status.package,
        "title": status.title,
        "state": status.state,
        "rows": list(status.rows),
        "heads": list(status.heads),
        "pending": list(status.pending),
        "how": status.how,
        "problem": status.problem,
        "origin": status.origin,
    }


def plan_value(plan: Plan) -> list[dict[str, Any]]:
    """Return a plan as JSON shows it."""
    return [item_value(it) for it in plan.items]


def done_value(items: Iterable[Done]) -> list[dict[str, Any]]:
    """Return what a run did as JSON shows it."""
    return [{**item_value(it.item), "seconds": round(it.seconds, 3)} for it in items]


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
        "kind": "created" if it.kind == "seeded" and not it.rows else it.kind,
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
