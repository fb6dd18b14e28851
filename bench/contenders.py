"""
What is measured: one class for each contender, one method for each job.

``prepare`` is not timed; everything between it and the end of the job is. A
contender that has no method for a job does not take part in it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import sqlalchemy as sa

from bench.histories import Operation, Tree, metadata, operations, statements


class Contender:
    """
    One way of keeping databases at their histories.

    A database that was made by the models is taken over by ``record``: every
    revision counts as applied. ``back`` takes the newest revision of the first
    package out of such a database.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    versions: ClassVar[str]  # where the first package's last version is taken back

    def __init__(self, tree: Tree, url: str, turn: int = 0) -> None:
        self.tree = tree
        self.url = url
        self.first = tree.size.names[0]
        # A folder where a file was written a moment ago is another case than one at rest.
        self.resting = tree.size.names[turn % tree.size.packages]
        self.newest = list(operations(tree.size, self.first))[-1]
        self.before = tree.size.ids[-2] if tree.size.revisions > 1 else ""

    def prepare(self, job: str) -> None:
        """Load what the job needs, and bring about what it starts from."""
        if self.url:
            sa.create_engine(self.url)  # loads the driver
        self.load(job)
        if job == "step":
            self.back()

    def load(self, job: str) -> None:
        """Import the libraries that a process which does this has anyway."""

    def run(self, job: str) -> None:
        """Do a job."""
        getattr(self, job)()

    def takes(self, job: str) -> bool:
        """Return whether a job is one of this contender's."""
        return callable(getattr(type(self), job, None))

    def record(self) -> None:
        """Take over a database that has all tables."""
        raise NotImplementedError

    def back(self) -> None:
        """Undo the newest revision of the first package, and its record."""
        values = {"package": self.first, "id": self.newest.id, "before": self.before}
        with self.engine().begin() as connection:
            column = f"{self.newest.name} DROP COLUMN {self.newest.column}"
            connection.exec_driver_sql(f"ALTER TABLE {column}")
            connection.exec_driver_sql(self.versions.format(**values))

    def engine(self) -> sa.Engine:
        """Return a new engine, which keeps no connection."""
        return sa.create_engine(self.url, poolclass=sa.NullPool)

    def command(self, job: str) -> list[str] | None:
        """Return the command that does a job as a process, if there is one."""
        return None

    def models(self) -> list[sa.MetaData]:
        """Return the models of all packages."""
        return [metadata(self.tree.size, name) for name in self.tree.size.names]

    def create(self) -> None:
        """Create all tables from the models, as an application does."""
        with self.engine().begin() as connection:
            for models in self.models():
                models.create_all(connection)


# -- floors ----------------------------------------------------------------------------


class Core(Contender):
    """The statements as strings through one SQLAlchemy connection, one transaction."""

    name = "f_core"
    title = "floor: the bare statements"
    versions = "UPDATE bench_versions SET version_num = '{before}' WHERE package = '{package}'"

    def load(self, job: str) -> None:
        """Write all statements down."""
        if job == "upgrade":
            self.work = [
                (one, statements(one, self.engine().dialect.name))
                for package in self.tree.size.names
                for one in operations(self.tree.size, package)
            ]
        elif job == "step":
            self.work = [(self.newest, statements(self.newest, self.engine().dialect.name))]
        elif job == "seed":
            self.made = self.models()

    def record(self) -> None:
        """Write a row for each package."""
        with self.begin() as connection:
            self._rows(connection)

    def begin(self) -> Any:
        """Return a connection in a transaction, a real one on SQLite too."""
        engine = self.engine()
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _no_implicit_begin)
            sa.event.listen(engine, "begin", _begin)
        return engine.begin()

    def _table(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS bench_versions "
            "(package VARCHAR(32) NOT NULL PRIMARY KEY, version_num VARCHAR(32))"
        )

    def _rows(self, connection: sa.Connection) -> None:
        self._table(connection)
        rows = [{"package": name, "id": self.tree.size.ids[-1]} for name in self.tree.size.names]
        connection.execute(sa.text("INSERT INTO bench_versions VALUES (:package, :id)"), rows)

    def noop(self) -> None:
        """Ask for all versions."""
        with self.engine().connect() as connection:
            found = connection.exec_driver_sql("SELECT package, version_num FROM bench_versions")
            assert len(found.all()) == self.tree.size.packages

    status = memory = noop

    def upgrade(self) -> None:
        """Send every statement."""
        with self.begin() as connection:
            self._table(connection)
            self._send(connection, self.work)
            self._rows(connection)

    def step(self) -> None:
        """Ask for all versions, send one statement, and write its version."""
        with self.begin() as connection:
            connection.exec_driver_sql("SELECT package, version_num FROM bench_versions").all()
            self._send(connection, self.work)
            connection.exec_driver_sql(
                f"UPDATE bench_versions SET version_num = '{self.newest.id}' "
                f"WHERE package = '{self.first}'"
            )

    def _send(self, connection: sa.Connection, work: list[tuple[Operation, list[str]]]) -> None:
        for _, texts in work:
            for text in texts:
                connection.exec_driver_sql(text)

    def seed(self) -> None:
        """Create all tables, and write a row for each package."""
        with self.begin() as connection:
            for models in self.made:
                models.create_all(connection)
            self._rows(connection)

    def command(self, job: str) -> list[str] | None:
        """Return a process that asks for all versions."""
        code = (
            f"import sqlalchemy as sa\nwith sa.create_engine({self.url!r}).connect() as c:\n"
            "    c.exec_driver_sql('SELECT package, version_num FROM bench_versions').all()"
        )
        return [sys.executable, "-c", code] if job in ("noop", "status") else None


class Operations(Core):
    """The revision modules, run with Alembic's operations in a known order."""

    name = "f_ops"
    title = "floor: the operations, order known"

    def load(self, job: str) -> None:
        """Import Alembic, and list the files."""
        importlib.import_module("alembic.operations")
        importlib.import_module("alembic.migration")
        names = self.tree.size.names if job == "upgrade" else [self.first]
        ids = self.tree.size.ids if job == "upgrade" else self.tree.size.ids[-1:]
        self.files = [self.tree.migrations(name) / f"{id_}.py" for name in names for id_ in ids]
        self.work = [(self.newest, [""]) for _ in self.files]

    def takes(self, job: str) -> bool:
        """Return whether it is one of two."""
        return job in ("upgrade", "step")

    def command(self, job: str) -> list[str] | None:
        """Return None: a floor of steps only."""
        return None

    def _send(self, connection: sa.Connection, work: list[tuple[Operation, list[str]]]) -> None:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations as Context

        context = MigrationContext.configure(connection)
        with Context.context(context):
            for number, path in enumerate(self.files):
                _module(f"bench_revision_{number}", path).upgrade()


def _module(name: str, path: Path) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _no_implicit_begin(connection: Any, _: object) -> None:
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# -- ours ------------------------------------------------------------------------------


class Ours(Contender):
    """ptah-migrate, the packages installed."""

    name = "ptah"
    title = "ptah-migrate"
    versions = "UPDATE ptah_db_versions SET version_num = '{before}' WHERE package = '{package}'"

    def load(self, job: str) -> None:
        """Import all of it that takes part, and Alembic, as the others have it."""
        sys.path.append(str(self.tree.site))
        if job == "memory":
            return
        if job not in ("noop", "status"):
            importlib.import_module("alembic.autogenerate")
        for half in ("_runtime", "_history", "_authoring"):
            found = importlib.import_module(f"ptah_migrate.{half}")
            for module in pkgutil.iter_modules(found.__path__, f"{found.__name__}."):
                importlib.import_module(module.name)
        if job == "revision":
            importlib.import_module("jinja2.sandbox")
        if job in ("upgrade", "step", "seed"):  # an application has its models
            for name in self.tree.size.names:
                importlib.import_module(f"{name}.models")
        if job.startswith("autogenerate"):
            importlib.import_module(f"{self.first}.models").metadata.tables[
                f"{self.first}_t001"
            ].append_column(sa.Column("wanted", sa.Integer))

    def migrator(self) -> Any:
        """Return the migrator of all packages, registered as an application does."""
        from ptah_migrate import Migrator

        return Migrator(self.url, self.registry())

    def registry(self) -> Any:
        """Return the packages, registered as an application does."""
        from ptah_migrate import Registry, make_package

        return Registry(
            make_package(name, f"{name}:migrations", title=name, metadata=f"{name}.models:metadata")
            for name in self.tree.size.names
        )

    def record(self) -> None:
        """Stamp all packages."""
        self.migrator().stamp(*(f"{name}:head" for name in self.tree.size.names))

    def noop(self) -> None:
        """Bring all packages to their heads, where they are."""
        assert not self.migrator().upgrade().done

    memory = noop

    def upgrade(self) -> None:
        """Run every revision."""
        done = self.migrator().upgrade().done
        assert len(done) == self.tree.size.packages * self.tree.size.revisions

    def step(self) -> None:
        """Run one revision of one package."""
        assert len(self.migrator().upgrade(self.first).done) == 1

    def status(self) -> None:
        """Tell where every package is."""
        assert {one.state for one in self.migrator().status()} == {"current"}

    def heads(self) -> None:
        """Tell the newest revision of every package."""
        from ptah_migrate import _history

        registry = self.registry()
        if hasattr(_history, "heads"):
            found = {name: one.heads for name, one in _history.heads(registry).items()}
        else:
            found = {package.name: _history.read(package).heads for package in registry}
        assert len(found) == self.tree.size.packages

    def history(self) -> None:
        """Print every revision, the newest first."""
        from ptah_migrate._history import read

        with redirect_stdout(StringIO()):
            for package in self.registry():
                found = read(package)
                for id_ in reversed(found.order()):
                    print(f"{id_}: {found.revisions[id_].doc}")

    def revision(self) -> None:
        """Write a revision file, which is removed again."""
        from ptah_migrate import _authoring
        from ptah_migrate._history import read

        package = self.registry().get(self.resting)
        self.new = _authoring.revision(package, read(package), message="new").path

    def autogenerate(self) -> None:
        """Compare the first package with the database: one column is wanted."""
        assert len(self.migrator().differences(self.first)[self.first]) == 1

    def seed(self) -> None:
        """Create all tables and record the heads."""
        assert len(self.migrator().seed().done) == self.tree.size.packages

    def command(self, job: str) -> list[str] | None:
        """Return the command without output."""
        word = {"noop": "upgrade", "status": "status"}.get(job)
        return word and [sys.executable, "-m", "ptah_migrate", "-q", "--url", self.url, word]  # type: ignore[return-value]


# -- peers -----------------------------------------------------------------------------


class Alembic(Contender):
    """One Alembic environment, a version location and a branch label for each package."""

    name = "al_labels"
    title = "Alembic, one environment"
    versions = (
        "UPDATE alembic_version SET version_num = '{package}_{before}' "
        "WHERE version_num = '{package}_{id}'"
    )

    def load(self, job: str) -> None:
        """Import Alembic; the models, where they are looked at."""
        importlib.import_module("alembic.command")
        self.made = self.models() if job == "seed" else []
        if job.startswith("autogenerate"):
            self.target = self._merged(only_first=job == "autogenerate")
            self.target.tables[f"{self.first}_t001"].append_column(sa.Column("wanted", sa.Integer))

    def _merged(self, *, only_first: bool) -> sa.MetaData:
        if only_first:
            return metadata(self.tree.size, self.first)
        found = sa.MetaData()
        for models in self.models():
            for table in models.tables.values():
                table.to_metadata(found)
        return found

    def config(self, **attributes: Any) -> Any:
        """Return what every command is given."""
        from alembic.config import Config

        config = Config(str(self.tree.root / "alembic.ini"), stdout=StringIO())
        config.attributes.update(url=self.url, **attributes)
        return config

    @property
    def api(self) -> Any:
        """Alembic's commands."""
        return importlib.import_module("alembic.command")

    def record(self) -> None:
        """Stamp all heads."""
        self.api.stamp(self.config(), "heads")

    def upgrade(self) -> None:
        """Bring all branches to their heads."""
        self.api.upgrade(self.config(), "heads")

    noop = memory = upgrade

    def step(self) -> None:
        """Bring one branch to its head."""
        self.api.upgrade(self.config(), f"{self.first}@head")

    def status(self) -> None:
        """Tell where every branch is."""
        self.api.current(self.config())

    def heads(self) -> None:
        """Tell the heads."""
        self.api.heads(self.config())

    def history(self) -> None:
        """Print every revision."""
        self.api.history(self.config())

    def revision(self) -> None:
        """Write a revision file, which is removed again."""
        made = self.api.revision(
            self.config(),
            message="new",
            head=f"{self.resting}@head",
            version_path=str(self.tree.labels / self.resting),
        )
        self.new = Path(made.path)

    def autogenerate(self) -> None:
        """Compare the models with the database, foreign tables filtered out by name."""
        tables = set(self.target.tables)
        self._compare(
            self.config(
                metadata=self.target,
                include_name=lambda name, kind, _: kind != "table" or name in tables,
            )
        )

    def autogenerate_all(self) -> None:
        """Compare the models of all packages with the whole database."""
        self._compare(self.config(metadata=self.target))

    def _compare(self, config: Any) -> None:
        from alembic.util import AutogenerateDiffsDetected

        try:
            self.api.check(config)
        except AutogenerateDiffsDetected as found:
            (difference,) = found.diffs
            assert difference[0] == "add_column"

    def seed(self) -> None:
        """Create all tables and stamp the heads."""
        with self.engine().begin() as connection:
            for models in self.made:
                models.create_all(connection)
        self.record()

    def command(self, job: str) -> list[str] | None:
        """Return the command."""
        words = {"noop": ["upgrade", "heads"], "status": ["current"]}.get(job)
        ini = str(self.tree.root / "alembic.ini")
        return words and [sys.executable, "-m", "alembic", "-c", ini, *words]


class AlembicEach(Alembic):
    """An Alembic environment and a version table for each package, in a loop."""

    name = "al_each"
    title = "Alembic, an environment per package"
    versions = "UPDATE alembic_version_{package} SET version_num = '{before}'"
    autogenerate_all = None  # type: ignore[assignment]

    def config(self, package: str = "", **attributes: Any) -> Any:
        """Return what a command for one package is given."""
        from alembic.config import Config

        name = package or self.first
        config = Config(stdout=StringIO())
        config.set_main_option("script_location", str(self.tree.env))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(self.tree.migrations(name)))
        table = f"alembic_version_{name}"
        config.attributes.update(url=self.url, version_table=table, **attributes)
        return config

    def _each(self, command: Callable[..., object], *words: str) -> None:
        for name in self.tree.size.names:
            command(self.config(name), *words)

    def record(self) -> None:
        """Stamp each package."""
        self._each(self.api.stamp, "head")

    def upgrade(self) -> None:
        """Bring each package to its head."""
        self._each(self.api.upgrade, "head")

    noop = memory = upgrade

    def step(self) -> None:
        """Bring one package to its head."""
        self.api.upgrade(self.config(), "head")

    def status(self) -> None:
        """Tell where each package is."""
        self._each(self.api.current)

    def heads(self) -> None:
        """Tell the heads of each package."""
        self._each(self.api.heads)

    def history(self) -> None:
        """Print every revision of each package."""
        self._each(self.api.history)

    def revision(self) -> None:
        """Write a revision file, which is removed again."""
        self.new = Path(self.api.revision(self.config(self.resting), message="new").path)

    def command(self, job: str) -> list[str] | None:
        """Return None: there is no one command."""
        return None


class Django(Contender):
    """Django, an app for each package."""

    name = "django"
    title = "Django"
    versions = "DELETE FROM django_migrations WHERE app = '{package}' AND name = 'm{id}'"

    def takes(self, job: str) -> bool:
        """Return whether it is one of Django's, and the driver one that Django has."""
        ours = job in ("noop", "upgrade", "step", "status")
        return ours and _installed("django") and not self.url.startswith("mysql")

    def load(self, job: str) -> None:
        """Set Django up."""
        sys.path.insert(0, str(self.tree.django))  # an app has the name of a package
        settings = importlib.import_module("django.conf").settings
        settings.configure(
            INSTALLED_APPS=self.tree.size.names,
            DATABASES={"default": self._database()},
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            USE_TZ=True,
        )
        importlib.import_module("django").setup()
        importlib.import_module("django.core.management.commands.migrate")

    def _database(self) -> dict[str, Any]:
        url = sa.make_url(self.url)
        backend = {"sqlite": "sqlite3"}.get(url.get_backend_name(), url.get_backend_name())
        return {
            "ENGINE": f"django.db.backends.{backend}",
            "NAME": url.database,
            "USER": url.username or "",
            "PASSWORD": url.password or "",
            "HOST": url.host or "",
            "PORT": url.port or "",
        }

    def _call(self, *words: str, **options: Any) -> None:
        call: Any = importlib.import_module("django.core.management").call_command
        call(*words, verbosity=0, skip_checks=True, stdout=StringIO(), **options)

    def record(self) -> None:
        """Record all migrations without running them."""
        self._call("migrate", fake=True)

    def upgrade(self) -> None:
        """Run every migration."""
        self._call("migrate")

    noop = upgrade

    def step(self) -> None:
        """Run one migration of one app."""
        self._call("migrate", self.first)

    def status(self) -> None:
        """List all migrations."""
        self._call("showmigrations")


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


CONTENDERS: dict[str, type[Contender]] = {
    one.name: one for one in (Core, Operations, Ours, Alembic, AlembicEach, Django)
}


def environment(tree: Tree, url: str, cache: Path) -> dict[str, str]:
    """Return the environment of a measured process: nothing of whoever measures."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PTAH_MIGRATE_", "PYTHONDONTWRITE", "PYTHONPATH", "COVERAGE"))
    }
    here = str(Path(__file__).parents[1])
    return {
        **kept,
        "BENCH_URL": url,
        "PTAH_MIGRATE_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join((here, str(tree.site))),
    }
