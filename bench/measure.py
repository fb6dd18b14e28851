"""
Measure: each measurement is a process of its own, contenders take turns.

Turns make ratios hold on a loaded machine: whatever slows one contender down
slows the next one down too.
"""

from __future__ import annotations

import json
import math
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import sqlalchemy as sa

from bench.contenders import CONTENDERS, Contender, Core, environment
from bench.databases import Databases
from bench.histories import Size, Tree, end, write

FRESH = ("upgrade", "seed")  # these start from an empty database
JOBS = {
    "noop": "nothing to do, in process",
    "noop_cold": "the same, cache empty",
    "noop_process": "nothing to do, whole process",
    "upgrade": "full upgrade",
    "step": "one step of one package",
    "status": "status of all packages",
    "heads": "heads",
    "history": "history",
    "autogenerate": "autogenerate, one package",
    "autogenerate_all": "autogenerate, unfiltered",
    "memory": "memory of nothing to do",
    "seed": "create all tables and seed",
    "revision": "new revision file",  # the last one: it changes the files
}


class FailedError(Exception):
    """A measurement did not come to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """What was measured."""

    size: str
    database: str
    job: str
    contender: str


@dataclass(slots=True)
class Series:
    """The repetitions of one measurement: seconds, MiB, statements by their first word."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    statements: Mapping[str, int] = field(default_factory=dict)

    def add(self, found: Mapping[str, object]) -> None:
        """Take one repetition over."""
        for name in ("cpu", "wall", "memory"):
            value = found.get(name)
            if isinstance(value, float):
                getattr(self, name).append(value)

    @property
    def median(self) -> float:
        """The median CPU time in milliseconds."""
        return 1000 * statistics.median(self.cpu)

    @property
    def least(self) -> float:
        """The least wall time in milliseconds."""
        return 1000 * min(self.wall)


@dataclass(slots=True)
class Results:
    """What was measured, and what was not and why."""

    series: dict[Key, Series] = field(default_factory=dict)
    missing: dict[Key, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    starts: str = ""

    def save(self, path: Path) -> None:
        """Keep all of it in a file."""
        value = {
            "skipped": self.skipped,
            "notes": self.notes,
            "commands": self.commands,
            "starts": self.starts,
            "series": [[asdict(key), asdict(one)] for key, one in self.series.items()],
            "missing": [[asdict(key), why] for key, why in self.missing.items()],
            "versions": sorted(self.versions),
        }
        path.write_text(json.dumps(value, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Return what was kept, nothing where there is no such file."""
        if not path.exists():
            return cls()
        value = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            **value
            | {
                "series": {Key(**key): Series(**one) for key, one in value["series"]},
                "missing": {Key(**key): why for key, why in value["missing"]},
                "versions": set(value["versions"]),
            }
        )

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop what was measured before."""
        for key in keys:
            self.series.pop(key, None)
            self.missing.pop(key, None)

    def add(self, key: Key, measure: Callable[[], Mapping[str, object]]) -> None:
        """Measure once; who failed before is not asked again."""
        if key in self.missing:
            return
        try:
            found = measure()
        except FailedError as failed:
            self.missing[key] = str(failed)
            self.series.pop(key, None)
            return
        self.series.setdefault(key, Series()).add(found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure in one database and size."""

    size: Size
    jobs: Sequence[str]
    contenders: Sequence[str]
    repetitions: int
    limit: float = 600.0  # seconds for one measurement


@contextmanager
def written(size: Size) -> Iterator[Tree]:
    """Yield the files of a history, which are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as folder:
        tree = write(Tree(Path(folder).resolve(), size))
        # What changed a moment ago is not remembered by whoever keeps stamps of files.
        time.sleep(2.5)
        yield tree


@dataclass(frozen=True, slots=True)
class Bench:
    """Measures contenders with the files of one size, in databases of one kind."""

    tree: Tree
    databases: Databases
    wanted: Wanted
    results: Results
    say: Callable[[str], None]

    def run(self) -> None:
        """Measure every job of every contender, anew."""
        self.results.forget(
            self._key(job, name) for job in self.wanted.jobs for name in self.wanted.contenders
        )
        for job in filter(self.wanted.jobs.__contains__, FRESH):
            self._fresh(job)
        others = [job for job in JOBS if job in self.wanted.jobs and job not in FRESH]
        if others:
            self._filled(others)

    def _fresh(self, job: str) -> None:
        ends: dict[str, object] = {}
        for number in range(self.wanted.repetitions):
            self.say(f"{self._where}: {job} {number + 1}")
            for name in self.wanted.contenders:
                with self.databases.new() as url:
                    if not self._contender(name, url).takes(job):
                        continue
                    self.results.add(self._key(job, name), lambda: self._do(job, name, url))  # noqa: B023
                    if number == 0 and self._key(job, name) in self.results.series:
                        with _engine(url) as engine:
                            ends[name] = end(engine)
        if job == "upgrade":
            self._agree(ends)

    def _agree(self, ends: Mapping[str, object]) -> None:
        """Raise an error when contenders came to different ends."""
        names = list(ends)
        for name in names[1:]:
            if ends[name] != ends[names[0]]:
                raise AssertionError(f"{name} and {names[0]} differ at {self._where}")
        if len(names) > 1:
            agreed = f"{self._where}: {', '.join(names)} end with the same schema and rows"
            self.results.notes.append(agreed)

    def _filled(self, jobs: Sequence[str]) -> None:
        with ExitStack() as stack:
            urls: dict[str, str] = {}
            for name in self.wanted.contenders:
                url = stack.enter_context(self.databases.new())
                contender = self._contender(name, url)
                if any(contender.takes(_method(job)) for job in jobs) and name != "f_ops":
                    self.say(f"{self._where}: {name} is made ready")
                    self._record(contender)
                    urls[name] = url
                elif name == "f_ops" and "step" in jobs:
                    self._record(Core(self.tree, url))
                    urls[name] = url
            for job in jobs:
                self.say(f"{self._where}: {job}")
                self._turns(job, urls)

    def _record(self, contender: Contender) -> None:
        Core(self.tree, contender.url).create()
        try:
            self._do("record", contender.name, contender.url)
        except FailedError as failed:
            for job in self.wanted.jobs:
                if job not in FRESH:
                    self.results.missing[self._key(job, contender.name)] = str(failed)

    def _turns(self, job: str, urls: Mapping[str, str]) -> None:
        taking = {name: url for name, url in urls.items() if self._takes(job, name, url)}
        for number in range(-1, self.wanted.repetitions):
            for name, url in taking.items():
                if number >= 0:
                    self.results.add(
                        self._key(job, name),
                        lambda: self._do(job, name, url, turn=number),  # noqa: B023
                    )
                elif name == "ptah" or job == "noop":  # the others keep nothing between runs
                    self._warm(job, name, url)

    def _warm(self, job: str, name: str, url: str) -> None:
        """Do a job once without counting it, and count its statements."""
        try:
            found = self._do(job, name, url, turn=-1, count=True)
        except FailedError as failed:
            self.results.missing[self._key(job, name)] = str(failed)
            return
        statements = found.get("statements")
        if isinstance(statements, Mapping):
            self.results.series[self._key(job, name)] = Series(statements=statements)

    def _takes(self, job: str, name: str, url: str) -> bool:
        contender = self._contender(name, url)
        if job.endswith("_process"):
            return contender.command(_method(job)) is not None
        return contender.takes(_method(job)) and (job != "noop_cold" or name == "ptah")

    def _do(
        self, job: str, name: str, url: str, *, turn: int = 0, count: bool = False
    ) -> Mapping[str, object]:
        """Do a job in a process of its own."""
        with tempfile.TemporaryDirectory(prefix="bench-empty-") as empty:
            cache = Path(empty) if job == "noop_cold" else self.tree.root / "cache"
            # Always the same: it is on Python's search path, of which stamps may be kept.
            here = str(self.tree.work)
            env = environment(self.tree, url, cache)
            if job.endswith("_process"):
                command = self._contender(name, url).command(_method(job))
                assert command is not None
                return process(command, env, here, self.wanted.limit)
            spec = {
                "root": str(self.tree.root),
                "size": (self.tree.size.packages, self.tree.size.revisions, self.tree.size.tables),
                "contender": name,
                "url": url,
                "job": _method(job),
                "turn": turn,
                "count": count,
            }
            command = [sys.executable, "-m", "bench.job", json.dumps(spec)]
            found: Mapping[str, object] = json.loads(
                output(command, env, here, self.wanted.limit).rpartition("\n")[2]
            )
            return found

    def _contender(self, name: str, url: str) -> Contender:
        return CONTENDERS[name](self.tree, url)

    def _key(self, job: str, name: str) -> Key:
        return Key(str(self.tree.size), self.databases.kind, job, name)

    @property
    def _where(self) -> str:
        return f"{self.tree.size} {self.databases.kind}"


def _method(job: str) -> str:
    return job.removesuffix("_process").removesuffix("_cold")


@contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


# -- processes -------------------------------------------------------------------------


def output(command: Sequence[str], env: Mapping[str, str], folder: str, limit: float) -> str:
    """
    Return what a process writes.

    Raises:
        FailedError: it failed, or took too long.

    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"stopped after {limit:.0f} s") from None
    if done.returncode:
        raise FailedError(_reason(done.stderr) or f"exit {done.returncode}")
    return done.stdout.strip()


def _reason(stderr: str) -> str:
    """Return the line that names the error: SQLAlchemy puts the statement and a link behind it."""
    named = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception): .+", stderr, re.MULTILINE)
    return named[-1] if named else stderr.strip().rpartition("\n")[2]


def process(
    command: Sequence[str], env: Mapping[str, str], folder: str, limit: float = 600
) -> Mapping[str, object]:
    """
    Return what a whole process takes.

    Raises:
        FailedError: it failed.

    """
    before, start = _children(), time.perf_counter()
    output(command, env, folder, limit)
    return {"cpu": _children() - before, "wall": time.perf_counter() - start}


def _children() -> float:
    """Return the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def growth(results: Iterable[tuple[int, Series]]) -> float | None:
    """Return the exponent of growth from the smallest to the largest of sizes; 1 is linear."""
    found = sorted(((size, series.median) for size, series in results), key=lambda pair: pair[0])
    if len(found) < 2:
        return None
    (less, cheap), (more, dear) = found[0], found[-1]
    return math.log(dear / cheap) / math.log(more / less)
