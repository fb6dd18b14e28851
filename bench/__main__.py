"""``python -m bench``: measure, and print or write the page."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import cold_start, databases, report
from bench.contenders import CONTENDERS
from bench.histories import Size
from bench.measure import JOBS, Bench, Results, Wanted, written

ALL = tuple(CONTENDERS)
MAIN = ("f_core", "f_ops", "ptah", "al_labels")
ALONE = ("f_core", "ptah")
READING = tuple(job for job in JOBS if job not in ("upgrade", "seed"))
GROWING = (
    *("noop", "upgrade", "seed", "step", "status", "heads", "history", "autogenerate", "revision"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a set: jobs of contenders at a size, in databases."""

    size: Size
    kinds: Sequence[str]
    jobs: Sequence[str]
    contenders: Sequence[str] = ALL
    repetitions: int = 3


# Two to three minutes where nothing else runs: nearly all of it is the start of 100 processes.
SKIPPED = ("history", "autogenerate_all")
FEWER = tuple(job for job in READING if job not in SKIPPED)
QUICK = (
    Part(Size(20, 20, 4), ("sqlite",), ("upgrade", "seed"), MAIN, 1),
    Part(Size(20, 20, 4), ("sqlite",), FEWER, MAIN, 2),
    Part(Size(10, 10, 2), ("postgresql", "mariadb"), ("upgrade",), MAIN, 1),
    Part(Size(1000, 1, 1), ("sqlite-memory",), ("noop",), ALONE, 1),
)
LARGE = (*ALONE, "al_labels")
FULL = (
    Part(Size(50, 20, 4), databases.KINDS, ("upgrade", "seed"), ALL, 5),
    Part(Size(50, 20, 4), databases.KINDS, READING, ALL, 5),
    Part(Size(100, 100, 20), ("sqlite-memory", "postgresql"), READING, ALL, 5),
    Part(Size(1, 100, 20), ("sqlite-memory", "postgresql"), ("autogenerate",), ("ptah",), 5),
    # 4,000 tables: more than one transaction may lock, at PostgreSQL's defaults.
    Part(Size(400, 2, 10), ("postgresql",), ("upgrade",), ("ptah", "al_labels"), 1),
    Part(Size(1, 1, 1), databases.KINDS, ("noop",), ALONE, 5),
    Part(Size(1000, 20, 2), ("sqlite-memory",), READING, LARGE, 5),
    Part(Size(100, 100, 20), ("sqlite-memory",), ("upgrade",), MAIN, 1),
)
STEPS = {
    "P": [Size(number, 10, 2) for number in (20, 80, 320)],
    "R": [Size(20, number, 2) for number in (20, 80)],
}


def parts(said: argparse.Namespace) -> Iterator[Part]:
    """Yield what to measure: a set, as far as it is asked for."""
    if said.size:
        yield Part(said.size, databases.KINDS, tuple(JOBS))
        return
    if said.full or not said.growth:
        yield from FULL if said.full else QUICK
    if said.growth:
        for size in dict.fromkeys(size for sizes in STEPS.values() for size in sizes):
            yield Part(size, ("sqlite-memory",), GROWING, LARGE, 3)


def asked(part: Part, said: argparse.Namespace) -> Part:
    """Return a part with what the command line says."""
    return replace(
        part,
        kinds=[kind for kind in part.kinds if kind in said.databases],
        jobs=[job for job in part.jobs if job in said.jobs],
        contenders=[name for name in part.contenders if name in said.contenders],
        repetitions=said.repetitions or part.repetitions,
    )


def measure(said: argparse.Namespace, results: Results) -> None:
    """Measure every part, and leave nothing behind."""
    for part in (asked(part, said) for part in parts(said)):
        if not (part.kinds and part.jobs and part.contenders):
            continue
        say(f"writing a history of {part.size}")
        with written(part.size) as tree:
            for kind in part.kinds:
                wanted = Wanted(part.size, part.jobs, part.contenders, part.repetitions, said.limit)
                with databases.found(kind) as place:
                    if place.problem:
                        say(f"{kind} is skipped: {place.problem}")
                        results.skipped[kind] = place.problem
                        continue
                    results.versions.add(place.version)
                    Bench(tree, place, wanted, results, say).run()


def say(text: str) -> None:
    """Tell who waits where we are."""
    print(f"{time.perf_counter() - START:6.0f} s  {text}", file=sys.stderr, flush=True)


START = time.perf_counter()


def _several(known: Sequence[str]) -> dict[str, object]:
    return {"nargs": "+", "choices": known, "default": list(known), "metavar": "NAME"}


def _size(text: str) -> Size:
    return Size(*map(int, text.split("x")))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large sizes; hours")
    parser.add_argument(
        "--growth", action="store_true", help="growth in P and R; alone, or with --full"
    )
    parser.add_argument("--no-start", action="store_true", help="no start of commands")
    for name, known in (
        ("jobs", tuple(JOBS)),
        ("databases", databases.KINDS),
        ("contenders", ALL),
    ):
        parser.add_argument(f"--{name}", help=", ".join(known), **_several(known))  # type: ignore[arg-type]
    parser.add_argument("--size", type=_size, metavar="PxRxT", help="this size, instead of a set")
    parser.add_argument("--repetitions", type=int, metavar="N")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one measurement")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add to what is kept there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> None:
    """Measure, and print the goals or write the page."""
    said = arguments(words)
    results = Results.load(said.keep) if said.keep else Results()
    results.commands.append(shlex.join(["python", "-m", "bench", *words]))
    try:
        measure(said, results)
        if not said.no_start:
            results.starts = cold_start.table(5) if said.full else cold_start.table(3, first=2)
    except KeyboardInterrupt:
        say("stopped; what follows is what was measured")
    if said.keep:
        results.save(said.keep)
    sizes = {letter: {str(s): n for s, n in found} for letter, found in steps(results).items()}
    left = list(gaps(results)) if said.full or said.keep else []
    text = report.page(results, sizes, left)
    if said.write:
        said.write.write_text(text, encoding="utf-8")
    else:
        print(text)


def gaps(results: Results) -> Iterator[str]:
    """Yield which jobs of the full set were not measured."""
    for part in FULL:
        for kind in part.kinds:
            left = [
                JOBS[job]
                for job in part.jobs
                if report.View(results, str(part.size), kind).series(job, "ptah") is None
            ]
            if left:
                yield f"{part.size}, {kind}: {'; '.join(left)}"


def steps(results: Results) -> dict[str, list[tuple[Size, int]]]:
    """Return the sizes of each direction of growth that were measured: its last factor of four."""
    last = {
        "P": [(size, size.packages) for size in STEPS["P"][-2:]],
        "R": [(size, size.revisions) for size in STEPS["R"][-2:]],
    }
    known = {key.size for key in results.series}
    return {
        letter: found
        for letter, found in last.items()
        if known.issuperset(str(size) for size, _ in found)
    }


if __name__ == "__main__":
    main(sys.argv[1:])
