"""The three commands of the README, as a newcomer types them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.helpers import Command, Database, Result, rows, tree

LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)
SECONDS = re.compile(r"\(\d+\.\d\d s\)")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an empty folder with a name that a package can have."""
    found = tmp_path / "blog"
    found.mkdir()
    return found


def plain(result: Result) -> Result:
    """Return what a run left without times of day and durations."""
    return Result(
        result.exit_code,
        SECONDS.sub("(0.00 s)", result.stdout),
        LOGGED.sub("", result.stderr),
    )


def test_three_commands(run_cli: Command, project: Path) -> None:
    """In an empty directory init, revision, upgrade and status work one after the other."""
    using = f"Using database sqlite:///{project}/blog.sqlite (from pyproject.toml)\n"

    found = [
        plain(run_cli(*words, cwd=project))
        for words in (
            ["init"],
            ["revision", "-r", "001", "-m", "Add column"],
            ["upgrade"],
            ["status"],
        )
    ]

    assert found == [
        Result(
            0,
            "created .gitignore\n"
            "created README.md\n"
            "created pyproject.toml\n"
            "created src/blog/__init__.py\n"
            "created src/blog/migrations/__init__.py\n"
            "created src/blog/py.typed\n"
            "created tests/test_migrations.py\n"
            "created .ptah-migrate.json\n",
            'next: ptah-migrate revision blog -m "Create the first table"\n',
        ),
        Result(0, f"Generating {project}/src/blog/migrations/001.py...done\n", ""),
        Result(
            0,
            "blog None -> 001 (0.00 s)\n",
            f"{using}INFO  [ptah.alembic] blog: running upgrade None -> 001, Add column\n"
            "WARNI [ptah.alembic] blog: 001 is not written yet, it is recorded as applied "
            f"all the same ({project}/src/blog/migrations/001.py)\n",
        ),
        Result(
            0,
            "package  current  head  pending  state    how\n"
            "blog     001      001   0        current  run\n",
            using,
        ),
    ]


def test_from_below(
    folder: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The commands work from a sub-folder of the project as well, on the same files."""
    invoke_cli("init", "blog")
    below = folder / "src" / "blog"
    monkeypatch.chdir(below)
    caplog.set_level(logging.INFO, "ptah.alembic")

    found = [
        plain(invoke_cli(*words))
        for words in (
            ["revision", "-m", "Add column"],
            ["upgrade"],
            ["downgrade", "blog:base"],
            ["-q", "upgrade"],
        )
    ]

    using = f"Using database sqlite:///{folder}/blog.sqlite (from pyproject.toml)\n"
    assert found == [
        Result(0, f"Generating {below}/migrations/001.py...done\n", ""),
        Result(0, "blog None -> 001 (0.00 s)\n", using),
        Result(0, "blog 001 -> None (0.00 s)\n", using),
        Result(0, "blog None -> 001 (0.00 s)\n", ""),
    ]
    logged = [record for record in caplog.records if record.name == "ptah.alembic"]
    assert [one.getMessage() for one in logged if one.levelno == logging.INFO][:2] == [
        "blog: running upgrade None -> 001, Add column",
        "blog: running downgrade 001 -> None, Add column",
    ]


def test_any_database(folder: Path, invoke_cli: Run, database: Database) -> None:
    """The project's package goes up and down on any database that --url names."""
    invoke_cli("init", "blog")
    invoke_cli("revision", "-r", "001", "-m", "Add column")

    up = plain(invoke_cli("upgrade", "--url", database.url))
    upgraded = rows(database.engine)
    down = plain(invoke_cli("--url", database.url, "downgrade", "blog:base"))

    using = f"Using database {database.engine.url} (given)\n"
    assert up == Result(0, "blog None -> 001 (0.00 s)\n", using)
    assert upgraded == {("blog", "001")}
    assert down == Result(0, "blog 001 -> None (0.00 s)\n", using)
    assert rows(database.engine) == set()
    assert not (folder / "blog.sqlite").exists()


def test_init_again(folder: Path, invoke_cli: Run) -> None:
    """A second init changes nothing and says so."""
    invoke_cli("init", "blog")
    before = tree(folder)

    result = invoke_cli("init", "blog")

    assert result == Result(0, "blog has its migrations: nothing to do\n", "")
    assert tree(folder) == before


def test_init_dry_run(folder: Path, invoke_cli: Run) -> None:
    """A dry run of init says what would be written, and writes nothing."""
    result = invoke_cli("init", "shop", "--dry-run")

    assert result == Result(
        0,
        "would create .gitignore\n"
        "would create README.md\n"
        "would create pyproject.toml\n"
        "would create src/shop/__init__.py\n"
        "would create src/shop/migrations/__init__.py\n"
        "would create src/shop/py.typed\n"
        "would create tests/test_migrations.py\n"
        "would create .ptah-migrate.json\n",
        "",
    )
    assert tree(folder) == {}


def test_init_of_a_package(folder: Path, invoke_cli: Run) -> None:
    """Init of an existing package says what it edited, and what is left to a person."""
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").write_text("x = 1\n")

    result = invoke_cli("init", "shop")

    assert result == Result(
        0,
        "created shop/migrations/__init__.py\n"
        "created tests/test_migrations.py\n"
        "kept shop/__init__.py\n"
        "edited pyproject.toml\n"
        "created .ptah-migrate.json\n",
        "to do: shop/__init__.py: it has no includeme; "
        "a Pyramid application needs in its includeme(config):\n"
        'config.include(".migrations")\n'
        'next: ptah-migrate revision shop -m "Create the first table"\n',
    )
