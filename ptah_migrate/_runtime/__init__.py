"""Applies: plans over all packages, runs steps, keeps the record."""

from __future__ import annotations

from ptah_migrate._runtime.migrator import Migrator, parse_target, pending_line
from ptah_migrate._runtime.runner import describe

__all__ = ["Migrator", "describe", "parse_target", "pending_line"]
