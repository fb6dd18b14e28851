"""
Find again what was generated once: the base of a three-way merge.

A text counts only if it has the recorded hash, wherever it was found.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from ptah_migrate._authoring.blueprint import Blueprint
from ptah_migrate._authoring.state import Record, digest, lf
from ptah_migrate.errors import AuthoringError, ConfigError

_COMMITS = 1000  # that are looked through for one file
_SECONDS = 30


class Bases:
    """The files of a project as they were generated, found when they are asked for."""

    def __init__(self, root: Path, record: Record, earlier: Callable[[], Blueprint | None]) -> None:
        """Take what returns the earlier template, where that is to be had."""
        self._root = root
        self._record = record
        self._earlier = earlier

    def find(self, name: str) -> bytes | None:
        """Return a file as it was generated, or None when that is not to be found."""
        wanted = self._record.files.get(name)
        for candidate in self._candidates(name):
            if digest(candidate) == wanted:
                return lf(candidate)
        return None

    def _candidates(self, name: str) -> Iterator[bytes]:
        """Yield texts that may be it: of the earlier template, then of the project's git."""
        if name in self._rendered:
            yield self._rendered[name]
        yield from committed(self._root, name)

    @cached_property
    def _rendered(self) -> Mapping[str, bytes]:
        with suppress(AuthoringError, ConfigError):  # there is another place to look
            earlier = self._earlier()
            if earlier is not None:
                return earlier.render(self._record.answers).files
        return {}


def committed(root: Path, name: str) -> Iterator[bytes]:
    """Yield a file's contents in the history of the project's git, newest first; if it has one."""
    commits = _git(root, "rev-list", f"--max-count={_COMMITS}", "HEAD", "--", name)
    for commit in (commits or b"").decode("ascii", "replace").split():
        content = _git(root, "cat-file", "blob", f"{commit}:./{name}")
        if content is not None:
            yield content


def _git(root: Path, *words: str) -> bytes | None:
    """Return what a reading git command prints, or None when it fails or there is no git."""
    # A hook's variables name another repository, or another work tree, than this folder's.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, fixed words, a path of our own record
            ["git", *words],  # noqa: S607 - git is where the person has it
            cwd=root,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
