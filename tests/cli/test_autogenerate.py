"""What `revision --autogenerate` prints, asks, writes, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from ptah_migrate._cli import autogenerating
from tests.cli.conftest import Run
from tests.helpers import Database, PackageMaker, PackageOnDisk, forget

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
    config.register_migration({name!r}, "{name}:migrations", metadata="{name}.models:Base.metadata")
"""


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> PackageOnDisk:
    """Install a package with one model and no revision."""
    return installed(make_package, "blog", MODELS)


def installed(make_package: PackageMaker, name: str, models: str) -> PackageOnDisk:
    made = make_package(name, files={"models.py": models})
    made.add("__init__.py", REGISTER.format(name=name))
    made.install()
    return made


def edit(package: PackageOnDisk, old: str, new: str) -> None:
    """Change the models, as an author does between two calls."""
    path = package.directory / "models.py"
    path.write_text(path.read_text().replace(old, new))
    forget(package.name)


def test_a_revision_and_then_none(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """The first call writes a file and says what was found; after an upgrade there is nothing."""
    first = invoke_cli("--url", sqlite_database.url, "revision", "blog", "--autogenerate")
    invoke_cli("--url", sqlite_database.url, "upgrade")
    second = invoke_cli("-q", "--url", sqlite_database.url, "revision", "blog", "--autogenerate")

    assert first.exit_code == 0
    assert first.stdout == f"Generating {blog.migrations / '001.py'}...done\n"
    assert first.stderr.endswith("\nblog: detected missing table posts\n")
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout == "blog: the models and the database agree; nothing was written\n"
    assert not (blog.migrations / "002.py").exists()


def test_as_json(sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """The revisions, what was found, and who needs none are values of JSON."""
    result = invoke_cli(
        "-q", "--json", "--url", sqlite_database.url, "revision", "blog", "--autogenerate"
    )

    path = blog.migrations / "001.py"
    assert json.loads(result.stdout) == {
        "version": 1,
        "revisions": [
            {
                "package": "blog",
                "revision": "001",
                "down_revision": [],
                "path": str(path),
                "template": "",
                "changes": ["missing table posts"],
                "notes": [],
                "source": path.read_text(),
            }
        ],
        "agreed": [],
        "dry_run": False,
    }


def test_dry_run(sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """The file is shown and not written."""
    words = ("revision", "blog", "--autogenerate")
    result = invoke_cli("-q", "--url", sqlite_database.url, *words, "--dry-run")

    path = blog.migrations / "001.py"
    assert result.exit_code == 0
    assert not path.exists()
    invoke_cli("-q", "--url", sqlite_database.url, *words)
    assert result.stdout == f"Would generate {path}\n{path.read_text()}"


def test_offline(blog: PackageOnDisk, invoke_cli: Run) -> None:
    """No database is needed: the revisions are replayed into a scratch one, behind or not."""
    invoke_cli("-q", "revision", "blog", "--autogenerate", "--offline")
    edit(blog, "title =", "body = sa.Column(sa.Text)\n    title =")

    result = invoke_cli("revision", "blog", "--autogenerate", "--offline")

    assert (result.exit_code, result.stderr) == (
        0,
        "Using a scratch database on SQLite\nblog: detected missing column posts.body\n",
    )
    assert '"""Add posts.body"""' in (blog.migrations / "002.py").read_text()


def test_all(
    sqlite_database: Database, blog: PackageOnDisk, make_package: PackageMaker, invoke_cli: Run
) -> None:
    """Every package gets its own file, in the order in which they need each other."""
    shared = "from blog.models import Base\nimport sqlalchemy as sa\n"
    answers = (
        "\n\nclass Answer(Base):\n    __tablename__ = 'answers'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n"
        "    post_id = sa.Column(sa.ForeignKey('posts.id'))\n"
    )
    early = installed(make_package, "answers", shared + answers)

    result = invoke_cli("-q", "--url", sqlite_database.url, "revision", "--autogenerate", "--all")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"Generating {blog.migrations / '001.py'}...done\n"
        f"Generating {early.migrations / '001.py'}...done\n"
    )
    assert 'requires = ("blog:001",)' in (early.migrations / "001.py").read_text()


def test_nobody_is_asked_without_a_terminal(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """What a person would be asked is decided, with a warning that says how."""
    words = ("-q", "--url", sqlite_database.url)
    invoke_cli(*words, "revision", "blog", "--autogenerate")
    invoke_cli(*words, "upgrade")
    edit(blog, "title =", "headline =")

    result = invoke_cli(*words, "revision", "blog", "--autogenerate")

    assert result.stderr == (
        "Warning: blog: posts.title is dropped and posts.headline added; "
        "if it was renamed: --rename posts.title:headline\n"
        "Warning: blog: posts.headline is '' in existing rows\n"
    )


def test_rename_told(sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run) -> None:
    """A rename may be told; one that cannot be is refused, and nothing written."""
    words = ("-q", "--url", sqlite_database.url)
    invoke_cli(*words, "revision", "blog", "--autogenerate")
    invoke_cli(*words, "upgrade")
    edit(blog, "title =", "headline =")
    again = (*words, "revision", "blog", "--autogenerate", "--rename")

    wrong = invoke_cli(*again, "posts.titel:headline")
    right = invoke_cli(*again, "posts.title:headline")

    assert wrong.exit_code == 2
    assert wrong.stderr == (
        "Error: 'posts.titel:headline' renames nothing that was dropped to something alike "
        "that was added\nhint: possible: posts.title:headline\n"
    )
    assert (right.exit_code, right.stderr) == (0, "")
    assert 'new_column_name="headline"' in (blog.migrations / "002.py").read_text()


def test_a_person_is_asked(
    sqlite_database: Database,
    blog: PackageOnDisk,
    invoke_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal questions are asked, again where the answer does not fit."""
    words = ("--url", sqlite_database.url)
    invoke_cli(*words, "revision", "blog", "--autogenerate")
    invoke_cli(*words, "upgrade")
    edit(blog, "title =", "rank = sa.Column(sa.Integer, nullable=False)\n    headline =")
    asked: list[str] = []
    answers = ["many", "7"]

    def confirm(text: str, **options: object) -> bool:
        asked.append(text)
        return True

    def prompt(text: str, **options: object) -> str:
        asked.append(text)
        return answers.pop(0)

    monkeypatch.setattr(autogenerating, "_is_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    monkeypatch.setattr(click, "prompt", prompt)
    result = invoke_cli("-q", *words, "revision", "blog", "--autogenerate")

    value = "posts.rank (Integer()) must have a value; existing rows get [0]"
    assert asked == [
        "column posts.title is gone, headline is new: was it renamed?",
        value,
        value,
    ]
    assert result.stderr == "Warning: 'many' is no whole number\n"
    text = (blog.migrations / "002.py").read_text()
    assert '.values({"rank": 7})' in text
    assert 'new_column_name="headline"' in text


def test_a_database_that_is_behind(
    sqlite_database: Database, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """The package and the command are named, and nothing is written."""
    words = ("-q", "--url", sqlite_database.url, "revision", "blog", "--autogenerate")
    invoke_cli(*words)

    result = invoke_cli(*words)

    assert result.exit_code == 3
    assert result.stderr == (
        "Error: migrations are pending: blog is at None, head is 001\n"
        "hint: run: ptah-migrate upgrade blog\n"
    )
    assert not (blog.migrations / "002.py").exists()


@pytest.mark.parametrize(
    ("models", "message"),
    [
        pytest.param("import nowhere_at_all\n", "nowhere_at_all", id="not importable"),
        pytest.param(
            MODELS.partition("class Post")[0],
            "the models of package 'blog' define no table",
            id="empty",
        ),
    ],
)
def test_models_that_are_none(
    models: str, message: str, folder: Path, make_package: PackageMaker, invoke_cli: Run
) -> None:
    """Models that cannot be imported, or have no table, are one line and a hint."""
    blog = installed(make_package, "blog", models)

    result = invoke_cli("-q", "revision", "blog", "--autogenerate", "--offline")

    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert message in error
    assert hint.startswith("hint: ")
    assert not list(blog.migrations.glob("0*.py"))


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        pytest.param(
            ("--autogenerate", "--data"),
            "--autogenerate writes the operations of the models, and nothing else",
            "leave --undo, --no-database and --data out",
            id="data",
        ),
        pytest.param(
            ("--offline",),
            "--offline goes with --autogenerate",
            "ptah-migrate revision PACKAGE --autogenerate",
            id="offline alone",
        ),
        pytest.param(
            ("--autogenerate", "--all"),
            "--all writes a revision of every package that needs one",
            "name no package, and nothing that only one revision can have",
            id="all of one",
        ),
    ],
)
def test_wrong_words(
    words: tuple[str, ...], message: str, hint: str, blog: PackageOnDisk, invoke_cli: Run
) -> None:
    """Options that contradict each other are refused."""
    result = invoke_cli("revision", "blog", *words)

    assert result.exit_code == 2
    assert result.stderr == f"Error: {message}\nhint: {hint}\n"
