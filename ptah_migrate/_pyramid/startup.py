"""
The start of an application: populate, then upgrade, check, warn, or nothing.

It runs twice. A late action deals with what is registered when the
configuration is committed, so that other packages' ``ApplicationCreated``
subscribers find their tables. The subscriber deals with what was registered
after a commit half-way. What is done is done once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from ptah_migrate._pyramid import engine, steps
from ptah_migrate._pyramid.events import BeforeCreateDbSchema, DatabaseMigrated
from ptah_migrate._pyramid.state import State, asked_mode, of, started_by
from ptah_migrate.errors import PendingError, PtahMigrateError
from ptah_migrate.model import POPULATE_DB_SCHEMA, Package, PopulateStep
from ptah_migrate.registry import Registry, from_entry_points

logger = logging.getLogger("ptah.migrate")

ACTIVE = "ptah_migrate.packages"
SKIP_TABLES = "ptah_migrate.skip_tables"
POLICY = "ptah_migrate.seed_policy"
LOCK_TIMEOUT = "ptah_migrate.lock_timeout"
SCHEMA = "ptah_migrate.version_table_schema"


def at_commit(registry: Any) -> None:
    """
    Deal with what is registered now; packages whose neighbours are missing wait.

    An error is kept for the subscriber when ``make_wsgi_app`` committed: raised
    here it would reach the user inside Pyramid's ConfigurationExecutionError.
    """
    try:
        _start(registry, final=False)
    except Exception as error:
        if not _in_make_wsgi_app():
            raise
        of(registry).failure = error


def at_created(event: Any) -> None:
    """Raise what the commit kept, or deal with what came after it."""
    state = of(event.app.registry)
    if state.failure is not None:
        failure, state.failure = state.failure, None
        raise failure
    _start(event.app.registry, final=True)


def _in_make_wsgi_app() -> bool:
    frame = sys._getframe(1)  # noqa: SLF001 - Pyramid does not tell who commits
    while frame is not None:
        if (
            frame.f_code.co_name == "make_wsgi_app"
            and frame.f_globals.get("__name__") == "pyramid.config"
        ):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _start(registry: Any, *, final: bool) -> None:
    state = of(registry)
    mode = asked_mode(state, registry.settings or {})
    if mode == "off" and not state.populate:
        return
    script = started_by(state.script)
    if script:
        if final:
            logger.info("started by %s: the database is left as it is", script)
        return
    packages = _waiting(state, final=final)
    if state.populate and not state.populated and (final or packages):
        state.populated = True
        for step in steps.choose(all_steps(registry)):
            step.factory(registry)
    if mode != "off" and packages:
        _MODES[mode](registry, packages)
        state.ready.update(packages)


def _waiting(state: State, *, final: bool) -> tuple[str, ...]:
    """Return the packages to deal with now, without those whose neighbours may still come."""
    names = [name for name in sorted(state.packages) if name not in state.ready]
    if final or not names:
        return tuple(names)
    from ptah_migrate._history import read

    known = set(state.packages)
    waiting: set[str] = set()
    needs: dict[str, set[str]] = {}
    for name in names:
        try:
            history = read(state.packages[name])
        except PtahMigrateError:
            continue
        needs[name] = {
            requirement.package
            for revision in history.revisions.values()
            for requirement in revision.requires
            if not requirement.optional
        }
    changed = True
    while changed:
        changed = False
        for name, packages in needs.items():
            if name not in waiting and (packages - known or packages & waiting):
                waiting.add(name)
                changed = True
    return tuple(name for name in names if name not in waiting)


def _upgrade(registry: Any, names: Iterable[str]) -> None:
    report = migrator(registry).upgrade(*names)
    registry.notify(DatabaseMigrated(registry, report))


def _check(registry: Any, names: Iterable[str]) -> None:
    found = migrator(registry)
    if not found.initialised():
        return
    try:
        found.check(*names)
    except PendingError as error:
        for line in error.lines:
            logger.error("%s", line)
        logger.error("the application does not start; run: ptah-migrate SETTINGS.ini upgrade")
        raise


def _warn(registry: Any, names: Iterable[str]) -> None:
    try:
        migrator(registry).check(*names)
    except PendingError as error:
        for line in error.lines:
            logger.warning("%s", line)
        logger.warning("run: ptah-migrate SETTINGS.ini upgrade")


_MODES = {"upgrade": _upgrade, "check": _check, "warn": _warn}


# -- what commands use too -----------------------------------------------------------


def packages_of(registry: Any) -> Registry:
    """
    Return an application's packages: what it includes is active, what is only installed available.

    The setting ``ptah_migrate.packages`` makes installed ones active without an
    include: names, or ``*`` for all.
    """
    settings = registry.settings or {}
    included = of(registry).packages
    wished = str(settings.get(ACTIVE) or "").split()
    installed, problems = from_entry_points()
    others = [package for package in installed if package.name not in included]

    def active(package: Package) -> bool:
        return "*" in wished or package.name in wished

    return Registry(
        [*included.values(), *(package for package in others if active(package))],
        available=[package for package in others if not active(package)],
        problems=[problem for problem in problems if problem.subject not in included],
    )


def migrator(registry: Any, **options: Any) -> Any:
    """Return a Migrator for an application's database and packages, as its settings say."""
    from ptah_migrate._runtime import Migrator

    settings = registry.settings or {}
    return Migrator(
        options.pop("bind", None) or engine.find(registry),
        options.pop("packages", None) or packages_of(registry),
        **{**migrator_options(settings), **options},
    )


def migrator_options(settings: Any) -> dict[str, Any]:
    """Return the arguments of a Migrator that settings can give."""
    found: dict[str, Any] = {}
    if settings.get(POLICY):
        found["seed_policy"] = str(settings[POLICY]).strip()
    if settings.get(LOCK_TIMEOUT):
        found["lock_timeout"] = float(settings[LOCK_TIMEOUT])
    if settings.get(SCHEMA):
        found["version_table_schema"] = str(settings[SCHEMA]).strip()
    if settings.get(SKIP_TABLES):
        found["skip_tables"] = str(settings[SKIP_TABLES]).split()
    return found


def create_schema(registry: Any) -> None:
    """Create the missing tables of packages without a version, and record their heads."""
    announce(registry)
    migrator(registry).seed()


def announce(registry: Any) -> None:
    """Tell subscribers that tables are about to be created."""
    registry.notify(BeforeCreateDbSchema(registry))


def all_steps(registry: Any) -> dict[str, PopulateStep]:
    """Return an application's populate steps by name, our own one included."""
    return {POPULATE_DB_SCHEMA: steps.schema_step(create_schema), **of(registry).steps}
