"""Say in Markdown what was measured: the goals, then every figure."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from bench.contenders import CONTENDERS
from bench.measure import JOBS, Key, Results, Series, growth

SQLITE = ("sqlite", "sqlite-memory")


@dataclass(frozen=True, slots=True)
class View:
    """The results of one size and database."""

    results: Results
    size: str
    database: str

    def series(self, job: str, contender: str) -> Series | None:
        """Return a measurement, if it was made."""
        found = self.results.series.get(Key(self.size, self.database, job, contender))
        return found if found and (found.cpu or found.memory) else None

    def cpu(self, job: str, contender: str) -> float:
        """Return the median CPU time; a KeyError says that it was not measured."""
        found = self.series(job, contender)
        if found is None or not found.cpu:
            raise KeyError(job)
        return found.median

    def wall(self, job: str, contender: str) -> float:
        """Return the least wall time; a KeyError says that it was not measured."""
        found = self.series(job, contender)
        if found is None or not found.wall:
            raise KeyError(job)
        return found.least

    def memory(self, contender: str) -> float:
        """Return the peak of memory of nothing to do."""
        found = self.series("memory", contender)
        if found is None or not found.memory:
            raise KeyError("memory")
        return max(found.memory)

    def more(self, job: str, other: str) -> float:
        """
        Return the milliseconds of CPU time by which ours exceeds another's.

        The median of the differences of one turn: a process differs more from
        one minute to the next than ours from the other's in the same one.
        """
        pair = (self.series(job, "ptah"), self.series(job, other))
        if pair[0] is None or pair[1] is None:
            raise KeyError(job)
        turns = zip(pair[0].cpu, pair[1].cpu, strict=True)
        return 1000 * statistics.median(mine - others for mine, others in turns)

    def ratio(self, job: str, other: str, other_job: str = "") -> float:
        """Return our CPU time as a multiple of another's."""
        return self.cpu(job, "ptah") / self.cpu(other_job or job, other)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached, at which size, in which databases."""

    job: str
    against: str
    limit: float
    measured: Callable[[View], float]
    size: str = "100×100"
    databases: Sequence[str] = SQLITE
    unit: str = "×"


def _overhead(view: View) -> float:
    floor = view.cpu("upgrade", "f_core")
    return (view.cpu("upgrade", "ptah") - floor) / (view.cpu("upgrade", "al_labels") - floor)


def _alone(view: View) -> float:
    """Return autogenerate among others as a multiple of the same package alone."""
    _, revisions, tables = view.size.split("×")
    alone = View(view.results, f"1×{revisions}×{tables}", view.database)
    if view.size == alone.size:
        raise KeyError("autogenerate")
    return view.cpu("autogenerate", "ptah") / alone.cpu("autogenerate", "ptah")


def _selects(view: View) -> float:
    found = view.results.series[Key(view.size, view.database, "noop", "ptah")].statements
    if not found:
        raise KeyError("noop")
    return float(sum(count for word, count in found.items() if word != "BEGIN"))


ANY = ""
GOALS = (
    Goal("nothing to do, warm", "Alembic", 1 / 50, lambda v: v.ratio("noop", "al_labels")),
    Goal("nothing to do, warm", "f_core", 1.5, lambda v: v.ratio("noop", "f_core")),
    Goal(
        "nothing to do, cache empty",
        "Alembic",
        1 / 8,
        lambda v: v.cpu("noop_cold", "ptah") / v.cpu("noop", "al_labels"),
    ),
    Goal(
        "nothing to do, whole process",
        "f_core, difference",
        30,
        lambda v: v.more("noop_process", "f_core"),
        ANY,
        (*SQLITE, "postgresql", "mariadb"),
        " ms",
    ),
    Goal(
        "full upgrade, wall",
        "Alembic",
        1 / 5,
        lambda v: v.wall("upgrade", "ptah") / v.wall("upgrade", "al_labels"),
        "50×20",
        ("sqlite",),
    ),
    Goal("full upgrade", "f_ops", 1.15, lambda v: v.ratio("upgrade", "f_ops"), "50×20"),
    Goal("full upgrade, above f_core", "Alembic", 0.5, _overhead, "50×20"),
    Goal(
        "full upgrade, wall",
        "Alembic",
        1.0,
        lambda v: v.wall("upgrade", "ptah") / v.wall("upgrade", "al_labels"),
        "50×20",
        ("postgresql",),
    ),
    Goal("one step of one package", "Alembic", 1 / 40, lambda v: v.ratio("step", "al_labels")),
    Goal("one step of one package", "f_core", 1.4, lambda v: v.ratio("step", "f_core")),
    Goal(
        "one step of one package",
        "f_core",
        2.5,
        lambda v: v.ratio("step", "f_core"),
        databases=("postgresql",),
    ),
    Goal(
        "status of all packages",
        "nothing to do",
        1.1,
        lambda v: v.ratio("status", "ptah", "noop"),
        ANY,
    ),
    Goal("heads", "Alembic", 1 / 500, lambda v: v.ratio("heads", "al_labels")),
    Goal("history", "Alembic", 1 / 30, lambda v: v.ratio("history", "al_labels")),
    Goal("new revision file", "absolute", 5, lambda v: v.cpu("revision", "ptah"), unit=" ms"),
    Goal(
        "autogenerate, one package",
        "Alembic, filtered",
        1 / 20,
        lambda v: v.ratio("autogenerate", "al_labels"),
    ),
    Goal(
        "autogenerate, one package",
        "Alembic, unfiltered",
        1 / 20,
        lambda v: v.cpu("autogenerate", "ptah") / v.cpu("autogenerate_all", "al_labels"),
    ),
    Goal("autogenerate, one package", "the same alone", 2.2, _alone),
    Goal("autogenerate, one package", "the same alone", 1.2, _alone, databases=("postgresql",)),
    Goal(
        "memory of nothing to do",
        "f_core, difference",
        4,
        lambda v: v.memory("ptah") - v.memory("f_core"),
        unit=" MiB",
    ),
    Goal(
        "create all tables and seed", "f_core", 1.05, lambda v: v.ratio("seed", "f_core"), "50×20"
    ),
    Goal(
        "create all tables and seed",
        "Alembic",
        1 / 4,
        lambda v: v.ratio("seed", "al_labels"),
        "50×20",
    ),
    Goal(
        "statements of nothing to do",
        "absolute",
        1,
        _selects,
        ANY,
        (*SQLITE, "postgresql", "mariadb"),
        "",
    ),
)


def views(results: Results) -> list[View]:
    """Return what was measured, by size and database."""
    found = dict.fromkeys((key.size, key.database) for key in results.series)
    return [View(results, size, database) for size, database in found]


def goals(results: Results) -> Iterator[str]:
    """Yield a line for each goal and place where it could be measured."""
    yield "| job | against | size, database | goal | measured | |"
    yield "|---|---|---|---:|---:|---|"
    for goal in GOALS:
        lines = list(_lines(goal, views(results)))
        yield from lines or [f"| {goal.job} | {goal.against} | | {_limit(goal)} | | not measured |"]


def _lines(goal: Goal, found: Sequence[View]) -> Iterator[str]:
    for view in found:
        if view.database not in goal.databases:
            continue
        try:
            value = goal.measured(view)
        except KeyError:
            continue
        where = f"{view.size}, {view.database}"
        verdict = "met" if value <= goal.limit else "**not met**"
        if not view.size.startswith(goal.size):
            verdict = f"({verdict}; the goal is for {goal.size})"
        said = f"{_number(value)}{goal.unit}"
        yield f"| {goal.job} | {goal.against} | {where} | {_limit(goal)} | {said} | {verdict} |"


def _limit(goal: Goal) -> str:
    said = f"1/{round(1 / goal.limit)}" if goal.limit <= 0.25 else f"{goal.limit:g}"
    return f"≤ {said}{goal.unit}"


def _number(value: float) -> str:
    if 0 < value <= 0.25:
        return f"1/{1 / value:.1f}"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def table(
    view: View, what: str, jobs: Sequence[str], cell: Callable[[Series], str]
) -> Iterator[str]:
    """Yield a table of one figure of the jobs that were measured, with a column per contender."""
    names = [n for n in CONTENDERS if any(view.series(job, n) for job in jobs)]
    if not names:
        return
    yield f"\n{what}:\n"
    yield f"| job | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    for job in jobs:
        cells = [view.series(job, name) for name in names]
        if any(cells):
            yield f"| {JOBS[job]} | {' | '.join(cell(c) if c else '' for c in cells)} |"


def figures(results: Results) -> Iterator[str]:
    """Yield every figure."""
    timed = [job for job in JOBS if job != "memory"]
    for view in views(results):
        yield f"\n### {view.size}, {view.database}"
        yield from table(view, "Client CPU, ms, median", timed, _milliseconds)
        fresh = ["upgrade", "step", "seed"]
        yield from table(view, "Wall, ms, least", fresh, lambda s: _plain(s.least))
        yield from table(view, "Peak of memory, MiB", ["memory"], lambda s: f"{max(s.memory):.1f}")
    yield "\n### Statements of nothing to do\n"
    yield "| size, database | contender | statements |\n|---|---|---|"
    for key, series in results.series.items():
        if key.job == "noop" and series.statements:
            words = ", ".join(f"{count} {word}" for word, count in series.statements.items())
            yield f"| {key.size}, {key.database} | {key.contender} | {words} |"


def _milliseconds(series: Series) -> str:
    few = f" ({len(series.cpu)})" if len(series.cpu) < 3 else ""
    return f"{_plain(series.median)}{few}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def exponents(results: Results, sizes: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield the growth of each job in packages and in revisions: 1 is linear, the goal 1.1."""
    if not sizes:
        return
    yield "\n## Growth\n"
    yield "Exponents between the two largest steps of a factor of four; 1 is linear.\n"
    names = ("ptah", "f_core", "al_labels")
    ways = [f"{name}, in {letter}" for letter in sizes for name in names]
    yield f"| job | {' | '.join(ways)} | goal ≤ 1.1 |"
    yield f"|---|{'---:|' * len(ways)}---|"
    for job in JOBS:
        found = {
            (letter, name): growth(
                (number, series)
                for size, number in sizes[letter].items()
                if (series := View(results, size, _memory(results)).series(job, name)) is not None
            )
            for letter in sizes
            for name in names
        }
        if all(found[letter, "ptah"] is None for letter in sizes):
            continue
        cells = ["" if value is None else f"{value:.2f}" for value in found.values()]
        worst = max(v for (_, name), v in found.items() if name == "ptah" and v is not None)
        verdict = "met" if worst <= 1.1 else "**not met**"
        if job == "upgrade":  # the goal leaves that of SQLite out, where this is measured
            verdict = f"({verdict}; no goal)"
        yield f"| {JOBS[job]} | {' | '.join(cells)} | {verdict} |"


def _memory(results: Results) -> str:
    memory = any(key.database == "sqlite-memory" for key in results.series)
    return "sqlite-memory" if memory else "sqlite"


# -- the page --------------------------------------------------------------------------

_HOW = """\
All contenders run the same generated history: each revision creates a table, adds a column, creates
an index or inserts rows. A size is packages × revisions of each × tables of each. Every measurement
is a process of its own, contenders take turns inside each repetition, and after a full upgrade the
schema and the rows of all must be the same. Times are the CPU time of the client, user and system,
without imports unless a row says "whole process"; the server's own time shows in wall times only.
A figure with "(n)" has fewer than three repetitions. Compare figures of one row; absolute times
belong to one machine under one load.

| contender | |
|---|---|
"""


def page(results: Results, sizes: dict[str, dict[str, int]], gaps: Sequence[str] = ()) -> str:
    """Return the whole page."""
    lines = [
        "# Performance\n",
        "What ptah-migrate costs beside Alembic, Django and the floors below them. Produced by:\n",
        "```sh\n" + "\n".join(results.commands) + "\n```\n",
        f"Measured with {machine(results)}.\n",
        _HOW + "\n".join(f"| `{name}` | {one.title} |" for name, one in CONTENDERS.items()),
        "\n## Goals\n",
        *goals(results),
        "\nWhy some are not met: [Where the time goes](../why/speed.md).",
    ]
    if results.starts:
        lines += ["\n## Start of a command\n", "Whole processes, beside the library they need.\n"]
        lines.append(results.starts)
    lines += [*exponents(results, sizes), "\n## Figures", *figures(results)]
    lines += ["\n## Same ends\n", *(f"- {note}" for note in dict.fromkeys(results.notes))]
    lines += ["\n## Not measured\n", *(f"- {gap}" for gap in gaps), *missing(results)]
    return "\n".join(lines) + "\n"


def missing(results: Results) -> Iterator[str]:
    """Yield what was not measured, and why."""
    yield from (f"- {kind}: {why}" for kind, why in results.skipped.items())
    for key, why in results.missing.items():
        yield f"- {key.size}, {key.database}: {JOBS.get(key.job, key.job)}, {key.contender}: {why}"
    yield "- Other systems than Linux, and latency of a remote server (only counts of statements)."


def machine(results: Results) -> str:
    """Return the machine and the versions, without names."""
    parts = [
        f"{os.cpu_count()} cores",
        f"{platform.system()}",
        f"Python {platform.python_version()}",
    ]
    for name in ("SQLAlchemy", "Alembic", "Django"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"no {name}")
    return ", ".join([*parts, *sorted(results.versions)])
