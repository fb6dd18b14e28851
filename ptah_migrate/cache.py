"""
Small files in the user's cache directory: what was read, and the stamps it had.

All of it may be lost, stale or somebody else's at any time. A file that is not
ours, not whole, or not of this version counts as missing; one that cannot be
written is not written. Nothing here raises, and nothing waits for a lock.
"""

from __future__ import annotations

import json
import marshal
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any
from zlib import crc32

from ptah_migrate import __version__

VARIABLE = "PTAH_MIGRATE_CACHE"
OFF = frozenset({"off", "no", "false", "0"})

# Rises with every change of what is stored, or of how it is read from its source.
FORMAT = 3
_WRITER = f"ptah-migrate {__version__} {FORMAT} {sys.version_info[0]}.{sys.version_info[1]}"

# Two changes within the clock tick of a file system look like one. What was
# changed this short a time ago is not stored: FAT counts in two seconds.
SETTLED = 2_000_000_000

# Files that may lie there, and how often that is looked at: each so many files written.
MOST = 10_000
LOOKS = 64
_OURS = re.compile(r"[a-z]+-[0-9a-f]{32}\.json(?:\Z|\.[0-9]+-[0-9a-f]+\Z)")

Stamp = Sequence[int]

clock = time.time_ns


def folder() -> str:
    """Return where the files lie, empty where they are switched off or no place is known."""
    said = os.environ.get(VARIABLE, "")
    if said:
        return "" if said.lower() in OFF else os.path.abspath(said)  # noqa: PTH100 - hot
    with suppress(OSError, RuntimeError, KeyError):
        return _of_user()
    return ""


def _of_user() -> str:
    if not sys.platform.startswith("linux") or "ANDROID_ROOT" in os.environ:
        import platformdirs

        return platformdirs.user_cache_dir("ptah-migrate", appauthor=False)
    # What platformdirs says here too; it takes 6 ms to load, of 30 that a command may take.
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117 - hot
        base = os.path.expanduser("~/.cache")  # noqa: PTH111 - hot
    return os.path.join(base, "ptah-migrate") if os.path.isabs(base) else ""  # noqa: PTH117, PTH118


def load(kind: str, key: str) -> Any:
    """Return what was stored under a key, None where there is nothing to rely on."""
    place = folder()
    if not place:
        return None
    try:
        with open(_path(place, kind, key), "rb", opener=_unfollowed) as file:
            if not _ours(os.fstat(file.fileno())):
                return None
            head, _, body = file.read().partition(b"\n")
        writer, sum_, made = head.decode().rsplit(" ", 2)
        if writer != _WRITER or int(sum_) != crc32(body) or int(made) > clock():
            return None
        found = json.loads(body)
    except (OSError, ValueError, RecursionError):
        return None
    return found["value"] if isinstance(found, dict) and found.get("key") == key else None


def store(kind: str, key: str, value: Any) -> None:
    """Store a JSON value under a key, whole or not at all."""
    place = folder()
    if not place:
        return
    body = json.dumps({"key": key, "value": value}, separators=(",", ":")).encode()
    path = _path(place, kind, key)
    part = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)  # noqa: PTH103 - hot
        with open(part, "xb", opener=_private) as file:
            file.write(f"{_WRITER} {crc32(body)} {clock()}\n".encode() + body)
        os.replace(part, path)  # noqa: PTH105 - hot
    except OSError:
        with suppress(OSError):
            os.unlink(part)  # noqa: PTH108 - hot
        return
    with suppress(OSError):
        _tidy(place)


def _tidy(place: str) -> None:
    """Remove the older half of the files where there are too many: packages come and go."""
    if os.urandom(1)[0] % LOOKS:
        return
    with os.scandir(place) as entries:
        found = sorted(
            (one.stat().st_mtime_ns, one.path) for one in entries if _OURS.match(one.name)
        )
    for _, path in found[: len(found) // 2] if len(found) > MOST else ():
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - hot


def _path(place: str, kind: str, key: str) -> str:
    name = f"{kind}-{sha256(key.encode(errors='surrogatepass')).hexdigest()[:32]}.json"
    return os.path.join(place, name)  # noqa: PTH118 - hot


def _unfollowed(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ours(found: os.stat_result) -> bool:
    """Return whether nobody else can have written a file."""
    if not stat.S_ISREG(found.st_mode):
        return False
    return not hasattr(os, "geteuid") or (
        found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


# -- stamps ----------------------------------------------------------------------------


def stamp(path: str) -> list[int]:
    """
    Return what changes with a file or a folder: its inode, its size, its times.

    Whoever edits a file in place can put its time back, but not the time of
    that change (``ctime``). A path that is not there has an empty stamp.
    """
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116 - hot
    except (OSError, ValueError):
        return []


def stamp_of(found: os.stat_result) -> list[int]:
    """Return the stamp of what was looked at."""
    size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    return [found.st_ino, size, found.st_mtime_ns, found.st_ctime_ns]


def stamped(paths: Iterable[str]) -> list[list[Any]]:
    """Return each path with its stamp."""
    return [[path, stamp(path)] for path in paths]


def unchanged(stamps: Iterable[Sequence[Any]]) -> bool:
    """Return whether every path still has its stamp."""
    for path, was in stamps:  # noqa: SIM110 - hot
        if stamp(path) != was:
            return False
    return True


def digest(stamps: Iterable[Stamp]) -> str:
    """Return what changes with any of many stamps; other Pythons may return something else."""
    return sha256(marshal.dumps([*stamps], 2)).hexdigest()


def settled(stamps: Iterable[Stamp], now: int) -> bool:
    """Return whether the last change is so long ago that the next one would show."""
    limit = now - SETTLED
    return all(not was or (was[2] < limit and was[3] < limit) for was in stamps)


def search_path() -> list[list[Any]]:
    """Return what Python finds modules by: the finders, and each folder with its names."""
    finders = [getattr(one, "__name__", type(one).__name__) for one in sys.meta_path]
    places = dict.fromkeys(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - hot
    return [["", finders], *([place, _digest(place)] for place in places)]


class SearchPath:
    """
    What Python finds modules by now, beside what it was.

    Python puts the folder that it is started in, or the script's, in front: that
    is another one each time, and has nothing to do with the packages in the others.
    """

    def __init__(self, was: Sequence[Any]) -> None:
        now = search_path()
        self._same = now == was
        self._left: list[str] = []
        self._new: set[str] = set()
        if not self._same and now[0] == was[0]:
            self._compare(was[1:], now[1:])

    def _compare(self, was: Sequence[Any], now: Sequence[Any]) -> None:
        """Keep the places that are the same, in the same order, and the names in new ones."""
        left = [one for one in now if one in was]
        names = [_names(place) for place, digest in now if [place, digest] not in left]
        if left == [one for one in was if one in left] and None not in names:
            self._left = [place for place, _ in left]
            self._new = {name.partition(".")[0].lower() for some in names for name in some or ()}

    def finds(self, module: str, folder: str) -> bool:
        """Return whether a module that was found in ``folder``, or around it, surely still is."""
        if self._same:
            return True
        top = module.partition(".")[0]
        return top.lower() not in self._new and any(
            f"{folder}{os.sep}".startswith(f"{place}{os.sep}{top}{os.sep}") for place in self._left
        )


def distributions() -> list[str]:
    """Return the metadata of every distribution on Python's search path, and its entry points."""
    found: list[str] = []
    for path in sys.path:
        folder = path or os.getcwd()  # noqa: PTH109 - hot
        with suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208 - hot
                if name.endswith("-info"):
                    place = f"{folder}{os.sep}{name}"
                    found += (place, f"{place}{os.sep}entry_points.txt")
    return found


def _names(path: str) -> list[str] | None:
    """Return the names in a folder that can be modules or distributions; None of an archive."""
    try:
        names = os.listdir(path)  # noqa: PTH208 - hot
    except OSError:
        return None if os.path.isfile(path) else []  # noqa: PTH113 - hot
    ends = (".py", ".pyc", ".so", ".pyd", ".pth", "-info", ".egg", "-link")
    return sorted(name for name in names if "." not in name or name.endswith(ends))


def _digest(path: str) -> str:
    names = _names(path)
    if names is None:
        return repr(stamp(path))
    return sha256("\0".join(names).encode(errors="surrogatepass")).hexdigest()[:16]
