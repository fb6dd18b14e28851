"""The command line. Definitions import click and nothing heavier."""

from __future__ import annotations

import click

from ptah_migrate._cli import authoring, reading, writing
from ptah_migrate._cli.group import Group, common

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(
    cls=Group,
    context_settings=_HELP,
    subcommand_metavar="[SETTINGS.ini | URL] COMMAND [ARGS]...",
    options_metavar="[OPTIONS]",
)
@common
@click.version_option(package_name="ptah-migrate", prog_name="ptah-migrate")
def cli() -> None:
    """
    Migrations that ship with the package.

    A target is PACKAGE, or PACKAGE: and a revision, head, base, +1 or -1.
    """


for _command in (*authoring.COMMANDS, *writing.COMMANDS, *reading.COMMANDS):
    cli.add_command(_command)


def main() -> None:
    """Run ``ptah-migrate``."""
    cli.main(prog_name="ptah-migrate")


def populate_main() -> None:
    """Run ``ptah-populate``."""
    writing.populate_alone.main(prog_name="ptah-populate")


__all__ = ["cli", "main", "populate_main"]
