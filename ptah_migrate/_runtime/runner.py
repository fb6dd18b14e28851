"""
Runs a plan: each step in a transaction, or after a savepoint, with its row and its entry.

The runner owns the transactions of the connection it is given. Every finished
item is committed before something else fails or the next package begins, so a
failure leaves exactly what the report of the error says.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationInfo
from sqlalchemy.exc import DBAPIError

from ptah_migrate._history import History
from ptah_migrate._runtime import journal, mirror, proxies, schema
from ptah_migrate._runtime.alone import Alone, alone
from ptah_migrate._runtime.contexts import PackageContext
from ptah_migrate._runtime.databases import Database
from ptah_migrate._runtime.engine import reason
from ptah_migrate._runtime.journal import Journal
from ptah_migrate._runtime.statements import Watch
from ptah_migrate._runtime.versions import Versions, changed
from ptah_migrate.errors import DatabaseError, LockLostError, PtahMigrateError, StepError
from ptah_migrate.model import Direction, Done, Item, Package, Plan, Seed, Step

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ptah_migrate._runtime.migrator import Progress, Starting
    from ptah_migrate._runtime.surroundings import Surroundings

logger = logging.getLogger("ptah.alembic")


class Runner:
    """Executes the items of one plan on one connection that holds the lock."""

    def __init__(
        self,
        connection: Connection,
        database: Database,
        *,
        packages: Mapping[str, Package],
        histories: Mapping[str, History],
        surroundings: Surroundings,
        progress: Progress | None = None,
        starting: Starting | None = None,
        transaction: str = "auto",
    ) -> None:
        self.connection = connection
        self.database = database
        self.packages = packages
        self.histories = histories
        self.surroundings = surroundings
        self.progress = progress
        self.starting = starting
        self.versions = Versions(surroundings.version_table_schema)
        self.journal = Journal(surroundings.version_table_schema)
        self.contexts: dict[str, PackageContext] = {}
        self.plan = Plan()
        self.done: list[Done] = []
        self.together = _together(database, transaction, asynchronous=connection.dialect.is_async)
        self.watch = Watch(connection, database)
        self._driver = connection.connection.dbapi_connection

    def run(self, plan: Plan) -> tuple[Done, ...]:
        """
        Run every item; on an error the finished ones stay, and the error names them.

        Raises:
            RevisionFileError: a revision cannot be imported; nothing was run.
            StepError: a revision's code failed; its transaction was rolled back.
            LockLostError: the connection that held the lock is gone.
            DatabaseError: the tables of a package could not be made.

        """
        if not plan:
            return ()
        self.plan = plan
        self._prepare(plan)
        try:
            self._create_tables(plan)
            with self.watch:
                for items in self._batches(plan.items):
                    self._run(items)
        except DBAPIError as error:
            if error.connection_invalidated or self.connection.invalidated:
                raise LockLostError from error
            raise
        return tuple(self.done)

    def _prepare(self, plan: Plan) -> None:
        """Import every revision before the first statement is sent."""
        for name, steps in groupby(plan.steps, key=lambda step: step.package):
            context = self._context(name)
            with context.installed():
                for step in steps:
                    context.load(step.revision, step.direction)

    def _context(self, name: str) -> PackageContext:
        if name not in self.contexts:
            self.contexts[name] = PackageContext(
                self.packages[name],
                self.histories[name],
                self.surroundings,
                connection=self.connection,
                transactional_ddl=self.database.transactional_ddl,
            )
        return self.contexts[name]

    def _create_tables(self, plan: Plan) -> None:
        with self.connection.begin():
            if not plan.items[0].before:  # a row that was read is in a table
                self.versions.ensure(self.connection)
            self.journal.ensure(self.connection)
            for statement in mirror.begun(plan, self.packages):
                self.connection.execute(statement)

    def _mirror(self, package: str, before: Iterable[str], after: Iterable[str]) -> None:
        if self.packages[package].alembic_version:
            for statement in mirror.moved(before, after):
                self.connection.execute(statement)

    # -- one item ----------------------------------------------------------------

    def _item(self, item: Step | Seed) -> None:
        started = time.monotonic()
        if isinstance(item, Step):
            self._step(item, started)
        else:
            self._seed(item)
        self._keep([Done(item, time.monotonic() - started)])

    def _begin(self, item: Item) -> None:
        """Tell that an item runs now."""
        if self.starting is not None:
            self.starting(self.plan, item)
        if isinstance(item, Step):
            _announce(item)

    def _keep(self, items: Iterable[Done]) -> None:
        """Count items as done; they are committed."""
        for done in items:
            self.done.append(done)
            if self.progress is not None:
                self.progress(done)

    def _seed(self, item: Seed) -> None:
        self._begin(item)
        self._still_locked()
        self.connection.rollback()
        try:
            with self.connection.begin():
                if item.create:
                    schema.create(self.connection, self.packages[item.package], item.create)
                if item.rows or item.before:
                    self.versions.write(self.connection, item.package, item.before, item.rows)
                    self._mirror(item.package, item.before, item.rows)
                    self.journal.write(self.connection, item, journal.DONE)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            raise DatabaseError(
                f"package '{item.package}' could not be {item.kind}: {cause(error)}",
                hint="correct it, then run the same command again",
            ) from error
        logger.info("%s: %s", item.package, _words(item))

    def _seeds(self, items: Sequence[Seed]) -> None:
        """
        Seed several packages in one transaction, asking for no table one by one.

        What is missing was listed under the lock. Where something is there all
        the same (a type that two packages use), each is seeded by itself.
        """
        self._begin(items[0])
        self._still_locked()
        self.connection.rollback()
        started = time.monotonic()
        recorded = [item for item in items if item.rows]
        try:
            with self.connection.begin():
                for item in items:
                    package = self.packages[item.package]
                    schema.create(self.connection, package, item.create, checkfirst=False)
                self.versions.add(
                    self.connection, [(item.package, row) for item in recorded for row in item.rows]
                )
                for item in recorded:
                    self._mirror(item.package, (), item.rows)
                self.journal.write_all(self.connection, recorded, journal.DONE)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            for item in items:
                self._item(item)
            return
        for item in items:
            logger.info("%s: %s", item.package, _words(item))
        seconds = (time.monotonic() - started) / len(items)
        self._keep(Done(item, seconds) for item in items)

    def _step(self, step: Step, started: float) -> None:
        """Run one step in a transaction of its own."""
        context = self._context(step.package)
        self._begin(step)
        if not context.transactional:
            self._note(step, journal.STARTED)
        self._same_session()
        watch = self.watch
        watch.begin(self._opening(step, context))
        try:
            with self.database.step(self.connection, transactional=context.transactional):
                with proxies.transaction(context.migration):
                    self._apply(step, context, started)
                self._commit()
        except LockLostError:
            watch.end()
            self._undo()
            raise
        except (Exception, SystemExit) as error:
            watch.end()
            watch.failed(error)
            raise self._failed(step, error, watch.kept) from error
        except BaseException:  # an interruption by a person or by the event loop
            watch.end()
            self._undo()
            raise
        watch.end()

    def _apply(self, step: Step, context: PackageContext, started: float) -> None:
        module = context.load(step.revision, step.direction)
        with context.installed():
            getattr(module, step.direction.value)()
        if self.watch.refused:
            raise Alone
        self.watch.first_commit = None
        self._record(step, context, time.monotonic() - started, self.watch.count)

    # -- several steps in one transaction -------------------------------------------

    def _batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Yield the items, those together that can share a transaction."""
        batch: list[Item] = []
        for item in items:
            shares = self._shares(item)
            if batch and not (shares and _alike(item, batch[0])):
                yield batch
                batch = []
            if shares:
                batch.append(item)
            else:
                yield [item]
        if batch:
            yield batch

    def _shares(self, item: Item) -> bool:
        if isinstance(item, Seed):
            return self.database.transactional_ddl and item.kind == "seeded" and not item.before
        if not (self.together and isinstance(item, Step)):
            return False
        context = self._context(item.package)
        return context.transactional and not alone(context.load(item.revision, item.direction))

    def _run(self, items: Sequence[Item]) -> None:
        """Run items that share a transaction, as far as that goes."""
        if len(items) == 1:
            self._item(items[0])
            return
        if seeds := [item for item in items if isinstance(item, Seed)]:
            self._seeds(seeds)
            return
        left = [item for item in items if isinstance(item, Step)]
        while left:
            left = left[self._together(left) :]

    def _together(self, steps: Sequence[Step]) -> int:
        """
        Run steps of one package in one transaction, each after a savepoint; return how many ran.

        A step that fails is undone down to its savepoint, and those before it
        are committed. Where the database has undone these too, all of them are
        run again, each by itself.
        """
        context = self._context(steps[0].package)
        done: list[Done] = []
        error: BaseException | None = None
        self._same_session()
        try:
            with self.database.step(self.connection):
                with proxies.transaction(context.migration), context.installed():
                    for step in steps:
                        try:
                            done.append(self._savepointed(step, context, guarded=bool(done)))
                        except LockLostError:
                            raise
                        except BaseException as failure:
                            if self.watch.committed or not self.database.back(self.connection):
                                raise
                            error = failure
                        if error is not None or self.watch.committed:
                            break
                self._commit()
        except LockLostError:
            self._undo()
            raise
        except BaseException as failure:
            self._undo()
            if not self.watch.committed:
                if not isinstance(failure, Exception | SystemExit):
                    raise
                return self._one_by_one(steps[: len(done) + 1])
            error = failure
        self._keep(done)
        if isinstance(error, Alone):
            return len(done) + self._one_by_one(steps[len(done) : len(done) + 1])
        if isinstance(error, Exception | SystemExit):
            self.watch.failed(error)
            raise self._failed(steps[len(done)], error, self.watch.kept) from error
        if error is not None:
            raise error
        return len(done)

    def _savepointed(self, step: Step, context: PackageContext, *, guarded: bool) -> Done:
        started = time.monotonic()
        self._begin(step)
        self.watch.end()
        self.watch.committed = False
        self.database.savepoint(self.connection)
        self.watch.begin(self._opening(step, context), guarded=guarded)
        try:
            self._apply(step, context, started)
        finally:
            self.watch.end()
        if not self.watch.committed:
            self.database.passed(self.connection)
        return Done(step, time.monotonic() - started)

    def _one_by_one(self, steps: Sequence[Step]) -> int:
        for step in steps:
            self._item(step)
        return len(steps)

    def _opening(self, step: Step, context: PackageContext) -> Callable[[], None] | None:
        """
        Return what writes that a step was begun, for a step that commits before its end.

        A step in one transaction needs no such entry: it is there, or it is not.
        """
        if not context.transactional:
            return None
        return lambda: self.journal.write(self.connection, step, journal.STARTED)

    def _record(self, step: Step, context: PackageContext, seconds: float, statements: int) -> None:
        """Write the row and the entry, in the transaction of the step."""
        self.database.resume(self.connection)
        self._same_session()
        rows = self.versions.writes(self.connection, step.package, step.before, step.after)
        entry = self.journal.done(step, seconds=seconds, statements=statements)
        if not self.database.record(self.connection, rows, entry):
            raise changed(step.package)
        self._mirror(step.package, step.before, step.after)
        self.database.before_commit(self.connection)
        _tell(step, context)

    def _commit(self) -> None:
        """Commit what is left open by a step that ended its own transaction."""
        if self.connection.in_transaction():
            self.connection.commit()

    def _undo(self) -> None:
        if not self.connection.invalidated and self.connection.in_transaction():
            self.connection.rollback()

    def _still_locked(self) -> None:
        self._same_session()
        if not self.database.holds(self.connection):
            raise LockLostError

    def _same_session(self) -> None:
        """Refuse to go on where SQLAlchemy has silently connected anew: without the lock."""
        if self.connection.invalidated:
            raise LockLostError
        if self.connection.connection.dbapi_connection is not self._driver:
            raise LockLostError

    # -- failure -------------------------------------------------------------------

    def _failed(self, step: Step, error: BaseException, kept: int) -> PtahMigrateError:
        self._undo()
        if self.connection.invalidated:
            return LockLostError()
        failure = StepError(
            step.package,
            step.revision.id,
            cause=cause(error),
            place=place(error, str(step.revision.path)),
            applied=[str(done.item.key) for done in self.done if isinstance(done.item, Step)],
            left_behind=kept,
            direction=step.direction.value,
        )
        if mirror.NAME in failure.cause and not self.packages[step.package].alembic_version:
            failure.hint = f"register '{step.package}' with alembic_version=True: its SQL names it"
        self._note(step, journal.FAILED, statements=kept, detail=failure.cause)
        return failure

    def _note(
        self, step: Step, state: str, *, statements: int | None = None, detail: str = ""
    ) -> None:
        """Append an entry in a transaction of its own; a failure to do so hides nothing."""
        try:
            self.connection.rollback()
            with self.connection.begin():
                self.journal.write(
                    self.connection, step, state, statements=statements, detail=detail
                )
        except DBAPIError:
            logger.warning("%s: the journal could not be written", step.package)


def _together(database: Database, transaction: str, *, asynchronous: bool) -> bool:
    """
    Return whether the steps of a package share a transaction.

    Never where DDL commits by itself, nor under an event loop: other tasks
    open connections in the same thread, and could not be told from the step.
    """
    if not database.transactional_ddl or asynchronous:
        return False
    return database.together if transaction == "auto" else transaction == "package"


def _alike(item: Item, other: Item) -> bool:
    """Return whether both are seeds, or both are steps of one package."""
    if isinstance(item, Seed) or isinstance(other, Seed):
        return isinstance(item, Seed) and isinstance(other, Seed)
    return item.package == other.package


def _announce(step: Step) -> None:
    logger.info("%s: running %s", step.package, describe(step))
    if step.revision.unwritten and step.direction is Direction.UP:
        logger.warning(
            "%s: %s is not written yet, it is recorded as applied all the same (%s)",
            *(step.package, step.revision.id, step.revision.path),
        )


def _tell(step: Step, context: PackageContext) -> None:
    """Call the registered ``on_version_apply`` callbacks, as Alembic does."""
    callbacks = context.migration.on_version_apply_callbacks
    if not callbacks:
        return
    with context.history.alembic() as rmap:
        info = MigrationInfo(
            rmap,
            is_upgrade=step.direction is Direction.UP,
            is_stamp=False,
            up_revisions=(step.revision.id,),
            down_revisions=step.revision.down,
        )
    for callback in callbacks:
        callback(ctx=context.migration, step=info, heads=set(step.after), run_args={})


def describe(step: Step) -> str:
    """Return a step as log lines show it: ``upgrade None -> 001, message``."""
    message = f", {step.revision.doc}" if step.revision.doc else ""
    return f"{step.direction.value} {step.source} -> {step.destination}{message}"


def _words(item: Seed) -> str:
    parts = [f"created {', '.join(item.create)}"] if item.create else []
    if item.rows and item.kind == "seeded":
        parts.append(f"seeded {', '.join(item.rows)} ({item.reason})")
    elif item.kind == "stamped":
        parts.append(f"stamped {', '.join(item.rows) or 'None'}")
    return "; ".join(parts)


def cause(error: BaseException) -> str:
    """Return an exception in one line, without bound parameters: they may be secrets."""
    if isinstance(error, PtahMigrateError):
        return error.message
    if isinstance(error, SystemExit):
        return f"the revision called sys.exit({error.code!r})"
    kind = type(getattr(error, "orig", None) or error).__name__
    return f"{kind}: {_without(reason(error), getattr(error, 'params', None))}".rstrip(": ")


def _without(text: str, parameters: Any) -> str:
    """Return the text with the bound values blotted out that it repeats, if they are words."""
    for value in sorted(_values(parameters), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", text)
    return text


def _values(parameters: Any) -> set[str]:
    if isinstance(parameters, Mapping):
        parameters = parameters.values()
    elif not isinstance(parameters, list | tuple):
        return {str(parameters)} if isinstance(parameters, str) and len(parameters) > 3 else set()
    return {value for one in parameters for value in _values(one)}


def place(error: BaseException, path: str) -> str:
    """Return ``file:line`` of the innermost frame in this file, or the file alone."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    return f"{path}:{frames[-1].lineno}" if frames else path
