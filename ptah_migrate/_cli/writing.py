"""Commands that change a database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ptah_migrate._cli import arguments, output
from ptah_migrate._cli.group import HELP, Command, command, common, with_session
from ptah_migrate._cli.session import Session
from ptah_migrate.errors import ConfirmationNeeded, UsageError

if TYPE_CHECKING:
    from ptah_migrate._runtime import Migrator
    from ptah_migrate.model import Done, Plan, PopulateStep, Report

F = TypeVar("F", bound=Callable[..., Any])


@command(
    short="Apply revisions: of all packages, or up to a target.",
    examples=(
        "upgrade",
        "development.ini upgrade blog:003",
        "--url sqlite:///app.sqlite upgrade --dry-run",
        "upgrade --sql --empty > schema.sql",
    ),
)
@arguments.targets
@click.option("--sql", is_flag=True, help="Print the SQL script instead of running it.")
@click.option("--empty", is_flag=True, help="With --sql: assume an empty database.")
@click.option("--dry-run", is_flag=True, help="Show the plan, change nothing.")
def upgrade(
    session: Session, *, targets: tuple[str, ...], sql: bool, empty: bool, dry_run: bool
) -> None:
    """
    Bring each TARGET about, with all it requires; by default every package to its head.

    Each revision is one transaction with its record. With --sql a target may be
    PACKAGE:FROM:TO, and the database is not asked where the package stands.
    """
    if empty and not sql:
        raise UsageError("--empty goes with --sql", hint="upgrade --sql --empty")
    _one_of(session, sql=sql, dry_run=dry_run)
    migrator = session.migrator(_progress(session))
    session.announce_schema()
    if sql:
        with output.aside():
            script = migrator.script(*targets, empty=empty)
        click.echo(script, nl=False)
    elif dry_run:
        _would(session, migrator.plan(*targets))
    else:
        with watched(session, migrator):
            report = migrator.upgrade(*targets)
        _finished(session, migrator, report)


@command(
    short="Revert revisions, down to a target.",
    examples=("downgrade blog:-1", "downgrade blog:001", "downgrade blog:base --cascade"),
)
@arguments.targets
@click.option("--cascade", is_flag=True, help="Downgrade other packages that depend on it first.")
@click.option("--sql", is_flag=True, help="Print the SQL script instead of running it.")
@click.option("--dry-run", is_flag=True, help="Show the plan, change nothing.")
def downgrade(
    session: Session, *, targets: tuple[str, ...], cascade: bool, sql: bool, dry_run: bool
) -> None:
    """
    Revert revisions, down to each TARGET.

    Nothing happens while other packages still need a revision that would go; --cascade takes
    theirs down first, and asks, or needs --yes.
    """
    _one_of(session, sql=sql, dry_run=dry_run)
    migrator = session.migrator(_progress(session))
    if sql:
        with output.aside():
            script = migrator.script(*targets, operation="downgrade", cascade=cascade)
        click.echo(script, nl=False)
        return
    if dry_run:
        _would(session, migrator.plan(*targets, operation="downgrade", cascade=cascade))
        return
    if cascade and not session.yes:
        _ask_about_others(migrator, targets)
    with watched(session, migrator):
        report = migrator.downgrade(*targets, cascade=cascade)
    _finished(session, migrator, report)


def _ask_about_others(migrator: Migrator, targets: Sequence[str]) -> None:
    """Ask before the downgrade of packages that nobody named."""
    plan = migrator.plan(*targets, operation="downgrade", cascade=True)
    named = {target.partition(":")[0] for target in targets}
    others = sorted({item.package for item in plan.items} - named)
    if others:
        _confirm(f"this also downgrades {', '.join(others)}")


@command(
    short="Record a revision without running anything.",
    examples=("stamp blog:003", "stamp --purge blog:003", "stamp blog:base"),
)
@arguments.targets
@click.option("--purge", is_flag=True, help="Forget the other rows of the package first.")
def stamp(session: Session, *, targets: tuple[str, ...], purge: bool) -> None:
    """Record each TARGET as where its package is, without running anything."""
    if not targets:
        raise UsageError("stamp needs a target", hint="for example: ptah-migrate stamp blog:003")
    migrator = session.migrator(_progress(session))
    _finished(session, migrator, migrator.stamp(*targets, purge=purge))


# -- populate -------------------------------------------------------------------------


def _populate_options(function: F) -> F:
    for option in (
        click.option("-a", "--all", "every", is_flag=True, help="Run all active steps."),
        click.option("-l", "--list", "listed", is_flag=True, help="List the steps."),
        click.argument("steps", nargs=-1, metavar="[STEP]..."),
    ):
        function = option(function)
    return function


@command(
    short="Create tables and data: run populate steps.",
    examples=(
        "development.ini populate -l",
        "development.ini populate -a",
        "populate create-users",
    ),
)
@_populate_options
def populate(session: Session, *, steps: tuple[str, ...], listed: bool, every: bool) -> None:
    """
    Run each named STEP of the application, and those it requires; all active ones with -a.

    The step ptah-db-schema creates the missing tables of packages that have no version, and
    records that they are at their heads.
    """
    _populate(session, steps, listed=listed, every=every)


@click.command("ptah-populate", cls=Command, context_settings=HELP)
@click.argument("settings", metavar="SETTINGS.ini")
@_populate_options
@common
@with_session
def populate_alone(
    session: Session, *, settings: str, steps: tuple[str, ...], listed: bool, every: bool
) -> None:
    """Run each named populate STEP of an application; all active ones with -a."""
    session.config = settings
    _populate(session, steps, listed=listed, every=every)


def _populate(session: Session, names: Sequence[str], *, listed: bool, every: bool) -> None:
    from ptah_migrate._pyramid.steps import choose

    if not (names or listed or every):
        click.echo(click.get_current_context().get_help())
        return
    if listed:
        _list_steps(session, choose(_known_steps(session), every=True))
        return
    done: list[Done] = []
    ran: list[str] = []
    for step in choose(_known_steps(session), names):
        done += _run_step(session, step)
        ran.append(step.name)
    if session.json:
        from ptah_migrate._cli import words

        output.as_json(done=words.done_value(done), steps=ran)


def _known_steps(session: Session) -> dict[str, PopulateStep]:
    from ptah_migrate._pyramid import startup, steps

    if session.application is not None:
        return startup.all_steps(session.application)
    own = steps.schema_step(lambda registry: None)
    return {own.name: own}


def _list_steps(session: Session, steps: Sequence[PopulateStep]) -> None:
    if session.json:
        names = ("name", "title", "active", "requires")
        output.as_json(steps=[{name: getattr(step, name) for name in names} for step in steps])
        return
    for step in steps:
        inactive = "" if step.active else " (inactive)"
        output.say(f"* {step.name}: {step.title}{inactive}")


def _run_step(session: Session, step: PopulateStep) -> Sequence[Done]:
    from ptah_migrate._pyramid import startup, steps

    application = session.application
    if application is None or step.factory is startup.create_schema:
        session.announce_schema()
        migrator = session.migrator(_progress(session))
        with watched(session, migrator):
            report = migrator.seed()
        if not session.json:
            _where(migrator, report)
        return report.done
    steps.run(step, application)
    if not session.json:
        output.say(f"populated {step.name}")
    return ()


# -- what the commands share ------------------------------------------------------------


def watched(session: Session, migrator: Migrator) -> AbstractContextManager[None]:
    """Return a block that shows how far the migrator is, where a person looks on."""
    if session.json or session.quiet or not output.on_terminal():
        return nullcontext()
    from ptah_migrate._cli import progress

    return progress.shown(migrator)


def _progress(session: Session) -> Callable[[Done], None] | None:
    """Return what prints each finished item."""
    if session.json:
        return None

    def show(done: Done) -> None:
        from ptah_migrate._cli import words

        try:
            output.say(words.done(done))
        except BrokenPipeError:  # ``upgrade | head``: what was begun is finished all the same
            output.silence()

    return show


def _finished(session: Session, migrator: Migrator, report: Report) -> None:
    """Print the report as JSON, or say where the packages are that had nothing to do."""
    if session.json:
        from ptah_migrate._cli import words

        output.as_json(done=words.done_value(report.done))
        return
    _where(migrator, report)


def _where(migrator: Migrator, report: Report) -> None:
    touched = {item.package for item in report.plan.items}
    quiet = [name for name in report.plan.packages if name not in touched]
    if not quiet:
        return
    rows = report.rows or migrator.versions_recorded()
    known = migrator.histories.heads_of(quiet)
    for name in quiet:
        heads = known[name].heads if name in known else ()
        at = ", ".join(f"{row}{' (head)' if row in heads else ''}" for row in rows.get(name, ()))
        output.say(f"{name} is at {at}" if at else f"{name} has nothing to do")


def _would(session: Session, plan: Plan) -> None:
    from ptah_migrate._cli import words

    if session.json:
        output.as_json(plan=words.plan_value(plan))
        return
    for item in plan.items:
        for line in words.would(item):
            output.say(line)
    if not plan:
        output.say("nothing to do")


def _one_of(session: Session, *, sql: bool, dry_run: bool) -> None:
    given = {"--sql": sql, "--dry-run": dry_run, "--json": session.json}
    if sql and (dry_run or session.json):
        names = " and ".join(name for name, is_given in given.items() if is_given)
        raise UsageError(f"{names} exclude one another", hint="leave one of them out")


def _confirm(what: str) -> None:
    """
    Ask on a terminal.

    Raises:
        ConfirmationNeeded: there is no terminal, or the answer is no.

    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfirmationNeeded(what, hint="--yes does it")
    if not click.confirm(f"{what[:1].upper()}{what[1:]}. Go on?", err=True):
        raise ConfirmationNeeded("nothing was done", hint="--yes answers beforehand")
