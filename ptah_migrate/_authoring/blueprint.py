"""
What makes the files of a package: our template, ours with files over it, or another one.

Another one is a copier template of somebody's own, with its own questions. What
it could run (tasks, migrations, extensions of Jinja) is refused before copier
sees it, unless a person trusts it; its files are compared with the project like
ours, and never written anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ptah_migrate._authoring import copierfile, overlay, skeleton, state
from ptah_migrate._authoring.answers import Answer
from ptah_migrate._authoring.naming import listed, shown
from ptah_migrate._authoring.origins import Origin
from ptah_migrate._authoring.skeleton import Made
from ptah_migrate.errors import AuthoringError, MissingExtraError, UsageError

# Before 9.17.1 a template could run programs although nobody trusted it, and before
# 9.18 read files outside of itself. Ours does neither, so an older copier will do for it.
SAFE_COPIER = (9, 18)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A version of our template, and whose files are put over it, or are used instead."""

    ours: Path
    number: int
    origin: Origin = field(default_factory=Origin)
    trust: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is a template of its own, with its own questions."""
        return any(name in self.origin.files for name in copierfile.NAMES)

    @property
    def version(self) -> int:
        """The version of our template in it; 0 for a template of its own."""
        return 0 if self.whole else self.number

    def render(self, answers: Mapping[str, Any]) -> Made:
        """
        Return what it makes of these answers; see `skeleton.render`.

        Raises:
            MissingExtraError: copier is not installed.
            AuthoringError: it cannot be rendered, or not safely.

        """
        if not self.origin.files:
            return skeleton.render(answers, self.ours)
        _refuse_old_copier()
        made = self._whole(answers) if self.whole else self._over_ours(answers)
        if state.NAME in made.files:
            raise AuthoringError(
                f"the template makes a '{state.NAME}', which remembers what was made",
                hint="take that file out of the template",
            )
        return made

    def _over_ours(self, answers: Mapping[str, Any]) -> Made:
        files = overlay.merged(self.ours, self.origin.files, answers)
        with _written(files) as folder:
            return skeleton.render(answers, folder, exclude=(f"/{overlay.BUILTIN}",))

    def _whole(self, answers: Mapping[str, Any]) -> Made:
        config = copierfile.read(self.origin.files)
        wanted = copierfile.runs(config)
        if wanted and not self.trust:
            raise AuthoringError(
                f"the template has {listed(wanted)}, which run programs", hint=skeleton.TRUST
            )
        asked = copierfile.questions(config)
        said = {key: value for key, value in answers.items() if key in asked}
        with _written(self.origin.files) as folder:
            made = skeleton.render(said, folder, trust=self.trust)
        return Made(made.files, {key: made.answers[key] for key in asked if key in made.answers})

    def questions(self) -> dict[str, bool]:
        """
        Return the questions of a template of its own; True for one whose answer is a secret.

        Raises:
            MissingExtraError: copier is not installed.
            AuthoringError: its copier.yml cannot be read.

        """
        return copierfile.questions(copierfile.read(self.origin.files))


@contextmanager
def _written(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Give a folder with these files."""
    with TemporaryDirectory(prefix="ptah-migrate-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


def asked(
    blueprint: Blueprint,
    facts: Mapping[str, Answer],
    recorded: Mapping[str, Any],
    given: Mapping[str, object],
) -> dict[str, Any]:
    """
    Return the answers to the questions of a template of its own, as far as there are any.

    ``facts`` are what we know of the package and go without asking; the first
    of them (the package's name and place) cannot be answered otherwise.

    Raises:
        UsageError: an answer to a question that it does not ask.

    """
    questions = blueprint.questions()
    fixed = {"name", "folder", "source", "new", "plugin"}
    unknown = [key for key in given if key not in questions or key in fixed]
    if unknown:
        free = ", ".join(key for key in questions if key not in fixed)
        raise UsageError(
            f"there is no question {listed(sorted(unknown))} in the template",
            hint=f"there are: {free}" if free else "it asks nothing",
        )
    sure = {key: value for key, value in facts.items() if key in fixed}
    chosen = {**facts, **recorded, **sure, **given}
    return {key: chosen[key] for key in questions if key in chosen}


def remembered(blueprint: Blueprint, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that may be written down: no secrets, and nothing that is no JSON."""
    secrets = {key for key, secret in blueprint.questions().items() if secret}
    return {
        key: value for key, value in answers.items() if key not in secrets and state.is_plain(value)
    }


def _refuse_old_copier() -> None:
    try:
        have = version("copier")
    except PackageNotFoundError as error:
        raise MissingExtraError("copier", "scaffold") from error
    numbers = tuple(int(part) for part in have.split(".")[:2] if part.isdigit())
    if numbers < SAFE_COPIER:
        raise AuthoringError(
            f"a template of your own needs copier 9.18, here is {shown(have)}: "
            "before, a template could run programs untrusted",
            hint="pip install --upgrade 'ptah-migrate[scaffold]' 'copier>=9.18'",
        )
