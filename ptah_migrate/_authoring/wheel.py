"""
Compare a built wheel with the revision files of the source.

A wheel without its newest revision installs and runs; it only leaves databases
behind. So this is looked for where the wheel is made.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ptah_migrate import _history
from ptah_migrate._authoring.checks import Finding
from ptah_migrate.errors import AuthoringError
from ptah_migrate.model import Package
from ptah_migrate.registry import directories

_HINT = "let the build take the whole directory, then build again from a clean tree"


def check_wheels(package: Package, wheels: Sequence[Path]) -> tuple[Finding, ...]:
    """
    Return the findings of those wheels that have anything of a package, else of all.

    Raises:
        AuthoringError: a wheel cannot be read.
        PackagePathError: the package's directory is missing.

    """
    found = {wheel: check_wheel(package, wheel) for wheel in wheels}
    count = len(_history.candidates(package))
    empty = {w for w, all_ in found.items() if [f.id for f in all_].count("wheel-missing") == count}
    chosen = [wheel for wheel in found if wheel not in empty] or list(found)
    return tuple(finding for wheel in chosen for finding in found[wheel])


def check_wheel(package: Package, wheel: Path) -> tuple[Finding, ...]:
    """
    Return how the revision files in a wheel differ from those of the source.

    A file may be missing, be another one than the source's, or be a revision
    that the source no longer has (left in a build directory).

    Raises:
        AuthoringError: the wheel cannot be read.
        PackagePathError: the package's directory is missing.

    """
    contents = _contents(wheel)
    findings: list[Finding] = []
    for path, folder in zip(package.paths, directories(package), strict=True):
        ours = {
            file: file.relative_to(folder).as_posix()
            for file in _history.candidates(package)  # helper modules are needed as well
            if file.is_relative_to(folder)
        }
        prefix = _prefix(path, folder, contents)
        for file, name in ours.items():
            inside = contents.get(prefix + name)
            if inside is None:
                message = f"is not in {wheel.name}, as {prefix}{name}"
                findings.append(Finding("wheel-missing", package.name, file, message, _HINT))
            elif _lines(inside) != _lines(file.read_bytes()):
                message = f"is not the file in {wheel.name}, {prefix}{name}"
                findings.append(
                    Finding("wheel-differs", package.name, file, message, "build it again")
                )
        for name in _strangers(package, contents, prefix, set(ours.values())):
            message = f"holds the revision {prefix}{name}, which the source does not have"
            findings.append(Finding("wheel-extra", package.name, wheel, message, _HINT))
    return tuple(findings)


def _contents(wheel: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {
                name: archive.read(name)
                for name in archive.namelist()
                if name.endswith(".py") and not name.startswith("/")
            }
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise AuthoringError(
            f"'{wheel}' cannot be read as a wheel: {error}", hint="build it: python -m build"
        ) from error


def _prefix(path: str, folder: Path, contents: dict[str, bytes]) -> str:
    """Return where a directory is in the wheel: as its package says, else as the folders say."""
    module, colon, rest = path.partition(":")
    if colon and not Path(path).is_absolute():
        return f"{'/'.join([*module.split('.'), *filter(None, rest.split('/'))])}/"
    parts = folder.parts[1:]
    for start in range(len(parts)):
        prefix = f"{'/'.join(parts[start:])}/"
        if any(name.startswith(prefix) for name in contents):
            return prefix
    return f"{'/'.join(parts[-2:])}/"


def _strangers(
    package: Package, contents: dict[str, bytes], prefix: str, known: set[str]
) -> Iterator[str]:
    for name, content in contents.items():
        inner = name.removeprefix(prefix)
        if inner == name or inner in known or PurePosixPath(inner).name == "__init__.py":
            continue
        if "/" in inner and not package.recursive:
            continue
        if b"down_revision" in content:
            yield inner


def _lines(content: bytes) -> list[bytes]:
    """Return a file's lines, whatever ends them: git may have changed that."""
    return content.splitlines()
