"""
What one call of the command works on: settings, packages, database.

Settings come from the first of: ``-c``/the first word, ``--url``, the
environment, ``[tool.ptah_migrate]`` of the nearest pyproject.toml, a lone
``development.ini`` in this folder. A production file is never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ptah_migrate._cli import output
from ptah_migrate.errors import ConfigError, PtahMigrateError, UsageError
from ptah_migrate.model import Package
from ptah_migrate.registry import (
    Registry,
    from_entry_points,
    from_project,
    project_root,
    read_project,
)

CONFIG_VARIABLE = "PTAH_MIGRATE_CONFIG"
URL_VARIABLE = "PTAH_MIGRATE_URL"
DEVELOPMENT = "development.ini"


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings file or the URL that was taken, why, and what pyproject.toml adds."""

    config: str = ""
    url: str = ""
    why: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Session:
    """The common options of one call, and what they lead to; each part is found when asked for."""

    config: str | None = None
    url: str | None = None
    no_app: bool = False
    x_arguments: Sequence[str] = ()
    lock_timeout: float | None = None
    json: bool = False
    yes: bool = False
    quiet: bool = False
    verbose: bool = False
    traceback: bool = False

    # -- what to work on ---------------------------------------------------------

    @cached_property
    def choice(self) -> Choice:
        """The settings to take; empty when there are none."""
        if self.config and "://" in self.config:
            return Choice(url=self.config, why="given")
        if self.config:
            return Choice(config=self.config, url=self.url or "", why="given")
        if self.url:
            return Choice(url=self.url, why="given", extra=self._project)
        if os.environ.get(CONFIG_VARIABLE):
            return Choice(
                config=os.environ[CONFIG_VARIABLE],
                url=os.environ.get(URL_VARIABLE, ""),
                why=f"from {CONFIG_VARIABLE}",
            )
        if os.environ.get(URL_VARIABLE):
            return Choice(
                url=os.environ[URL_VARIABLE], why=f"from {URL_VARIABLE}", extra=self._project
            )
        return self._found_here()

    def _found_here(self) -> Choice:
        table = self._project
        if table.get("config") and self._root is not None:
            return Choice(config=str(self._root / str(table["config"])), why="from pyproject.toml")
        if table.get("url") and self._root is not None:
            url = _rebased(str(table["url"]), self._root)
            return Choice(url=url, why="from pyproject.toml", extra=table)
        if Path(DEVELOPMENT).is_file():
            return Choice(config=DEVELOPMENT, why="found here", extra=table)
        return Choice(extra=table)

    @cached_property
    def _root(self) -> Path | None:
        return project_root(Path.cwd())

    @cached_property
    def _project(self) -> Mapping[str, Any]:
        """The table ``[tool.ptah_migrate]`` of the nearest pyproject.toml."""
        if self._root is None:
            return {}
        table = read_project(self._root).get("tool", {}).get("ptah_migrate", {})
        if not isinstance(table, Mapping):
            raise ConfigError(f"[tool.ptah_migrate] of {self._root}/pyproject.toml is no table")
        return table

    @cached_property
    def _loaded(self) -> Any:
        """The settings and the application; says once what cannot be loaded."""
        from ptah_migrate._pyramid.application import Loaded, load

        if not self.choice.config:
            output.log_to_stderr(verbose=self.verbose, quiet=self.quiet)
            return Loaded()
        loaded = load(self.choice.config, application=not self.no_app)
        if loaded.logging:
            output.quiet_alembic(verbose=self.verbose)
        else:
            output.log_to_stderr(verbose=self.verbose, quiet=self.quiet)
        if loaded.registry is None and not self.no_app:
            output.warn(
                f"the application of {self.choice.config} cannot be loaded ({loaded.problem}); "
                "going on with its settings and the installed entry points"
            )
        return loaded

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The settings, with those of pyproject.toml under their long names."""
        extra = {
            f"ptah_migrate.{key}": " ".join(value) if isinstance(value, list) else value
            for key, value in self.choice.extra.items()
            if key not in ("url", "config")
        }
        return {**extra, **self._loaded.settings}

    @property
    def application(self) -> Any:
        """The Pyramid registry of the loaded application, or None."""
        return self._loaded.registry

    # -- packages ----------------------------------------------------------------

    @cached_property
    def project_packages(self) -> tuple[Package, ...]:
        """The packages that the project around this folder declares."""
        return from_project(Path.cwd())

    @cached_property
    def registry(self) -> Registry:
        """
        The packages to work on; says once what is wrong with others.

        An application decides which are active. Without one they are those of
        the project, and every installed entry point that no setting leaves out.
        """
        found = self._of_application() if self.application is not None else self._of_entry_points()
        for problem in found.problems:
            output.warn(problem.message, problem.hint)
        return found

    def _of_application(self) -> Registry:
        from ptah_migrate._pyramid.startup import packages_of

        found = packages_of(self.application)
        return Registry(
            found, available=(*self.project_packages, *found.available.values()),
            problems=found.problems,
        )

    def _of_entry_points(self) -> Registry:
        own = {package.name: package for package in self.project_packages}
        installed, problems = from_entry_points()
        wished = str(self.settings.get("ptah_migrate.packages") or "*").split()
        others = [package for package in installed if package.name not in own]
        active = [p for p in others if "*" in wished or p.name in wished]
        return Registry(
            [*own.values(), *active],
            available=[package for package in others if package not in active],
            problems=[problem for problem in problems if problem.subject not in own],
        )

    def package(self, name: str | None) -> Package:
        """
        Return a package to write files for: the named one, or the project's only one.

        Raises:
            UsageError: none is named and the project has not exactly one.
            UnknownPackageError: there is none of this name.

        """
        if name is None:
            own = self.project_packages
            if len(own) == 1:
                return own[0]
            raise UsageError(
                "name a package",
                hint=f"known: {', '.join(p.name for p in (own or self.registry)) or 'none'}",
            )
        known = {p.name: p for p in self.project_packages}
        return known.get(name) or self.registry.available.get(name) or self.registry.get(name)

    # -- the database ------------------------------------------------------------

    def migrator(self, **options: Any) -> Any:
        """
        Return a Migrator for the database, and say which one it is.

        Raises:
            ConfigError: the settings name no database, or there are none.

        """
        from ptah_migrate._pyramid.startup import migrator_options
        from ptah_migrate._runtime import Migrator, masked

        bind = self._bind()
        if not self.quiet:
            taken = f"{self.choice.config} ({self.choice.why}), " if self.choice.config else ""
            why = f" ({self.choice.why})" if not self.choice.config else ""
            output.tell(f"Using {taken}database {masked(bind)}{why}")
        wished = migrator_options(self.settings)
        if self.lock_timeout is not None:
            wished["lock_timeout"] = self.lock_timeout
        return Migrator(
            bind, self.registry, x_arguments=tuple(self.x_arguments), **{**wished, **options}
        )

    def _bind(self) -> Any:
        from ptah_migrate._pyramid.engine import find
        from ptah_migrate._runtime import engine_for

        if self.choice.url:
            return engine_for(self.choice.url)
        if not self.choice.config:
            raise ConfigError(
                "no settings were found",
                hint="ptah-migrate SETTINGS.ini …, or --url sqlite:///app.sqlite, "
                "or url = … in [tool.ptah_migrate] of pyproject.toml",
            )
        return find(self.application, self.settings)


def _rebased(url: str, root: Path) -> str:
    """Return a SQLite URL whose relative file lies in the project, wherever we stand in it."""
    prefix, slashes, name = url.partition(":///")
    if not slashes or prefix.partition("+")[0] != "sqlite" or not name:
        return url
    if name.startswith(("/", ":memory:", "file:")):
        return url
    return f"{prefix}:///{root / name}"


def known_names(incomplete: str) -> list[str]:
    """Return package names for shell completion: quick, silent, no application is loaded."""
    try:
        found = {package.name for package in from_project(Path.cwd())}
        found.update(package.name for package in from_entry_points()[0])
    except PtahMigrateError:
        return []
    return sorted(name for name in found if name.startswith(incomplete))
