"""
Which settings a call works with.

The first of: ``-c``/the first word, ``--url``, the environment,
``[tool.ptah_migrate]`` of the nearest pyproject.toml, a lone
``development.ini`` in this folder. A production file is never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ptah_migrate.errors import ConfigError, UsageError
from ptah_migrate.registry import project_root, read_project

CONFIG_VARIABLE = "PTAH_MIGRATE_CONFIG"
URL_VARIABLE = "PTAH_MIGRATE_URL"
DEVELOPMENT = "development.ini"

# Keys of [tool.ptah_migrate] that say what to take; the others are settings.
_CHOOSING = ("url", "config")


class Choice(NamedTuple):
    """
    The settings file or the URL that was taken, and why; both empty when there is none.

    ``settings`` are those of pyproject.toml, under the names they have in an ini file.
    A relative SQLite file of ``url`` lies in ``root``.
    """

    config: str = ""
    url: str = ""
    why: str = ""
    settings: Mapping[str, Any] = {}
    root: Path = Path()


def choose(config: str, url: str) -> Choice:
    """
    Return the settings to take, given what was said on the command line.

    Raises:
        UsageError: two databases are named.
        ConfigError: pyproject.toml cannot be read.

    """
    if "://" in config and url:
        raise UsageError("two databases are named", hint="leave --url out, or the first word")
    if "://" in config:
        return Choice(url=config, why="given", settings=_settings(_project()[1]))
    if config:
        return Choice(config, url, "given")
    if url:
        return Choice(url=url, why="given", settings=_settings(_project()[1]))
    return _of_environment() or _found_here()


def _of_environment() -> Choice | None:
    config, url = os.environ.get(CONFIG_VARIABLE, ""), os.environ.get(URL_VARIABLE, "")
    if config:
        return Choice(config, url, f"from {CONFIG_VARIABLE}")
    if url:
        return Choice(url=url, why=f"from {URL_VARIABLE}", settings=_settings(_project()[1]))
    return None


def _found_here() -> Choice:
    root, table = _project()
    settings = _settings(table)
    if table.get("config"):
        return Choice(str(root / str(table["config"])), "", "from pyproject.toml", settings)
    if table.get("url"):
        return Choice("", str(table["url"]), "from pyproject.toml", settings, root)
    if Path(DEVELOPMENT).is_file():
        return Choice(DEVELOPMENT, "", "found here", settings)
    return Choice(settings=settings)


def _project() -> tuple[Path, Mapping[str, Any]]:
    """Return the nearest project and its table ``[tool.ptah_migrate]``."""
    root = project_root(Path.cwd())
    if root is None:
        return Path.cwd(), {}
    tool = read_project(root).get("tool", {})
    table = tool.get("ptah_migrate", {}) if isinstance(tool, Mapping) else {}
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"'ptah_migrate' of {root / 'pyproject.toml'} is no table",
            hint='write: [tool.ptah_migrate] and below it url = "sqlite:///app.sqlite"',
        )
    return root, table


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"ptah_migrate.{key}": " ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in table.items()
        if key not in _CHOOSING
    }
