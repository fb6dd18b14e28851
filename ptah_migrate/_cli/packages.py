"""Commands that look at packages and their files; no database is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ptah_migrate._cli import arguments, output
from ptah_migrate._cli.group import command
from ptah_migrate.errors import PtahMigrateError, TargetError

if TYPE_CHECKING:
    from ptah_migrate._cli.session import Session
    from ptah_migrate._history import Head, History
    from ptah_migrate.model import Package, Revision


@command("list", short="List the packages, where they are, who registered them.")
def list_(session: Session) -> None:
    """List the packages: title, registered path, directory, and who registered them."""
    from ptah_migrate._cli import words
    from ptah_migrate.registry import locate

    registry = session.all_packages()
    if session.json:
        found = [
            words.package_value(
                package, locate(package), included=package.name in registry.packages
            )
            for package in (*registry, *registry.available.values())
        ]
        output.as_json(packages=found)
        return
    for package in registry:
        _listed(package, locate(package))
    if registry.available:
        output.say("Installed, not included:")
    for package in registry.available.values():
        _listed(package, locate(package))


def _listed(package: Package, directory: str) -> None:
    output.say(f"* {package.name}: {package.title}".rstrip())
    for fact in (package.path, directory, str(package.origin)):
        output.say(f"  {fact}")


@command(short="List the revisions of each package.", examples=("history", "history blog"))
@arguments.packages
def history(session: Session, *, packages: tuple[str, ...]) -> None:
    """List the revisions of each PACKAGE, of all by default, the newest first."""
    from ptah_migrate._cli import words

    if session.json:
        output.as_json(
            history={
                package.name: [words.revision_value(revision) for revision in _newest_first(found)]
                for package, found in _histories(session, packages)
            }
        )
        return
    for number, (package, found) in enumerate(_histories(session, packages)):
        if number:
            output.say()
        title = package.title or package.name
        output.say(title)
        output.say("=" * len(title))
        for revision in _newest_first(found):
            output.say(f"{revision.id}: {revision.doc}".rstrip())


def _newest_first(found: History) -> list[Revision]:
    return [found.revisions[id_] for id_ in reversed(found.order())]


@command(short="Show the newest revisions of each package.")
@arguments.packages
def heads(session: Session, *, packages: tuple[str, ...]) -> None:
    """Show the newest revision of each PACKAGE, of all by default; all, where it branches."""
    from ptah_migrate._history import heads as heads_of

    broken: dict[str, PtahMigrateError] = {}
    chosen = session.chosen(packages)
    known = heads_of(chosen, broken)
    for error in broken.values():
        if packages:
            raise error
        output.warn(error.message, error.hint)
    found = {package.name: known[package.name] for package in chosen if package.name in known}
    if session.json:
        output.as_json(heads={name: list(one.heads) for name, one in found.items()})
        return
    for name, one in found.items():
        for head in one.described:
            output.say(f"{name}: {_labelled(head)} {head.doc}".rstrip())
        if not one.described:
            output.say(f"{name}: None")


def _labelled(head: Head) -> str:
    return f"{head.id} ({', '.join(head.labels)})" if head.labels else head.id


@command(short="Show where histories branch.")
@arguments.packages
def branches(session: Session, *, packages: tuple[str, ...]) -> None:
    """Show the revisions of each PACKAGE, of all by default, that several others follow."""
    found = {package.name: _branches(history) for package, history in _histories(session, packages)}
    if session.json:
        output.as_json(branches=found)
        return
    for name, points in found.items():
        for point, children in points.items():
            output.say(f"{name}: {point} -> {', '.join(children)}")
    if not any(found.values()) and not session.quiet:
        output.tell("no history branches")


def _branches(history: History) -> dict[str, list[str]]:
    """Return the followers of each revision that has several, and of the base if it has."""
    points = {id_: list(below) for id_, below in history.children.items() if len(below) > 1}
    return {"None": list(history.bases), **points} if len(history.bases) > 1 else points


@command(
    short="Show one revision: what it follows, requires, its file.",
    examples=("show blog:003", "show blog"),
)
@arguments.target
def show(session: Session, *, target: str) -> None:
    """Show one revision of a package, by default its newest."""
    from ptah_migrate._cli import words
    from ptah_migrate._history import read

    name, _, spec = target.partition(":")
    history = read(session.package(name))
    revisions = [history.revisions[id_] for id_ in history.resolve(spec or "head")]
    if not revisions:
        raise TargetError(f"'{target}' names no revision", hint=f"see: ptah-migrate history {name}")
    if session.json:
        output.as_json(revisions=[words.revision_value(revision) for revision in revisions])
        return
    for number, revision in enumerate(revisions):
        if number:
            output.say()
        for label, value in _facts(revision):
            output.say(f"{label + ':':15}{value}".rstrip())


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


def _histories(session: Session, names: tuple[str, ...]) -> Iterator[tuple[Package, History]]:
    """
    Yield the named packages with their histories, or all that can be read.

    Raises:
        PtahMigrateError: a package that was named has no readable history.

    """
    from ptah_migrate._history import read

    for package in session.chosen(names):
        try:
            yield package, read(package)
        except PtahMigrateError as error:
            if names:
                raise
            output.warn(error.message, error.hint)
