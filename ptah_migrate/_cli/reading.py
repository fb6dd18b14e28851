"""Commands that look and change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from ptah_migrate._cli import arguments, output, words
from ptah_migrate._cli.session import Session
from ptah_migrate._cli.group import common
from ptah_migrate.errors import PENDING, PendingError, PtahMigrateError
from ptah_migrate.model import Package, PackageStatus, Revision


@click.command("list")
@common
@click.pass_obj
def list_(session: Session) -> None:
    """List the packages, where they are, and who registered them."""
    from ptah_migrate.registry import locate

    registry = session.registry
    if session.json:
        output.as_json(
            "packages",
            [
                {
                    "package": package.name,
                    "title": package.title,
                    "path": package.path,
                    "directory": locate(package),
                    "included": package.name in registry.packages,
                    "origin": str(package.origin),
                }
                for package in (*registry, *registry.available.values())
            ],
        )
        return
    for package in registry:
        _listed(package, locate(package))
    if registry.available:
        output.say("Installed, not included:")
        for package in registry.available.values():
            _listed(package, locate(package))
    if not registry.packages and not registry.available:
        output.tell("no package is registered")


def _listed(package: Package, directory: str) -> None:
    output.say(f"* {package.name}: {package.title}")
    output.say(f"  {package.path}")
    output.say(f"  {directory}")
    output.say(f"  {package.origin}")


@click.command()
@arguments.packages()
@common
@click.pass_obj
def current(session: Session, packages: tuple[str, ...]) -> None:
    """Show the recorded revision of each package."""
    chosen = _chosen(session, packages)
    rows = session.migrator().versions_recorded()
    if session.json:
        recorded = {package.name: list(rows.get(package.name, ())) for package in chosen}
        output.as_json("current", recorded)
        return
    for package in chosen:
        revisions, heads = _revisions(package)
        ids = rows.get(package.name, ())
        shown = ", ".join(
            f"{id_}{'(head)' if id_ in heads else ''} "
            f"{revisions[id_].doc if id_ in revisions else ''}".strip()
            for id_ in ids
        )
        output.say(f"Package '{package.name}' rev: {shown or 'None'}")


def _revisions(package: Package) -> tuple[dict[str, Revision], tuple[str, ...]]:
    """Return a package's revisions and heads; of one that cannot be read none, with a warning."""
    from ptah_migrate._history import read

    try:
        history = read(package)
    except PtahMigrateError as error:
        output.warn(error.message, error.hint)
        return {}, ()
    return dict(history.revisions), history.heads


@click.command()
@arguments.packages()
@common
@click.pass_obj
def history(session: Session, packages: tuple[str, ...]) -> None:
    """List the revisions of each package, the newest first."""
    from ptah_migrate._history import read

    found: dict[str, list[Revision]] = {}
    for package in _chosen(session, packages):
        with _skipping(packages):
            read_history = read(package)
            found[package.name] = [
                read_history.revisions[id_] for id_ in reversed(read_history.order())
            ]
            if not session.json:
                _history(package, found[package.name])
    if session.json:
        output.as_json(
            "history",
            {name: [words.revision_value(r) for r in revisions] for name, revisions in found.items()},
        )


def _history(package: Package, revisions: Iterable[Revision]) -> None:
    title = package.title or package.name
    output.say(title)
    output.say("=" * len(title))
    for revision in revisions:
        output.say(f"{revision.id}: {revision.doc}".rstrip())
    output.say()


class _skipping:  # noqa: N801 - reads as a statement
    """Turn the error of one package into a warning, unless that package was asked for."""

    def __init__(self, named: tuple[str, ...]) -> None:
        self.named = named

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Swallow our error with a warning where no package was named."""
        if isinstance(error, PtahMigrateError) and not self.named:
            output.warn(error.message, error.hint)
            return True
        return False


@click.command()
@arguments.packages()
@common
@click.pass_obj
def heads(session: Session, packages: tuple[str, ...]) -> None:
    """Show the newest revision(s) of each package."""
    from ptah_migrate._history import read

    found: dict[str, list[Revision]] = {}
    for package in _chosen(session, packages):
        with _skipping(packages):
            read_history = read(package)
            found[package.name] = [read_history.revisions[id_] for id_ in read_history.heads]
    if session.json:
        output.as_json("heads", {name: [r.id for r in revs] for name, revs in found.items()})
        return
    for name, revisions in found.items():
        for revision in revisions:
            output.say(f"{name}: {_labelled(revision)} {revision.doc}".rstrip())
        if not revisions:
            output.say(f"{name}: None")


def _labelled(revision: Revision) -> str:
    return f"{revision.id} ({', '.join(revision.labels)})" if revision.labels else revision.id


@click.command()
@arguments.packages()
@common
@click.pass_obj
def branches(session: Session, packages: tuple[str, ...]) -> None:
    """Show where histories branch."""
    from ptah_migrate._history import read

    found: dict[str, dict[str, list[str]]] = {}
    for package in _chosen(session, packages):
        with _skipping(packages):
            read_history = read(package)
            found[package.name] = {
                id_: list(children)
                for id_, children in read_history.children.items()
                if len(children) > 1
            }
    if session.json:
        output.as_json("branches", found)
        return
    for name, points in found.items():
        for point, children in points.items():
            output.say(f"{name}: {point} -> {', '.join(children)}")


@click.command()
@click.argument("target", metavar="PACKAGE:REVISION")
@common
@click.pass_obj
def show(session: Session, target: str) -> None:
    """Show one revision: its parents, its wishes, its file."""
    from ptah_migrate._history import read
    from ptah_migrate.errors import TargetError

    name, _, spec = target.partition(":")
    package = session.package(name)
    read_history = read(package)
    revisions = [read_history.revisions[id_] for id_ in read_history.resolve(spec or "head")]
    if not revisions:
        raise TargetError(f"'{target}' names no revision", hint=f"see: ptah-migrate history {name}")
    if session.json:
        output.as_json("revisions", [words.revision_value(revision) for revision in revisions])
        return
    for revision in revisions:
        for label, value in _facts(revision):
            output.say(f"{label + ':':15}{value}")


def _facts(revision: Revision) -> Iterator[tuple[str, str]]:
    yield "revision", str(revision.key)
    yield "message", revision.doc
    yield "down_revision", ", ".join(revision.down) or "None"
    for label, values in (
        ("branch_labels", revision.labels),
        ("depends_on", revision.depends_on),
        ("requires", revision.requires),
        ("run_before", revision.run_before),
    ):
        if values:
            yield label, ", ".join(str(value) for value in values)
    yield "file", str(revision.path)


@click.command()
@click.option("--check", "checked", is_flag=True, help="Exit 3 when something is pending.")
@common
@click.pass_obj
def status(session: Session, checked: bool) -> int:
    """Show every package: where it is, where its head is, and how it got there."""
    found = session.migrator().status()
    if session.json:
        output.as_json("packages", found)
    else:
        output.table(
            ("package", "current", "head", "pending", "state", "how"),
            [_status_row(one) for one in found],
        )
        for one in found:
            if one.problem:
                output.warn(f"{one.package}: {one.problem}")
    return PENDING if checked and any(_is_pending(one) for one in found) else 0


def _status_row(one: PackageStatus) -> tuple[str, ...]:
    return (
        one.package,
        ", ".join(one.rows) or "None",
        ", ".join(one.heads) or "None",
        str(len(one.pending)),
        one.state,
        one.how,
    )


def _is_pending(one: PackageStatus) -> bool:
    return one.state in ("pending", "unrecorded", "broken", "ahead")


@click.command()
@arguments.targets()
@common
@click.pass_obj
def plan(session: Session, targets: tuple[str, ...]) -> None:
    """Show what an upgrade would do, in order."""
    found = session.migrator().plan(*targets)
    if session.json:
        output.as_json("plan", words.plan_value(found))
        return
    for number, item in enumerate(found.items, 1):
        output.say(f"{number}. {words.item(item)}")
    if not found:
        output.say("nothing to do")


@click.command()
@arguments.packages()
@common
@click.pass_obj
def check(session: Session, packages: tuple[str, ...]) -> int:
    """Exit 3 when a package is not at its head."""
    migrator = session.migrator()
    if session.json:
        found = migrator.status()
        wanted = [one for one in found if not packages or one.package in packages]
        for name in packages:
            session.registry.get(name)
        output.as_json("packages", wanted)
        return PENDING if any(_is_pending(one) for one in wanted) else 0
    try:
        migrator.check(*packages)
    except PendingError as error:
        for line in error.lines:
            output.say(line)
        output.tell(f"hint: {error.hint}")
        return error.exit_code
    output.say("every package is at its head")
    return 0


def _chosen(session: Session, names: tuple[str, ...]) -> tuple[Package, ...]:
    """Return the named packages, or all."""
    if names:
        return tuple(session.registry.get(name) for name in names)
    return tuple(session.registry)


COMMANDS = (list_, current, history, heads, branches, show, status, plan, check)
