"""
What the tests build and look at: packages on disk, databases, the command.

`conftest` hands these out as fixtures. Tests name the classes here in their
annotations.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import CompileError

import ptah_migrate
from ptah_migrate import registry
from ptah_migrate.model import Package

DATABASES = ("sqlite", "postgresql", "mariadb")
BODY = str | tuple[str, str]
OURS = "PTAH_MIGRATE_"  # how the variables begin that a test must not find set
CACHE = "PTAH_MIGRATE_CACHE"  # but for this one, which `conftest` sets
SOURCE = Path(ptah_migrate.__file__).parents[1]  # where processes import ptah_migrate from

# -- packages on disk -----------------------------------------------------------------


@dataclass
class PackageOnDisk:
    """
    An importable package with migrations, in a directory of the test's own.

    ``root`` is the directory on ``sys.path``, ``package`` what a registration
    of it gives; ``registration`` are the further arguments of that.
    """

    name: str
    root: Path
    registration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The directory of the package."""
        return self.root.joinpath(*self.name.split("."))

    @property
    def migrations(self) -> Path:
        """The directory of the revision files."""
        return self.directory / "migrations"

    @cached_property
    def package(self) -> Package:
        """The registered package."""
        return registry.make_package(self.name, f"{self.name}:migrations", **self.registration)

    def add(self, filename: str, source: str) -> Path:
        """Write a file among the revisions and return its path."""
        return _write(self.migrations / filename, source)

    def install(self, entry_point: str = "", version: str = "1.0") -> Path:
        """Make the package an installed distribution that has our entry point."""
        folder = self.root / f"{self.name}-{version}.dist-info"
        value = entry_point or f"{self.name}.migrations"
        _write(
            folder / "METADATA", f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {version}\n"
        )
        _write(folder / "entry_points.txt", f"[ptah_migrate]\n{self.name} = {value}\n")
        return folder


@dataclass
class PackageMaker:
    """Makes packages in one directory; ``made`` are those it made."""

    root: Path
    made: list[PackageOnDisk] = field(default_factory=list)

    def __call__(
        self,
        name: str = "blog",
        revisions: Mapping[str, BODY] | None = None,
        *,
        files: Mapping[str, str] | None = None,
        init: str = "",
        **registration: Any,
    ) -> PackageOnDisk:
        """
        Write a package and return it.

        Args:
            name: the import name.
            revisions: file name (``001.py``) to the file's text, or id (``001``)
                to the body of ``upgrade``, or to the bodies of both functions.
                An id follows the id written before it.
            files: further files, by their path inside the package.
            init: the text of the package's ``__init__.py``.
            registration: further arguments of `registry.make_package`.
        """
        forget(name)  # somebody's who imported one of this name in another way
        made = PackageOnDisk(name, self.root, registration)
        _write(made.directory / "__init__.py", init)
        made.add("__init__.py", f'"""Schema history of {name}."""\n')
        for path, text in (files or {}).items():
            _write(made.directory / path, text)
        for filename, source in _sources(revisions or {}):
            made.add(filename, source)
        self.made.append(made)
        return made

    def forget(self) -> None:
        """Remove the modules of every package from the interpreter."""
        for package in self.made:
            forget(package.name)


def forget(name: str) -> None:
    """Remove a package and its modules from the interpreter."""
    for module in list(sys.modules):
        if module == name or module.startswith(f"{name}."):
            del sys.modules[module]
    importlib.invalidate_caches()


def revision_source(
    id: str,
    down: str | Sequence[str] | None = None,
    *,
    upgrade: str | None = "pass",
    downgrade: str | None = "pass",
    message: str = "",
    requires: Sequence[str] = (),
    depends_on: Sequence[str] = (),
    labels: Sequence[str] = (),
    run_before: Sequence[str] = (),
) -> str:
    """Return the text of a plain Alembic revision file; a body of None leaves a function out."""
    after = down if down is None or isinstance(down, str) else tuple(down)
    docstring = [f'"""{message}"""', ""] if message else []
    lines = [
        *docstring,
        "import sqlalchemy as sa",
        "from alembic import context, op",
        "",
        f"revision = {id!r}",
        f"down_revision = {after!r}",
        f"branch_labels = {tuple(labels) or None!r}",
        f"depends_on = {tuple(depends_on) or None!r}",
    ]
    if requires:
        lines.append(f"requires = {tuple(requires)!r}")
    if run_before:
        lines.append(f"run_before = {tuple(run_before)!r}")
    for function, body in (("upgrade", upgrade), ("downgrade", downgrade)):
        if body is not None:
            text = indent(dedent(body).strip("\n"), "    ")
            lines += ["", "", f"def {function}() -> None:", text]
    return "\n".join(lines) + "\n"


def tree(directory: Path) -> dict[str, str]:
    """Return every file below a directory, by its relative path."""
    return {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _sources(revisions: Mapping[str, BODY]) -> Iterator[tuple[str, str]]:
    """Yield file name and text of each revision that was given in short."""
    before: str | None = None
    for name, body in revisions.items():
        if name.endswith(".py"):
            yield name, body if isinstance(body, str) else body[0]
            continue
        upgrade, downgrade = (body, "pass") if isinstance(body, str) else body
        yield (
            f"{name}.py",
            revision_source(name, before, upgrade=upgrade, downgrade=downgrade),
        )
        before = name


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text.removeprefix("\n")), encoding="utf-8")
    importlib.invalidate_caches()
    return path


# -- databases --------------------------------------------------------------------------


@dataclass
class Database:
    """
    An empty database of the test's own.

    ``name`` is one of `DATABASES`; ``url`` has the password, if there is one.
    """

    name: str
    url: str
    engine: sa.Engine
    _another: Callable[[], Database] = field(repr=False)

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the kind: ``sqlite``, ``postgresql``, ``mysql``."""
        return self.engine.dialect.name

    def another(self) -> Database:
        """Return a second empty database on the same server."""
        return self._another()


@dataclass
class Server:
    """A database server that makes databases; ``problem`` says why it cannot be used."""

    name: str
    admin: sa.Engine
    problem: str = ""
    clean: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def connected(cls, name: str, url: str) -> Iterator[Server]:
        """Yield the server at a URL, with one connection for making databases."""
        admin = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5},
        )
        server = cls(name, admin)
        try:
            admin.connect().close()
        except sa.exc.DBAPIError as error:
            first = str(error.orig).strip().partition("\n")[0]
            server.problem = f"no {name} server at {admin.url.render_as_string()}: {first}"
        yield server
        for database in server.clean:
            server.drop(database)
        admin.dispose()

    def take(self, database: str) -> str:
        """Return the URL of an empty database: one that was given back, or a new one."""
        return self.url(self.clean.pop()) if self.clean else self.create(database)

    def give_back(self, url: str) -> None:
        """
        Empty a database for the next test, whoever is still connected to it, or drop it.

        PostgreSQL writes a checkpoint for every database it drops: that is most
        of the time of a short test.
        """
        database = str(sa.make_url(url).database)
        if self.name == "postgresql":
            with suppress(sa.exc.DBAPIError):
                self._empty(database)
                self.clean.append(database)
                return
        self.drop(database)

    def _empty(self, database: str) -> None:
        """Take a PostgreSQL database back to what template0 gives."""
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND pid <> pg_backend_pid()",
            f"ALTER DATABASE {database} RESET ALL",
        )
        engine = sa.create_engine(self.url(database), poolclass=sa.NullPool)
        with engine.begin() as connection:
            for schema in connection.scalars(
                sa.text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_)'")
            ).all():
                connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')
            connection.exec_driver_sql("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
            connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO PUBLIC")

    def url(self, database: str) -> str:
        """Return the URL of a database of the server."""
        return self.admin.url.set(database=database).render_as_string(hide_password=False)

    def create(self, database: str) -> str:
        """Create an empty database and return its URL."""
        how = "TEMPLATE template0" if self.name == "postgresql" else "CHARACTER SET utf8mb4"
        self._execute(f"CREATE DATABASE {database} {how}")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, whoever is still connected to it."""
        if self.name == "postgresql":
            self._execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            return
        # A forgotten transaction would hold its tables for as long as the server lets it.
        for connection in self._connections(database):
            with suppress(sa.exc.OperationalError):  # gone meanwhile
                self._execute(f"KILL {connection}")
        self._execute("SET lock_wait_timeout = 10", f"DROP DATABASE IF EXISTS {database}")

    def _connections(self, database: str) -> list[int]:
        with self.admin.connect() as connection:
            found = connection.execute(
                sa.text("SELECT id FROM information_schema.processlist WHERE db = :name"),
                {"name": database},
            )
            return [row.id for row in found]

    def _execute(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def tables(bind: sa.Engine | sa.Connection) -> set[str]:
    """Return the names of all tables."""
    return set(sa.inspect(bind).get_table_names())


def rows(engine: sa.Engine) -> set[tuple[str, str]]:
    """Return the recorded versions as (package, version_num); none without the table."""
    if "ptah_db_versions" not in tables(engine):
        return set()
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT package, version_num FROM ptah_db_versions")
        return {(row.package, row.version_num) for row in found}


def contents(engine: sa.Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table but the bookkeeping, sorted, columns by name."""
    inspector = sa.inspect(engine)
    found = {}
    with engine.connect() as connection:
        for name in filter(_is_users, inspector.get_table_names()):
            columns = sorted(column["name"] for column in inspector.get_columns(name))
            table = sa.table(name, *map(sa.column, columns))
            found[name] = sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
    return found


def dump(engine: sa.Engine) -> dict[str, Any]:
    """
    Return the schema as plain values, equal for equal schemas.

    The tables of the bookkeeping (ours and Alembic's) are left out. The order of
    columns does not count for equality; ``list(dump(…)["tables"][name]["columns"])``
    tells it.
    """
    inspector = sa.inspect(engine)
    schema: dict[str, Any] = {
        "tables": {
            name: _table(inspector, name, engine.dialect)
            for name in sorted(filter(_is_users, inspector.get_table_names()))
        },
        "views": {
            name: inspector.get_view_definition(name).replace(f"`{engine.url.database}`.", "")
            for name in sorted(inspector.get_view_names())
        },
    }
    if engine.dialect.name == "postgresql":
        schema["sequences"] = sorted(filter(_is_users, inspector.get_sequence_names()))
        schema["enums"] = _sorted(inspector.get_enums())  # type: ignore[attr-defined]
    return schema


def _is_users(name: str) -> bool:
    return name != "alembic_version" and not name.startswith("ptah_db_")


def _table(inspector: sa.Inspector, name: str, dialect: Dialect) -> dict[str, Any]:
    columns = inspector.get_columns(name)
    return {
        "columns": {column["name"]: _column(dict(column), dialect) for column in columns},
        "primary key": dict(inspector.get_pk_constraint(name)),
        "foreign keys": _sorted(inspector.get_foreign_keys(name)),
        "unique": _sorted(inspector.get_unique_constraints(name)),
        "checks": _sorted(inspector.get_check_constraints(name)),
        "indexes": _sorted(inspector.get_indexes(name)),
        "comment": inspector.get_table_comment(name)["text"] if dialect.supports_comments else None,
    }


def _column(column: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    try:
        type_ = column["type"].compile(dialect=dialect)
    except CompileError:  # a type that SQLAlchemy cannot reflect
        type_ = repr(column["type"])
    return {**column, "type": type_}


def _sorted(items: Sequence[Any]) -> list[dict[str, Any]]:
    return sorted((dict(item) for item in items), key=repr)


# -- the command --------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What a run of the command left: its exit code and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass
class Command:
    """
    Runs ``ptah-migrate`` as a user does: as a process of its own.

    It starts in ``cwd``, finds modules in ``path`` and sees no settings of the
    person who runs the tests.
    """

    cwd: Path
    path: Sequence[Path] = ()

    def __call__(
        self,
        *args: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run the command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "ptah_migrate", *map(str, args)],
            cwd=cwd or self.cwd,
            env=self.environment(env),
            input=input or "",
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(
        self, *args: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the command and return its process, for runs side by side."""
        return subprocess.Popen(
            [sys.executable, "-m", "ptah_migrate", *map(str, args)],
            cwd=cwd or self.cwd,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a run."""
        kept = {k: v for k, v in os.environ.items() if k == CACHE or not k.startswith(OURS)}
        return {
            **kept,
            "PYTHONDONTWRITEBYTECODE": "1",  # a file rewritten within a second must be read again
            "PYTHONPATH": os.pathsep.join(map(str, [*self.path, SOURCE])),
            "PYTHONUTF8": "1",
            # Pyramid 2.1 imports pkg_resources, and setuptools 81 says so on stderr.
            "PYTHONWARNINGS": "ignore:pkg_resources is deprecated:UserWarning",
            **(env or {}),
        }


def invoke(
    *args: str | Path, env: Mapping[str, str | None] | None = None, input: str | None = None
) -> Result:
    """Run ``ptah-migrate`` inside this process: quicker, and what it logs can be seen."""
    from ptah_migrate._cli import cli

    result = CliRunner().invoke(cli, [str(arg) for arg in args], env=env, input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)
