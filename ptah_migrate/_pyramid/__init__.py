"""The application's side: directives, scanning, start-up."""

from __future__ import annotations

from ptah_migrate._pyramid.declare import populate, register_migration
from ptah_migrate._pyramid.directives import includeme
from ptah_migrate._pyramid.events import BeforeCreateDbSchema, DatabaseMigrated
from ptah_migrate._pyramid.state import suspended

__all__ = [
    "BeforeCreateDbSchema",
    "DatabaseMigrated",
    "includeme",
    "populate",
    "register_migration",
    "suspended",
]
