"""Commands that write files, for package authors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ptah_migrate._cli import arguments, output
from ptah_migrate._cli.group import command

if TYPE_CHECKING:
    from pathlib import Path

    from ptah_migrate._authoring import InitPlan, NewRevision
    from ptah_migrate._cli.session import Session
    from ptah_migrate.model import Package

F = TypeVar("F", bound=Callable[..., Any])

# What the planned changes of ``init`` are called once they are made.
_DONE = {"create": "created", "edit": "edited", "skip": "kept", "identical": "unchanged"}


@command(
    short="Give a package its migrations, or make a new project.",
    examples=("init", "init blog --dry-run"),
)
@click.argument("name", required=False, metavar="[PACKAGE]")
@click.option("--title", help="One line that says what the package is.")
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
def init(session: Session, *, name: str | None, title: str | None, dry_run: bool) -> None:
    """
    Give a package its migrations.

    An existing package gets its migrations directory, the registration, the entry point and
    a test. An empty directory gets a project with such a package. What is there already
    stays; a second run changes nothing.
    """
    from pathlib import Path

    from ptah_migrate import _authoring

    plan = _authoring.plan_init(Path.cwd(), name=name, title=title)
    if not dry_run:
        _authoring.apply(plan)
    if session.json:
        output.as_json(init=_init_value(plan))
        return
    changed = any(change.status in ("create", "edit") for change in plan.changes)
    _show_changes(plan, dry_run=dry_run)
    for todo in plan.todo:
        output.tell(f"to do: {todo}")
    if changed and not (dry_run or session.quiet):
        output.tell(f'next: ptah-migrate revision {plan.package} -m "Create the first table"')


def _init_value(plan: InitPlan) -> dict[str, Any]:
    return {
        "package": plan.package,
        "files": [{"status": c.status, "path": str(c.path)} for c in plan.changes],
        "todo": list(plan.todo),
    }


def _show_changes(plan: InitPlan, *, dry_run: bool) -> None:
    changes = [change for change in plan.changes if change.status != "identical"]
    for change in changes:
        path = _shown(change.path)
        if not dry_run:
            output.say(f"{_DONE[change.status]} {path}")
        elif change.status == "conflict":
            output.say(f"would stop: {path} is there and differs")
        else:
            output.say(f"would {'keep' if change.status == 'skip' else change.status} {path}")
    if not changes:
        output.say(f"{plan.package} has its migrations: nothing to do")


def _naming(function: F) -> F:
    """Take what both kinds of new revision may be told."""
    for option in (
        click.option("-m", "--message", default="", help="One line that says what it does."),
        click.option("-r", "--rev-id", metavar="ID", help="The id: the next number by default."),
    ):
        function = option(function)
    return function


@command(
    short="Write the next revision file of a package.",
    examples=(
        'revision blog -m "Add column"',
        'revision blog -r 001 -m "First tables" --requires crowd:002',
    ),
)
@arguments.package
@_naming
@click.option("--requires", multiple=True, metavar="PACKAGE:ID", help="Runs after this one.")
@click.option("--head", metavar="ID", help="Follow this revision; base begins a new root.")
@click.option("--splice", is_flag=True, help="Allow a --head that is followed already.")
@click.option("--branch-label", "labels", multiple=True, metavar="LABEL", help="Name the branch.")
def revision(
    session: Session,
    *,
    package: str | None,
    rev_id: str | None,
    message: str,
    requires: tuple[str, ...],
    head: str | None,
    splice: bool,
    labels: tuple[str, ...],
) -> None:
    """
    Write the next revision file of a package.

    In a project with one package, PACKAGE may be left out.
    """
    from ptah_migrate import _authoring
    from ptah_migrate._history import read

    found = session.package(package)
    new = _authoring.revision(
        found,
        read(found),
        id=rev_id,
        message=message,
        requires=requires,
        head=head,
        splice=splice,
        labels=labels,
    )
    _generated(session, found, new)


@command(
    short="Write a revision that joins the heads of a package.",
    examples=("merge blog", 'merge blog 004 005 -m "Join the two"'),
)
@arguments.package
@click.argument("heads", nargs=-1, metavar="[ID]...")
@_naming
def merge(
    session: Session,
    *,
    package: str | None,
    heads: tuple[str, ...],
    rev_id: str | None,
    message: str,
) -> None:
    """Write a revision that joins heads of a package: those named by ID, by default all."""
    from ptah_migrate import _authoring
    from ptah_migrate._history import read

    found = session.package(package)
    new = _authoring.merge(found, read(found), heads=heads, id=rev_id, message=message)
    _generated(session, found, new)


def _generated(session: Session, package: Package, new: NewRevision) -> None:
    if session.json:
        value = {"package": package.name, "revision": new.id, "down_revision": list(new.down)}
        output.as_json(revision={**value, "path": str(new.path)})
        return
    output.say(f"Generating {new.path}...done")


def _shown(path: Path) -> str:
    from pathlib import Path

    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
