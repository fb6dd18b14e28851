"""
How far a long run is: one line at the bottom of a terminal, which goes away at its end.

It is there only where a person looks on, and only from the second second. What is
printed or logged meanwhile goes to the stream it always goes to, the same bytes: the
line is wiped first, and written again below. So nothing has to know of it, and where
rich is missing, or a step asks a question, there simply is no line.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from ptah_migrate.model import Step

if TYPE_CHECKING:
    from rich.console import Console

    from ptah_migrate._runtime import Migrator
    from ptah_migrate.model import Item, Plan

# Seconds: until the line appears, and between two looks at where the run is.
DELAY = 1.0
PAUSE = 0.1

BAR = 24  # columns
SMALLEST_BAR = 8


@contextmanager
def shown(migrator: Migrator) -> Iterator[None]:
    """Show how far the migrator is, while the block runs."""
    line = Line(sys.stderr)
    migrator.starting = line.starting
    try:
        with line.below():
            yield
    finally:
        migrator.starting = None


# -- what it says -------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a run is: items and packages before this one, and how many there are."""

    name: str
    steps: int
    all_steps: int
    packages: int
    all_packages: int

    def words(self, seconds: float) -> str:
        """Return the line, for a run that has taken some seconds."""
        minutes, rest = divmod(int(seconds), 60)
        return ", ".join(
            (
                f"{self.steps}/{self.all_steps} steps",
                f"{self.packages}/{self.all_packages} packages",
                f"{minutes}:{rest:02}",
                f"{self.steps / seconds:.1f} steps/s",
                self.name,
            )
        )


class Places:
    """The place of each item in a plan, found without a walk through it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._index = {id(item): index for index, item in enumerate(plan.items)}
        last = {item.package: index for index, item in enumerate(plan.items)}
        self._ends = sorted(last.values())

    def of(self, item: Item) -> Place:
        """Return where the run is when this item begins."""
        index = self._index[id(item)]
        return Place(
            f"{item.package}:{item.revision.id}" if isinstance(item, Step) else item.package,
            index,
            len(self._index),
            bisect_left(self._ends, index),
            len(self._ends),
        )


# -- where it is said -----------------------------------------------------------------------


class Line:
    """
    The line, and the thread that writes it.

    ``_lock`` is held for each write to the terminal. ``_open`` says that the last
    text did not end its line: nothing may be written behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._finished = threading.Event()
        self._began = time.monotonic()
        self._now: tuple[Places, Item] | None = None
        self._console: Console | None = None
        self._drawn = False
        self._open = False

    def starting(self, plan: Plan, item: Item) -> None:
        """Take note of what runs now."""
        known = self._now[0] if self._now else None
        self._now = (known if known and known.plan is plan else Places(plan), item)

    @contextmanager
    def below(self) -> Iterator[None]:
        """Stay below what is written to the terminal, until the block ends."""
        thread = threading.Thread(target=self._watch, name="ptah-migrate progress", daemon=True)
        sys.addaudithook(self._heard)
        with self._streams_replaced():
            thread.start()
            try:
                yield
            finally:
                self._finished.set()
                thread.join()
                self._wipe()

    def write(self, stream: TextIO, text: str) -> int:
        """Write other people's text where the line was."""
        with self._lock:
            self._wipe()
            if text:
                self._open = not text.endswith("\n")
            return stream.write(text)

    @contextmanager
    def _streams_replaced(self) -> Iterator[None]:
        before = sys.stdout, sys.stderr
        after = [cast("TextIO", Above(self, it)) if _is_terminal(it) else it for it in before]
        changed = dict(zip(before, after, strict=True))
        handlers = [handler for handler in _handlers() if handler.stream in before]
        old = [(handler, handler.stream) for handler in handlers]
        sys.stdout, sys.stderr = after
        for handler in handlers:
            handler.setStream(changed[handler.stream])
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for handler, stream in old:
                handler.setStream(stream)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Be gone for good once something asks the person who looks on: a step, a debugger."""
        if self._finished.is_set():
            return
        if event == "builtins.input" or (event == "open" and arguments[0] == "/dev/tty"):
            self._finished.set()
            self._wipe()

    def _watch(self) -> None:
        """Write the line again and again; rich is loaded for the first one."""
        if self._finished.wait(DELAY):
            return
        with suppress(ImportError, OSError):  # no rich; no terminal any more
            while not self._finished.wait(PAUSE):
                if self._now is not None:
                    self._console = self._console or _console(self._stream)
                    self._draw(self._console)

    def _draw(self, console: Console) -> None:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        with self._lock:
            if self._open or self._finished.is_set() or self._now is None:
                return
            places, item = self._now
            place = places.of(item)
            # The last column stays free: some terminals would go to the next line.
            width = console.width - 1
            text = Text(place.words(time.monotonic() - self._began), no_wrap=True)
            text.truncate(width, overflow="ellipsis")
            room = min(BAR, width - text.cell_len - 1)
            with console:  # one write
                self._wipe()
                self._drawn = True
                console.print(text, end="", highlight=False)
                if room >= SMALLEST_BAR:
                    console.print(" ", end="")
                    console.print(ProgressBar(place.all_steps, place.steps, room), end="")

    def _wipe(self) -> None:
        with self._lock:
            if self._console is None or not self._drawn:
                return
            from rich.control import Control
            from rich.segment import ControlType

            self._drawn = False
            with suppress(OSError):
                self._console.control(
                    Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
                )


class Above:
    """A stream of a terminal; what is written to it appears above the line."""

    def __init__(self, line: Line, stream: TextIO) -> None:
        self._line = line
        self._stream = stream

    def write(self, text: str) -> int:
        """Write to the stream."""
        return self._line.write(self._stream, text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all lines to the stream."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _handlers() -> Iterator[logging.StreamHandler[Any]]:
    """Yield every handler of the process that writes to a stream, files left out."""
    known = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in known:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
