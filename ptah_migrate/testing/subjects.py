"""Which packages are there to be tested: the project's, and the installed ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptah_migrate import registry
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Origin, Package, Source
from ptah_migrate.registry import Registry


@dataclass(frozen=True, slots=True)
class Subject:
    """
    One package that is tested, and all packages that it may require.

    ``project`` is the folder of its pyproject.toml; None of an installed package.
    """

    package: Package
    registry: Registry
    project: Path | None = None

    @property
    def name(self) -> str:
        """The package's name."""
        return self.package.name


@dataclass(frozen=True, slots=True)
class Packages:
    """
    The packages of a project, and the installed ones that are not its own.

    ``directory`` is where they were looked for, ``project`` the folder of the
    pyproject.toml there, or above.
    """

    own: Mapping[str, Package]
    installed: Mapping[str, Package]
    directory: Path
    project: Path | None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name."""
        return tuple(sorted({**self.installed, **self.own}))

    @property
    def default(self) -> tuple[str, ...]:
        """What is tested where nothing is named: the project's own, else every installed one."""
        return tuple(self.own or self.installed)

    def registry(self, package: Package | None = None) -> Registry:
        """Return all of them, one of them replaced."""
        found = {**self.installed, **self.own}
        if package is not None:
            found[package.name] = package
        return Registry(found.values())

    def subject(self, name: str, said: Mapping[str, Any] | None = None) -> Subject:
        """
        Return a package to test; what is ``said`` replaces its registration.

        Raises:
            UnknownPackageError: nothing is called so.
            RegistrationError: what is said is impossible.

        """
        known = {**self.installed, **self.own}
        package = known.get(name) or self._conventional(name) or self.registry().get(name)
        package = _said(package, said or {})
        own = name not in self.installed or name in self.own
        return Subject(package, self.registry(package), self.project if own else None)

    def _conventional(self, name: str) -> Package | None:
        """Return a package of the project that its pyproject.toml does not declare."""
        near = (self.directory, self.directory.parent)
        roots = near if self.project is None else (self.project,)
        for folder in (folder for root in roots for folder in (root / "src", root)):
            if folder.joinpath(*name.split("."), "migrations").is_dir():
                registry.importable(folder)
                origin = Origin(Source.PROJECT, detail=folder.name)
                found = registry.located(name, f"{name}.migrations", origin)
                return next((one for one in found if one.name == name), None)
        return None


def find(directory: Path) -> Packages:
    """
    Return the packages of the project that a directory is in, and the installed ones.

    Raises:
        PtahMigrateError: the project declares something impossible.

    """
    own = registry.from_project(directory)
    installed, _problems = registry.from_entry_points()
    names = {package.name for package in own}
    return Packages(
        _named(own),
        _named(package for package in installed if package.name not in names),
        directory,
        registry.project_root(directory),
    )


def _named(packages: Iterable[Package]) -> dict[str, Package]:
    return {package.name: package for package in packages}


def _said(package: Package, said: Mapping[str, Any]) -> Package:
    """Return a package with what a test module says of it, checked as a registration is."""
    if not said:
        return package
    given = dict(said)
    path = given.pop("path", package.paths)
    made = registry.make_package(package.name, path, origin=package.origin, **given)
    return package._replace(paths=made.paths, **{key: getattr(made, key) for key in given})


def explain(error: PtahMigrateError) -> str:
    """Return an error in one line, with what helps."""
    return f"{error.message}; {error.hint}" if error.hint else error.message
