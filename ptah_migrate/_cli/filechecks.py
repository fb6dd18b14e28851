"""What ``check --files`` and ``check --wheel`` tell: the revision files, no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptah_migrate._cli import output
from ptah_migrate._cli.authoring import conventions_of
from ptah_migrate.errors import FAILED

if TYPE_CHECKING:
    from ptah_migrate._authoring import Finding
    from ptah_migrate._cli.session import Session
    from ptah_migrate.model import Package

# A shell makes several words of dist/*.whl; all but the first look like packages.
_WHEEL = ".whl"


def check_files(session: Session, words: Sequence[str], wheels: Sequence[str]) -> int:
    """Tell what is wrong with revision files, and with wheels; return the exit code."""
    from pathlib import Path

    from ptah_migrate import _authoring

    names = [word for word in words if not word.endswith(_WHEEL)]
    built = [Path(word) for word in (*wheels, *words) if word.endswith(_WHEEL) or word in wheels]
    packages = _packages(session, names)
    findings: list[Finding] = []
    for package in packages:
        template = conventions_of(session, package).file_template or None
        findings += _authoring.check_files(package, file_template=template)
        findings += _authoring.check_wheels(package, built)
    if session.json:
        output.as_json(findings=[_finding(one) for one in findings])
    else:
        _show(findings, packages)
    return FAILED if findings else 0


def _packages(session: Session, names: Sequence[str]) -> tuple[Package, ...]:
    if names:
        return tuple(session.package(name) for name in dict.fromkeys(names))
    return session.project_packages or tuple(session.registry)


def _show(findings: Sequence[Finding], packages: Sequence[Package]) -> None:
    for one in findings:
        place = (
            output.shown(one.path) if one.line is None else f"{output.shown(one.path)}:{one.line}"
        )
        output.say(f"{place}: {one.message} [{one.id}]")
        output.tell(f"hint: {one.hint}")
    if not findings:
        output.say(f"nothing is wrong with the files of {', '.join(p.name for p in packages)}")


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "package": one.package,
        "path": str(one.path),
        "line": one.line,
        "message": one.message,
        "hint": one.hint,
    }
