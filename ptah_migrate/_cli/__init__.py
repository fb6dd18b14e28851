"""The command line. Definitions import click and nothing heavier; a command is loaded when used."""

from __future__ import annotations

import atexit
import gc

import click

from ptah_migrate import __version__
from ptah_migrate._cli.group import HELP, Group, common


@click.group(
    "ptah-migrate",
    cls=Group,
    context_settings=HELP,
    options_metavar="",
    subcommand_metavar="[SETTINGS.ini | URL] COMMAND [OPTIONS] [ARGS]...",
    epilog=(
        "\b\n"
        "A TARGET is a package, or a package and a place:\n"
        "  blog, blog:003, blog:head, blog:base, blog:+1, blog:-1\n"
        "The common options are taken before and after the command."
    ),
)
@common
@click.version_option(__version__, prog_name="ptah-migrate", message="%(prog)s %(version)s")
def cli() -> None:
    """
    Database migrations for installable packages.

    \b
    The settings are the first of: the first word (or -c), --url,
    PTAH_MIGRATE_CONFIG, PTAH_MIGRATE_URL, [tool.ptah_migrate] of the nearest
    pyproject.toml, development.ini in this folder.
    """  # noqa: D301 - click keeps these lines as they are


# The commands in the order of the help, by the modules that they are in.
cli.add_section("Write files", scaffolding="init update", authoring="revision merge rebase")
cli.add_section("Change a database", writing="upgrade downgrade stamp populate")
cli.add_section("Look at a database", states="status current plan check", models="diff")
cli.add_section("Look at packages", packages="list history heads branches show")


def main() -> None:
    """Run ``ptah-migrate``."""
    _collect_seldom()
    cli.main(prog_name="ptah-migrate")


def populate_main() -> None:
    """Run ``ptah-populate``."""
    _collect_seldom()
    from ptah_migrate._cli.writing import populate_alone

    populate_alone.main(prog_name="ptah-populate")


def _collect_seldom() -> None:
    """
    Keep Python's garbage collector from looking through SQLAlchemy again and again.

    Loading makes objects that all stay, and at the end the system takes all
    back: to look for cycles among them takes a tenth of a short command.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


__all__ = ["cli", "main", "populate_main"]
