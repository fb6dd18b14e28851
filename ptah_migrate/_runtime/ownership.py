"""
Whose table is it? Answered for one package at a time, without importing the others.

Where several packages share one MetaData, a table belongs to the package that
says so (``tables=…`` at registration, ``info={'ptah_package': …}``), otherwise
to the one whose module its mapped class lives in, otherwise to the one whose
revisions make it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, Table

from ptah_migrate._history import History
from ptah_migrate._history import tables as history_tables
from ptah_migrate._runtime import journal, schema, versions
from ptah_migrate.errors import ConfigError, OwnershipError
from ptah_migrate.model import Package

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, RelationshipProperty

    from ptah_migrate.registry import Registry


@dataclass(frozen=True, slots=True)
class Owned:
    """
    What a package's MetaData says about whose tables it has.

    Attributes:
        tables: the package's own, referred-to ones first.
        others: the tables of other packages in the same MetaData, and their owners.
        problems: tables with two owners, or none, in words.
        homeless: those with none; creating tables leaves the choice to the first who asks.

    """

    tables: tuple[Table, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    homeless: tuple[Table, ...] = ()

    @property
    def creatable(self) -> tuple[Table, ...]:
        """The tables that a database without any may be given for this package."""
        return (*self.tables, *self.homeless)

    def settled(self, package: str) -> Owned:
        """
        Return this; refuse where a table has two owners or none.

        Raises:
            OwnershipError: every such table is named, with its classes.

        """
        if self.problems:
            raise OwnershipError(package, self.problems)
        return self


class Owners:
    """Answers for the packages of a registry; looks at models, reads histories, runs nothing."""

    def __init__(self, registry: Registry, histories: Mapping[str, History]) -> None:
        self._registry = registry
        self._histories = histories
        self._known: dict[str, tuple[MetaData, int, Owned]] = {}
        self._sharing: dict[int, list[Package]] = {}
        self._waiting = list(registry)

    def of(self, package: Package) -> Owned:
        """
        Return whose tables are in a package's MetaData.

        Asked again after models were added, it looks again.

        Raises:
            ConfigError: the models cannot be imported, or lack a table that is
                registered as the package's.

        """
        found = schema.metadata(package)
        if found is None:
            return Owned()
        known = self._known.get(package.name)
        if known is None or known[0] is not found or known[1] != len(found.tables):
            known = (found, len(found.tables), self._look(package, found))
            self._known[package.name] = known
        return known[2]

    def elsewhere(self, package: Package, names: Iterable[str]) -> dict[str, str]:
        """
        Return which of ``names`` are tables of other packages' models, and whose.

        Imports the models of every package: asked only about tables that would
        be dropped, because a package's own models have them no more.
        """
        wanted = set(names)
        found: dict[str, str] = {}
        for other in self._registry if wanted else ():
            if other.name != package.name:
                keys = {table.key for table in self.of(other).tables}
                found.update(dict.fromkeys(sorted(wanted & keys), other.name))
        return found

    # -- one MetaData --------------------------------------------------------------

    def _look(self, package: Package, metadata: MetaData) -> Owned:
        _check_listed(package, metadata)
        sharers = self._sharers(package, metadata)
        claims = _Claims(sharers, metadata, self._histories)
        own: list[Table] = []
        homeless: list[Table] = []
        others: dict[str, str] = {}
        problems: list[str] = []
        for table in schema.in_order(metadata):
            if table.name in (versions.TABLE, journal.TABLE) or table.key in package.skip_tables:
                continue
            owners = claims.of(table)
            if owners is None:
                continue
            if len(owners) == 1:
                if owners == {package.name}:
                    own.append(table)
                else:
                    others[table.key] = next(iter(owners))
            elif not owners:
                homeless.append(table)
                problems.append(f"table '{table.key}'{claims.classes(table)} belongs to no package")
            elif package.name in owners:
                problems.append(
                    f"table '{table.key}'{claims.classes(table)} belongs to "
                    f"{' and '.join(repr(name) for name in sorted(owners))}"
                )
        return Owned(tuple(own), others, tuple(problems), tuple(homeless))

    def _sharers(self, package: Package, metadata: MetaData) -> tuple[Package, ...]:
        """
        Return the packages that register this MetaData, as far as they have put tables into it.

        One whose models nobody has imported has none there: it is not imported
        for the question.
        """
        waiting, self._waiting = self._waiting, []
        for other in waiting:
            found = _metadata(other) if _loaded(other) or other.name == package.name else None
            if found is None:
                self._waiting.append(other)
            else:
                self._sharing.setdefault(id(found), []).append(other)
        return tuple(self._sharing.get(id(metadata), ()))


def _check_listed(package: Package, metadata: MetaData) -> None:
    missing = [name for name in package.tables or () if name not in metadata.tables]
    if missing:
        raise ConfigError(
            f"package '{package.name}' registers tables its models do not have: "
            f"{', '.join(missing)}"
        )


def _loaded(package: Package) -> bool:
    """Return whether the module that a package's models are named in was imported by somebody."""
    if not isinstance(package.metadata, str):
        return package.metadata is not None
    return _module_of(package.metadata) in sys.modules


def _module_of(name: str) -> str:
    module, colon, _ = name.partition(":")
    return module if colon else name.rpartition(".")[0]


def _metadata(package: Package) -> MetaData | None:
    try:
        return schema.metadata(package)
    except ConfigError:  # told when that package is asked about
        return None


class _Claims:
    """Who claims the tables of one MetaData, among the packages that share it."""

    def __init__(
        self,
        sharers: tuple[Package, ...],
        metadata: MetaData,
        histories: Mapping[str, History],
    ) -> None:
        self._sharers = sharers
        self._unlisted = [package for package in sharers if package.tables is None]
        self._listed = {
            name: {package.name for package in sharers if name in (package.tables or ())}
            for package in sharers
            for name in package.tables or ()
        }
        self._roots = _roots(sharers)
        self._histories = histories
        shared = len(sharers) > 1
        self._classes = dict(_classes(metadata)) if shared else {}
        self._links: Mapping[str, type] | None = None if shared else {}

    def of(self, table: Table) -> set[str] | None:
        """Return the owners of a table; None where every package lists its own, and nobody this."""
        stated = set(self._listed.get(table.key, ()))
        if "ptah_package" in table.info:
            stated.add(str(table.info["ptah_package"]))
        if stated:
            return stated
        if len(self._sharers) == 1:
            return {package.name for package in self._unlisted} or None
        mapped = {self._package_of(cls) for cls in self._classes.get(table.key, ())} - {""}
        if mapped:
            return mapped
        if len(self._unlisted) < 2:
            return {package.name for package in self._unlisted} or None
        return self._makers(table) or self._linked(table)

    def classes(self, table: Table) -> str:
        """Return the mapped classes of a table as messages show them."""
        found = [f"{cls.__module__}.{cls.__qualname__}" for cls in self._classes.get(table.key, ())]
        return f" ({', '.join(sorted(found))})" if found else ""

    def _package_of(self, cls: type) -> str:
        """Return the package whose module, or whose nearest parent module, a class is in."""
        parts = cls.__module__.split(".")
        for end in range(len(parts), 0, -1):
            owners = self._roots.get(".".join(parts[:end]), set())
            if len(owners) == 1:
                return next(iter(owners))
        return ""

    def _makers(self, table: Table) -> set[str]:
        """Return the packages whose revisions make a table."""
        return {
            package.name
            for package in self._unlisted
            if (history := self._histories.get(package.name)) is not None
            and table.key in history_tables(history).ever
        }

    def _linked(self, table: Table) -> set[str]:
        """Return the package of the class that uses a table as ``secondary`` of a relationship."""
        if self._links is None:
            self._links = dict(_secondaries(self._classes))
        cls = self._links.get(table.key)
        return {self._package_of(cls)} - {""} if cls is not None else set()


def _roots(sharers: Iterable[Package]) -> dict[str, set[str]]:
    """Return the modules that packages call their own; one that two name settles nothing."""
    found: dict[str, set[str]] = {}
    for package in sharers:
        modules = {package.name, *(path.partition(":")[0] for path in package.paths if ":" in path)}
        if isinstance(package.metadata, str):
            module = _module_of(package.metadata)
            modules.add(module.rpartition(".")[0] or module)
        for module in modules:
            found.setdefault(module, set()).add(package.name)
    return found


# -- mapped classes --------------------------------------------------------------------


def _mappers() -> Iterator[Mapper[Any]]:
    """
    Yield the mappers of all declarative registries; none where nothing is mapped.

    SQLAlchemy has no public way from a table to its classes. ``_all_registries``
    is what its own ``configure_mappers()`` goes through (1.4 to 2.1).
    """
    module = sys.modules.get("sqlalchemy.orm.mapper")
    if module is not None:
        for registry in module._all_registries():  # noqa: SLF001
            yield from registry.mappers


def _classes(metadata: MetaData) -> Iterator[tuple[str, list[type]]]:
    """Yield each table with the classes mapped to it; a class inherits its parent's table."""
    found: dict[str, list[type]] = {}
    for mapper in _mappers():
        table = mapper.local_table
        if not isinstance(table, Table) or table.metadata is not metadata:
            continue
        if mapper.inherits is None or mapper.inherits.local_table is not table:
            found.setdefault(table.key, []).append(mapper.class_)
    yield from found.items()


def _secondaries(classes: Mapping[str, list[type]]) -> Iterator[tuple[str, type]]:
    """Yield the association tables, and the class that names each; none of a broken mapper."""
    wanted = {cls for found in classes.values() for cls in found}
    mappers = [mapper for mapper in _mappers() if mapper.class_ in wanted]
    for mapper in sorted(mappers, key=lambda one: (one.class_.__module__, one.class_.__name__)):
        for relationship in _relationships(mapper):
            if isinstance(relationship.secondary, Table):
                yield relationship.secondary.key, mapper.class_


def _relationships(mapper: Mapper[Any]) -> Sequence[RelationshipProperty[Any]]:
    try:
        return list(mapper.relationships)
    except Exception:  # noqa: BLE001 - it configures the mappers, and they are the authors'
        return ()
