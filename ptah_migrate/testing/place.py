"""The database of a check: what runs there, and how it gets empty again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ptah_migrate import _history
from ptah_migrate._history import History
from ptah_migrate._runtime import Migrator, schema
from ptah_migrate._runtime.plan import reach
from ptah_migrate.errors import ConfigError, PtahMigrateError, TargetError
from ptah_migrate.model import Package
from ptah_migrate.registry import Registry
from ptah_migrate.testing import emptying, snapshot
from ptah_migrate.testing.declared import FailedCheck, NotApplicable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ptah_migrate.testing.snapshot import Snapshot
    from ptah_migrate.testing.subjects import Subject


@dataclass(frozen=True, slots=True)
class Turn:
    """
    One revision, run and taken back: the schema before, after, and when taken back.

    ``failure`` is what the downgrade raised; ``back`` is None then.
    """

    revision: str
    before: Snapshot
    after: Snapshot
    back: Snapshot | None
    failure: PtahMigrateError | None = None


class Place:
    """
    One package in a database that was empty, with all that it requires.

    Its revisions always run, whatever its registration says of a fresh
    database; its models are left out where they cannot be imported. So one
    defect does not look like another.

    Raises:
        FailedCheck: the database is not empty.
        NotApplicable: the files cannot be read, or there are none.

    """

    def __init__(self, subject: Subject, engine: Engine) -> None:
        self.subject = subject
        self.engine = engine
        self.name = subject.name
        self.history = readable(subject)
        if found := emptying.inhabitants(engine):
            raise FailedCheck(
                f"the database of ptah_engine is not empty: it has {', '.join(found[:5])}; "
                "the checks drop what they find, so give them one of their own"
            )
        self._kept = emptying.schemas(engine)
        self._at_least = False

    # -- the package -----------------------------------------------------------------

    @cached_property
    def models_problem(self) -> ConfigError | None:
        """Why the models cannot be imported, if so."""
        try:
            schema.metadata(self.subject.package)
        except ConfigError as error:
            return error
        return None

    @cached_property
    def package(self) -> Package:
        """The package, with models only if they can be imported."""
        if self.models_problem is None:
            return self.subject.package
        return self.subject.package._replace(metadata=None)

    @cached_property
    def partial(self) -> bool:
        """Whether the history starts from tables that existed before."""
        return is_partial(self.package, self.history, self.registered)

    def whole(self) -> None:
        """
        Go on only with a history that makes all its tables.

        Raises:
            NotApplicable: it starts from tables that existed before.

        """
        if self.partial:
            raise NotApplicable(
                f"the history of {self.name} starts from tables that existed before"
            )

    @cached_property
    def registered(self) -> Migrator:
        """What migrates the database as the package is registered."""
        return self._migrator(self.package)

    @cached_property
    def migrator(self) -> Migrator:
        """What migrates the database; runs every step of a history that is whole."""
        return self._migrator(
            self.package if self.partial else self.package._replace(fresh="steps")
        )

    def _migrator(self, package: Package) -> Migrator:
        packages = {**self.subject.registry.packages, package.name: package}
        return Migrator(self.engine, Registry(packages.values()))

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the packages that the revisions require."""
        return tuple(
            sorted(
                {
                    wish.package
                    for revision in self.history.revisions.values()
                    for wish in revision.requires
                    if not (wish.optional and wish.package not in self.subject.registry.packages)
                }
            )
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of ``required`` that are not here."""
        return tuple(name for name in self.required if name not in self.subject.registry.packages)

    @cached_property
    def neighbours(self) -> tuple[str, ...]:
        """Every other package that is needed, those that these need included."""
        found = reach([self.name], self.migrator.histories)
        return tuple(sorted(name for name in found if name != self.name))

    # -- the database ----------------------------------------------------------------

    def empty(self) -> None:
        """Drop everything that was made."""
        emptying.empty(self.engine, self._kept)

    def schema(self) -> Snapshot:
        """Return the schema as plain values."""
        return snapshot.schema(self.engine)

    def rows(self) -> dict[str, list[str]]:
        """Return the rows as plain values."""
        return snapshot.rows(self.engine)

    def prepare(self) -> None:
        """Bring what is required to its head, or no further than required where that is best."""
        if self.neighbours and not self._at_least:
            self.migrator.upgrade(*(f"{name}:heads" for name in self.neighbours))

    def upgrade(self) -> None:
        """
        Run every revision, with what it requires at the head, or else at the least.

        Raises:
            PtahMigrateError: neither works.

        """
        try:
            self.try_upgrade()
        except PtahMigrateError as first:
            if not self.neighbours:
                raise
            self.empty()
            try:
                self.try_upgrade(at_least=True)
            except PtahMigrateError:
                raise first from None

    def try_upgrade(self, *, at_least: bool = False) -> None:
        """
        Run every revision, with what it requires at the head, or at the least it requires.

        Raises:
            PtahMigrateError: one of them fails.

        """
        self._at_least = at_least
        self.prepare()
        self.migrator.upgrade(f"{self.name}:heads")

    def upgraded(self) -> None:
        """
        Run every revision.

        Raises:
            NotApplicable: one of them fails; another check says so.

        """
        self.whole()
        try:
            self.upgrade()
        except PtahMigrateError as error:
            raise self._do_not_run() from error

    def _do_not_run(self) -> NotApplicable:
        see = "with_dependencies" if self.missing else "upgrade_from_empty"
        return NotApplicable(f"the revisions of {self.name} do not run: see {see}")

    # -- up and down -----------------------------------------------------------------

    def turns(self) -> Iterator[Turn]:
        """
        Run each revision and take it back; the caller decides whether to go on, and runs it again.

        A revision without ``downgrade()``, and one of a branch that cannot be
        taken back by itself, is run only.

        Raises:
            NotApplicable: an upgrade fails; another check says so.

        """
        if self.neighbours:
            self.upgraded()
            self.empty()
        self.whole()
        self.prepare()
        migrator = self.migrator
        for id_ in self.history.order():
            before = self.schema()
            try:
                migrator.upgrade(f"{self.name}:{id_}")
            except PtahMigrateError as error:
                raise self._do_not_run() from error
            target = self._below(migrator, id_)
            if not target:
                continue
            after = self.schema()
            try:
                migrator.downgrade(target)
            except PtahMigrateError as error:
                yield Turn(id_, before, after, None, error)
                return
            yield Turn(id_, before, after, self.schema())

    def again(self, revision: str) -> None:
        """Run a revision that was taken back."""
        self.migrator.upgrade(f"{self.name}:{revision}")

    def _below(self, migrator: Migrator, id_: str) -> str:
        """Return the target that takes back this revision and nothing else; empty: none does."""
        if not self.history.revisions[id_].has_downgrade:
            return ""
        for spec in ("-1", *self.history.revisions[id_].down, f"{id_}@-1", "base"):
            target = f"{self.name}:{spec}"
            try:
                steps = migrator.plan(target, operation="downgrade").steps
            except TargetError:
                continue
            if [step.revision.id for step in steps] == [id_]:
                return target
        return ""

    @property
    def one_way(self) -> tuple[str, ...]:
        """The revisions without ``downgrade()``."""
        revisions = self.history.revisions
        return tuple(id_ for id_ in self.history.order() if not revisions[id_].has_downgrade)


def is_partial(package: Package, history: History, migrator: Migrator) -> bool:
    """
    Return whether a history starts from tables that existed before.

    It makes none of the models' tables then. One that makes some of them lacks
    a revision for the others, which is what the checks are there to tell.
    """
    if package.force or package.fresh == "steps":
        return False
    if package.fresh == "create":
        return True
    own = migrator.owners.of(package).creatable
    state = schema.state(None, package, history, own)
    return not state.complete and not state.final.intersection(state.models)


def readable(subject: Subject) -> History:
    """
    Return the history of a package.

    Raises:
        NotApplicable: its files cannot be read, or it has no revisions.

    """
    try:
        history = _history.read(subject.package)
    except PtahMigrateError as error:
        raise NotApplicable(f"the files of {subject.name} cannot be read: see files") from error
    if not len(history):
        raise NotApplicable(f"{subject.name} has no revisions yet")
    return history
