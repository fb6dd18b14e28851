"""Another number in a revision file, and nothing else."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring.constants import Unsure, replaced
from ptah_migrate._authoring.templates import RevisionValues, render_revision

ids = st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True)


@given(ids, ids, ids, ids, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_there_and_back(old: str, down: str, new: str, above: str, message: str) -> None:
    """A generated file gets other numbers, and with its own ones it is the same bytes again."""
    source = render_revision(RevisionValues(old, message, (down,)))

    moved = replaced(source, revision=new, down_revision=above)

    assert moved == render_revision(RevisionValues(new, message, (above,)))
    assert replaced(moved, revision=old, down_revision=down) == source


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_what_stands_around(newline: str, bom: bytes) -> None:
    """Line ends, a mark of the encoding, comments and other texts stay."""
    lines = (
        "'''\x0c é revision = \"1\"'''; revision: str = '1'; x = 'é'  # revision = '1'",
        "down_revision = (  # '0'",
        "    None)",
        "def upgrade(): revision('1')",
    )
    source = bom + newline.join(lines).encode()

    moved = replaced(source, revision="2", down_revision="1")

    assert moved == source.replace(b"str = '1'", b"str = '2'").replace(b"None)", b'"1")')


@pytest.mark.parametrize(
    "source",
    [
        "revision = '1'",
        "revision = 1\ndown_revision = '0'",
        "revision = '1'\ndown_revision = ('0', 'x')",
        "revision = '1' '2'\ndown_revision = f'0'",
        "revision = down_revision = '0'",
        "revision, down_revision = '1', '0'",
        "class A:\n    revision = '1'\ndown_revision = '0'",
        "revision = '1'\ndown_revision = '0'\ndel revision\nfor revision in '1': pass",
        "revision = '1'\ndown_revision = '0'\nx = (",
    ],
)
def test_other_files(source: str) -> None:
    """A file whose constants are not plain is left to its author."""
    with pytest.raises(Unsure):
        replaced(source.encode(), revision="2", down_revision="1")


def test_joined_texts() -> None:
    """Texts that Python joins are one constant, and are replaced as one."""
    moved = replaced(b"revision = '0' '1'\ndown_revision = '0'", revision="2", down_revision="1")

    assert ast.literal_eval(moved.split(b"\n")[0].split(b" = ")[1].decode()) == "2"
