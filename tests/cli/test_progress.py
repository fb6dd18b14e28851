"""The line on a terminal that says how far a run is, and all the places where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptah_migrate import Plan
from ptah_migrate._cli import writing
from ptah_migrate._cli.progress import Places
from ptah_migrate._cli.session import Session
from ptah_migrate.model import Item, Seed
from tests.helpers import Command, Database, PackageMaker
from tests.integration.running import migrator

# The command, with the progress as a test wants it; tells what it loaded.
RUN = """
import json, pathlib, runpy, sys
from ptah_migrate._cli import progress, writing
delay, blocked, told = json.loads(sys.argv[1])
progress.DELAY = delay
sys.modules.update(dict.fromkeys(blocked))
sys.argv = ["ptah-migrate", *sys.argv[2:]]
try:
    runpy.run_module("ptah_migrate", run_name="__main__")
finally:
    pathlib.Path(told).write_text(json.dumps(sorted(sys.modules)))
"""

# A step that ends once the test has seen what it waits for.
WAITS = """
import pathlib, time
until = time.monotonic() + 100
while not pathlib.Path("go").exists() and time.monotonic() < until:
    time.sleep(0.02)
"""

# A step that gives the line, if there is one, the time to appear; where rich is missing there
# is nothing to wait for.
LINGERS = """
import threading
for thread in threading.enumerate():
    if thread.name == "ptah-migrate progress":
        thread.join(3)
"""

SAYS = 'print("a step says this")'

# What the person who runs the tests has set is not for the command that is tested.
NOT_OURS = re.compile(
    r"CI|COLUMNS|LINES|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|CLICOLOR.*|TTY_.*|PYTEST_.*|JPY_.*"
)


@dataclass(frozen=True)
class Seen:
    """What a run wrote to its terminal, and to stdout where that is another place."""

    exit_code: int
    terminal: str
    stdout: str
    modules: frozenset[str]

    @property
    def screen(self) -> list[str]:
        """The lines of the terminal at the end, without times."""
        lines = [""]
        column = 0
        for token in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|.|\n", self.terminal):
            if token == "\n":  # the terminal makes it "\r\n"
                lines.append("")
                column = 0
            elif token == "\r":
                column = 0
            elif token == "\x1b[2K":
                lines[-1] = ""
            elif not token.startswith("\x1b"):
                lines[-1] = lines[-1][:column].ljust(column) + token + lines[-1][column + 1 :]
                column += 1
        return [timeless(line) for line in lines[:-1]]


def timeless(text: str) -> str:
    """Return a text without the time of day, and how long something took."""
    text = re.sub(r"\d{4}-\d\d-\d\d [\d:,]+", "NOW", text)
    return re.sub(r"\(\d+\.\d\d s\)", "(TIME)", text)


@dataclass
class Terminal:
    """Runs the command with a terminal for stderr, 120 columns wide, and for stdin."""

    folder: Path
    command: Command

    def run(
        self,
        *words: str,
        apart: bool = False,
        delay: float = 0,
        blocked: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        wait_for: str = "",
        answer: str = "",
    ) -> Seen:
        """
        Run to the end.

        ``apart``: stdout is a pipe. The steps may go on when the terminal shows
        ``wait_for``, a pattern; what asks with "?" gets the ``answer``.
        """
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        out = self.folder / "stdout"
        told = self.folder / "modules.json"
        options = json.dumps([delay, list(blocked), str(told)])
        with out.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, options, *words],
                cwd=self.folder,
                env={**self._environment(), "TERM": "xterm", **(env or {})},
                stdin=theirs,
                stdout=file if apart else theirs,
                stderr=theirs,
                start_new_session=True,
            )
        os.close(theirs)
        try:
            text = self._follow(ours, wait_for, answer)
            code = process.wait(60)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return Seen(code, text, out.read_text("utf-8"), frozenset(json.loads(told.read_text())))

    def _environment(self) -> dict[str, str]:
        found = self.command.environment()
        return {name: value for name, value in found.items() if not NOT_OURS.fullmatch(name)}

    def _follow(self, terminal: int, wait_for: str, answer: str) -> str:
        """Read what is written until the last writer is gone."""
        read = b""
        until = time.monotonic() + 100
        with suppress(OSError):  # how Linux says so
            while time.monotonic() < until:
                if not select.select([terminal], [], [], 1)[0]:
                    continue
                more = os.read(terminal, 65536)
                if not more:
                    break
                read += more
                if wait_for and re.search(wait_for.encode(), read):
                    (self.folder / "go").touch()
                if answer and b"?" in read:
                    os.write(terminal, answer.encode())
                    answer = ""
        return read.decode().replace("\r\n", "\n")


@pytest.fixture
def terminal(tmp_path: Path, packages_root: Path) -> Terminal:
    """Return what runs the command on a terminal, with a database of its own."""
    return Terminal(tmp_path, Command(tmp_path, [packages_root]))


UPGRADE = ("--url", "sqlite:///app.sqlite", "upgrade")
SHOWN = "1/3 steps, 0/1 packages, .*blog:002"

LOGGED = [
    "Using database sqlite:///app.sqlite (given)",
    "NOW INFO  [ptah.alembic] blog: running upgrade None -> 001",
    "NOW INFO  [ptah.alembic] blog: running upgrade 001 -> 002",
    "NOW INFO  [ptah.alembic] blog: running upgrade 002 -> 003",
]
RESULTS = ["blog None -> 001 (TIME)", "blog 001 -> 002 (TIME)", "blog 002 -> 003 (TIME)"]
SCREEN = [*LOGGED[:3], "a step says this", *LOGGED[3:], *RESULTS]


def blog(make_package: PackageMaker, middle: str) -> None:
    """Install a package of three revisions."""
    make_package("blog", {"001": "pass", "002": middle, "003": "pass"}).install()


def test_a_long_run_says_how_far_it_is(terminal: Terminal, make_package: PackageMaker) -> None:
    """After a second a line says how far the run is; at the end every other line is whole."""
    blog(make_package, WAITS + SAYS)

    seen = terminal.run(*UPGRADE, delay=1, wait_for=SHOWN)

    assert re.search(r"1/3 steps, 0/1 packages, \d:\d\d, \d\.\d steps/s, blog:002", seen.terminal)
    assert seen.screen == SCREEN
    assert seen.exit_code == 0


def test_results_stay_on_stdout(terminal: Terminal, make_package: PackageMaker) -> None:
    """Where stdout is no terminal it gets its lines and nothing else; NO_COLOR takes colours."""
    blog(make_package, WAITS)

    seen = terminal.run(*UPGRADE, apart=True, env={"NO_COLOR": "1"}, wait_for=SHOWN)

    assert timeless(seen.stdout) == "".join(f"{line}\n" for line in RESULTS)
    assert seen.screen == LOGGED
    assert set(re.findall(r"\x1b\[[\d;?]*[A-Za-z]", seen.terminal)) == {"\x1b[2K"}


def test_an_error_is_whole(terminal: Terminal, make_package: PackageMaker) -> None:
    """The line is gone before an error is told."""
    blog(make_package, WAITS + 'raise ValueError("no such thing")')

    seen = terminal.run(*UPGRADE, wait_for=SHOWN)

    assert seen.exit_code == 1
    assert seen.screen[3] == "blog None -> 001 (TIME)"
    assert seen.screen[4].startswith("Error: upgrade of package 'blog' failed in revision '002'")
    assert "steps/s" not in "".join(seen.screen)


def test_a_question_ends_it(terminal: Terminal, make_package: PackageMaker) -> None:
    """A step that asks has the terminal for itself, from then on."""
    blog(make_package, WAITS + 'print("answer:", input("Which one? "))' + LINGERS)

    seen = terminal.run(*UPGRADE, wait_for=SHOWN, answer="this\n")

    before, _, after = seen.terminal.partition("Which one? ")
    assert "steps/s" in before
    assert "steps/s" not in after
    assert "answer: this" in seen.screen
    assert seen.exit_code == 0


def test_without_rich(terminal: Terminal, make_package: PackageMaker) -> None:
    """Where rich is not installed the lines are plain."""
    blog(make_package, LINGERS + SAYS)

    seen = terminal.run(*UPGRADE, blocked=["rich"])

    assert seen.exit_code == 0
    assert seen.screen == SCREEN
    assert "\x1b" not in seen.terminal
    assert "steps/s" not in seen.terminal


@pytest.mark.parametrize(
    ("options", "term", "wanted"),
    [
        pytest.param({}, "xterm", True, id="terminal"),
        pytest.param({"json": True}, "xterm", False, id="JSON"),
        pytest.param({"quiet": True}, "xterm", False, id="quiet"),
        pytest.param({}, "dumb", False, id="a terminal that cannot"),
        pytest.param({}, None, False, id="no terminal"),
    ],
)
def test_who_gets_it(
    sqlite_database: Database,
    make_package: PackageMaker,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, bool],
    term: str | None,
    wanted: bool,
) -> None:
    """Only a person who looks on gets the line; elsewhere the streams are left alone."""
    one = migrator(sqlite_database, make_package("blog", {"001": "pass"}))
    session = Session()
    vars(session).update(options)
    ours, theirs = pty.openpty()
    file = os.open(os.devnull, os.O_WRONLY) if term is None else os.dup(theirs)
    with os.fdopen(file, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", term or "xterm")

        with writing.watched(session, one):
            found = sys.stderr is not stream, "ptah-migrate progress" in threads()

        assert found == (wanted, wanted)
        assert sys.stderr is stream
    os.close(ours)
    os.close(theirs)


def threads() -> set[str]:
    """Return the names of the threads of this process."""
    return {thread.name for thread in threading.enumerate()}


def test_a_short_run_loads_nothing(terminal: Terminal, make_package: PackageMaker) -> None:
    """A run that ends before the line would appear does not load rich."""
    blog(make_package, SAYS)

    seen = terminal.run(*UPGRADE, delay=3600)

    assert seen.screen == SCREEN
    assert "ptah_migrate._cli.progress" in seen.modules
    assert not {name for name in seen.modules if name.partition(".")[0] == "rich"}


# -- what it is told ------------------------------------------------------------------------


def test_each_item_is_told(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A migrator tells the plan and each item of it before it runs, also in one transaction."""
    blog = make_package("blog", {"001": "pass", "002": "pass"})
    cms = make_package("cms", {"001": "pass"})
    told: list[tuple[Plan, Item]] = []
    one = migrator(
        sqlite_database, blog, cms, starting=lambda plan, item: told.append((plan, item))
    )

    up = one.upgrade()
    down = one.downgrade("blog:base")

    assert [item for _, item in told] == [*up.plan.items, *down.plan.items]
    assert {id(plan) for plan, _ in told} == {id(up.plan), id(down.plan)}


def test_seeding_is_told(sqlite_database: Database, make_package: PackageMaker) -> None:
    """Of packages that are seeded together the first is told: none is through before the others."""
    models = 'import sqlalchemy as sa\nmetadata = sa.MetaData()\nsa.Table("{0}s", metadata, {1})\n'
    made = [
        make_package(
            name,
            {"001": "pass"},
            files={"models.py": models.format(name, 'sa.Column("id", sa.Integer)')},
            metadata=f"{name}.models:metadata",
        )
        for name in ("blog", "cms")
    ]
    told: list[Item] = []

    report = migrator(sqlite_database, *made, starting=lambda plan, item: told.append(item)).seed()

    assert [item.package for item in report.plan.items] == ["blog", "cms"]
    assert told == [report.plan.items[0]]


def test_places(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A place counts what came before: the items, and the packages that are through."""
    blog = make_package("blog", {"001": "pass", "002": "pass"})
    cms = make_package("cms", {"001": "pass"})
    plan = migrator(sqlite_database, blog, cms).plan()
    seeded = Plan((*plan.items, Seed("wiki", ("003",))))
    places = Places(seeded)

    found = [places.of(item).words(4.0) for item in seeded.items]

    assert found == [
        "0/4 steps, 0/3 packages, 0:04, 0.0 steps/s, blog:001",
        "1/4 steps, 0/3 packages, 0:04, 0.2 steps/s, blog:002",
        "2/4 steps, 1/3 packages, 0:04, 0.5 steps/s, cms:001",
        "3/4 steps, 2/3 packages, 0:04, 0.8 steps/s, wiki",
    ]
