"""Reads a package's revision files into a History, without running them."""

from __future__ import annotations

from ptah_migrate._history.graph import History
from ptah_migrate._history.index import Heads, confirm
from ptah_migrate._history.marker import NOT_WRITTEN, unwritten
from ptah_migrate._history.read import candidates, heads, parse, read
from ptah_migrate._history.tables import HistoryTables, tables

__all__ = [
    "NOT_WRITTEN",
    "Heads",
    "History",
    "HistoryTables",
    "candidates",
    "confirm",
    "heads",
    "parse",
    "read",
    "tables",
    "unwritten",
]
