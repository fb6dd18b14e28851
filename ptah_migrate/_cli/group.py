"""
The command's grammar: ``ptah-migrate [SETTINGS.ini | URL] COMMAND …``.

Common options are taken before and after the command. Every error of ours
leaves as one line and a hint, with its own exit code.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from ptah_migrate._cli import output
from ptah_migrate._cli.session import Session
from ptah_migrate.errors import FAILED, USAGE, PtahMigrateError

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = re.compile(r".*\.(ini|toml|ya?ml|cfg)(#.*)?\Z|.*#|[A-Za-z][\w+.-]*://")

INTERRUPTED = 130


class Group(click.Group):
    """Takes the settings as first word, and turns errors into lines."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read ``settings.ini upgrade`` as ``--config settings.ini upgrade``."""
        place = self._first_word(args)
        if place is not None and args[place] not in self.commands and _is_settings(args[place]):
            args = [*args[:place], "--config", args[place], *args[place + 1 :]]
        return super().parse_args(ctx, args)

    def _first_word(self, args: Sequence[str]) -> int | None:
        """Return the place of the first argument that is no option and no option's value."""
        takes_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        place = 0
        while place < len(args):
            if not args[place].startswith("-") or args[place] == "-":
                return place
            place += 2 if args[place] in takes_value else 1
        return None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, print what went wrong, exit with its code."""
        return run(lambda: super(Group, self).main(*args, **{**kwargs, "standalone_mode": False}))


class Command(click.Command):
    """A command that is a program of its own: ``ptah-populate``."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, print what went wrong, exit with its code."""
        return run(lambda: super(Command, self).main(*args, **{**kwargs, "standalone_mode": False}))


def run(work: Callable[[], Any]) -> Any:
    """Call ``work`` and exit; an error becomes its lines and its code."""
    try:
        sys.exit(_code(work()))
    except PtahMigrateError as error:
        _traceback()
        output.fail(error)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(FAILED)
    except (KeyboardInterrupt, click.Abort):
        output.tell("Interrupted: finished steps are recorded")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        _traceback()
        output.fail(
            PtahMigrateError(
                f"unexpected {type(error).__name__}: {error}",
                hint="--traceback shows where; please report it",
            )
        )
        sys.exit(FAILED)


def _code(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _traceback() -> None:
    if "--traceback" in sys.argv or os.environ.get("PTAH_MIGRATE_TRACEBACK"):
        import traceback

        traceback.print_exc()


def _is_settings(word: str) -> bool:
    return _SETTINGS.match(word) is not None or os.path.isfile(word)


def common(command: F) -> F:
    """Give a command the options that are taken everywhere."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    session = ctx.ensure_object(Session)
    if value is not None and value is not False and value != ():
        setattr(session, str(param.name), value)


def _option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(*names, callback=_store, expose_value=False, is_eager=True, **kwargs)


_COMMON = (
    _option("-c", "--config", metavar="SETTINGS.ini[#section]", help="Settings of the application."),
    _option("--url", metavar="URL", help="The database, instead of the settings' one."),
    _option("--no-app", is_flag=True, help="Do not load the application; use entry points."),
    _option("-x", "x_arguments", multiple=True, metavar="K=V", help="Handed to the revisions."),
    _option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for another runner (60)."),
    _option("--json", is_flag=True, help="Print the result as JSON, where a command reads."),
    _option("-y", "--yes", is_flag=True, help="Answer yes to every question."),
    _option("-q", "--quiet", is_flag=True, help="Print results and errors only."),
    _option("-v", "--verbose", is_flag=True, help="Print Alembic's own log lines too."),
    _option("--traceback", is_flag=True, help="Show where an error came from."),
)
