"""Two versions of a text become one, and no line of the author's is lost."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring.merge3 import Merged, has_markers, merge

BASE = b"one\ntwo\nthree\nfour\nfive\n"


@pytest.mark.parametrize(
    ("yours", "template", "expected"),
    [
        pytest.param(BASE, BASE, BASE, id="nobody changed it"),
        pytest.param(b"mine\n" + BASE, BASE, b"mine\n" + BASE, id="only you"),
        pytest.param(BASE, BASE + b"six\n", BASE + b"six\n", id="only the template"),
        pytest.param(BASE + b"six\n", BASE + b"six\n", BASE + b"six\n", id="both the same"),
        pytest.param(
            b"ONE\ntwo\nthree\nfour\nfive\n",
            b"one\ntwo\nthree\nfour\nFIVE\n",
            b"ONE\ntwo\nthree\nfour\nFIVE\n",
            id="in different places",
        ),
        pytest.param(b"", b"", b"", id="both emptied it"),
        pytest.param(
            b"one\r\ntwo\r\nthree\r\nfour\r\nmine\r\n",
            b"ONE\ntwo\nthree\nfour\nfive\n",
            b"ONE\r\ntwo\r\nthree\r\nfour\r\nmine\r\n",
            id="your line ends",
        ),
        pytest.param(
            b"ONE\ntwo\nthree\nfour\nfive",
            b"one\ntwo\nTHREE\nfour\nfive\n",
            b"ONE\ntwo\nTHREE\nfour\nfive",
            id="no last newline",
        ),
    ],
)
def test_clean(yours: bytes, template: bytes, expected: bytes) -> None:
    """Changes in different places are all taken."""
    assert merge(BASE, yours, template) == Merged(expected)


def test_a_conflict() -> None:
    """What both changed in one place is marked, yours first, and the rest is merged."""
    merged = merge(BASE, b"ONE\ntwo\nmine\nfour\nfive\n", b"one\ntwo\ntheirs\nfour\nFIVE\n")

    assert merged == Merged(
        b"ONE\ntwo\n<<<<<<< yours\nmine\n=======\ntheirs\n>>>>>>> template\nfour\nFIVE\n", 1
    )
    assert has_markers(merged.content)
    assert not has_markers(BASE)


def test_neighbours() -> None:
    """Changes of neighbouring lines are a conflict, as in git."""
    merged = merge(BASE, b"one\nTWO\nthree\nfour\nfive\n", b"one\ntwo\nTHREE\nfour\nfive\n")

    assert merged.conflicts == 1


def test_markers_begin_a_line() -> None:
    """A last line without a newline gets one before a marker."""
    assert merge(b"a", b"b", b"c").content == (b"<<<<<<< yours\nb\n=======\nc\n>>>>>>> template\n")


texts = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n", b"d"]), max_size=12).map(b"".join)


@given(texts, texts, texts)
def test_no_line_is_lost(base: bytes, yours: bytes, template: bytes) -> None:
    """Every line that the author added is in the result, merged or marked."""
    merged = merge(base, yours, template)

    added = Counter(yours.split(b"\n")) - Counter(base.split(b"\n"))
    assert Counter(merged.content.split(b"\n")) >= added
    assert has_markers(merged.content) == bool(merged.conflicts)


@given(texts, texts)
def test_one_side(base: bytes, other: bytes) -> None:
    """A change of one side only is taken as it is."""
    assert merge(base, other, base) == Merged(other)
    assert merge(base, base, other) == Merged(other)
    assert merge(base, other, other) == Merged(other)


CODE = ["", "    pass", "def f() -> None:", '    """Say."""', *(f"x{n} = {n}" for n in range(12))]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    ("seed", "vocabulary", "doubtful"),
    [
        pytest.param(1, [f"line {n}" for n in range(60)], 0, id="lines that differ"),
        pytest.param(2, CODE, 0, id="like code"),
        # Where lines repeat, git sees a conflict in a few places where none is.
        pytest.param(3, list("abcdefgh"), 2, id="lines that repeat"),
    ],
)
def test_as_git_does(tmp_path: Path, seed: int, vocabulary: Sequence[str], doubtful: int) -> None:
    """In 200 cases of each kind what merges is what git merge-file makes, and nothing is lost."""
    chance = random.Random(seed)
    clean = only_ours = 0
    for _ in range(200):
        lines = [chance.choice(vocabulary) for _ in range(chance.randint(0, 25))]
        base = joined(lines, chance)
        yours = joined(changed(lines, vocabulary, chance), chance)
        template = joined(changed(lines, vocabulary, chance), chance)

        merged = merge(base, yours, template)

        added = Counter(yours.split(b"\n")) - Counter(base.split(b"\n"))
        assert Counter(merged.content.split(b"\n")) >= added
        content, conflicts = git_merge_file(tmp_path, base, yours, template)
        if not merged.conflicts and not conflicts:
            clean += 1
            assert merged.content == content
        only_ours += not merged.conflicts and conflicts > 0
    assert clean > 50
    assert only_ours <= doubtful


def changed(lines: Sequence[str], vocabulary: Sequence[str], chance: random.Random) -> list[str]:
    """Return lines with up to four changes."""
    found = list(lines)
    for _ in range(chance.randint(0, 4)):
        place, kind = chance.randint(0, len(found)), chance.choice(["add", "drop", "change"])
        new = [chance.choice(vocabulary) for _ in range(chance.randint(1, 3))]
        if kind == "add":
            found[place:place] = new
        elif kind == "drop":
            del found[place : place + len(new)]
        else:
            found[place : place + 1] = new[:1]
    return found


def joined(lines: Sequence[str], chance: random.Random) -> bytes:
    """Return lines as a text, now and then without the last newline."""
    last = "\n" if lines and chance.random() < 0.95 else ""
    return ("\n".join(lines) + last).encode()


def git_merge_file(folder: Path, base: bytes, yours: bytes, template: bytes) -> tuple[bytes, int]:
    """Return what git makes of three texts, and the number of its conflicts."""
    for name, text in (("base", base), ("yours", yours), ("template", template)):
        (folder / name).write_bytes(text)
    done = subprocess.run(
        ["git", "merge-file", "-p", "-q", "yours", "base", "template"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.stdout, done.returncode
