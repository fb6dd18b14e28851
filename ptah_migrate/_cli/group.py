"""
The command's grammar: ``ptah-migrate [SETTINGS.ini | URL] COMMAND …``.

Common options are taken before and after the command. Every error leaves as
one line and a hint, with its own exit code.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import update_wrapper
from importlib import import_module
from typing import Any, TypeVar, cast

import click

from ptah_migrate._cli import output
from ptah_migrate._cli.session import Session
from ptah_migrate.errors import FAILED, USAGE, PtahMigrateError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"]}

INTERRUPTED = 130

_SETTINGS = re.compile(r".*\.(ini|toml|ya?ml|cfg)(#.*)?\Z|.*#|[A-Za-z][\w+.-]*://")


def looks_like_settings(word: str) -> bool:
    """Return whether a word is a settings file or a database URL, as far as its form tells."""
    return _SETTINGS.match(word) is not None


class Command(click.Command):
    """A command; its own options come first in its help, then the common ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two sections."""
        _write_options(self, ctx, formatter)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, print what went wrong, exit with its code."""
        return run(super().main, *args, **extra)


class Group(click.Group):
    """Takes the settings as first word, and lists its commands in sections."""

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._sections: dict[str, tuple[str, ...]] = {}
        self._modules: dict[str, str] = {}

    def add_section(self, title: str, **modules: str) -> None:
        """Add the commands of some modules, which the help lists under a title in this order."""
        homes = {name: module for module, names in modules.items() for name in names.split()}
        self._sections[title] = tuple(homes)
        self._modules.update(homes)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; none is loaded."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loaded by now; None where there is none of this name."""
        if cmd_name in self._modules and cmd_name not in self.commands:
            module = import_module(f"ptah_migrate._cli.{self._modules[cmd_name]}")
            for found in vars(module).values():
                if isinstance(found, click.Command) and found.name in self._modules:
                    self.commands.setdefault(found.name, found)
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, print what went wrong, exit with its code."""
        return run(super().main, *args, **extra)

    # -- words -------------------------------------------------------------------

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read ``settings.ini upgrade`` as ``--config settings.ini upgrade``."""
        place = self._first_word(args)
        if place is not None and args[place] not in self._modules and _is_settings(args[place]):
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the named command, or say which one may have been meant."""
        if args[0] in self._modules or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise UsageError(
            f"there is no command '{args[0]}'", hint=_meant(args[0], self._modules, ctx)
        )

    # -- help --------------------------------------------------------------------

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in their sections, each in one line."""
        width = max(map(len, self._modules))
        for title, names in self._sections.items():
            with formatter.section(title):
                for name in names:
                    command = self.get_command(ctx, name)
                    assert command is not None, name
                    formatter.write(f"{'':>{formatter.current_indent}}{name.ljust(width)}  ")
                    formatter.write(f"{command.get_short_help_str(formatter.width)}\n")


def _is_settings(word: str) -> bool:
    return looks_like_settings(word) or os.path.isfile(word)  # noqa: PTH113 - pathlib takes time


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Common options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            sections["Common options" if _is_common(parameter) else "Options"].append(record)
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records, col_max=26)


def _is_common(parameter: click.Parameter) -> bool:
    return "--help" in parameter.opts or hasattr(Session, str(parameter.name))


# -- running -------------------------------------------------------------------------


def run(main: Callable[..., Any], *args: Any, **extra: Any) -> Any:
    """Call click's ``main`` and exit; an error becomes its lines and its code."""
    session = Session()
    output.be_robust()
    try:
        code = main(*args, **{**extra, "standalone_mode": False, "obj": session})
    except (click.Abort, KeyboardInterrupt):
        output.problem("interrupted", "finished steps are recorded: run the same command again")
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if session.traceback and not isinstance(error, click.ClickException):
            _print_traceback()
        code = _explained(error)
    sys.exit(code if isinstance(code, int) else 0)


def _explained(error: Exception) -> int:
    """Print an error and return its exit code."""
    if isinstance(error, PtahMigrateError):
        output.problem(error.message, error.hint)
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        output.tell(error.format_message())
        return USAGE
    if isinstance(error, click.UsageError):
        output.problem(*_usage(error))
        return USAGE
    if isinstance(error, click.ClickException):
        output.problem(_plain(error.format_message()))
        return FAILED
    output.problem(
        f"unexpected {type(error).__name__}: {error}", "--traceback shows where; please report it"
    )
    return FAILED


def _usage(error: click.UsageError) -> tuple[str, str]:
    """Return what click found wrong with the words in our form: message and hint."""
    ctx = error.ctx
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        names = [o for param in ctx.command.get_params(ctx) for o in param.opts] if ctx else []
        return f"there is no option '{name}'", _meant(name, names, ctx)
    return _plain(error.format_message()), _see(ctx)


def _plain(message: str) -> str:
    return f"{message[:1].lower()}{message[1:]}".rstrip(".")


def _meant(word: str, known: Iterable[str], ctx: click.Context | None) -> str:
    from difflib import get_close_matches

    # Without the dashes, which all options have in common.
    names = {name.lstrip("-"): name for name in known}
    close = [names[name] for name in get_close_matches(word.lstrip("-"), names, n=2)]
    if not close:
        return _see(ctx)
    return f"did you mean {' or '.join(repr(name) for name in close)}?"


def _see(ctx: click.Context | None) -> str:
    return f"see: {ctx.command_path if ctx else 'ptah-migrate'} --help"


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


# -- options and commands --------------------------------------------------------------


def command(
    name: str | None = None, *, short: str, examples: Sequence[str] = ()
) -> Callable[[Callable[..., int | None]], click.Command]:
    """
    Make a command of a function that takes the session, and its parameters by keyword.

    ``short`` is its line in the list of commands; ``examples`` end its help.
    The common options are added.
    """
    epilog = "\n".join(["\b", "Examples:", *(f"  ptah-migrate {text}" for text in examples)])

    def wrap(function: Callable[..., int | None]) -> click.Command:
        make = click.command(
            name, cls=Command, short_help=short, epilog=epilog if examples else None
        )
        return make(common(with_session(function)))

    return wrap


def with_session(function: F) -> F:
    """Call a command with the session; what it prints is JSON alone, where that is asked for."""

    def call(*args: Any, **parameters: Any) -> Any:
        session = click.get_current_context().ensure_object(Session)
        with output.aside() if session.json else nullcontext():
            return function(session, *args, **parameters)

    return cast("F", update_wrapper(call, function))


def common(function: F) -> F:
    """Give a command the options that are taken everywhere."""
    for option in reversed(_COMMON):
        function = option(function)
    return function


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep what is given; what the other side of the command says stays."""
    session = ctx.ensure_object(Session)
    if param.name == "x_arguments":
        session.x_arguments = (*session.x_arguments, *value)
    elif value is not None and value is not False:
        setattr(session, str(param.name), value)


def _option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(*names, callback=_store, expose_value=False, is_eager=True, **kwargs)


_COMMON = (
    _option("-c", "--config", type=click.Path(), metavar="SETTINGS", help="FILE.ini[#SECTION]."),
    _option("--url", metavar="URL", help="The database, instead of the one in the settings."),
    _option("--no-app", is_flag=True, help="Do not load the application."),
    _option("-x", "x_arguments", multiple=True, metavar="KEY=VALUE", help="For the revisions."),
    _option(
        "--lock-timeout",
        type=float,
        metavar="SECONDS",
        help="How long to wait for another runner: 60 by default.",
    ),
    _option("--json", is_flag=True, help="Print the result as JSON."),
    _option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
    _option("-q", "--quiet", is_flag=True, help="Print results and problems only."),
    _option("-v", "--verbose", is_flag=True, help="Print Alembic's own log lines too."),
    _option("--traceback", is_flag=True, help="Show where an error came from."),
)
