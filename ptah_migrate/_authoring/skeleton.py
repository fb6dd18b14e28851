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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

from ptah_migrate._authoring import templates
from ptah_migrate.errors import AuthoringError, MissingExtraError

TEMPLATE = "builtin:package"

# An answers file of this name exists nowhere, so nobody's answers leak into ours.
_ANSWERS = ".ptah-migrate-answers.yml"


def render(answers: Mapping[str, str | bool], template: Path | None = None) -> dict[str, bytes]:
    """
    Return the files of a package, by their path below the project (with slashes).

    ``template`` is ours by default.

    Raises:
        MissingExtraError: copier is not installed.
        AuthoringError: the template cannot be rendered, or made an unusable file.

    """
    with ExitStack() as stack:
        stack.enter_context(_without_git())
        copier = _copier()
        template = template or stack.enter_context(templates.directory("package"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ptah-migrate-")))
        _run(copier, template, folder, answers)
        rendered = dict(_read(folder))
    for name, content in rendered.items():
        problem = unusable(name, content)
        if problem:
            raise AuthoringError(f"the package template made an unusable '{name}': {problem}")
    return rendered


@contextmanager
def _without_git() -> Iterator[None]:
    """
    Hide git: the program, and variables like GIT_DIR, as a git hook sets them.

    With the variables copier takes our templates for a repository and clones
    it. The program it runs once for each file, for nothing: without it a
    project takes half the time. It looks at the environment once, when it is
    imported (copier 9.19, plumbum 1.9).
    """
    names = [name for name in os.environ if name.startswith("GIT_") or name == "PATH"]
    hidden = {name: os.environ.pop(name) for name in names}
    os.environ["PATH"] = ""
    try:
        yield
    finally:
        del os.environ["PATH"]
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


def unusable(name: str, content: bytes) -> str:
    """Return why a file's own language does not accept it, or nothing."""
    try:
        if name.endswith(".py"):
            ast.parse(content, name)
        elif name.endswith(".toml"):
            tomllib.loads(content.decode("utf-8"))
    except (SyntaxError, ValueError) as error:
        return str(error)
    return ""
