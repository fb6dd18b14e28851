"""The examples of README and docs/, followed as a reader follows them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.story import ROOT, blocks, follow, same

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS = {"async.md": "aiosqlite"}


def _has_examples(document: Path) -> bool:
    text = document.read_text(encoding="utf-8")
    return any(block.language in ("console", "pycon") for block in blocks(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(document, id=document.relative_to(ROOT).as_posix())
        for document in filter(_has_examples, DOCUMENTS)
    ],
)
def test_examples_do_what_the_document_shows(document: Path) -> None:
    """Whoever types the examples of a document, in order, sees the outputs it shows."""
    needed = NEEDS.get(document.name)
    if needed and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")

    problems, _ = follow(document.read_text(encoding="utf-8"))

    assert not problems, "\n".join(["", *problems])


def test_a_false_output_is_noticed() -> None:
    """A document that shows something else than what happens does not pass."""
    problems, corrected = follow("```console\n$ echo one\ntwo\n```\n")

    assert problems == ["line 2: $ echo one\n  shown:\n    two\n  printed:\n    one"]
    assert corrected == "```console\n$ echo one\ntwo\n```\n"


def test_an_update_puts_the_present_output_in() -> None:
    """Updating replaces wrong outputs and leaves everything else as it is."""
    text = "before\n\n```console\n$ echo one\n$ echo two\nthree\n```\n\nafter\n"

    problems, corrected = follow(text, update=True)

    assert not problems
    assert corrected == text.replace("one\n$", "one\none\n$").replace("three", "two")


def test_the_directory_and_variables_last_from_one_command_to_the_next() -> None:
    """Commands of one document share directory, environment and exit status, as in a terminal."""
    lines = ["$ mkdir a", "$ cd a", "$ X=1; export X", "$ pwd; echo $X", "…/a", "1"]
    text = "\n".join(["```console", *lines, "$ false", "$ echo $?", "1", "```", ""])

    problems, _ = follow(text)

    assert not problems


def test_a_wrong_doctest_is_noticed() -> None:
    """A pycon block whose result differs is a problem."""
    problems, _ = follow("```pycon\n>>> 1 + 1\n3\n```\n")

    assert len(problems) == 1
    assert "Expected:\n    3\nGot:\n    2" in problems[0]


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [
        pytest.param(["a (0.01 s)"], ["a (1.20 s)"], True, id="durations do not count"),
        pytest.param(["a", "…", "d"], ["a", "b", "c", "d"], True, id="three dots are any lines"),
        pytest.param(['{"a": [1]}'], ["{", '"a": [', "1]}"], True, id="layout of JSON"),
        pytest.param(['{"a": [1]}'], ['{"a": [2]}'], False, id="content of JSON"),
        pytest.param(["a"], ["a", "b"], False, id="one line more"),
        pytest.param(["a.c"], ["abc"], False, id="no patterns"),
    ],
)
def test_outputs_are_compared_without_what_varies(
    expected: list[str], actual: list[str], *, equal: bool
) -> None:
    """Times, process numbers and layout may differ between two outputs, nothing else."""
    assert same(expected, actual) is equal
