"""
Where templates of somebody's own come from: a package, a folder, a git repository.

Of a repository only plain files are read, out of its objects: nothing is
checked out, so no link is followed and no hook or filter runs. The commit that
was taken is written down beside the revisions and taken again from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ptah_migrate._authoring import files, git
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.naming import shown
from ptah_migrate._authoring.templates import Templates, texts_of
from ptah_migrate.errors import AuthoringError, ConfigError

LOCK = "templates.lock"
_FORM = "git+https://example.org/templates.git@v1#folder"
_GIT = re.compile(
    r"git\+(?P<url>(?:https|ssh|file)://[^\s@#]*(?:@[^\s@#/]+/[^\s@#]*)?)"
    r"(?:@(?P<ref>[A-Za-z0-9_][A-Za-z0-9_./-]*))?(?:#(?P<folder>[^\s#]+))?\Z"
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True)
class GitSource:
    """A folder of a repository at some point of its history."""

    spec: str
    url: str
    ref: str
    folder: str


@dataclass(frozen=True, slots=True)
class Found:
    """Templates of somebody's own, first ones first, and the commit that some came from."""

    own: tuple[Templates, ...] = ()
    commit: str = ""


def check_source(source: str, called: str = "the setting templates") -> None:
    """
    Accept the name of a folder, or of a repository that is safe to take templates from.

    Raises:
        ConfigError: it is a repository that is reached in an unsafe way, or
            the folder named in it leads out of it.

    """
    if is_git(source):
        parse(source, called)


def find(folder: Path, source: str) -> Found:
    """
    Return the templates that a package, and then the application, put before ours.

    ``folder`` is the first one of the package's revisions. ``source`` is an
    absolute folder, ``git+URL[@REF][#FOLDER]``, or nothing.

    Raises:
        AuthoringError: they cannot be read or fetched.
        ConfigError: ``source`` is not safe, or no folder.

    """
    beside = texts_of(folder)
    own = (Templates(str(folder), beside),) if beside else ()
    if not source:
        return Found(own)
    if is_git(source):
        templates, commit = _fetched(parse(source), _locked(folder, source))
        return Found((*own, templates), commit)
    if not Path(source).is_dir():
        raise ConfigError(
            f"the setting templates is {shown(source)}, which is no folder",
            hint=f"name a folder with revision.py.jinja, or {_FORM}",
        )
    return Found((*own, Templates(source, texts_of(Path(source)))))


# -- git -----------------------------------------------------------------------------


def is_git(source: str) -> bool:
    """Return whether a source is meant to be fetched, safely or not."""
    return source.startswith("git+") or "::" in source or "://" in source


def parse(source: str, called: str = "the setting templates") -> GitSource:
    """
    Return what ``git+URL[@REF][#FOLDER]`` says; ``called`` is where it was read.

    Raises:
        ConfigError: another protocol than https, ssh or file, a password in it,
            or a folder that is not below the repository.

    """
    match = _GIT.match(source)
    if match is None:
        raise ConfigError(
            f"{called} is {shown(source)}, which is not fetched",
            hint=f"https, ssh or file, and no password in it: {_FORM}",
        )
    user, at, _ = match["url"].partition("://")[2].partition("@")
    if at and (":" in user or match["url"].startswith("https")):
        raise ConfigError(
            f"{called} has a password or a user in its URL",
            hint="leave it to git's credential helper",
        )
    folder = PurePosixPath(match["folder"] or ".")
    if folder.is_absolute() or ".." in folder.parts or "\\" in str(folder):
        raise ConfigError(
            f"{called} leads to {shown(str(folder))}, out of the repository",
            hint=f"a folder below it: {_FORM}",
        )
    return GitSource(source, match["url"], match["ref"] or "HEAD", str(folder))


def _fetched(source: GitSource, locked: str) -> tuple[Templates, str]:
    """Return the templates at the locked commit, else at the named place, and the commit."""
    with TemporaryDirectory() as scratch:
        target = Path(scratch, "templates.git")
        git.clone(source.url, target)
        commit = commit_of(target, locked or source.ref)
        if not commit:
            raise AuthoringError(
                f"{source.url} has no '{locked or source.ref}'",
                hint=f"correct the setting templates, or remove {LOCK}",
            )
        texts = {}
        for name, content in git.blobs(target, commit, source.folder).items():
            if name.endswith(".jinja"):
                texts[name] = content.decode("utf-8", "replace")
    if not texts:
        raise AuthoringError(
            f"{source.spec} has no templates at commit {commit[:12]}",
            hint="a plain file revision.py.jinja is looked for; links are not followed",
        )
    return Templates(f"git+{source.url}@{commit}", texts), commit


def commit_of(repository: Path, ref: str) -> str:
    """Return the commit that a word means in a bare repository, or nothing."""
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        try:
            return git.resolve(repository, name)
        except AuthoringError:
            continue
    return ""


def _locked(folder: Path, source: str) -> str:
    """Return the commit that was taken from this source before, or nothing."""
    content = (files.read(folder / LOCK) or b"").decode("utf-8", "replace").split()
    if len(content) == 2 and content[0] == source and _COMMIT.match(content[1]):
        return content[1]
    return ""


def lock(folder: Path, source: str, commit: str) -> FileChange:
    """Return what writes down which commit the templates came from."""
    path, content = folder / LOCK, f"{source} {commit}\n".encode()
    before = files.read(path)
    status = "create" if before is None else "identical" if before == content else "edit"
    return FileChange(status, path, content, before)
