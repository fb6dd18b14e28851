"""What ``diff`` and ``check --models`` tell: the models of packages, and a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ptah_migrate._cli import arguments, output
from ptah_migrate._cli.group import command
from ptah_migrate.errors import PENDING

if TYPE_CHECKING:
    from ptah_migrate._cli.session import Session
    from ptah_migrate._runtime import Migrator
    from ptah_migrate.drafts import Difference

Found = Mapping[str, Sequence["Difference"]]

_SIGNS = {"models": "+", "database": "-", "both": "~"}

offline = click.option(
    "--offline",
    is_flag=True,
    help="Ask no database: replay the revisions into a scratch one.",
)


@command(
    short="Show what models and database do not share.",
    examples=("diff", "production.ini diff blog", "diff --offline"),
)
@arguments.packages
@offline
def diff(session: Session, *, packages: tuple[str, ...], offline: bool) -> None:
    """
    Show what the models of each PACKAGE have and the database has not, and the reverse.

    By default of every package that has models. Only a package's own tables are looked at.
    """
    migrator = session.migrator(offline=offline)
    session.announce_schema()
    found = migrator.differences(*packages, offline=offline, behind=True)
    if session.json:
        _as_json(found)
        return
    if not offline:
        _warn_behind(migrator, found)
    if any(found.values()) and not session.quiet:
        output.tell("+ only in the models  - only in the database  ~ different")
    for name, differences in found.items():
        if differences:
            output.say(name)
        for one in differences:
            output.say(f"  {_SIGNS[one.side]} {_without_side(one)}")
    _say_agreement(found)


def check(session: Session, packages: tuple[str, ...], *, offline: bool) -> int:
    """Tell where models and database differ; return the exit code."""
    migrator = session.migrator(offline=offline)
    session.announce_schema()
    found = migrator.differences(*packages, offline=offline)
    drifted = [name for name, differences in found.items() if differences]
    if session.json:
        _as_json(found)
        return PENDING if drifted else 0
    for name in drifted:
        for one in found[name]:
            output.say(f"{name}: {one.words}")
    _say_agreement(found)
    if drifted:
        names = drifted[0] if len(drifted) == 1 else "--all"
        output.tell(f"hint: run: {session.command(f'revision {names} --autogenerate')}")
    return PENDING if drifted else 0


def _say_agreement(found: Found) -> None:
    agreed = [name for name, differences in found.items() if not differences]
    if agreed:
        output.say(f"models and database agree: {', '.join(agreed)}")
    if not found:
        output.warn("no package registers models", "register metadata='blog.models:Base.metadata'")


def _without_side(one: Difference) -> str:
    return one.words.removeprefix("missing ").removeprefix("unexpected ")


def _warn_behind(migrator: Migrator, found: Found) -> None:
    """Say whose existing revisions would still change the picture."""
    from ptah_migrate._runtime import pending_line

    for status in migrator.status():
        if status.package in found and status.state not in ("current", "empty"):
            output.warn(pending_line(status), "its revisions are not counted in")


def _as_json(found: Found) -> None:
    output.as_json(
        models={name: [_value(one) for one in differences] for name, differences in found.items()}
    )


def _value(one: Difference) -> dict[str, Any]:
    return {"table": one.table, "kind": one.kind, "side": one.side, "words": one.words}
