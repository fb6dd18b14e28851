"""
What authors of packages use in their own tests.

pytest finds the plug-in by itself; the names below are for test modules. They
load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptah_migrate.testing.declared import MigrationTests
    from ptah_migrate.testing.migrator import PtahMigrator
    from ptah_migrate.testing.standard import alembic_config

__all__ = ["MigrationTests", "PtahMigrator", "alembic_config"]

_HOMES = {
    "MigrationTests": "declared",
    "PtahMigrator": "migrator",
    "alembic_config": "standard",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
