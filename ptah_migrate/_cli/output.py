"""What the commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import click

from ptah_migrate.errors import PtahMigrateError

# The number rises when a field is removed or changes its meaning.
JSON_VERSION = 1

LOG_FORMAT = "%(asctime)s %(levelname)-5.5s [%(name)s] %(message)s"


def say(text: str = "") -> None:
    """Print one line of a result."""
    click.echo(text)


def tell(text: str) -> None:
    """Print one line that is no result."""
    click.echo(text, err=True)


def warn(text: str, hint: str = "") -> None:
    """Print a problem that stops nothing."""
    click.echo(_coloured("Warning: ", "yellow") + text, err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def fail(error: PtahMigrateError) -> None:
    """Print an error and its hint."""
    click.echo(_coloured("Error: ", "red") + _line(error.message), err=True)
    if error.hint:
        click.echo(f"hint: {_line(error.hint)}", err=True)


def as_json(kind: str, value: Any) -> None:
    """Print a value as JSON: ``{"version": 1, kind: value}``."""
    click.echo(json.dumps({"version": JSON_VERSION, kind: value}, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print an aligned table."""
    lines = [tuple(header), *[tuple(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def log_to_stderr(*, verbose: bool, quiet: bool = False) -> None:
    """Log steps as 2012 did, where the settings configure no logging; Alembic stays quiet."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    for name in ("ptah", "ptah_migrate"):
        logging.getLogger(name).setLevel(level)
    quiet_alembic(verbose=verbose)


def quiet_alembic(*, verbose: bool) -> None:
    """Keep Alembic's lines about contexts and plug-ins out, unless they are asked for."""
    logging.getLogger("alembic").setLevel(logging.INFO if verbose else logging.WARNING)


def _coloured(text: str, colour: str) -> str:
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return click.style(text, fg=colour)


def _line(text: str) -> str:
    return " ".join(text.split())
