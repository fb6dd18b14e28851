"""What one call of the command works on: settings, packages, database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ptah_migrate._cli import output
from ptah_migrate.errors import ConfigError, PtahMigrateError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from ptah_migrate._cli.settings import Choice
    from ptah_migrate._pyramid.settings import Loaded
    from ptah_migrate._runtime import Migrator
    from ptah_migrate.model import Done, Package
    from ptah_migrate.registry import Registry

NO_PACKAGE = "include one in the application, install one, or make one: ptah-migrate init"


class Session:
    """The common options of one call, and what they lead to; each part is found when asked for."""

    config: str = ""
    url: str = ""
    no_app: bool = False
    x_arguments: tuple[str, ...] = ()
    lock_timeout: float | None = None
    json: bool = False
    yes: bool = False
    quiet: bool = False
    verbose: bool = False
    traceback: bool = False

    _announced: str | None = None

    # -- settings ----------------------------------------------------------------

    @cached_property
    def choice(self) -> Choice:
        """The settings file or URL to take; empty when there is none."""
        from ptah_migrate._cli.settings import choose

        return choose(self.config, self.url)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings, an application's own included."""
        return {**self.choice.settings, **self._loaded.settings}

    @property
    def application(self) -> Any:
        """The Pyramid registry of the loaded application, or None."""
        return self._loaded.registry

    @cached_property
    def _loaded(self) -> Loaded:
        """The settings and the application; says once what cannot be loaded."""
        from ptah_migrate._pyramid.settings import Loaded

        self._announce()
        config = self.choice.config
        loaded = self._load(config) if config else Loaded()
        if loaded.logging:
            output.quiet_alembic(verbose=self.verbose)
        else:
            output.log_to_stderr(verbose=self.verbose, quiet=self.quiet)
        if loaded.problem and not self.no_app:
            output.warn(
                f"the application of {config} cannot be loaded ({loaded.problem}); "
                "going on with its settings and the installed entry points",
                "--no-app does not try to load it",
            )
        return loaded

    def _load(self, config: str) -> Loaded:
        from ptah_migrate._pyramid.application import load

        return load(config, application=not self.no_app)

    def _announce(self, *, database: bool = False) -> None:
        """Say first of all what was taken, and why; the application may talk after it."""
        if self._announced is not None:
            return
        url = self._database() if database else ""
        self._announced = url
        taken = [f"{self.choice.config} ({self.choice.why})"] if self.choice.config else []
        if url:
            taken.append(
                f"database {url}" if self.choice.config else f"database {url} ({self.choice.why})"
            )
        if taken:
            self._tell(f"Using {', '.join(taken)}")

    def _database(self) -> str:
        """Return the database that the settings name, without its password, as far as they do."""
        from ptah_migrate._runtime import masked

        if self.choice.url:
            return masked(self._url)
        settings = self.plain_settings
        url = "" if settings.get("ptah_migrate.engine") else settings.get("sqlalchemy.url")
        return masked(url) if url else ""

    @property
    def _url(self) -> URL:
        """The chosen URL; a relative SQLite file of a project lies in it, wherever we stand."""
        from ptah_migrate._runtime.engine import parse

        url = parse(self.choice.url)
        file = url.database or ""
        if url.get_backend_name() != "sqlite" or file.startswith((":", "file:", "/")) or not file:
            return url
        return url.set(database=str(self.choice.root / file))

    @property
    def plain_settings(self) -> Mapping[str, Any]:
        """The settings as the files alone tell them: no application is loaded."""
        return {**self.choice.settings, **self._written()}

    def _written(self) -> Mapping[str, str]:
        """Return the settings as the file alone tells them, none where it cannot be read."""
        from pathlib import Path

        from ptah_migrate._pyramid import inifile

        path, _, section = self.choice.config.partition("#")
        try:
            return inifile.read(Path(path), section) if path else {}
        except PtahMigrateError:  # said when it is loaded
            return {}

    def command(self, words: str) -> str:
        """Return a command line that works on the same settings; a URL is not repeated."""
        given = self.choice.config if self.choice.why == "given" else ""
        return " ".join(part for part in ("ptah-migrate", given, words) if part)

    # -- packages ----------------------------------------------------------------

    @cached_property
    def project_packages(self) -> tuple[Package, ...]:
        """The packages that the project around this folder declares."""
        from pathlib import Path

        from ptah_migrate.registry import from_project

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
            output.warn_of(problem)
        return found

    def all_packages(self) -> Registry:
        """Return the registry for a command that works on all of it; an empty one is told."""
        if not self.registry.packages:
            output.warn("no package is registered", NO_PACKAGE)
        return self.registry

    def _of_application(self) -> Registry:
        from ptah_migrate._pyramid.startup import packages_of
        from ptah_migrate.registry import Registry

        found = packages_of(self.application)
        own = {package.name: package for package in self.project_packages}
        return Registry(
            found, available={**found.available, **own}.values(), problems=found.problems
        )

    def _of_entry_points(self) -> Registry:
        from ptah_migrate._pyramid.settings import ACTIVE, with_installed, words

        own = {package.name: package for package in self.project_packages}
        return with_installed(own, words(self.settings, ACTIVE) or ["*"])

    def package(self, name: str | None) -> Package:
        """
        Return a package to write files for: the named one, or the project's only one.

        Raises:
            UsageError: none is named and the project has not exactly one.
            UnknownPackageError: there is none of this name.

        """
        own = {package.name: package for package in self.project_packages}
        if name is None and len(own) == 1:
            return next(iter(own.values()))
        if name is None:
            known = ", ".join(own or self.registry.packages)
            raise UsageError("name a package", hint=f"known: {known}" if known else NO_PACKAGE)
        return own.get(name) or self.registry.available.get(name) or self.registry.get(name)

    def chosen(self, names: tuple[str, ...]) -> tuple[Package, ...]:
        """
        Return the named packages, or all of the registry.

        Raises:
            UnknownPackageError: a name is not registered.

        """
        if names:
            return tuple(self.registry.get(name) for name in dict.fromkeys(names))
        return tuple(self.all_packages())

    # -- the database ------------------------------------------------------------

    def migrator(
        self, progress: Callable[[Done], None] | None = None, *, offline: bool = False
    ) -> Migrator:
        """
        Return a Migrator for the database, and say which one it is.

        ``offline``: that database is only a pattern for scratch ones, SQLite
        where none is named.

        Raises:
            ConfigError: the settings name no database, or there are none.

        """
        from ptah_migrate._pyramid.settings import migrator_options
        from ptah_migrate._runtime import Migrator, masked

        self._announce(database=not offline)
        bind = self._pattern() if offline else self._bind()
        place = masked(bind)
        if offline:
            self._tell(f"Using a scratch database on {_server(place)}")
        elif _without_driver(place) != _without_driver(self._announced or ""):
            self._tell(f"Using database {place}")
            self._announced = place
        options = migrator_options(self.settings)
        if self.lock_timeout is not None:
            options["lock_timeout"] = self.lock_timeout
        return Migrator(
            bind, self.all_packages(), x_arguments=self.x_arguments, progress=progress, **options
        )

    def announce_schema(self) -> None:
        """Let an application's subscribers add to its models before tables are planned or made."""
        if self.application is not None:
            from ptah_migrate._pyramid.startup import announce

            announce(self.application)

    def _tell(self, text: str) -> None:
        if not self.quiet:
            output.tell(text)

    def _pattern(self) -> Any:
        from ptah_migrate._runtime import engine_for

        named = self.choice.url or self.choice.config
        return self._bind() if named else engine_for("sqlite://")

    def _bind(self) -> Any:
        if self.choice.url:
            from ptah_migrate._runtime import engine_for

            return engine_for(self._url)
        if not self.choice.config:
            raise ConfigError(
                "no settings were found",
                hint="ptah-migrate SETTINGS.ini …, or --url sqlite:///app.sqlite, "
                "or url = … in [tool.ptah_migrate] of pyproject.toml",
            )
        from ptah_migrate._pyramid.engine import find

        return find(self.application, self.settings)


def known_names(incomplete: str) -> list[str]:
    """Return package names for shell completion: quick, silent, no application is loaded."""
    from pathlib import Path

    from ptah_migrate.registry import from_entry_points, from_project

    found: list[Package] = []
    with suppress(PtahMigrateError):
        found.extend(from_project(Path.cwd()))
    with suppress(PtahMigrateError):
        found.extend(from_entry_points()[0])
    return sorted({package.name for package in found if package.name.startswith(incomplete)})


def _server(url: str) -> str:
    """Return a URL without the database it names; a SQLite file is on no server."""
    scheme, _, rest = url.partition("://")
    return "SQLite" if scheme.startswith("sqlite") else f"{scheme}://{rest.partition('/')[0]}"


def _without_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"
