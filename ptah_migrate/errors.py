"""
Every deliberate error of ptah-migrate.

An error is a message (what is wrong, the offending name in quotes), a hint
(what to type next) and an exit code. It keeps its data as attributes, so that
callers never parse a message. ``id`` names the error's entry in the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

FAILED = 1
USAGE = 2
PENDING = 3
LOCKED = 4
NEEDS_CONFIRMATION = 5


class PtahMigrateError(Exception):
    """Something ptah-migrate refuses or could not do, in words for a person."""

    id: ClassVar[str] = "error"
    exit_code: ClassVar[int] = FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


# -- asking for something that is not there ---------------------------------


class UsageError(PtahMigrateError):
    """The words of the request are wrong: an option, a target, a combination."""

    id = "usage"
    exit_code = USAGE


class UnknownPackageError(PtahMigrateError, ValueError):
    """No migrations are registered under this name."""

    id = "unknown-package"

    def __init__(self, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(
            f"no migrations are registered for '{name}'",
            hint=hint or _did_you_mean(name, self.known, "registered"),
        )


class UnknownRevisionError(PtahMigrateError, ValueError):
    """The package has no such revision."""

    id = "unknown-revision"

    def __init__(
        self, package: str, revision: str, known: Sequence[str], *, needed_by: str = ""
    ) -> None:
        self.package = package
        self.revision = revision
        self.known = tuple(known)
        self.needed_by = needed_by
        named = f", named by {needed_by}" if needed_by else ""
        super().__init__(
            f"package '{package}' has no revision '{revision}'{named}",
            hint=_did_you_mean(revision, self.known, "known"),
        )


class UnknownStepError(PtahMigrateError, RuntimeError):
    """No populate step has this name."""

    id = "unknown-populate-step"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(
            f"no populate step is called '{name}'",
            hint=_did_you_mean(name, self.known, "known"),
        )


class TargetError(UsageError):
    """A target such as ``blog:+1`` does not name a place in the history."""

    id = "target"


class ConfigError(PtahMigrateError):
    """The settings do not say what to work on, or cannot be read."""

    id = "settings"


class MissingExtraError(PtahMigrateError):
    """A feature needs a distribution that is not installed."""

    id = "missing-extra"

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(f"{feature} is not installed", hint=f"pip install 'ptah-migrate[{extra}]'")


# -- registration --------------------------------------------------------------


class RegistrationError(PtahMigrateError, ValueError):
    """A registration says something impossible."""

    id = "registration"


class RegistrationConflictError(RegistrationError):
    """Two places register one package differently."""

    id = "registration-conflict"

    def __init__(self, package: str, first: str, second: str) -> None:
        self.package = package
        self.places = (first, second)
        super().__init__(
            f"package '{package}' is registered twice: {first} and {second}",
            hint="remove one registration, or override it from the application",
        )


class PackagePathError(PtahMigrateError):
    """The registered directory of revisions is not there."""

    id = "package-path"

    def __init__(self, package: str, path: str, reason: str = "does not exist") -> None:
        self.package = package
        self.path = path
        super().__init__(
            f"the migrations directory '{path}' of package '{package}' {reason}",
            hint=f"run: ptah-migrate init {package}, or correct the registered path",
        )


# -- histories -----------------------------------------------------------------


class HistoryError(PtahMigrateError):
    """The revision files of a package do not make a usable history."""

    id = "history"

    def __init__(self, package: str, message: str, *, hint: str = "") -> None:
        self.package = package
        super().__init__(message, hint=hint)


class RevisionFileError(HistoryError):
    """One revision file cannot be read, imported, or lacks what it must have."""

    id = "revision-file"

    def __init__(
        self, package: str, path: str, problem: str, *, line: int | None = None, hint: str = ""
    ) -> None:
        self.path = path
        self.line = line
        self.problem = problem
        place = path if line is None else f"{path}:{line}"
        super().__init__(
            package, f"{place}: {problem}", hint=hint or f"correct the file of package '{package}'"
        )


class DuplicateRevisionError(HistoryError):
    """Two files of a package carry the same id."""

    id = "duplicate-revision"

    def __init__(self, package: str, revision: str, paths: Sequence[str]) -> None:
        self.revision = revision
        self.paths = tuple(paths)
        super().__init__(
            package,
            f"revision '{revision}' of package '{package}' is in two files: {' and '.join(paths)}",
            hint="give one of them another id, and correct its down_revision",
        )


class IrreversibleError(HistoryError):
    """A downgrade would pass a revision that has no way back."""

    id = "irreversible"

    def __init__(self, package: str, revision: str, path: str) -> None:
        self.revision = revision
        self.path = path
        super().__init__(
            package,
            f"revision '{revision}' of package '{package}' has no downgrade() ({path})",
            hint="write it, or restore a backup and stamp",
        )


class UnwrittenError(HistoryError):
    """A revision that nobody has written yet would be run, or recorded as applied."""

    id = "not-written"

    def __init__(self, package: str, revision: str, path: str) -> None:
        self.revision = revision
        self.path = path
        super().__init__(
            package,
            f"revision '{revision}' of package '{package}' is not written yet ({path})",
            hint="write it, then remove each comment '# ptah-migrate: not written yet' from it",
        )


class MultipleHeadsError(HistoryError):
    """The history ends in several revisions and none was chosen."""

    id = "several-heads"

    def __init__(self, package: str, heads: Sequence[str]) -> None:
        self.heads = tuple(heads)
        super().__init__(
            package,
            f"package '{package}' has {len(heads)} heads: {', '.join(heads)}",
            hint=f"run: ptah-migrate merge {package}, or name one: {package}:{heads[0]}, "
            f"or all: {package}:heads",
        )


class CycleError(PtahMigrateError):
    """Revisions, or populate steps, require one another in a circle."""

    id = "cycle"

    def __init__(
        self,
        members: Sequence[str],
        *,
        what: str = "revisions",
        hint: str = "remove one of these requires, run_before or down_revision lines",
    ) -> None:
        self.members = tuple(members)
        super().__init__(
            f"{what} require one another: {' -> '.join((*self.members, self.members[0]))}",
            hint=hint,
        )


class MissingPackageError(PtahMigrateError):
    """A revision requires a package that is not registered."""

    id = "missing-package"

    def __init__(self, package: str, needed_by: str, *, installed: bool = False) -> None:
        self.package = package
        self.needed_by = needed_by
        super().__init__(
            f"{needed_by} requires package '{package}', which is not registered",
            hint=(
                f"'{package}' is installed but not included: include it in the application"
                if installed
                else f"install and include '{package}', or write '?{package}:…' if it is optional"
            ),
        )


# -- the state of a database ------------------------------------------------------


class VersionTableError(PtahMigrateError):
    """The version table exists and is not ours."""

    id = "version-table"

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self.table = table
        self.columns = tuple(columns)
        super().__init__(
            f"table '{table}' has other columns than package and version_num: "
            f"{', '.join(columns) or 'none'}",
            hint="rename that table, or use another database",
        )


class DatabaseAheadError(PtahMigrateError):
    """The database records a revision that the installed code does not know."""

    id = "database-ahead"

    def __init__(self, package: str, recorded: Sequence[str], known: Sequence[str]) -> None:
        self.package = package
        self.recorded = tuple(recorded)
        self.known = tuple(known)
        head = f", newest here is '{known[-1]}'" if known else ""
        super().__init__(
            f"the database has revision '{', '.join(recorded)}' of package '{package}', "
            f"which the installed code does not know{head}",
            hint=f"install the release of '{package}' that has it, "
            f"or record another one: ptah-migrate stamp --purge {package}:REVISION",
        )


class UnrecordedTablesError(PtahMigrateError):
    """Tables of a package are there, no version is, and they are not as its models say."""

    id = "unrecorded-tables"

    def __init__(
        self,
        package: str,
        tables: Sequence[str],
        differences: Sequence[str],
        *,
        half_done: str = "",
    ) -> None:
        self.package = package
        self.tables = tuple(tables)
        self.differences = tuple(differences)
        self.half_done = half_done
        shown = "; ".join(self.differences) or "package has no models to compare them with"
        super().__init__(
            f"tables of package '{package}' exist ({', '.join(tables)}) but no version is "
            f"recorded, and they are not known to be at its head: {half_done or shown}",
            hint=(
                "undo what it left, then run the same command again"
                if half_done
                else f"record what they are: ptah-migrate stamp {package}:REVISION"
            ),
        )


class DependantsError(PtahMigrateError):
    """A downgrade would pull a revision from under other packages."""

    id = "dependants"
    exit_code = NEEDS_CONFIRMATION

    def __init__(self, package: str, dependants: Sequence[str]) -> None:
        self.package = package
        self.dependants = tuple(dependants)
        super().__init__(
            f"other packages still need what the downgrade of '{package}' takes away: "
            f"{', '.join(dependants)}",
            hint="--cascade downgrades them first",
        )


class ConfirmationNeeded(PtahMigrateError):
    """The command removes more than was named, and nobody said yes."""

    id = "confirmation"
    exit_code = NEEDS_CONFIRMATION


class PendingError(PtahMigrateError):
    """Packages are not at their heads and the caller wanted them to be."""

    id = "pending"
    exit_code = PENDING

    def __init__(self, lines: Sequence[str], *, hint: str = "run: ptah-migrate upgrade") -> None:
        self.lines = tuple(lines)
        super().__init__("migrations are pending: " + "; ".join(lines), hint=hint)


# -- models --------------------------------------------------------------------------


class ModelsError(PtahMigrateError):
    """The models of a package cannot be compared with anything: there are none, or no tables."""

    id = "models"


class OwnershipError(ModelsError):
    """A table of shared models has two owners, or none."""

    id = "ownership"

    def __init__(self, package: str, problems: Sequence[str]) -> None:
        self.package = package
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(problems),
            hint="say whose it is: info={'ptah_package': …} at the table, "
            "or tables=[…] at the registration",
        )


class DatabaseBehindError(PendingError):
    """The database is not at the head of a package whose models it is compared with."""

    id = "behind"

    def __init__(self, lines: Sequence[str], packages: Sequence[str]) -> None:
        self.packages = tuple(packages)
        super().__init__(lines, hint=f"run: ptah-migrate upgrade {' '.join(packages)}")


# -- applying ---------------------------------------------------------------------


class DatabaseError(PtahMigrateError):
    """The database cannot be reached, or refuses what every command needs."""

    id = "database"


class LockError(PtahMigrateError):
    """Another runner holds the database."""

    id = "lock"
    exit_code = LOCKED

    def __init__(self, waited: float, holder: str = "") -> None:
        self.waited = waited
        self.holder = holder
        who = f" by {holder}" if holder else ""
        super().__init__(
            f"the migration lock is held{who}, waited {waited:g} s",
            hint="wait for it to finish, or give more time: --lock-timeout SECONDS",
        )


class LockLostError(PtahMigrateError):
    """The connection that held the lock is gone; nothing more may be run."""

    id = "lock-lost"

    def __init__(self) -> None:
        super().__init__(
            "the connection that held the migration lock was lost",
            hint="finished steps are recorded: run the same command again",
        )


class StepError(PtahMigrateError):
    """A revision's own code failed."""

    id = "step"

    def __init__(
        self,
        package: str,
        revision: str,
        *,
        cause: str,
        place: str = "",
        applied: Sequence[str] = (),
        left_behind: int = 0,
        direction: str = "upgrade",
    ) -> None:
        self.package = package
        self.revision = revision
        self.cause = cause
        self.place = place
        self.applied = tuple(applied)
        self.left_behind = left_behind
        self.direction = direction
        at = f" at {place}" if place else ""
        stays = ", ".join(applied)
        done = f"stays applied: {stays}" if stays else "nothing was applied before it"
        half = (
            f"; {left_behind} statement(s) of '{revision}' were executed and this database "
            "cannot roll them back"
            if left_behind
            else ""
        )
        super().__init__(
            f"{direction} of package '{package}' failed in revision '{revision}'{at}: "
            f"{cause} ({done}{half})",
            hint=(
                f"undo what '{revision}' left, correct it, then run the same command again"
                if left_behind
                else "correct it, then run the same command again"
            ),
        )


class PopulateError(PtahMigrateError):
    """A populate step's own code failed."""

    id = "populate-step"

    def __init__(self, step: str, cause: str) -> None:
        self.step = step
        self.cause = cause
        super().__init__(
            f"populate step '{step}' failed: {cause}",
            hint="correct it, then run the same command again; --traceback shows where",
        )


class OfflineError(PtahMigrateError):
    """A revision cannot be written as an SQL script."""

    id = "offline"


# -- authoring --------------------------------------------------------------------


class AuthoringError(PtahMigrateError):
    """Files cannot be generated or changed as asked."""

    id = "authoring"


class RevisionExistsError(AuthoringError, KeyError):
    """The package already has a revision of this id."""

    id = "revision-exists"

    def __init__(self, package: str, revision: str, path: str = "") -> None:
        self.package = package
        self.revision = revision
        self.path = path
        super().__init__(
            f"package '{package}' already has a revision '{revision}'",
            hint="leave -r out to get the next number",
        )


class RevisionIdError(AuthoringError, ValueError):
    """A new revision cannot have this id."""

    id = "revision-id"


class NameTakenError(AuthoringError, ValueError):
    """A package cannot have this name."""

    id = "package-name"


def _did_you_mean(name: str, known: Sequence[str], label: str) -> str:
    """Return a hint that names the nearest known words, and the known ones when they are few."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=2)
    parts = [f"did you mean {' or '.join(repr(word) for word in close)}?"] if close else []
    if known:
        shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        parts.append(f"{label}: {shown}")
    else:
        parts.append(f"{label}: none")
    return " ".join(parts)


ERRORS: Mapping[str, type[PtahMigrateError]] = {
    cls.id: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, PtahMigrateError)
}
