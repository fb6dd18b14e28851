"""Who answers where nobody can be asked: nothing was renamed, existing rows get what is safe."""

from __future__ import annotations

from collections.abc import Sequence

from ptah_migrate.drafts import Fill, Questioner, Rename
from ptah_migrate.errors import UsageError


class Unattended:
    """The answers of nobody, and notes of what was decided."""

    def __init__(self) -> None:
        self._notes: dict[str, list[str]] = {}

    def renamed(self, rename: Rename) -> bool:
        """Return no; say how to say yes."""
        self._notes.setdefault(rename.package, []).append(_dropped(rename))
        return False

    def value(self, fill: Fill, problem: str) -> str | None:
        """Return the default; say which one."""
        self._notes.setdefault(fill.package, []).append(_filled(fill))
        return None

    def notes(self, package: str) -> tuple[str, ...]:
        """Return what was decided."""
        return tuple(self._notes.get(package, ()))


class Silent(Unattended):
    """The same, without notes: for the way back."""

    def renamed(self, rename: Rename) -> bool:
        """Return no."""
        return False

    def value(self, fill: Fill, problem: str) -> str | None:
        """Return the default."""
        return None


class Told:
    """Answers given beforehand (``--rename``); what they leave open goes to another questioner."""

    def __init__(self, renames: Sequence[str], other: Questioner) -> None:
        self._wanted = dict.fromkeys(renames, False)
        self._sources = {text.partition(":")[0] for text in renames}
        self._targets = {_target(text) for text in renames}
        self._other = other
        self.possible: list[str] = []

    def renamed(self, rename: Rename) -> bool:
        """Return whether this was said; ask about what nothing was said about."""
        text = str(rename)
        self.possible.append(text)
        if text in self._wanted:
            self._wanted[text] = True
            return True
        if text.partition(":")[0] in self._sources or _target(text) in self._targets:
            return False
        return self._other.renamed(rename)

    def value(self, fill: Fill, problem: str) -> str | None:
        """Ask the other one."""
        return self._other.value(fill, problem)

    def notes(self, package: str) -> tuple[str, ...]:
        """Return what the other one decided."""
        return self._other.notes(package)

    def refuse_unused(self) -> None:
        """
        Refuse a rename that was told and cannot be.

        Raises:
            UsageError: nothing of that name was dropped and added.

        """
        unused = [text for text, used in self._wanted.items() if not used]
        if unused:
            known = ", ".join(dict.fromkeys(self.possible))
            raise UsageError(
                f"'{unused[0]}' renames nothing that was dropped to something alike that was added",
                hint=f"possible: {known}" if known else "nothing can be a rename here",
            )


def _target(text: str) -> str:
    old, _, new = text.partition(":")
    table, dot, _ = old.rpartition(".")
    return f"{table}{dot}{new}"


def _dropped(rename: Rename) -> str:
    place = f"{rename.table}." if rename.table else ""
    return (
        f"{place}{rename.old} is dropped and {place}{rename.new} added; "
        f"if it was renamed: --rename {rename}"
    )


def _filled(fill: Fill) -> str:
    if fill.default is None:
        return f"{fill} gets no value in existing rows: the step fails where there are some"
    return f"{fill} is {fill.default} in existing rows"
