"""The generator of what is measured: the same on every run, the same end for everybody."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import FULL, QUICK, arguments, parts
from bench.contenders import CONTENDERS, Contender, Core
from bench.databases import found
from bench.histories import Size, Tree, end, metadata, operations, write
from bench.measure import Bench, FailedError, Key, Results, Series, Wanted, output
from bench.report import View, page
from tests.helpers import Database, forget, tree

End = dict[str, object]
TINY = Size(2, 6, 2)


def test_the_same_history_on_every_run(tmp_path: Path) -> None:
    """Two runs write the same files, apart from where they lie."""
    first, second = (write(Tree(tmp_path / name, TINY)).root for name in ("first", "second"))

    assert {p: t.replace(str(first), "") for p, t in tree(first).items()} == {
        p: t.replace(str(second), "") for p, t in tree(second).items()
    }


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(1, 1, 1), id="one revision"),
        pytest.param(Size(1, 2, 1), id="two revisions"),
        pytest.param(Size(1, 10, 2), id="few tables"),
        pytest.param(Size(1, 4, 9), id="more tables than revisions"),
        pytest.param(Size(1, 100, 20), id="large"),
    ],
)
def test_a_history_makes_all_its_tables(size: Size) -> None:
    """Every revision has an operation, all tables are made, and what follows can be undone."""
    done = list(operations(size, "p0001"))

    assert [one.id for one in done] == size.ids
    assert len(metadata(size, "p0001").tables) == size.tables
    assert len({name for one in done for name in one.creates}) == size.tables
    assert size.revisions == 1 or done[-1].kind == "column"


def test_a_history_has_every_kind_of_operation() -> None:
    """Tables, columns, indexes and rows."""
    kinds = Counter(one.kind for one in operations(Size(1, 20, 4), "p0001"))

    assert kinds == {"create": 4, "column": 6, "index": 5, "rows": 5}


def make(database: Database, contender: Contender, monkeypatch: pytest.MonkeyPatch) -> End:
    """Run every revision with a contender, and return what the database has then."""
    monkeypatch.setenv("BENCH_URL", database.url)
    contender.prepare("upgrade")
    contender.run("upgrade")
    return end(database.engine)


@pytest.mark.parametrize("name", ["f_ops", "ptah", "al_labels", "al_each"])
def test_the_same_end_for_everybody(
    tmp_path: Path,
    make_database: Callable[[str], Database],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A full upgrade ends with the schema and the rows that the bare statements make."""
    files = write(Tree(tmp_path, TINY))
    monkeypatch.setattr(sys, "path", [*sys.path])
    floor, other = make_database("sqlite"), make_database("sqlite")
    wanted = make(floor, Core(files, floor.url), monkeypatch)

    assert make(other, CONTENDERS[name](files, other.url), monkeypatch) == wanted
    assert len(wanted) == 4
    for package in TINY.names:
        forget(package)


def test_the_reason_of_a_failure(tmp_path: Path) -> None:
    """What a failed process is remembered by is its error, not the statement or a link."""
    code = (
        "import sqlalchemy as sa\n"
        "sa.create_engine('sqlite://').connect().exec_driver_sql('SELECT\\n1 FROM a')"
    )

    with pytest.raises(FailedError) as caught:
        output([sys.executable, "-c", code], os.environ, str(tmp_path), 60)

    wanted = "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: a"
    assert str(caught.value) == wanted


def test_growth_alone() -> None:
    """Growth is measured without the quick set, and beside the full one."""
    alone, quick, both = (
        list(parts(arguments(words))) for words in (["--growth"], [], ["--full", "--growth"])
    )

    assert {part.kinds for part in alone} == {("sqlite-memory",)}
    assert quick == list(QUICK)
    assert both == [*FULL, *alone]


@pytest.mark.slow
def test_a_measurement_from_end_to_end(tmp_path: Path) -> None:
    """A tiny run says of a goal what was measured, and of the others that they were not."""
    results = Results()
    files = write(Tree(tmp_path, TINY))
    with found("sqlite") as place:
        wanted = Wanted(TINY, ("noop", "upgrade"), ("f_core", "ptah"), 1)
        Bench(files, place, wanted, results, lambda _: None).run()
    text = page(results, {})

    results.save(tmp_path / "kept.json")

    assert Results.load(tmp_path / "kept.json") == results
    assert results.missing == {}
    assert {(key.job, key.contender) for key in results.series} == {
        (job, name) for job in ("noop", "upgrade") for name in ("f_core", "ptah")
    }
    assert results.notes == [
        "2×6×2 sqlite: f_core, ptah end with the same schema and rows",
    ]
    assert "| nothing to do, warm | f_core | 2×6×2, sqlite | ≤ 1.5× |" in text
    assert "| heads | Alembic | | ≤ 1/500× | | not measured |" in text
    assert not list(tmp_path.glob("*.sqlite"))


def test_processes_are_compared_turn_by_turn() -> None:
    """What two processes differ by is seen in each turn, not between their medians."""
    place = ("1×1×1", "sqlite", "noop_process")
    series = {
        Key(*place, "f_core"): Series(cpu=[0.3, 0.5, 0.3, 0.3]),
        Key(*place, "ptah"): Series(cpu=[0.51, 0.51, 0.31, 0.31]),
    }

    found = View(Results(series=series), "1×1×1", "sqlite").more("noop_process", "f_core")

    assert found == pytest.approx(10)
