"""The checks by name, and how a test module asks for them. Loads nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of a package: its name, in words, and whether it takes a database."""

    name: str
    words: str
    database: bool = True


CHECKS = (
    Check("single_head", "no two revisions follow the same one", database=False),
    Check("files", "names, ids and the chain of the files are sound", database=False),
    Check("upgrade_from_empty", "every revision runs on an empty database"),
    Check("stairway", "each revision runs, is taken back, and runs again"),
    Check("models_match", "after the last revision the tables are those of the models"),
    Check("downgrade_leaves_no_trace", "a downgrade takes back what its upgrade made"),
    Check("seed_equals_upgrade", "tables made from the models equal those of the revisions"),
    Check("with_dependencies", "it runs with what it requires, at the least and at the head"),
    Check("sql_mode", "the SQL script gives the same tables"),
    Check("packaged", "the wheel has every file", database=False),
)


class MigrationTests:
    """
    All checks of one package, in a test module: ``test_migrations = MigrationTests("blog")``.

    The package is looked for in the project of the module, then among the
    installed ones. Keyword arguments are those of ``register_migration`` and
    replace what is registered: ``metadata="blog.models:Base.metadata"`` where a
    registration is computed, and cannot be read.
    """

    __slots__ = ("package", "registration")

    def __init__(self, package: str, **registration: Any) -> None:
        self.package = package
        self.registration = MappingProxyType(dict(registration))

    def __repr__(self) -> str:
        return f"MigrationTests({self.package!r})"


class FailedCheck(Exception):
    """A package does not keep a promise; the text is for its author, with what helps."""


class NotApplicable(Exception):
    """A check cannot judge this package; the text says why."""
