"""
Put one's own revisions behind those that somebody else made meanwhile.

Two people made 003. Theirs stays 003, mine becomes 004 and follows it: only its
two constants change, and its name. In the middle of a git merge or rebase the
two versions are taken from git, because the file in the working tree is neither.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ptah_migrate import _history
from ptah_migrate._authoring import constants, files, git, headfile, naming
from ptah_migrate._authoring.conventions import DEFAULT, Conventions
from ptah_migrate._authoring.exclusive import alone
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.naming import listed, shown
from ptah_migrate._authoring.references import Reference, Renumbered, follow
from ptah_migrate.errors import (
    AuthoringError,
    DuplicateRevisionError,
    MultipleHeadsError,
    RevisionExistsError,
    RevisionFileError,
)
from ptah_migrate.model import Package, Revision
from ptah_migrate.registry import directories


@dataclass(frozen=True, slots=True)
class Move:
    """A revision that gets another id, another parent, or both."""

    old: str
    new: str
    down: str
    path: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Rebase:
    """
    What a rebase does to a package's files.

    ``moves`` are in the order of the history, empty when there is nothing to do.
    ``references`` are files of other packages that name a moved revision, and
    follow it; ``warnings`` tell of those that do not.
    """

    package: str
    moves: tuple[Move, ...] = ()
    changes: tuple[FileChange, ...] = ()
    references: tuple[Reference, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pieces:
    """
    Files of mine, and theirs where both sides use one name; the working tree has the rest.

    ``committed`` is what git has of mine, wherever it stands in the working tree now.
    """

    package: str
    mine: dict[Path, bytes] = field(default_factory=dict)
    theirs: dict[Path, bytes] = field(default_factory=dict)
    committed: list[bytes] = field(default_factory=list)


def rebase(
    package: Package,
    *,
    mine: Sequence[str | Path] = (),
    swap: bool = False,
    applied: Collection[str] = (),
    neighbours: Sequence[Package] = (),
    conventions: Conventions = DEFAULT,
) -> Rebase:
    """
    Put one's own revisions behind the others; arguments and errors as ``plan_rebase``.

    Nothing is told to git: the caller's person adds the files.
    """
    with alone(directories(package)[0]):
        plan = plan_rebase(
            package,
            mine=mine,
            swap=swap,
            applied=applied,
            neighbours=neighbours,
            conventions=conventions,
        )
        places = [*directories(package), *(one.path.parent for one in plan.references)]
        files.apply(Path(os.path.commonpath(places)), plan.changes)
    return plan


def plan_rebase(
    package: Package,
    *,
    mine: Sequence[str | Path] = (),
    swap: bool = False,
    applied: Collection[str] = (),
    neighbours: Sequence[Package] = (),
    conventions: Conventions = DEFAULT,
) -> Rebase:
    """
    Return what putting one's own revisions behind the others does to the files.

    The files may be in the middle of a merge, so that no history of the package
    can be read: this reads what it needs by itself.

    Args:
        package: whose revisions they are.
        mine: the files of one's own revisions, where git is not merging: paths,
            or names in the package's directory.
        swap: move the other side's revisions instead, as when somebody's branch
            is merged into the one that is deployed.
        applied: the ids that the reachable database records for the package.
        neighbours: other packages, whose revisions may name those that move.
        conventions: whether there is a head file.

    Raises:
        AuthoringError: which revisions are one's own cannot be told, one of
            them is applied, or a file cannot be changed safely.
        MultipleHeadsError: the others' revisions have several heads.
        HistoryError: a file cannot be read.

    """
    folders = directories(package)
    pieces = _named(package, mine) if mine else _of_git(package, folders, swap=swap)
    if _is_done(package, pieces):
        return Rebase(package.name)
    own = _in_line(package, _mine(package, pieces))
    _refuse_applied(package, own, applied)
    others = _others(package, pieces)
    history = _history.History(package.name, others, folders, branches=package.branches)
    if len(history.heads) != 1:
        raise (
            MultipleHeadsError(package.name, history.heads)
            if others
            else AuthoringError(
                f"package '{package.name}' has no revisions but yours",
                hint="there is nothing to do",
            )
        )
    moves = _moves(package, own, history)
    kept = all((move.old, move.path) == (move.new, move.target) for move in moves)
    if kept and own[0].down == history.heads:
        return Rebase(package.name)
    final = _contents(pieces, moves)
    _refuse_taken(package, history, moves)
    if headfile.wanted(folders[0], conventions.file_template):
        final[folders[0] / headfile.NAME] = headfile.content([moves[-1].target.stem])
    changes = [_change(path, content) for path, content in final.items()]
    renumbered = {move.old: move.new for move in moves if move.old != move.new}
    doubled = [old for old in renumbered if old in history.revisions]
    followed = follow(Renumbered(package, renumbered, doubled), neighbours, swap=swap)
    return Rebase(
        package.name,
        moves,
        (*(one for one in changes if files.writes(one)), *followed.changes),
        followed.references,
        followed.warnings,
    )


# -- whose is what -------------------------------------------------------------------


def _named(package: Package, mine: Sequence[str | Path]) -> _Pieces:
    """Return the files that the person named as their own."""
    candidates = _history.candidates(package)
    found: dict[Path, bytes] = {}
    for word in mine:
        matches = [path for path in candidates if _means(word, path)]
        if len(matches) != 1:
            raise AuthoringError(
                f"{shown(str(word))} is not a revision file of package '{package.name}'",
                hint=f"name the file, as in --mine {(candidates or (Path('003.py'),))[-1].name}",
            )
        found[matches[0]] = files.read(matches[0]) or b""
    return _Pieces(package.name, found)


def _means(word: str | Path, path: Path) -> bool:
    return str(word) in (path.name, path.stem) or Path(word).absolute() == path


def _of_git(package: Package, folders: Sequence[Path], *, swap: bool) -> _Pieces:
    """Return both sides of the merge or rebase that git is in the middle of."""
    pieces = _Pieces(package.name)
    for folder in folders:
        repository = git.find(folder)
        sides = repository.sides() if repository else None
        if repository is None or sides is None:
            if repository is not None and not swap:
                _add_stages(pieces, repository)
            continue
        if swap:
            sides = git.Sides(sides.theirs, sides.mine, sides.base)
        _add_sides(pieces, repository, sides)
    if not (pieces.mine or pieces.committed):
        raise AuthoringError(
            f"git is not merging revisions of package '{package.name}', "
            "so which of them are yours cannot be told",
            hint=f"name their files: ptah-migrate rebase {package.name} --mine FILE",
        )
    return pieces


def _add_sides(pieces: _Pieces, repository: git.Repository, sides: git.Sides) -> None:
    before = repository.names(sides.base) if sides.base else {}
    mine, theirs = repository.names(sides.mine), repository.names(sides.theirs)
    conflicts = repository.conflicts()
    for name, identity in sorted(mine.items()):
        if not name.endswith(".py") or name in before or theirs.get(name) == identity:
            continue
        path = repository.folder / name
        content = repository.content(sides.mine, name)
        if b"down_revision" in content:
            pieces.committed.append(content)
        if name in theirs:
            pieces.mine[path] = content
            pieces.theirs[path] = repository.content(sides.theirs, name)
            _refuse_resolved(path, pieces, conflict=name in conflicts)
        elif path.is_file():
            pieces.mine[path] = files.read(path) or b""
    pieces.mine.pop(repository.folder / "__init__.py", None)
    pieces.theirs.pop(repository.folder / "__init__.py", None)
    _refuse_other_conflicts(pieces, repository)


def _refuse_other_conflicts(pieces: _Pieces, repository: git.Repository) -> None:
    left = [name for name in sorted(repository.conflicts()) if name.endswith(".py")]
    left = [name for name in left if repository.folder / name not in pieces.theirs]
    if left:
        raise AuthoringError(
            f"{listed(left)} of package '{pieces.package}' is in conflict for another reason",
            hint="resolve that in git first, then run the same command again",
        )


def _add_stages(pieces: _Pieces, repository: git.Repository) -> None:
    """Add changes that were put onto HEAD, as by ``git stash pop``, if they are in conflict."""
    twice = repository.added_twice()
    if not any(name.endswith(".py") for name in repository.conflicts()):
        return
    committed = repository.names("HEAD")
    for path in sorted(repository.folder.glob("*.py")):
        if path.name in twice:
            pieces.theirs[path], pieces.mine[path] = twice[path.name]
            pieces.committed.append(pieces.mine[path])
        elif path.name not in committed:
            pieces.mine[path] = files.read(path) or b""
    _refuse_other_conflicts(pieces, repository)


def _refuse_resolved(path: Path, pieces: _Pieces, *, conflict: bool) -> None:
    if conflict or files.read(path) in (pieces.mine[path], pieces.theirs[path]):
        return
    raise AuthoringError(
        f"'{path}' is neither your version nor theirs any more",
        hint=f"take theirs again: git checkout --merge -- {path.name}",
    )


# -- reading -------------------------------------------------------------------------


def _parsed(package: Package, path: Path, content: bytes) -> Revision | None:
    """Return a revision as this content would make it, whatever stands in the file now."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(content)
        try:
            found = _history.parse(copy, package.name)
        except RevisionFileError as error:
            raise RevisionFileError(
                package.name, str(path), error.problem, line=error.line
            ) from error
    return None if found is None else found._replace(file=str(path))


def _mine(package: Package, pieces: _Pieces) -> list[Revision]:
    """Return one's own revisions; a helper module among them stays where it is."""
    found: list[Revision] = []
    for path, content in list(pieces.mine.items()):
        revision = _parsed(package, path, content)
        if revision is not None:
            found.append(revision)
        elif path in pieces.theirs:
            raise AuthoringError(
                f"'{path}' is no revision, so it has no number to change",
                hint="resolve that file in git first",
            )
        else:
            del pieces.mine[path]
    if not found:
        raise AuthoringError(
            f"none of these files is a revision of package '{package.name}'",
            hint=f"name yours: ptah-migrate rebase {package.name} --mine FILE",
        )
    return found


def _others(package: Package, pieces: _Pieces) -> Mapping[str, Revision]:
    """Return the revisions that stay as they are."""
    found: dict[str, Revision] = {}
    for path in _history.candidates(package):
        if path in pieces.theirs:
            revision = _parsed(package, path, pieces.theirs[path])
        elif path in pieces.mine:
            continue
        else:
            revision = _history.parse(path, package.name)
        if revision is None:
            continue
        other = found.setdefault(revision.id, revision)
        if other is not revision:
            raise DuplicateRevisionError(package.name, revision.id, (str(other.path), str(path)))
    return found


def _in_line(package: Package, revisions: Sequence[Revision]) -> list[Revision]:
    """Return one's own revisions in their order; they must follow one another."""
    ids = {revision.id for revision in revisions}
    following = {revision.down: revision for revision in revisions if len(revision.down) <= 1}
    starts = [revision for revision in revisions if not ids.intersection(revision.down)]
    line = starts[:1] if len(starts) == 1 else []
    while line and (next_ := following.get((line[-1].id,))) is not None and next_ not in line:
        line.append(next_)
    if len(line) != len(revisions) or any(len(revision.down) > 1 for revision in line):
        raise AuthoringError(
            f"your revisions of package '{package.name}' do not follow one another: "
            f"{listed(sorted(ids))}",
            hint=f"join the two sides: ptah-migrate merge {package.name}",
        )
    return line


def _refuse_applied(package: Package, own: Sequence[Revision], applied: Collection[str]) -> None:
    for revision in own:
        if revision.id in applied:
            before = own[0].down[0] if own[0].down else "base"
            raise AuthoringError(
                f"revision '{revision.id}' of package '{package.name}' is applied in the database, "
                "under another number it would run again",
                hint="give the merge up, take it back and begin again: "
                f"ptah-migrate downgrade {package.name}:{before}",
            )


def _is_done(package: Package, pieces: _Pieces) -> bool:
    """Return whether all that git has of mine stands in the files under other numbers already."""
    found = []
    for path in _history.candidates(package):
        with suppress(RevisionFileError):  # in conflict still
            found.append((_history.parse(path, package.name), files.read(path)))
    return bool(pieces.committed) and all(
        any(_is_moved(content, revision, now) for revision, now in found if revision)
        for content in pieces.committed
    )


def _is_moved(content: bytes, revision: Revision, now: bytes | None) -> bool:
    if len(revision.down) != 1 or now == content:
        return False
    try:
        moved = constants.replaced(content, revision=revision.id, down_revision=revision.down[0])
    except constants.Unsure:
        return False
    return moved == now


# -- deciding ------------------------------------------------------------------------


def _moves(
    package: Package, own: Sequence[Revision], history: _history.History
) -> tuple[Move, ...]:
    taken = [*history.revisions]
    taken += [revision.path.stem for revision in history.revisions.values()]
    down = history.heads[0]
    moves: list[Move] = []
    for revision in own:
        new = _new_id(package, revision.id, taken)
        stem = naming.renamed(revision.path.stem, revision.id, new)
        moves.append(Move(revision.id, new, down, revision.path, revision.path.with_stem(stem)))
        taken.append(new)
        down = new
    _refuse_dependencies(package, own, moves)
    return tuple(moves)


def _new_id(package: Package, old: str, taken: Sequence[str]) -> str:
    """Return the id that a revision has behind the taken ones: its own if that may stay."""
    if not old.isdigit():
        if naming.same(old, taken) is not None:
            raise AuthoringError(
                f"both sides have a revision '{old}' of package '{package.name}', "
                "and there is no next number after it",
                hint="give yours another id by hand, in the file and in its name",
            )
        return old
    numbers = [int(name) for name in taken if name.isdigit()]
    if int(old) > max(numbers, default=0):
        return old
    return naming.next_id(package.name, [*taken, old])


def _refuse_dependencies(package: Package, own: Sequence[Revision], moves: Sequence[Move]) -> None:
    """Refuse revisions that name a renumbered one in another constant than ``down_revision``."""
    renumbered = {move.old for move in moves if move.old != move.new}
    for revision in own:
        named = sorted(renumbered.intersection(revision.depends_on))
        if named:
            raise AuthoringError(
                f"revision '{revision.id}' of package '{package.name}' depends on {listed(named)}, "
                "which gets another number",
                hint=f"take that out of {revision.path.name}, then run the same command again",
            )


def _contents(pieces: _Pieces, moves: Sequence[Move]) -> dict[Path, bytes | None]:
    """Return what each file holds afterwards; None for one that is not there any more."""
    final: dict[Path, bytes | None] = {move.path: pieces.theirs.get(move.path) for move in moves}
    for move in moves:
        try:
            final[move.target] = constants.replaced(
                pieces.mine[move.path], revision=move.new, down_revision=move.down
            )
        except constants.Unsure as reason:
            raise AuthoringError(
                f"'{move.path}' cannot be given another number: {reason}",
                hint=f"write into it: revision = '{move.new}', down_revision = '{move.down}'",
            ) from reason
    return final


def _refuse_taken(
    package: Package,
    history: _history.History,
    moves: Sequence[Move],
) -> None:
    """Refuse to write over a file that is not one of those being moved."""
    own = {move.path for move in moves}
    kept = {revision.path for revision in history.revisions.values()}
    for move in moves:
        if move.target in kept or (move.target not in own and move.target.exists()):
            raise RevisionExistsError(package.name, move.new, str(move.target))


def _change(path: Path, content: bytes | None) -> FileChange:
    before = files.read(path)
    if content is None:
        return FileChange("remove", path, b"", before)
    status = "create" if before is None else "identical" if before == content else "edit"
    return FileChange(status, path, content, before)
