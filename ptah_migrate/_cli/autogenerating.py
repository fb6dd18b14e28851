"""What ``revision --autogenerate`` does: compare, ask, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ptah_migrate._cli import output
from ptah_migrate.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ptah_migrate._authoring import NewRevision, Wanted
    from ptah_migrate._cli.session import Session
    from ptah_migrate._runtime import Migrator
    from ptah_migrate.drafts import Body, Fill, Questioner, Rename


def run(
    session: Session,
    *,
    package: str | None,
    every: bool,
    offline: bool,
    renames: Sequence[str],
    dry_run: bool,
    said: dict[str, Any],
) -> None:
    """Write revisions for what separates models and database, each into its package."""
    from ptah_migrate import _authoring
    from ptah_migrate._runtime.answers import Told

    names = _names(session, package, every=every, said=said)
    migrator = session.migrator(offline=offline)
    session.announce_schema()
    ask = Told(renames, _questioner(session))
    bodies = migrator.autogenerate(*names, offline=offline, ask=ask)
    ask.refuse_unused()
    _tell(session, bodies)
    wanted = [_wanted(session, migrator, body, said) for body in bodies if body]
    made = _authoring.revisions(wanted, dry_run=dry_run) if wanted else ()
    _say(session, bodies, made, dry_run=dry_run)


def _names(
    session: Session, package: str | None, *, every: bool, said: dict[str, Any]
) -> tuple[str, ...]:
    if not every:
        return (session.package(package).name,)
    single = ("rev_id", "head", "directory", "labels", "requires", "template", "splice")
    if package is not None or any(said.get(word) for word in single):
        raise UsageError(
            "--all writes a revision of every package that needs one",
            hint="name no package, and nothing that only one revision can have",
        )
    return ()


def _wanted(session: Session, migrator: Migrator, body: Body, said: dict[str, Any]) -> Wanted:
    from ptah_migrate._authoring import Wanted
    from ptah_migrate._cli.authoring import conventions_of
    from ptah_migrate._history import read

    package = migrator.registry.get(body.package)
    return Wanted(
        package,
        read(package),
        body,
        id=said["rev_id"],
        message=said["message"],
        requires=said["requires"],
        head=said["head"],
        splice=said["splice"],
        labels=said["labels"],
        template=said["template"],
        conventions=conventions_of(session, package),
    )


# -- telling ---------------------------------------------------------------------------


def _tell(session: Session, bodies: Sequence[Body]) -> None:
    """Say what was found, and what was decided without asking."""
    for body in bodies:
        for change in () if session.quiet else body.changes:
            output.tell(f"{body.package}: detected {change}")
    for body in bodies:
        for note in body.notes:
            output.warn(f"{body.package}: {note}")


def _say(
    session: Session, bodies: Sequence[Body], made: Sequence[NewRevision], *, dry_run: bool
) -> None:
    written = dict(zip([body.package for body in bodies if body], made, strict=True))
    agreed = [body.package for body in bodies if not body]
    if session.json:
        found = [_value(body, written[body.package]) for body in bodies if body]
        output.as_json(revisions=found, agreed=agreed, dry_run=dry_run)
    else:
        for new in made:
            _say_one(new.path, new.source, dry_run=dry_run)
        for name in agreed:
            output.say(f"{name}: the models and the database agree; nothing was written")
    for new in made:
        if new.problem:
            output.warn(f"{new.problem}; the file is there, as it was generated")


def _say_one(path: Path, source: bytes, *, dry_run: bool) -> None:
    if dry_run:
        output.say(f"Would generate {path}")
        output.say(source.decode().rstrip("\n"))
    else:
        output.say(f"Generating {path}...done")


def _value(body: Body, new: NewRevision) -> dict[str, Any]:
    return {
        "package": body.package,
        "revision": new.id,
        "down_revision": list(new.down),
        "path": str(new.path),
        "template": new.template,
        "changes": list(body.changes),
        "notes": list(body.notes),
        "source": new.source.decode(),
    }


# -- asking ----------------------------------------------------------------------------


def _questioner(session: Session) -> Questioner:
    from ptah_migrate._runtime.answers import Unattended

    silent = session.json or session.yes or not _is_terminal()
    return Unattended() if silent else Person()


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class Person:
    """Asks on the terminal."""

    def renamed(self, rename: Rename) -> bool:
        """Ask whether two things are one."""
        place = f"column {rename.table}." if rename.table else "table "
        question = f"{place}{rename.old} is gone, {rename.new} is new: was it renamed?"
        return click.confirm(question, default=False, err=True)

    def value(self, fill: Fill, problem: str) -> str | None:
        """Ask what existing rows get; nothing typed means the default."""
        if problem:
            output.warn(problem)
        default = "no value" if fill.default is None else fill.default
        question = f"{fill} ({fill.type}) must have a value; existing rows get [{default}]"
        answer = click.prompt(question, default="", show_default=False, err=True)
        return str(answer) or None

    def notes(self, package: str) -> tuple[str, ...]:
        """Return nothing: everything was asked."""
        return ()
