"""Reads a package's revision files into a History, without running them."""

from __future__ import annotations

from ptah_migrate._history.graph import History
from ptah_migrate._history.marker import NOT_WRITTEN, unwritten
from ptah_migrate._history.read import candidates, parse, read
from ptah_migrate._history.tables import HistoryTables, makers, sequences, tables

__all__ = [
    "NOT_WRITTEN",
    "History",
    "HistoryTables",
    "candidates",
    "makers",
    "parse",
    "read",
    "sequences",
    "tables",
    "unwritten",
]
