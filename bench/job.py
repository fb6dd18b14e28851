"""Do one job of one contender in this process, and print what it took as JSON."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.contenders import CONTENDERS
from bench.histories import Size, Tree


def cpu() -> float:
    """Return the CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def counted() -> Counter[str]:
    """Return what will count the statements of every engine by their first word."""
    found: Counter[str] = Counter()

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def count(_: object, __: object, statement: str, *___: object) -> None:
        found[statement.split(None, 1)[0].upper()] += 1

    return found


def do(spec: dict[str, Any]) -> dict[str, Any]:
    """Do the job of a specification and return what it took."""
    tree = Tree(Path(spec["root"]), Size(*spec["size"]))
    contender = CONTENDERS[spec["contender"]](tree, spec["url"], spec["turn"])
    job = spec["job"]
    if job == "record":
        contender.prepare(job)
        contender.record()
        return {}
    contender.prepare(job)
    statements = counted() if spec.get("count") else Counter[str]()
    # One pass over everything that was loaded takes 20 ms, and would hit one job or another.
    gc.collect()
    gc.freeze()
    wall, used = time.perf_counter(), cpu()
    contender.run(job)
    used, wall = cpu() - used, time.perf_counter() - wall
    new: Path | None = getattr(contender, "new", None)
    if new is not None:
        new.unlink()
    return {"cpu": used, "wall": wall, "memory": peak(), "statements": statements}


if __name__ == "__main__":
    print(json.dumps(do(json.loads(sys.argv[1]))))
