"""One writer at a time in a directory of revisions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptah_migrate.errors import AuthoringError

if sys.platform != "win32":
    import fcntl

WAIT = 10.0
_PAUSE = 0.02


@contextmanager
def alone(folder: Path, *, wait: float = WAIT) -> Iterator[None]:
    """
    Keep other writers out of a folder; the system lets them in when this process dies.

    It saves them from writing the same number. Where a folder cannot be locked
    (Windows, some network shares) the block runs all the same: no file is ever
    overwritten, so there one of two writers is refused instead of waiting.

    Raises:
        AuthoringError: another writer is not done after ``wait`` seconds.

    """
    descriptor = _opened(folder)
    try:
        if descriptor is not None:
            _lock(descriptor, folder, time.monotonic() + wait)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None  # creating a file exclusively is all there is
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:
        return None  # whoever writes there will say so


def _lock(descriptor: int, folder: Path, until: float) -> None:
    while not _locked(descriptor):
        if time.monotonic() > until:
            raise AuthoringError(
                f"another process is writing in '{folder}'",
                hint="wait for it, then run the same command again",
            )
        time.sleep(_PAUSE)


def _locked(descriptor: int) -> bool:
    """Return whether there is nothing to wait for (any more)."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks
    return True
