"""The models of packages: which can be compared, and with what of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ptah_migrate._history import History, sequences, tables
from ptah_migrate._runtime import schema
from ptah_migrate._runtime.ownership import Owned, Owners
from ptah_migrate._runtime.plan import reach
from ptah_migrate.errors import ModelsError
from ptah_migrate.model import Package
from ptah_migrate.registry import Registry

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ptah_migrate._runtime.comparison import Comparison


class Models:
    """Chooses packages and compares each with a database; the caller owns the connection."""

    def __init__(
        self, registry: Registry, histories: Mapping[str, History], owners: Owners
    ) -> None:
        self.registry = registry
        self.histories = histories
        self.owners = owners

    def choose(self, names: Sequence[str]) -> tuple[Package, ...]:
        """
        Return the packages to compare, every one that has models where none is named.

        Raises:
            UnknownPackageError: a name is not registered.
            ModelsError: there are no models, or they have no tables.
            OwnershipError: a table has two owners, or none.
            ConfigError: the models cannot be imported.

        """
        if names:
            chosen = tuple(self.registry.get(name) for name in dict.fromkeys(names))
        else:
            chosen = tuple(package for package in self.registry if package.metadata is not None)
        for package in chosen:
            models = schema.metadata(package)
            if models is None:
                raise ModelsError(
                    f"package '{package.name}' registers no models to compare with",
                    hint=f"register metadata='{package.name}.models:Base.metadata'",
                )
            if not models.tables:
                raise ModelsError(
                    f"the models of package '{package.name}' define no table",
                    hint=f"{package.metadata!r} must import the modules that define them"
                    if isinstance(package.metadata, str)
                    else "import the modules that define them first",
                )
        for package in chosen:
            self.owners.of(package).settled(package.name)
        return chosen

    def compare(self, connection: Connection, package: Package) -> Comparison:
        """
        Return what separates the database from a package's models; reads only.

        Raises:
            ModelsError: the database cannot be described.

        """
        from ptah_migrate._runtime.comparison import compare

        owned = self.owners.of(package)
        models = {table.key for table in owned.tables}
        left: frozenset[str] = frozenset()
        named: frozenset[str] = frozenset()
        if (history := self.histories.get(package.name)) is not None:
            left = tables(history).final - models - set(owned.others) - package.skip_tables
            named = sequences(history)
        removed = left - set(self.owners.elsewhere(package, left))
        owners = {**owned.others, **self._outside(package, owned)}
        return compare(
            connection,
            package,
            owned.tables,
            removed=removed,
            owners=owners,
            sequences=named,
        )

    def _outside(self, package: Package, owned: Owned) -> dict[str, str]:
        """
        Return whose the referred-to tables are that the MetaData does not have.

        Looks first at what the package's revisions require, and no further
        than needed: models are imported, and histories read.
        """
        known = {table.key for table in owned.tables} | set(owned.others)
        wanted = {name for table in owned.tables for name in schema.referred(table)} - known
        found: dict[str, str] = {}
        near = [name for name in reach([package.name], self.histories) if name != package.name]
        for name in dict.fromkeys((*near, *self.registry.packages)) if wanted else ():
            other = self.registry.packages.get(name)
            if other is not None and name != package.name:
                found.update(dict.fromkeys(sorted(wanted & self._tables(other)), name))
            wanted -= set(found)
            if not wanted:
                break
        return found

    def _tables(self, package: Package) -> set[str]:
        """Return the tables of a package's models, and those that its revisions leave."""
        keys = {table.key for table in self.owners.of(package).tables}
        history = self.histories.get(package.name)
        return keys if history is None else keys | tables(history).final
