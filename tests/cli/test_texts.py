"""The texts that the commands of 2012 printed, to the letter, and who is meant by a name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.cli.conftest import Run, WriteApp, includeme
from tests.helpers import Database, PackageMaker, Result, rows, tree

PTAH = {
    "0300.py": '"""First tables"""\nrevision = "0300"\ndown_revision = None\n\n\n'
    "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n",
    "0301.py": '"""Migration to ptah 0.3"""\nrevision = "0301"\ndown_revision = "0300"\n\n\n'
    "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n",
}


@pytest.fixture
def ini(write_app: WriteApp, make_package: PackageMaker) -> Path:
    """Return the settings of an application with two packages, and a database of its own."""
    make_package("ptah", PTAH, init=includeme("ptah", "Ptah database migration"))
    make_package("test2", {"001": "pass"}, init=includeme("test2"))
    return write_app("ptah", "test2", settings="sqlalchemy.url = sqlite:///%(here)s/app.sqlite\n")


@pytest.fixture
def using(ini: Path) -> str:
    """Return the first line of every command that works on the database."""
    return f"Using app.ini (given), database sqlite:///{ini.parent}/app.sqlite\n"


# -- revision ------------------------------------------------------------------------


def test_generating(ini: Path, invoke_cli: Run, make_package: PackageMaker) -> None:
    """`revision` writes <id>.py and says so in the words of 2012."""
    package = make_package("ptah_minicms", init=includeme("ptah_minicms"))
    package.install()

    result = invoke_cli("app.ini", "revision", "ptah_minicms", "-r", "001", "-m", "Add column")

    path = package.migrations / "001.py"
    assert result == Result(0, f"Generating {path}...done\n", "Using app.ini (given)\n")
    assert path.read_text().startswith('"""Add column')


@pytest.mark.parametrize("id", ["a,b", "a.b", "a;b", "a-b"])
def test_forbidden_characters(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, id: str
) -> None:
    """An id with one of , . ; - is refused with exit status 1, and nothing is written."""
    package = make_package("test", {"001": "pass"})
    package.install()
    before = tree(package.root)

    result = invoke_cli("revision", "test", "-r", id)

    assert result == Result(
        1,
        "",
        f"Error: Revision id contains forbidden characters: '{id}'\n"
        "hint: letters A-Z and a-z, digits and '_', at most 32: ptah-migrate revision -r 001\n",
    )
    assert tree(package.root) == before


def test_id_with_dots_is_read(folder: Path, invoke_cli: Run, make_package: PackageMaker) -> None:
    """Reading accepts ids that new revisions may not have."""
    source = PTAH["0300.py"].replace("0300", "1.0-beta")
    make_package("test", {"first.py": source}).install()

    result = invoke_cli("history", "test")

    assert result == Result(0, "test\n====\n1.0-beta: First tables\n", "")


# -- upgrade -----------------------------------------------------------------------------


def test_logged(ini: Path, invoke_cli: Run, using: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each step is logged as `package: running upgrade A -> B`, with its message if it has one."""
    caplog.set_level(logging.INFO, "ptah.alembic")

    result = invoke_cli("app.ini", "upgrade")

    assert (result.exit_code, result.stderr) == (0, using)
    assert [record.getMessage() for record in caplog.records if record.name == "ptah.alembic"] == [
        "ptah: running upgrade None -> 0300, First tables",
        "ptah: running upgrade 0300 -> 0301, Migration to ptah 0.3",
        "test2: running upgrade None -> 001",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["test1"], {("test1", "002")}, id="one"),
        pytest.param(["test1", "test2"], {("test1", "002"), ("test2", "002")}, id="two"),
        pytest.param(
            [], {("test1", "002"), ("test2", "002"), ("test3", "002")}, id="none means all"
        ),
        pytest.param(["test1:001"], {("test1", "001")}, id="up to a revision"),
        pytest.param(["test1:head"], {("test1", "002")}, id="head"),
        pytest.param(["test1:+1", "test2"], {("test1", "001"), ("test2", "002")}, id="relative"),
    ],
)
def test_who_is_upgraded(
    folder: Path,
    invoke_cli: Run,
    make_package: PackageMaker,
    sqlite_database: Database,
    words: list[str],
    expected: set[tuple[str, str]],
) -> None:
    """`upgrade` brings the named packages up, no other one, and all when none is named."""
    for name in ("test1", "test2", "test3"):
        make_package(name, {"001": "pass", "002": "pass"}).install()

    result = invoke_cli("--url", sqlite_database.url, "upgrade", *words)

    assert result.exit_code == 0
    assert rows(sqlite_database.engine) == expected


def test_nothing_to_do(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """At the head an upgrade changes nothing, and says where the package is."""
    make_package("test1", {"001": "pass", "002": "pass"}).install()
    invoke_cli("--url", sqlite_database.url, "upgrade", "-q")

    result = invoke_cli("--url", sqlite_database.url, "upgrade", "-q")

    assert result == Result(0, "test1 is at 002 (head)\n", "")


def test_check(ini: Path, invoke_cli: Run) -> None:
    """`check` names the command to run, with the settings that were given."""
    assert invoke_cli("app.ini", "-q", "check", "test2") == Result(
        3, "test2 is at None, head is 001\n", "hint: run: ptah-migrate app.ini upgrade\n"
    )


# -- current, history, list ---------------------------------------------------------------


def test_current(ini: Path, invoke_cli: Run, using: str) -> None:
    """`current` prints one line for each package, (head) only at the head, None without a row."""
    invoke_cli("app.ini", "upgrade", "ptah")

    assert invoke_cli("app.ini", "current") == Result(
        0,
        "Package 'ptah' rev: 0301(head) Migration to ptah 0.3\nPackage 'test2' rev: None\n",
        using,
    )


def test_current_of_one(ini: Path, invoke_cli: Run, using: str) -> None:
    """`current test1` prints that package, without (head) below the head."""
    invoke_cli("app.ini", "upgrade", "ptah:0300")

    assert invoke_cli("app.ini", "current", "ptah") == Result(
        0, "Package 'ptah' rev: 0300 First tables\n", using
    )


def test_current_of_the_unknown(
    ini: Path, invoke_cli: Run, using: str, packages_root: Path
) -> None:
    """A row that the code does not know is printed as it is."""
    invoke_cli("app.ini", "upgrade", "ptah")
    for file in ("0300.py", "0301.py"):
        (packages_root / "ptah" / "migrations" / file).unlink()

    assert invoke_cli("app.ini", "current", "ptah") == Result(
        0, "Package 'ptah' rev: 0301\n", using
    )


def test_history(ini: Path, invoke_cli: Run) -> None:
    """`history` prints for each package its underlined title and its revisions."""
    assert invoke_cli("app.ini", "history") == Result(
        0,
        "Ptah database migration\n"
        "=======================\n"
        "0301: Migration to ptah 0.3\n"
        "0300: First tables\n"
        "\n"
        "test2\n"
        "=====\n"
        "001:\n",
        "Using app.ini (given)\n",
    )


def test_history_of_one(ini: Path, invoke_cli: Run) -> None:
    """`history test2` prints that package only."""
    assert invoke_cli("app.ini", "-q", "history", "test2") == Result(0, "test2\n=====\n001:\n", "")


def test_list(ini: Path, invoke_cli: Run, packages_root: Path, make_package: PackageMaker) -> None:
    """`list` prints sorted title, asset path, directory, origin, and what is only installed."""
    installed = make_package("extra", {"001": "pass"})
    installed.install(version="2.1")

    assert invoke_cli("app.ini", "list") == Result(
        0,
        "* ptah: Ptah database migration\n"
        "  ptah:migrations\n"
        f"  {packages_root}/ptah/migrations\n"
        f"  plug-in ({packages_root}/ptah/__init__.py:3)\n"
        "* test2:\n"
        "  test2:migrations\n"
        f"  {packages_root}/test2/migrations\n"
        f"  plug-in ({packages_root}/test2/__init__.py:3)\n"
        "Installed, not included:\n"
        "* extra:\n"
        "  extra:migrations\n"
        f"  {packages_root}/extra/migrations\n"
        f"  entry point extra 2.1 ({packages_root}/extra/migrations)\n",
        "Using app.ini (given)\n",
    )


def test_nothing_registered(folder: Path, invoke_cli: Run) -> None:
    """Where no package is registered, that is said."""
    assert invoke_cli("list") == Result(
        0,
        "",
        "Warning: no package is registered\n"
        "hint: include one in the application, install one, or make one: ptah-migrate init\n",
    )
