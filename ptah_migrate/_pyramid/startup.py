"""
The start of an application: populate, then upgrade, check, warn, or nothing.

It runs twice. A late action deals with what is registered when the
configuration is committed. The subscriber, which comes before those of other
packages, deals with what was registered after a commit half-way. What is done
is done once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

from ptah_migrate._pyramid import engine, reloading, steps
from ptah_migrate._pyramid.events import BeforeCreateDbSchema, DatabaseMigrated
from ptah_migrate._pyramid.settings import ACTIVE, migrator_options, with_installed, words
from ptah_migrate._pyramid.state import (
    OURSELVES,
    asked_mode,
    in_make_wsgi_app,
    may_populate,
    of,
    started_by,
)
from ptah_migrate.errors import ConfigError, PendingError, PtahMigrateError
from ptah_migrate.model import POPULATE_DB_SCHEMA, Plan, PopulateStep, Problem, Report
from ptah_migrate.registry import Registry

logger = logging.getLogger("ptah.migrate")

UPGRADE = "run: ptah-migrate SETTINGS.ini upgrade"


def at_commit(registry: Any) -> None:
    """
    Deal with what is registered now.

    A commit by the application's own code may be one half-way: packages whose
    neighbours are missing wait. The commit of ``make_wsgi_app`` is the last one;
    its error is kept for the subscriber, because from here it would reach the
    user inside Pyramid's ConfigurationExecutionError.
    """
    last = in_make_wsgi_app()
    try:
        _start(registry, final=last)
    except Exception as error:
        if not last:
            raise
        of(registry).failure = error


def at_created(event: Any) -> None:
    """Raise what the commit kept, or deal with what came after it."""
    state = of(event.app.registry)
    if state.failure is not None:
        failure, state.failure = state.failure, None
        raise failure
    script = started_by(state.script)
    if script and script != OURSELVES and (state.asked or state.populate):
        logger.info("started by %s: the database is left as it is", script)
    _start(event.app.registry, final=True)


def _start(registry: Any, *, final: bool) -> None:
    state = of(registry)
    if state.settled or state.failure is not None or started_by(state.script):
        return
    settings = registry.settings or {}
    mode = asked_mode(state, settings)
    populate = may_populate(state, settings)
    if mode == "off" and not populate:
        return
    packages = packages_of(registry)
    if final:
        _complain(packages.problems, words(settings, ACTIVE))
    if reloading.active():
        reloading.watch(packages)
    waiting = frozenset() if final else _waiting(packages)
    state.announced = False
    if populate:
        _populate(registry, packages, _due(packages, state.seeded | waiting), final=final)
    if mode != "off":
        _look(registry, mode, packages, _due(packages, state.ready | waiting))
        if final and mode == "upgrade" and not state.migrated:
            _migrated(registry, Report(Plan()))
    state.settled = final


def _due(packages: Registry, without: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in packages.packages if name not in without)


def _complain(problems: Sequence[Problem], wished: Sequence[str]) -> None:
    """
    Log what cannot be used, when every installed package is wished for.

    Raises:
        ConfigError: a package that was wished for by name cannot be used.

    """
    for problem in problems:
        if problem.subject in wished:
            raise ConfigError(problem.message, hint=problem.hint)
        if "*" in wished:
            logger.warning("%s", problem.message)


def _waiting(packages: Registry) -> frozenset[str]:
    """Return the packages whose neighbours may still be registered, and who waits for these."""
    from ptah_migrate._history import read

    needs: dict[str, set[str]] = {}
    for package in packages:
        try:
            wishes = read(package).wishes
        except PtahMigrateError:
            continue  # the upgrade will say so
        needs[package.name] = {need.package for one in wishes for need in one.requires}
    waiting: set[str] = set()
    while more := {
        name
        for name, wanted in needs.items()
        if name not in waiting and (wanted - packages.packages.keys() or wanted & waiting)
    }:
        waiting |= more
    return frozenset(waiting)


# -- populating ------------------------------------------------------------------------


def _populate(registry: Any, packages: Registry, names: Sequence[str], *, final: bool) -> None:
    """Run the active steps not run yet; before the end, only those that have all they need."""
    state = of(registry)
    known = all_steps(registry)
    for step in steps.choose(known if final else steps.satisfied(known)):
        if step.factory is create_schema:
            _seed(registry, packages, names)
        elif step.name not in state.populated:
            steps.run(step, registry)
            state.populated.add(step.name)


def _seed(registry: Any, packages: Registry, names: Sequence[str]) -> None:
    if names:
        announce(registry)
        ready, found = _written(registry, packages, names, "populate")
        if ready:
            found.seed(*ready)
        of(registry).seeded.update(names)


def _written(
    registry: Any, packages: Registry, names: Sequence[str], operation: str
) -> tuple[Sequence[str], Any]:
    """Return the packages to go on with, and the migrator; a reloading server waits for authors."""
    if not reloading.active():
        return names, migrator(registry, packages=packages)
    held = reloading.held_back(migrator(registry, packages=packages), operation, names)
    found = migrator(registry, packages=packages, refuse_unwritten=True)
    return [name for name in names if name not in held], found


# -- the modes ---------------------------------------------------------------------------


def _look(registry: Any, mode: str, packages: Registry, names: Sequence[str]) -> None:
    """Do to these packages what the mode says."""
    if not names:
        return
    if mode == "upgrade":
        announce(registry)
        ready, found = _written(registry, packages, names, "upgrade")
        _migrated(registry, found.upgrade(*ready) if ready else Report(Plan()))
    elif mode == "check":
        _check(migrator(registry, packages=packages), names)
    else:
        _warn(registry, packages, names)
    of(registry).ready.update(names)


def _migrated(registry: Any, report: Report) -> None:
    of(registry).migrated = True
    registry.notify(DatabaseMigrated(registry, report))


def _check(found: Any, names: Sequence[str]) -> None:
    """Refuse to go on when packages are pending; a database that was never migrated may."""
    if not found.initialised():
        return
    try:
        found.check(*names)
    except PendingError as error:
        for line in error.lines:
            logger.error("%s", line)
        logger.error("the application does not start; %s", UPGRADE)
        raise PendingError(error.lines, hint=UPGRADE) from None


def _warn(registry: Any, packages: Registry, names: Sequence[str]) -> None:
    """Say what is pending, or why that cannot be told; never stop the application."""
    try:
        migrator(registry, packages=packages).check(*names)
    except PendingError as error:
        for line in error.lines:
            logger.warning("%s", line)
        logger.warning("%s", UPGRADE)
    except PtahMigrateError as error:
        logger.warning("whether migrations are pending is not known: %s", error)


# -- what commands use too -----------------------------------------------------------


def packages_of(registry: Any) -> Registry:
    """
    Return an application's packages: what it includes is active, what is only installed available.

    The setting ``ptah_migrate.packages`` makes installed ones active without an
    include: names, or ``*`` for all.
    """
    return with_installed(of(registry).packages, words(registry.settings or {}, ACTIVE))


def migrator(registry: Any, **options: Any) -> Any:
    """Return a Migrator for an application's database and packages, as its settings say."""
    from ptah_migrate._runtime import Migrator

    return Migrator(
        options.pop("bind", None) or engine.find(registry),
        options.pop("packages", None) or packages_of(registry),
        **{**migrator_options(registry.settings or {}), **options},
    )


def create_schema(registry: Any) -> None:
    """Create the missing tables of packages without a version, and record their heads."""
    announce(registry)
    migrator(registry).seed()


def announce(registry: Any) -> None:
    """Tell subscribers that tables may be created now; once for each part of a start."""
    state = of(registry)
    if not state.announced:
        state.announced = True
        registry.notify(BeforeCreateDbSchema(registry))


def all_steps(registry: Any) -> dict[str, PopulateStep]:
    """Return an application's populate steps by name, our own one included."""
    return {POPULATE_DB_SCHEMA: steps.schema_step(create_schema), **of(registry).steps}
