"""Help texts, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from ptah_migrate._cli import cli
from tests.cli.conftest import Run
from tests.helpers import Command, Result

HELP = """\
Usage: ptah-migrate [SETTINGS.ini | URL] COMMAND [OPTIONS] [ARGS]...

  Database migrations for installable packages.

  The settings are the first of: the first word (or -c), --url,
  PTAH_MIGRATE_CONFIG, PTAH_MIGRATE_URL, [tool.ptah_migrate] of the nearest
  pyproject.toml, development.ini in this folder.

Write files:
  init       Give a package its migrations, or make a new project.
  update     Bring generated files to the template of this ptah-migrate.
  revision   Write the next revision file of a package.
  merge      Write a revision that joins the heads of a package.
  rebase     Put your revisions behind those of somebody else.

Change a database:
  upgrade    Apply revisions: of all packages, or up to a target.
  downgrade  Revert revisions, down to a target.
  stamp      Record a revision without running anything.
  populate   Create tables and data: run populate steps.

Look at a database:
  status     Show where each package is, and how it got there.
  current    Show the recorded revision of each package.
  plan       Show what an upgrade would do, in order.
  check      Exit 3 when something is pending.
  diff       Show what models and database do not share.

Look at packages:
  list       List the packages, where they are, who registered them.
  history    List the revisions of each package.
  heads      Show the newest revisions of each package.
  branches   Show where histories branch.
  show       Show one revision: what it follows, requires, its file.

Options:
  --version  Show the version and exit.

Common options:
  -c, --config SETTINGS   FILE.ini[#SECTION].
  --url URL               The database, instead of the one in the settings.
  --no-app                Do not load the application.
  -x KEY=VALUE            For the revisions.
  --lock-timeout SECONDS  How long to wait for another runner: 60 by default.
  --json                  Print the result as JSON.
  -y, --yes               Answer every question with yes.
  -q, --quiet             Print results and problems only.
  -v, --verbose           Print Alembic's own log lines too.
  --traceback             Show where an error came from.
  -h, --help              Show this message and exit.

  A TARGET is a package, or a package and a place:
    blog, blog:003, blog:head, blog:base, blog:+1, blog:-1
  The common options are taken before and after the command.
"""


COMMANDS = cli.list_commands(click.Context(cli))

# Commands that are complete without another word.
OBVIOUS = {"list", "status", "heads", "branches"}


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(folder: Path, invoke_cli: Run, option: str) -> None:
    """The help shows the settings file as first argument, and every command in one line."""
    assert invoke_cli(option) == Result(0, HELP, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(folder: Path, invoke_cli: Run, name: str) -> None:
    """Each command says what it takes and does, within 80 columns, its own options first."""
    result = invoke_cli(name, "-h")

    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0].startswith(f"Usage: ptah-migrate {name} [OPTIONS]")
    assert lines[2].startswith("  ")
    assert lines[2].rstrip(".") != lines[2] or lines[3] != ""
    assert max(map(len, lines)) <= 80
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    own = [p for p in command.params if isinstance(p, click.Option) and p.expose_value]
    assert ("Options:" in lines) is bool(own)
    assert "Common options:" in lines
    assert "..." not in "\n".join(lines[1:])


@pytest.mark.parametrize("name", sorted({*COMMANDS} - OBVIOUS))
def test_examples(folder: Path, invoke_cli: Run, name: str) -> None:
    """Where words are not obvious there are examples, and each of them is understood."""
    shown = invoke_cli(name, "-h").stdout.partition("  Examples:\n")[2].splitlines()

    assert shown
    for line in shown:
        program, *words = line.split(">", maxsplit=1)[0].split()
        assert (program, name in words) == ("ptah-migrate", True)
        result = invoke_cli(*words, "--help")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Usage: ptah-migrate {name} ")


# What may be needed by a command, and costs more than it is worth to a help text.
DEFERRED = {
    "dataclasses",
    "difflib",
    "importlib.metadata",
    "json",
    "logging",
    "pathlib",
    "ptah_migrate.model",
    "ptah_migrate.registry",
    "tomllib",
}


def loaded(code: str, cwd: Path) -> set[str]:
    """Return the modules that a new interpreter has after running code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        cwd=cwd,
        env=Command(cwd).environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_light_definitions(tmp_path: Path) -> None:
    """The definitions of the commands load little that click does not load anyway."""
    bare = loaded("import click", tmp_path)

    found = loaded("import ptah_migrate._cli", tmp_path)

    assert (found - bare) & DEFERRED == set()
    assert len(found - bare) < 30


def test_what_is_loaded_is_not_collected(tmp_path: Path) -> None:
    """The garbage collector looks seldom, and not at the end: nothing that a command has goes."""
    code = """
import atexit, gc, sys
from ptah_migrate._cli import main
before = gc.get_threshold()[0]
atexit.register(lambda: print(gc.get_threshold()[0] > before, gc.get_freeze_count() > 0))
sys.argv[1:] = ["--version"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=Command(tmp_path).environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[1:] == ["True True"]
