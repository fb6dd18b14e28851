"""Settings that are read without an application, and who is told to start one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ptah_migrate._pyramid import inifile
from ptah_migrate._pyramid.settings import words
from ptah_migrate._pyramid.state import started_by, suspended
from ptah_migrate.errors import ConfigError
from tests.helpers import Command

BASE = """
    [app:main]
    use = egg:shop
    sqlalchemy.url = sqlite:///%(here)s/base.sqlite
    colour = red
    """


def write(path: Path, text: str) -> Path:
    """Write an ini file and return its path."""
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize(
    ("text", "section", "expected"),
    [
        pytest.param(
            "[app:main]\nuse = egg:shop\na = 1\nset debug = x\n", "", {"a": "1"}, id="main"
        ),
        pytest.param("[app:main]\na = 1\n[app:two]\na = 2\n", "two", {"a": "2"}, id="another"),
        pytest.param("[two]\nA.b = 2\n", "two", {"A.b": "2"}, id="a plain section"),
        pytest.param(
            "[DEFAULT]\nd = 0\n[app:main]\na = 1\n", "", {"a": "1", "d": "0"}, id="default"
        ),
        pytest.param(
            "[app:main]\nuse = two\nb = 3\n[app:two]\na = 1\nb = 2\n",
            "",
            {"a": "1", "b": "3"},
            id="on top of another section",
        ),
        pytest.param(
            "[app:main]\nuse = config:base.ini\ncolour = blue\n",
            "",
            {"sqlalchemy.url": "sqlite:///{here}/base.sqlite", "colour": "blue"},
            id="on top of another file",
        ),
        pytest.param(
            "[pipeline:main]\npipeline = gzip shop\n[filter:gzip]\na = 0\n[app:shop]\na = 1\n",
            "",
            {"a": "1"},
            id="behind a pipeline",
        ),
        pytest.param(
            "[filter-app:main]\nuse = egg:gzip\nnext = shop\nlevel = 9\n[app:shop]\na = 1\n",
            "",
            {"level": "9"},
            id="behind a filter",
        ),
        pytest.param("[app:main]\nuse = main\na = 1\n", "", {"a": "1"}, id="itself"),
        pytest.param("\ufeff[app:main]\na = \u00e4\n", "", {"a": "\u00e4"}, id="with a mark"),
    ],
)
def test_ini(tmp_path: Path, text: str, section: str, expected: dict[str, str]) -> None:
    """The settings of an ini file are read as PasteDeploy reads them, without importing code."""
    write(tmp_path / "base.ini", BASE)
    path = write(tmp_path / "app.ini", text)

    found = inifile.read(path, section)

    assert found == {key: value.replace("{here}", str(tmp_path)) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("text", "section", "message", "hint"),
    [
        pytest.param(
            "[server:main]\n[app:two]\n",
            "",
            "'{path}' has no section [app:main]",
            "sections: server:main, app:two",
            id="no such section",
        ),
        pytest.param("", "x", "'{path}' has no section [app:x]", "sections: none", id="empty file"),
        pytest.param(
            "name: value\n",
            "",
            "'{path}' cannot be read: File contains no section headers. "
            "file: '{path}', line: 1 'name: value\\n'",
            "correct the file",
            id="not an ini file",
        ),
        pytest.param(
            "[app:main]\na = %(nothing)s\n",
            "",
            "'{path}' cannot be read: Bad value substitution: option 'a' in section 'app:main' "
            "contains an interpolation key 'nothing' which is not a valid option name. "
            "Raw value: '%(nothing)s'",
            "correct the file",
            id="unknown variable",
        ),
    ],
)
def test_bad_ini(tmp_path: Path, text: str, section: str, message: str, hint: str) -> None:
    """A file that cannot be read is an error with its path."""
    path = write(tmp_path / "app.ini", text)

    with pytest.raises(ConfigError) as error:
        inifile.read(path, section)

    assert str(error.value) == message.format(path=path)
    assert error.value.hint == hint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, [], id="nothing"),
        pytest.param("", [], id="empty"),
        pytest.param("one two", ["one", "two"], id="spaces"),
        pytest.param("\n  one\n  two\n", ["one", "two"], id="lines"),
        pytest.param("one,two, three", ["one", "two", "three"], id="commas"),
        pytest.param(("one", "two"), ["one", "two"], id="a list already"),
    ],
)
def test_words(value: Any, expected: list[str]) -> None:
    """A setting that is a list may be written in every way people write lists."""
    assert words({"name": value}, "name") == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(None, "", id="not told"),
        pytest.param("pserve", "", id="pserve"),
        pytest.param("pviews", "pviews", id="pviews"),
        pytest.param("bootstrap", "bootstrap", id="bootstrap"),
    ],
)
def test_started_by(script: str | None, expected: str) -> None:
    """What Pyramid 2.1 tells of the tool decides whether it is a server."""
    assert started_by(script) == expected


def test_started_by_ourselves() -> None:
    """Inside ``suspended()`` it is a command of ours, whatever Pyramid tells."""
    with suspended():
        assert started_by("pserve") == "ptah-migrate"
    assert started_by("pserve") == ""


def test_light(tmp_path: Path) -> None:
    """Registering and including load neither SQLAlchemy nor Alembic."""
    code = """
        import sys, ptah_migrate
        ptah_migrate.register_migration("blog", "blog:migrations")
        @ptah_migrate.populate("step")
        def step(registry): pass
        from pyramid.config import Configurator
        config = Configurator()
        config.include("ptah_migrate")
        config.register_migration("blog", "blog:migrations")
        config.make_wsgi_app()
        heavy = {"sqlalchemy", "alembic", "copier", "jinja2", "click"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env=Command(tmp_path).environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
