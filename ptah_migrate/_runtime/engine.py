"""Opens connections, and says in our words why one cannot be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, engine_from_config
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    MissingGreenlet,
    NoSuchModuleError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from ptah_migrate.errors import ConfigError, DatabaseError, MissingExtraError, UsageError

Bind = Engine | Connection | URL | str

# The drivers for a URL that names none, in the order of preference: module, dialect.
_CHOICES = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2")),
    "mysql": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
    "mariadb": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
}
_EXTRAS = {
    "psycopg": ("the PostgreSQL driver psycopg", "postgresql"),
    "psycopg2": ("the PostgreSQL driver psycopg2", "postgresql"),
    "pymysql": ("the MariaDB/MySQL driver PyMySQL", "mysql"),
    "MySQLdb": ("the MariaDB/MySQL driver MySQLdb", "mysql"),
}


# -- URLs and engines --------------------------------------------------------------------


def masked(bind: Bind) -> str:
    """Return the database's URL without its secrets."""
    url = _url(bind)
    secret = {key for key in url.query if "pass" in key.lower() or "secret" in key.lower()}
    if secret:
        url = url.update_query_dict(dict.fromkeys(secret, "***"))
    shown = url.render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
    # SQLAlchemy 2.1 escapes the database, 2.0 does not.
    escaped = quote(url.database or "", safe=" +/")
    return shown.replace(f"/{escaped}", f"/{url.database}", 1) if escaped else shown


def parse(url: URL | str) -> URL:
    """
    Return a URL, with an installed driver where only ``postgresql://`` or ``mysql://`` is said.

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
    if "@" in (parsed.host or ""):
        raise ConfigError(
            "the database URL has an '@' in its user, password or host",
            hint="write %40 for '@', %3A for ':' and %2F for '/' in a password",
        )
    choices = _CHOICES.get(parsed.drivername)
    if choices is None:
        return parsed
    driver = next((name for module, name in choices if find_spec(module)), choices[0][1])
    return parsed.set(drivername=f"{parsed.drivername}+{driver}")


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
        if name in _EXTRAS:
            raise MissingExtraError(*_EXTRAS[name]) from error
        raise ConfigError(
            f"the driver of '{url.drivername}' is not installed: {error}",
            hint=f"pip install {name}" if name else "",
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"the database settings cannot be used: {error}") from error


def _in_memory(url: URL) -> bool:
    name = url.database or ":memory:"
    return url.get_backend_name() == "sqlite" and (
        ":memory:" in name or url.query.get("mode") == "memory"
    )


# -- connections -------------------------------------------------------------------------


@contextmanager
def connected(bind: Engine | Connection, *, reading: bool = False) -> Iterator[Connection]:
    """
    Yield a connection that is in no transaction.

    Of an engine: a new one (see ``private``). A connection of the caller's is
    used as it is and stays open. ``reading`` a SQLite file that does not exist
    finds an empty database and does not make the file.

    Raises:
        DatabaseError: the database cannot be reached.
        UsageError: the caller's connection is in a transaction, or in
            autocommit mode.

    """
    if isinstance(bind, Connection):
        _refuse_unsuitable(bind)
        yield bind
        return
    with _open(_nothing() if reading and _no_file(bind.url) else private(bind)) as connection:
        yield connection


def _open(engine: Engine) -> Connection:
    try:
        connection = engine.connect()
        if engine.dialect.name != "sqlite" and engine.dialect.default_isolation_level:
            # An engine in autocommit mode would run the statements of a step one by one.
            level: Any = engine.dialect.default_isolation_level
            connection = connection.execution_options(isolation_level=level)
    except DBAPIError as error:
        raise unreachable(engine, error) from error
    except PoolTimeoutError as error:
        raise DatabaseError(
            f"the application's pool has no connection to {masked(engine)} to spare",
            hint="close one, or pass an engine of its own",
        ) from error
    except MissingGreenlet as error:
        raise ConfigError(
            f"'{engine.url.drivername}' is an asynchronous driver",
            hint="use the database's other driver, or pass a connection by run_sync()",
        ) from error
    return connection


def _refuse_unsuitable(connection: Connection) -> None:
    if connection.in_transaction():
        raise UsageError(
            "the connection is in a transaction, and every step needs one of its own",
            hint="commit() or rollback() before, or pass the engine",
        )
    if _autocommits(connection):
        raise UsageError(
            "the connection is in autocommit mode, and every step needs a transaction",
            hint="pass the engine, or a connection with another isolation level",
        )


def _autocommits(connection: Connection) -> bool:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    driver: Any = connection.connection.dbapi_connection
    found = getattr(driver, "autocommit", False)  # psycopg, psycopg2, asyncpg as SQLAlchemy has it
    if callable(found):  # PyMySQL, mysqlclient
        found = driver.get_autocommit()
    return found is True and connection.dialect.name != "sqlite"  # SQLite's is taken over anyway


def _no_file(url: URL) -> bool:
    if url.get_backend_name() != "sqlite" or _in_memory(url):
        return False
    name = str(url.database)
    return not name.startswith("file:") and not Path(name).exists()


def _nothing() -> Engine:
    return create_engine("sqlite://")


def private(engine: Engine) -> Engine:
    """
    Return an engine that makes connections as the caller's does, and really closes them.

    The caller's pool opens each one (with its arguments and event listeners)
    and lets go of it at once. So neither a lock nor a session setting can leak
    to the application, and a step that opens a second connection gets one even
    where the caller's pool holds a single one.
    """
    kept = isinstance(engine.pool, StaticPool | SingletonThreadPool) or _in_memory(engine.url)
    options = dict(engine.get_execution_options())
    options.pop("isolation_level", None)
    return Engine(
        NullPool(_Shared(engine) if kept else _detached(engine), dialect=engine.dialect),
        engine.dialect,
        engine.url,
        echo=engine.echo,
        execution_options=options,
        hide_parameters=True,
    )


def _detached(engine: Engine) -> Callable[[], Any]:
    def opened() -> Any:
        fairy = engine.raw_connection()
        driver = fairy.dbapi_connection
        fairy.detach()
        return driver

    return opened


class _Shared:
    """
    Hands out the one connection that a database in memory has.

    The first borrower owns its transactions. Whoever borrows it meanwhile (a
    step that opens a second connection) can neither end these nor close it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fairy: Any = None

    def __call__(self) -> Any:
        if self.fairy is not None:
            return _Borrowed(self.fairy.dbapi_connection, None)
        self.fairy = self.engine.raw_connection()
        return _Borrowed(self.fairy.dbapi_connection, self)

    def give_back(self) -> None:
        self.fairy.close()
        self.fairy = None


class _Borrowed:
    """A driver's connection that is not closed by who closes it."""

    def __init__(self, driver: Any, owner: _Shared | None) -> None:
        self.__dict__.update(_driver=driver, _owner=owner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._driver, name, value)

    def commit(self) -> None:
        if self._owner is not None:
            self._driver.commit()

    def rollback(self) -> None:
        if self._owner is not None:
            self._driver.rollback()

    def close(self) -> None:
        if self._owner is not None:
            self._owner.give_back()


# -- errors ------------------------------------------------------------------------------


def unreachable(bind: Bind, error: DBAPIError) -> DatabaseError:
    """Return the error of a database that cannot be reached as ours, without the password."""
    hint = "is the server running, and are name, user and password right?"
    if _url(bind).get_backend_name() == "sqlite":
        hint = "is its directory there, and may you write to it?"
    return DatabaseError(
        f"the database {masked(bind)} cannot be used: {_without_password(bind, reason(error))}",
        hint=hint,
    )


def refused(bind: Bind, error: DBAPIError) -> DatabaseError:
    """Return the error of a database that was reached and does not do what every command needs."""
    return DatabaseError(
        f"the database {masked(bind)} refuses: {_without_password(bind, reason(error))}",
        hint="is it read-only, or locked, or may this user not do it?",
    )


def reason(error: BaseException) -> str:
    """Return the first line of what an error says; of a driver's error, the driver's words."""
    words = str(getattr(error, "orig", None) or error)
    return next((line.strip() for line in words.splitlines() if line.strip()), "")


def _without_password(bind: Bind, text: str) -> str:
    password = str(_url(bind).password or "")
    return text.replace(password, "***") if password else text


def _url(bind: Bind) -> URL:
    return bind.engine.url if isinstance(bind, Engine | Connection) else parse(bind)
