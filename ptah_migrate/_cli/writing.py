"""Commands that change a database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from ptah_migrate._cli import arguments, output, words
from ptah_migrate._cli.group import Command, common
from ptah_migrate._cli.session import Session
from ptah_migrate.errors import ConfirmationNeeded, UsageError
from ptah_migrate.model import Report


@click.command()
@arguments.targets()
@click.option("--sql", is_flag=True, help="Print the SQL script instead of running it.")
@click.option("--empty", is_flag=True, help="With --sql: assume an empty database.")
@click.option("--dry-run", is_flag=True, help="Show the plan, change nothing.")
@common
@click.pass_obj
def upgrade(
    session: Session, targets: tuple[str, ...], sql: bool, empty: bool, dry_run: bool
) -> None:
    """Apply revisions: of every package, or up to each TARGET."""
    migrator = session.migrator(progress=_progress(session))
    if sql:
        click.echo(migrator.script(*targets, empty=empty), nl=False)
        return
    if dry_run:
        _would(session, migrator.plan(*targets))
        return
    report = migrator.upgrade(*targets)
    _finished(session, migrator, report)


@click.command()
@arguments.targets()
@click.option("--cascade", is_flag=True, help="Downgrade what depends on it first.")
@click.option("--sql", is_flag=True, help="Print the SQL script instead of running it.")
@click.option("--dry-run", is_flag=True, help="Show the plan, change nothing.")
@common
@click.pass_obj
def downgrade(
    session: Session, targets: tuple[str, ...], cascade: bool, sql: bool, dry_run: bool
) -> None:
    """Revert revisions, down to each TARGET (blog:-1, blog:001, blog:base)."""
    migrator = session.migrator(progress=_progress(session))
    if sql:
        click.echo(migrator.script(*targets, operation="downgrade", cascade=cascade), nl=False)
        return
    if dry_run:
        _would(session, migrator.plan(*targets, operation="downgrade", cascade=cascade))
        return
    if cascade and not session.yes:
        plan = migrator.plan(*targets, operation="downgrade", cascade=True)
        named = {target.partition(":")[0] for target in targets}
        others = sorted({item.package for item in plan.items} - named)
        if others:
            _confirm(f"this also downgrades {', '.join(others)}")
    report = migrator.downgrade(*targets, cascade=cascade)
    _finished(session, migrator, report)


@click.command()
@arguments.targets()
@click.option("--purge", is_flag=True, help="Forget the package's other rows first.")
@common
@click.pass_obj
def stamp(session: Session, targets: tuple[str, ...], purge: bool) -> None:
    """Record each TARGET without running anything."""
    if not targets:
        raise UsageError("stamp needs a target", hint="for example: ptah-migrate stamp blog:003")
    migrator = session.migrator(progress=_progress(session))
    report = migrator.stamp(*targets, purge=purge)
    _finished(session, migrator, report)


def _populate_options(command: Any) -> Any:
    for option in (
        click.argument("steps", nargs=-1, metavar="[STEP]..."),
        click.option("-l", "--list", "listed", is_flag=True, help="List the steps."),
        click.option("-a", "--all", "every", is_flag=True, help="Run all active steps."),
    ):
        command = option(command)
    return command


@click.command()
@_populate_options
@common
@click.pass_context
def populate(ctx: click.Context, steps: tuple[str, ...], listed: bool, every: bool) -> None:
    """Create tables and data: run populate steps, by default none."""
    _populate(ctx, steps, listed=listed, every=every)


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("settings", metavar="SETTINGS.ini")
@_populate_options
@common
@click.pass_context
def populate_alone(
    ctx: click.Context, settings: str, steps: tuple[str, ...], listed: bool, every: bool
) -> None:
    """Create tables and data: run an application's populate steps."""
    ctx.ensure_object(Session).config = settings
    _populate(ctx, steps, listed=listed, every=every)


def _populate(ctx: click.Context, names: Sequence[str], *, listed: bool, every: bool) -> None:
    from ptah_migrate._pyramid import startup
    from ptah_migrate._pyramid.steps import choose, schema_step

    session: Session = ctx.ensure_object(Session)
    if not (names or listed or every):
        click.echo(ctx.get_help())
        return
    application = session.application
    if application is not None:
        known = startup.all_steps(application)
    else:
        step = schema_step(lambda registry: None)
        known = {step.name: step}
    if listed:
        for step in choose(known, every=True):
            inactive = "" if step.active else " (inactive)"
            output.say(f"* {step.name}: {step.title}{inactive}")
        return
    for step in choose(known, names):
        if step.name == startup.POPULATE_DB_SCHEMA and application is None:
            _seed(session, session.migrator(progress=_progress(session)))
        elif step.name == startup.POPULATE_DB_SCHEMA:
            startup.announce(application)
            _seed(session, session.migrator(progress=_progress(session)))
        else:
            step.factory(application)
            output.say(f"populated {step.name}")


def _seed(session: Session, migrator: Any) -> None:
    _finished(session, migrator, migrator.seed())


# -- what the commands share ------------------------------------------------------


def _progress(session: Session) -> Any:
    """Return what prints each finished item."""
    if session.json:
        return None
    return lambda done: output.say(words.done(done))


def _finished(session: Session, migrator: Any, report: Report) -> None:
    """Print the report as JSON, or say where the packages are that had nothing to do."""
    if session.json:
        output.as_json(
            "done",
            [{**words.item_value(d.item), "seconds": round(d.seconds, 3)} for d in report.done],
        )
        return
    touched = {item.package for item in report.plan.items}
    quiet = [name for name in report.plan.packages if name not in touched]
    if not quiet:
        return
    rows = migrator.versions_recorded()
    for name in quiet:
        history = migrator.histories.get(name)
        heads = history.heads if history is not None else ()
        at = ", ".join(f"{row}{' (head)' if row in heads else ''}" for row in rows.get(name, ()))
        output.say(f"{name} is at {at}" if at else f"{name} has nothing to do")


def _would(session: Session, plan: Any) -> None:
    if session.json:
        output.as_json("plan", words.plan_value(plan))
        return
    for item in plan.items:
        output.say(f"would {_verb_first(words.item(item))}")
    if not plan:
        output.say("nothing to do")


def _verb_first(text: str) -> str:
    package, _, rest = text.partition(": ")
    verb, _, what = rest.partition(" ")
    return f"{verb} {package} {what}"


def _confirm(what: str) -> None:
    """Ask on a terminal; without one say which option answers."""
    if not sys.stdin.isatty():
        raise ConfirmationNeeded(what, hint="--yes does it")
    if not click.confirm(f"{what[:1].upper()}{what[1:]}. Go on?", err=True):
        raise ConfirmationNeeded("nothing was done", hint="")


COMMANDS = (upgrade, downgrade, stamp, populate)
