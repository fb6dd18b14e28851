"""
The index of a history: what its files said, with the stamps they had.

It is advice. Files that were not installed by a package manager are compared
one by one, with their ``ctime``, which nobody can put back; for installed
ones the folder's stamp and those of the head revisions do, because what puts
files there makes new ones. ``confirm`` compares every file in any case; the
runner asks it before it runs something, and compares what it runs besides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ptah_migrate import cache
from ptah_migrate.model import Package
from ptah_migrate.registry import is_moved

if TYPE_CHECKING:
    from ptah_migrate._history.graph import History
    from ptah_migrate._history.rows import Row

_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Head(NamedTuple):
    """A revision that no other one follows, as lists show it."""

    id: str
    labels: tuple[str, ...]
    doc: str


# Named tuples: to define these takes a fifth of the time, and every start does.


class Heads(NamedTuple):
    """What a database at the heads of a history has: see ``History``."""

    described: tuple[Head, ...]
    tops: tuple[str, ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """The ids of the heads."""
        return tuple(head.id for head in self.described)

    @classmethod
    def of(cls, history: History) -> Heads:
        """Return the heads of a history."""
        found = (history.revisions[id_] for id_ in history.heads)
        return cls(tuple(Head(one.id, one.labels, one.doc) for one in found), history.tops)


class Kept(NamedTuple):
    """
    The names of a history's files, by their folders, and the stamps they had.

    ``digest`` is that of the stamps of all files; ``heads`` are the files of
    the head revisions, with theirs.
    """

    folders: list[list[Any]]
    names: list[tuple[str, list[str]]]
    digest: str
    heads: list[list[Any]]
    installed: bool

    def valid(self, *, exact: bool) -> bool:
        """Return whether nothing has changed, as far as it has to be looked at."""
        if not cache.unchanged(self.folders):
            return False
        if self.installed and not exact:
            return cache.unchanged(self.heads)
        return self.digest == cache.digest(map(cache.stamp, paths(self.names)))


def paths(files: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    """Yield the path of each file, in the order of their numbers."""
    return (f"{folder}{os.sep}{name}" for folder, names in files for name in names)


def confirm(history: History) -> bool:
    """Return whether a history is what its files say: whether it was just read, or none changed."""
    kept = history.kept
    return kept is None or kept.valid(exact=True)


# -- one package -------------------------------------------------------------------------


def load(package: Package, folders: tuple[Path, ...], *, exact: bool) -> History | None:
    """Return the history of a package as it was read before, None where it may have changed."""
    found = cache.load("history", _key(package, folders))
    if found is None:
        return None
    try:
        kept = _kept(found)
        if not kept.valid(exact=exact):
            return None
        return _history(package, folders, kept, found)
    except (LookupError, TypeError, ValueError):  # whatever it is, it is not of our making
        return None


def _kept(found: Mapping[str, Any]) -> Kept:
    return Kept(
        *(found["folders"], found["files"], found["digest"], found["watched"]),
        installed=bool(found["installed"]),
    )


def _history(
    package: Package, folders: tuple[Path, ...], kept: Kept, found: Mapping[str, Any]
) -> History:
    from ptah_migrate._history.graph import History, Shape
    from ptah_migrate._history.rows import Revisions

    rows = {row[0]: row for row in found["revisions"]}
    history = History(
        package.name,
        Revisions(package.name, rows, list(paths(kept.names)).__getitem__),
        folders,
        branches=package.branches,
        shape=Shape(
            linear=bool(found["linear"]),
            heads=tuple(found["heads"]),
            bases=tuple(found["bases"]),
            tops=tuple(found["tops"]),
            order=tuple(found["order"]),
        ),
    )
    history.kept = kept
    return history


def store(
    package: Package,
    history: History,
    files: Sequence[tuple[str, list[str]]],
    stamps: Sequence[cache.Stamp],
    rows: Mapping[str, Row],
    now: int,
) -> None:
    """
    Keep a history that was just read from ``files``, beginning at the time ``now``.

    What was changed so shortly before that another change could look the same is not kept.
    """
    folders = cache.stamped(root for root, _ in files)
    if not cache.folder() or not cache.settled(chain(stamps, (was for _, was in folders)), now):
        return
    heads = [rows[id_][1] for id_ in history.heads]
    watched = [history.revisions[id_].file for id_ in history.heads]
    value = {
        "folders": folders,
        "files": files,
        "digest": cache.digest(stamps),
        "watched": [[path, stamps[number]] for path, number in zip(watched, heads, strict=True)],
        "installed": _installed(root for root, _ in files),
        "linear": history.linear,
        "heads": history.heads,
        "bases": history.bases,
        "tops": history.tops,
        "order": history.sorted,
        "revisions": list(rows.values()),
    }
    cache.store("history", _key(package, history.directories), value)
    history.kept = _kept(value)


def _key(package: Package, folders: tuple[Path, ...]) -> str:
    return repr((package.name, [str(folder) for folder in folders], package.recursive))


def _installed(folders: Iterable[str]) -> bool:
    """Return whether a package manager keeps these folders; a link to a checkout is none."""
    # A resolved Path does the same in four times the time.
    real = map(os.path.realpath, folders)
    return all(not _INSTALLED.isdisjoint(Path(folder).parts) for folder in real)


# -- the heads of all ----------------------------------------------------------------------


class AllHeads:
    """
    The heads of a whole installation, in one file.

    Only installed packages are in it, whose folders tell that nothing changed:
    the others' files have to be looked at one by one.
    """

    def __init__(self, packages: Iterable[Package]) -> None:
        self.packages = tuple(packages)
        self.key = repr([(p.name, p.paths, p.recursive) for p in self.packages])
        self._found = cache.load("heads", self.key)
        self._standing: dict[str, list[Any]] = {}

    def load(self) -> dict[str, Heads]:
        """Return the heads that are known still."""
        found: dict[str, Heads] = {}
        standing: dict[str, list[Any]] = {}
        try:
            rows = self._found["packages"] if self._found is not None else {}
            for package in self.packages:
                row = rows.get(package.name)
                if row and self._stands(package, row):
                    standing[package.name] = row
                    described = [Head(id_, tuple(labels), doc) for id_, labels, doc in row[2]]
                    found[package.name] = Heads(tuple(described), tuple(row[3]))
        except (LookupError, TypeError, ValueError, AttributeError):
            return {}
        self._standing = standing
        return found

    def _stands(self, package: Package, row: list[Any]) -> bool:
        return (
            self._still_found(package, row[4])
            and cache.unchanged(row[0])
            and cache.unchanged(row[1])
        )

    def _still_found(self, package: Package, folders: list[str]) -> bool:
        """Return whether the registered paths still mean these folders."""
        for path, folder in zip(package.paths, folders, strict=True):
            if path == folder:
                continue
            module = path.partition(":")[0]
            if module in sys.modules:
                if is_moved(path, folder):
                    return False
            elif not self._search_path.finds(module, folder):
                return False
        return True

    @cached_property
    def _search_path(self) -> cache.SearchPath:
        return cache.SearchPath(self._found["path"])

    def store(self, histories: Iterable[History]) -> None:
        """Keep the heads of histories that had to be read, if they are installed ones."""
        rows = {
            history.package: [
                *(history.kept.folders, history.kept.heads),
                [[one.id, list(one.labels), one.doc] for one in Heads.of(history).described],
                list(history.tops),
                [str(folder) for folder in history.directories],
            ]
            for history in histories
            if history.kept is not None and history.kept.installed
        }
        if not rows:
            return
        value = {"path": cache.search_path(), "packages": {**self._standing, **rows}}
        cache.store("heads", self.key, value)
