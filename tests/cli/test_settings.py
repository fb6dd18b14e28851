"""Where the settings come from, and the first line, which says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, WriteApp, includeme
from tests.helpers import Command, PackageMaker, Result

CURRENT = "Package 'blog' rev: None\n"


@pytest.fixture(autouse=True)
def blog(make_package: PackageMaker) -> None:
    """Install a package."""
    package = make_package("blog", {"001": "pass"}, init=includeme("blog"))
    package.install()


def settings(folder: Path, name: str, text: str = "") -> Path:
    """Write a settings file that is no application's."""
    path = folder / name
    path.write_text(text or f"[app:main]\nsqlalchemy.url = sqlite:///{folder}/{path.stem}.sqlite\n")
    return path


def pyproject(folder: Path, text: str) -> None:
    """Write a pyproject.toml with a table of ours."""
    (folder / "pyproject.toml").write_text(f"[tool.ptah_migrate]\n{text}\n")


# -- which are taken ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["app.ini", "current"], id="first word"),
        pytest.param(["--no-app", "app.ini", "current"], id="first word behind an option"),
        pytest.param(["-x", "a=b", "app.ini", "current"], id="first word behind a value"),
        pytest.param(["-c", "app.ini", "current"], id="-c before"),
        pytest.param(["current", "-c", "app.ini"], id="-c after"),
        pytest.param(["--config=app.ini", "current"], id="--config="),
        pytest.param(["current", "--config", "app.ini"], id="--config after"),
    ],
)
def test_file(folder: Path, invoke_cli: Run, words: list[str]) -> None:
    """A settings file may be the first word, or -c before and after the command."""
    settings(folder, "app.ini")

    result = invoke_cli("--no-app", *words)

    assert result == Result(
        0, CURRENT, f"Using app.ini (given), database sqlite:///{folder}/app.sqlite\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["sqlite:///x.sqlite", "current"], id="first word"),
        pytest.param(["--url", "sqlite:///x.sqlite", "current"], id="--url before"),
        pytest.param(["current", "--url", "sqlite:///x.sqlite"], id="--url after"),
        pytest.param(["-c", "sqlite:///x.sqlite", "current"], id="-c"),
    ],
)
def test_url(folder: Path, invoke_cli: Run, words: list[str]) -> None:
    """A database URL may be the first word, or --url before and after the command."""
    result = invoke_cli(*words)

    assert result == Result(0, CURRENT, "Using database sqlite:///x.sqlite (given)\n")


def test_section(folder: Path, invoke_cli: Run) -> None:
    """file.ini#section takes that section's settings."""
    settings(folder, "app.ini", "[app:main]\n[app:other]\nsqlalchemy.url = sqlite:///o.sqlite\n")

    result = invoke_cli("app.ini#other", "--no-app", "current")

    assert result == Result(
        0, CURRENT, "Using app.ini#other (given), database sqlite:///o.sqlite\n"
    )


def test_file_of_any_name(folder: Path, invoke_cli: Run) -> None:
    """An existing file is taken as settings, whatever its name."""
    settings(folder, "settings")

    result = invoke_cli("settings", "--no-app", "current")

    assert result == Result(
        0, CURRENT, f"Using settings (given), database sqlite:///{folder}/settings.sqlite\n"
    )


def test_command_before_file(folder: Path, invoke_cli: Run) -> None:
    """A word that is a command is one, also where a file has that name."""
    settings(folder, "list")

    result = invoke_cli("--quiet", "list")

    assert result.stdout.startswith("* blog:\n")


def test_url_beside_file(folder: Path, invoke_cli: Run) -> None:
    """--url replaces the database of the settings file, not its other settings."""
    settings(folder, "app.ini", "[app:main]\nptah_migrate.packages = shop\n")

    result = invoke_cli("app.ini", "--no-app", "current", "--url", "sqlite:///x.sqlite")

    assert result.stderr.startswith("Using app.ini (given), database sqlite:///x.sqlite\n")
    assert result.stdout == ""


# Each row has one source more than the next: the first of them is taken.
ORDER = [
    pytest.param({"word", "url", "CONFIG", "URL", "toml", "ini"}, "word.ini (given)", id="word"),
    pytest.param({"url", "CONFIG", "URL", "toml", "ini"}, "database sqlite:///u.db", id="--url"),
    pytest.param(
        {"CONFIG", "URL", "toml", "ini"}, "env.ini (from PTAH_MIGRATE_CONFIG)", id="CONFIG"
    ),
    pytest.param(
        {"URL", "toml", "ini"}, "database sqlite:///e.db (from PTAH_MIGRATE_URL)", id="URL"
    ),
    pytest.param(
        {"toml", "ini"}, "database sqlite:///{folder}/t.db (from pyproject.toml)", id="toml"
    ),
    pytest.param({"ini"}, "development.ini (found here)", id="development.ini"),
]


@pytest.mark.parametrize(("sources", "taken"), ORDER)
def test_order(folder: Path, invoke_cli: Run, sources: set[str], taken: str) -> None:
    """Of several sources the first counts: word, --url, environment, pyproject, development.ini."""
    for name in ("word.ini", "env.ini", "development.ini"):
        settings(folder, name)
    if "toml" in sources:
        pyproject(folder, 'url = "sqlite:///t.db"')
    env = {
        "PTAH_MIGRATE_CONFIG": "env.ini" if "CONFIG" in sources else None,
        "PTAH_MIGRATE_URL": "sqlite:///e.db" if "URL" in sources else None,
    }
    word = ["word.ini"] if "word" in sources else []
    url = ["--url", "sqlite:///u.db"] if "url" in sources else []

    result = invoke_cli(*word, "current", "--no-app", *url, env=env)

    assert result.exit_code == 0
    assert result.stderr.startswith(f"Using {taken.format(folder=folder)}")


def test_url_beside_environment(folder: Path, invoke_cli: Run) -> None:
    """PTAH_MIGRATE_URL replaces the database of the file that PTAH_MIGRATE_CONFIG names."""
    settings(folder, "env.ini")

    result = invoke_cli(
        "--no-app",
        "current",
        env={"PTAH_MIGRATE_CONFIG": "env.ini", "PTAH_MIGRATE_URL": "sqlite:///e.db"},
    )

    assert result.stderr == "Using env.ini (from PTAH_MIGRATE_CONFIG), database sqlite:///e.db\n"


@pytest.mark.parametrize("names", [["production.ini"], ["app.ini"], ["testing.ini"]])
def test_never_guessed(folder: Path, invoke_cli: Run, names: list[str]) -> None:
    """No settings file but development.ini is ever guessed."""
    for name in names:
        settings(folder, name)

    result = invoke_cli("current")

    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize("name", ["shop", "50%41 of é?#"])
def test_project_file_lies_in_the_project(
    folder: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A relative SQLite file of pyproject.toml lies in the project, wherever one stands in it."""
    project = folder / name
    (project / "src").mkdir(parents=True)
    pyproject(project, 'url = "sqlite:///app.sqlite"')
    monkeypatch.chdir(project / "src")

    result = invoke_cli("upgrade")

    assert result.exit_code == 0
    assert result.stderr == f"Using database sqlite:///{project}/app.sqlite (from pyproject.toml)\n"
    assert sorted(path.name for path in project.iterdir()) == [
        "app.sqlite",
        "pyproject.toml",
        "src",
    ]
    assert list((project / "src").iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:////{folder}/deep.sqlite"],
)
def test_project_url_as_it_is(folder: Path, invoke_cli: Run, url: str) -> None:
    """A database in memory and an absolute path stay what they are."""
    url = url.format(folder=folder)
    pyproject(folder, f'url = "{url}"')

    result = invoke_cli("current")

    assert result == Result(0, CURRENT, f"Using database {url} (from pyproject.toml)\n")


def test_project_config(folder: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key config of [tool.ptah_migrate] names a settings file in the project."""
    settings(folder, "dev.ini")
    pyproject(folder, 'config = "dev.ini"')
    (folder / "src").mkdir()
    monkeypatch.chdir(folder / "src")

    result = invoke_cli("--no-app", "current")

    assert result == Result(
        0,
        CURRENT,
        f"Using {folder}/dev.ini (from pyproject.toml), database sqlite:///{folder}/dev.sqlite\n",
    )


def test_project_settings(folder: Path, invoke_cli: Run, make_package: PackageMaker) -> None:
    """Further keys of [tool.ptah_migrate] are settings: packages says which take part."""
    make_package("shop", {"001": "pass"}).install()
    pyproject(folder, 'url = "sqlite:///app.sqlite"\npackages = ["shop"]')

    result = invoke_cli("-q", "current")

    assert result == Result(0, "Package 'shop' rev: None\n", "")


# -- what is said ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(
            "postgresql://jo:s3cret@127.0.0.1:1/shop",
            "postgresql+psycopg://jo:***@127.0.0.1:1/shop",
            id="in its place",
        ),
        pytest.param(
            "postgresql+psycopg://127.0.0.1:1/shop?user=jo&password=s3cret",
            "postgresql+psycopg://127.0.0.1:1/shop?password=***&user=jo",
            id="in the query",
        ),
        pytest.param(
            "mysql://jo:s3cret@127.0.0.1:1/shop",
            "mysql+pymysql://jo:***@127.0.0.1:1/shop",
            id="MariaDB",
        ),
    ],
)
@pytest.mark.parametrize("command", ["current", "upgrade"])
def test_password(folder: Path, invoke_cli: Run, url: str, shown: str, command: str) -> None:
    """No password is ever printed, be it in the URL's place for it or in its query."""
    result = invoke_cli("--url", url, command, "--traceback")

    using, _, rest = result.stderr.partition("\n")
    assert using == f"Using database {shown} (given)"
    assert f"\nError: the database {shown} cannot be used: " in rest
    assert "s3cret" not in rest.partition("\nError: ")[2]


def test_quiet(folder: Path, invoke_cli: Run) -> None:
    """With -q nothing is said about what was taken."""
    assert invoke_cli("--url", "sqlite:///x.sqlite", "-q", "current") == Result(0, CURRENT, "")


def test_without_database(folder: Path, invoke_cli: Run) -> None:
    """A command that asks no database names none, and needs no settings."""
    settings(folder, "app.ini")

    assert invoke_cli("app.ini", "--no-app", "heads").stderr == "Using app.ini (given)\n"
    assert invoke_cli("heads") == Result(0, "blog: 001\n", "")


# -- applications ------------------------------------------------------------------------


def test_application(folder: Path, write_app: WriteApp, invoke_cli: Run) -> None:
    """The application's packages and its database are taken, and its start does not upgrade."""
    write_app(
        "blog", settings="sqlalchemy.url = sqlite:///a.sqlite\n", start="config.ptah_migrate()"
    )

    result = invoke_cli("app.ini", "current")

    assert result == Result(0, CURRENT, "Using app.ini (given), database sqlite:///a.sqlite\n")


def test_database_of_the_application(folder: Path, write_app: WriteApp, invoke_cli: Run) -> None:
    """An engine that the application made itself is taken, and named."""
    write_app(
        "blog",
        start="""
        import sqlalchemy
        config.registry["dbengine"] = sqlalchemy.create_engine("sqlite:///own.sqlite")
        """,
    )

    result = invoke_cli("app.ini", "current")

    assert result == Result(
        0, CURRENT, "Using app.ini (given)\nUsing database sqlite:///own.sqlite\n"
    )


def test_first_line(run_cli: Command, tmp_path: Path, write_app: WriteApp) -> None:
    """What was taken is said before anything the application says, and that is no result."""
    write_app(
        settings="sqlalchemy.url = sqlite:///a.sqlite\n",
        start="""
        import sys
        print("hello")
        print("started", file=sys.stderr)
        """,
    )

    result = run_cli("app.ini", "current", "--json")

    assert result.stdout.startswith("{")
    assert result.stderr.splitlines()[:3] == [
        "Using app.ini (given), database sqlite:///a.sqlite",
        "hello",
        "started",
    ]


def test_no_noise(run_cli: Command, tmp_path: Path, write_app: WriteApp) -> None:
    """Pyramid's warning about pkg_resources does not reach the user of a command."""
    write_app("blog", settings="sqlalchemy.url = sqlite:///a.sqlite\n")

    result = run_cli("app.ini", "current", env={"PYTHONWARNINGS": ""})

    assert result == Result(0, CURRENT, "Using app.ini (given), database sqlite:///a.sqlite\n")


BROKEN = (
    "Warning: the application of app.ini cannot be loaded (RuntimeError: no tables yet); "
    "going on with its settings and the installed entry points\n"
    "hint: --no-app does not try to load it\n"
)


def test_broken_application(folder: Path, write_app: WriteApp, invoke_cli: Run) -> None:
    """An application that cannot be loaded is told, and its settings and entry points serve."""
    write_app(
        settings="sqlalchemy.url = sqlite:///a.sqlite\n",
        start='raise RuntimeError("no tables yet")',
    )

    result = invoke_cli("app.ini", "upgrade")

    assert (result.exit_code, result.stderr) == (
        0,
        f"Using app.ini (given), database sqlite:///a.sqlite\n{BROKEN}",
    )
    assert result.stdout.startswith("blog None -> 001 (")


def test_no_app(folder: Path, write_app: WriteApp, invoke_cli: Run) -> None:
    """--no-app runs no code of the application."""
    write_app(settings="sqlalchemy.url = sqlite:///a.sqlite\n", start='raise RuntimeError("no")')

    assert invoke_cli("app.ini", "--no-app", "current") == Result(
        0, CURRENT, "Using app.ini (given), database sqlite:///a.sqlite\n"
    )


def test_only_the_included(
    folder: Path, write_app: WriteApp, invoke_cli: Run, make_package: PackageMaker
) -> None:
    """Packages that the application does not include are left alone, and named as such."""
    make_package("extra", {"001": "pass"}).install()
    write_app("blog", settings="sqlalchemy.url = sqlite:///a.sqlite\n")

    assert invoke_cli("app.ini", "-q", "current") == Result(0, CURRENT, "")
    assert invoke_cli("app.ini", "-q", "upgrade", "extra").stderr.startswith(
        "Error: no migrations are registered for 'extra'\n"
        "hint: 'extra' is installed but not included: include it in the application"
    )


def test_logging_of_the_file(run_cli: Command, folder: Path, write_app: WriteApp) -> None:
    """Where the settings file configures logging, steps are logged as it says."""
    ini = write_app("blog", settings="sqlalchemy.url = sqlite:///a.sqlite\n")
    ini.write_text(
        ini.read_text()
        + "[loggers]\nkeys = root\n[handlers]\nkeys = console\n[formatters]\nkeys = short\n"
        "[logger_root]\nlevel = INFO\nhandlers = console\n"
        "[handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = short\n"
        "[formatter_short]\nformat = LOG %(name)s: %(message)s\n"
    )

    result = run_cli("app.ini", "upgrade")

    assert (result.exit_code, result.stderr) == (
        0,
        (
            "Using app.ini (given), database sqlite:///a.sqlite\n"
            "LOG ptah.alembic: blog: running upgrade None -> 001\n"
        ),
    )
