"""Whatever lies in the directory of revisions, reading it ends, and ends in our words."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptah_migrate._history import read, tables
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.registry import make_package

ids = st.sampled_from(["'1'", "'2'", "'3'", "'v1.0'", "'é'", "''", "None", "1", "('1', '2')", "x"])
lines = st.one_of(
    st.builds("revision = {}".format, ids),
    st.builds("revision: str = {}".format, ids),
    st.builds("down_revision = {}".format, ids),
    st.builds("depends_on = {}".format, ids),
    st.builds("branch_labels = {}".format, ids),
    st.builds("requires = ({},)".format, st.sampled_from(["'b:1'", "'blog:2'", "'x'", "'?:'"])),
    st.sampled_from(
        [
            '"""Words."""',
            '"""',
            "# coding: latin-1",
            "# coding: no-such",
            "import sys; sys.exit(3)",
            "import no_such_module",
            "raise ValueError('\\n')",
            "from __future__ import annotations",
            "revision = str(2)",
            "revision = f'{2}'",
            "revision, down_revision = '3', None",
            "class A:",
            "    revision = 1",
            "def upgrade():",
            "    op.create_table('x')",
            "    pass",
            "@decorated",
            "if True:",
            "    down_revision = '1'",
            "<<<<<<< HEAD",
            ">>>>>>> theirs",
            "x = '\\d'",
            "(" * 300,
            "\0",
            "\ufeff",
            "\x0c",
            "\t",
            "lambda: (yield)",
            "del revision",
        ]
    ),
)
texts = st.lists(lines, max_size=8).map("\n".join)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-7"])
newlines = st.sampled_from(["\n", "\r\n", "\r"])


def encoded(text: str, encoding: str, newline: str) -> bytes:
    return text.replace("\n", newline).encode(encoding, errors="replace")


GOOD = '"""Words."""\nrevision = %s\ndown_revision = None\n\n\ndef upgrade():\n    pass\n'
sources = st.one_of(
    st.builds(encoded, texts, encodings, newlines),
    # Files that are nearly right.
    st.builds("{}\nrevision = {}\ndown_revision = {}\n{}\n".format, lines, ids, ids, lines).map(
        str.encode
    ),
    # What a crash, a bad disk or a bad merge leaves of a good file.
    st.builds(
        lambda id_, at, noise: (GOOD % id_).encode()[:at] + noise,
        ids,
        st.integers(0, 80),
        st.binary(max_size=20),
    ),
)
trees = st.dictionaries(
    st.sampled_from(["1.py", "2.py", "3.py", "sub/4.py", "__init__.py", ".#5.py"]), sources
)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=300)
@given(trees, st.booleans())
@example({"1.py": b"revision = '1'\ndown_revision = '1'\n"}, False)
@example({"1.py": b"# coding: undefined\n"}, False)
@example({"1.py": b"# coding: utf-7\nrevision = '+2AA-'\ndown_revision = None"}, False)
@example({"1.py": b"x.y = " + b"1+" * 2000 + b"1\n"}, False)
@example({"1.py": b"revision = " + b"-" * 5000 + b"1\ndown_revision = None\n"}, False)
def test_any_tree(files: dict[str, bytes], recursive: bool) -> None:
    """A directory of damaged files gives a history or an error of one line that names a file."""
    with tempfile.TemporaryDirectory(prefix="ptah_fuzz_") as name:
        root = Path(name)
        for path, data in files.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(data)
        try:
            history = read(make_package("blog", name, recursive=recursive))
        except PtahMigrateError as error:
            words = error
        else:
            assert set(history.order()) == set(history.revisions)
            tables(history)
            return

        assert words.message.isprintable(), words.message
        assert words.hint
        assert words.__cause__ is None or not isinstance(words.__cause__, PtahMigrateError)
