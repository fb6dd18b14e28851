"""What the tests of the commands work on: a folder, an application, a database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.helpers import PackageMaker, Result, forget

WriteApp = Callable[..., Path]
Run = Callable[..., Result]


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke_cli: Run, packages_root: Path
) -> Iterator[Path]:
    """Yield an empty folder, which we stand in; what a command sets up for logging is undone."""
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("", "alembic", "ptah", "ptah_migrate")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield tmp_path
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def write_app(folder: Path, packages_root: Path, make_package: PackageMaker) -> Iterator[WriteApp]:
    """Yield a function that writes a Pyramid application and its settings file."""

    def write(*packages: str, settings: str = "", start: str = "", name: str = "app.ini") -> Path:
        """
        Write ``app.ini``, whose application includes the packages.

        ``settings`` go into its main section, ``start`` into ``main()`` where
        there is a ``config``.
        """
        included = "".join(f"    config.include({package!r})\n" for package in packages)
        (packages_root / "webapp.py").write_text(
            "from pyramid.config import Configurator\n\n\n"
            "def main(global_config, **settings):\n"
            "    config = Configurator(settings=settings)\n"
            '    config.include("ptah_migrate")\n'
            f"{included}{_indented(start)}"
            "    return config.make_wsgi_app()\n"
        )
        ini = folder / name
        ini.write_text(f"[app:main]\npaste.app_factory = webapp:main\n{dedent(settings)}")
        return ini

    yield write
    forget("webapp")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())


def includeme(name: str, title: str = "") -> str:
    """Return the text of a package's ``__init__.py`` that registers its migrations."""
    return (
        "def includeme(config):\n"
        '    config.include("ptah_migrate")\n'
        f"    config.register_migration({name!r}, '{name}:migrations', {title!r})\n"
    )
