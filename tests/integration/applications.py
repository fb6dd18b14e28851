"""What the tests of Pyramid applications share: add-ons, and applications that include them."""

from __future__ import annotations

import importlib
import shutil
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated

from ptah_migrate._pyramid.startup import packages_of
from ptah_migrate.registry import Registry
from tests.helpers import Command, Database


def addon(name: str, path: str = "", *, before: str = "", after: str = "") -> str:
    """Return the ``__init__.py`` of a package whose ``includeme`` registers its migrations."""
    lines = [
        "def includeme(config):",
        *(before,) * bool(before),
        '    config.include("ptah_migrate")',
        f'    config.register_migration("{name}", "{path or name + ":migrations"}", "{name}!")',
        *(after,) * bool(after),
    ]
    return "\n".join(lines) + "\n"


def create(table: str) -> str:
    """Return the body of a step that makes a table; it fails where the table exists."""
    return f'op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True))'


def application(database: Database, *includes: str, **settings: Any) -> Configurator:
    """Return a configuration with a database, nothing committed; settings are ours."""
    ours = {f"ptah_migrate.{name}": value for name, value in settings.items()}
    config = Configurator(settings={"sqlalchemy.url": database.url, **ours})
    config.include("ptah_migrate")
    for name in includes:
        config.include(name)
    return config


def start(config: Configurator) -> Any:
    """Start an application and return its registry."""
    return config.make_wsgi_app().registry


def registered(config: Configurator) -> Registry:
    """Commit, and return the packages as commands and start-up see them."""
    config.commit()
    return packages_of(config.registry)


def on_created(config: Configurator, function: Any) -> None:
    """Subscribe a function to the end of the start."""
    config.add_subscriber(lambda event: function(event.app.registry), ApplicationCreated)


# -- the kiosk: an application and its two add-ons, installed --------------------------------

FIXTURES = Path(__file__).parents[1] / "fixtures" / "packages"
KIOSK = ("kiosk", "kiosk_papers", "kiosk_sales")


@dataclass(frozen=True)
class Kiosk:
    """An installed application: ``root`` is for ``sys.path``, ``ini`` are its settings."""

    root: Path
    ini: Path
    port: int

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process that serves it."""
        found = Command(self.root, [self.root]).environment(more)
        return {**found, "PYTHONUNBUFFERED": "1"}

    def get(self, path: str) -> str:
        """Return what the served application answers."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


def install_kiosk(root: Path, url: str) -> Kiosk:
    """Install the application and its add-ons below a directory; write its settings."""
    for name in KIOSK:
        _install(FIXTURES / name, root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (FIXTURES / "kiosk" / "development.ini").read_text()
    ini = root / "development.ini"
    ini.write_text(settings.replace("URL", url.replace("%", "%%")).replace("PORT", str(port)))
    importlib.invalidate_caches()
    return Kiosk(root, ini, port)


def _install(project: Path, root: Path) -> None:
    """Do what an installer does with a project that has nothing to build."""
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    name, version = described["name"], described["version"]
    folder = root / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = described["entry-points"].items()
    lines = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for g, e in groups]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    shutil.copytree(project / project.name, root / project.name)
