"""The wheel of a project: built by its own backend, or the one that lies in ``dist``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptah_migrate import registry
from ptah_migrate._authoring import Finding, check_wheels
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.testing.declared import FailedCheck, NotApplicable
from ptah_migrate.testing.subjects import explain

if TYPE_CHECKING:
    from ptah_migrate.testing.subjects import Subject

# A build is asked to do its one thing: what it needs must be installed, nothing is loaded down.
_BUILD = """
import importlib, sys
module, _, attributes = sys.argv[1].partition(":")
sys.path[:0] = sys.argv[3:]
backend = importlib.import_module(module)
for name in filter(None, attributes.split(".")):
    backend = getattr(backend, name)
backend.build_wheel(sys.argv[2])
"""
_EARLIER = frozenset({"build", "dist"})
_ASIDE = frozenset({"__pycache__", "node_modules"})


def findings(subject: Subject) -> tuple[Finding, ...]:
    """
    Return how the wheel of a package differs from its source.

    Raises:
        NotApplicable: there is no wheel, and none can be built here.
        FailedCheck: the wheel cannot be read.

    """
    if subject.project is None:
        raise NotApplicable(f"{subject.name} is installed, there is no project to build")
    with _wheels(subject.project) as wheels:
        try:
            return check_wheels(subject.package, wheels)
        except PtahMigrateError as error:
            raise FailedCheck(explain(error)) from error


@contextmanager
def _wheels(project: Path) -> Iterator[list[Path]]:
    """Yield a wheel of the source as it is now, else those in ``dist``."""
    backend, paths = _backend(registry.read_project(project))
    problem = f"{re.split('[.:]', backend)[0]}, which builds one, is not installed"
    with tempfile.TemporaryDirectory(prefix="ptah-migrate-") as folder:
        if _importable(backend, project, paths):
            wheels, problem = _build(project, backend, paths, Path(folder))
            if wheels:
                yield wheels
                return
        wheels = sorted(project.glob("dist/*.whl"))
        if not wheels:
            raise NotApplicable(f"there is no wheel in dist/, and {problem}")
        yield wheels


def _backend(document: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    system = document.get("build-system")
    system = system if isinstance(system, Mapping) else {}
    paths = system.get("backend-path")
    return (
        str(system.get("build-backend", "setuptools.build_meta:__legacy__")),
        tuple(map(str, paths)) if isinstance(paths, list) else (),
    )


def _importable(backend: str, project: Path, paths: tuple[str, ...]) -> bool:
    if paths:
        return all((project / path).is_dir() for path in paths)
    try:
        return find_spec(backend.partition(":")[0]) is not None
    except (ImportError, ValueError):
        return False


def _build(
    project: Path, backend: str, paths: tuple[str, ...], folder: Path
) -> tuple[list[Path], str]:
    """
    Return a wheel, and why there is none: what a backend needs may not be here.

    It is built from a copy: some backends leave files in the source.
    """
    source, target = folder / "source", folder / "wheel"
    shutil.copytree(
        project, source, ignore=lambda path, names: _ignored(project, Path(path), names)
    )
    target.mkdir()
    done = subprocess.run(  # noqa: S603 - the project's own backend
        [
            sys.executable,
            "-c",
            _BUILD,
            backend,
            str(target),
            *(str(source / path) for path in paths),
        ],
        cwd=source,
        # A copy has no version control, from which some backends take the version.
        env={**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    lines = done.stderr.strip().splitlines() or ["it made no wheel"]
    return list(target.glob("*.whl")), f"none can be built here: {lines[-1]}"


def _ignored(project: Path, folder: Path, names: list[str]) -> set[str]:
    """Return what of a folder belongs to nobody's wheel: environments, caches, earlier builds."""
    return {
        name
        for name in names
        if (folder / name).is_dir()
        and (
            name.startswith(".")
            or name in _ASIDE
            or (folder == project and name in _EARLIER)
            or (folder / name / "pyvenv.cfg").is_file()
        )
    }
