"""
What comparing models with a database finds, and what a revision is written from.

Values as those of ``model``, in a module of their own: nothing that only runs
revisions needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One difference between a database and the models of a package, in words.

    ``kind`` is Alembic's name of it (``add_column``); ``side`` says who has what
    the other one lacks: ``models``, ``database``, or ``both``, which differ.
    """

    table: str
    words: str
    kind: str = ""
    side: str = "both"


@dataclass(frozen=True, slots=True)
class Body:
    """
    What a revision does, as Python source that was rendered from the models.

    Attributes:
        package: whose revision.
        upgrade: statements of ``upgrade()``, not indented; empty for none.
        downgrade: statements of ``downgrade()``.
        imports: import statements that these need.
        requires: revisions of other packages that must be there before.
        after: packages whose new revision of the same run must be there before.
        notes: what was decided where nobody could be asked.
        changes: what was found, in words, one by one.
        message: the same in one short line.

    """

    package: str
    upgrade: str = ""
    downgrade: str = ""
    imports: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    message: str = ""

    def __bool__(self) -> bool:
        return bool(self.upgrade or self.downgrade)


@dataclass(frozen=True, slots=True)
class Rename:
    """What may have been renamed: a column of ``table``, or a table where that is empty."""

    package: str
    table: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.table}.{self.old}:{self.new}" if self.table else f"{self.old}:{self.new}"


@dataclass(frozen=True, slots=True)
class Fill:
    """
    A column that must have a value in every row, and the rows there may be without one.

    ``default`` is the Python source of what they get if nobody says; None where
    there is no safe one.
    """

    package: str
    table: str
    column: str
    type: str
    default: str | None

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


class Questioner(Protocol):
    """Answers what the models cannot tell."""

    def renamed(self, rename: Rename) -> bool:
        """Return whether a thing was renamed; otherwise it is dropped, and another one added."""

    def value(self, fill: Fill, problem: str) -> str | None:
        """Return what existing rows get, None for the default; ``problem``: of the last answer."""

    def notes(self, package: str) -> tuple[str, ...]:
        """Return what was decided for a package without asking anybody."""
