"""Pyramid's scripts, custom scripts and our own commands look; only servers upgrade."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyramid.paster import bootstrap, get_app
from pyramid.scripts import prequest, proutes, pshell, ptweens, pviews

from tests.helpers import Database, Result, forget, rows, tables
from tests.integration.applications import KIOSK, Kiosk, install_kiosk


@pytest.fixture
def kiosk(packages_root: Path, sqlite_database: Database) -> Iterator[Kiosk]:
    """Yield an installed application that upgrades its empty database when it starts."""
    found = install_kiosk(packages_root, sqlite_database.url)
    # Without it the scripts leave the test's own logging alone.
    found.ini.write_text(found.ini.read_text().partition("[loggers]")[0])
    yield found
    for name in KIOSK:
        forget(name)


def shell(ini: str) -> Any:
    """Run pshell with a shell that ends at once."""
    script = pshell.PShellCommand(["pshell", ini])
    return script.run(shell=lambda *_: None)


SCRIPTS: dict[str, Callable[[str], Any]] = {
    "pviews": lambda ini: pviews.main(["pviews", ini, "/"], quiet=True),
    "pshell": shell,
    "proutes": lambda ini: proutes.main(["proutes", ini], quiet=True),
    "ptweens": lambda ini: ptweens.main(["ptweens", ini], quiet=True),
    "prequest": lambda ini: prequest.main(["prequest", ini, "/"], quiet=True),
    "bootstrap": lambda ini: bootstrap(ini)["closer"](),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(
    kiosk: Kiosk, sqlite_database: Database, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """No script of Pyramid's, and no custom one, upgrades the database; it says so."""
    caplog.set_level("INFO", "ptah.migrate")

    result = SCRIPTS[name](str(kiosk.ini))

    assert not result
    assert tables(sqlite_database.engine) == set()
    said = [r.getMessage() for r in caplog.records if r.name == "ptah.migrate"]
    assert said == [f"started by {name}: the database is left as it is"]


def test_script_as_a_module(kiosk: Kiosk, sqlite_database: Database) -> None:
    """A script that runs as ``python -m`` is known too."""
    done = subprocess.run(
        [sys.executable, "-m", "pyramid.scripts.pviews", str(kiosk.ini), "/"],
        env=kiosk.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "kiosk.home" in done.stdout, done.stderr
    assert tables(sqlite_database.engine) == set()


def test_server(kiosk: Kiosk, sqlite_database: Database) -> None:
    """What loads the application as a WSGI server does, upgrades."""
    get_app(str(kiosk.ini))

    assert rows(sqlite_database.engine) == {("kiosk_papers", "002"), ("kiosk_sales", "002")}


def test_told_by_global_config(kiosk: Kiosk, sqlite_database: Database) -> None:
    """``global_config`` tells of tools that the call stack does not show."""
    text = (kiosk.root / "kiosk" / "__init__.py").read_text()
    text = text.replace("ptah_migrate()", "ptah_migrate(global_config=global_config)")
    (kiosk.root / "kiosk" / "__init__.py").write_text(text)

    get_app(str(kiosk.ini), options={"__script__": "import_papers"})

    assert tables(sqlite_database.engine) == set()
    get_app(str(kiosk.ini), options={"__script__": "pserve"})
    assert "kiosk_paper" in tables(sqlite_database.engine)


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["current"],
        ["history"],
        ["heads"],
        ["branches"],
        ["show", "kiosk_sales:002"],
        ["status"],
        ["plan"],
        ["check"],
        ["upgrade", "--dry-run"],
        ["upgrade", "--sql"],
        ["populate", "-l"],
    ],
    ids=" ".join,
)
def test_reading_commands(
    kiosk: Kiosk,
    sqlite_database: Database,
    invoke_cli: Callable[..., Result],
    words: list[str],
) -> None:
    """Our own reading commands load the application, and change nothing."""
    result = invoke_cli(kiosk.ini, *words)

    assert result.exit_code == (3 if words == ["check"] else 0), result.stderr
    assert "cannot be loaded" not in result.stderr
    assert tables(sqlite_database.engine) == set()


def test_reading_command_as_a_process(kiosk: Kiosk, sqlite_database: Database) -> None:
    """The same in a process of its own, which says no word about what it left alone."""
    done = subprocess.run(
        [sys.executable, "-m", "ptah_migrate", str(kiosk.ini), "current"],
        env=kiosk.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "Package 'kiosk_papers' rev: None\nPackage 'kiosk_sales' rev: None\n"
    assert "left as it is" not in done.stderr
    assert tables(sqlite_database.engine) == set()


def test_upgrade_command(
    kiosk: Kiosk, database: Database, invoke_cli: Callable[..., Result]
) -> None:
    """``upgrade`` of the packages that an application includes, on its own database."""
    text = kiosk.ini.read_text().splitlines()
    kiosk.ini.write_text(
        "\n".join(
            f"sqlalchemy.url = {database.url}" if line.startswith("sqlalchemy.url") else line
            for line in text
        )
    )

    result = invoke_cli(kiosk.ini, "upgrade")

    assert result.exit_code == 0, result.stderr
    assert rows(database.engine) == {("kiosk_papers", "002"), ("kiosk_sales", "002")}
