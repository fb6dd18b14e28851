"""What the tests of generated projects share: trees of files, and versions of a template."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptah_migrate._authoring import scaffold
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.scaffold import Scaffold

ROOT = Path(__file__).parents[2]
PYPROJECT = '[project]\nname = "blog"\nversion = "1"\n'
INIT = '"""A blog."""\n\n\ndef includeme(config):\n    config.scan()\n'

# The least a template says; what it makes is said by each test.
COPIER = """\
_envops: {undefined: jinja2.StrictUndefined, keep_trailing_newline: true}
name: {type: str}
title: {type: str}
folder: {type: str}
"""


def build(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a folder, and every empty folder as None of a file."""
    return {
        path.relative_to(root).as_posix() + "/" * path.is_dir(): (
            path.read_bytes() if path.is_file() else b""
        )
        for path in sorted(root.rglob("*"))
        if ".git" not in path.relative_to(root).parts
    }


def statuses(plan: FilePlan) -> dict[str, str]:
    """Return what a plan does, by path below the project."""
    return {
        change.path.relative_to(plan.directory).as_posix(): change.status for change in plan.changes
    }


def versions(root: Path, *templates: Mapping[str, str]) -> list[Scaffold]:
    """
    Return the templates as each release has them: the newest, with those before it.

    A template is file names (below the project, ``.jinja`` added) to texts.
    """
    releases = []
    for number in range(1, len(templates) + 1):
        release = root / f"release {number}"
        history = release / "history"
        for version, files in enumerate(templates[:number], 1):
            latest = version == number
            folder = release / "package" if latest else history / f"package/{version}"
            build(folder, {"copier.yml": COPIER})
            build(folder, {f"{name}.jinja": text for name, text in files.items()})
        listed = {str(version): "" for version in range(1, number + 1)}
        build(history, {"versions.json": json.dumps({"package": listed})})
        releases.append(scaffold.load(release / "package", history))
    return releases


def run(
    command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory, with this checkout importable."""
    return subprocess.run(
        command,
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
