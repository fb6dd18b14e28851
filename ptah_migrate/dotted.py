"""Dotted names in registrations and settings: ``package.module:attribute.attribute``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ptah_migrate.errors import ConfigError


def resolve(value: Any, what: str) -> Any:
    """
    Return what a dotted name names; anything but a text is returned as it is.

    Raises:
        ConfigError: it cannot be imported, whatever its import raised; ``what``
            says what it was wanted for.

    """
    if not isinstance(value, str):
        return value
    module, _, path = value.partition(":")
    if not path:
        module, _, path = value.rpartition(".")
    try:
        found: Any = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{what}, '{value}', cannot be imported: "
            f"{type(error).__name__}: {' '.join(str(error).split())}",
            hint="correct the name, or the module it names",
        ) from error
    return found
