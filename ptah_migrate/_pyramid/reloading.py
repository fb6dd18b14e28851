"""
A server that starts anew whenever a file changes (``pserve --reload``, hupper).

It must see new revision files, and it must not run one that its author has only
just begun: the revision would be recorded, and its operations, once written,
never run.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Revision
from ptah_migrate.registry import Registry

logger = logging.getLogger("ptah.migrate")


def active() -> bool:
    """Return whether a reloader watches this process; hupper is loaded then, so none is here."""
    hupper = sys.modules.get("hupper")
    return hupper is not None and bool(hupper.is_active())


def watch(packages: Registry) -> None:
    """Let the reloader see every change in the directories of these packages."""
    from ptah_migrate._history import candidates
    from ptah_migrate.registry import directories

    paths: list[str] = []
    for package in packages:
        try:
            # A directory is watched for new files, each file for its own changes.
            paths += map(str, directories(package))
            paths += map(str, candidates(package))
        except PtahMigrateError:
            continue  # the start will say so
    if paths:
        sys.modules["hupper"].get_reloader().watch_files(paths)


def held_back(migrator: Any, operation: str, names: Iterable[str]) -> frozenset[str]:
    """Return the packages for which an operation would run an unwritten revision; log each."""
    revisions = (
        one for history in migrator.histories.values() for one in history.revisions.values()
    )
    if not any(revision.unwritten for revision in revisions):
        return frozenset()  # as nearly always, and the database need not be asked
    return frozenset(name for name in names if _says_unwritten(migrator, operation, name))


def _says_unwritten(migrator: Any, operation: str, name: str) -> bool:
    for revision in _unwritten(migrator, operation, name):
        logger.warning(
            "%s: %s is not written yet, a server that reloads leaves it alone (%s)",
            *(revision.package, revision.id, revision.path),
        )
        return True
    return False


def _unwritten(migrator: Any, operation: str, name: str) -> tuple[Revision, ...]:
    from ptah_migrate._runtime import unwritten

    try:
        return unwritten.found(migrator.plan(name, operation=operation), migrator.histories)
    except PtahMigrateError:
        return ()  # the operation itself will say so
