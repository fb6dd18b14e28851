"""
What the start of a command costs, against the library it cannot do without.

The commands take turns inside each round, each in a new process, after one
round that does not count.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import process


def python(code: str) -> list[str]:
    """Return the command that runs a line of Python."""
    return [sys.executable, "-c", code]


def ours(*words: str) -> list[str]:
    """Return a command of ours."""
    return [sys.executable, "-m", "ptah_migrate", *words]


def _ratio(first: float, second: float) -> float:
    return first / second


def _difference(first: float, second: float) -> float:
    return first - second


Compare = Callable[[float, float], float]

_BASE = "import pyramid.config, sqlalchemy"
# Each job, the job it is measured against, how they are compared, and what that may be.
JOBS: dict[str, tuple[list[str], list[str], Compare, float]] = {
    "ptah-migrate --help": (ours("--help"), python("import click"), _ratio, 1.8),
    "import ptah_migrate": (
        python(f"{_BASE}, ptah_migrate"),
        python(_BASE),
        _difference,
        10,
    ),
    "ptah-migrate init": (ours("--quiet", "init"), python("import copier"), _ratio, 1.5),
    "ptah-migrate init my-blog --new": (
        ours("--quiet", "init", "my-blog", "--new", "--defaults"),
        python("import copier"),
        _ratio,
        1.5,
    ),
}


def milliseconds(command: list[str]) -> float:
    """Run a command in an empty directory and return its CPU time."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PTAH_MIGRATE_CONFIG", "PTAH_MIGRATE_URL")
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        folder = Path(name) / "blog"
        folder.mkdir()
        cpu = process(command, environment, str(folder))["cpu"]
    assert isinstance(cpu, float)
    return 1000 * cpu


def lines(rounds: int, first: int | None) -> Iterator[str]:
    """Yield a Markdown table: median CPU of the first jobs, each beside its floor."""
    yield "| job | CPU ms | floor ms | compared | goal | |"
    yield "|---|---:|---:|---:|---:|---|"
    for name, (job, floor, compare, goal) in [*JOBS.items()][:first]:
        for warm_up in (job, floor):
            milliseconds(warm_up)
        pairs = [(milliseconds(job), milliseconds(floor)) for _ in range(rounds)]
        cost, base = (statistics.median(side) for side in zip(*pairs, strict=True))
        value = statistics.median(compare(*pair) for pair in pairs)
        unit, sign = (" ×", "") if compare is _ratio else (" ms", "+")
        verdict = "met" if value <= goal else "**not met**"
        shown = f"{value:.2f}" if compare is _ratio else f"{value:+.0f}"
        yield (
            f"| {name} | {cost:.0f} | {base:.0f} | {shown}{unit} "
            f"| ≤ {sign}{goal:g}{unit} | {verdict} |"
        )


def table(rounds: int = 9, first: int | None = None) -> str:
    """Return the table, of the first jobs or of all."""
    return "\n".join(lines(rounds, first))


if __name__ == "__main__":
    print(table())
