"""Whatever the models are: a revision that is made of them leaves no difference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ptah_migrate import Migrator, Registry
from ptah_migrate._authoring import Wanted, revisions
from ptah_migrate._history import read
from ptah_migrate.registry import make_package
from tests.helpers import Database
from tests.integration.random_models import build, models

F = TypeVar("F", bound=Callable[..., None])
HEALTH = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
PHASES = [Phase.explicit, Phase.generate]  # shrinking a failure takes minutes


def quick(examples: int) -> Callable[[F], F]:
    """Return settings that give the same models on every machine."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=PHASES,
        suppress_health_check=HEALTH,
    )


class Round:
    """Packages with one history each, in one folder; their revisions are kept to be looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = count()

    def package(self) -> Path:
        folder = self.folder / f"p{next(self.numbers)}" / "migrations"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        return folder

    def trip(self, engine: sa.Engine, versions: list[sa.MetaData]) -> None:
        """Bring a database to one model after the other and back to nothing."""
        folder = self.package()
        before = set(sa.inspect(engine).get_table_names())
        for place, metadata in enumerate(versions):
            package = make_package("blog", str(folder), metadata=metadata, fresh="steps")
            registry = Registry([package])
            written = self.write(engine, registry)
            Migrator(engine, registry).upgrade()

            assert Migrator(engine, registry).differences() == {"blog": ()}
            assert not self.write(engine, registry), "the second run wrote something"
            if written and place:
                Migrator(engine, registry).downgrade("blog:-1")
                Migrator(engine, registry).upgrade()
                assert Migrator(engine, registry).differences() == {"blog": ()}
        if read(package).heads:
            Migrator(engine, registry).downgrade("blog:base")
        left = set(sa.inspect(engine).get_table_names()) - before
        assert left <= {"ptah_db_versions", "ptah_db_journal"}

    @staticmethod
    def write(engine: sa.Engine, registry: Registry) -> bool:
        bodies = Migrator(engine, registry).autogenerate()
        [package] = registry
        wanted = [Wanted(package, read(package), body) for body in bodies if body]
        return bool(revisions(wanted))

    def check_files(self) -> None:
        """Find every file as a formatter and a linter want it."""
        for words in (
            ["format", "--isolated", "--diff"],
            ["check", "--isolated", "--select", "E4,E7,E9,F,I"],
        ):
            done = subprocess.run(
                [Path(sys.executable).parent / "ruff", *words, "--no-cache", str(self.folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_random_models(tmp_path: Path, sqlite_database: Database) -> None:
    """A hundred models, some of them changed, leave no difference, and formatted files."""
    rounds = Round(tmp_path)

    @quick(100)
    @given(first=models(), second=st.none() | st.none() | models(), named=st.booleans())
    def trip(first: list[dict[str, Any]], second: list[dict[str, Any]] | None, named: bool) -> None:
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        versions = [first] if second is None else [first, second]
        rounds.trip(engine, [build(one, named=named) for one in versions])
        engine.dispose()

    trip()

    rounds.check_files()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_random_models_on_servers(server: str, make_database: Any, tmp_path: Path) -> None:
    """The same for some models on the servers; what is made can be taken back."""
    rounds = Round(tmp_path)
    engine = make_database(server).engine

    @quick(3)
    @given(first=models(), second=models(), named=st.booleans())
    def trip(first: list[dict[str, Any]], second: list[dict[str, Any]], named: bool) -> None:
        rounds.trip(engine, [build(first, named=named), build(second, named=named)])

    trip()

    rounds.check_files()
