"""
Database migrations for installable packages.

Each package carries its own history of Alembic revisions; this one finds them,
orders them over all packages and applies them. The names below load what they
need when they are first used: importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptah_migrate._pyramid.declare import populate, register_migration
    from ptah_migrate._pyramid.directives import includeme
    from ptah_migrate._pyramid.events import BeforeCreateDbSchema, DatabaseMigrated
    from ptah_migrate._pyramid.state import suspended
    from ptah_migrate._runtime import Migrator
    from ptah_migrate.errors import PtahMigrateError
    from ptah_migrate.model import POPULATE_DB_SCHEMA, Package, PackageStatus, Plan, Report
    from ptah_migrate.registry import Registry, discover, make_package

__version__ = "0.1.0"

__all__ = [
    "POPULATE_DB_SCHEMA",
    "BeforeCreateDbSchema",
    "DatabaseMigrated",
    "Migrator",
    "Package",
    "PackageStatus",
    "Plan",
    "PtahMigrateError",
    "Registry",
    "Report",
    "__version__",
    "discover",
    "includeme",
    "make_package",
    "populate",
    "register_migration",
    "suspended",
]

_HOMES = {
    "POPULATE_DB_SCHEMA": "model",
    "BeforeCreateDbSchema": "_pyramid.events",
    "DatabaseMigrated": "_pyramid.events",
    "Migrator": "_runtime",
    "Package": "model",
    "PackageStatus": "model",
    "Plan": "model",
    "PtahMigrateError": "errors",
    "Registry": "registry",
    "Report": "model",
    "discover": "registry",
    "includeme": "_pyramid.directives",
    "make_package": "registry",
    "populate": "_pyramid.declare",
    "register_migration": "_pyramid.declare",
    "suspended": "_pyramid.state",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name == "errors":
        return import_module("ptah_migrate.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, whether loaded or not."""
    return sorted({*globals(), *__all__})
