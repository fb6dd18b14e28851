"""The shape of the house: what loads what, and which names are public."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ptah_migrate
from tests.helpers import Command

CHECKOUT = Path(__file__).parents[2]

# What loads only where it is used, because of its cost: milliseconds of CPU that
# it adds to a start of 50.
HEAVY = {"alembic": 400, "copier": 370, "sqlalchemy": 230, "pyramid": 200, "jinja2": 50, "rich": 40}

IMPORT = """
import json, sys, ptah_migrate
print("modules:", json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

RUN = """
import json, runpy, sys
sys.argv = ["ptah-migrate", *json.loads(sys.argv[1])]
try:
    runpy.run_module("ptah_migrate", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("modules:", json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded_by(code: str, *args: str, cwd: Path) -> set[str]:
    """Run code in a new interpreter and return the modules of ``HEAVY`` it then has."""
    return HEAVY.keys() & modules_of(code, *args, cwd=cwd)


def modules_of(code: str, *args: str, cwd: Path) -> set[str]:
    """Run code in a new interpreter and return the modules it then has."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd,
        env=Command(cwd).environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.rpartition("modules:")[2]))


def test_import_is_light(tmp_path: Path) -> None:
    """Importing ptah_migrate loads no library that takes time."""
    assert loaded_by(IMPORT, cwd=tmp_path) == set()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["--version"], id="version"),
        pytest.param(["upgrade", "--help"], id="help of a command"),
    ],
)
def test_help_is_light(tmp_path: Path, words: list[str]) -> None:
    """Help, and with it the completion of words, loads no library that takes time."""
    assert loaded_by(RUN, json.dumps(words), cwd=tmp_path) == set()


def test_one_command_loads_no_other(tmp_path: Path) -> None:
    """A command loads the module it is in; those of the others are loaded for the list of all."""
    others = {f"ptah_migrate._cli.{name}" for name in ("authoring", "packages", "scaffolding")}

    assert not others & modules_of(RUN, json.dumps(["upgrade", "--help"]), cwd=tmp_path)
    assert others <= modules_of(RUN, json.dumps(["--help"]), cwd=tmp_path)


def test_a_revision_file_is_light(tmp_path: Path) -> None:
    """A revision file of our own template is written without the library of templates."""
    folder = tmp_path / "src/blog/migrations"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'blog'\nversion = '1'\n"
        "[project.entry-points.ptah_migrate]\nblog = 'blog:migrations'\n"
    )
    (folder.parent / "__init__.py").touch()

    assert loaded_by(RUN, json.dumps(["revision", "-m", "First"]), cwd=tmp_path) == set()
    assert [path.name for path in folder.iterdir()] == ["001.py"]


@pytest.mark.parametrize("name", ptah_migrate.__all__)
def test_public_name(name: str) -> None:
    """Every public name is there, and is offered."""
    assert getattr(ptah_migrate, name) is not None
    assert name in dir(ptah_migrate)


def test_unknown_name() -> None:
    """A name that is not public is missing like any attribute."""
    with pytest.raises(AttributeError, match="has no attribute 'upgrad'"):
        _ = ptah_migrate.upgrad


def test_architecture() -> None:
    """The contracts of the layers, and of each library's one door, are kept."""
    pytest.importorskip("importlinter", reason="import-linter comes with the extra 'dev'")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    done = subprocess.run(
        [sys.executable, "-c", code, "--no-logo", "--no-cache"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
