"""Every exit code that DESIGN names, by the command that a person would type."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptah_migrate._runtime.databases import for_dialect
from tests.cli.conftest import Run
from tests.helpers import Command, Database, PackageMaker, Result, rows

PENDING = ["pending", "unrecorded", "broken", "ahead"]


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> Path:
    """Install a package with two revisions and return its migrations."""
    package = make_package("blog", {"001": "pass", "002": "pass"})
    package.install()
    return package.migrations


def put(state: str, blog: Path, invoke_cli: Run, database: Database) -> None:
    """Bring package and database into a state."""
    if state == "unrecorded":
        return
    target = "blog:001" if state == "pending" else "blog"
    assert invoke_cli("--url", database.url, "upgrade", target).exit_code == 0
    if state == "ahead":
        (blog / "002.py").unlink()
    elif state == "broken":
        (blog / "002.py").write_text("x = (\n")


def test_done(blog: Path, invoke_cli: Run, sqlite_database: Database) -> None:
    """0: the command did what it was told, or there was nothing to do."""
    for words in (
        ["upgrade"],
        ["upgrade"],
        ["check"],
        ["status", "--check"],
        ["downgrade", "blog:-1"],
    ):
        assert invoke_cli("--url", sqlite_database.url, *words).exit_code == 0


def test_failed(blog: Path, invoke_cli: Run, sqlite_database: Database) -> None:
    """1: it was refused, or failed on the way."""
    (blog / "002.py").write_text(
        'revision = "002"\ndown_revision = "001"\n\n\ndef upgrade():\n    1 / 0\n'
    )

    assert invoke_cli("--url", sqlite_database.url, "upgrade", "blgo").exit_code == 1
    assert invoke_cli("--url", sqlite_database.url, "upgrade").exit_code == 1


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        pytest.param(
            ["upgrad"], "there is no command 'upgrad'", "did you mean 'upgrade'?", id="command"
        ),
        pytest.param(
            ["xyz"], "there is no command 'xyz'", "see: ptah-migrate --help", id="strange command"
        ),
        pytest.param(
            ["upgrade", "--dryrun"],
            "there is no option '--dryrun'",
            "did you mean '--dry-run'?",
            id="option",
        ),
        pytest.param(
            ["upgrade", "--xyz"],
            "there is no option '--xyz'",
            "see: ptah-migrate upgrade --help",
            id="strange option",
        ),
        pytest.param(
            ["--jsn", "upgrade"],
            "there is no option '--jsn'",
            "did you mean '--json'?",
            id="option before the command",
        ),
        pytest.param(["app.ini"], "missing command", "see: ptah-migrate --help", id="no command"),
        pytest.param(
            ["show"],
            "missing argument 'PACKAGE[:REVISION]'",
            "see: ptah-migrate show --help",
            id="argument",
        ),
        pytest.param(
            ["check", "--lock-timeout", "soon"],
            "invalid value for '--lock-timeout': 'soon' is not a valid float",
            "see: ptah-migrate check --help",
            id="value",
        ),
        pytest.param(
            ["upgrade", "app.ini"],
            "'app.ini' is no package",
            "settings come before the command: ptah-migrate app.ini upgrade",
            id="settings behind the command",
        ),
        pytest.param(
            ["--url", "sqlite://", "sqlite://", "current"],
            "two databases are named",
            "leave --url out, or the first word",
            id="two databases",
        ),
        pytest.param(
            ["upgrade", "--sql", "--json"],
            "--sql and --json exclude one another",
            "leave one of them out",
            id="SQL is no JSON",
        ),
        pytest.param(
            ["downgrade", "blog:base", "--sql", "--dry-run"],
            "--sql and --dry-run exclude one another",
            "leave one of them out",
            id="two previews",
        ),
        pytest.param(
            ["upgrade", "--empty"],
            "--empty goes with --sql",
            "upgrade --sql --empty",
            id="--empty alone",
        ),
        pytest.param(
            ["stamp"],
            "stamp needs a target",
            "for example: ptah-migrate stamp blog:003",
            id="stamp what",
        ),
        pytest.param(
            ["--url", "sqlite://", "-q", "downgrade"],
            "downgrade needs a target",
            "for example: ptah-migrate downgrade blog:-1",
            id="downgrade what",
        ),
        pytest.param(
            ["--url", "sqlite://", "-q", "downgrade", "blog"],
            "downgrade of 'blog' needs a place to go to",
            "blog:-1, blog:base, or blog:REVISION",
            id="downgrade where",
        ),
        pytest.param(
            ["--url", "sqlite://", "-q", "upgrade", "blog:"],
            "'blog:' is not a target",
            "package, package:REVISION, package:head, package:base, package:+1, package:-1",
            id="target",
        ),
        pytest.param(["revision"], "name a package", "known: blog", id="revision of what"),
    ],
)
def test_wrong_usage(blog: Path, invoke_cli: Run, words: list[str], error: str, hint: str) -> None:
    """2: the words are wrong; one line says what, another one what to type."""
    assert invoke_cli(*words) == Result(2, "", f"Error: {error}\nhint: {hint}\n")


def test_no_words(folder: Path, invoke_cli: Run) -> None:
    """2: without any word the help is shown, on stderr, because nothing was done."""
    assert invoke_cli() == Result(2, "", invoke_cli("--help").stdout)


@pytest.mark.parametrize("state", PENDING)
def test_pending(blog: Path, invoke_cli: Run, sqlite_database: Database, state: str) -> None:
    """3: check, also as JSON, and status --check find something pending; status alone is 0."""
    put(state, blog, invoke_cli, sqlite_database)

    def code(*words: str) -> int:
        return invoke_cli("--url", sqlite_database.url, *words).exit_code

    assert code("check") == 3
    assert code("check", "blog") == 3
    assert code("check", "--json") == 3
    assert code("status", "--check") == 3
    assert code("status") == 0


CHECKED = {
    "pending": "blog is at 001, head is 002\n",
    "unrecorded": "blog is at None, head is 002\n",
    "ahead": "blog: the code does not know 002\n",
    "broken": "blog: {blog}/002.py:1: syntax error: '(' was never closed\n",
}


@pytest.mark.parametrize("state", PENDING)
def test_what_is_pending(
    blog: Path, invoke_cli: Run, sqlite_database: Database, state: str
) -> None:
    """check names what is pending, and the command to run."""
    put(state, blog, invoke_cli, sqlite_database)

    result = invoke_cli("--url", sqlite_database.url, "check", "-q")

    assert result == Result(
        3, CHECKED[state].format(blog=blog), "hint: run: ptah-migrate upgrade\n"
    )


def test_nothing_pending(blog: Path, invoke_cli: Run, sqlite_database: Database) -> None:
    """check says that every package is at its head; others than the named do not count."""
    invoke_cli("--url", sqlite_database.url, "upgrade", "blog")

    assert invoke_cli("--url", sqlite_database.url, "check", "-q", "blog") == Result(
        0, "every package is at its head\n", ""
    )


HOLDER = {
    "sqlite": r" by .+",
    "postgresql": r" by .+",
    "mariadb": r" by connection \d+ \(root@.+\)",
}


def test_locked(blog: Path, run_cli: Command, database: Database) -> None:
    """4: another runner holds the lock; it is named, nothing is done."""
    with (
        database.engine.connect() as connection,
        for_dialect(database.dialect).locked(connection, 5),
    ):
        result = run_cli("--url", database.url, "upgrade", "--lock-timeout", "0.2", "-q")

    assert (result.exit_code, result.stdout) == (4, "")
    assert re.fullmatch(
        f"Error: the migration lock is held{HOLDER[database.name]}, waited 0\\.\\d s\n"
        "hint: wait for it to finish, or give more time: --lock-timeout SECONDS\n",
        result.stderr,
    )
    assert rows(database.engine) == set()


def test_reading_needs_no_lock(blog: Path, run_cli: Command, sqlite_database: Database) -> None:
    """Reading commands do not wait for a runner."""
    with (
        sqlite_database.engine.connect() as connection,
        for_dialect("sqlite").locked(connection, 5),
    ):
        result = run_cli("--url", sqlite_database.url, "plan", "--lock-timeout", "0")

    assert result.exit_code == 0


def test_confirmation(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """5: more than was named would go, and nobody said yes."""
    make_package("blog", {"001": "pass"}).install()
    shop = make_package("shop")
    shop.add(
        "001.py",
        'revision = "001"\ndown_revision = None\nrequires = ("blog:001",)\n\n\n'
        "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n",
    )
    shop.install()
    invoke_cli("--url", sqlite_database.url, "upgrade")

    for words in (["downgrade", "blog:base"], ["downgrade", "blog:base", "--cascade"]):
        assert invoke_cli("--url", sqlite_database.url, *words).exit_code == 5
    assert rows(sqlite_database.engine) == {("blog", "001"), ("shop", "001")}
