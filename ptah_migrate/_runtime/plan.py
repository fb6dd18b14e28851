"""
Decides what will happen, over all packages at once. Pure: facts in, plan out.

Every command that upgrades, downgrades, stamps, seeds, shows or checks asks
this module, so they cannot disagree.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from ptah_migrate._history import History
from ptah_migrate._runtime.fresh import Action, Fresh, created
from ptah_migrate.errors import (
    CycleError,
    DatabaseAheadError,
    DependantsError,
    IrreversibleError,
    MissingPackageError,
    PtahMigrateError,
    RevisionFileError,
    UnknownPackageError,
    UnknownRevisionError,
)
from ptah_migrate.model import Direction, Item, Key, Plan, Requirement, Revision, Seed, Step, Target

Rows = Mapping[str, tuple[str, ...]]

Rank = tuple[bool, str, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """
    All that a plan is made from.

    Attributes:
        histories: of every package that the targets reach.
        rows: the recorded ids of every package in the database.
        fresh: the decision for every reached package without a row.
        broken: the error of every package whose history could not be read.
        available: packages that are installed and not included.
        refers: the packages whose tables the tables of a package refer to;
            those come first when both are made.

    """

    histories: Mapping[str, History]
    rows: Rows = field(default_factory=dict)
    fresh: Mapping[str, Fresh] = field(default_factory=dict)
    broken: Mapping[str, PtahMigrateError] = field(default_factory=dict)
    available: Collection[str] = ()
    refers: Mapping[str, Collection[str]] = field(default_factory=dict)

    def history(self, package: str) -> History:
        """Return a package's history, or raise the error that reading it gave."""
        if package in self.broken:
            raise self.broken[package]
        if package not in self.histories:
            raise UnknownPackageError(package, self.histories)
        return self.histories[package]

    def recorded(self, package: str) -> tuple[str, ...]:
        """
        Return the rows of a package.

        Raises:
            DatabaseAheadError: one of them is not in its history.

        """
        rows = self.rows.get(package, ())
        history = self.history(package)
        if unknown := history.unknown(rows):
            raise DatabaseAheadError(package, unknown, history.order())
        return rows


def reach(names: Iterable[str], histories: Mapping[str, History]) -> tuple[str, ...]:
    """Return the packages that these need, themselves included; reads each history once."""
    found: dict[str, None] = {}
    stack = sorted(set(names), reverse=True)
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found[name] = None
        history = histories.get(name)
        if history is not None:
            stack.extend(sorted({one.package for rev in history.wishes for one in rev.requires}))
    return tuple(found)


# -- upgrade --------------------------------------------------------------------


def upgrade(targets: Sequence[Target], facts: Facts) -> Plan:
    """
    Return the plan that brings every target about, with all it requires.

    Raises:
        PtahMigrateError: anything that would stop the run half-way: a missing
            revision or package, a cycle, several heads without a choice, a
            database newer than the code, tables without a version.

    """
    wanted = _Upgrade(facts)
    for target in targets:
        wanted.add(target)
    return _plan(wanted.items(), facts, tuple(target.package for target in targets))


class _Upgrade:
    """Collects what an upgrade needs: revisions to run, packages to seed, and their order."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.revisions: dict[Key, Revision] = {}
        self.seeds: dict[str, Seed] = {}
        self.creates: dict[str, Seed] = {}
        self.orders: dict[str, set[tuple[str, ...]]] = {}
        self.covered: set[Target] = set()
        self._applied: dict[str, set[str]] = {}

    def add(self, target: Target) -> None:
        """Add a target and everything it requires."""
        queue = [target]
        while queue:
            current = queue.pop()
            if current in self.covered:
                continue
            self.covered.add(current)
            for revision in self._pending(current):
                self._check(revision)
                queue.extend(self._required(revision))

    def _pending(self, target: Target) -> list[Revision]:
        """Return the revisions whose requirements count now."""
        name = target.package
        history = self.facts.history(name)
        if name in self.seeds:
            return []
        rows = self.facts.recorded(name)
        fresh = self.facts.fresh.get(name)
        ids = history.upgrades(target.spec, rows)
        if not rows and fresh is not None:
            if fresh.error is not None:
                raise fresh.error
            if fresh.action is Action.SEED:
                return self.seed(history, fresh)
            if fresh.create:
                self.creates[name] = Seed(name, (), created(len(fresh.create)), fresh.create)
        self.orders.setdefault(name, set()).add(ids)
        new = [rev for id_ in ids if (rev := history.revisions[id_]).key not in self.revisions]
        self.revisions.update({revision.key: revision for revision in new})
        return new

    def seed(self, history: History, fresh: Fresh) -> list[Revision]:
        """Record the package's heads instead of running its revisions; return what they wish."""
        self.seeds[history.package] = Seed(
            history.package, tuple(sorted(history.tops)), fresh.reason, fresh.create
        )
        return list(history.wishes)

    def _check(self, revision: Revision) -> None:
        if not revision.has_upgrade and revision.package not in self.seeds:
            raise RevisionFileError(revision.package, str(revision.path), "has no upgrade()")

    def _required(self, revision: Revision) -> list[Target]:
        return [
            Target(requirement.package, requirement.id)
            for requirement in revision.requires
            if self._is_there(requirement, revision) and not self._is_met(requirement, revision)
        ]

    def _is_there(self, requirement: Requirement, revision: Revision) -> bool:
        facts = self.facts
        if requirement.package in facts.histories or requirement.package in facts.broken:
            return True
        if requirement.optional:
            return False
        raise MissingPackageError(
            requirement.package,
            f"revision '{revision.id}' of package '{revision.package}'",
            installed=requirement.package in facts.available,
        )

    def _is_met(self, requirement: Requirement, revision: Revision) -> bool:
        name = requirement.package
        history = self.facts.history(name)
        if name not in self._applied:
            self._applied[name] = history.ancestors(self.facts.recorded(name))
        return self._applied[name].issuperset(_named(history, requirement, revision))

    def items(self) -> list[_Node]:
        """Return what was collected, each with what must come before it."""
        nodes: dict[Key, _Node] = {}
        for name, seed in (*self.creates.items(), *self.seeds.items()):
            nodes[Key(name, "")] = _Node(Key(name, ""), 0, seed)
        for key, place in _places(self.orders).items():
            nodes[key] = _Node(key, place, self.revisions[key])
        for node in nodes.values():
            if isinstance(node.what, Revision):
                node.after.update(self._before(node.what))
            else:
                node.softly.update(self._before_seed(node.what, nodes))
        self._run_before(nodes)
        return list(nodes.values())

    def _before(self, revision: Revision) -> Iterator[Key]:
        history = self.facts.history(revision.package)
        yield Key(revision.package, "")
        yield from (Key(revision.package, id_) for id_ in history.parents(revision.id))
        for requirement in revision.requires:
            yield from _keys(requirement, revision, self.facts)

    def _before_seed(self, seed: Seed, nodes: Iterable[Key]) -> Iterator[Key]:
        """
        Yield what a seed had better wait for: it needs it only if tables refer to others.

        The seed stands for many revisions at once, so these edges may go round
        in a circle where those of the revisions would not.
        """
        if seed.create:
            others = self.facts.refers.get(seed.package, ())
            yield from (key for key in nodes if key.package in others)
        if seed.rows:
            for revision in self.facts.history(seed.package).wishes:
                for requirement in revision.requires:
                    yield from _keys(requirement, revision, self.facts)

    def _run_before(self, nodes: Mapping[Key, _Node]) -> None:
        for revision in self.revisions.values():
            for requirement in revision.run_before:
                for key in _keys(requirement, revision, self.facts):
                    if key in nodes:
                        nodes[key].after.add(revision.key)


def _named(history: History, requirement: Requirement, revision: Revision) -> tuple[str, ...]:
    """Return the ids that a revision's wish names; who wished is told when there are none."""
    try:
        return history.resolve(requirement.id)
    except UnknownRevisionError as error:
        who = f"revision '{revision.id}' of package '{revision.package}'"
        raise UnknownRevisionError(
            history.package, requirement.id, error.known, needed_by=who
        ) from error


def _keys(requirement: Requirement, revision: Revision, facts: Facts) -> Iterator[Key]:
    """Yield what stands for the revisions that a revision's wish names."""
    history = facts.histories.get(requirement.package)
    if history is not None:
        yield Key(requirement.package, "")
        for id_ in _named(history, requirement, revision):
            yield Key(requirement.package, id_)


# -- downgrade -------------------------------------------------------------------


def downgrade(targets: Sequence[Target], facts: Facts, *, cascade: bool = False) -> Plan:
    """
    Return the plan that takes the targets' packages down.

    ``facts`` must hold the history of every package that has a row: those that
    still need a reverted revision are its dependants.

    Raises:
        DependantsError: other packages depend, and ``cascade`` is not set.
        IrreversibleError: a revision on the way has no ``downgrade()``.
        PtahMigrateError: as for ``upgrade``.

    """
    orders: dict[str, set[tuple[str, ...]]] = {}
    for target in targets:
        history, rows = facts.history(target.package), facts.recorded(target.package)
        ids = history.downgrades(target.spec, rows)
        orders.setdefault(target.package, set()).add(ids)
    gone = {key: facts.histories[key.package].revisions[key.id] for key in _places(orders)}
    dependants = _dependants(gone, facts)
    if dependants and not cascade:
        names = ", ".join(sorted({target.package for target in targets}))
        raise DependantsError(names, [str(key) for key in sorted(dependants)])
    gone |= dependants
    for revision in gone.values():
        if not revision.has_downgrade:
            raise IrreversibleError(revision.package, revision.id, str(revision.path))
    for name in {key.package for key in dependants}:
        orders.setdefault(name, set()).add(tuple(reversed(facts.histories[name].order())))
    nodes = _reversed(gone, _places(orders), facts)
    return _plan(nodes, facts, tuple(target.package for target in targets))


def _dependants(gone: Mapping[Key, Revision], facts: Facts) -> dict[Key, Revision]:
    """Return the applied revisions, not in ``gone``, that need one of them, and so on."""
    if not gone:
        return {}
    above = _above(facts)
    found: dict[Key, Revision] = {}
    stack = list(gone)
    while stack:
        for revision in above.get(stack.pop(), ()):
            if revision.key not in gone and revision.key not in found:
                found[revision.key] = revision
                stack.append(revision.key)
    return found


def _above(facts: Facts) -> dict[Key, list[Revision]]:
    """Return, for every revision that something applied needs, what needs it."""
    found: dict[Key, list[Revision]] = {}
    for name, rows in facts.rows.items():
        if name in facts.broken:
            raise facts.broken[name]
        history = facts.histories.get(name)
        if history is None:
            continue
        for id_ in sorted(history.ancestors(row for row in rows if row in history)):
            for key in _below(history.revisions[id_], facts):
                found.setdefault(key, []).append(history.revisions[id_])
    return found


def _below(revision: Revision, facts: Facts) -> Iterator[Key]:
    """Yield what a revision needs, in its package and in others."""
    history = facts.histories[revision.package]
    yield from (Key(revision.package, parent) for parent in history.parents(revision.id))
    for requirement in revision.requires:
        # What the code does not know cannot be reverted by it either.
        with suppress(UnknownRevisionError):
            yield from _keys(requirement, revision, facts)


def _reversed(gone: Mapping[Key, Revision], places: Mapping[Key, int], facts: Facts) -> list[_Node]:
    """Return what will be reverted, each after what needs it."""
    nodes = {
        key: _Node(key, places[key], revision, Direction.DOWN) for key, revision in gone.items()
    }
    for key, revision in gone.items():
        for other in _below(revision, facts):
            if other in nodes:
                nodes[other].after.add(key)
        for requirement in revision.run_before:
            nodes[key].softly.update(_keys(requirement, revision, facts))
    return list(nodes.values())


# -- stamp and seed -----------------------------------------------------------------


def stamp(targets: Sequence[Target], facts: Facts, *, purge: bool = False) -> Plan:
    """
    Return the plan that records the targets without running anything.

    A target replaces the rows below and above it; rows of other branches of
    the package stay, unless ``purge`` forgets all rows first.
    """
    items: list[Item] = []
    chosen: dict[str, list[str]] = {}
    for target in targets:
        chosen.setdefault(target.package, []).append(target.spec)
    for name, specs in chosen.items():
        history = facts.history(name)
        before = facts.rows.get(name, ()) if purge else facts.recorded(name)
        after: set[str] = set() if purge else set(before)
        for spec in specs:
            after = _stamped(history, after, spec)
        rows = tuple(sorted(history.outer(after)))
        if rows != before:
            items.append(Seed(name, rows, "stamped by order", before=before, kind="stamped"))
    return Plan(tuple(items), tuple(chosen))


def _stamped(history: History, rows: set[str], spec: str) -> set[str]:
    if spec == "base":
        return set()
    ids = history.tops if spec == "heads" else history.resolve(spec)
    related = history.ancestors(ids) | history.descendants(ids)
    return {row for row in rows if row not in related} | set(ids)


def seed(packages: Sequence[str], facts: Facts) -> Plan:
    """Return the plan of populate: create tables, record heads; packages with a row stay."""
    wanted = _Upgrade(facts)
    for name in packages:
        fresh = facts.fresh.get(name)
        if facts.rows.get(name) or fresh is None or fresh.action is Action.NOTHING:
            continue
        if fresh.error is not None:
            raise fresh.error
        wanted.seed(facts.history(name), fresh)
    return _plan(wanted.items(), facts, tuple(packages))


# -- order ------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """Something to do, its place among equals, and what must come before it."""

    key: Key
    place: int
    what: Revision | Seed
    direction: Direction = Direction.UP
    after: set[Key] = field(default_factory=set)
    softly: set[Key] = field(default_factory=set)

    @property
    def rank(self) -> Rank:
        """Tables and seeds first, then package by package, then the history's own order."""
        return (isinstance(self.what, Revision), self.key.package, self.place)


def _places(orders: Mapping[str, Iterable[tuple[str, ...]]]) -> dict[Key, int]:
    """
    Return a place among the package's own for each revision of these orders.

    Alembic's order depends on where a walk starts and ends. The longest one
    decides; what only a shorter one has comes after it.
    """
    found: dict[Key, int] = {}
    for package, some in sorted(orders.items()):
        longest_first = sorted(some, key=lambda ids: (-len(ids), ids))
        for id_ in dict.fromkeys(chain.from_iterable(longest_first)):
            found[Key(package, id_)] = len(found)
    return found


def _plan(nodes: list[_Node], facts: Facts, packages: tuple[str, ...]) -> Plan:
    rows = {name: tuple(sorted(ids)) for name, ids in facts.rows.items()}
    items: list[Item] = []
    for node in _sort(nodes):
        before = rows.get(node.key.package, ())
        item = _item(node, before, facts)
        if isinstance(item, Step):
            rows[item.package] = item.after
        elif item.rows:
            rows[item.package] = item.rows
        elif not item.create:
            continue
        items.append(item)
    return Plan(tuple(items), tuple(dict.fromkeys(packages)))


def _item(node: _Node, before: tuple[str, ...], facts: Facts) -> Item:
    if isinstance(node.what, Seed):
        return node.what._replace(before=before)
    history = facts.history(node.key.package)
    move = history.after_upgrade if node.direction is Direction.UP else history.after_downgrade
    return Step(node.what, node.direction, before, move(before, node.key.id))


def _sort(nodes: Iterable[_Node]) -> list[_Node]:
    """
    Return the nodes, each after what it needs, the lowest rank first among the ready ones.

    A soft need gives way where a circle leaves no other choice.

    Raises:
        CycleError: the needs go round in a circle, which is named.

    """
    waiting = {node.key: node for node in nodes}
    hard = {key: node.after & waiting.keys() for key, node in waiting.items()}
    soft = {key: (node.softly & waiting.keys()) - {key} for key, node in waiting.items()}
    followers: dict[Key, list[Key]] = {key: [] for key in waiting}
    for key in waiting:
        for other in hard[key] | soft[key]:
            followers[other].append(key)
    ready = [(waiting[key].rank, key) for key in waiting if not hard[key] and not soft[key]]
    heapq.heapify(ready)
    done: list[_Node] = []
    while waiting:
        if not ready:
            ready.append(_giving_way(waiting, hard))
        _, key = heapq.heappop(ready)
        done.append(waiting.pop(key))
        for follower in followers[key]:
            hard[follower].discard(key)
            soft[follower].discard(key)
            if follower in waiting and not hard[follower] and not soft[follower]:
                heapq.heappush(ready, (waiting[follower].rank, follower))
    return done


def _giving_way(waiting: Mapping[Key, _Node], hard: Mapping[Key, set[Key]]) -> tuple[Rank, Key]:
    """Return the first of the nodes that wait only for what they had better wait for."""
    found = [(node.rank, key) for key, node in waiting.items() if not hard[key]]
    if not found:
        raise CycleError(_cycle(waiting, hard))
    return min(found)


def _cycle(waiting: Iterable[Key], needs: Mapping[Key, set[Key]]) -> list[str]:
    path: list[Key] = []
    key = min(waiting)
    while key not in path:
        path.append(key)
        key = min(needs[key])
    return [str(member) for member in path[path.index(key) :]]
