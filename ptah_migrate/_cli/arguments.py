"""Arguments that several commands take, with shell completion of package names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ptah_migrate._cli.group import looks_like_settings
from ptah_migrate.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's form
    from ptah_migrate._cli.session import known_names

    return known_names(incomplete)


def _no_settings(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001 - click's form
    """Refuse ``upgrade settings.ini``: the words came in the wrong order."""
    for word in (value,) if isinstance(value, str) else value or ():
        if looks_like_settings(word):
            raise UsageError(
                f"'{word}' is no package",
                hint=f"settings come before the command: ptah-migrate {word} {ctx.info_name}",
            )
    return value


def packages(function: F) -> F:
    """Take any number of package names."""
    return click.argument(
        "packages",
        nargs=-1,
        metavar="[PACKAGE]...",
        shell_complete=_complete,
        callback=_no_settings,
    )(function)


def targets(function: F) -> F:
    """Take any number of targets."""
    return click.argument(
        "targets", nargs=-1, metavar="[TARGET]...", shell_complete=_complete, callback=_no_settings
    )(function)


def package(function: F) -> F:
    """Take one package name, which may be left out in its project."""
    return click.argument(
        "package",
        required=False,
        metavar="[PACKAGE]",
        shell_complete=_complete,
        callback=_no_settings,
    )(function)


def target(function: F) -> F:
    """Take one target."""
    return click.argument(
        "target",
        metavar="PACKAGE[:REVISION]",
        shell_complete=_complete,
        callback=_no_settings,
    )(function)
