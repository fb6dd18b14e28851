"""
Render the files of a package with copier, into a temporary directory.

Copier renders and nothing else: it neither sees nor touches the project. Its
user settings, its answers file and git stay out of it (research: scaffolding).
"""

from __future__ import annotations

import ast
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ptah_migrate._authoring import templates
from ptah_migrate.errors import AuthoringError, MissingExtraError

TEMPLATE = "builtin:package"
VERSION = 1  # of the template; a change of any of its files needs a new one

# An answers file of this name exists nowhere, so nobody's answers leak into ours.
_ANSWERS = ".ptah-migrate-answers.yml"


def render(answers: Mapping[str, str | bool]) -> dict[str, bytes]:
    """
    Return the files of a package, by their path below the project (with slashes).

    Raises:
        MissingExtraError: copier is not installed.
        AuthoringError: the template cannot be rendered, or made an unusable file.

    """
    with _without_git_variables():
        copier = _copier()
        with (
            templates.directory("package") as template,
            tempfile.TemporaryDirectory(prefix="ptah-migrate-") as folder,
        ):
            _run(copier, template, Path(folder), answers)
            rendered = dict(_read(Path(folder)))
    for name, content in rendered.items():
        _check(name, content)
    return rendered


@contextmanager
def _without_git_variables() -> Iterator[None]:
    """
    Hide GIT_DIR and the like, as a git hook sets them.

    With them copier takes our templates for a repository and clones it. It
    looks at the environment once, when it is imported (copier 9.19, plumbum).
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GIT_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _copier() -> ModuleType:
    try:
        import copier
    except ModuleNotFoundError as error:
        if error.name != "copier":
            raise
        raise MissingExtraError("copier", "scaffold") from error
    return copier


def _run(
    copier: ModuleType, template: Path, folder: Path, answers: Mapping[str, str | bool]
) -> None:
    from copier.errors import CopierError, UnsupportedVersionError
    from jinja2 import TemplateError

    try:
        copier.run_copy(
            str(template),
            folder,
            data=dict(answers),
            answers_file=_ANSWERS,
            settings=copier.Settings(),  # empty: a person's own would change our files
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=False,
        )
    except (CopierError, TemplateError, ValueError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        old = isinstance(error, UnsupportedVersionError)
        raise AuthoringError(
            f"the package template cannot be rendered: {reason}",
            hint="pip install --upgrade 'ptah-migrate[scaffold]'" if old else "",
        ) from error


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise AuthoringError(f"the package template makes a symbolic link: {path.name}")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _check(name: str, content: bytes) -> None:
    """Refuse a file that its own language does not accept, whatever was answered."""
    try:
        if name.endswith(".py"):
            ast.parse(content, name)
        elif name.endswith(".toml"):
            tomllib.loads(content.decode("utf-8"))
    except (SyntaxError, ValueError) as error:
        raise AuthoringError(f"the package template made an unusable '{name}': {error}") from error
