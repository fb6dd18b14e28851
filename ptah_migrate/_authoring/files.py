"""
Write files so that each is there whole or not at all.

A new file never replaces one that exists, whoever else is writing at the same
moment. Several files are changed together or not at all.
"""

from __future__ import annotations

import glob
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate.errors import AuthoringError

_NOTHING = "nothing was changed"


# What is done to a file; a conflict too, where it has another content.
WRITING = frozenset({"create", "edit", "merge", "remove"})


@dataclass(frozen=True, slots=True)
class FileChange:
    """
    One file of a plan, and what will happen to it.

    ``create``: not there yet. ``identical``: already so. ``edit``: ours, or a
    verified insertion into somebody's file. ``merge``: both sides changed it.
    ``remove``: ours, and no longer wanted. ``skip``, ``keep``: the author's
    version stays, though something else was generated, or nothing.
    ``conflict``: two versions that a person must make one. ``note`` says why.

    ``content`` is what the file will hold, ``before`` what a file to change
    held when the plan was made.
    """

    status: str
    path: Path
    content: bytes
    before: bytes | None = None
    note: str = ""


# -- one file --------------------------------------------------------------------


def create(path: Path, content: bytes) -> None:
    """
    Make a new file; of several makers at once exactly one succeeds.

    Raises:
        FileExistsError: something of that name is there; it is left as it is.
        OSError: it cannot be written; nothing is left behind.

    """
    with _temporary(path.parent, content) as temporary:
        _publish(temporary, path)
    _settle(path.parent)


@contextmanager
def _temporary(folder: Path, content: bytes, mode: int | None = None) -> Iterator[Path]:
    """Give a hidden file with this content, safely on disk; remove it afterwards if still there."""
    # O_CREAT applies the umask, which tempfile's private files do not.
    path = folder / f".ptah-migrate-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            path.chmod(mode)
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


_BINARY = getattr(os, "O_BINARY", 0)


def _publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has links: FAT, some network shares
        _claim(temporary, path)


def _claim(temporary: Path, path: Path) -> None:
    """Do as ``_publish`` where there are no hard links: take the name, then fill it at once."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink()
        raise


def _settle(folder: Path) -> None:
    """Ask the system to keep the new name even if the power fails; where it can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- several files -----------------------------------------------------------------


def apply(
    root: Path,
    changes: Sequence[FileChange],
    *,
    marked: bool = False,
    folders: Sequence[Path] = (),
) -> None:
    """
    Create, change and remove what the changes say, all of it or nothing.

    Everything is written beside its place first, then named, so that a full
    disk is noticed while nothing has changed yet. A failure later puts back
    what was changed and removes what was made, new folders too.

    Args:
        root: where all of it must lie.
        changes: what to do.
        marked: conflicts carry markers and are written too.
        folders: removed at the end, where nothing is left in them.

    Raises:
        AuthoringError: a change is a conflict, a path leads out of ``root``, a
            file is not as it was when the plan was made, or writing failed.

    """
    if not marked:
        _refuse_conflicts(root, changes)
    pending = [change for change in changes if writes(change)]
    for change in pending:
        inside(root, change.path)
        _refuse_stale(change)
    try:
        _write(pending)
    except OSError as error:
        raise cannot("write", error, pending[0].path) from error
    for folder in sorted(folders, reverse=True):  # those inside come first
        _remove_if_empty(folder)


def writes(change: FileChange) -> bool:
    """Return whether a change does something to its file."""
    return change.status in WRITING or (
        change.status == "conflict" and change.content != change.before
    )


def _write(changes: Sequence[FileChange]) -> None:
    with ExitStack() as folders, ExitStack() as scraps:
        staged = []
        for change in changes:
            _make_folders(change.path.parent, folders)
            staged.append((change, *_stage(change, scraps)))
        done: list[tuple[Path, Path | None]] = []
        try:
            for change, temporary, backup in staged:
                _commit(change, temporary)
                done.append((change.path, backup))
        except BaseException:
            _put_back(done)
            raise
        folders.pop_all()
    for change in changes:
        if change.status == "remove":
            _forget(change.path)
    for folder in {change.path.parent for change in changes}:
        _settle(folder)


def _commit(change: FileChange, temporary: Path) -> None:
    if change.status == "remove":
        change.path.unlink()
    elif change.before is None:
        _publish(temporary, change.path)
    else:
        temporary.replace(change.path)


def _forget(path: Path) -> None:
    """Remove what Python compiled of a module that is gone, and its folder if that was all."""
    compiled = path.parent / "__pycache__"
    with suppress(OSError):
        for file in compiled.glob(f"{glob.escape(path.stem)}.*.pyc"):
            file.unlink()
        compiled.rmdir()


def _put_back(done: Sequence[tuple[Path, Path | None]]) -> None:
    """Undo what was done, newest first, as far as the system lets us."""
    left = []
    for path, backup in reversed(done):
        try:
            path.unlink() if backup is None else backup.replace(path)
        except OSError:
            left.append(str(path))
    if left:
        raise AuthoringError(
            f"writing failed, and these files could not be put back: {', '.join(left)}",
            hint="look at them: they are complete, but belong to a change that was given up",
        )


def _make_folders(folder: Path, undo: ExitStack) -> None:
    """Make a folder and those above it; each one made is removed again if empty at the end."""
    if not folder.is_dir():
        _make_folders(folder.parent, undo)
        folder.mkdir()
        undo.callback(_remove_if_empty, folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _stage(change: FileChange, scraps: ExitStack) -> tuple[Path, Path | None]:
    """Write the new content, and a copy of the old one, beside a file's place."""
    folder, before = change.path.parent, change.before
    if before is None:
        return scraps.enter_context(_temporary(folder, change.content)), None
    mode = stat.S_IMODE(change.path.stat().st_mode)
    return (
        scraps.enter_context(_temporary(folder, change.content, mode)),
        scraps.enter_context(_temporary(folder, before, mode)),
    )


def _refuse_conflicts(root: Path, changes: Sequence[FileChange]) -> None:
    names = [relative(root, change.path) for change in changes if change.status == "conflict"]
    if names:
        raise AuthoringError(
            f"these files exist and differ from what would be made: {', '.join(names)}",
            hint=f"{_NOTHING}; --skip keeps them, --force replaces them and keeps yours as *.orig",
        )


def _refuse_stale(change: FileChange) -> None:
    if read(change.path) != change.before:
        raise AuthoringError(
            f"'{change.path}' was changed by somebody else meanwhile",
            hint=f"{_NOTHING}; run the same command again",
        )


# -- paths -----------------------------------------------------------------------


def inside(root: Path, path: Path) -> Path:
    """
    Return the path of a file to write, its symbolic links followed.

    Raises:
        AuthoringError: it is not below ``root``, is below a ``.git``, leads
            through a file or out by a symbolic link, or is a folder.

    """
    try:
        home = root.resolve()
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise AuthoringError(f"'{path}' cannot be followed: {error}", hint=_NOTHING) from error
    if ".." in path.parts or not path.is_relative_to(root) or not real.is_relative_to(home):
        raise _refused(path, f"is not inside '{root}'")
    parts = (*path.relative_to(root).parts, *real.relative_to(home).parts)
    if any(_is_git(part) for part in parts):
        raise _refused(path, "belongs to git")
    if real.is_dir():
        raise _refused(path, "is a folder")
    blocked = next((p for p in real.parents if p.exists() and not p.is_dir()), None)
    if blocked is not None:
        raise _refused(path, f"cannot be made: '{blocked}' is not a folder")
    return real


def _is_git(part: str) -> bool:
    """Return whether a name is git's folder on some file system: NTFS and HFS+ ignore a lot."""
    visible = "".join(char for char in part if unicodedata.category(char) != "Cf")
    return visible.partition(":")[0].rstrip(". ").lower() in (".git", "git~1")


def _refused(path: Path, why: str) -> AuthoringError:
    return AuthoringError(f"'{path}' {why}", hint=_NOTHING)


def read(path: Path) -> bytes | None:
    """
    Return what a file holds, or None when it is not there.

    Raises:
        AuthoringError: it is there and cannot be read.

    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot("read", error, path) from error


def relative(root: Path, path: Path) -> str:
    """Return a path for people and for files that travel: below ``root``, with slashes."""
    return path.relative_to(root).as_posix()


def cannot(verb: str, error: OSError, path: Path) -> AuthoringError:
    """Return an operating system's refusal as an error of ours."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return AuthoringError(f"cannot {verb} '{error.filename or path}': {reason}", hint=_NOTHING)
