"""Which tables a history makes is read from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptah_migrate._history import HistoryTables, read, tables
from ptah_migrate.registry import make_package
from tests.helpers import revision_source


def made(tmp_path: Path, *bodies: str, after: str = "") -> HistoryTables:
    for number, body in enumerate(bodies):
        down = str(number - 1) if number else None
        source = revision_source(str(number), down, upgrade=body, downgrade="op.drop_table('a')")
        (tmp_path / f"{number}.py").write_text(source + after, encoding="utf-8")
    return tables(read(make_package("blog", str(tmp_path))))


def names(*words: str) -> frozenset[str]:
    return frozenset(words)


@pytest.mark.parametrize(
    ("body", "ever", "final"),
    [
        pytest.param("op.create_table('a')\nop.create_table('b')", "a b", "a b", id="create"),
        pytest.param("op.create_table('a')\nop.drop_table('a')", "a", "", id="drop"),
        pytest.param("op.create_table('a')\nop.rename_table('a', 'b')", "a b", "b", id="rename"),
        pytest.param(
            "if op.get_bind():\n    if True:\n        op.drop_table('a')\nop.create_table('a')",
            "a",
            "a",
            id="the order of the text, not its depth",
        ),
        pytest.param("op.create_table('a', schema='s')", "s.a", "s.a", id="schema"),
        pytest.param("op.create_table(table_name='a')", "a", "a", id="a keyword"),
        pytest.param(
            "op.create_table('a')\nop.rename_table(old_table_name='a', new_table_name='b')",
            "a b",
            "b",
            id="keywords",
        ),
        pytest.param("op.create_table(NAME)", "n", "n", id="a constant of the file"),
        pytest.param("op.drop_table(Model.__tablename__)", "", "", id="not to be known"),
        pytest.param(
            "op.execute('CREATE TABLE IF NOT EXISTS \"a\" (x int)')\n"
            "op.get_bind().exec_driver_sql(' create table `s`.`b` (x int)')\n"
            "op.execute(sa.text('CREATE TABLE c (x int)'))\n"
            "op.execute('DROP TABLE a')",
            "a s.b c",
            "a s.b c",
            id="SQL",
        ),
        pytest.param("helper()", "h", "h", id="in a function beside"),
        pytest.param("pass", "", "", id="nothing"),
    ],
)
def test_operations(tmp_path: Path, body: str, ever: str, final: str) -> None:
    """What ``upgrade`` and its helpers create, rename and drop counts; ``downgrade`` does not."""
    helper = "\n\nNAME = 'n'\n\n\ndef helper():\n    op.create_table('h')\n"
    after = helper if body == "helper()" else "\n\nNAME = 'n'\n"

    assert made(tmp_path, body, after=after) == HistoryTables(
        names(*ever.split()), names(*final.split())
    )


def test_several_revisions(tmp_path: Path) -> None:
    """The tables are those that all revisions leave, one after the other."""
    found = made(
        tmp_path, "op.create_table('a')\nop.create_table('b')", "op.drop_table('a')", "pass"
    )

    assert found == HistoryTables(names("a", "b"), names("b"))


@pytest.mark.parametrize(
    "body",
    [
        "Base.metadata.create_all(op.get_bind())",
        "op.create_table(Model.__tablename__)",
        "op.create_table('a')\nop.create_table(f'{prefix}_b')",
        "op.create_table(*arguments)",
    ],
)
def test_everything(tmp_path: Path, body: str) -> None:
    """A revision that creates all tables, or one that cannot be named, may leave none out."""
    assert made(tmp_path, body).everything


def test_a_file_with_an_encoding(tmp_path: Path) -> None:
    """A file is read in its own encoding, and its warnings are nobody's."""
    source = "# coding: latin-1\n" + revision_source(
        "1", upgrade="op.create_table('caf\xe9', '\\d')"
    )
    (tmp_path / "1.py").write_bytes(source.encode("latin-1"))

    assert tables(read(make_package("blog", str(tmp_path)))).final == names("café")
