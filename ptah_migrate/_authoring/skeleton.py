"""
Render the files of a package with copier, into a temporary directory.

Copier renders and nothing else: it neither sees nor touches the project. Its
user settings, its answers file and git stay out of it (research: scaffolding).
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ptah_migrate._authoring import templates
from ptah_migrate.errors import AuthoringError, MissingExtraError

_REQUIRED = re.compile(r'Question "(\w+)" is required')  # as copier says it

# What to say about a template that wants to run programs.
TRUST = "--trust lets it, if you trust who wrote it"

# An answers file of this name exists nowhere, so nobody's answers leak into ours.
_ANSWERS = ".ptah-migrate-answers.yml"


@dataclass(frozen=True, slots=True)
class Made:
    """The files that were rendered, by their path below the project, and what was answered."""

    files: Mapping[str, bytes]
    answers: Mapping[str, object] = field(default_factory=dict)


def render(
    answers: Mapping[str, object],
    template: Path | None = None,
    *,
    exclude: Sequence[str] = (),
    trust: bool = False,
) -> Made:
    """
    Return the files of a package, by their path below the project (with slashes).

    Args:
        answers: to the template's questions.
        template: its folder; ours by default.
        exclude: patterns of what is there to be included only.
        trust: run the programs of the template: its tasks and extensions.

    Raises:
        MissingExtraError: copier is not installed.
        AuthoringError: the template cannot be rendered, or made an unusable file.

    """
    with ExitStack() as stack:
        path = os.environ.get("PATH", os.defpath)
        stack.enter_context(_without_git())
        copier = _copier()
        template = template or stack.enter_context(templates.directory("package"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ptah-migrate-")))
        if trust:
            stack.enter_context(_with_programs(path))
        said = _run(copier, template, folder, answers, exclude, trust=trust)
        made = Made(dict(_read(folder)), said)
    for name, content in made.files.items():
        problem = unusable(name, content)
        if problem:
            raise AuthoringError(f"the package template made an unusable '{name}': {problem}")
    return made


@contextmanager
def _with_programs(path: str) -> Iterator[None]:
    """Let the tasks of a trusted template find programs, in copier's copy of the environment."""
    from plumbum import local

    with local.env(PATH=path):
        yield


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
    copier: ModuleType,
    template: Path,
    folder: Path,
    answers: Mapping[str, object],
    exclude: Sequence[str],
    *,
    trust: bool,
) -> dict[str, object]:
    """Let copier render, and return the answers as it understood them."""
    from copier.errors import CopierError, UnsafeTemplateError, UnsupportedVersionError
    from jinja2 import TemplateError
    from yaml import YAMLError

    try:
        worker = copier.run_copy(
            str(template),
            folder,
            data=dict(answers),
            answers_file=_ANSWERS,
            settings=copier.Settings(),  # empty: a person's own would change our files
            exclude=list(exclude),
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=trust,
        )
    except (
        *(CopierError, TemplateError, YAMLError, subprocess.SubprocessError),
        *(ValueError, TypeError, KeyError, AssertionError, OSError, RecursionError),
    ) as error:
        reason = _reason(error, template)
        hint = ""
        if isinstance(error, UnsupportedVersionError):
            hint = "pip install --upgrade 'ptah-migrate[scaffold]'"
        elif isinstance(error, UnsafeTemplateError):
            hint = TRUST
        elif required := _REQUIRED.match(reason):
            hint = f"answer it: --data {required[1]}=…"
        raise AuthoringError(
            f"the package template cannot be rendered: {reason}", hint=hint
        ) from error
    return dict(worker.answers.combined)


def _reason(error: Exception, template: Path) -> str:
    """Return the first line of what is wrong, and where; it may announce the next one."""
    lines = [*map(str.strip, str(error).strip().splitlines()), type(error).__name__]
    words = " ".join(lines[:2] if lines[0].endswith(":") else lines[:1]).rstrip(".")
    name, number = getattr(error, "filename", None), getattr(error, "lineno", None)
    if number is None or not Path(str(name)).is_relative_to(template.resolve()):
        return words
    return f"{Path(str(name)).relative_to(template.resolve()).as_posix()}:{number}: {words}"


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
