"""
The jobs of ptah-migrate under pytest-benchmark, for the history of our own code.

``python -m pytest bench --benchmark-autosave`` keeps a run, and
``--benchmark-compare`` sets the next one beside it. Here the jobs run again and
again in one process; beside the others they are measured by ``python -m bench``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.contenders import Core, Ours
from bench.databases import found
from bench.histories import Size, Tree
from bench.measure import written

SIZE = Size(20, 20, 4)
JOBS = ("noop", "step", "status", "heads", "history", "autogenerate")


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    """Yield the files of a history."""
    with written(SIZE) as made:
        yield made


@pytest.fixture
def url() -> Iterator[str]:
    """Yield an empty database."""
    with found("sqlite") as place, place.new() as made:
        yield made


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember nothing of other runs."""
    monkeypatch.setenv("PTAH_MIGRATE_CACHE", str(tmp_path))


@pytest.mark.parametrize("job", JOBS)
def test_job(benchmark: Any, tree: Tree, url: str, job: str) -> None:
    """A job in a database at its heads."""
    ours = Ours(tree, url)
    Core(tree, url).create()
    ours.prepare(job)
    ours.record()

    def back() -> None:
        if job == "step":
            ours.back()

    benchmark.pedantic(ours.run, args=(job,), setup=back, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("job", ["upgrade", "seed"])
def test_job_in_an_empty_database(benchmark: Any, tree: Tree, job: str) -> None:
    """A job in an empty database."""
    with found("sqlite") as place:
        made = [place.new() for _ in range(3)]

        def empty() -> tuple[tuple[str], dict[str, object]]:
            ours = Ours(tree, made.pop().__enter__())
            ours.load(job)
            return (ours, job), {}  # type: ignore[return-value]

        benchmark.pedantic(Ours.run, setup=empty, rounds=3)
