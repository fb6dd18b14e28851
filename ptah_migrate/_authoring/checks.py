"""
What is wrong with a package's revision files, found without a database.

Everything is told at once, each thing with its file: a CI job that stops at the
first problem is run again for the second. A problem that only follows from
another one (a parent in a file that cannot be read) is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ptah_migrate import _history
from ptah_migrate._authoring import headfile, naming
from ptah_migrate.errors import PackagePathError, PtahMigrateError, RevisionFileError
from ptah_migrate.model import Package, Revision
from ptah_migrate.registry import directories

_CONFLICT = re.compile(rb"^(?:<{7}|>{7})(?: .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing wrong with a package's files.

    ``id`` is its entry in the reference; ``path`` the file, or the directory
    when no single file is to blame; ``hint`` what to do.
    """

    id: str
    package: str
    path: Path
    message: str
    hint: str
    line: int | None = None

    def __str__(self) -> str:
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Files:
    """The revision files of a package, as far as they can be read."""

    package: Package
    folder: Path
    revisions: tuple[Revision, ...] = ()
    unreadable: tuple[Path, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    def say(
        self, id_: str, path: Path, message: str, hint: str, *, line: int | None = None
    ) -> None:
        """Add a finding."""
        self.findings.append(Finding(id_, self.package.name, path, message, hint, line))


def check_files(package: Package, *, file_template: str | None = None) -> tuple[Finding, ...]:
    """
    Return every problem of a package's revision files, in the order of the files.

    ``file_template`` says how files must be named; without one a name must only
    show the id. Nothing is written, no database is asked.

    Raises:
        ConfigError: ``file_template`` is none that is known.

    """
    if file_template is not None:
        naming.check_file_template(file_template)
    try:
        paths = _history.candidates(package)
        folder = directories(package)[0]
    except PackagePathError as error:
        return (Finding("directory", package.name, Path(error.path), error.message, error.hint),)
    found = _read(package, folder, paths)
    _check_ids(found)
    _check_file_names(found, paths, file_template)
    _check_markers(found)
    if _check_parents(found):
        _check_shape(found)
        _check_head_file(found, file_template or naming.PLAIN)
    order = {path: number for number, path in enumerate(paths)}
    return tuple(
        sorted(found.findings, key=lambda one: (order.get(one.path, len(order)), one.line or 0))
    )


# -- one file ------------------------------------------------------------------------


def _read(package: Package, folder: Path, paths: Iterable[Path]) -> _Files:
    revisions: list[Revision] = []
    unreadable: list[Path] = []
    problems: list[Finding] = []
    for path in paths:
        problem = _conflict(package, path)
        try:
            if problem is None and (revision := _history.parse(path, package.name)) is not None:
                revisions.append(revision)
        except RevisionFileError as error:
            id_ = "syntax" if error.problem.startswith("syntax error") else "unreadable"
            problem = Finding(id_, package.name, path, error.problem, error.hint, error.line)
        if problem is not None:
            unreadable.append(path)
            problems.append(problem)
    return _Files(package, folder, tuple(revisions), tuple(unreadable), problems)


def _conflict(package: Package, path: Path) -> Finding | None:
    """Return the finding for a file in the middle of a merge, which may still parse."""
    try:
        data = path.read_bytes()
    except OSError:
        return None  # parsing says so
    marker = _CONFLICT.search(data)
    if marker is None:
        return None
    return Finding(
        "conflict-markers",
        package.name,
        path,
        "has conflict markers",
        f"two people made it? ptah-migrate rebase {package.name}; otherwise resolve it in git",
        data.count(b"\n", 0, marker.start()) + 1,
    )


def _check_markers(found: _Files) -> None:
    for revision in found.revisions:
        line = _marked_line(revision.path)
        if line:
            found.say(
                "not-written",
                revision.path,
                f"revision '{revision.id}' is not written yet",
                f"write it, then remove each '{_history.NOT_WRITTEN}'",
                line=line,
            )


def _marked_line(path: Path) -> int:
    """Return the line of the first mark of a revision nobody wrote; 0 when there is none."""
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    if not _history.unwritten(text):
        return 0
    lines = text.split("\n")
    return next(n for n, line in enumerate(lines, 1) if _history.unwritten(line))


# -- names ---------------------------------------------------------------------------


def _check_ids(found: _Files) -> None:
    first: dict[str, Revision] = {}
    for revision in found.revisions:
        other = first.setdefault(revision.id.lower(), revision)
        if other is revision:
            continue
        if other.id == revision.id:
            found.say(
                "duplicate-id",
                revision.path,
                f"revision '{revision.id}' is also in {other.path.name}",
                f"renumber yours: ptah-migrate rebase {found.package.name} --mine FILE",
            )
        else:
            found.say(
                "case-collision",
                revision.path,
                f"revision '{revision.id}' differs from '{other.id}' ({other.path.name}) "
                "only in upper and lower case",
                "give one of them another id",
            )


def _check_file_names(found: _Files, paths: Iterable[Path], template: str | None) -> None:
    for revision in found.revisions:
        stem = revision.path.stem
        if not _is_named(stem, revision.id, template):
            found.say(
                "file-name",
                revision.path,
                f"the file holds revision '{revision.id}'",
                f"rename it to {revision.id}.py, or correct the id",
            )
    first: dict[Path, Path] = {}
    for path in paths:
        other = first.setdefault(path.with_name(path.name.lower()), path)
        if other is not path:
            found.say(
                "case-collision",
                path,
                f"the name differs from {other.name} only in upper and lower case",
                "rename one of them",
            )


def _is_named(stem: str, revision: str, template: str | None) -> bool:
    if template is None:
        return naming.carries(stem, revision)
    if template == naming.SLUGGED and stem.startswith(f"{revision}_"):
        return True
    return stem == revision


# -- the history ---------------------------------------------------------------------


def _check_parents(found: _Files) -> bool:
    """Say which parents are missing; return whether the shape of the history can be judged."""
    known = {name for one in found.revisions for name in (one.id, *one.labels)}
    sound = not found.unreadable
    for revision in found.revisions:
        for parent in revision.parents:
            if parent in known:
                continue
            sound = False
            if not any(naming.carries(path.stem, parent) for path in found.unreadable):
                found.say(
                    "missing-parent",
                    revision.path,
                    f"revision '{revision.id}' follows '{parent}', which is not there",
                    "restore the file of that revision, or correct down_revision",
                )
    return sound


def _check_shape(found: _Files) -> None:
    unique = {revision.id: revision for revision in found.revisions}
    if not found.package.branches:
        followed = {parent for one in found.revisions for parent in one.down}
        _check_single(found, "heads", [one for one in unique.values() if one.id not in followed])
        _check_single(found, "roots", [one for one in unique.values() if not one.down])
    try:
        _history.History(found.package.name, unique, branches=found.package.branches)
    except PtahMigrateError as error:
        found.say("history", found.folder, error.message, error.hint)


_WAYS_OUT = {
    "heads": "join them: ptah-migrate merge {0}, or put yours last: ptah-migrate rebase {0}",
    "roots": "give all but one a down_revision, or register {0} with branches=True",
}


def _check_single(found: _Files, what: str, revisions: Collection[Revision]) -> None:
    if len(revisions) > 1:
        shown = ", ".join(f"{one.id} ({one.path.name})" for one in revisions)
        found.say(
            f"several-{what}",
            found.folder,
            f"the history has {len(revisions)} {what}: {shown}",
            _WAYS_OUT[what].format(found.package.name),
        )


def _check_head_file(found: _Files, template: str) -> None:
    if not found.revisions or not headfile.wanted(found.folder, template):
        return
    path = found.folder / headfile.NAME
    followed = Counter(parent for one in found.revisions for parent in one.down)
    heads = [one.path.stem for one in found.revisions if not followed[one.id]]
    try:
        lines = path.read_bytes().split()
    except OSError:
        lines = []
    if lines != headfile.content(heads).split():
        found.say(
            "head-file",
            path,
            f"does not name the newest revision, {', '.join(sorted(heads))}",
            "write just that into it, or let the next ptah-migrate revision do so",
        )
