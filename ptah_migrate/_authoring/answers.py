"""
What an author is asked, and may be told beforehand.

Every answer is judged before anything is rendered, and everything that is
wrong with them is told at once.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from ptah_migrate._authoring import files
from ptah_migrate._authoring.naming import HIDDEN, listed, shown
from ptah_migrate.errors import AuthoringError, UsageError

Answer = str | bool

LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0")

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z")
_METADATA = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z", re.ASCII
)
_MODULE = re.compile(r"test_[a-z0-9_]+\Z")
_YES = frozenset({"yes", "true", "on", "1", "y"})
_NO = frozenset({"no", "false", "off", "0", "n"})


class Prompt(Protocol):
    """Asks a person; the terminal is somebody else's business."""

    def __call__(self, question: str, default: str, problem: str) -> str:
        """Return the answer to a question; ``problem`` is what was wrong with the last one."""


@dataclass(frozen=True, slots=True)
class Question:
    """
    One thing an author decides.

    ``problem`` returns what is wrong with an answer. Only ``asked`` questions
    are put to a person, the others may be answered by option or file.
    """

    key: str
    text: str
    problem: Callable[[str], str] = lambda text: ""
    asked: bool = False
    flag: bool = False


# -- judging -----------------------------------------------------------------------


def _line(text: str) -> str:
    if any(unicodedata.category(char) in HIDDEN for char in text):
        return "has invisible characters"
    return "is longer than 200 characters" if len(text) > 200 else ""


def _title(text: str) -> str:
    return _line(text) if text.strip() else "is empty"


def _matching(
    pattern: re.Pattern[str], problem: str, *, empty: bool = False
) -> Callable[[str], str]:
    def judge(text: str) -> str:
        fits = len(text) <= 200 and pattern.match(text)
        return "" if fits or (empty and not text) else problem

    return judge


def _license(text: str) -> str:
    return "" if text in LICENSES else f"is none of {', '.join(LICENSES)}"


TITLE = Question("title", "Title of the package, in one line", _title, asked=True)
DISTRIBUTION = Question(
    "distribution",
    "Name of the distribution",
    _matching(_DISTRIBUTION, "is no name for a distribution: letters, digits, '.', '_', '-'"),
)
METADATA = Question(
    "metadata",
    "Dotted name of the models' metadata, as in blog.models:Base.metadata",
    _matching(_METADATA, "is no dotted name like blog.models:Base.metadata", empty=True),
)
TEST = Question(
    "test", "Name of the test module", _matching(_MODULE, "is no module name like test_migrations")
)
REGISTERED = Question("registered", "Does the package register its migrations already", flag=True)

EXISTING = (TITLE, METADATA, REGISTERED, TEST)
PROJECT = (TITLE, DISTRIBUTION)
PLUGIN = (
    TITLE,
    DISTRIBUTION,
    Question("license", f"Licence, one of {', '.join(LICENSES)}", _license, asked=True),
    Question("author", "Name of the author", _line, asked=True),
    Question(
        "email", "Address of the author", _matching(_EMAIL, "is no e-mail address", empty=True)
    ),
    Question("flat", "The package beside pyproject.toml instead of in src", flag=True),
    Question("first_revision", "With an example table and its revision", asked=True, flag=True),
)


# -- gathering ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gathered:
    """The answers, and what is wrong with those that were given; ``unknown`` was not asked for."""

    answers: Mapping[str, Answer]
    problems: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def gather(
    questions: Sequence[Question],
    defaults: Mapping[str, Answer],
    *,
    given: Mapping[str, object],
    recorded: Mapping[str, Answer] = MappingProxyType({}),
    prompt: Prompt | None = None,
) -> Gathered:
    """
    Return an answer to every question: the given, else the recorded, else the default one.

    A recorded answer that is not usable any more does not count: the state file
    is a file like others. Without a ``prompt`` nobody is asked anything; with
    one, what is neither given nor recorded.
    """
    answers: dict[str, Answer] = {}
    problems: list[str] = []
    for question in questions:
        value = given.get(question.key, recorded.get(question.key))
        answer, problem = judged(question, value)
        if problem and question.key not in given:
            value, answer = None, None
        elif problem:
            problems.append(f"{question.key} {shown(str(value))} {problem}")
        if answer is None:
            answer = defaults.get(question.key, "")
            if value is None and prompt is not None and question.asked:
                answer = _asked(question, answer, prompt)
        answers[question.key] = answer
    unknown = sorted(key for key in given if key not in {q.key for q in questions})
    return Gathered(answers, tuple(problems), tuple(unknown))


def judged(question: Question, value: object) -> tuple[Answer | None, str]:
    """Return the answer that a value is, and what is wrong with it; nothing for no value."""
    if value is None:
        return None, ""
    if question.flag:
        word = str(value).strip().lower()
        known = word in _YES or word in _NO
        return (word in _YES, "") if known else (None, "is neither yes nor no")
    if not isinstance(value, str):
        return None, "is not a text"
    text = value.strip()
    problem = question.problem(text)
    return (None, problem) if problem else (text, "")


def _asked(question: Question, default: Answer, prompt: Prompt) -> Answer:
    shown_default = ("yes" if default else "no") if question.flag else str(default)
    problem = ""
    while True:
        reply = prompt(question.text, shown_default, problem)
        answer, problem = judged(question, reply if reply.strip() else shown_default)
        if answer is not None:
            return answer


def refuse_unknown(unknown: Iterable[str], questions: Sequence[Question]) -> None:
    """
    Refuse answers to questions that were not asked: most are slips of the pen.

    Raises:
        UsageError: there is one.

    """
    names = list(unknown)
    if names:
        raise UsageError(
            f"there is no question {listed(names)} here",
            hint=f"there are: {', '.join(question.key for question in questions)}",
        )


# -- given beforehand ----------------------------------------------------------------


def parse(words: Iterable[str]) -> dict[str, str]:
    """
    Return the answers in words like ``title=My blog``.

    Raises:
        UsageError: a word has no ``=``, or a key comes twice.

    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{shown(word)} is no answer", hint='write: --data "title=My blog"')
        if key.strip() in found:
            raise UsageError(f"{shown(key)} is answered twice", hint="leave one of them out")
        found[key.strip()] = value
    return found


def read(path: Path) -> dict[str, object]:
    """
    Return the answers in a TOML or JSON file.

    Raises:
        UsageError: there is none, it has another ending, or is no table.
        AuthoringError: it cannot be read.

    """
    content = files.read(path)
    if content is None:
        raise UsageError(f"there is no file {shown(str(path))}", hint="check the path")
    try:
        if path.suffix == ".toml":
            return tomllib.loads(content.decode("utf-8-sig"))
        if path.suffix != ".json":
            raise UsageError(
                f"answers are in a .toml or .json file, not in {shown(path.name)}",
                hint='write lines like: title = "My blog"',
            )
        return dict(json.loads(content).items())
    except (ValueError, AttributeError, RecursionError) as error:
        raise AuthoringError(
            f"'{path}' cannot be read: {error}", hint="correct the file"
        ) from error
