"""Finds the engine that an application works with."""

from __future__ import annotations

from collections.abc import Mapping
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

    Raises:
        ConfigError: there is none of these.

    """
    settings = settings if settings is not None else (getattr(registry, "settings", None) or {})
    stored = registry if registry is not None else {}
    engine = (
        _configured(registry, settings)
        or settings.get("dbengine")
        or _bind(stored.get("dbsession_factory"))
        or stored.get("sqlalchemy.engine")
        or stored.get("dbengine")
    )
    if engine is not None:
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
    return found(registry) if callable(found) and not hasattr(found, "connect") else found


def _bind(factory: Any) -> Any:
    """Return what a session factory is bound to."""
    options = getattr(factory, "kw", None) or getattr(
        getattr(factory, "session_factory", None), "kw", None
    )
    return options.get("bind") if isinstance(options, Mapping) else None
