"""
Where the template of a package is: with ptah-migrate, in a folder, or in a git repository.

The files of somebody else's template are read into memory, links refused, and
nothing of a repository is checked out. What the state file remembers of it names
no place of the machine: a folder only where it lies in the project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ptah_migrate._authoring import git, sources
from ptah_migrate._authoring.naming import shown
from ptah_migrate.errors import AuthoringError

BUILTIN = "builtin:package"
_FOLDER = "path:"  # before a folder in the state file; alone: one outside of the project
_CALLED = "the template"
_HINT = "name a folder, or git+https://example.org/templates.git@v1#folder"
_NOT_OURS = frozenset({".git", "__pycache__"})
_FILES, _BYTES = 5_000, 50_000_000  # more is no template, but somebody's home directory


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The files of a template, by path below it; none for ours.

    ``name`` is what the state file calls it, ``commit`` where git had it.
    """

    name: str = BUILTIN
    commit: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


class Fetcher:
    """Takes templates out of repositories, each repository fetched once."""

    def __init__(self, scraps: ExitStack) -> None:
        self._scraps = scraps
        self._clones: dict[str, Path] = {}

    def fetch(self, name: str, commit: str = "") -> Origin:
        """
        Return a template as ``git+URL[@REF][#FOLDER]`` has it now, or at a commit.

        Raises:
            ConfigError: the name is not one, or not safe.
            AuthoringError: it cannot be fetched, or has no such commit or folder.

        """
        source = sources.parse(name, _CALLED)
        if source.url not in self._clones:
            folder = self._scraps.enter_context(TemporaryDirectory(prefix="ptah-migrate-"))
            target = Path(folder, "template.git")
            git.clone(source.url, target)
            self._clones[source.url] = target
        clone = self._clones[source.url]
        found = sources.commit_of(clone, commit or source.ref)
        if not found:
            raise AuthoringError(f"{source.url} has no '{commit or source.ref}'", hint=_HINT)
        try:
            files = git.tree(clone, found, source.folder)
        except AuthoringError as error:
            if "git failed" not in error.message:
                raise
            raise AuthoringError(
                f"{source.url} has no folder {shown(source.folder)} at commit {found[:12]}",
                hint=_HINT,
            ) from error
        return Origin(name, found, _checked(files, name))


@contextmanager
def fetcher() -> Iterator[Fetcher]:
    """Give what fetches templates; nothing of theirs stays behind."""
    with ExitStack() as scraps:
        yield Fetcher(scraps)


# -- which -------------------------------------------------------------------------


def resolve(spec: str, root: Path, fetch: Fetcher, commit: str = "") -> Origin:
    """
    Return the template that a person or a setting names; ``root`` is the project.

    Raises:
        ConfigError, AuthoringError: it is not there, or not safe to take.

    """
    if spec == BUILTIN:
        return Origin()
    if sources.is_git(spec):
        return fetch.fetch(spec, commit)
    folder = Path(spec).expanduser()
    if not folder.is_dir():
        raise AuthoringError(f"there is no template {shown(spec)}: it is no folder", hint=_HINT)
    return Origin(_recorded_name(folder, root), "", _checked(_read(folder), spec))


def recalled(name: str, root: Path, fetch: Fetcher, commit: str = "") -> Origin:
    """
    Return the template that a state file names; see ``resolve``.

    Raises:
        ConfigError, AuthoringError: it is not there, or not safe to take.

    """
    if not name.startswith(_FOLDER):
        if name != BUILTIN and not sources.is_git(name):
            raise AuthoringError(f"the state file names an unknown template {shown(name)}")
        return resolve(name, root, fetch, commit)
    place = PurePosixPath(name.removeprefix(_FOLDER))
    if not place.parts or place.is_absolute() or ".." in place.parts:
        raise AuthoringError(
            "the template is a folder outside of the project, so where is not remembered",
            hint="name it again: --template FOLDER",
        )
    folder = root / place
    if not folder.resolve().is_relative_to(root.resolve()):
        raise AuthoringError(
            f"the template {shown(str(folder))} leads out of the project",
            hint="name it again: --template FOLDER",
        )
    return resolve(str(folder), root, fetch)


def is_elsewhere(name: str) -> bool:
    """Return whether a state file cannot say where the template is."""
    return name == _FOLDER


def same(spec: str, name: str, root: Path) -> bool:
    """Return whether what a person names is what the state file names."""
    if spec == BUILTIN or sources.is_git(spec):
        return spec == name
    return _recorded_name(Path(spec).expanduser(), root) == name


def _recorded_name(folder: Path, root: Path) -> str:
    real = folder.resolve()
    return _FOLDER + (
        real.relative_to(root.resolve()).as_posix() if real.is_relative_to(root.resolve()) else ""
    )


# -- reading -----------------------------------------------------------------------


def _read(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, as they are now, committed or not."""
    found: dict[str, bytes] = {}
    size = 0
    for path, name in _walk(folder):
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise AuthoringError(f"template '{path}' cannot be read: {error.strerror}") from error
        size += len(found[name])
        if len(found) > _FILES or size > _BYTES:
            raise AuthoringError(
                f"'{folder}' is no template: it has more than {_FILES} files, or 50 MB",
                hint="name the folder of the template itself",
            )
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(set(folders) - _NOT_OURS)
        here = Path(place)
        for name in (*folders, *sorted(names)):
            path = here / name
            if path.is_symlink():
                raise AuthoringError(
                    f"the template has a link in it: {shown(str(path))}",
                    hint="only plain files are taken",
                )
            if path.is_file() and name not in _NOT_OURS:
                yield path, path.relative_to(folder).as_posix()


def _unreadable(error: OSError) -> None:
    raise AuthoringError(f"template '{error.filename}' cannot be read: {error.strerror}") from error


def _checked(files: dict[str, bytes], called: str) -> dict[str, bytes]:
    """Refuse a template without files, or with names that lead somewhere else."""
    if not files:
        raise AuthoringError(f"there is nothing in template {shown(called)}", hint=_HINT)
    for name in files:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or ".git" in map(str.lower, parts) or "\0" in name:
            raise AuthoringError(f"the template has an unusable name in it: {shown(name)}")
    return files
