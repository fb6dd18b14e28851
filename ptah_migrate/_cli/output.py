"""What the commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from pathlib import Path

    from ptah_migrate.model import Problem

# The number rises when a field is removed or changes its meaning.
JSON_VERSION = 1

LOG_FORMAT = "%(asctime)s %(levelname)-5.5s [%(name)s] %(message)s"


def be_robust() -> None:
    """Let no character that the terminal does not have stop a command half-way."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def on_terminal() -> bool:
    """Return whether a person looks at stderr, on a terminal that can take a line back."""
    return (
        sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") not in {"dumb", "unknown"}
    )


# The streams that `aside` has put others in place of, the first of them the real one.
_replaced: list[TextIO] = []


@contextmanager
def aside() -> Iterator[None]:
    """Send to stderr what other people's code prints: stdout is for JSON or SQL alone."""
    _replaced.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _replaced.pop()
        if sys.stderr is not None:
            sys.stderr.flush()


def silence() -> None:
    """Go on without a reader: what is still printed on stdout is dropped."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str = "") -> None:
    """Print one line of a result."""
    click.echo(text)


def tell(text: str) -> None:
    """Print one line that is no result."""
    click.echo(text, err=True)


def warn(text: str, hint: str = "") -> None:
    """Print a problem that stops nothing."""
    _told("Warning: ", "yellow", text, hint)


def warn_of(found: Problem) -> None:
    """Print a registration that cannot be used, with the name it is about."""
    named = found.subject in found.message
    warn(found.message if named else f"{found.subject}: {found.message}", found.hint)


def problem(text: str, hint: str = "") -> None:
    """Print the problem that a command ends with."""
    _told("Error: ", "red", text, hint)


def _told(label: str, colour: str, text: str, hint: str) -> None:
    tell(_coloured(label, colour) + _line(text))
    if hint:
        tell(f"hint: {_line(hint)}")


def shown(path: Path) -> str:
    """Return a path as it is called from the present folder."""
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - pathlib takes time
    return str(path).removeprefix(here)


def as_json(**values: Any) -> None:
    """Print values as one JSON object, with the version of its form."""
    import json

    text = json.dumps({"version": JSON_VERSION, **values}, indent=2)
    click.echo(text, file=_replaced[0] if _replaced else None)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print an aligned table."""
    lines = [tuple(header), *[tuple(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def log_to_stderr(*, verbose: bool, quiet: bool) -> None:
    """Log steps as 2012 did, where nobody configured logging; Alembic stays quiet."""
    import logging

    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        root.addHandler(handler)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    for name in ("ptah", "ptah_migrate"):
        logging.getLogger(name).setLevel(level)
    quiet_alembic(verbose=verbose)


def quiet_alembic(*, verbose: bool) -> None:
    """Keep Alembic's lines about contexts and plug-ins out, unless they are asked for."""
    import logging

    logging.getLogger("alembic").setLevel(logging.INFO if verbose else logging.WARNING)


def _coloured(text: str, colour: str) -> str:
    if os.environ.get("NO_COLOR") or not _is_terminal(sys.stderr):
        return text
    return click.style(text, fg=colour)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _line(text: str) -> str:
    return " ".join(text.split())
