"""
Public projects' histories, registered as packages, give what Alembic gives.

The projects are fetched with pip once and kept: in the directory that
PTAH_MIGRATE_TEST_HISTORIES names, or in pytest's cache. Where they cannot be
fetched the tests are skipped, and fail where ``CI`` is set.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from tests.conftest import CI
from tests.helpers import DATABASES, Database, contents, rows
from tests.integration.public_histories import ALL, IMPORTED, IMPOSSIBLE, OLDER, PROJECTS
from tests.integration.running import schema

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="each run is a fork of one process"),
]

HEADS = {
    "jupyterhub": "f460b0348206",
    "optuna": "v3.2.0.a",
    "mlflow": "f4a9b2c7d1e6",
    "mailman": "8cc1f79f4459",
}


# -- the projects, fetched and at work -------------------------------------------------


@dataclass
class Runs:
    """The process that runs the projects, and what Alembic made of them, each asked once."""

    process: subprocess.Popen[str]
    errors: IO[str]
    known: dict[tuple[str, str, bool], dict[str, Any]] = field(default_factory=dict)

    def alembic(self, name: str, database: Database, *, possible: bool = False) -> dict[str, Any]:
        """Return what Alembic leaves in such a database, and its problem, if any."""
        key = (name, database.name, possible or (name, database.name) not in IMPOSSIBLE)
        if key not in self.known:
            problem = self.ask("alembic", [name], database, possible=possible)
            self.known[key] = {"problem": problem, **left(database)}
        return self.known[key]

    def us(self, names: Sequence[str], database: Database, *, possible: bool = False) -> str:
        """Upgrade the projects as packages; return the problem, empty for none."""
        return self.ask("us", names, database, possible=possible)

    def ask(self, by: str, names: Sequence[str], database: Database, *, possible: bool) -> str:
        """Let the process do one run, and return the problem, empty for none."""
        run = {"by": by, "names": names, "url": database.url, "possible": possible}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(run) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        if "traceback" in answer:
            print(answer["traceback"])  # noqa: T201 - pytest shows it with a failure
        return str(answer["problem"])

    def answer(self) -> dict[str, Any]:
        """Return the next answer; what the projects print beside is none."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        self.errors.seek(0)
        pytest.fail(f"the projects cannot be run:\n{self.errors.read()[-3000:]}", pytrace=False)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Yield the process that runs the projects."""
    cache = _cache(request)
    environment = {
        **os.environ,
        "PYTHONPATH": str(_fetched(cache, (*PROJECTS, *IMPORTED))),
        "OLDER": str(_fetched(cache, OLDER)),
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.public_histories"],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        ) as process,
    ):
        started = Runs(process, errors)
        assert started.answer() == {"ready": True}
        yield started


def _cache(request: pytest.FixtureRequest) -> Path:
    if named := os.environ.get("PTAH_MIGRATE_TEST_HISTORIES"):
        return Path(named)
    return request.config.cache.mkdir("histories")


def _fetched(cache: Path, requirements: Sequence[str]) -> Path:
    """Return a directory that has these distributions, and nothing that they depend on."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    folder = cache / f"{sys.implementation.cache_tag}-{digest}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--retries=1", "--timeout=20"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, f"--target={fresh}", *requirements],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            _not_there(done.stderr.strip().rpartition("\n")[2])
        Path(fresh).rename(folder)
        Path(fresh).mkdir()  # what the context manager wants to remove
    return folder


def _not_there(problem: str) -> None:
    message = f"the public projects cannot be fetched: {problem}"
    if CI:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def left(database: Database) -> dict[str, Any]:
    """Return the schema and the data that a run left, without the bookkeeping."""
    return {"schema": schema(database.engine), "data": contents(database.engine)}


# -- the tests ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", DATABASES)
def test_one_project(
    runs: Runs, make_database: Callable[[str], Database], name: str, kind: str
) -> None:
    """A project's history ends with the tables, types, indexes and rows that Alembic makes."""
    if (name, kind) in IMPOSSIBLE:
        pytest.skip(f"Alembic cannot do it: {IMPOSSIBLE[name, kind]}, see the next test")
    database = make_database(kind)
    wanted = runs.alembic(name, make_database(kind))

    problem = runs.us([name], database)

    assert {"problem": problem, **left(database)} == {**wanted, "problem": ""}
    assert rows(database.engine) == {(name, HEADS[name])}


@pytest.mark.parametrize(("name", "kind"), IMPOSSIBLE)
def test_what_alembic_cannot_do(
    runs: Runs, make_database: Callable[[str], Database], name: str, kind: str
) -> None:
    """Where Alembic fails we fail in the same statement, and leave the same behind."""
    database = make_database(kind)
    wanted = runs.alembic(name, make_database(kind))

    problem = runs.us([name], database)

    assert IMPOSSIBLE[name, kind] in wanted["problem"]
    assert IMPOSSIBLE[name, kind] in problem
    assert left(database) == {key: wanted[key] for key in ("schema", "data")}


@pytest.mark.parametrize("kind", DATABASES)
def test_all_in_one_database(
    runs: Runs, make_database: Callable[[str], Database], kind: str
) -> None:
    """All projects together make what each makes alone, and each has its own row."""
    alone = [runs.alembic(name, make_database(kind), possible=True) for name in ALL]
    database = make_database(kind)

    problem = runs.us(list(ALL), database, possible=True)

    assert problem == ""
    assert left(database) == {
        "schema": _together([found["schema"] for found in alone]),
        "data": _together([found["data"] for found in alone]),
    }
    assert rows(database.engine) == set(HEADS.items())


def _together(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return several schemas as one, each part sorted as `dump` sorts it."""
    together: dict[str, Any] = {}
    for one in found:
        for part, values in one.items():
            if part in ("tables", "views"):
                together[part] = dict(sorted({**together.get(part, {}), **values}.items()))
            else:
                together[part] = sorted([*together.get(part, []), *values], key=repr)
    return together
