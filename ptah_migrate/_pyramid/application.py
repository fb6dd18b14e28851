"""
Loads an application from its settings file, for commands, without starting it.

The application is loaded with ``paster.get_app`` while start-up is suspended,
never with ``bootstrap``: that calls the root factory, which may read tables
that do not exist yet.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from ptah_migrate._pyramid import inifile
from ptah_migrate._pyramid.settings import Loaded
from ptah_migrate._pyramid.state import OURSELVES, suspended
from ptah_migrate.errors import ConfigError, MissingExtraError

logger = logging.getLogger("ptah.migrate")


def load(uri: str, *, application: bool = True) -> Loaded:
    """
    Return the settings of ``file.ini[#section]``, and the application where it loads.

    Nothing is upgraded, checked or populated on the way. An application that
    cannot be loaded is told in ``problem``; the settings still count. Without
    ``application`` none of its code is imported.

    Raises:
        ConfigError: the file is missing, cannot be parsed, or has no such section.

    """
    name, _, section = uri.partition("#")
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"settings file '{name}' does not exist", hint="check the path")
    try:
        import plaster
    except ImportError:
        return Loaded(inifile.read(path, section), problem=_no_pyramid())
    try:
        loader = plaster.get_loader(uri, protocols=["wsgi"])
        configured = _logging(loader, name)
    except Exception as error:  # noqa: BLE001 - a loader of somebody else's
        return Loaded(inifile.read(path, section), problem=_words(error))
    with _aside():
        found = _application(loader, uri, section) if application else Loaded()
    if found.registry is None:
        found = found._replace(settings={**_plain(path, section, found), **found.settings})
    return found._replace(logging=configured)


def _plain(path: Path, section: str, found: Loaded) -> Mapping[str, str]:
    """Return the file's settings; without complaint where its loader gave some already."""
    with suppress(*(ConfigError,) if found.settings else ()):
        return inifile.read(path, section)
    return {}


def _logging(loader: Any, name: str) -> bool:
    """Configure the logging as the file says; return whether it says anything usable."""
    if "loggers" not in loader.get_sections():
        return False
    try:
        loader.setup_logging()
    except Exception as error:  # noqa: BLE001 - handlers are the application's own
        logger.warning("the logging of %s cannot be set up: %s", name, _words(error))
        return False
    return True


@contextmanager
def _aside() -> Iterator[None]:
    """Keep what an application says while it loads out of the results of a command."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        # Pyramid 2.1 imports pkg_resources, and setuptools since 80 says so on each command.
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
        yield


def _application(loader: Any, uri: str, section: str) -> Loaded:
    settings: dict[str, Any] = {}
    try:
        settings = dict(loader.get_wsgi_app_settings(section or None))
        registry = _registry(uri)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the application's code runs here
        return Loaded(settings, problem=_words(error))
    if registry is None:
        return Loaded(settings, problem="it is no Pyramid application")
    return Loaded({**settings, **(registry.settings or {})}, registry)


def _registry(uri: str) -> Any:
    """Load an application and return its registry; None when it has none."""
    from pyramid.config import global_registries
    from pyramid.paster import get_app

    before = global_registries.last
    with suspended():
        application = get_app(uri, options={"__script__": OURSELVES})
    registry = getattr(application, "registry", None)
    if registry is None and global_registries.last is not before:
        # A PasteDeploy filter around the application has no registry of its own.
        return global_registries.last
    return registry


def _no_pyramid() -> str:
    error = MissingExtraError("Pyramid", "pyramid")
    return f"{error}: {error.hint}"


def _words(error: BaseException) -> str:
    """Return an error in one line; of a conflict with the places, of others without advice."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "pyramid":
        return _no_pyramid()
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    shown = lines if type(error).__name__ == "ConfigurationConflictError" else lines[:1]
    return f"{type(error).__name__}: {' '.join(shown)}".rstrip(": ")
