"""
Let other packages follow a revision that gets another number.

A revision of another package names it in ``requires``, ``run_before`` or
``depends_on``. Where two revisions had the number, only git can tell which one
is meant: a file of mine means mine. What is not sure is told, not changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate import _history
from ptah_migrate._authoring import constants, files, git
from ptah_migrate._authoring.files import FileChange
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package
from ptah_migrate.registry import directories, project_root


@dataclass(frozen=True, slots=True)
class Reference:
    """A file of another package that names a renumbered revision, and will name the new one."""

    package: str
    path: Path
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Followed:
    """What is rewritten in other packages, and what a person must look at."""

    references: tuple[Reference, ...] = ()
    changes: tuple[FileChange, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Renumbered:
    """The ids of a package that change; ``doubled`` are those that another revision keeps."""

    package: Package
    ids: Mapping[str, str]
    doubled: Collection[str]


def follow(renumbered: Renumbered, neighbours: Iterable[Package], *, swap: bool) -> Followed:
    """Return what becomes of the files of other packages that name these revisions."""
    references: list[Reference] = []
    changes: list[FileChange] = []
    warnings: list[str] = []
    home = _checkout(directories(renumbered.package)[0])
    for other in neighbours:
        for path, named in _naming(renumbered, other):
            source = files.read(path) or b""
            words = {f"{renumbered.package.name}:{old}": old for old in named}
            why = "" if _checkout(path.parent) == home else "it is not in this checkout"
            why = why or _unsure(renumbered, named, path, swap=swap)
            if why == _THEIRS:
                continue
            if not why:
                wanted = {
                    word: f"{renumbered.package.name}:{renumbered.ids[old]}"
                    for word, old in words.items()
                }
                try:
                    content = constants.renamed(source, wanted)
                except constants.Unsure as error:
                    why = str(error)
                else:
                    changes.append(FileChange("edit", path, content, source))
                    references += [
                        Reference(other.name, path, old, new) for old, new in wanted.items()
                    ]
            if why:
                warnings.append(
                    f"'{path}' of package '{other.name}' names {', '.join(sorted(words))}, "
                    f"and is left as it is: {why}"
                )
    return Followed(tuple(references), tuple(changes), tuple(warnings))


def _naming(renumbered: Renumbered, other: Package) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the files of a package that name a renumbered revision, with the ids they name."""
    if other.name == renumbered.package.name:
        return
    for path in _candidates(other):
        try:
            if f"{renumbered.package.name}:".encode() not in path.read_bytes():
                continue
            revision = _history.parse(path, other.name)
        except (PtahMigrateError, OSError):  # in conflict, or not ours to judge
            continue
        wishes = (*revision.requires, *revision.run_before) if revision else ()
        named = {one.id for one in wishes if one.package == renumbered.package.name}
        found = tuple(sorted(named.intersection(renumbered.ids)))
        if found:
            yield path, found


def _candidates(other: Package) -> tuple[Path, ...]:
    try:
        return _history.candidates(other)
    except PtahMigrateError:
        return ()


def _checkout(folder: Path) -> Path | None:
    repository = git.find(folder)
    return repository.top() if repository else project_root(folder)


# -- whose is it -------------------------------------------------------------------------

_THEIRS = "theirs"


def _unsure(renumbered: Renumbered, named: Collection[str], path: Path, *, swap: bool) -> str:
    """Return why it is not sure that a file means the renumbered revision; nothing if it is."""
    if not set(named).intersection(renumbered.doubled):
        return ""
    repository = git.find(path.parent)
    sides = repository.sides() if repository else None
    if repository is None or (sides is None and not repository.is_unmerged()):
        return "which of the two is meant cannot be told"
    if sides is None:  # changes of mine that were brought onto HEAD
        return _THEIRS if path.name in repository.names("HEAD") else ""
    mine, theirs = repository.names(sides.mine), repository.names(sides.theirs)
    if swap:
        mine, theirs = theirs, mine
    if path.name not in mine:
        return _THEIRS if path.name in theirs or swap else ""
    if path.name not in theirs:
        return ""
    if mine[path.name] == theirs[path.name]:
        return _THEIRS
    return "both sides changed it"
