"""Opens connections, and says in our words why one cannot be opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, engine_from_config
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from ptah_migrate.errors import ConfigError, DatabaseError, MissingExtraError, UsageError

Bind = Engine | Connection | URL | str

_DRIVERS = {
    "psycopg": ("the PostgreSQL driver psycopg", "postgresql"),
    "psycopg2": ("the PostgreSQL driver psycopg2", "postgresql"),
    "pymysql": ("the MariaDB/MySQL driver PyMySQL", "mysql"),
    "MySQLdb": ("the MariaDB/MySQL driver MySQLdb", "mysql"),
}


def masked(bind: Bind) -> str:
    """Return the database's URL without its secrets."""
    url = bind.engine.url if isinstance(bind, Engine | Connection) else parse(bind)
    secret = {key for key in url.query if "pass" in key.lower() or "secret" in key.lower()}
    if secret:
        url = url.update_query_dict(dict.fromkeys(secret, "***"))
    return url.render_as_string(hide_password=True)


def parse(url: URL | str) -> URL:
    """
    Return a URL, with the installed driver where only ``postgresql://`` or ``mysql://`` is said.

    Raises:
        ConfigError: the text is no database URL; it is not repeated, it may
            hold a password.

    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            "the database URL cannot be understood",
            hint="for example: sqlite:///app.sqlite or postgresql+psycopg://user@host/name",
        ) from error
    if parsed.drivername in ("mysql", "mariadb"):
        return parsed.set(drivername=f"{parsed.drivername}+pymysql")
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def engine_for(url: URL | str) -> Engine:
    """
    Return an engine that keeps no connection open.

    Raises:
        ConfigError: no database of this name is known.
        MissingExtraError: its driver is not installed; the pip command is named.

    """
    parsed = parse(url)
    options = {} if _in_memory(parsed) else {"poolclass": NullPool}
    with _translated(parsed):
        return create_engine(parsed, hide_parameters=True, **options)


def from_settings(settings: Mapping[str, Any]) -> Engine:
    """
    Return the engine of ``sqlalchemy.*`` settings, made as Pyramid applications make theirs.

    Raises:
        ConfigError, MissingExtraError: as for ``engine_for``.

    """
    parsed = parse(settings["sqlalchemy.url"])
    with _translated(parsed):
        return engine_from_config({**settings, "sqlalchemy.url": parsed}, "sqlalchemy.")


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    """Say in our words why an engine cannot be made."""
    try:
        yield
    except NoSuchModuleError as error:
        raise ConfigError(
            f"SQLAlchemy knows no database '{url.drivername}'",
            hint="sqlite, postgresql+psycopg, mysql+pymysql, or install the dialect",
        ) from error
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in _DRIVERS:
            raise MissingExtraError(*_DRIVERS[name]) from error
        raise ConfigError(
            f"the driver of '{url.drivername}' is not installed: {error}",
            hint=f"pip install {name}" if name else "",
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"the database settings cannot be used: {error}") from error


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


@contextmanager
def connected(bind: Engine | Connection) -> Iterator[Connection]:
    """
    Yield a connection that is in no transaction.

    Of an engine: a new one (see ``private``). A connection of the caller's is
    used as it is and stays open.

    Raises:
        DatabaseError: the database cannot be reached.
        UsageError: the caller's connection is in a transaction.

    """
    if isinstance(bind, Connection):
        if bind.in_transaction():
            raise UsageError(
                "the connection is in a transaction, and every step needs one of its own",
                hint="commit() or rollback() before, or pass the engine",
            )
        yield bind
        return
    try:
        connection = private(bind).connect()
    except DBAPIError as error:
        raise unreachable(bind, error) from error
    with connection:
        yield connection


def private(engine: Engine) -> Engine:
    """
    Return an engine that makes connections as the caller's does, and really closes them.

    The caller's pool opens each one (with its arguments and event listeners)
    and lets go of it at once. So neither a lock nor a session setting can leak
    to the application, and a step that opens a second connection gets one even
    where the caller's pool holds a single one. A database in memory has only
    the connection it has.
    """
    if isinstance(engine.pool, StaticPool | SingletonThreadPool):
        return engine

    def opened() -> Any:
        fairy = engine.raw_connection()
        driver = fairy.dbapi_connection
        fairy.detach()
        return driver

    pool = NullPool(opened, dialect=engine.dialect)
    return Engine(pool, engine.dialect, engine.url, hide_parameters=True)


def unreachable(bind: Bind, error: DBAPIError) -> DatabaseError:
    """Return a driver's error as ours: one line, without the password."""
    lines = str(error.orig).strip().splitlines() or [""]
    return DatabaseError(
        f"the database {masked(bind)} cannot be used: {lines[0].strip()}",
        hint="is the server running, and are name, user and password right?",
    )
