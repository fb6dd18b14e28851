"""Watches the statements of a step: how many, and how many can't be rolled back any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event
from sqlalchemy.pool import Pool

from ptah_migrate._runtime.alone import Alone
from ptah_migrate._runtime.databases.base import Database, changes, verb

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Watch:
    """
    Counts what a step executes on a connection, between ``begin`` and ``end``.

    Attributes:
        count: statements that change something.
        kept: those of them that a rollback leaves where they are: DDL of a
            database that commits it by itself, all that stands before a COMMIT.
        committed: the step itself has ended its transaction.
        refused: it wanted to do what only a step by itself may.
        first_commit: called before the first commit of something, once, in
            the transaction that is about to end.

    """

    def __init__(self, connection: Connection, database: Database) -> None:
        self.connection = connection
        self.database = database
        self._thread = threading.get_ident()
        self._paused = True
        self.begin()
        self._paused = True

    def begin(
        self, first_commit: Callable[[], None] | None = None, *, guarded: bool = False
    ) -> None:
        """
        Count from here on.

        ``guarded``: steps before this one are in its transaction, so it must
        neither undo that nor look at the database from elsewhere: ``Alone``.
        """
        self.count = 0
        self.kept = 0
        self.committed = False
        self.refused = False
        self.first_commit = first_commit
        self._paused = False
        self._guarded = guarded
        self._surely_kept = 0

    def end(self) -> None:
        """Count no more."""
        self._paused = True

    def __enter__(self) -> Self:
        for target, name, listener in self._listeners():
            event.listen(target, name, listener)
        return self

    def __exit__(self, *error: object) -> None:
        for target, name, listener in self._listeners():
            event.remove(target, name, listener)

    def failed(self, error: BaseException) -> None:
        """Take note that a statement failed: one that was not understood has committed nothing."""
        if self.database.not_understood(error):
            self.kept = self._surely_kept

    def _listeners(self) -> tuple[tuple[Any, str, Callable[..., None]], ...]:
        return (
            (self.connection, "before_cursor_execute", self._before),
            (self.connection, "after_cursor_execute", self._after),
            (self.connection, "commit", self._commit),
            (self.connection, "rollback", self._rollback),
            (Pool, "checkout", self._checkout),
        )

    def _before(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if self._paused:
            return
        if self._guarded and verb(statement) == "ROLLBACK" and " TO " not in statement.upper():
            self._refuse()
        if self.database.commits_before(statement):
            self._surely_kept, self.kept = self.kept, self.count

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if self._paused:
            return
        if changes(statement):
            self.count += 1
        if self.database.commits(self.connection, statement):
            self.kept = self.count
            self.committed, self._guarded = True, False

    def _commit(self, _connection: Any) -> None:
        if self._paused:
            return
        self.kept = self.count
        if self.count and self.first_commit is not None:
            self._paused = True
            self.first_commit()
            self._paused, self.first_commit = False, None
        self.committed, self._guarded = True, False

    def _rollback(self, _connection: Any) -> None:
        if not self._paused and self._guarded:
            self._refuse()

    def _checkout(self, *_connection: Any) -> None:
        if not self._paused and self._guarded and threading.get_ident() == self._thread:
            self._refuse()

    def _refuse(self) -> None:
        self.refused = True
        raise Alone
