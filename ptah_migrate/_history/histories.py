"""
The door of the histories: what is remembered of them first, their files where that will not do.

What parses files is loaded when one has to be parsed: most commands have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ptah_migrate._history import index
from ptah_migrate._history.index import Heads
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package
from ptah_migrate.registry import directories

if TYPE_CHECKING:
    from ptah_migrate._history.graph import History


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
