"""Populate: `ptah-populate SETTINGS.ini`, and the same as a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ptah_migrate._cli.writing import populate_alone
from tests.cli.conftest import Run, WriteApp, includeme
from tests.helpers import PackageMaker, Result, contents, tables

STEPS = """
    def make(name):
        def step(registry):
            print("step", name)
        return step

    config.ptah_populate_step("users", make("users"), "Create the first user")
    config.ptah_populate_step("demo", make("demo"), "Demo data", active=False, requires=("users",))
    config.ptah_populate()
    config.ptah_migrate()
"""

LISTED = (
    "* ptah-db-schema: Create the tables and record their versions\n"
    "* users: Create the first user\n"
    "* demo: Demo data (inactive)\n"
)

MODELS = (
    "import sqlalchemy as sa\n\n"
    "metadata = sa.MetaData()\n"
    'posts = sa.Table("posts", metadata, sa.Column("id", sa.Integer, primary_key=True))\n'
)


@pytest.fixture(autouse=True)
def ini(write_app: WriteApp, make_package: PackageMaker, folder: Path) -> Path:
    """Write an application with steps, and a package whose first revision needs a table."""
    make_package(
        "blog",
        {"001": 'op.add_column("posts", sa.Column("title", sa.String(10)))'},
        files={"models.py": MODELS},
        init=includeme("blog").replace("'')", "'', metadata='blog.models:metadata')"),
    )
    return write_app(
        "blog", settings="sqlalchemy.url = sqlite:///%(here)s/app.sqlite\n", start=STEPS
    )


def alone(*words: str) -> Result:
    """Run the script `ptah-populate`."""
    result = CliRunner().invoke(populate_alone, words)
    return Result(result.exit_code, result.stdout, result.stderr)


def as_command(invoke_cli: Run) -> Callable[..., Result]:
    """Return what runs the command `populate` with words in the order of the script's."""
    return lambda settings, *words: invoke_cli(settings, "populate", *words)


@pytest.fixture(params=["ptah-populate SETTINGS.ini", "ptah-migrate SETTINGS.ini populate"])
def populate(request: pytest.FixtureRequest, invoke_cli: Run) -> Callable[..., Result]:
    """Return each of the two ways to populate."""
    return alone if request.param.startswith("ptah-populate") else as_command(invoke_cli)


def test_usage(populate: Callable[..., Result]) -> None:
    """With nothing named the usage is printed, and nothing happens."""
    result = populate("app.ini")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.partition("\n")[0] in (
        "Usage: ptah-populate [OPTIONS] SETTINGS.ini [STEP]...",
        "Usage: ptah-migrate populate [OPTIONS] [STEP]...",
    )
    assert not Path("app.sqlite").exists()


def test_list(populate: Callable[..., Result]) -> None:
    """-l lists every step as `* name: title`, with (inactive) for one that is not."""
    assert populate("app.ini", "-l") == Result(0, LISTED, "Using app.ini (given)\n")
    assert not Path("app.sqlite").exists()


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        pytest.param(["users"], ["users"], id="named"),
        pytest.param(["demo"], ["users", "demo"], id="inactive, with what it requires"),
        pytest.param(["demo", "users"], ["users", "demo"], id="once"),
    ],
)
def test_named(populate: Callable[..., Result], words: Sequence[str], ran: Sequence[str]) -> None:
    """A named step runs, even if inactive, after those it requires."""
    result = populate("app.ini", "-q", *words)

    assert result == Result(0, "".join(f"step {name}\npopulated {name}\n" for name in ran), "")


def test_all(populate: Callable[..., Result]) -> None:
    """-a runs all active steps, the schema first: tables are made, the head is recorded."""
    result = populate("app.ini", "-a", "-q")

    assert result == Result(
        0,
        "blog created 1 table: posts; seeded 001 (created 1 table)\nstep users\npopulated users\n",
        "",
    )


def test_all_again(populate: Callable[..., Result]) -> None:
    """A package that has its row is left as it is."""
    populate("app.ini", "-a")

    result = populate("app.ini", "ptah-db-schema")

    assert result.stdout == "blog is at 001 (head)\n"


def test_unknown_step(populate: Callable[..., Result]) -> None:
    """An unknown name is an error that lists the steps, and none runs."""
    assert populate("app.ini", "-q", "users", "user") == Result(
        1,
        "",
        "Error: no populate step is called 'user'\n"
        "hint: did you mean 'users'? known: demo, ptah-db-schema, users\n",
    )


def test_json(populate: Callable[..., Result]) -> None:
    """--json gives the steps that ran and what the schema step did; what they print is aside."""
    listed = json.loads(populate("app.ini", "-l", "--json").stdout)
    ran = populate("app.ini", "-a", "--json", "-q")
    result = json.loads(ran.stdout)

    assert listed["steps"][2] == {
        "name": "demo",
        "title": "Demo data",
        "active": False,
        "requires": ["users"],
    }
    done = result["done"][0]
    assert isinstance(done.pop("seconds"), float)
    assert result == {
        "version": 1,
        "done": [
            {
                "kind": "seeded",
                "package": "blog",
                "create": ["posts"],
                "before": [],
                "after": ["001"],
                "reason": "created 1 table",
            }
        ],
        "steps": ["ptah-db-schema", "users"],
    }
    assert ran.stderr == "step users\n"


def test_without_settings() -> None:
    """`ptah-populate` without settings says what is missing."""
    assert alone() == Result(
        2, "", "Error: missing argument 'SETTINGS.ini'\nhint: see: ptah-populate --help\n"
    )


def test_reading_does_not_populate(invoke_cli: Run) -> None:
    """Commands that load the application run none of its steps and no upgrade."""
    result = invoke_cli("app.ini", "current", "-q")

    assert result == Result(0, "Package 'blog' rev: None\n", "")
    assert not Path("app.sqlite").exists()


def test_upgrade_creates_tables(invoke_cli: Run, folder: Path) -> None:
    """`upgrade` creates the missing tables of the models first, and runs no other step."""
    result = invoke_cli("app.ini", "upgrade", "-q")

    engine = sa.create_engine(f"sqlite:///{folder}/app.sqlite")
    assert result == Result(0, "blog created 1 table: posts; seeded 001 (created 1 table)\n", "")
    assert "posts" in tables(engine)
    assert contents(engine) == {"posts": []}
    engine.dispose()
