"""Watches the statements of a step: how many, and how many can't be rolled back any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event

from ptah_migrate._runtime.databases.base import Database, changes

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Watch:
    """
    Counts what is executed on a connection while it is entered.

    Attributes:
        count: statements that change something.
        kept: those of them that a rollback leaves where they are: DDL of a
            database that commits it by itself, all that stands before a COMMIT.
        first_commit: called before the first commit of something, once, in
            the transaction that is about to end.

    """

    def __init__(
        self,
        connection: Connection,
        database: Database,
        first_commit: Callable[[], None] | None = None,
    ) -> None:
        self.connection = connection
        self.database = database
        self.count = 0
        self.kept = 0
        self.first_commit = first_commit
        self._paused = False
        self._surely_kept = 0

    def __enter__(self) -> Self:
        for name, listener in self._listeners():
            event.listen(self.connection, name, listener)
        return self

    def __exit__(self, *error: object) -> None:
        for name, listener in self._listeners():
            event.remove(self.connection, name, listener)

    def failed(self, error: BaseException) -> None:
        """Take note that a statement failed: one that was not understood has committed nothing."""
        if self.database.not_understood(error):
            self.kept = self._surely_kept

    def _listeners(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        return (
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
            ("commit", self._commit),
        )

    def _before(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if not self._paused and self.database.commits_before(statement):
            self._surely_kept, self.kept = self.kept, self.count

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if self._paused:
            return
        if changes(statement):
            self.count += 1
        if self.database.commits(self.connection, statement):
            self.kept = self.count

    def _commit(self, _connection: Any) -> None:
        if self._paused:
            return
        self.kept = self.count
        if self.count and self.first_commit is not None:
            self._paused = True
            self.first_commit()
            self._paused, self.first_commit = False, None
