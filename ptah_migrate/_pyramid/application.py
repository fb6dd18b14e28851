"""
Loads an application from its settings file, for commands, without starting it.

The application is loaded with ``paster.get_app`` while start-up is suspended,
never with ``bootstrap``: that calls the root factory, which may read tables
that do not exist yet.
"""

from __future__ import annotations

import configparser
import logging
import logging.config
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptah_migrate._pyramid.state import suspended
from ptah_migrate.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What a settings file gives.

    ``registry`` is the application's, None when it could not be loaded;
    ``problem`` says why. ``logging`` tells whether the file configures it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    registry: Any = None
    problem: str = ""
    logging: bool = False


def load(uri: str, *, application: bool = True) -> Loaded:
    """
    Return the settings of ``file.ini[#section]``, and the application where it loads.

    Nothing is upgraded, checked or populated on the way. An application that
    cannot be loaded is told in ``problem``; the settings still count.

    Raises:
        ConfigError: the file is missing, cannot be parsed, or has no such section.

    """
    path, _, section = uri.partition("#")
    if not Path(path).is_file():
        raise ConfigError(f"settings file '{path}' does not exist", hint="check the path")
    try:
        import plaster
    except ImportError:
        return Loaded(_by_configparser(path, section or "main"), problem="Pyramid is not installed")
    try:
        loader = plaster.get_loader(uri, protocols=["wsgi"])
        settings = dict(loader.get_wsgi_app_settings(section or None))
        has_logging = "loggers" in loader.get_sections()
        if has_logging:
            loader.setup_logging()
    except Exception as error:  # noqa: BLE001 - a loader of somebody else's
        return _plain(path, section, error)
    if not application:
        return Loaded(settings, logging=has_logging)
    return _with_application(uri, settings, has_logging=has_logging)


def _plain(path: str, section: str, error: Exception) -> Loaded:
    """Return the settings of a file that is no PasteDeploy application."""
    settings = _by_configparser(path, section or "main")
    return Loaded(settings, problem=f"{type(error).__name__}: {_one_line(error)}")


def _with_application(uri: str, settings: Mapping[str, Any], *, has_logging: bool) -> Loaded:
    try:
        from pyramid.config import global_registries
        from pyramid.paster import get_app

        with suspended():
            application = get_app(uri, options={"__script__": "ptah-migrate"})
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the application's code runs here
        problem = f"{type(error).__name__}: {_one_line(error)}"
        return Loaded(settings, problem=problem, logging=has_logging)
    # A PasteDeploy filter around the application has no registry of its own.
    registry = getattr(application, "registry", None) or global_registries.last
    if registry is None:
        return Loaded(settings, problem="it is no Pyramid application", logging=has_logging)
    return Loaded({**settings, **(registry.settings or {})}, registry, logging=has_logging)


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else ""


def _by_configparser(path: str, section: str) -> dict[str, str]:
    """Return the settings of ``[app:section]`` or ``[section]``, as an ini file alone tells them."""
    here = {"here": str(Path(path).resolve().parent), "__file__": str(Path(path).resolve())}
    parser = configparser.ConfigParser(defaults={k: v.replace("%", "%%") for k, v in here.items()})
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            parser.read_file(file)
        found = next(
            (name for name in (f"app:{section}", section) if parser.has_section(name)), None
        )
        if found is None:
            raise ConfigError(
                f"'{path}' has no section [app:{section}]",
                hint=f"sections: {', '.join(parser.sections()) or 'none'}",
            )
        return {key: value for key, value in parser.items(found) if key not in here}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigError(f"'{path}' cannot be read: {_one_line(error)}") from error
