"""
One package's revisions as a graph, and what a target means in it.

A history without branches (nearly every one) is answered here. Everything
else (several heads, merges, labels, relative targets across branches) goes to
Alembic's own RevisionMap, so that it means what Alembic's users know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate.errors import (
    CycleError,
    HistoryError,
    MultipleHeadsError,
    TargetError,
    UnknownRevisionError,
)
from ptah_migrate.model import Revision

if TYPE_CHECKING:
    from alembic.script.revision import RevisionMap

    from ptah_migrate._history.index import Kept
    from ptah_migrate._history.made import HistoryTables

_RELATIVE = re.compile(r"[+-]\d+\Z")


@dataclass(frozen=True, slots=True)
class Shape:
    """What was found out about a history when it was validated: see ``History``."""

    linear: bool
    heads: tuple[str, ...]
    bases: tuple[str, ...]
    tops: tuple[str, ...]
    order: tuple[str, ...]


class History:
    """
    All revisions of one package, validated.

    ``heads`` have no child; ``tops`` are the rows that a database at all heads
    has (a head that another revision depends on is implied by that one).
    ``sorted`` are all ids, parents first. A ``shape`` says that they were
    validated before; ``kept`` are the stamps that their files had then. ``made``
    is what was found of their tables, once somebody asked.
    """

    kept: Kept | None = None
    made: HistoryTables | None = None

    def __init__(
        self,
        package: str,
        revisions: Mapping[str, Revision],
        directories: tuple[Path, ...] = (),
        *,
        branches: bool = False,
        shape: Shape | None = None,
    ) -> None:
        self.package = package
        self.revisions = revisions
        self.directories = directories
        self.branches = branches
        if shape is None:
            self._check_parents()
            self.sorted = self._topological()
            self._check_ids()
        else:
            self.sorted = shape.order
            self.__dict__.update(
                linear=shape.linear, heads=shape.heads, bases=shape.bases, tops=shape.tops
            )

    # -- shape -------------------------------------------------------------------

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The revisions that name each one as what they follow."""
        return self._children(lambda revision: revision.down)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The revisions that no other one follows."""
        return tuple(id_ for id_ in self.revisions if not self.children[id_])

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The revisions that follow no other one."""
        return tuple(id_ for id_, revision in self.revisions.items() if not revision.down)

    @cached_property
    def linear(self) -> bool:
        """Whether the history is one chain, from one base to one head."""
        return (
            all(
                len(revision.down) <= 1 and not revision.depends_on and len(self.children[id_]) <= 1
                for id_, revision in self.revisions.items()
            )
            and len(self.bases) <= 1
        )

    @cached_property
    def tops(self) -> tuple[str, ...]:
        """Rows that stand for everything being applied."""
        needed = {p for revision in self.revisions.values() for p in self.parents(revision.id)}
        return tuple(id_ for id_ in self.revisions if id_ not in needed)

    @cached_property
    def wishes(self) -> tuple[Revision, ...]:
        """The revisions that name revisions of other packages: ``requires``, ``run_before``."""
        some = getattr(self.revisions, "richer", self.revisions.values)()
        return tuple(one for one in some if one.requires or one.run_before)

    def parents(self, id_: str) -> tuple[str, ...]:
        """Every revision that must be applied before this one, dependencies included."""
        revision = self.revisions[id_]
        if not revision.depends_on:
            return revision.down
        named = (self._labelled.get(dep, dep) for dep in revision.depends_on)
        return tuple(dict.fromkeys((*revision.down, *named)))

    def __len__(self) -> int:
        return len(self.revisions)

    def __contains__(self, id_: object) -> bool:
        return id_ in self.revisions

    def order(self) -> tuple[str, ...]:
        """Return every id, base first, in Alembic's own order."""
        if self.linear:
            return self.sorted
        with self.alembic() as rmap:
            newest_first = rmap.iterate_revisions("heads", "base", implicit_base=True)
            return tuple(reversed([script.revision for script in newest_first]))

    def ancestors(self, ids: Iterable[str]) -> set[str]:
        """Return the ids and everything below them, dependencies included."""
        return _closure(ids, self.parents)

    def descendants(self, ids: Iterable[str]) -> set[str]:
        """Return the ids and everything that needs them."""
        return _closure(ids, self.dependants.__getitem__)

    @cached_property
    def dependants(self) -> Mapping[str, tuple[str, ...]]:
        """The revisions that name each one as parent or dependency."""
        return self._children(lambda revision: self.parents(revision.id))

    # -- targets -----------------------------------------------------------------

    def resolve(self, spec: str) -> tuple[str, ...]:
        """
        Return the ids that a word such as ``003``, ``head`` or ``label@head`` names.

        Raises:
            UnknownRevisionError: nothing is called so.
            MultipleHeadsError: ``head`` of a history with several.

        """
        if spec in self.revisions:
            return (spec,)
        if spec == "base":
            return ()
        if spec == "heads" or (spec == "head" and (self.branches or len(self.heads) <= 1)):
            return self.heads
        with self.alembic(spec) as rmap:
            found = rmap.get_revisions(spec)
            return tuple(one.revision for one in found if one is not None and one != "base")

    def upgrades(self, spec: str, rows: Collection[str]) -> tuple[str, ...]:
        """
        Return the ids that must be applied to reach ``spec``, in order.

        Raises:
            TargetError, UnknownRevisionError, MultipleHeadsError: ``spec`` names
                no place above ``rows``.

        """
        if spec == "head" and self.branches:
            spec = "heads"
        if not self.revisions and spec in ("head", "heads"):
            return ()
        rows = self.outer(rows)
        if spec not in self.revisions and (spec == "base" or spec.startswith("-")):
            raise TargetError(
                f"'{self.package}:{spec}' is below the present revision",
                hint=f"run: ptah-migrate downgrade {self.package}:{spec}",
            )
        if self._simple(spec, rows):
            return self._chain_up(spec, rows)
        self._check_walk(spec, rows)
        with self.alembic(spec) as rmap:
            found = rmap.iterate_revisions(spec, rows, implicit_base=True)
            return tuple(reversed([script.revision for script in found]))

    def downgrades(self, spec: str, rows: Collection[str]) -> tuple[str, ...]:
        """
        Return the ids that must be reverted to get down to ``spec``, in order.

        Raises:
            TargetError, UnknownRevisionError: ``spec`` names no place below ``rows``.

        """
        rows = self.outer(rows)
        if spec not in self.revisions and spec.startswith("+"):
            raise TargetError(
                f"'{self.package}:{spec}' is above the present revision",
                hint=f"run: ptah-migrate upgrade {self.package}:{spec}",
            )
        if not rows and not _RELATIVE.match(spec):
            if self.resolve(spec):
                raise self._below(spec)
            return ()
        if self._simple(spec, rows):
            return self._chain_down(spec, rows)
        self._check_walk(spec, rows)
        with self.alembic(spec) as rmap:
            found = rmap.iterate_revisions(rows, spec, select_for_downgrade=True)
            return tuple(script.revision for script in found)

    def _simple(self, spec: str, rows: Collection[str]) -> bool:
        known = spec in self.revisions or spec in ("head", "heads", "base")
        return self.linear and len(rows) <= 1 and (known or _RELATIVE.match(spec) is not None)

    def _chain_up(self, spec: str, rows: Collection[str]) -> tuple[str, ...]:
        start = self._position(rows)
        if spec in self.revisions:
            return self.sorted[start : self.sorted.index(spec) + 1]
        if spec in ("head", "heads"):
            return self.sorted[start:]
        end = start + int(spec)
        if end > len(self.sorted):
            raise self._too_far(spec, len(self.sorted) - start)
        return self.sorted[start:end]

    def _chain_down(self, spec: str, rows: Collection[str]) -> tuple[str, ...]:
        start = self._position(rows)
        if spec == "base":
            end = 0
        elif spec in ("head", "heads"):
            end = len(self.sorted)
        elif spec in self.revisions:
            end = self.sorted.index(spec) + 1
        else:
            end = start + int(spec)
        if end < 0:
            raise self._too_far(spec, start)
        if end > start:
            raise self._below(spec, f"'{self.sorted[start - 1]}'" if start else "base")
        return tuple(reversed(self.sorted[end:start]))

    def _check_walk(self, spec: str, rows: Sequence[str]) -> None:
        """Raise an error where a number of steps leads to several places, or to none."""
        if not _RELATIVE.match(spec) or self.unknown(rows):
            return
        if len(rows) > 1:
            where = f"REVISION, or :LABEL@{spec}"
            raise self._ambiguous(spec, f"it is at {', '.join(rows)}", where)
        up, steps = not spec.startswith("-"), abs(int(spec))
        at = rows[0] if rows else ""
        for done in range(steps):
            if up:
                ways = self.children[at] if at else self.bases
                why = f"'{at}' is followed by" if at else "it begins with"
            else:
                ways = (self.revisions[at].down or ("",)) if at else ()
                why = f"'{at}' follows"
            if not ways:
                raise self._too_far(spec, done)
            if len(ways) > 1:
                places = f" or {self.package}:".join(ways)
                raise self._ambiguous(spec, f"{why} {' and '.join(ways)}", places)
            at = ways[0]

    def _ambiguous(self, spec: str, why: str, places: str) -> TargetError:
        return TargetError(
            f"'{self.package}:{spec}' is ambiguous: {why}",
            hint=f"name the place to go to: {self.package}:{places}",
        )

    def _position(self, rows: Collection[str]) -> int:
        return max((self.sorted.index(row) + 1 for row in rows), default=0)

    def _below(self, spec: str, place: str = "base") -> TargetError:
        return TargetError(
            f"package '{self.package}' is at {place}, which is below '{spec}'",
            hint=f"run: ptah-migrate upgrade {self.package}:{spec}",
        )

    def _too_far(self, spec: str, left: int) -> TargetError:
        revisions = "revision is" if left == 1 else "revisions are"
        return TargetError(
            f"'{self.package}:{spec}' is outside the history: {left} {revisions} left that way",
            hint=f"see: ptah-migrate history {self.package}",
        )

    # -- rows --------------------------------------------------------------------

    def unknown(self, rows: Iterable[str]) -> tuple[str, ...]:
        """Return the rows that no file stands for."""
        return tuple(sorted(row for row in rows if row not in self.revisions))

    def outer(self, ids: Collection[str]) -> tuple[str, ...]:
        """Return the ids that no other one of them implies."""
        if len(ids) < 2:
            return tuple(ids)
        below: set[str] = set()
        for id_ in ids:
            below |= self.ancestors(self.parents(id_))
        return tuple(id_ for id_ in ids if id_ not in below)

    def after_upgrade(self, rows: Collection[str], id_: str) -> tuple[str, ...]:
        """Return the rows once ``id_`` is applied: it replaces its parents."""
        gone = set(self.parents(id_))
        return tuple(sorted({row for row in rows if row not in gone} | {id_}))

    def after_downgrade(self, rows: Collection[str], id_: str) -> tuple[str, ...]:
        """Return the rows once ``id_`` is reverted: parents no other applied one implies return."""
        left = {row for row in rows if row != id_}
        implied = self.ancestors(left) if left else set()
        back = self.outer(self.parents(id_))
        return tuple(sorted(left | {parent for parent in back if parent not in implied}))

    # -- validation ----------------------------------------------------------------

    @cached_property
    def _labelled(self) -> Mapping[str, str]:
        """The revision of each label."""
        found: dict[str, str] = {}
        for revision in self.revisions.values():
            for label in revision.labels:
                other = found.setdefault(label, revision.id)
                if label in self.revisions or other != revision.id:
                    raise HistoryError(
                        self.package,
                        f"label '{label}' of revision '{revision.id}' ({revision.path}) is taken "
                        f"by revision '{label if label in self.revisions else other}'",
                        hint="give one of them another name",
                    )
        return found

    def _check_ids(self) -> None:
        """Refuse what Alembic refuses, where its way of reading targets is needed."""
        for id_, revision in () if self.linear else self.revisions.items():
            if "-" in id_ or "+" in id_:
                raise HistoryError(
                    self.package,
                    f"revision '{id_}' ({revision.path}) of a history with branches has a "
                    "'-' or '+' in its id",
                    hint="a target such as 'a-1' could mean two things there: rename it",
                )

    def _check_parents(self) -> None:
        _ = self._labelled
        for revision in self.revisions.values():
            for parent in self.parents(revision.id):
                if parent not in self.revisions:
                    raise UnknownRevisionError(
                        self.package,
                        parent,
                        tuple(self.revisions),
                        needed_by=f"revision '{revision.id}' ({revision.path})",
                    )

    def _children(
        self, parents: Callable[[Revision], Sequence[str]]
    ) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {id_: [] for id_ in self.revisions}
        for revision in self.revisions.values():
            for parent in parents(revision):
                found[parent].append(revision.id)
        return {id_: tuple(children) for id_, children in found.items()}

    def _topological(self) -> tuple[str, ...]:
        """Return every id, parents first; the order of the files decides between equals."""
        missing = {id_: len(self.parents(id_)) for id_ in self.revisions}
        ready = [id_ for id_ in self.revisions if not missing[id_]]
        done: list[str] = []
        while ready:
            id_ = ready.pop()
            done.append(id_)
            for child in reversed(self.dependants[id_]):
                missing[child] -= 1
                if not missing[child]:
                    ready.append(child)
        if len(done) < len(self.revisions):
            raise CycleError(self._cycle({id_ for id_, count in missing.items() if count}))
        return tuple(done)

    def _cycle(self, stuck: set[str]) -> list[str]:
        path: list[str] = []
        id_ = min(stuck)
        while id_ not in path:
            path.append(id_)
            id_ = next(p for p in self.parents(id_) if p in stuck)
        return [f"{self.package}:{member}" for member in path[path.index(id_) :]]

    # -- Alembic -------------------------------------------------------------------

    def alembic(self, spec: str = "head") -> _Translated:
        """Open Alembic's RevisionMap to look ``spec`` up; its errors leave the block as ours."""
        return _Translated(self, spec)


class _Translated:
    """Alembic's RevisionMap of a history; its errors leave as ours."""

    def __init__(self, history: History, spec: str) -> None:
        self.history = history
        self.spec = spec

    def __enter__(self) -> RevisionMap:
        return self._map

    @property
    def _map(self) -> RevisionMap:
        found: RevisionMap | None = self.history.__dict__.get("_revision_map")
        if found is None:
            found = self.history.__dict__["_revision_map"] = _revision_map(self.history)
        return found

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError

        package, known = self.history.package, tuple(self.history.revisions)
        if isinstance(error, MultipleHeads):
            raise MultipleHeadsError(package, tuple(error.heads)) from error
        if isinstance(error, ResolutionError):
            raise UnknownRevisionError(package, str(error.argument), known) from error
        if isinstance(error, RevisionError | AssertionError | LookupError | ValueError | TypeError):
            # Of some targets Alembic explains what is wrong with them; others it only trips over.
            words = " ".join(str(error).split()).rstrip(".")
            why = f": {words[:1].lower()}{words[1:]}" if isinstance(error, RevisionError) else ""
            raise TargetError(
                f"{f'{package}:{self.spec}'!r} is no place to go to{why}",
                hint=f"see: ptah-migrate history {package}",
            ) from error


def _revision_map(history: History) -> RevisionMap:
    from alembic.script.revision import Revision as AlembicRevision
    from alembic.script.revision import RevisionMap

    class AnyId(AlembicRevision):
        """A revision whose id was checked when it was read."""

        @classmethod
        def verify_rev_id(cls, revision: str) -> None:
            """Accept the id."""

    return RevisionMap(
        lambda: [
            AnyId(rev.id, rev.down or None, rev.depends_on or None, rev.labels or None)
            for rev in history.revisions.values()
        ]
    )


def _closure(ids: Iterable[str], step: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    stack = list(ids)
    while stack:
        id_ = stack.pop()
        if id_ not in found:
            found.add(id_)
            stack.extend(step(id_))
    return found
