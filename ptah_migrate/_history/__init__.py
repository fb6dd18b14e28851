"""Reads a package's revision files into a History, without running them."""

from __future__ import annotations

from ptah_migrate._history.graph import History
from ptah_migrate._history.read import parse, read
from ptah_migrate._history.tables import HistoryTables, tables

__all__ = ["History", "HistoryTables", "parse", "read", "tables"]
