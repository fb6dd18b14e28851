"""Finds the engine that an application works with."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from ptah_migrate import dotted
from ptah_migrate.errors import ConfigError

SETTING = "ptah_migrate.engine"


def find(registry: Any, settings: Mapping[str, Any] | None = None) -> Any:
    """
    Return the application's engine, as the places where real applications keep it.

    In this order: the setting ``ptah_migrate.engine`` (an engine, or the dotted
    name of one, or of a callable that takes the registry), ``settings['dbengine']``,
    the bind of ``registry['dbsession_factory']``, ``registry['sqlalchemy.engine']``,
    ``registry['dbengine']``, and ``sqlalchemy.*`` settings. A request's session is
    never used: its DDL is rolled back silently.

    Args:
        registry: the application's; None when it could not be loaded.
        settings: those of the registry, unless others are given.

    Raises:
        ConfigError: there is none of these, or the callable fails.

    """
    settings = settings if settings is not None else (getattr(registry, "settings", None) or {})
    stored = registry if registry is not None else {}
    found = (
        _configured(registry, settings),
        settings.get("dbengine"),
        _bind(stored.get("dbsession_factory")),
        stored.get("sqlalchemy.engine"),
        stored.get("dbengine"),
    )
    for engine in found:
        if engine is not None and engine != "":
            return engine
    if settings.get("sqlalchemy.url"):
        from ptah_migrate._runtime import from_settings

        return from_settings(settings)
    raise ConfigError(
        "the settings name no database",
        hint="set sqlalchemy.url = sqlite:///%(here)s/app.sqlite, or ptah_migrate.engine",
    )


def _configured(registry: Any, settings: Mapping[str, Any]) -> Any:
    value = settings.get(SETTING)
    if value is None or value == "":
        return None
    found = dotted.resolve(value, f"the setting {SETTING}")
    if callable(found) and not hasattr(found, "connect"):
        found = _called(found, value, registry, settings)
    if not hasattr(found, "connect") and not isinstance(found, str):
        raise ConfigError(
            f"the setting {SETTING}, '{value}', gives a {type(found).__name__}, not an engine",
            hint="name an engine, or a function that takes the registry and returns one",
        )
    return found


def _called(function: Any, name: Any, registry: Any, settings: Mapping[str, Any]) -> Any:
    """Return what the application's own function returns; without one it still gets settings."""
    known = registry if registry is not None else SimpleNamespace(settings=settings)
    try:
        return function(known)
    except Exception as error:
        raise ConfigError(
            f"the setting {SETTING}, '{name}', failed: {type(error).__name__}: {error}",
            hint="correct the function, or name another one",
        ) from error


def _bind(factory: Any) -> Any:
    """Return what a session factory is bound to."""
    options = getattr(factory, "kw", None) or getattr(
        getattr(factory, "session_factory", None), "kw", None
    )
    return options.get("bind") if isinstance(options, Mapping) else None
