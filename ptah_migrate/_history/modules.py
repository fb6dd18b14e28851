"""
Import one revision file under a name of its own.

A module must stand in ``sys.modules`` before it is executed: dataclasses with
postponed annotations look themselves up there (alembic#1419). The name is
unique for package and file, so that two packages may both have ``001``.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from ptah_migrate.errors import RevisionFileError

_PREFIX = "ptah_migrate_revision_"


def load(path: Path, package: str) -> ModuleType:
    """
    Execute a revision file and return its module.

    Raises:
        RevisionFileError: it cannot be imported, whatever it raised;
            ``sys.exit()`` in a revision file is such an error too.

    """
    name = _PREFIX + sha256(f"{package}\0{path}".encode()).hexdigest()[:24]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RevisionFileError(package, str(path), "cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        sys.modules.pop(name, None)
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _import_error(package, path, error) from error
    return module


def _import_error(package: str, path: Path, error: BaseException) -> RevisionFileError:
    if isinstance(error, SyntaxError):
        return RevisionFileError(
            package, str(path), f"syntax error: {error.msg}", line=error.lineno
        )
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return RevisionFileError(
        package,
        str(path),
        f"cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}",
        line=own[-1].lineno if own else None,
    )
