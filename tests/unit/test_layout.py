"""Statements and imports are laid out as formatters leave them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptah_migrate._authoring import layout
from ptah_migrate.errors import AuthoringError

LONG = "a_name_that_is_longer_than_what_fits_beside_anything_else_on_one_line"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("", "    pass", id="nothing"),
        pytest.param("op.drop_table( 'posts' )", '    op.drop_table("posts")', id="one line"),
        pytest.param(
            f"op.f('{LONG}', 'b', c=1)",
            f'    op.f(\n        "{LONG}",\n        "b",\n        c=1,\n    )',
            id="exploded",
        ),
        pytest.param(
            "a()\nwith b as c:\n d()\ne()",
            "    a()\n\n    with b as c:\n        d()\n\n    e()",
            id="blocks stand apart",
        ),
        pytest.param(
            f"x.f('{LONG}', 'b').g('{LONG}')",
            f'    x.f("{LONG}", "b").g(\n        "{LONG}",\n    )',
            id="a call of what a call returned",
        ),
        pytest.param(
            f"x.f('{LONG}', '{LONG}').g(1)",
            f'    x.f(\n        "{LONG}",\n        "{LONG}",\n    ).g(\n        1,\n    )',
            id="both are too long",
        ),
        pytest.param(
            f"f({{'{LONG}': [1, (2,)]}})",
            f'    f(\n        {{\n            "{LONG}": [\n'
            "                1,\n                (2,),\n            ],\n        },\n    )",
            id="a mapping",
        ),
        pytest.param("f('say \"x\"')", "    f('say \"x\"')", id="quotes inside"),
        pytest.param("f('it\\'s \"x\"')", "    f('it\\'s \"x\"')", id="both kinds of quotes"),
        pytest.param("f(b'\\x00')", '    f(b"\\x00")', id="bytes"),
    ],
)
def test_body(source: str, expected: str) -> None:
    """A line that fits stays one; another is exploded, with a comma at its end."""
    assert layout.body(source) == expected


def test_no_python() -> None:
    """What is not Python is refused."""
    with pytest.raises(AuthoringError) as error:
        layout.body("op.create_table(<Money>)")

    assert error.value.hint == "correct render_item, or the __repr__ of the types of your own"


def test_imports() -> None:
    """Python's own come first, then others', then the project's; names of one module together."""
    found = layout.imports(
        [
            "import blog.types",
            "from sqlalchemy.dialects import postgresql",
            "from alembic import op",
            "import sqlalchemy as sa",
            "from sqlalchemy.dialects import mysql",
            "import datetime",
            "import sqlalchemy as sa",
            "from decimal import Decimal",
        ],
        ["blog"],
    )

    assert found == dedent("""\
        import datetime
        from decimal import Decimal

        import sqlalchemy as sa
        from alembic import op
        from sqlalchemy.dialects import mysql, postgresql

        import blog.types""")


def test_an_import_that_is_none() -> None:
    """A line that is no import is refused before it becomes code."""
    with pytest.raises(AuthoringError) as error:
        layout.imports(["import os; os.system('x')"], [])

    assert str(error.value) == "\"import os; os.system('x')\" is no import"


texts = st.text(
    st.characters(max_codepoint=0x17F) | st.sampled_from("日本字\u200b\u2028"), max_size=30
)
leaves = st.one_of(
    texts.map(repr),
    st.binary(max_size=8).map(repr),
    st.integers().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["None", "True", "sa.Integer()", "-1"]),
)
words = st.sampled_from(["sa.Column", "op.f", "batch_op.create_index", "sa.text"])
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda f, a: f"{f}({', '.join(a)})", words, st.lists(inner, max_size=5)),
        st.builds(lambda f, a: f"{f}(name={a})", words, inner),
        st.builds(lambda a, b: f"sa.Enum({a}, 'b').with_variant({b}, 'x')", texts.map(repr), inner),
        st.lists(inner, max_size=4).map(lambda a: f"[{', '.join(a)}]"),
        st.builds(lambda a, b: f"{{{a}: {b}}}", texts.map(repr), inner),
    ),
    max_leaves=12,
)


def test_what_is_laid_out_says_the_same(tmp_path: Path) -> None:
    """Any operations keep their meaning, and a formatter has nothing to change."""
    bodies: list[str] = []

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(st.lists(expressions.map("op.execute({})".format), min_size=1, max_size=3))
    def lay(statements: list[str]) -> None:
        source = "\n".join(statements)
        body = layout.body(source)
        [block] = ast.parse(f"if 1:\n{body}").body
        assert isinstance(block, ast.If)
        assert [ast.dump(one) for one in block.body] == [
            ast.dump(one) for one in ast.parse(source).body
        ]
        bodies.append(body)

    lay()
    for number, body in enumerate(bodies):
        (tmp_path / f"b{number}.py").write_text(f"def upgrade() -> None:\n{body}\n", "utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ruff", "format", "--isolated", "--no-cache", "--diff", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
