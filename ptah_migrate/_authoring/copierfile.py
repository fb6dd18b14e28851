"""What the ``copier.yml`` of somebody's own template says: its questions, and what it may run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ptah_migrate._authoring.naming import shown
from ptah_migrate.errors import AuthoringError, MissingExtraError

NAMES = ("copier.yml", "copier.yaml")
_RUNS = {"_jinja_extensions": "jinja extensions", "_migrations": "migrations", "_tasks": "tasks"}


def runs(config: Mapping[str, Any]) -> list[str]:
    """Return what a template has that runs programs."""
    return [words for key, words in _RUNS.items() if config.get(key)]


def questions(config: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a template asks; True for a question whose answer is a secret."""
    secret = config.get("_secret_questions") or ()
    return {
        key: key in secret or (isinstance(value, dict) and bool(value.get("secret")))
        for key, value in config.items()
        if not key.startswith("_")
    }


def read(files: Mapping[str, bytes]) -> dict[str, Any]:
    """
    Return what a template's copier.yml says, with the files of it that it includes.

    Raises:
        MissingExtraError: copier, which brings the reader, is not installed.
        AuthoringError: it cannot be read.

    """
    name = next(name for name in NAMES if name in files)
    try:
        return {str(key): value for part in _parts(name, files) for key, value in part.items()}
    except (ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise AuthoringError(
            f"the template's {name} cannot be read: {reason}",
            hint="correct the template; nothing was written",
        ) from error
    except RecursionError as error:
        raise AuthoringError(f"the template's {name} includes itself, or is too deep") from error


def _parts(name: str, files: Mapping[str, bytes]) -> Iterator[dict[Any, Any]]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("copier", "scaffold") from error

    loader: Any = type("Loader", (yaml.SafeLoader,), {})  # one of its own: it gets a tag

    def include(_: Any, node: Any) -> list[Any]:
        return [
            part
            for other in sorted(files)
            if PurePosixPath(other).match(str(node.value))
            for part in yaml.load_all(files[other], Loader=loader)
        ]

    loader.add_constructor("!include", include)
    try:
        yield from _flat(list(yaml.load_all(files[name], Loader=loader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ValueError(f"{shown(str(problem))}{line}") from error


def _flat(parts: list[Any]) -> Iterator[dict[Any, Any]]:
    for part in parts:
        if isinstance(part, list):
            yield from _flat(part)
        elif part is not None:
            yield part
