"""
What the start of a command costs, against the library it cannot do without.

Prints a Markdown table: client CPU (user and system, milliseconds), median of
the rounds. The commands take turns inside each round, each in a new process,
after one round that does not count.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROUNDS = 9

Job = Callable[[Path], list[str]]


def python(code: str) -> Job:
    """Return the job of running a line of Python."""
    return lambda _: [sys.executable, "-c", code]


def command(*words: str) -> Job:
    """Return the job of running a command of ours in an empty directory."""
    return lambda _: [sys.executable, "-m", "ptah_migrate", *words]


# Each job, the job it is measured against, and the ratio it may have.
JOBS: dict[str, tuple[Job, Job, float]] = {
    "ptah-migrate --help": (command("--help"), python("import click"), 1.8),
    "ptah-migrate init": (command("--quiet", "init"), python("import copier"), 1.5),
    "ptah-migrate init my-blog --new": (
        command("--quiet", "init", "my-blog", "--new", "--defaults"),
        python("import copier"),
        1.5,
    ),
}


def milliseconds(job: Job) -> float:
    """Run a job in an empty directory and return its CPU time."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name) / "blog"
        folder.mkdir()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            job(folder),
            cwd=folder,
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    """Measure every job beside its floor, and print the table."""
    print("| job | CPU ms | floor ms | ratio | goal |")
    print("|---|---:|---:|---:|---:|")
    for name, (job, floor, goal) in JOBS.items():
        for warm_up in (job, floor):
            milliseconds(warm_up)
        pairs = [(milliseconds(job), milliseconds(floor)) for _ in range(ROUNDS)]
        ours = statistics.median(first for first, _ in pairs)
        theirs = statistics.median(second for _, second in pairs)
        ratio = statistics.median(first / second for first, second in pairs)
        print(f"| {name} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} | ≤ {goal} |")


if __name__ == "__main__":
    main()
