"""Applies: plans over all packages, runs steps, keeps the record."""

from __future__ import annotations

from ptah_migrate._runtime.engine import engine_for, from_settings, masked
from ptah_migrate._runtime.migrator import Migrator, parse_target
from ptah_migrate._runtime.states import pending_line

__all__ = [
    "Migrator",
    "engine_for",
    "from_settings",
    "masked",
    "parse_target",
    "pending_line",
]
