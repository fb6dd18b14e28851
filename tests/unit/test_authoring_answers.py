"""What an author answers is judged before anything is made of it, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring import answers
from ptah_migrate._authoring.answers import Gathered
from ptah_migrate.errors import AuthoringError, UsageError

DEFAULTS: dict[str, str | bool] = {
    "title": "Blog",
    "distribution": "blog",
    "license": "MIT",
    "author": "",
    "email": "",
    "flat": False,
    "first_revision": False,
}


def test_defaults() -> None:
    """What nobody answers is by default."""
    assert answers.gather(answers.PLUGIN, DEFAULTS, given={}) == Gathered(DEFAULTS)


def test_the_order() -> None:
    """A given answer goes before a recorded one, and that before the default."""
    gathered = answers.gather(
        answers.PLUGIN,
        DEFAULTS,
        given={"author": " Ann "},
        recorded={"author": "Bob", "title": "The blog", "flat": True},
    )

    assert gathered.answers == {**DEFAULTS, "author": "Ann", "title": "The blog", "flat": True}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("title", "  ", "is empty"),
        ("title", "a\nb", "has invisible characters"),
        ("title", "x" * 201, "is longer than 200 characters"),
        ("title", 1, "is not a text"),
        ("author", "Ann\u202e", "has invisible characters"),
        ("author", "half \ud800", "has invisible characters"),
        ("email", "nobody", "is no e-mail address"),
        ("email", 'a@b.org" }]\n[x]', "is no e-mail address"),
        ("license", "GPL", "is none of MIT, BSD-3-Clause, Apache-2.0"),
        ("license", "../../etc/passwd", "is none of MIT, BSD-3-Clause, Apache-2.0"),
        ("distribution", "../x", "is no name for a distribution"),
        ("flat", "perhaps", "is neither yes nor no"),
    ],
)
def test_unusable(key: str, value: object, problem: str) -> None:
    """An unusable answer is named with what is wrong; a recorded one does not count."""
    given = answers.gather(answers.PLUGIN, DEFAULTS, given={key: value})
    recorded = answers.gather(answers.PLUGIN, DEFAULTS, given={}, recorded={key: value})  # type: ignore[dict-item]

    [told] = given.problems
    assert told.startswith(key)
    assert problem in told
    assert "\n" not in told
    assert recorded == Gathered(DEFAULTS)


def test_everything_at_once() -> None:
    """Every problem is told, and every key that nobody asked for."""
    gathered = answers.gather(
        answers.PLUGIN, DEFAULTS, given={"title": "", "license": "?", "lisence": "MIT"}
    )

    assert gathered.problems == (
        "title '' is empty",
        "license '?' is none of MIT, BSD-3-Clause, Apache-2.0",
    )
    assert gathered.unknown == ("lisence",)


@pytest.mark.parametrize("word", ["yes", "Y", "true", "1", "on", True])
def test_yes(word: object) -> None:
    """A flag is given in words or as a value of a file."""
    gathered = answers.gather(answers.PLUGIN, DEFAULTS, given={"flat": word})

    assert gathered.answers["flat"] is True


def test_questions() -> None:
    """A person is asked what nobody answered, again after a wrong answer; empty is the default."""
    replies = ["", "nonsense", "BSD-3-Clause", "yes"]
    asked = []

    def prompt(question: str, default: str, problem: str) -> str:
        asked.append((question, default, problem))
        return replies[len(asked) - 1]

    gathered = answers.gather(answers.PLUGIN, DEFAULTS, given={"author": "Ann"}, prompt=prompt)

    assert gathered.answers == {
        **DEFAULTS,
        "license": "BSD-3-Clause",
        "author": "Ann",
        "first_revision": True,
    }
    licence = "Licence, one of MIT, BSD-3-Clause, Apache-2.0"
    assert asked == [
        ("Title of the package, in one line", "Blog", ""),
        (licence, "MIT", ""),
        (licence, "MIT", "is none of MIT, BSD-3-Clause, Apache-2.0"),
        ("With an example table and its revision", "no", ""),
    ]


def test_unknown_keys_are_refused() -> None:
    """A slip of the pen is not taken for an answer."""
    with pytest.raises(UsageError) as caught:
        answers.refuse_unknown(["titel"], answers.EXISTING)

    assert str(caught.value) == "there is no question 'titel' here"
    assert caught.value.hint == "there are: title, metadata, registered, test"


def test_words() -> None:
    """Answers on the command line are words with an equals sign; the value may have more."""
    assert answers.parse(["title=a=b", "flat="]) == {"title": "a=b", "flat": ""}


@pytest.mark.parametrize("words", [["title"], ["=x"], ["a=1", "a=2"]])
def test_wrong_words(words: list[str]) -> None:
    """A word without a key or a value, or the same key twice, is refused."""
    with pytest.raises(UsageError):
        answers.parse(words)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", 'title = "My blog"\nflat = true\n'), ("a.json", '{"title":"My blog","flat":true}')],
)
def test_a_file(tmp_path: Path, name: str, text: str) -> None:
    """Answers may be in a TOML or a JSON file."""
    (tmp_path / name).write_text(text)

    assert answers.read(tmp_path / name) == {"title": "My blog", "flat": True}


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        pytest.param("a.toml", None, UsageError, "there is no file", id="missing"),
        pytest.param("a.yml", "a: 1", UsageError, "not in 'a.yml'", id="another ending"),
        pytest.param("a.toml", "a = ", AuthoringError, "cannot be read", id="not TOML"),
        pytest.param("a.json", "{", AuthoringError, "cannot be read", id="not JSON"),
        pytest.param("a.json", "[1]", AuthoringError, "cannot be read", id="no table"),
    ],
)
def test_an_unusable_file(
    tmp_path: Path, name: str, text: str | None, error: type[Exception], message: str
) -> None:
    """A file of answers that cannot be used is one clear line."""
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(error, match=message):
        answers.read(tmp_path / name)


@given(
    st.dictionaries(
        st.sampled_from([*DEFAULTS, "other"]),
        st.one_of(st.text(st.characters(exclude_categories=()), max_size=40), st.booleans()),
    )
)
def test_hostile_answers(given_answers: dict[str, object]) -> None:
    """Whatever is answered, what is accepted is one printable line."""
    gathered = answers.gather(answers.PLUGIN, DEFAULTS, given=given_answers)

    for value in gathered.answers.values():
        text = str(value)
        assert text == text.strip()
        assert len(text.splitlines()) <= 1
        text.encode()
