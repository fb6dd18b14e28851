"""One line goes into other people's files, and nothing else changes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring import edits

BOM = b"\xef\xbb\xbf"
INCLUDEME = b"""\
\"\"\"A blog.\"\"\"
from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.include("pyramid_jinja2")
    if config.registry:
        config.scan()


def main(settings):
    pass
"""


def include(source: bytes) -> edits.Edit:
    """Insert the line into the ``__init__.py`` of a package ``blog``."""
    return edits.include(source, "blog", ".migrations")


def test_one_line_is_added() -> None:
    """The line stands at the end of the function, with its indentation."""
    edit = include(INCLUDEME)

    assert edit.added == '    config.include(".migrations")\n'
    assert edit.content == INCLUDEME.replace(
        b"        config.scan()\n",
        b'        config.scan()\n    config.include(".migrations")\n',
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            b"def includeme(config):\r\n    config.scan()\r\n",
            b'def includeme(config):\r\n    config.scan()\r\n    config.include(".migrations")\r\n',
            id="CRLF",
        ),
        pytest.param(
            b"def includeme(c):\n\tc.scan()",
            b'def includeme(c):\n\tc.scan()\n\tc.include(".migrations")',
            id="tabs, another name, no newline at the end",
        ),
        pytest.param(
            BOM + b"def includeme(config):\n  pass\n",
            BOM + b'def includeme(config):\n  pass\n  config.include(".migrations")\n',
            id="BOM",
        ),
        pytest.param(
            b"def includeme(config):\r    pass\r",
            b'def includeme(config):\r    pass\r    config.include(".migrations")\r',
            id="CR",
        ),
        pytest.param(
            b'def includeme(config):\n    """Do."""\n\n\nx = 1',
            b'def includeme(config):\n    """Do."""\n    config.include(".migrations")\n\n\nx = 1',
            id="docstring only",
        ),
        pytest.param(
            b"def includeme(config):\n    a(); b()  # both\n    # the end\n",
            b'def includeme(config):\n    a(); b()  # both\n    config.include(".migrations")\n'
            b"    # the end\n",
            id="comments",
        ),
        pytest.param(
            b"def includeme(config):\n    x = '''\ntext\n    '''\ny = 1\n",
            b"def includeme(config):\n    x = '''\ntext\n    '''\n"
            b'    config.include(".migrations")\ny = 1\n',
            id="text over lines",
        ),
        pytest.param(
            b"def includeme(config):\n    if x:\n        return\n    f(\n        1,\n    )\n",
            b"def includeme(config):\n    if x:\n        return\n    f(\n        1,\n    )\n"
            b'    config.include(".migrations")\n',
            id="early return",
        ),
        pytest.param(
            b"from .a import *\n@deco\ndef includeme(config, /, x=1):\n    pass\n",
            b"from .a import *\n@deco\ndef includeme(config, /, x=1):\n    pass\n"
            b'    config.include(".migrations")\n',
            id="decorated, behind a star import",
        ),
        pytest.param(
            b"# -*- coding: latin-1 -*-\n# \xe9\ndef includeme(config):\n    pass\n",
            b"# -*- coding: latin-1 -*-\n# \xe9\ndef includeme(config):\n    pass\n"
            b'    config.include(".migrations")\n',
            id="another encoding",
        ),
    ],
)
def test_the_file_keeps_its_ways(before: bytes, after: bytes) -> None:
    """Line ends, indentation, encoding and the end of the file stay as they are."""
    assert include(before).content == after


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("async def includeme(c):\n    pass", "is async", id="async"),
        pytest.param("includeme = lambda c: None", "is not a plain function", id="lambda"),
        pytest.param("class includeme:\n    pass", "is not a plain function", id="class"),
        pytest.param("def includeme(c): pass", "is written on one line", id="one line"),
        pytest.param("def includeme(\n  c): c.scan(); c.x()", "is written on one line", id="one"),
        pytest.param(
            "def includeme(c):\n    pass\ndef includeme(c):\n    pass",
            "has several definitions",
            id="several",
        ),
        pytest.param(
            "def includeme(c):\n    pass\ndel includeme", "has several definitions", id="deleted"
        ),
        pytest.param(
            "if x:\n    def includeme(c):\n        pass", "inside another statement", id="condition"
        ),
        pytest.param(
            "class A:\n    def includeme(c):\n        pass", "inside another statement", id="method"
        ),
        pytest.param("from .x import includeme", "imports includeme", id="imported"),
        pytest.param("from .x import y as includeme", "imports includeme", id="imported as"),
        pytest.param("from .x import *", "imports includeme, or everything", id="star"),
        pytest.param(
            "def includeme(c):\n    pass\nfrom .x import *",
            "has several definitions",
            id="star last",
        ),
        pytest.param("def includeme(c):\n    return c", "ends with return", id="return"),
        pytest.param("def includeme(c):\n    raise X", "ends with return or raise", id="raise"),
        pytest.param("def includeme(c):\n    yield", "is a generator", id="generator"),
        pytest.param("def includeme():\n    pass", "takes no argument", id="no argument"),
        pytest.param("def includeme(*c):\n    pass", "takes no argument", id="star argument"),
        pytest.param(
            "def includeme(c):\n    c = c.other", "gives 'c' another value", id="another value"
        ),
        pytest.param("def includeme(c:\n", "cannot be parsed", id="syntax"),
        pytest.param("\0", "cannot be parsed", id="NUL"),
        pytest.param("import os\nx = 1", "it has no includeme", id="none"),
    ],
)
def test_unsure_is_left_alone(source: str, reason: str) -> None:
    """A file that is not one of the plain kind stays as it is, and the reason is told."""
    edit = include(source.encode())

    assert reason in edit.refused
    assert (edit.content, edit.added) == (source.encode(), "")


@pytest.mark.parametrize("call", ['".migrations"', "'blog.migrations'"])
def test_the_line_is_there(call: str) -> None:
    """A function that includes the migrations already is not changed."""
    source = (
        f"def includeme(config):\n    if x:\n        config.include({call})\n    return 1".encode()
    )

    assert include(source) == edits.Edit(source)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(BOM, BOM, id="BOM"),
        pytest.param(b'"""A blog."""\n', b'"""A blog."""\n\n', id="docstring"),
        pytest.param(b'__version__ = "1"\n', b'__version__ = "1"\n\n', id="version"),
        pytest.param(
            b"from __future__ import annotations\n# end\n",
            b"from __future__ import annotations\n# end\n\n",
            id="future",
        ),
    ],
)
def test_a_module_that_says_nothing(before: bytes, after: bytes) -> None:
    """An empty package gets a small function of its own."""
    edit = include(before)

    assert edit.content == after + (
        b"from typing import Any\n"
        b"\n"
        b"\n"
        b"def includeme(config: Any) -> None:\n"
        b'    """Add this package to a Pyramid application."""\n'
        b'    config.include(".migrations")\n'
    )
    assert include(edit.content) == edits.Edit(edit.content)


def test_a_function_in_a_file_of_another_kind() -> None:
    """A new function follows the line ends of the file, and its missing last newline."""
    edit = include(b'"""One."""\r\n"""Two."""')

    assert edit.content.startswith(b'"""One."""\r\n"""Two."""\r\n\r\nfrom typing import Any\r\n')
    assert edit.content.endswith(b'config.include(".migrations")')
    assert b"\n" not in edit.content.replace(b"\r\n", b"")


statements = st.sampled_from(
    [
        "pass",
        "config.scan()",
        "# comment",
        "",
        "x = '''\n  a\n'''",
        "if x:\n{i}{i}y = 1",
        "f(\n1,\n)",
        "def g():\n{i}{i}return 1",
        "é = 'ü'",
        "return_ = 1",
        "x = 1; y = 2",
        'config.include("other")',
        "for a in b:\n{i}{i}continue\n{i}else:\n{i}{i}pass",
    ]
)
around = st.lists(
    st.sampled_from(
        ["", "# comment", "x = 1", "import os", "def main(config):\n    return 1", '"""a\nb"""']
    ),
    max_size=4,
)


@given(
    around,
    st.lists(statements, min_size=1, max_size=5),
    around,
    st.sampled_from(["    ", "\t", "  "]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_exactly_one_line_whatever_the_file(
    head: list[str],
    body: list[str],
    tail: list[str],
    indent: str,
    newline: str,
    bom: bool,
    end: bool,
) -> None:
    """The new file is the old one and one line; without it, it is the old one again."""
    inner = [indent + line.format(i=indent) if line else "" for line in [*body, "last = 1"]]
    text = "\n".join([*head, "def includeme(config):", *inner, *tail]) + ("\n" if end else "")
    source = BOM * bom + text.replace("\n", newline).encode()

    edit = include(source)

    assert edit.refused == ""
    assert edit.added.strip() == 'config.include(".migrations")'
    assert edit.content.count(edit.added.encode()) == 1
    assert edit.content.replace(edit.added.encode(), b"") == source
    assert include(edit.content) == edits.Edit(edit.content)


# -- pyproject.toml ------------------------------------------------------------------

ENTRY = '[project.entry-points.ptah_migrate]\nblog = "blog.migrations"\n'


def entry(text: str) -> edits.Edit:
    """Add the entry point of a package ``blog``."""
    return edits.entry_point(text.encode(), "blog", "blog.migrations")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            '[project]\nname = "blog"\n',
            '[project]\nname = "blog"\n\n' + ENTRY,
            id="at the end",
        ),
        pytest.param(
            '[project]\nname = "blog"\n\n[project.urls]\na = "b"\n\n# tools\n[tool.x]\ny = 1\n',
            '[project]\nname = "blog"\n\n[project.urls]\na = "b"\n\n'
            + ENTRY
            + "\n# tools\n[tool.x]\ny = 1\n",
            id="behind the project's tables",
        ),
        pytest.param(
            '[project]\nname = "blog"\n[tool.x]\ny = 1\n',
            '[project]\nname = "blog"\n\n' + ENTRY + "\n[tool.x]\ny = 1\n",
            id="between tables",
        ),
        pytest.param(
            '[project]\nname = "b"\n\n[project.entry-points.ptah_migrate]\na = "a.m"\n\n[z]\n',
            '[project]\nname = "b"\n\n[project.entry-points.ptah_migrate]\na = "a.m"\n'
            'blog = "blog.migrations"\n\n[z]\n',
            id="into the table",
        ),
        pytest.param(
            '[project]\nname = "b"\n[ project . "entry-points" . ptah_migrate ] # ours\n',
            '[project]\nname = "b"\n[ project . "entry-points" . ptah_migrate ] # ours\n'
            'blog = "blog.migrations"\n',
            id="into an empty table",
        ),
        pytest.param(
            '[project]\nname = "b"\ndescription = """\n[project.entry-points.ptah_migrate]\n"""\n',
            '[project]\nname = "b"\ndescription = """\n[project.entry-points.ptah_migrate]\n"""\n\n'
            + ENTRY,
            id="what looks like the table",
        ),
        pytest.param(
            '[project]\nname = "b"\n\n[project.entry-points.other]\na = "b"',
            '[project]\nname = "b"\n\n[project.entry-points.other]\na = "b"\n\n' + ENTRY[:-1],
            id="no newline at the end",
        ),
        pytest.param(
            'project.name = "b"\n',
            'project.name = "b"\n\n' + ENTRY,
            id="dotted keys",
        ),
    ],
)
def test_the_entry_point_is_added(before: str, after: str) -> None:
    """The lines go where they belong, and the rest of the document stays."""
    edit = entry(before)

    assert edit.content.decode() == after


def test_a_windows_file() -> None:
    """CRLF and a byte order mark are kept."""
    source = BOM + b'[project]\r\nname = "b"\r\n'

    edit = edits.entry_point(source, "blog", "blog.migrations")

    assert edit.content == source + b"\r\n" + ENTRY.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("value", ["blog.migrations", "blog:migrations"])
def test_the_entry_point_is_there(value: str) -> None:
    """A file that has the entry point, in either form, is not changed."""
    source = f'[project.entry-points]\nptah_migrate = {{blog = "{value}"}}\n'

    assert entry(source) == edits.Edit(source.encode())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param('[tool.poetry]\nname = "b"', "it has no [project] table", id="poetry"),
        pytest.param(
            '[project]\ndynamic = ["entry-points"]', "its entry points are dynamic", id="dynamic"
        ),
        pytest.param(
            '[project.entry-points.ptah_migrate]\nblog = "other"',
            "it has another entry point 'blog'",
            id="another value",
        ),
        pytest.param(
            "[project.entry-points]\nptah_migrate = {a = 'b'}",
            "the lines cannot be added safely",
            id="inline table",
        ),
        pytest.param(
            "[project]\nentry-points = {}", "the lines cannot be added safely", id="inline tables"
        ),
        pytest.param(
            "[project]\nentry-points = 1", "its entry-points is not a table", id="not a table"
        ),
        pytest.param("[project\n", "it is not TOML", id="broken"),
    ],
)
def test_an_entry_point_not_ours_to_write(source: str, reason: str) -> None:
    """A file that cannot be edited safely stays as it is, and the reason is told."""
    edit = entry(source)

    assert edit.refused.startswith(reason)
    assert edit.content == source.encode()


def test_a_dotted_name_is_quoted() -> None:
    """A package in a namespace has a key with a dot in it, not a table in a table."""
    edit = edits.entry_point(b"[project]\n", "acme.blog", "acme.blog.migrations")

    document = tomllib.loads(edit.content.decode())
    assert document["project"]["entry-points"]["ptah_migrate"] == {
        "acme.blog": "acme.blog.migrations"
    }


sections = st.lists(
    st.sampled_from(
        [
            '[project.urls]\nx = "y"',
            "[project.entry-points.z]\na = 'b'",
            "# comment\n",
            "[[tool.a]]\nx = 1",
            "[[tool.a]]\nx = 2",
            "[tool.b]\ny = [\n  1,\n  # c\n]",
            "[tool.c]\nt = '''\n[x]\n'''",
            "[project.entry-points.ptah_migrate]\nother = 'other.migrations'",
            "[[project.authors]]\nname = 'é'",
        ]
    ),
    max_size=5,
    unique_by=lambda text: text.split("]")[0] if not text.startswith(("[[", "#")) else text,
)


@given(sections, sections, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_only_the_entry_point_is_new(
    before: list[str], after: list[str], newline: str, end: bool, bom: bool
) -> None:
    """Whatever else the document says, it says the same afterwards, and one entry more."""
    after = [section for section in after if section not in before]
    text = "\n".join([*before, '[project]\nname = "b"', *after]) + ("\n" if end else "")
    source = BOM * bom + text.replace("\n", newline).encode()

    edit = edits.entry_point(source, "blog", "blog.migrations")

    assert edit.refused == ""
    assert edit.content.replace(edit.added.encode(), b"", 1) == source
    old, new = _loads(source), _loads(edit.content)
    assert new["project"]["entry-points"]["ptah_migrate"].pop("blog") == "blog.migrations"
    assert _without_empty(new) == _without_empty(old)


def _loads(source: bytes) -> dict[str, Any]:
    return tomllib.loads(source.removeprefix(BOM).decode())


def _without_empty(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    found = {key: _without_empty(value) for key, value in document.items()}
    return {key: value for key, value in found.items() if value != {}}
