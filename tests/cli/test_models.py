"""What `diff` and `check --models` print, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.conftest import Run
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows

MODELS = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String(200), nullable=False)
"""

REGISTER = """
def includeme(config):
    config.register_migration({name!r}, "{name}:migrations", metadata="{name}.models:Base.metadata",
                              fresh="steps")
"""


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> PackageOnDisk:
    """Install a package whose revision makes more, less, and something else than its models say."""
    made = make_package("blog", files={"models.py": MODELS})
    made.add("__init__.py", REGISTER.format(name="blog"))
    made.add(
        "001.py",
        revision_source(
            "001",
            upgrade=dedent("""
                op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("title", sa.String(200)), sa.Column("author", sa.Text))
                op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))
            """),
        ),
    )
    made.install()
    return made


def agree(blog: PackageOnDisk) -> None:
    """Write the revision that ends the difference."""
    blog.add(
        "002.py",
        revision_source(
            "002",
            "001",
            upgrade=dedent("""
                op.drop_table("tags")
                with op.batch_alter_table("posts") as posts:
                    posts.drop_column("author")
                    posts.alter_column("title", existing_type=sa.String(200), nullable=False)
            """),
        ),
    )


def test_diff(database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """Each difference is one line, with the side that has it; nothing fails."""
    invoke_cli("--url", database.url, "upgrade")

    result = invoke_cli("-q", "--url", database.url, "diff")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "blog\n"
        "  ~ column posts.title has nullable True, not False\n"
        "  - column posts.author\n"
        "  - table tags\n"
    )


def test_check_models_that_differ(database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """Drift exits with 3, in words, with the command that writes the revision."""
    invoke_cli("--url", database.url, "upgrade")

    result = invoke_cli("-q", "--url", database.url, "check", "--models", "blog")

    assert result.exit_code == 3
    assert result.stdout == (
        "blog: column posts.title has nullable True, not False\n"
        "blog: unexpected column posts.author\n"
        "blog: unexpected table tags\n"
    )
    assert result.stderr == "hint: run: ptah-migrate revision blog --autogenerate\n"


def test_check_models_as_json(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """The differences are values of JSON, for each package."""
    invoke_cli("--url", sqlite_database.url, "upgrade")

    result = invoke_cli("-q", "--json", "--url", sqlite_database.url, "check", "--models")

    assert result.exit_code == 3
    found = json.loads(result.stdout)["models"]["blog"]
    assert found[1] == {
        "table": "posts",
        "kind": "remove_column",
        "side": "database",
        "words": "unexpected column posts.author",
    }
    assert [one["side"] for one in found] == ["both", "database", "database"]


def test_models_that_agree(database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """Where nothing differs both commands say so."""
    agree(blog)
    invoke_cli("--url", database.url, "upgrade")

    for words in (("diff",), ("check", "--models"), ("check", "--models", "--offline")):
        result = invoke_cli("-q", "--url", database.url, *words)
        assert (result.exit_code, result.stdout) == (0, "models and database agree: blog\n")


def test_a_database_that_is_behind(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """`check` names the command that comes first; `diff` goes on with a warning."""
    agree(blog)
    invoke_cli("-q", "--url", sqlite_database.url, "upgrade", "blog:001")

    checked = invoke_cli("-q", "--url", sqlite_database.url, "check", "--models")
    shown = invoke_cli("-q", "--url", sqlite_database.url, "diff")

    assert (checked.exit_code, checked.stdout) == (3, "")
    assert checked.stderr == (
        "Error: migrations are pending: blog is at 001, head is 002\n"
        "hint: run: ptah-migrate upgrade blog\n"
    )
    assert shown.exit_code == 0
    assert shown.stderr == (
        "Warning: blog is at 001, head is 002\nhint: its revisions are not counted in\n"
    )


def test_offline_needs_no_settings(blog: PackageOnDisk, invoke_cli: Run) -> None:
    """Without settings the revisions are replayed on SQLite, and that is said."""
    agree(blog)

    result = invoke_cli("check", "--models", "--offline")

    assert result.exit_code == 0
    assert result.stderr.startswith("Using a scratch database on SQLite\n")


def test_offline_leaves_the_named_database_alone(
    database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """Of the named database only the kind, and the server, are taken; it is not said to be used."""
    agree(blog)

    result = invoke_cli("--url", database.url, "diff", "--offline")

    assert result.exit_code == 0
    assert database.url.rpartition("/")[2] not in result.stderr
    assert rows(database.engine) == set()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(("--models", "--files"), "--models goes alone", id="files"),
        pytest.param(("--offline",), "--offline goes with --models", id="offline"),
    ],
)
def test_words_that_do_not_go_together(
    blog: PackageOnDisk, invoke_cli: Run, words: tuple[str, ...], error: str
) -> None:
    """Options that mean nothing together are wrong usage."""
    result = invoke_cli("--url", "sqlite://", "check", *words)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {error}\n")


def test_models_that_cannot_be_imported(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """Models that cannot be imported are one clear line."""
    (blog.directory / "models.py").write_text("import nowhere_to_be_found\n")

    result = invoke_cli("-q", "--url", sqlite_database.url, "diff")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: the models of package 'blog', 'blog.models:Base.metadata', cannot be imported: "
        "ModuleNotFoundError: No module named 'nowhere_to_be_found'\n"
        "hint: correct the name, or the module it names\n"
    )


def test_no_models(
    sqlite_database: Database, folder: Path, make_package: PackageMaker, invoke_cli: Run
) -> None:
    """Where no package has models, that is said."""
    make_package("plain", {"001": "pass"}).install()

    result = invoke_cli("-q", "--url", sqlite_database.url, "diff")

    assert result.exit_code == 0
    assert result.stderr == (
        "Warning: no package registers models\n"
        "hint: register metadata='blog.models:Base.metadata'\n"
    )
