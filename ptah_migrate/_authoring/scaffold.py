"""
The versions of the package template: today's, and those that made older projects.

``history/versions.json`` names every version with a digest of its files; the
highest is today's, in ``package``. The others are in ``history/package/N``, so
that an update finds again what it once generated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate._authoring import templates
from ptah_migrate._authoring.state import lf
from ptah_migrate.errors import AuthoringError

VERSIONS = "versions.json"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """Today's template, the folder of the others, and every version with its digest."""

    package: Path
    history: Path
    versions: Mapping[int, str]

    @property
    def version(self) -> int:
        """The version of today's template."""
        return max(self.versions)

    def folder(self, version: int) -> Path | None:
        """Return the template of a version, or None when it is not at hand."""
        if version == self.version:
            return self.package
        folder = self.history / "package" / str(version)
        return folder if folder.is_dir() else None


@contextmanager
def opened(given: Scaffold | None = None) -> Iterator[Scaffold]:
    """Give the templates that came with ptah-migrate, or those that are given."""
    if given is not None:
        yield given
        return
    with templates.directory("package") as package, templates.directory("history") as history:
        yield load(package, history)


def load(package: Path, history: Path) -> Scaffold:
    """
    Return the template in a folder, with its history in another.

    Raises:
        AuthoringError: the list of versions is missing or is none.

    """
    try:
        document = json.loads((history / VERSIONS).read_bytes())
        versions = {int(version): str(digest) for version, digest in document["package"].items()}
        return Scaffold(package, history, versions or _none())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuthoringError(
            f"'{history / VERSIONS}' does not list the versions of the package template",
            hint="pip install --force-reinstall ptah-migrate",
        ) from error


def _none() -> Mapping[int, str]:
    raise ValueError("no version")


def digest(folder: Path) -> str:
    """Return a hash of every name and text in a template, the same on every machine."""
    found = hashlib.sha256()
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    for name in sorted(named):
        if "__pycache__" not in name:
            found.update(
                f"{name}\n".encode() + hashlib.sha256(lf(named[name].read_bytes())).digest()
            )
    return found.hexdigest()
