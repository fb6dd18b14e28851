"""
Runs the examples of a Markdown document, in order, in one empty directory.

What a document shows is what happens to its reader:

- a code block that begins with a comment naming a file (``# src/blog/models.py``)
  is written to that file;
- a ``console`` block holds commands (``$ …``, continued by ``> …``) and what they
  print, on stdout and stderr, as a terminal shows it; a line ``…`` stands for any
  lines;
- a ``pycon`` block is a doctest; all of a document share their names;
- blocks inside an HTML comment are run too: they prepare what readers have already.

Other blocks are not run. ``python -m tests.docs.story FILE…`` puts the present
outputs into the documents.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers import SOURCE, Command

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*) *$")
_FILE = re.compile(r"# (?P<path>[\w./-]+\.\w+)\Z")

# What differs from run to run, and what stands for it when two outputs are compared.
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"), "TIME"),
    (re.compile(r"\(\d+\.\d\d s\)"), "(SECONDS)"),
    (re.compile(r'"seconds": [\d.e-]+'), '"seconds": "SECONDS"'),
    (re.compile(r"(?<=(?:pass|kipp|fail|lect)ed) in \d+\.\d+s"), " in SECONDS"),
    (re.compile(r"server in PID \d+"), "server in PID NUMBER"),
    (re.compile(r"\(pid \d+[^)]*\)|\S+:\d+, since \S+ \S+"), "HOLDER"),
)
PORT = "6543"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its lines, and the number of its first line (from 1)."""

    language: str
    lines: tuple[str, ...]
    number: int
    indent: str = ""

    @property
    def file(self) -> str:
        """The file that the block shows, empty when it does not name one."""
        first = self.lines[0] if self.lines else ""
        found = _FILE.match(first)
        return found["path"] if found and self.language != "console" else ""


@dataclass(frozen=True, slots=True)
class Example:
    """A command of a console block, the output shown for it, and where that output stands."""

    command: str
    expected: tuple[str, ...]
    start: int
    end: int


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown text."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if opened is None:
            continue
        indent, first = opened["indent"], number
        while lines[number].strip() != "```":
            number += 1
        inside = tuple(line.removeprefix(indent) for line in lines[first:number])
        yield Block(opened["language"], inside, first + 1, indent)
        number += 1


def examples(block: Block) -> Iterator[Example]:
    """Yield the commands of a console block."""
    lines = block.lines
    assert lines[0].startswith("$ "), f"line {block.number}: a console block begins with '$ '"
    at = 0
    while at < len(lines):
        command = [lines[at].removeprefix("$ ")]
        at += 1
        while at < len(lines) and lines[at].startswith("> "):
            command.append(lines[at].removeprefix("> "))
            at += 1
        start = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        offset = block.number - 1
        yield Example("\n".join(command), lines[start:at], offset + start, offset + at)


def normalised(text: str) -> str:
    """Return an output without what differs from run to run."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def same(expected: Sequence[str], actual: Sequence[str]) -> bool:
    """
    Return whether an output is the one shown.

    ``…`` alone on a line stands for any lines. JSON may be laid out otherwise.
    """
    with suppress(ValueError):
        return _json(expected) == _json(actual)
    parts = [re.escape(normalised(line)) for line in expected]
    pattern = "\n".join("(?s:.*)" if part == re.escape("…") else part for part in parts)
    return re.fullmatch(pattern, normalised("\n".join(actual))) is not None


def _json(lines: Sequence[str]) -> object:
    return json.loads(normalised("\n".join(lines)))


@dataclass
class Story:
    """The directory in which a document is followed, and what has been done there so far."""

    directory: Path
    port: int = 0
    status: int = 0
    names: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = self.directory / "state"
        self.work = self.directory / "work"
        self.bin = self.directory / "bin"
        self.site = self.directory / "site"
        for folder in (self.work, self.bin, self.site):
            folder.mkdir()
        self.port = self.port or _free_port()
        self._tool("python", sys.executable)
        # An installed script does not have the present directory on its path, hence -P.
        self._tool("ptah-migrate", sys.executable, "-P", "-m", "ptah_migrate")
        for name in ("fill-in", "pip", "pserve", "ptah-populate", "pyramid-logging"):
            self._tool(name, sys.executable, "-P", "-m", "tests.docs.tools", name)
        for name in ("pviews", "proutes"):
            self._tool(name, sys.executable, "-P", "-m", f"pyramid.scripts.{name}")

    def _tool(self, name: str, *words: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    def write(self, block: Block) -> None:
        """Write the file that a block shows."""
        path = self._cwd() / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(block.lines) + "\n"
        path.write_text(text.replace(PORT, str(self.port)), encoding="utf-8")

    def run(self, command: str) -> list[str]:
        """Run a command where the one before it left off, and return the lines it printed."""
        state = shlex.quote(str(self.state))
        script = (
            f'if [ -f {state} ]; then . {state}; cd "$PWD"; fi\n'
            f"export PYTHONPATH={shlex.quote(self._path())}\n(exit {self.status})\n{command}\n"
            f"code=$?; export -p > {state}; exit $code\n"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.work,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        self.status = done.returncode
        return self._anonymous(done.stdout).rstrip().splitlines()

    def check(self, block: Block) -> str:
        """Run a doctest and return its failures."""
        failures: list[str] = []
        source = "\n".join(block.lines) + "\n"
        parsed = doctest.DocTestParser().get_doctest(source, self.names, "example", None, 0)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
        with self._importable():
            runner.run(parsed, out=failures.append, clear_globs=False)
        self.names.update(parsed.globs)
        return "".join(failures)

    @contextmanager
    def _importable(self) -> Iterator[None]:
        """Be in the story's directory, with its packages and without traces of earlier ones."""
        before, modules = list(sys.path), set(sys.modules)
        sys.path[:0] = [str(self._cwd()), *self._installed(), str(self.site)]
        try:
            with chdir(self._cwd()):
                yield
        finally:
            sys.path[:] = before
            for name in set(sys.modules) - modules:
                origin = str(getattr(sys.modules[name], "__file__", ""))
                if origin.startswith(str(self.directory)):
                    del sys.modules[name]

    def _environment(self) -> dict[str, str]:
        inherited = Command(self.work).environment({})
        for name in ("CI", "BUILD_NUMBER", "COLUMNS"):  # what pytest prints depends on them
            inherited.pop(name, None)
        return {
            **inherited,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "STORY_SITE": str(self.site),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            # Other plug-ins may be installed here, and say something at every start.
            "PYTEST_ADDOPTS": "-p no:alembic-gauntlet -p no:asyncio -p no:pytest_alembic",
        }

    def _path(self) -> str:
        folders = (*self._installed(), str(self.site), str(ROOT), str(SOURCE))
        return os.pathsep.join(dict.fromkeys(folders))

    def _installed(self) -> list[str]:
        found = self.site / "editable.txt"
        return found.read_text(encoding="utf-8").splitlines() if found.exists() else []

    def _cwd(self) -> Path:
        if not self.state.exists():
            return self.work
        found = re.search(r'^declare -x PWD="(.*)"$', self.state.read_text("utf-8"), re.MULTILINE)
        assert found is not None
        return Path(found[1])

    def _anonymous(self, text: str) -> str:
        """Return an output without this machine's paths, and with the port of the document."""
        text = text.replace(str(self.work), "…").replace(str(self.work.resolve()), "…")
        return text.replace(str(self.port), PORT)


@contextmanager
def story() -> Iterator[Story]:
    """Yield a story in an empty directory."""
    with TemporaryDirectory() as directory:
        yield Story(Path(directory).resolve())


def follow(text: str, *, update: bool = False) -> tuple[list[str], str]:
    """
    Do what a document says.

    Returns:
        What went otherwise than the document shows, and the document; when
        updating, with the present outputs instead of problems.

    """
    problems: list[str] = []
    lines = text.splitlines()
    shift = 0
    with story() as going:
        for block in blocks(text):
            if block.file:
                going.write(block)
            elif block.language == "pycon":
                if failures := going.check(block):
                    problems.append(f"line {block.number}:\n{failures}")
            elif block.language == "console":
                for example in examples(block):
                    actual = going.run(example.command)
                    if same(example.expected, actual):
                        continue
                    if not update:
                        problems.append(_difference(example, actual))
                        continue
                    lines[example.start + shift : example.end + shift] = [
                        f"{block.indent}{line}".rstrip() for line in actual
                    ]
                    shift += len(actual) - (example.end - example.start)
    return problems, "\n".join(lines) + "\n"


def _difference(example: Example, actual: Sequence[str]) -> str:
    shown = "\n".join(f"    {line}" for line in example.expected)
    printed = "\n".join(f"    {line}" for line in actual)
    return f"line {example.start}: $ {example.command}\n  shown:\n{shown}\n  printed:\n{printed}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        document = Path(name)
        found, new = follow(document.read_text(encoding="utf-8"), update=True)
        document.write_text(new, encoding="utf-8")
        sys.stderr.write("".join(f"{name}: {problem}\n" for problem in found))
