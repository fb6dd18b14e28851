"""Ask git about a working tree; nothing here changes one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate._authoring.naming import shown
from ptah_migrate.errors import AuthoringError

_LIMIT = 120.0
_REGULAR = ("100644", "100755")  # no links, folders, other repositories
_SQUASHED = re.compile(r"^commit ([0-9a-f]{40,64})$", re.MULTILINE)  # the first one is the tip


@dataclass(frozen=True, slots=True)
class Sides:
    """
    Two lines of commits that are being brought together, and where they parted.

    ``mine`` is the one of the person at the keyboard: the branch that another
    one is merged into, or the commit that is moved onto another branch.
    """

    mine: str
    theirs: str
    base: str


class Repository:
    """The git repository around a folder; paths are relative to that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sides(self) -> Sides | None:
        """Return what git is bringing together now, None when it is doing no such thing."""
        for name in ("CHERRY_PICK_HEAD", "REBASE_HEAD"):
            if self._has(name):
                return Sides(name, "HEAD", f"{name}^")
        other = "MERGE_HEAD" if self._has("MERGE_HEAD") else self._squashed()
        if not other:
            return None
        bases = self._text("merge-base", "HEAD", other).split()
        return Sides("HEAD", other, bases[0] if bases else "")

    def _squashed(self) -> str:
        """Return the commit that ``merge --squash`` brought here, as git logs it, or nothing."""
        try:
            place = Path(
                self.folder, self._text("rev-parse", "--git-path", "SQUASH_MSG").rstrip("\n")
            )
            found = _SQUASHED.search(place.read_text("utf-8", "replace"))
        except (AuthoringError, OSError):
            return ""
        return found[1] if found and self._has(found[1]) else ""

    def top(self) -> Path:
        """Return the root of the working tree."""
        return Path(self._text("rev-parse", "--show-toplevel").rstrip("\n"))

    def is_unmerged(self) -> bool:
        """Return whether anything in the whole repository is in conflict."""
        return bool(self._text("ls-files", "-u", "-z", "--", ":/"))

    def added_twice(self) -> dict[str, tuple[bytes, bytes]]:
        """
        Return the files of the folder that both sides added: theirs, and mine.

        When changes are put onto a commit (``stash pop``, ``checkout --merge``)
        the index holds what the commit has as stage 2, and the changes as 3.
        """
        stages: dict[str, set[str]] = {}
        for entry in filter(None, self._text("ls-files", "-u", "-z", "--", ".").split("\0")):
            facts, _, name = entry.partition("\t")
            mode, _, stage = facts.split()
            if mode in _REGULAR:
                stages.setdefault(name, set()).add(stage)
        return {
            name: (self.content(":2", name), self.content(":3", name))
            for name, found in stages.items()
            if found == {"2", "3"}
        }

    def names(self, commit: str) -> dict[str, str]:
        """Return the plain files of the folder, as a commit has them, with their hashes."""
        entries = self._text("ls-tree", "-z", commit, "./").split("\0")
        found: dict[str, str] = {}
        for entry in filter(None, entries):
            facts, _, name = entry.partition("\t")
            mode, _, identity = facts.split()
            if mode in _REGULAR:
                found[name] = identity
        return found

    def content(self, commit: str, name: str) -> bytes:
        """Return a file of a commit as it would stand in the working tree."""
        return self._run("cat-file", "--filters", f"{commit}:./{name}")

    def conflicts(self) -> frozenset[str]:
        """Return the names in the folder that git could not merge."""
        entries = self._text("ls-files", "-u", "-z", "--", ".").split("\0")
        return frozenset(entry.partition("\t")[2] for entry in entries if entry)

    def _has(self, commit: str) -> bool:
        try:
            return bool(self._text("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"))
        except AuthoringError:
            return False

    def _text(self, *arguments: str) -> str:
        return self._run(*arguments).decode("utf-8", "surrogateescape")

    def _run(self, *arguments: str) -> bytes:
        return run("-C", str(self.folder), *arguments)


def find(folder: Path) -> Repository | None:
    """Return the repository that a folder belongs to, None without one or without git."""
    if shutil.which("git") is None:
        return None
    repository = Repository(folder)
    try:
        repository._text("rev-parse", "--git-dir")  # noqa: SLF001 - of this module
    except AuthoringError:
        return None
    return repository


# What a repository of somebody else's may not make git do here.
_CAREFUL = (
    "-c",
    "protocol.allow=never",
    *(
        word
        for name in ("https", "ssh", "file")
        for word in ("-c", f"protocol.{name}.allow=always")
    ),
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "core.fsmonitor=false",
)


def clone(url: str, target: Path) -> None:
    """
    Fetch a repository without a working tree, hooks or submodules.

    Raises:
        AuthoringError: git is not installed, or cannot fetch it.

    """
    run(*_CAREFUL, "clone", "--quiet", "--bare", "--template=", "--", url, str(target))


def resolve(repository: Path, name: str) -> str:
    """
    Return the commit that a name means in a bare repository.

    Raises:
        AuthoringError: it means none.

    """
    found = run(
        *("--git-dir", str(repository), "rev-parse", "--quiet", "--verify", "--end-of-options"),
        f"{name}^{{commit}}",
    )
    return found.decode("ascii").split()[-1]


def blobs(repository: Path, commit: str, folder: str) -> dict[str, bytes]:
    """
    Return the plain files of a folder in a bare repository, by name.

    Raises:
        AuthoringError: git fails.

    """
    place = [] if folder == "." else [f"{folder}/"]
    listing = run("--git-dir", str(repository), "ls-tree", "-z", commit, "--", *place)
    found: dict[str, bytes] = {}
    for entry in filter(None, listing.split(b"\0")):
        facts, _, name = entry.partition(b"\t")
        mode, _, identity = facts.decode("ascii").split()
        if mode in _REGULAR:
            found[name.decode("utf-8", "replace").rpartition("/")[2]] = run(
                "--git-dir", str(repository), "cat-file", "blob", identity
            )
    return found


def tree(repository: Path, commit: str, folder: str) -> dict[str, bytes]:
    """
    Return all files below a folder in a bare repository, by their path below it.

    Raises:
        AuthoringError: git fails, or there is a link or another repository among them.

    """
    place = f"{commit}:" if folder == "." else f"{commit}:{folder}"
    listing = run("--git-dir", str(repository), "ls-tree", "-r", "-z", place)
    found: dict[str, bytes] = {}
    for entry in filter(None, listing.split(b"\0")):
        facts, _, name = entry.partition(b"\t")
        mode, _, identity = facts.decode("ascii").split()
        path = name.decode("utf-8", "replace")
        if mode not in _REGULAR:
            raise AuthoringError(
                f"the template has a link or another repository in it: {shown(path)}",
                hint="only plain files are taken",
            )
        found[path] = run("--git-dir", str(repository), "cat-file", "blob", identity)
    return found


def run(*arguments: str) -> bytes:
    """
    Run git and return what it prints.

    Raises:
        AuthoringError: it is not installed, or failed; its first line is told.

    """
    program = shutil.which("git")
    if program is None:
        raise AuthoringError("git is not installed", hint="install git, then run it again")
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell
            [program, *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise AuthoringError(f"git cannot be run: {error}") from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise AuthoringError(f"git failed: {shown(words[0])}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Return the environment without what a git hook sets, and with messages in English."""
    kept = dict(_kept())
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def _kept() -> Iterator[tuple[str, str]]:
    return ((key, value) for key, value in os.environ.items() if not key.startswith("GIT_"))
