"""
The door of the runtime: gather everything, let ``plan`` decide, then act.

Reading methods (``plan``, ``status``, ``check``, ``script``) never write. The
others take the lock first, and read the state of the database under it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from ptah_migrate._history import Histories
from ptah_migrate._runtime import states
from ptah_migrate._runtime.engine import Bind, connected, engine_for, masked, refused
from ptah_migrate._runtime.journal import Journal
from ptah_migrate._runtime.surroundings import Surroundings
from ptah_migrate._runtime.versions import Rows, Versions
from ptah_migrate.errors import (
    DatabaseBehindError,
    DatabaseError,
    ModelsError,
    PendingError,
    StepError,
    TargetError,
    UsageError,
)
from ptah_migrate.model import (
    DOWNGRADE,
    HEADS,
    POPULATE,
    STAMP,
    UPGRADE,
    Done,
    Item,
    Package,
    PackageStatus,
    Plan,
    Report,
    Target,
)
from ptah_migrate.registry import Registry

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from ptah_migrate._runtime.comparison import Comparison
    from ptah_migrate._runtime.ownership import Owners
    from ptah_migrate._runtime.planner import Planner
    from ptah_migrate.drafts import Body, Difference, Questioner

SEED_POLICIES = ("verify", "trust")
TRANSACTIONS = ("auto", "step", "package")

Progress = Callable[[Done], None]
Starting = Callable[[Plan, Item], None]


class Migrator:
    """
    Upgrades, downgrades and describes one database.

    Args:
        bind: an engine, a connection that is in no transaction (an
            application's, or ``run_sync``'s), or a database URL. The caller
            keeps what it passes; every transaction is the migrator's.
        registry: the packages that take part.
        version_table_schema: where the version table lives.
        lock_timeout: seconds to wait for another runner.
        x_arguments: what revisions read by ``context.get_x_argument()``.
        attributes: what revisions find in ``context.config.attributes``.
        seed_policy: ``verify``, or ``trust`` to seed tables that differ (2012).
        skip_tables: tables of the models that are never created or compared.
        refuse_unwritten: stop before the first statement when a revision that
            nobody has written yet would be run, or seeded.
        progress: called with each finished item, once it is committed.
        starting: called with the plan, and the item of it that begins now. Of
            packages that are seeded together only the first is told; an item
            that has to be run again is told again.
        transaction: ``step``: each step is a transaction; ``package``: the steps
            of a package share one, with a savepoint each; ``auto``: the latter
            on SQLite, where a commit takes longer than most steps.

    A target is ``package``, or ``package:`` and a revision, ``head``, ``heads``,
    ``base``, ``+1``, ``-1``, or ``label@head``. No target means every package.
    """

    def __init__(
        self,
        bind: Bind,
        registry: Registry,
        *,
        version_table_schema: str | None = None,
        lock_timeout: float = 60.0,
        x_arguments: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
        seed_policy: str = "verify",
        skip_tables: Collection[str] = (),
        refuse_unwritten: bool = False,
        progress: Progress | None = None,
        starting: Starting | None = None,
        transaction: str = "auto",
    ) -> None:
        if transaction not in TRANSACTIONS:
            raise UsageError(
                f"transaction {transaction!r} is not known",
                hint=f"one of {', '.join(TRANSACTIONS)}",
            )
        if seed_policy not in SEED_POLICIES:
            raise UsageError(
                f"seed policy {seed_policy!r} is not known",
                hint=f"one of {', '.join(SEED_POLICIES)}",
            )
        if hasattr(bind, "sync_engine"):
            raise UsageError(
                "an asynchronous engine or connection was passed",
                hint="await connection.run_sync(lambda sync: Migrator(sync, registry).upgrade())",
            )
        self.bind = engine_for(bind) if isinstance(bind, str | URL) else bind
        self.registry = _without(registry, skip_tables)
        self.lock_timeout = lock_timeout
        self.trust = seed_policy == "trust"
        self.refuse_unwritten = refuse_unwritten
        self.progress = progress
        self.starting = starting
        self.transaction = transaction
        self.histories = Histories(registry)
        self.surroundings = Surroundings(
            tuple(x_arguments), dict(attributes or {}), version_table_schema, self._engine.url
        )
        self.versions = Versions(version_table_schema)
        self.journal = Journal(version_table_schema)

    def __repr__(self) -> str:
        return f"Migrator({masked(self.bind)!r}, {self.registry!r})"

    @cached_property
    def owners(self) -> Owners:
        """Whose table is whose."""
        from ptah_migrate._runtime.ownership import Owners

        return Owners(self.registry, self.histories)

    @cached_property
    def _planner(self) -> Planner:
        from ptah_migrate._runtime.planner import Planner

        return Planner(
            *(self.registry, self.histories, self.owners, self.versions, self.journal),
            trust=self.trust,
            refuse_unwritten=self.refuse_unwritten,
        )

    @property
    def _engine(self) -> Engine:
        return self.bind.engine

    # -- reading -----------------------------------------------------------------

    def plan(self, *targets: str, operation: str = UPGRADE, cascade: bool = False) -> Plan:
        """
        Return what a command would do now; nothing is written, nothing is locked.

        Args:
            targets: as for the operation.
            operation: ``upgrade``, ``downgrade``, ``stamp`` or ``populate``.
            cascade: as for ``downgrade``.

        Raises:
            PtahMigrateError: what the command itself would raise before its
                first statement.

        """
        with self._reading() as connection:
            wanted = self._targets(targets, operation)
            return self._planner.plan(connection, operation, wanted, cascade=cascade)

    def versions_recorded(self) -> Rows:
        """Return the rows of every package in the database, registered or not."""
        with self._reading() as connection:
            return self.versions.read(connection)

    def initialised(self) -> bool:
        """Return whether the database has a version table."""
        with self._reading() as connection:
            return self.versions.exists(connection)

    def status(self) -> tuple[PackageStatus, ...]:
        """Return every package as the database and the code see it, sorted by name."""
        with self._reading() as connection:
            rows = self.versions.read(connection)
            entries = self.journal.last(connection) if rows or self.registry.packages else {}
        known = self.histories.heads
        found = [
            states.of(
                package,
                rows.get(package.name, ()),
                entries.get(package.name),
                self.histories,
                known.get(package.name),
            )
            for package in self.registry
        ]
        found.extend(
            PackageStatus(name, "", "orphan", rows=ids, how=states.how(entries.get(name)))
            for name, ids in rows.items()
            if name not in self.registry.packages
        )
        found.extend(
            PackageStatus(package.name, package.title, "available", origin=str(package.origin))
            for package in self.registry.available.values()
            if package.name not in rows
        )
        return tuple(sorted(found, key=lambda one: one.package))

    def check(self, *packages: str) -> None:
        """
        Return quietly when every package is at its head.

        Raises:
            PendingError: some are not; each is named with its present and last
                revision, and the command to run.

        """
        targets = self._targets(packages)
        with self._reading() as connection:
            if self._at_heads(targets, self.versions.read(connection)):
                return
        wanted = {target.package for target in targets}
        lines = [
            states.pending_line(one)
            for one in self.status()
            if one.package in wanted and one.state not in ("current", "empty")
        ]
        if lines:
            raise PendingError(lines)

    def script(
        self,
        *targets: str,
        operation: str = UPGRADE,
        empty: bool = False,
        cascade: bool = False,
    ) -> str:
        """
        Return the SQL of an upgrade or downgrade; nothing is written or run.

        A target may be ``package:from:to``: it states where that package
        stands. When all targets do, the database is not asked, and what they
        require of other packages is taken to be there. ``empty`` assumes a
        database without any table. Otherwise the script goes on from the
        database's present state.

        Raises:
            OfflineError: a revision looks at the database, it is named.

        """
        wanted = self._targets(targets, operation)
        if empty:
            todo = self._planner.plan(None, operation, wanted, cascade=cascade)
        elif wanted and all(target.start is not None for target in wanted):
            todo = self._planner.stated(operation, wanted, cascade=cascade)
        else:
            with self._reading() as connection:
                todo = self._planner.plan(connection, operation, wanted, cascade=cascade)
        from ptah_migrate._runtime import offline

        return offline.script(
            todo,
            self._engine.dialect,
            self.registry.packages,
            self.histories,
            self.surroundings,
        )

    # -- models ------------------------------------------------------------------

    @contextmanager
    def comparing(
        self, *packages: str, offline: bool = False, behind: bool = False
    ) -> Iterator[tuple[Comparison, ...]]:
        """
        Yield what separates the database from the models of packages; nothing is written.

        Args:
            packages: the named ones, or every package that registers models.
            offline: ask no database: replay the revisions, and what they
                require, into a scratch database of the same kind.
            behind: compare also where the database is not at a package's head.

        Raises:
            ModelsError: a named package registers no models, or they have no tables.
            OwnershipError: a table has two owners, or none.
            DatabaseBehindError: the database is not at the head of a package;
                each is named.
            ConfigError: models cannot be imported.
            PtahMigrateError: the revisions cannot be replayed (``offline``).

        """
        from ptah_migrate._runtime.models import Models

        models = Models(self.registry, self.histories, self.owners)
        chosen = models.choose(packages)
        if offline:
            with (
                self._replayed(chosen) as scratch,
                scratch.comparing(*(package.name for package in chosen)) as found,
            ):
                yield found
            return
        with self._reading() as connection:
            if not behind:
                self._refuse_behind(connection, chosen)
            found = tuple(models.compare(connection, package) for package in chosen)
            connection.rollback()
            yield found

    def differences(
        self, *packages: str, offline: bool = False, behind: bool = False
    ) -> dict[str, tuple[Difference, ...]]:
        """Return what ``comparing`` finds, in words, for each package; empty where they agree."""
        with self.comparing(*packages, offline=offline, behind=behind) as found:
            return {one.package.name: one.differences for one in found}

    def autogenerate(
        self, *packages: str, offline: bool = False, ask: Questioner | None = None
    ) -> tuple[Body, ...]:
        """
        Return what a revision of each package has to do for models and database to agree.

        Those that others need come first; an empty one says that they agree.

        Args:
            packages: as for ``comparing``.
            offline: as for ``comparing``.
            ask: answers what the models cannot tell; by default nothing was
                renamed, and existing rows get what is safe.

        Raises:
            PtahMigrateError: as for ``comparing``; or something cannot be rendered.

        """
        from ptah_migrate._runtime import answers, autogenerate

        with self.comparing(*packages, offline=offline) as found:
            return autogenerate.bodies(found, self.histories, ask or answers.Unattended())

    def _refuse_behind(self, connection: Connection, packages: Sequence[Package]) -> None:
        rows = self.versions.read(connection)
        statuses = [
            states.of(package, rows.get(package.name, ()), None, self.histories)
            for package in packages
        ]
        behind = [one for one in statuses if one.state not in ("current", "empty")]
        if behind:
            raise DatabaseBehindError(
                [states.pending_line(one) for one in behind], [one.package for one in behind]
            )

    @contextmanager
    def _replayed(self, packages: Sequence[Package]) -> Iterator[Migrator]:
        """Yield a migrator of a scratch database in which these packages are at their heads."""
        from ptah_migrate._runtime import scratch

        names = {package.name for package in packages if self.histories.get(package.name)}
        # A model that no revision makes would else be taken for a table that existed before.
        registry = Registry(
            package._replace(fresh="steps") if package.name in names else package
            for package in self.registry
        )
        with scratch.database(self._engine.url) as engine:
            place = Migrator(
                engine,
                registry,
                version_table_schema=self.surroundings.version_table_schema,
                x_arguments=self.surroundings.x_arguments,
                attributes=self.surroundings.attributes,
            )
            try:
                if names:
                    place.upgrade(*(f"{name}:heads" for name in sorted(names)))
            except StepError as error:
                raise ModelsError(
                    f"the revisions cannot be replayed from nothing: {error.message}",
                    hint="if they start from tables that existed before, compare with a "
                    "database: leave --offline out",
                ) from error
            yield place

    # -- writing -----------------------------------------------------------------

    def upgrade(self, *targets: str) -> Report:
        """
        Bring every target about, with all it requires; finished steps stay when a later one fails.

        Raises:
            LockError: another runner is at work for longer than ``lock_timeout``.
            StepError: a revision failed; the error says what stays applied.
            PtahMigrateError: refused before the first statement.

        """
        return self._run(UPGRADE, targets)

    def downgrade(self, *targets: str, cascade: bool = False) -> Report:
        """
        Take the targets' packages down to the named places.

        Raises:
            UsageError: no target is named.
            DependantsError: other packages depend, and ``cascade`` is not set;
                nothing was done.
            StepError, LockError, PtahMigrateError: as for ``upgrade``.

        """
        return self._run(DOWNGRADE, targets, cascade=cascade)

    def stamp(self, *targets: str, purge: bool = False) -> Report:
        """
        Record the targets without running anything; ``purge`` forgets other rows first.

        Raises:
            UnknownRevisionError: the package has no such revision.
            DatabaseAheadError: rows the code does not know, and no ``purge``.

        """
        return self._run(STAMP, targets, purge=purge)

    def seed(self, *packages: str) -> Report:
        """
        Create the missing tables of packages without a version and record their heads.

        Runs no step. A row that is there stays; a package registered with
        ``force=True`` gets none. No name means every package.

        Raises:
            UnrecordedTablesError: tables exist and differ from the models
                (policy ``verify``).

        """
        return self._run(POPULATE, packages)

    def _run(
        self,
        operation: str,
        targets: Sequence[str],
        *,
        cascade: bool = False,
        purge: bool = False,
    ) -> Report:
        wanted = self._targets(targets, operation)
        if stated := [str(target) for target in wanted if target.start is not None]:
            raise TargetError(
                f"a place to start from is for scripts: {', '.join(stated)}",
                hint="the database says where it stands; for a script: --sql",
            )
        with self._connected() as connection:
            rows = self._all_done(connection, wanted) if operation == UPGRADE else {}
            if rows:
                names = tuple(dict.fromkeys(target.package for target in wanted))
                return Report(Plan((), names), rows=rows)
            return self._locked(connection, operation, wanted, cascade=cascade, purge=purge)

    def _all_done(self, connection: Connection, targets: Sequence[Target]) -> Rows:
        """
        Return the rows if every package is recorded at its heads; asked before the lock is taken.

        A row is written at the end of its step, so what is recorded is done,
        also where DDL commits by itself. Anything else than "all is done" is
        found out again under the lock, and so is what went wrong here.
        """
        try:
            rows = self.versions.read(connection)
            return rows if self._at_heads(targets, rows) else {}
        except (DBAPIError, DatabaseError):
            if connection.invalidated:
                raise
            connection.rollback()
            return {}

    def _at_heads(self, targets: Sequence[Target], rows: Rows) -> bool:
        """Return whether these rows leave nothing to do; a package without a row has to."""
        if any(target.start is not None or target.spec not in HEADS for target in targets):
            return False
        known = self.histories.heads_of({target.package for target in targets})
        return all(
            (at := known.get(target.package)) is not None
            and rows.get(target.package, ()) == tuple(sorted(at.tops)) != ()
            and (
                len(at.heads) == 1
                or target.spec == "heads"
                or self.registry.packages[target.package].branches
            )
            for target in targets
        )

    def _locked(
        self,
        connection: Connection,
        operation: str,
        wanted: Sequence[Target],
        *,
        cascade: bool,
        purge: bool,
    ) -> Report:
        """Take the lock, look at the database again, decide, act."""
        from ptah_migrate._runtime.databases import for_dialect
        from ptah_migrate._runtime.runner import Runner

        database = for_dialect(
            self._engine.dialect.name, schema=self.surroundings.version_table_schema
        )
        with database.session(connection):
            started = time.monotonic()
            with database.locked(connection, self.lock_timeout):
                waited = time.monotonic() - started
                planned = partial(
                    self._planner.plan, connection, operation, wanted, cascade=cascade, purge=purge
                )
                todo = planned()
                if self.histories.forget_changed(item.package for item in todo.items):
                    todo = planned()
                runner = Runner(
                    connection,
                    database,
                    packages=self.registry.packages,
                    histories=self.histories,
                    surroundings=self.surroundings,
                    progress=self.progress,
                    starting=self.starting,
                    transaction=self.transaction,
                )
                return Report(todo, runner.run(todo), round(waited, 3))

    # -- gathering -----------------------------------------------------------------

    def _targets(self, texts: Sequence[str], operation: str = UPGRADE) -> tuple[Target, ...]:
        """Return the targets, every package where none is named; refuse what lacks its place."""
        if operation == DOWNGRADE and not texts:
            raise UsageError(
                "downgrade needs a target", hint="for example: ptah-migrate downgrade blog:-1"
            )
        found = tuple(parse_target(text) for text in texts)
        for text, target in zip(texts, found, strict=True):
            self.registry.get(target.package)
            if operation == DOWNGRADE and ":" not in text:
                raise UsageError(
                    f"downgrade of '{target.package}' needs a place to go to",
                    hint=f"{target.package}:-1, {target.package}:base, "
                    f"or {target.package}:REVISION",
                )
            if operation == POPULATE and ":" in text:
                raise UsageError(
                    f"'{text}' names a place, and a package is seeded at its head",
                    hint=f"run: ptah-migrate stamp {text}",
                )
        return found or tuple(Target(name) for name in self.registry.packages)

    @contextmanager
    def _connected(self, *, reading: bool = False) -> Iterator[Connection]:
        try:
            with connected(self.bind, reading=reading) as connection:
                yield connection
        except DBAPIError as error:
            raise refused(self.bind, error) from error

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._connected(reading=True)


def parse_target(text: str) -> Target:
    """
    Return a target from ``package``, ``package:place`` or ``package:from:to``.

    Raises:
        TargetError: a part is empty, or there are too many.

    """
    name, *places = text.strip().split(":")
    if not name or any(not place for place in places) or len(places) > 2:
        raise TargetError(
            f"'{text}' is not a target",
            hint="package, package:REVISION, package:head, package:base, package:+1, package:-1",
        )
    if not places:
        return Target(name)
    return Target(name, places[-1], places[0] if len(places) == 2 else None)


def _without(registry: Registry, tables: Collection[str]) -> Registry:
    """Return a registry whose packages do not own these tables."""
    if not tables:
        return registry
    skipped = frozenset(tables)
    return Registry(
        (package._replace(skip_tables=skipped) for package in registry),
        available=registry.available.values(),
        problems=registry.problems,
    )
