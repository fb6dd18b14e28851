"""
Decides what will happen, over all packages at once. Pure: facts in, plan out.

Every command that upgrades, downgrades, stamps, seeds, shows or checks asks
this module, so they cannot disagree.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
)
from ptah_migrate.model import Direction, Item, Key, Plan, Requirement, Revision, Seed, Step, Target

Rows = Mapping[str, tuple[str, ...]]

HEADS = ("head", "heads")


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
    """Return the packages that these need, themselves included; asks ``histories`` for each once."""
    found: dict[str, None] = {}
    stack = sorted(set(names), reverse=True)
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found[name] = None
        history = histories.get(name)
        if history is not None:
            stack.extend(
                sorted({q.package for r in history.revisions.values() for q in r.requires})
            )
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
        self.covered: set[Target] = set()

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
        new = [history.revisions[id_] for id_ in ids]
        new = [revision for revision in new if revision.key not in self.revisions]
        self.revisions.update({revision.key: revision for revision in new})
        return new

    def seed(self, history: History, fresh: Fresh) -> list[Revision]:
        """Record the package's heads instead of running its revisions; return these."""
        self.seeds[history.package] = Seed(
            history.package, tuple(sorted(history.tops)), fresh.reason, fresh.create
        )
        return list(history.revisions.values())

    def _check(self, revision: Revision) -> None:
        if not revision.has_upgrade and revision.package not in self.seeds:
            raise RevisionFileError(revision.package, str(revision.path), "has no upgrade()")

    def _required(self, revision: Revision) -> list[Target]:
        found = []
        for requirement in revision.requires:
            if self._is_there(requirement, revision) and not self._is_met(requirement):
                found.append(Target(requirement.package, requirement.id))
        return found

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

    def _is_met(self, requirement: Requirement) -> bool:
        history = self.facts.history(requirement.package)
        rows = self.facts.recorded(requirement.package)
        ids = history.resolve(requirement.id)
        return bool(rows) and set(ids) <= history.ancestors(rows)

    def items(self) -> list[_Node]:
        """Return what was collected, each with what must come before it."""
        nodes: dict[Key, _Node] = {}
        for name, seed in (*self.creates.items(), *self.seeds.items()):
            nodes[Key(name, "")] = _Node(Key(name, ""), 0, seed)
        for package in {key.package for key in self.revisions}:
            for place, id_ in enumerate(self.facts.history(package).order()):
                if (key := Key(package, id_)) in self.revisions:
                    nodes[key] = _Node(key, place + 1, self.revisions[key])
        for node in nodes.values():
            node.after.update(self._before(node, nodes))
            node.softly.update(self._refers(node, nodes))
        self._run_before(nodes)
        return list(nodes.values())

    def _before(self, node: _Node, nodes: Mapping[Key, _Node]) -> Iterable[Key]:
        history = self.facts.history(node.key.package)
        if isinstance(node.what, Revision):
            revisions = [node.what]
            yield Key(node.key.package, "")
            yield from (Key(node.key.package, id_) for id_ in history.parents(node.what.id))
        else:
            revisions = list(history.revisions.values()) if node.what.rows else []
        for revision in revisions:
            for requirement in revision.requires:
                yield from self._keys(requirement)

    def _keys(self, requirement: Requirement) -> Iterable[Key]:
        history = self.facts.histories.get(requirement.package)
        if history is not None:
            yield Key(requirement.package, "")
            yield from (Key(requirement.package, id_) for id_ in history.resolve(requirement.id))

    def _refers(self, node: _Node, nodes: Mapping[Key, _Node]) -> Iterable[Key]:
        if isinstance(node.what, Seed) and node.what.create:
            others = self.facts.refers.get(node.key.package, ())
            yield from (key for key in nodes if key.package in others)

    def _run_before(self, nodes: Mapping[Key, _Node]) -> None:
        for node in nodes.values():
            if isinstance(node.what, Revision):
                for requirement in node.what.run_before:
                    for key in self._keys(requirement):
                        if key in nodes:
                            nodes[key].after.add(node.key)


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
    gone: dict[Key, Revision] = {}
    for target in targets:
        history, rows = facts.history(target.package), facts.recorded(target.package)
        for id_ in history.downgrades(target.spec, rows):
            gone[Key(target.package, id_)] = history.revisions[id_]
    dependants = _dependants(gone, facts)
    if dependants and not cascade:
        names = ", ".join(sorted({target.package for target in targets}))
        raise DependantsError(names, [str(key) for key in sorted(dependants)])
    gone |= dependants
    for revision in gone.values():
        if not revision.has_downgrade:
            raise IrreversibleError(revision.package, revision.id, str(revision.path))
    return _plan(_reversed(gone, facts), facts, tuple(target.package for target in targets))


def _dependants(gone: Mapping[Key, Revision], facts: Facts) -> dict[Key, Revision]:
    """Return the applied revisions, not in ``gone``, that need one of them, and so on."""
    found: dict[Key, Revision] = {}
    if not gone:
        return found
    applied: dict[str, set[str]] = {}
    for name, rows in facts.rows.items():
        if name in facts.broken:
            raise facts.broken[name]
        history = facts.histories.get(name)
        if history is not None:
            known = [row for row in rows if row in history]
            applied[name] = history.ancestors(known)
    waiting = True
    while waiting:
        waiting = False
        for name, ids in applied.items():
            history = facts.histories[name]
            needing = {id_ for id_ in ids if _needs(history.revisions[id_], gone | found, facts)}
            for id_ in history.descendants(needing) & ids:
                key = Key(name, id_)
                if key not in gone and key not in found:
                    found[key] = history.revisions[id_]
                    waiting = True
    return found


def _needs(revision: Revision, gone: Mapping[Key, Revision], facts: Facts) -> bool:
    for requirement in revision.requires:
        history = facts.histories.get(requirement.package)
        if history is not None and any(
            Key(requirement.package, id_) in gone for id_ in history.resolve(requirement.id)
        ):
            return True
    return False


def _reversed(gone: Mapping[Key, Revision], facts: Facts) -> list[_Node]:
    nodes: dict[Key, _Node] = {}
    for package in sorted({key.package for key in gone}):
        order = facts.history(package).order()
        for place, id_ in enumerate(order):
            if (key := Key(package, id_)) in gone:
                nodes[key] = _Node(key, -place, gone[key], Direction.DOWN)
    for key, node in nodes.items():
        history = facts.history(key.package)
        for parent in history.parents(key.id):
            if (other := Key(key.package, parent)) in nodes:
                nodes[other].after.add(key)
        for requirement in node.revision.requires:
            needed = facts.histories.get(requirement.package)
            for id_ in needed.resolve(requirement.id) if needed is not None else ():
                if (other := Key(requirement.package, id_)) in nodes:
                    nodes[other].after.add(key)
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
        rows = tuple(sorted(after))
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
    """Return the plan of populate: create tables, record heads; packages with a row are left alone."""
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
    def revision(self) -> Revision:
        assert isinstance(self.what, Revision)
        return self.what

    @property
    def rank(self) -> tuple[bool, str, int]:
        """Tables and seeds first, then package by package, then the history's own order."""
        return (isinstance(self.what, Revision), self.key.package, self.place)


def _plan(nodes: list[_Node], facts: Facts, packages: tuple[str, ...]) -> Plan:
    try:
        ordered = _sort(nodes, softly=True)
    except CycleError:
        ordered = _sort(nodes, softly=False)
    rows = {name: tuple(sorted(ids)) for name, ids in facts.rows.items()}
    items: list[Item] = []
    for node in ordered:
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
        return replace(node.what, before=before)
    history = facts.history(node.key.package)
    move = history.after_upgrade if node.direction is Direction.UP else history.after_downgrade
    return Step(node.what, node.direction, before, move(before, node.key.id))


def _sort(nodes: list[_Node], *, softly: bool) -> list[_Node]:
    """Return the nodes, each after what it needs, the lowest rank first among the ready ones."""
    known = {node.key: node for node in nodes}
    needs = {
        node.key: {
            key
            for key in (node.after | node.softly if softly else node.after)
            if key in known and key != node.key
        }
        for node in nodes
    }
    followers: dict[Key, list[Key]] = {key: [] for key in known}
    for key, before in needs.items():
        for other in before:
            followers[other].append(key)
    left = {key: len(before) for key, before in needs.items()}
    ready = [(known[key].rank, key) for key, count in left.items() if not count]
    heapq.heapify(ready)
    done: list[_Node] = []
    while ready:
        _, key = heapq.heappop(ready)
        done.append(known[key])
        for follower in followers[key]:
            left[follower] -= 1
            if not left[follower]:
                heapq.heappush(ready, (known[follower].rank, follower))
    if len(done) < len(nodes):
        raise CycleError(_cycle(needs, {key for key, count in left.items() if count}))
    return done


def _cycle(needs: Mapping[Key, set[Key]], stuck: set[Key]) -> list[str]:
    path: list[Key] = []
    key = min(stuck)
    while key not in path:
        path.append(key)
        key = min(needs[key] & stuck)
    return [str(member) for member in path[path.index(key) :]]
