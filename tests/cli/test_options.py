"""What every command takes: common options, JSON, completion, signals, terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import BashComplete

import ptah_migrate
from ptah_migrate._cli import cli
from ptah_migrate._runtime import Migrator
from ptah_migrate.model import Plan, Report
from tests.cli.conftest import Run, WriteApp, includeme
from tests.helpers import Command, Database, PackageMaker, Result, rows


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> Path:
    """Install a package with two revisions and return its migrations."""
    package = make_package("blog", {"001": "pass", "002": "pass"})
    package.install()
    return package.migrations


@pytest.fixture
def url(sqlite_database: Database) -> str:
    """Return the URL of an empty database."""
    return sqlite_database.url


# -- before and after the command ----------------------------------------------------------


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(blog: Path, invoke_cli: Run, url: str, option: str, place: str) -> None:
    """With -q only the result is printed, wherever the option stands."""
    words = [option, "heads"] if place == "before" else ["heads", option]

    assert invoke_cli(*words) == Result(0, "blog: 002\n", "")


def test_quiet_keeps_problems(blog: Path, invoke_cli: Run, url: str) -> None:
    """With -q warnings and errors are still told."""
    (blog / "001.py").write_text("x = (\n")

    assert invoke_cli("-q", "history") == Result(
        0,
        "",
        f"Warning: {blog}/001.py:1: syntax error: '(' was never closed\n"
        "hint: correct the file of package 'blog'\n",
    )


def test_verbose(blog: Path, invoke_cli: Run, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """With -v Alembic's own lines are logged too, and not without."""
    invoke_cli("--url", url, "upgrade", "blog:001")
    plain = {record.name for record in caplog.records}
    invoke_cli("upgrade", "-v", "--url", url)
    verbose = {record.name for record in caplog.records}

    assert plain == {"ptah.alembic"}
    assert verbose == {"ptah.alembic", "alembic.runtime.migration"}


def test_words_for_revisions(
    folder: Path, invoke_cli: Run, url: str, make_package: PackageMaker
) -> None:
    """Every -x, before and after the command, reaches the revisions."""
    body = "print(context.get_x_argument(as_dictionary=True))"
    make_package("blog", {"001": body}).install()

    result = invoke_cli("-q", "-x", "a=1", "upgrade", "-x", "b=2", "-x", "c=3", "--url", url)

    assert result.stdout.startswith("{'a': '1', 'b': '2', 'c': '3'}\n")


def test_lock_timeout(
    blog: Path, invoke_cli: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--lock-timeout reaches the run, also when it is 0; the default is 60 seconds."""
    given: list[float] = []

    def upgrade(migrator: Migrator) -> Report:
        given.append(migrator.lock_timeout)
        return Report(Plan())

    monkeypatch.setattr(Migrator, "upgrade", upgrade)

    for words in (["--lock-timeout", "0"], ["--lock-timeout", "2.5"], []):
        invoke_cli("--url", url, "upgrade", *words)

    assert given == [0, 2.5, 60]


# -- JSON ------------------------------------------------------------------------------------


def read(result: Result) -> Any:
    """Return what stdout holds, without the version that every answer has."""
    value = json.loads(result.stdout)
    assert value.pop("version") == 1
    return value


@pytest.fixture
def history(make_package: PackageMaker, folder: Path) -> Path:
    """Install a package with two heads, and a second one, with all that a revision can say."""
    common = "\n\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
    package = make_package(
        "blog",
        {
            "001.py": f'"""First"""\nrevision = "001"\ndown_revision = None{common}',
            "002.py": '"""Left"""\nrevision = "002"\ndown_revision = "001"\n'
            f'branch_labels = ("left",){common}',
            "003.py": '"""Right"""\nrevision = "003"\ndown_revision = "001"\ndepends_on = "002"\n'
            f'requires = ("shop:001",)\nrun_before = ("?crm:004",){common}',
        },
    )
    package.install()
    shop = make_package("shop", {"001": "pass"}, init=includeme("shop", "The shop"))
    shop.install()
    return package.migrations


def revision_json(path: Path, id: str, message: str, **more: Any) -> dict[str, Any]:
    """Return a revision as JSON shows it."""
    return {
        "package": "blog",
        "revision": id,
        "message": message,
        "down_revision": ["001"],
        "depends_on": [],
        "requires": [],
        "run_before": [],
        "branch_labels": [],
        "path": str(path / f"{id}.py"),
        **more,
    }


def test_json_of_packages(history: Path, invoke_cli: Run, packages_root: Path) -> None:
    """list, history, heads, branches and show give their facts as JSON."""
    first = revision_json(history, "001", "First", down_revision=[])
    left = revision_json(history, "002", "Left", branch_labels=["left"])
    right = revision_json(
        history,
        "003",
        "Right",
        depends_on=["002"],
        requires=["shop:001"],
        run_before=["?crm:004"],
    )
    shop = {
        **revision_json(packages_root / "shop" / "migrations", "001", "", down_revision=[]),
        "package": "shop",
    }

    assert read(invoke_cli("list", "--json"))["packages"] == [
        {
            "package": name,
            "title": "",
            "path": f"{name}:migrations",
            "directory": f"{packages_root}/{name}/migrations",
            "included": True,
            "origin": f"entry point {name} 1.0 ({packages_root}/{name}/migrations)",
        }
        for name in ("blog", "shop")
    ]
    assert read(invoke_cli("--json", "history")) == {
        "history": {"blog": [right, left, first], "shop": [shop]}
    }
    assert read(invoke_cli("heads", "--json")) == {
        "heads": {"blog": ["002", "003"], "shop": ["001"]}
    }
    assert read(invoke_cli("branches", "--json")) == {
        "branches": {"blog": {"001": ["002", "003"]}, "shop": {}}
    }
    assert read(invoke_cli("show", "blog:002", "--json")) == {"revisions": [left]}


def test_json_of_a_database(blog: Path, invoke_cli: Run, url: str) -> None:
    """current, status, check, plan, upgrade, downgrade and stamp give their facts as JSON."""
    invoke_cli("--url", url, "upgrade", "-q", "blog:001")
    state = {
        "package": "blog",
        "title": "",
        "state": "pending",
        "rows": ["001"],
        "heads": ["002"],
        "pending": ["002"],
        "how": "run",
        "problem": "",
        "origin": f"entry point blog 1.0 ({blog})",
    }
    step = {
        "kind": "upgrade",
        "package": "blog",
        "revision": "002",
        "message": "",
        "path": str(blog / "002.py"),
        "before": ["001"],
        "after": ["002"],
    }
    back = {**step, "kind": "downgrade", "before": ["002"], "after": ["001"]}
    stamped = {
        "kind": "stamped",
        "package": "blog",
        "create": [],
        "before": ["001"],
        "after": ["002"],
        "reason": "stamped by order",
    }

    def run(*words: str) -> Any:
        found = read(invoke_cli("--url", url, "--json", *words))
        for done in found.get("done", ()):
            assert isinstance(done.pop("seconds"), float)
        return found

    assert run("current") == {"current": {"blog": ["001"]}}
    assert run("status") == {"packages": [state]}
    assert run("check") == {"packages": [state]}
    assert run("plan") == {"plan": [step]}
    assert run("upgrade", "--dry-run") == {"plan": [step]}
    assert run("upgrade") == {"done": [step]}
    assert run("upgrade") == {"done": []}
    assert run("downgrade", "blog:-1", "--dry-run") == {"plan": [back]}
    assert run("downgrade", "blog:-1") == {"done": [back]}
    assert run("stamp", "blog:002") == {"done": [stamped]}


def test_json_of_new_files(folder: Path, invoke_cli: Run, make_package: PackageMaker) -> None:
    """init, revision and merge give their facts as JSON."""
    made = read(invoke_cli("init", "blog", "--json"))["init"]
    new = read(invoke_cli("revision", "--json", "-r", "001"))
    invoke_cli("revision", "--head", "base")
    merged = read(invoke_cli("merge", "--json"))

    migrations = folder / "src" / "blog" / "migrations"
    assert (made["package"], made["todo"]) == ("blog", [])
    assert {"status": "create", "path": str(migrations / "__init__.py")} in made["files"]
    assert new == {
        "revision": {
            "package": "blog",
            "revision": "001",
            "down_revision": [],
            "path": str(migrations / "001.py"),
            "template": "",
        }
    }
    assert merged["revision"]["revision"] == "003"
    assert sorted(merged["revision"]["down_revision"]) == ["001", "002"]


def test_json_beside_warnings(blog: Path, invoke_cli: Run, make_package: PackageMaker) -> None:
    """JSON stays JSON where something is wrong: warnings go to stderr."""
    broken = make_package("broken", {"001.py": "x = (\n"})
    broken.install()
    make_package("gone").install("nowhere.migrations")

    result = invoke_cli("heads", "--json")

    assert read(result) == {"heads": {"blog": ["002"]}}
    assert [line for line in result.stderr.splitlines() if line.startswith("Warning: ")] == [
        (
            "Warning: entry point 'gone = nowhere.migrations' of gone 1.0: the migrations "
            "directory 'nowhere:migrations' of package 'gone' is in 'nowhere', "
            "which is not installed"
        ),
        f"Warning: {broken.migrations}/001.py:1: syntax error: '(' was never closed",
    ]


@pytest.mark.parametrize(
    ("words", "start"),
    [
        pytest.param(["upgrade", "--json"], "{", id="JSON"),
        pytest.param(["upgrade", "--sql"], "-- ptah_db_versions", id="SQL"),
    ],
)
def test_revision_that_prints(
    folder: Path,
    invoke_cli: Run,
    url: str,
    make_package: PackageMaker,
    words: list[str],
    start: str,
) -> None:
    """What a revision prints does not get between the JSON or the SQL."""
    make_package("blog", {"001": 'print("hello")'}).install()

    result = invoke_cli("-q", "--url", url, *words)

    assert result.stdout.startswith(start)
    assert "hello" not in result.stdout
    assert result.stderr == "hello\n"


# -- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        pytest.param([], "upg", ["upgrade"], id="command"),
        pytest.param(["settings.ini"], "he", ["heads"], id="command behind the settings"),
        pytest.param(["sqlite://"], "he", ["heads"], id="command behind a URL"),
        pytest.param(["-q", "-c", "x.ini"], "st", ["stamp", "status"], id="behind options"),
        pytest.param(["upgrade"], "", ["blog", "shop"], id="packages"),
        pytest.param(["upgrade"], "b", ["blog"], id="package"),
        pytest.param(["upgrade", "shop"], "b", ["blog"], id="second package"),
        pytest.param(["settings.ini", "current"], "s", ["shop"], id="package behind the settings"),
        pytest.param(["revision"], "s", ["shop"], id="package to write for"),
        pytest.param(["show"], "s", ["shop"], id="package to show"),
        pytest.param(["upgrade"], "--dr", ["--dry-run"], id="option"),
    ],
)
def test_completion(
    blog: Path,
    invoke_cli: Run,
    make_package: PackageMaker,
    words: list[str],
    incomplete: str,
    expected: list[str],
) -> None:
    """The shell completes commands, options and package names, behind leading settings too."""
    make_package("shop").install()

    complete = BashComplete(cli, {}, "ptah-migrate", "_PTAH_MIGRATE_COMPLETE")
    found = complete.get_completions(words, incomplete)

    assert sorted(item.value for item in found) == expected


def test_completion_in_a_broken_project(folder: Path, blog: Path) -> None:
    """Completion is silent where the project cannot be read."""
    (folder / "pyproject.toml").write_text("[")

    complete = BashComplete(cli, {}, "ptah-migrate", "_PTAH_MIGRATE_COMPLETE")

    assert [item.value for item in complete.get_completions(["upgrade"], "")] == ["blog"]


def test_completion_protocol(blog: Path, run_cli: Command) -> None:
    """The script asks by environment variables, and no heavy library answers."""
    env = {
        "_PTAH_MIGRATE_COMPLETE": "bash_complete",
        "COMP_WORDS": "ptah-migrate app.ini upgrade bl",
        "COMP_CWORD": "3",
        "PYTHONPROFILEIMPORTTIME": "1",
    }

    result = run_cli(env=env)

    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert (result.exit_code, result.stdout) == (0, "plain,blog\n")
    assert loaded & {"alembic", "sqlalchemy", "jinja2", "copier", "pyramid"} == set()


# -- questions ----------------------------------------------------------------------------------


@pytest.fixture
def dependent(folder: Path, make_package: PackageMaker, url: str, invoke_cli: Run) -> str:
    """Upgrade two packages, one of which needs the other, and return the database."""
    make_package("blog", {"001": "pass"}).install()
    shop = make_package("shop")
    shop.add(
        "001.py",
        'revision = "001"\ndown_revision = None\nrequires = ("blog:001",)\n\n\n'
        "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n",
    )
    shop.install()
    invoke_cli("--url", url, "upgrade", "-q")
    return url


BOTH = {("blog", "001"), ("shop", "001")}


def test_dependants(dependent: str, invoke_cli: Run, sqlite_database: Database) -> None:
    """A downgrade that others depend on names them, does nothing, and exits 5."""
    result = invoke_cli("-q", "--url", dependent, "downgrade", "blog:base")

    assert result == Result(
        5,
        "",
        "Error: other packages still need what the downgrade of 'blog' takes away: shop:001\n"
        "hint: --cascade downgrades them first\n",
    )
    assert rows(sqlite_database.engine) == BOTH


def test_no_question_without_terminal(
    dependent: str, invoke_cli: Run, sqlite_database: Database
) -> None:
    """Without a terminal nothing is asked: the option that answers is named, exit 5."""
    result = invoke_cli("-q", "--url", dependent, "downgrade", "blog:base", "--cascade")

    assert result == Result(5, "", "Error: this also downgrades shop\nhint: --yes does it\n")
    assert rows(sqlite_database.engine) == BOTH


def test_yes(dependent: str, invoke_cli: Run, sqlite_database: Database) -> None:
    """--yes answers beforehand."""
    result = invoke_cli("-q", "-y", "--url", dependent, "downgrade", "blog:base", "--cascade")

    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(sqlite_database.engine) == set()


def test_no_question_about_the_named(
    dependent: str, invoke_cli: Run, sqlite_database: Database
) -> None:
    """Nothing is asked where every package that goes was named."""
    result = invoke_cli(
        "-q", "--url", dependent, "downgrade", "blog:base", "shop:base", "--cascade"
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(sqlite_database.engine) == set()


@pytest.mark.parametrize(
    ("answer", "exit_code", "error", "left"),
    [
        pytest.param("y\n", 0, "", set(), id="yes"),
        pytest.param(
            "n\n",
            5,
            "Error: nothing was done\nhint: --yes answers beforehand\n",
            BOTH,
            id="no",
        ),
    ],
)
def test_question(
    dependent: str,
    run_cli: Command,
    sqlite_database: Database,
    answer: str,
    exit_code: int,
    error: str,
    left: set[tuple[str, str]],
) -> None:
    """On a terminal --cascade asks on stderr; yes does it, no does nothing."""
    done, _ = on_terminal(
        run_cli,
        "-q",
        "--url",
        dependent,
        "downgrade",
        "blog:base",
        "--cascade",
        stdin=answer,
    )

    assert done.exit_code == exit_code
    assert done.stderr == f"This also downgrades shop. Go on? [y/N]: {error}"
    assert rows(sqlite_database.engine) == left


def on_terminal(
    run_cli: Command,
    *words: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[Result, str]:
    """Run the command with stdin, or else stderr, on a terminal; return what came there too."""
    leader, follower = pty.openpty()
    try:
        if stdin is not None:
            os.write(leader, stdin.encode())
        done = subprocess.run(
            [sys.executable, "-m", "ptah_migrate", *words],
            cwd=run_cli.cwd,
            env=run_cli.environment(env),
            stdin=subprocess.DEVNULL if stdin is None else follower,
            stdout=subprocess.PIPE,
            stderr=follower if stdin is None else subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        os.close(follower)
        return Result(done.returncode, done.stdout, done.stderr or ""), _rest(leader)
    finally:
        os.close(leader)


def _rest(leader: int) -> str:
    """Return what came to the terminal; at its end Linux raises, others return nothing."""
    found = b""
    with suppress(OSError):
        while part := os.read(leader, 4096):
            found += part
    return found.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param(
            {"NO_COLOR": ""}, "\x1b[31mError: \x1b[0mthere is no command 'x'", id="colour"
        ),
        pytest.param({"NO_COLOR": "1"}, "Error: there is no command 'x'", id="NO_COLOR"),
    ],
)
def test_colour(run_cli: Command, env: dict[str, str], expected: str) -> None:
    """On a terminal problems are coloured, unless NO_COLOR is set."""
    _, shown = on_terminal(run_cli, "x", env=env)

    assert shown.partition("\n")[0] == expected


# -- the end of a run -------------------------------------------------------------------------


def test_interrupt(
    folder: Path,
    invoke_cli: Run,
    make_package: PackageMaker,
    sqlite_database: Database,
) -> None:
    """An interrupted upgrade exits 130 in one line; finished steps stay, the other left nothing."""
    make_package(
        "blog",
        {
            "001": 'op.create_table("a", sa.Column("x", sa.Integer))',
            "002": 'op.create_table("b", sa.Column("x", sa.Integer))\nraise KeyboardInterrupt',
        },
    ).install()

    result = invoke_cli("-q", "--url", sqlite_database.url, "upgrade")

    assert (result.exit_code, result.stderr.strip()) == (
        130,
        "Error: interrupted\nhint: finished steps are recorded: run the same command again",
    )
    assert rows(sqlite_database.engine) == {("blog", "001")}
    with sqlite_database.engine.connect() as connection:
        assert not sqlite_database.engine.dialect.has_table(connection, "b")


def closed_pipe(run_cli: Command, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a stdout that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", "ptah_migrate", *words],
            cwd=run_cli.cwd,
            env=run_cli.environment(),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)


def test_broken_pipe(blog: Path, run_cli: Command) -> None:
    """A command whose reader has gone ends without a word."""
    done = closed_pipe(run_cli, "-q", "history")

    assert (done.returncode, done.stderr) == (1, "")


def test_broken_pipe_of_an_upgrade(blog: Path, run_cli: Command, sqlite_database: Database) -> None:
    """An upgrade whose reader has gone does what it was told all the same."""
    done = closed_pipe(run_cli, "-q", "--url", sqlite_database.url, "upgrade")

    assert (done.returncode, done.stderr) == (0, "")
    assert rows(sqlite_database.engine) == {("blog", "002")}


def test_poor_terminal(blog: Path, run_cli: Command) -> None:
    """A character that stdout does not have stops nothing."""
    source = (blog / "002.py").read_text(encoding="utf-8")
    (blog / "002.py").write_text(f'"""a → b"""\n{source}', encoding="utf-8")

    result = run_cli("heads", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"})

    assert result == Result(0, "blog: 002 a \\u2192 b\n", "")


# -- the rest -----------------------------------------------------------------------------------


def test_version(invoke_cli: Run, run_cli: Command) -> None:
    """--version names the tool and its version, installed or not."""
    expected = Result(0, f"ptah-migrate {ptah_migrate.__version__}\n", "")

    assert invoke_cli("--version") == expected
    assert run_cli("--version") == expected


def test_traceback(blog: Path, invoke_cli: Run) -> None:
    """--traceback shows where an error came from, before or after the command; alone it is not."""
    for words in (["--traceback", "heads", "blgo"], ["heads", "blgo", "--traceback"]):
        result = invoke_cli(*words)

        assert result.stderr.startswith("Traceback (most recent call last):\n")
        assert result.stderr.endswith(
            "\nError: no migrations are registered for 'blgo'\n"
            "hint: did you mean 'blog'? registered: blog\n"
        )
    assert invoke_cli("heads", "blgo").stderr.startswith("Error: ")


def test_unexpected(blog: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is one line that asks for a report, not a traceback."""

    def fail(*_: Any) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("ptah_migrate._history.heads", fail)

    assert invoke_cli("heads") == Result(
        1,
        "",
        "Error: unexpected RuntimeError: first line second line\n"
        "hint: --traceback shows where; please report it\n",
    )


def test_application_with_json(
    write_app: WriteApp, make_package: PackageMaker, invoke_cli: Run
) -> None:
    """Options work behind leading settings as anywhere."""
    make_package("blog", {"001": "pass"}, init=includeme("blog"))
    write_app("blog", settings="sqlalchemy.url = sqlite:///a.sqlite\n")

    result = invoke_cli("app.ini", "--json", "current", "-q")

    assert (result.stderr, read(result)) == ("", {"current": {"blog": []}})
