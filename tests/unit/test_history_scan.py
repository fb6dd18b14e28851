"""The plain form of a header is recognised; what it says is what parsing it says."""

from __future__ import annotations

import ast
import importlib
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._history.scan import scan

read = importlib.import_module("ptah_migrate._history.parsing")

ALEMBIC = '''
"""Add accounts

Revision ID: 1a2b
Revises:
Create Date: 2024-01-01 00:00:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '1a2b'
down_revision: Union[str, None] = None
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


'''
OURS = '''
"""Add a column"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "002"
down_revision = "001"
requires = ("crowd:003", "?blog:001")
run_before = ["shop:004",]


'''


def parsed(header: str) -> tuple[dict[str, Any], str] | None:
    """Return what the parser makes of a header; None where it cannot, or has to run it."""
    try:
        tree = ast.parse(header)
    except (SyntaxError, ValueError):
        return None
    values: dict[str, Any] = read._literals(tree)
    if any(value is read._UNKNOWN for value in values.values()):
        return None
    doc: str = ast.get_docstring(tree) or ""
    return values, first_line(doc)


def first_line(doc: str) -> str:
    return doc.strip().partition("\n")[0].strip()


def scanned(header: str) -> tuple[dict[str, Any], str] | None:
    """Return what the scan makes of a header."""
    found = scan(header)
    return None if found is None else (dict(found[0]), first_line(found[1]))


@pytest.mark.parametrize("header", [ALEMBIC, OURS, "", "\n# nothing\n"])
def test_plain_headers_are_recognised(header: str) -> None:
    """What generators write needs no parser, and means what the parser says."""
    text = header.removeprefix("\n")

    assert scanned(text) is not None
    assert scanned(text) == parsed(text)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("revision = 'a' 'b'", id="two texts"),
        pytest.param("revision = '''a'''", id="long text"),
        pytest.param(r"revision = 'a\x62'", id="escape"),
        pytest.param("revision = r'a'", id="raw text"),
        pytest.param("revision = f'a'", id="formatted text"),
        pytest.param("revision = b'a'", id="bytes"),
        pytest.param("revision = 'a'; down_revision = None", id="two statements"),
        pytest.param("revision = down_revision = 'a'", id="two names"),
        pytest.param("revision, down_revision = 'a', None", id="unpacked"),
        pytest.param("revision = ('a')", id="parentheses"),
        pytest.param("down_revision = ('a', 1)", id="not a text"),
        pytest.param("down_revision = (\n    'a',\n)", id="several lines"),
        pytest.param("revision = 'a' \\\n    'b'", id="continued"),
        pytest.param("revision = 'a", id="not closed"),
        pytest.param("revision = 001", id="number"),
        pytest.param("revision: str", id="declared only"),
        pytest.param("revision: str | = 'a'", id="broken type"),
        pytest.param("  revision = 'a'", id="indented"),
        pytest.param("if True: revision = 'a'", id="condition"),
        pytest.param("from ids import revision", id="imported"),
        pytest.param("import ids as down_revision", id="imported as"),
        pytest.param("from ids import *", id="everything imported"),
        pytest.param("from ids import (a, b)", id="imports in parentheses"),
        pytest.param("from ids import a.b", id="impossible import"),
        pytest.param("import for", id="keyword"),
        pytest.param("del revision", id="deleted"),
        pytest.param("revision += 'a'", id="added to"),
        pytest.param("config = {}", id="another constant"),
        pytest.param("revision = 'a'\x0c", id="form feed"),
        pytest.param('"""a doc""" "and more"', id="two docstrings"),
        pytest.param('"""a doc\\n"""', id="escape in the docstring"),
    ],
)
def test_other_headers_are_left_to_the_parser(line: str) -> None:
    """What is not plain is not guessed."""
    assert scan(f"{line}\nimport os\n") is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("def upgrade():\n    pass\n", id="a function"),
        pytest.param("def upgrade():\n    pass\nrevision = 'b'\n", id="another id below it"),
        pytest.param("def upgrade():\n    '''\nrevision = 'b'\n'''\n", id="text below it"),
    ],
)
@pytest.mark.parametrize("header", [ALEMBIC, OURS, "\n'''a\ndef upgrade(): b'''\n"])
def test_the_header_ends_at_the_first_function(header: str, body: str) -> None:
    """What stands below the first function is not looked at; a docstring is no function."""
    text = header.removeprefix("\n")

    assert scanned(text + body) == parsed(text)


@pytest.mark.parametrize("line", ["class A:", "@decorated", "async def a():", "def\ta():"])
def test_what_else_ends_a_header(line: str) -> None:
    """A header that something else ends is left to the parser."""
    assert scan(f"{OURS.strip()}\n{line}\n    pass\n\n\ndef upgrade():\n    pass\n") is None


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
QUOTES = st.sampled_from(["'", '"', "'''", '"""', "r'", "b'", ""])


@st.composite
def texts(draw: st.DrawFn) -> str:
    quote = draw(QUOTES)
    return f"{quote}{draw(WORDS)}{quote[-1:] if quote[:1] in 'rb' else quote}"


LITERALS = st.one_of(
    texts(),
    st.sampled_from(["None", "()", "[]", "'a'", '"b"', "'a',", "x", "1", "('a', 'b')", "('c',)"]),
    st.lists(texts(), max_size=3).map(lambda some: f"({', '.join(some)})"),
    st.lists(texts(), max_size=3).map(lambda some: f"[{','.join(some)},]"),
)
TYPES = st.sampled_from(["", ": str", ": Union[str, None]", ": str | None", ": int |", ":str"])
ENDS = st.sampled_from(["", " ", "  # said", "\t", " #", ";", " \\"])
LINES = st.one_of(
    st.builds(
        lambda name, kind, value, end: f"{name}{kind} = {value}{end}",
        st.sampled_from([*sorted(read._NAMES), "other"]),
        TYPES,
        LITERALS,
        ENDS,
    ),
    st.builds(lambda a, b: f"{a}{b}", st.sampled_from(["#", "# ", "  # ", "", "\t"]), WORDS),
    st.sampled_from(
        [
            "import os",
            "import os.path as p, sys",
            "from a.b import c as d, e",
            "from alembic import op  # noqa",
            "from . import x",
            "import is",
            "from x import y.z",
            "from x import revision",
            "",
        ]
    ),
    texts(),
)


@given(st.lists(LINES, max_size=6))
def test_scan_and_parser_agree(lines: list[str]) -> None:
    """Whatever the scan takes for plain, the parser reads the same in it."""
    header = "".join(f"{line}\n" for line in lines)

    found = scanned(header)

    assert found is None or found == parsed(header)


@given(st.sampled_from([ALEMBIC, OURS]), st.data())
def test_damaged_headers(header: str, data: st.DataObject) -> None:
    """A plain header with characters cut out or put in is read as the parser reads it."""
    text = dedent(header).removeprefix("\n")
    place = data.draw(st.integers(0, len(text)))
    put = data.draw(st.text("'\"\\#\n\t (),=:[]|x1\x0c", max_size=3))
    text = text[:place] + put + text[place + data.draw(st.integers(0, 3)) :]

    found = scanned(text if text.endswith("\n") else f"{text}\n")

    assert found is None or found == parsed(text)
