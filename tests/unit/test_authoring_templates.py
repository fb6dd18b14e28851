"""How a revision file is made of a template, whatever it is told."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring import NOT_WRITTEN, templates
from ptah_migrate._authoring.operations import Operations
from ptah_migrate._authoring.templates import Lookup, RevisionValues, Templates, render_revision
from ptah_migrate.errors import AuthoringError

HOSTILE = [
    '"',
    '""',
    '"""',
    "'''",
    "\\",
    "\\\\",
    '\\"',
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\0",
    "\x0c",
    "\x1b[31m",
    "\ud800",
    "\udc80",
    "\u202e",
    "\u2066",
    "\u200d",
    "\u2028",
    "\x85",
    "\ufeff",
    "\ue000",
    "{{ 7*7 }}",
    "{% raw %}",
    "{#",
    "${x}",
    "\\N{BULLET}",
    "\\x41",
    "\\u0041",
    "%s",
    "{0}",
    '"""\nimport os\nos.abort()\n"""',
    "# -*- coding: utf-7 -*-",
    "\ndef upgrade(): 1/0",
    "é",
    "漢字",
    "🐘",
]
texts = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=20)),
    max_size=8,
).map("".join)
# Python 3.13 cannot compile a docstring with half a character in it.
messages = texts.map(lambda text: re.sub("[\ud800-\udfff]", "", text))


def own(template: str) -> Lookup:
    """Return where somebody's own template of a revision is found."""
    return Lookup(own=(Templates("own", {"revision.py.jinja": template}),))


def test_the_file() -> None:
    """The untouched file holds the constants, two empty functions and a mark in each."""
    text = render_revision(RevisionValues("002", "Add column", ("001",), requires=("other:003",)))

    assert text.decode() == (
        '"""Add column"""\n'
        "\n"
        "import sqlalchemy as sa  # noqa: F401\n"
        "from alembic import op  # noqa: F401\n"
        "\n"
        'revision = "002"\n'
        'down_revision = "001"\n'
        "branch_labels = None\n"
        "depends_on = None\n"
        'requires = ("other:003",)\n'
        "\n"
        "\n"
        "def upgrade() -> None:\n"
        "    pass  # ptah-migrate: not written yet\n"
        "\n"
        "\n"
        "def downgrade() -> None:\n"
        "    pass  # ptah-migrate: not written yet\n"
    )


def test_without_a_message() -> None:
    """A revision without a message has no docstring, and none of what was not asked for."""
    text = render_revision(RevisionValues("001")).decode()

    assert text.startswith("import sqlalchemy as sa")
    assert "down_revision = None\nbranch_labels = None\ndepends_on = None\n\n" in text
    assert "requires" not in text


def test_a_merge_is_complete() -> None:
    """A merge has nothing left to write, so it carries no mark."""
    text = render_revision(RevisionValues("003", "", ("001", "002"))).decode()

    assert 'down_revision = ("001", "002")\n' in text
    assert NOT_WRITTEN not in text


IMPORTING = Operations("import sqlalchemy as sa", "    sa.Column('a')", "    pass")
EMPTY = Operations("", "    pass", "    pass")


@pytest.mark.parametrize("message", ["", "Add column", 'two\n\n"lines"\n'])
@pytest.mark.parametrize("down", [(), ("001",), ("001", "002"), ("a" * 50, "b" * 50)])
@pytest.mark.parametrize(("labels", "requires"), [((), ()), (("crm",), ("other:003", "?more:1"))])
@pytest.mark.parametrize("made", [None, IMPORTING, EMPTY])
def test_our_own_file_without_jinja(
    message: str,
    down: tuple[str, ...],
    labels: tuple[str, ...],
    requires: tuple[str, ...],
    made: Operations | None,
) -> None:
    """What is written without loading Jinja is what our template gives, to the byte."""
    values = RevisionValues("003", message, down, labels, requires, made)
    extending = own('{% extends "ptah_migrate/revision.py.jinja" %}')

    assert render_revision(values) == render_revision(values, extending)


def test_same_values_same_bytes() -> None:
    """The file depends on nothing but what it is told: LF, no date, no person."""
    values = RevisionValues("001", "Bücher\nzweite Zeile", labels=("crm",))

    assert render_revision(values) == render_revision(values)
    assert b"\r" not in render_revision(values)
    assert re.search(rb"\b20\d\d\b", render_revision(values)) is None


@given(messages)
def test_any_message_comes_back(message: str) -> None:
    """A message is text and nothing else: the file's docstring is the message, to the letter."""
    source = render_revision(RevisionValues("001", message))

    tree = ast.parse(source)
    assert (ast.get_docstring(tree, clean=False) or "") == message
    assert [type(node) for node in tree.body[-2:]] == [ast.FunctionDef, ast.FunctionDef]
    assert len(tree.body) == 8 + bool(message)
    assert source.decode("utf-8").count("\r") == 0


def test_every_character_comes_back() -> None:
    """Each of the 1,114,112 code points survives in a docstring, beside any neighbour."""
    size = 0x1000
    for start in range(0, sys.maxunicode + 1, size):
        text = "".join(map(chr, range(start, start + size)))
        literal = templates.docstring(text)
        assert ast.literal_eval(literal) == text
        literal.encode("utf-8")


@pytest.mark.parametrize(
    "char", ["\0", "\x1b", "\x85", "\u200b", "\u202e", "\u2028", "\ud800", "\U000e0001"]
)
def test_invisible_characters_are_escaped(char: str) -> None:
    """What a reader of the file cannot see is written as an escape."""
    assert templates.docstring(f"a{char}b").isascii()


@pytest.mark.parametrize("text", ["Add column", "Größe ändern", "列を追加", "it's 5 \" wide 🐘"])
def test_readable_text_stays_readable(text: str) -> None:
    """Ordinary text is in the file as it was typed."""
    assert templates.docstring(text) == f'"""{text}"""'


@given(st.one_of(texts, st.lists(texts, min_size=1, max_size=6).map(tuple)))
def test_literals_come_back(value: str | tuple[str, ...]) -> None:
    """Ids, labels and requirements are encoded as well."""
    assert ast.literal_eval(templates.literal(value)) == value
    assert "\r" not in templates.literal(value)


def test_many_ids_stand_below_one_another() -> None:
    """A tuple too long for a line has one item on each."""
    assert templates.literal(("a" * 50, "b" * 50)) == (
        f'(\n    "{"a" * 50}",\n    "{"b" * 50}",\n)'
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("x = (", "it is not Python", id="syntax"),
        pytest.param("return", "it is not Python", id="return outside a function"),
        pytest.param("x = '\0'", "it is not Python", id="NUL"),
        pytest.param(
            '"""other"""', "its docstring does not begin with the message", id="docstring"
        ),
        pytest.param('"""m"""\nrevision = "2"', "its constants are not", id="constants"),
        pytest.param(
            '"""m"""\nrevision = "1"\nrevision = "1"\ndown_revision = branch_labels = None\n'
            "depends_on = None",
            "its constants are not",
            id="a constant twice",
        ),
        pytest.param(
            '"""m"""\nrevision = "1"\ndown_revision = branch_labels = None\ndepends_on = None\n'
            "def upgrade(): pass",
            "it does not define upgrade and downgrade",
            id="functions",
        ),
    ],
)
def test_a_broken_template_is_noticed(source: str, problem: str) -> None:
    """A file that does not say what was asked for is never written."""
    assert problem in templates.difference(source.encode(), RevisionValues("1", "m"))


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param("{{ unknown }}", "'unknown' is undefined", id="unknown name"),
        pytest.param("{% if %}", "cannot be rendered", id="syntax"),
        pytest.param("{{ ''.__class__.__mro__ }}", "cannot be rendered", id="way out"),
        pytest.param("revision = 'x'", "made an unusable file", id="other constants"),
    ],
)
def test_an_unusable_template(template: str, problem: str) -> None:
    """A template that fails is one clear error."""
    with pytest.raises(AuthoringError, match=re.escape(problem)):
        render_revision(RevisionValues("001"), own(template))


def test_templates_of_an_installed_wheel(tmp_path: Path) -> None:
    """In a wheel the templates are inside the package."""
    wanted = tmp_path / "ptah_migrate/_templates/revision"
    wanted.mkdir(parents=True)

    assert templates.locate("revision", tmp_path / "ptah_migrate") == wanted


def test_templates_of_a_checkout(tmp_path: Path) -> None:
    """In a checkout they are beside the package, known by the project's own file."""
    wanted = tmp_path / "templates/revision"
    wanted.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()

    assert templates.locate("revision", tmp_path / "ptah_migrate") == wanted


def test_a_foreign_templates_folder_is_not_ours(tmp_path: Path) -> None:
    """A folder called templates in site-packages is somebody else's."""
    (tmp_path / "templates/revision").mkdir(parents=True)

    with pytest.raises(AuthoringError) as caught:
        templates.locate("revision", tmp_path / "ptah_migrate")

    assert str(caught.value) == "the revision templates of ptah-migrate are not installed"
    assert caught.value.hint == "pip install --force-reinstall ptah-migrate"
