"""Commands that look at a database and change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ptah_migrate._cli import arguments, models, output
from ptah_migrate._cli.group import command
from ptah_migrate.errors import PENDING, UsageError

if TYPE_CHECKING:
    from ptah_migrate._cli.session import Session
    from ptah_migrate._history import History
    from ptah_migrate.model import PackageStatus

_PENDING = ("pending", "unrecorded", "broken", "ahead")


@command(short="Show where each package is, and how it got there.")
@click.option("--check", "checked", is_flag=True, help="Exit 3 when something is pending.")
def status(session: Session, *, checked: bool) -> int:
    """Show every package: its recorded revision, its head, what is pending, how it got there."""
    from ptah_migrate._cli import words

    found = session.migrator().status()
    if session.json:
        output.as_json(packages=[words.status_value(one) for one in found])
    else:
        _show(found)
    return PENDING if checked and _pending(found) else 0


def _show(found: Iterable[PackageStatus]) -> None:
    rows = [
        (
            one.package,
            ", ".join(one.rows) or "None",
            ", ".join(one.heads) or "None",
            str(len(one.pending)),
            one.state,
            one.how,
        )
        for one in found
    ]
    if rows:
        output.table(("package", "current", "head", "pending", "state", "how"), rows)
    for one in found:
        if one.problem:
            output.warn(f"{one.package}: {one.problem}")


@command(short="Show the recorded revision of each package.", examples=("current", "current blog"))
@arguments.packages
def current(session: Session, *, packages: tuple[str, ...]) -> None:
    """Show the recorded revision of each PACKAGE, of all by default."""
    migrator = session.migrator()
    chosen = session.chosen(packages)
    rows = migrator.versions_recorded()
    if session.json:
        output.as_json(current={one.name: list(rows.get(one.name, ())) for one in chosen})
        return
    for package in chosen:
        history = migrator.histories.get(package.name)
        if history is None:
            error = migrator.histories.broken[package.name]
            output.warn(error.message, error.hint)
        ids = rows.get(package.name, ())
        shown = ", ".join(_recorded(id_, history) for id_ in ids)
        output.say(f"Package '{package.name}' rev: {shown or 'None'}")


def _recorded(id_: str, history: History | None) -> str:
    """Return a recorded revision as 2012 did: ``0301(head) Migration to ptah 0.3``."""
    if history is None or id_ not in history:
        return id_
    head = "(head)" if id_ in history.heads else ""
    return f"{id_}{head} {history.revisions[id_].doc}".rstrip()


@command(short="Show what an upgrade would do, in order.", examples=("plan", "plan blog:003"))
@arguments.targets
def plan(session: Session, *, targets: tuple[str, ...]) -> None:
    """Show what an upgrade to each TARGET would do, by default of all packages to their heads."""
    from ptah_migrate._cli import words

    migrator = session.migrator()
    session.announce_schema()
    found = migrator.plan(*targets)
    if session.json:
        output.as_json(plan=words.plan_value(found))
        return
    for number, item in enumerate(found.items, 1):
        output.say(f"{number}. {words.item(item)}")
    if not found:
        output.say("nothing to do")


@command(
    short="Exit 3 when something is pending.",
    examples=(
        "check",
        "production.ini check blog",
        "check --files --wheel dist/*.whl",
        "check --models --offline",
    ),
)
@arguments.packages
@click.option("--files", is_flag=True, help="Check the revision files; no database is asked.")
@click.option(
    "--wheel", "wheels", multiple=True, metavar="FILE", help="Check that the wheel has the files."
)
@click.option("--models", "with_models", is_flag=True, help="Check that models and database agree.")
@models.offline
def check(
    session: Session,
    *,
    packages: tuple[str, ...],
    files: bool,
    wheels: tuple[str, ...],
    with_models: bool,
    offline: bool,
) -> int:
    """
    Exit 3 when a PACKAGE, of all by default, is not at its head; 0 when all are.

    With --files, or --wheel, exit 1 when something is wrong with the revision files.
    With --models, exit 3 when the models differ from the database.
    """
    from ptah_migrate._cli import words
    from ptah_migrate._runtime import pending_line

    if with_models and (files or wheels):
        raise UsageError("--models goes alone", hint="check the files by another call")
    if offline and not with_models:
        raise UsageError("--offline goes with --models", hint="check --models --offline")
    if with_models:
        return models.check(session, packages, offline=offline)
    if files or wheels:
        from ptah_migrate._cli import filechecks

        return filechecks.check_files(session, packages, wheels)
    migrator = session.migrator()
    names = {package.name for package in session.chosen(packages)}
    found = [one for one in migrator.status() if one.package in names]
    pending = _pending(found)
    if session.json:
        output.as_json(packages=[words.status_value(one) for one in found])
    elif pending:
        for one in pending:
            output.say(pending_line(one))
        output.tell(f"hint: run: {session.command('upgrade')}")
    else:
        output.say("every package is at its head")
    return PENDING if pending else 0


def _pending(found: Iterable[PackageStatus]) -> list[PackageStatus]:
    return [one for one in found if one.state in _PENDING]
