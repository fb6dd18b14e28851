"""
PostgreSQL: a session-level advisory lock, polled.

A blocking ``pg_advisory_lock`` in a waiter is a transaction that CREATE INDEX
CONCURRENTLY of the holder waits for: a deadlock that leaves an invalid index.
So the waiters try, end their transaction, and sleep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Delete, Insert, String, Update, bindparam, text
from sqlalchemy.exc import DBAPIError

from ptah_migrate._runtime.databases.base import Database, poll, unlock, whoami
from ptah_migrate._runtime.writes import Prepared, prepare
from ptah_migrate.errors import LockLostError

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.dml import UpdateBase

    from ptah_migrate._runtime.writes import Write

# A session takes the lock twice. To ask whether it is ours is then to give back one of
# the two and to take it again: who has none, because another session answers or because
# a revision gave all back, has none to give. Nobody else can come in between.
_TWICE = "CASE WHEN {0}(:key) THEN {1}(:key) ELSE false END"
_OURS = _TWICE.format("pg_advisory_unlock", "pg_try_advisory_lock")
_KEY = bindparam("key", type_=BigInteger)
_TAKE, _MINE, _GIVE = (
    text(f"SELECT {words}").bindparams(_KEY)
    for words in (
        _TWICE.format("pg_try_advisory_lock", "pg_try_advisory_lock"),
        _OURS,
        "pg_advisory_unlock(:key), pg_advisory_unlock(:key)",
    )
)
_HOLDER = text(
    "SELECT l.pid, a.application_name, coalesce(host(a.client_addr), 'local'), "
    "date_trunc('second', a.backend_start) "
    "FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND l.classid::bigint = :high AND l.objid::bigint = :low"
)
_ENTRY = "entry_"
_AT_ONCE = f"""
WITH met AS ({{met}} RETURNING 1),
  written AS (INSERT INTO {{journal}} ({{columns}}) VALUES ({{values}}))
SELECT {_OURS}, (SELECT count(*) FROM met)
"""  # noqa: S608 - the names are quoted
_MET: Mapping[type, str] = {
    Update: "UPDATE {} SET version_num = :new WHERE package = :of AND version_num = :old",
    Delete: "DELETE FROM {} WHERE package = :of AND version_num = :old",
    Insert: "INSERT INTO {} (package, version_num) VALUES (:of, :new)",
}
_ID = String()
# What text() gives a meaning of its own; a schema may be called so all the same.
_MARKS = re.compile(r"[:%\\]")

# A runner that is killed in the middle of a long statement frees the lock when
# the server notices; by default only at the end of the statement. And a step
# that computes for long must not lose its session, and the lock with it.
_SETTINGS = {
    "application_name": None,
    "client_connection_check_interval": "2s",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


class PostgreSQL(Database):
    """Transactional DDL, a polled advisory lock per database and schema."""

    def __init__(self, *, schema: str | None = None) -> None:
        super().__init__(schema=schema)
        self._prepared: dict[UpdateBase, Prepared] = {}

    @contextmanager
    def session(self, connection: Connection) -> Iterator[None]:
        """Name the session after the process; settings an old server lacks are left out."""
        wanted = {name: value or whoami()[:63] for name, value in _SETTINGS.items()}
        before = _settings(connection)
        changed = [name for name, was in before.items() if was not in (None, wanted[name])]
        _set(connection, {name: wanted[name] for name in changed})
        try:
            yield
        finally:
            if not connection.invalidated and not connection.closed:
                connection.rollback()
                _set(connection, {name: str(before[name]) for name in changed})

    def acquire(self, connection: Connection, timeout: float) -> None:
        """Poll ``pg_try_advisory_lock``, without a transaction between two tries."""

        def attempt() -> bool:
            taken = bool(connection.execute(_TAKE, self._number).scalar())
            connection.commit()
            return taken

        poll(attempt, lambda: self._holder(connection), timeout)

    def release(self, connection: Connection) -> None:
        """Unlock the advisory lock."""
        unlock(connection, _GIVE, lambda: self._number)

    def holds(self, connection: Connection) -> bool:
        """Ask the server whether this very session has the lock."""
        if connection.invalidated:
            return False
        return bool(connection.execute(_MINE, self._number).scalar())

    def record(self, connection: Connection, rows: Sequence[Write], entry: Write) -> bool:
        """Write one row and the entry, and ask for the lock, in one statement: one round trip."""
        translated = connection.get_execution_options().get("schema_translate_map")
        marked = _MARKS.search(self.schema or "")
        if len(rows) != 1 or connection.invalidated or translated or marked:
            return super().record(connection, rows, entry)
        (row,) = rows
        values = {
            **row.values,
            **self._number,
            **{f"{_ENTRY}{name}": value for name, value in entry.values.items()},
        }
        prepared = self._prepared.get(row.statement)
        if prepared is None:
            prepared = prepare(_at_once(row, entry, connection.dialect), values, connection.dialect)
            self._prepared[row.statement] = prepared
        held, met = connection.exec_driver_sql(prepared.text, prepared.row(values)).one()
        if not held:
            raise LockLostError
        return bool(met)

    @property
    def _key(self) -> bytes:
        # PostgreSQL itself keeps the advisory locks of its databases apart.
        return self.digest("")

    @cached_property
    def _number(self) -> dict[str, int]:
        return {"key": int.from_bytes(self._key[:8], "big", signed=True)}

    def _holder(self, connection: Connection) -> str:
        high, low = (int.from_bytes(self._key[at : at + 4], "big") for at in (0, 4))
        row = connection.execute(_HOLDER, {"high": high, "low": low}).first()
        connection.commit()
        if row is None:
            return ""
        pid, name, client, since = row
        return f"{name or 'a session'} (pid {pid}, client {client}, since {since})"


def _settings(connection: Connection) -> dict[str, str | None]:
    """Return what the settings are, None for one that the server lacks; empty if it can't tell."""
    asked = ", ".join(f"current_setting('{name}', true)" for name in _SETTINGS)
    try:
        found = connection.exec_driver_sql(f"SELECT {asked}").one()
    except DBAPIError:
        connection.rollback()
        return {}
    return dict(zip(_SETTINGS, found, strict=True))


def _set(connection: Connection, wanted: Mapping[str, str]) -> None:
    """Change settings, all at once; where the server refuses one of them, the others one by one."""
    numbered = list(enumerate(wanted.items()))
    parts = ", ".join(f"set_config(:name{n}, :value{n}, false)" for n, _ in numbered)
    values = {f"name{n}": name for n, (name, _) in numbered}
    values |= {f"value{n}": value for n, (_, value) in numbered}
    try:
        if wanted:
            connection.execute(text(f"SELECT {parts}"), values)
        connection.commit()
    except DBAPIError:
        connection.rollback()
        for name, value in wanted.items() if len(wanted) > 1 else ():
            _set(connection, {name: value})


def _at_once(row: Write, entry: Write, dialect: Dialect) -> TextClause:
    """
    Return what does all of it: it tells whether the lock is ours, and how many rows were met.

    Written by hand: for SQLAlchemy to put the same together takes longer than
    the server to run it.
    """
    quote = dialect.identifier_preparer
    table: Any = entry.statement.table
    said = {name: f"{_ENTRY}{name}" for name in entry.values}
    statement = text(
        _AT_ONCE.format(
            met=_MET[type(row.statement)].format(quote.format_table(row.statement.table)),
            journal=quote.format_table(table),
            columns=", ".join(map(quote.quote, said)),
            values=", ".join(f":{name}" for name in said.values()),
        )
    )
    typed = [bindparam(said[name], type_=table.c[name].type) for name in said]
    return statement.bindparams(_KEY, *typed, *(bindparam(name, type_=_ID) for name in row.values))
