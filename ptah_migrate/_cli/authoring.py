"""Commands that write and move revision files, for package authors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ptah_migrate._cli import arguments, models, output
from ptah_migrate._cli.group import command
from ptah_migrate.errors import PtahMigrateError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ptah_migrate._authoring import Conventions, Move, NewRevision, Reference
    from ptah_migrate._cli.session import Session
    from ptah_migrate.model import Package

F = TypeVar("F", bound=Callable[..., Any])


def _naming(function: F) -> F:
    """Take what both kinds of new revision may be told."""
    for option in (
        click.option("-m", "--message", default="", help="One line that says what it does."),
        click.option("-r", "--rev-id", metavar="ID", help="The id: the next number by default."),
    ):
        function = option(function)
    return function


_no_database = click.option(
    "--no-database", is_flag=True, help="Do not ask the database whether it is applied."
)


@command(
    short="Write the next revision file of a package.",
    examples=(
        'revision blog -m "Add column"',
        'revision blog -r 001 -m "First tables" --requires crowd:002',
        "revision blog --autogenerate",
        "revision --autogenerate --all --offline",
        "revision --undo blog",
    ),
)
@arguments.package
@_naming
@click.option("--requires", multiple=True, metavar="PACKAGE:ID", help="Runs after this one.")
@click.option("--head", metavar="ID", help="Follow this revision; base begins a new root.")
@click.option("--splice", is_flag=True, help="Allow a --head that is followed already.")
@click.option("--branch-label", "labels", multiple=True, metavar="LABEL", help="Name the branch.")
@click.option("--data", is_flag=True, help="Begin with operations that move rows.")
@click.option("--template", metavar="FILE", help="Make it of this template.")
@click.option("--autogenerate", is_flag=True, help="Bring the database to the models.")
@click.option("--all", "every", is_flag=True, help="With --autogenerate: of every package.")
@models.offline
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD:NEW",
    help="TABLE.OLD:NEW is one column, OLD:NEW one table.",
)
@click.option("--dry-run", is_flag=True, help="With --autogenerate: show what would be written.")
@click.option("--undo", is_flag=True, help="Remove the newest one, if it is as generated.")
@_no_database
def revision(
    session: Session,
    *,
    package: str | None,
    template: str | None,
    undo: bool,
    no_database: bool,
    autogenerate: bool,
    every: bool,
    offline: bool,
    renames: tuple[str, ...],
    dry_run: bool,
    **said: Any,
) -> None:
    """
    Write the next revision file of a package.

    In a project with one package, PACKAGE may be left out. With --autogenerate it gets the
    operations that bring the database to the models; nothing is written where they agree.
    """
    from pathlib import Path

    from ptah_migrate import _authoring
    from ptah_migrate._cli import autogenerating
    from ptah_migrate._history import read

    file = Path(template) if template else None
    if autogenerate:
        if undo or no_database or said["data"]:
            raise UsageError(
                "--autogenerate writes the operations of the models, and nothing else",
                hint="leave --undo, --no-database and --data out",
            )
        autogenerating.run(
            session,
            package=package,
            every=every,
            offline=offline,
            renames=renames,
            dry_run=dry_run,
            said={**said, "template": file},
        )
        return
    _refuse_alone(every=every, offline=offline, renames=renames, dry_run=dry_run)
    found = session.package(package)
    if undo:
        _refuse_words(said)
        gone = _authoring.retract(
            found,
            applied=_applied(session, found, asked=not no_database),
            template=file,
            conventions=conventions_of(session, found),
            sure=session.yes,
        )
        _removed(session, found, gone.id, gone.path)
        return
    if no_database:
        raise UsageError("--no-database is for --undo", hint="leave it out")
    new = _authoring.revision(
        found,
        read(found),
        id=said.pop("rev_id"),
        template=file,
        conventions=conventions_of(session, found),
        **said,
    )
    _generated(session, found, new)


def _refuse_alone(**options: Any) -> None:
    names = {"every": "--all", "offline": "--offline", "renames": "--rename"}
    for word, value in options.items():
        if value:
            raise UsageError(
                f"{names.get(word, '--dry-run')} goes with --autogenerate",
                hint="ptah-migrate revision PACKAGE --autogenerate",
            )


def _refuse_words(said: dict[str, Any]) -> None:
    given = sorted(name for name, value in said.items() if value)
    if given:
        raise UsageError(
            "--undo takes the newest revision back, it is told nothing of a new one",
            hint="ptah-migrate revision --undo PACKAGE",
        )


def _removed(session: Session, package: Package, revision: str, path: Path) -> None:
    if session.json:
        value = {"package": package.name, "revision": revision, "path": str(path)}
        output.as_json(removed=value)
        return
    output.say(f"removed {output.shown(path)}")


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
    new = _authoring.merge(
        found,
        read(found),
        heads=heads,
        id=rev_id,
        message=message,
        conventions=conventions_of(session, found),
    )
    _generated(session, found, new)


def _generated(session: Session, package: Package, new: NewRevision) -> None:
    if session.json:
        value = {"package": package.name, "revision": new.id, "down_revision": list(new.down)}
        output.as_json(revision={**value, "path": str(new.path), "template": new.template})
    else:
        output.say(f"Generating {new.path}...done")
    if new.problem:
        output.warn(f"{new.problem}; the file is there, as it was generated")


# -- two of one number -----------------------------------------------------------------


@command(
    short="Put your revisions behind those of somebody else.",
    examples=("rebase blog", "rebase blog --mine 003_add_tags.py", "rebase blog --dry-run"),
)
@arguments.package
@click.option("--mine", multiple=True, metavar="FILE", help="A file of yours, outside a merge.")
@click.option("--theirs", "swap", is_flag=True, help="Renumber theirs, in a merge; yours stay.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@_no_database
def rebase(
    session: Session,
    *,
    package: str | None,
    mine: tuple[str, ...],
    swap: bool,
    dry_run: bool,
    no_database: bool,
) -> None:
    """
    Put your revisions of a PACKAGE behind those that somebody else made meanwhile.

    Two people made 003: yours becomes 004. Only its number and the one before change. In the
    middle of a git merge or rebase, git says what is yours; elsewhere --mine names it.
    """
    from ptah_migrate import _authoring

    found = session.package(package)
    act = _authoring.plan_rebase if dry_run else _authoring.rebase
    done = act(
        found,
        mine=mine,
        swap=swap,
        applied=_applied(session, found, asked=not no_database),
        neighbours=_neighbours(session, found),
        conventions=conventions_of(session, found),
    )
    for warning in done.warnings:
        output.warn(warning, "correct it by hand if it means yours")
    if session.json:
        value = {"package": found.name, "moves": [_move(m) for m in done.moves]}
        followed = [_reference(one) for one in done.references]
        output.as_json(rebase={**value, "references": followed})
        return
    for move in done.moves:
        verb = "would renumber" if dry_run else "renumbered"
        places = f"{output.shown(move.path)} -> {move.target.name}"
        output.say(f"{verb} {move.old} -> {move.new}, after {move.down}: {places}")
    for one in done.references:
        verb = "would change" if dry_run else "changed"
        output.say(f"{verb} {one.old} -> {one.new} in {output.shown(one.path)}")
    if not done.moves:
        output.say(f"{found.name}: your revisions are the last ones already")
    elif not (dry_run or session.quiet):
        files = [done.moves[0].target.parent, *(one.path for one in done.references)]
        output.tell(f"next: git add {' '.join(map(output.shown, dict.fromkeys(files)))}")


def _neighbours(session: Session, package: Package) -> list[Package]:
    """Return the other packages that are known: of the project, and installed ones."""
    known: dict[str, Package] = {}
    try:
        known |= session.registry.available
        known |= session.registry.packages
    except PtahMigrateError as error:
        output.warn(error.message, error.hint)
    known |= {one.name: one for one in session.project_packages}
    return [one for name, one in sorted(known.items()) if name != package.name]


def _move(move: Move) -> dict[str, str]:
    return {
        "revision": move.new,
        "before": move.old,
        "down_revision": move.down,
        "path": str(move.target),
        "path_before": str(move.path),
    }


def _reference(one: Reference) -> dict[str, str]:
    return {"package": one.package, "path": str(one.path), "before": one.old, "after": one.new}


def _applied(session: Session, package: Package, *, asked: bool) -> tuple[str, ...]:
    """Return what the database records for a package, as far as there is one to ask."""
    if not asked or not (session.choice.config or session.choice.url):
        return ()
    try:
        return tuple(session.migrator().versions_recorded().get(package.name, ()))
    except PtahMigrateError as error:
        output.warn(f"the database cannot say what is applied: {error.message}", error.hint)
        return ()


def conventions_of(session: Session, package: Package) -> Conventions:
    """Return how a package wants its files: as its own project says, then as the settings say."""
    from pathlib import Path

    from ptah_migrate._authoring.conventions import conventions, first, of_project
    from ptah_migrate.registry import locate

    file = session.choice.config.partition("#")[0]
    base = Path(file).absolute().parent if file else None
    return first(of_project(Path(locate(package))), conventions(session.plain_settings, base))
