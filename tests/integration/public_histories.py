"""
Four public projects with histories of Alembic revisions, run by Alembic and by us.

This module is a program too: it imports the projects once, then reads runs
from its standard input, one JSON object a line, and does each in a process of
its own. The projects' global state so never meets that of the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ptah_migrate import Migrator, Registry, make_package

# -- what is fetched ------------------------------------------------------------------

PROJECTS = ("jupyterhub==6.1.1", "optuna==5.0.0", "mlflow==3.18.0", "mailman==3.3.10")

# What their modules import on the way to the models, in the order of the projects.
IMPORTED = (
    *("tornado", "traitlets", "aiohttp", "aiosignal", "aiohappyeyeballs", "frozenlist"),
    *("multidict", "propcache", "yarl", "idna", "attrs", "python-dateutil", "six"),
    *("numpy", "tqdm", "colorlog", "packaging", "PyYAML"),
    *("protobuf", "cachetools", "cloudpickle", "pytz", "requests", "urllib3", "certifi"),
    *("charset-normalizer", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-proto"),
    *("opentelemetry-semantic-conventions", "sqlparse", "gitpython", "gitdb", "smmap", "psutil"),
    *("fastapi", "starlette", "annotated-doc", "anyio", "pydantic", "pydantic-core"),
    *("annotated-types", "typing-inspection", "importlib-metadata<9", "zipp<4", "databricks-sdk"),
    *("cryptography", "cffi", "pycparser"),
    *("flufl.lock", "flufl.i18n", "atpublic", "lazr.config", "lazr.delegates", "aiosmtpd"),
    *("zope.component", "zope.configuration", "zope.event", "zope.schema", "zope.interface"),
    *("zope.hookable", "zope.i18nmessageid", "passlib"),
)

# JupyterHub's first tables were made by older releases: the last one of the 1.x line.
OLDER = ("jupyterhub==1.5.1", "async-generator")


# -- what each project's own code does -----------------------------------------------------


@dataclass(frozen=True)
class Project:
    """
    One project as its ``env.py`` and its start-up code treat it.

    ``start`` makes the tables that exist before the first revision runs, and
    returns the revision that this state is, empty for none. ``options`` are
    what ``env.py`` hands to ``context.configure``.
    """

    versions: str
    imports: Sequence[str]
    options: Callable[[], dict[str, Any]]
    start: Callable[[sa.Engine], str]

    def directory(self) -> Path:
        """Return the directory of the revisions."""
        package = self.versions.partition("/")[0]
        return Path(str(import_module(package).__file__)).parents[1] / self.versions


def _jupyterhub_options() -> dict[str, Any]:
    metadata = import_module("jupyterhub.orm").Base.metadata
    return {"target_metadata": metadata, "transaction_per_migration": True}


def _jupyterhub_start(engine: sa.Engine) -> str:
    """
    Make the tables of JupyterHub 1.5 by its own models; 1.5 recorded this revision.

    From the base on, the history cannot be run by anybody today: 99a28a4418e1
    calls ``datetime._replace``, which does not exist.
    """
    code = (
        "import sys, sqlalchemy as sa; from jupyterhub import orm\n"
        "orm.Base.metadata.create_all(sa.create_engine(sys.argv[1]))"
    )
    url = engine.url.render_as_string(hide_password=False)
    path = os.pathsep.join([os.environ["OLDER"], os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", code, url], env=environment, check=True)
    return "4dc2d5a8c53c"


def _optuna_options() -> dict[str, Any]:
    models = import_module("optuna.storages._rdb.models")
    return {"target_metadata": models.BaseModel.metadata, "render_as_batch": True}


def _optuna_start(engine: sa.Engine) -> str:
    """Make nothing: the first revision does it all."""
    return ""


def _optuna_new(engine: sa.Engine) -> str:
    """Make all tables from the models, as Optuna does for a new storage."""
    _optuna_options()["target_metadata"].create_all(engine)
    return "v3.2.0.a"


def _mlflow_options() -> dict[str, Any]:
    metadata = import_module("mlflow.store.db.base_sql_model").Base.metadata
    return {"target_metadata": metadata, "render_as_batch": True}


def _mlflow_start(engine: sa.Engine) -> str:
    """Make the tables of MLflow 0.9, as its ``_initialize_tables`` does before it upgrades."""
    initial = import_module("mlflow.store.tracking.dbmodels.initial_models")
    initial.Base.metadata.create_all(engine)
    return ""


def _mailman_options() -> dict[str, Any]:
    metadata = import_module("mailman.database.model").Model.metadata
    return {"target_metadata": metadata, "render_as_batch": True, "compare_type": True}


def _mailman_start(engine: sa.Engine) -> str:
    """
    Make the tables as Mailman does, and go back with its own revisions.

    Its first tables were those of another library, Storm, and no release can
    make them any more. On MariaDB, which does not drop a column that a key
    has, Alembic fails in 448a93984c35: there the way begins above it.
    """
    import_module("mailman.database.model").Model.metadata.create_all(engine)
    alembic(MAILMAN, engine, stamp="head")
    place = "448a93984c35" if engine.dialect.name == "mysql" else "51b7f92bd06c"
    alembic(MAILMAN, engine, down=place)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    return place


MAILMAN = Project(
    "mailman/database/alembic/versions",
    ("mailman.core.initialize", "mailman.database.model"),
    _mailman_options,
    _mailman_start,
)
ALL: Mapping[str, Project] = {
    "jupyterhub": Project(
        "jupyterhub/alembic/versions",
        ("jupyterhub.orm", "jupyterhub.roles"),
        _jupyterhub_options,
        _jupyterhub_start,
    ),
    "optuna": Project(
        "optuna/storages/_rdb/alembic/versions",
        ("optuna.storages._rdb.models",),
        _optuna_options,
        _optuna_start,
    ),
    "mlflow": Project(
        "mlflow/store/db_migrations/versions",
        ("mlflow.store.db.utils",),
        _mlflow_options,
        _mlflow_start,
    ),
    "mailman": MAILMAN,
}

# What Alembic cannot do: MariaDB does not drop a column that a unique constraint has,
# unlike MySQL, for which v2.4.0.a was written.
IMPOSSIBLE = {("optuna", "mariadb"): "Key column 'step' doesn't exist in table"}


# -- the two ways -----------------------------------------------------------------------------


def alembic(
    project: Project, engine: sa.Engine, *, stamp: str = "", down: str = "", up: str = ""
) -> None:
    """Do what ``alembic stamp``, ``downgrade`` and ``upgrade`` do with the project's ``env.py``."""
    directory = str(project.directory())
    script = ScriptDirectory(directory, version_locations=[directory])

    def revisions(rows: Any, _: MigrationContext) -> Any:
        if stamp:
            return script._stamp_revs(stamp, rows)
        return script._downgrade_revs(down, rows) if down else script._upgrade_revs(up, rows)

    with (
        EnvironmentContext(Config(), script, fn=revisions) as env,
        engine.connect() as connection,
    ):
        env.configure(connection=connection, **project.options())
        with env.begin_transaction():
            env.run_migrations()


def start(name: str, engine: sa.Engine, *, possible: bool) -> str:
    """Make a project's first tables; ``possible``: those from which it can get to its head."""
    if possible and name == "optuna" and engine.dialect.name == "mysql":
        return _optuna_new(engine)
    return ALL[name].start(engine)


def by_alembic(name: str, engine: sa.Engine, *, possible: bool) -> None:
    """Bring a project's database up, by Alembic alone."""
    if place := start(name, engine, possible=possible):
        alembic(ALL[name], engine, stamp=place)
    alembic(ALL[name], engine, up="heads")


def by_us(names: Sequence[str], engine: sa.Engine, *, possible: bool) -> None:
    """Bring the projects up in one database, each registered as a package."""
    places = {name: start(name, engine, possible=possible) for name in names}
    packages = [
        make_package(name, str(ALL[name].directory()), options=ALL[name].options())
        for name in names
    ]
    migrator = Migrator(engine, Registry(packages))
    if stamped := [f"{name}:{place}" for name, place in places.items() if place]:
        migrator.stamp(*stamped)
    migrator.upgrade()
    migrator.check()


# -- the program ---------------------------------------------------------------------------------


def main() -> None:
    """Import the projects, say so, then do the runs that are asked for."""
    for project in ALL.values():
        for module in project.imports:
            import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        _set_up_mailman(Path(folder))
        _answer({"ready": True})
        for line in sys.stdin:
            _fork(json.loads(line))


def _set_up_mailman(folder: Path) -> None:
    """Load Mailman's configuration and its models, with its files in a folder of ours."""
    config = folder / "mailman.cfg"
    config.write_text(f"[mailman]\nlayout: here\n[paths.here]\nvar_dir: {folder}\n", "utf-8")
    import_module("mailman.core.initialize").initialize_1(str(config))


def _fork(run: Mapping[str, Any]) -> None:
    if not os.fork():
        try:
            _do(run)
        finally:
            os._exit(0)
    os.wait()


def _do(run: Mapping[str, Any]) -> None:
    engine = sa.create_engine(run["url"], poolclass=sa.NullPool)
    try:
        if run["by"] == "alembic":
            by_alembic(run["names"][0], engine, possible=run["possible"])
        else:
            by_us(run["names"], engine, possible=run["possible"])
    except BaseException as error:
        words = f"{type(error).__name__}: {error}"
        _answer({"problem": " ".join(words.split()), "traceback": traceback.format_exc()})
    else:
        _answer({"problem": ""})


def _answer(values: Mapping[str, Any]) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 - the other end reads it


if __name__ == "__main__":
    main()
