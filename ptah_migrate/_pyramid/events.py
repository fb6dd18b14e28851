"""What Pyramid subscribers can listen to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ptah_migrate.model import Report


@dataclass(frozen=True, slots=True, eq=False)
class BeforeCreateDbSchema:
    """About to create missing tables; the last moment to add to a MetaData."""

    registry: Any


@dataclass(frozen=True, slots=True, eq=False)
class DatabaseMigrated:
    """The start-up upgrade is done; ``report`` says what it did, perhaps nothing."""

    registry: Any
    report: Report
