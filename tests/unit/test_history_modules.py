"""One revision file becomes a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ptah_migrate._history import modules
from ptah_migrate.errors import RevisionFileError


def test_two_packages_with_one_id(tmp_path: Path) -> None:
    """Two files of the same name are two modules."""
    for name in ("blog", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "001.py").write_text(f"who = {name!r}\n", encoding="utf-8")

    blog = modules.load(tmp_path / "blog" / "001.py", "blog")
    shop = modules.load(tmp_path / "shop" / "001.py", "shop")

    assert (blog.who, shop.who) == ("blog", "shop")
    assert sys.modules[blog.__name__] is blog
    assert sys.modules[shop.__name__] is shop


def test_a_name_that_is_no_identifier(tmp_path: Path) -> None:
    """Dots, spaces and digits in a file name do not matter."""
    path = tmp_path / "v3.0.0.a - début.py"
    path.write_text("x = 1\n", encoding="utf-8")

    assert modules.load(path, "blog").x == 1


def test_classes_that_look_themselves_up(tmp_path: Path) -> None:
    """Dataclasses with postponed annotations work (alembic#1419), and pickle finds them."""
    path = tmp_path / "001.py"
    path.write_text(
        "from __future__ import annotations\n"
        "import pickle\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "@dataclass\n"
        "class A:\n"
        "    y: ClassVar[int] = 2\n"
        "    x: int = 1\n"
        "copied = pickle.loads(pickle.dumps(A()))\n",
        encoding="utf-8",
    )

    assert modules.load(path, "blog").copied.x == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "import no_such_module", ":1: cannot be imported: ModuleNotFound", id="import"
        ),
        pytest.param("\n\n1 / 0", ":3: cannot be imported: ZeroDivisionError", id="an error"),
        pytest.param("import sys\nsys.exit(2)", ":2: cannot be imported: SystemExit: 2", id="exit"),
        pytest.param("x = (", ":1: syntax error: '(' was never closed", id="syntax"),
        pytest.param("import json\njson.loads('{')", ":2: cannot be imported: JSON", id="deeper"),
        pytest.param(
            "raise ValueError('a\\nb')", ":1: cannot be imported: ValueError: a b", id="lines"
        ),
    ],
)
def test_what_an_import_raises(tmp_path: Path, source: str, message: str) -> None:
    """Whatever a file raises is our error: file, line in that file, one line of words."""
    path = tmp_path / "001.py"
    path.write_text(source, encoding="utf-8")
    before = set(sys.modules)

    with pytest.raises(RevisionFileError) as caught:
        modules.load(path, "blog")

    assert caught.value.message.startswith(f"{path}{message}")
    assert "\n" not in caught.value.message
    assert not [name for name in set(sys.modules) - before if "revision" in name]


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """A file that went away between reading and running is our error."""
    with pytest.raises(RevisionFileError, match="cannot be imported: FileNotFoundError"):
        modules.load(tmp_path / "001.py", "blog")
