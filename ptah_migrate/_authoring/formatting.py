"""Bring a new file into the shape that a project's formatter wants."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ptah_migrate._authoring.naming import shown
from ptah_migrate.errors import ConfigError

_ARGUMENTS = {"ruff": ("format", "--quiet", "--no-cache"), "black": ("--quiet",)}
FORMATTERS = tuple(_ARGUMENTS)
_LIMIT = 60.0


def check_formatter(name: str) -> None:
    """
    Accept the name of a formatter.

    Raises:
        ConfigError: it is none that we know how to run.

    """
    if name not in _ARGUMENTS:
        raise ConfigError(
            f"the setting format is {shown(name)}, which is no formatter",
            hint=f"one of {', '.join(FORMATTERS)}",
        )


def run(name: str, path: Path) -> str:
    """Format a file in place and return what went wrong, or nothing."""
    program = _program(name)
    if program is None:
        return f"{name} is not installed"
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell
            [program, *_ARGUMENTS[name], str(path.absolute())],
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{name} did not finish within {_LIMIT:g} s"
    except OSError as error:
        return f"{name} cannot be run: {error.strerror}"
    if done.returncode == 0:
        return ""
    words = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
    return f"{name} failed with exit code {done.returncode}: {words[:300]}".rstrip(": ")


def _program(name: str) -> str | None:
    """Return the formatter of the running environment, else the one on the search path."""
    beside = shutil.which(name, path=os.fspath(Path(sys.executable).parent))
    return beside or shutil.which(name)
