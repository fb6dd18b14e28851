"""
The door of the histories: what is remembered of them first, their files where that will not do.

What parses files is loaded when one has to be parsed: most commands have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ptah_migrate._history import index
from ptah_migrate._history.index import Heads
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package
from ptah_migrate.registry import directories

if TYPE_CHECKING:
    from ptah_migrate._history.graph import History
    from ptah_migrate.registry import Registry


def read(package: Package, *, exact: bool = False) -> History:
    """
    Return the history of a package; no revision file is run if its text tells enough.

    ``__init__.py``, templates and helper modules in the directories are left
    alone: a file without a ``revision`` is not a revision file. What was read
    before is not read again while the stamps of the files say that nothing
    changed, of installed files the stamps of their folders; ``exact`` looks at
    every file in any case.

    Raises:
        PackagePathError: a directory is missing, or may not be read.
        RevisionFileError: a file cannot be read; file and line are named.
        DuplicateRevisionError: two files carry one id.
        UnknownRevisionError, CycleError, HistoryError: the files do not fit together.

    """
    folders = directories(package)
    known = index.load(package, folders, exact=exact)
    if known is not None:
        return known
    from ptah_migrate._history.parsing import read_files

    return read_files(package, folders)


def heads(
    packages: Iterable[Package], broken: dict[str, PtahMigrateError] | None = None
) -> dict[str, Heads]:
    """Return the heads of every package that can be read; the others' errors go to ``broken``."""
    known = index.AllHeads(packages)
    found = known.load()
    read_now: list[History] = []
    for package in known.packages:
        if package.name not in found:
            try:
                history = read(package)
            except PtahMigrateError as error:
                if broken is not None:
                    broken[package.name] = error
                continue
            found[package.name] = Heads.of(history)
            read_now.append(history)
    known.store(read_now)
    return found


class Histories(Mapping[str, "History"]):
    """The histories of a registry, each read when it is first asked for, and once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._read: dict[str, History] = {}
        self._heads: dict[str, Heads] | None = None
        self._exactly: set[str] = set()
        self.broken: dict[str, PtahMigrateError] = {}

    @property
    def heads(self) -> Mapping[str, Heads]:
        """The heads of every package that can be read; no history is read for them if need be."""
        if self._heads is None:
            self._heads = heads(self._registry)
        return self._heads

    def heads_of(self, names: Collection[str]) -> Mapping[str, Heads]:
        """Return the heads of these packages; of a few of many nothing else is looked at."""
        if self._heads is not None or len(names) == len(self._registry):
            return self.heads
        return heads(self._registry.packages[name] for name in sorted(names))

    def forget_changed(self, names: Iterable[str]) -> bool:
        """Forget those of these packages whose files are not what was read before."""
        changed = [name for name in set(names) if name in self and not index.confirm(self[name])]
        for name in changed:
            del self._read[name]
        if changed:
            self._heads = None
            self._exactly.update(changed)
        return bool(changed)

    def __getitem__(self, name: str) -> History:
        if name in self.broken or name not in self._registry.packages:
            raise KeyError(name)
        if name not in self._read:
            try:
                self._read[name] = read(self._registry.packages[name], exact=name in self._exactly)
            except PtahMigrateError as error:
                self.broken[name] = error
                raise KeyError(name) from error
        return self._read[name]

    def of(self, names: Iterable[str]) -> dict[str, History]:
        """Return the histories of those of ``names`` that can be read."""
        return {name: self[name] for name in names if name in self}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._registry.packages if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
