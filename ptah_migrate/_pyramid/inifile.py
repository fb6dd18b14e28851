"""
Reads an application's settings from its ini file alone; no code of anybody's runs.

For applications that cannot be loaded, and for machines without Pyramid.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate.errors import ConfigError

if TYPE_CHECKING:
    from configparser import ConfigParser

# What a section may be called, and the key that names the one behind it.
_KINDS = ("app", "pipeline", "filter-app", "filter-chain", "composite", "application")
_INSIDE = ("use", "next", "pipeline")

_DEEPEST = 10  # sections that use one another; an ini file may name itself


def read(path: Path, section: str = "") -> dict[str, str]:
    """
    Return the settings of ``[app:section]``, or of the plain ``[section]``; of ``main`` if empty.

    Settings of the section it uses are underneath, also of another file;
    behind a pipeline those of its application.

    Raises:
        ConfigError: the file cannot be parsed, or has no such section.

    """
    return _settings(path, section or "main", _DEEPEST)


def _settings(path: Path, name: str, depth: int) -> dict[str, str]:
    from configparser import InterpolationError

    parser = _parsed(path)
    section = _section(parser, path, name)
    try:
        found = dict(parser.items(section))
    except InterpolationError as error:
        raise ConfigError(f"'{path}' cannot be read: {error}", hint="correct the file") from error
    own = {
        key: value
        for key, value in found.items()
        if key not in (*_here(path), *_INSIDE) and not key.startswith(("set ", "get "))
    }
    inside = next((found[key] for key in _INSIDE if key in found), "")
    return {**_underneath(path, inside.split()[-1:], depth), **own}


def _underneath(path: Path, used: list[str], depth: int) -> dict[str, str]:
    """Return the settings of what a section uses; code (``egg:``, ``call:``) has none."""
    if not used or not depth:
        return {}
    scheme, _, rest = used[0].rpartition(":")
    if not scheme:
        return _settings(path, rest, depth - 1)
    if scheme != "config":
        return {}
    file, _, name = rest.partition("#")
    return _settings(path.parent / file, name or "main", depth - 1)


def _section(parser: ConfigParser, path: Path, name: str) -> str:
    for section in (*(f"{kind}:{name}" for kind in _KINDS), name):
        if parser.has_section(section):
            return section
    raise ConfigError(
        f"'{path}' has no section [app:{name}]",
        hint=f"sections: {', '.join(parser.sections()) or 'none'}",
    )


def _here(path: Path) -> dict[str, str]:
    """Return the variables that PasteDeploy gives to every file."""
    absolute = path.absolute()
    return {"here": str(absolute.parent), "__file__": str(absolute)}


def _parsed(path: Path) -> ConfigParser:
    from configparser import ConfigParser, Error

    defaults = {key: value.replace("%", "%%") for key, value in _here(path).items()}
    parser = ConfigParser(defaults, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with path.open(encoding="utf-8-sig") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, Error) as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"'{path}' cannot be read: {words}", hint="correct the file") from error
    return parser
