"""Commands that write files, for package authors."""

from __future__ import annotations

from pathlib import Path

import click

from ptah_migrate._cli import arguments, output
from ptah_migrate._cli.group import common
from ptah_migrate._cli.session import Session


@click.command()
@click.argument("name", required=False, metavar="[PACKAGE]")
@click.option("--title", help="One line that says what the package is.")
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
@common
@click.pass_obj
def init(session: Session, name: str | None, title: str | None, dry_run: bool) -> None:
    """Give a package its migrations, or make a project in an empty directory."""
    from ptah_migrate import _authoring

    plan = _authoring.plan_init(Path.cwd(), name=name, title=title)
    if not dry_run:
        _authoring.apply(plan)
    if session.json:
        output.as_json(
            "init",
            {
                "package": plan.package,
                "files": [{"status": c.status, "path": str(c.path)} for c in plan.changes],
                "todo": list(plan.todo),
            },
        )
        return
    for change in plan.changes:
        output.say(f"{change.status:>9}  {_shown(change.path)}")
    for todo in plan.todo:
        output.tell(f"to do: {todo}")
    if not dry_run and not session.quiet:
        output.tell(f'next: ptah-migrate revision {plan.package} -m "Create the first table"')


@click.command()
@arguments.package()
@click.option("-r", "--rev-id", metavar="ID", help="The id; the next number by default.")
@click.option("-m", "--message", default="", help="One line that says what it changes.")
@click.option("--requires", multiple=True, metavar="PKG:REV", help="Runs after this one.")
@click.option("--head", metavar="REV", help="Follow this revision, or base for a new root.")
@click.option("--splice", is_flag=True, help="Allow a --head that is followed already.")
@click.option("--branch-label", "labels", multiple=True, metavar="LABEL", help="Name the branch.")
@common
@click.pass_obj
def revision(
    session: Session,
    package: str | None,
    rev_id: str | None,
    message: str,
    requires: tuple[str, ...],
    head: str | None,
    splice: bool,
    labels: tuple[str, ...],
) -> None:
    """Write the next revision file of a package."""
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
    _generated(session, new)


@click.command()
@arguments.package()
@click.argument("heads", nargs=-1, metavar="[REVISION]...")
@click.option("-r", "--rev-id", metavar="ID", help="The id; the next number by default.")
@click.option("-m", "--message", default="", help="One line that says what it joins.")
@common
@click.pass_obj
def merge(
    session: Session, package: str | None, heads: tuple[str, ...], rev_id: str | None, message: str
) -> None:
    """Write a revision that joins a package's heads, by default all of them."""
    from ptah_migrate import _authoring
    from ptah_migrate._history import read

    found = session.package(package)
    new = _authoring.merge(found, read(found), heads=heads, id=rev_id, message=message)
    _generated(session, new)


def _generated(session: Session, new: object) -> None:
    if session.json:
        output.as_json("revision", new)
        return
    output.say(f"Generating {new.path}...done")  # type: ignore[attr-defined]


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


COMMANDS = (init, revision, merge)
