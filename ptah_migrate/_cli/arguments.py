"""Arguments that several commands take, with shell completion of package names."""

from __future__ import annotations

from typing import Any

import click


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    from ptah_migrate._cli.session import known_names

    return known_names(incomplete)


def packages(**kwargs: Any) -> Any:
    """Any number of package names."""
    return click.argument("packages", nargs=-1, metavar="[PACKAGE]...", shell_complete=_names, **kwargs)


def targets(**kwargs: Any) -> Any:
    """Any number of targets."""
    return click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_names, **kwargs)


def package(**kwargs: Any) -> Any:
    """One package name, which may be left out in its project."""
    return click.argument(
        "package", required=False, metavar="[PACKAGE]", shell_complete=_names, **kwargs
    )
