"""Reads a package's revision files into a History, without running them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptah_migrate._history.histories import Histories, heads, read
from ptah_migrate._history.index import Head, Heads, confirm

if TYPE_CHECKING:
    from ptah_migrate._history.graph import History
    from ptah_migrate._history.made import HistoryTables, makers, sequences, tables
    from ptah_migrate._history.marker import NOT_WRITTEN, unwritten
    from ptah_migrate._history.parsing import candidates, parse

__all__ = [
    "NOT_WRITTEN",
    "Head",
    "Heads",
    "Histories",
    "History",
    "HistoryTables",
    "candidates",
    "confirm",
    "heads",
    "makers",
    "parse",
    "read",
    "sequences",
    "tables",
    "unwritten",
]

# Loaded when they are first used: a command with nothing to do needs none of them.
_LATER = {
    "NOT_WRITTEN": "marker",
    "History": "graph",
    "HistoryTables": "made",
    "candidates": "parsing",
    "makers": "made",
    "parse": "parsing",
    "sequences": "made",
    "tables": "made",
    "unwritten": "marker",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
