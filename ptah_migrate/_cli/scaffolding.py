"""Commands for the files that are generated around a package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ptah_migrate._cli import output
from ptah_migrate._cli.group import command
from ptah_migrate.errors import FAILED, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ptah_migrate._authoring import FileChange, FilePlan, Own
    from ptah_migrate._cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

# What planned changes are called once they are made, and before.
_DONE = {"create": "created", "edit": "edited", "merge": "merged", "remove": "removed"}
_KEPT = ("skip", "keep")


def _looking(function: F) -> F:
    """Take the ways to look before anything is written."""
    for option in (
        click.option("--diff", is_flag=True, help="Show what would be written, as a patch."),
        click.option("--dry-run", is_flag=True, help="Show what would be written."),
    ):
        function = option(function)
    return function


def _templates(function: F) -> F:
    """Take the ways to name a template of one's own, and to answer what it asks."""
    for option in (
        click.option("--trust", is_flag=True, help="Let the template run programs."),
        click.option(
            "--data-file", type=click.Path(), metavar="FILE", help="Answers: .toml or .json."
        ),
        click.option(
            "--data", multiple=True, metavar="KEY=VALUE", help="Answer a question beforehand."
        ),
        click.option("--template", metavar="WHERE", help="A folder, or git+URL[@REF][#FOLDER]."),
    ):
        function = option(function)
    return function


@command(
    short="Give a package its migrations, or make a new project.",
    examples=(
        "init",
        "init blog --dry-run",
        "init blog --new --first-revision",
        "init blog --new --template ../our-template",
    ),
)
@click.argument("name", required=False, metavar="[PACKAGE]")
@click.option("--title", help="One line that says what the package is.")
@click.option("--new", is_flag=True, help="Make a whole distribution, in a folder of that name.")
@click.option("--flat", is_flag=True, help="With --new: the package beside pyproject.toml.")
@click.option("--first-revision", is_flag=True, help="With --new: an example table, and its 001.")
@_templates
@click.option("--defaults", is_flag=True, help="Ask nothing, also on a terminal.")
@click.option("--force", is_flag=True, help="Replace files in the way; yours become *.orig.")
@click.option("--skip", is_flag=True, help="Keep files in the way.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if something would be.")
@click.option("--undo", is_flag=True, help="Take back what init made and nobody edited.")
@_looking
def init(session: Session, *, name: str | None, undo: bool, **options: Any) -> int | None:
    """
    Give a package its migrations.

    An existing package gets its migrations directory, the registration, the entry point and
    a test. An empty directory gets a project with such a package. What is there already
    stays; a second run changes nothing.

    With --new the package gets a distribution of its own: licence, models, tests, settings.
    """
    from pathlib import Path

    from ptah_migrate import _authoring

    _refuse_pairs(undo=undo, **options)
    if undo:
        plan = _authoring.plan_undo(Path.cwd(), name=name)
    else:
        plan = _authoring.plan_init(
            Path.cwd(),
            name=name,
            title=options["title"],
            new=options["new"],
            data=_data(**options),
            prompt=_prompt(session, **options),
            conflicts="force" if options["force"] else "skip" if options["skip"] else "stop",
            own=_own(session, **options),
        )
    looking = options["dry_run"] or options["check"]
    _finish(session, plan, "init", looking=looking, diff=options["diff"])
    if options["check"]:
        return FAILED if plan.pending else 0
    if plan.pending and not (undo or looking or options["diff"] or session.quiet or session.json):
        output.tell(f"next: {_next(plan, options)}")
    return None


def _refuse_pairs(*, undo: bool, **options: Any) -> None:
    """Refuse options that contradict each other, and those that something else needs."""
    if options["force"] and options["skip"]:
        raise UsageError("--force and --skip contradict each other", hint="leave one of them out")
    for word in ("flat", "first_revision"):
        if options[word] and not options["new"]:
            raise UsageError(
                f"--{word.replace('_', '-')} is for a new distribution", hint="add --new"
            )
    making = ("title", "new", "data", "data_file", "force", "skip", "check", "template", "trust")
    if undo and any(options[word] for word in making):
        raise UsageError("--undo takes back what was made, and makes nothing", hint="use it alone")


def _own(session: Session, *, template: str | None, trust: bool, **options: Any) -> Own:  # noqa: ARG001
    """Return the template of somebody's own: what is named, and what the settings name."""
    from pathlib import Path

    from ptah_migrate._authoring import Own, conventions, first, of_project

    file = session.choice.config.partition("#")[0]
    base = Path(file).absolute().parent if file else None
    said = first(of_project(Path.cwd()), conventions(session.plain_settings, base))
    return Own(template or "", said.package_template, trust)


def _data(*, data: tuple[str, ...], data_file: str | None, **options: Any) -> dict[str, object]:
    """Return the answers that were given beforehand; a word goes before the file."""
    from pathlib import Path

    from ptah_migrate._authoring import answers

    found = answers.read(Path(data_file)) if data_file else {}
    flags = {word: True for word in ("flat", "first_revision") if options.get(word)}
    return {**found, **answers.parse(data), **flags}


def _prompt(session: Session, *, new: bool, defaults: bool, **options: Any) -> Any:
    """Return what asks a person; None where there is none, or nothing to ask."""
    silent = defaults or session.json or session.yes or options["check"]
    if not new or silent or not _is_terminal():
        return None

    def ask(question: str, default: str, problem: str) -> str:
        if problem:
            output.warn(f"this {problem}")
        return str(click.prompt(question, default=default, show_default=bool(default), err=True))

    return ask


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _next(plan: FilePlan, options: dict[str, Any]) -> str:
    where = f"cd {plan.directory.name} && " if options["new"] else ""
    if any(change.path.name == "001.py" for change in plan.changes):
        return f"{where}ptah-migrate upgrade"
    return f'{where}ptah-migrate revision {plan.package} -m "Create the first table"'


@command(
    short="Bring generated files to the template of this ptah-migrate.",
    examples=("update", "update blog --diff"),
)
@click.argument("name", required=False, metavar="[PACKAGE]")
@_templates
@_looking
def update(
    session: Session, *, name: str | None, dry_run: bool, diff: bool, **options: Any
) -> int | None:
    """
    Bring generated files to the template of this ptah-migrate, or to a newer one of your own.

    What you changed stays. Where the template changed the same lines both versions are put
    into the file, between markers; the command then exits with 1.
    """
    from pathlib import Path

    from ptah_migrate import _authoring

    plan = _authoring.plan_update(
        Path.cwd(), name=name, own=_own(session, **options), data=_data(**options)
    )
    _finish(session, plan, "update", looking=dry_run, diff=diff)
    if not plan.conflicts:
        return None
    if not (dry_run or diff):
        names = ", ".join(_shown(change.path) for change in plan.conflicts)
        output.problem(f"decide what these files shall say: {names}", "then remove the markers")
    return FAILED


# -- showing -----------------------------------------------------------------------


def _finish(session: Session, plan: FilePlan, word: str, *, looking: bool, diff: bool) -> None:
    """Do what the plan says, unless somebody only looks; then show it."""
    from ptah_migrate import _authoring

    if not (looking or diff):
        _authoring.apply(plan)
    if session.json:
        output.as_json(**{word: _value(plan)})
        return
    if diff:
        output.say(_authoring.diff(plan).removesuffix("\n"))
    else:
        _show(plan, word, looking=looking)
    for todo in plan.todo:
        output.tell(f"to do: {todo}")


def _value(plan: FilePlan) -> dict[str, Any]:
    return {
        "package": plan.package,
        "files": [
            {"status": c.status, "path": str(c.path)} | ({"note": c.note} if c.note else {})
            for c in plan.changes
        ],
        "todo": list(plan.todo),
    }


def _show(plan: FilePlan, word: str, *, looking: bool) -> None:
    changes = [change for change in plan.changes if change.status != "identical"]
    for change in changes:
        output.say(_line(plan, change, looking=looking))
    if not changes:
        has = "has its migrations" if word == "init" else "is up to date with its template"
        output.say(f"{plan.package} {has}: nothing to do")


def _line(plan: FilePlan, change: FileChange, *, looking: bool) -> str:
    path = _shown(change.path)
    note = f" ({change.note})" if change.note and plan.marked else ""
    if change.status == "conflict" and not plan.marked:
        return f"would stop: {path} is there and differs"
    if change.status == "conflict":
        return f"conflict in {path}{note}"
    if change.status in _KEPT:
        return f"would keep {path}{note}" if looking else f"kept {path}{note}"
    return f"would {change.status} {path}" if looking else f"{_DONE[change.status]} {path}"


def _shown(path: Path) -> str:
    from pathlib import Path

    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
