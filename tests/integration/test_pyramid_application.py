"""Commands load an application from its settings file, whatever state it is in."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pyramid.config import Configurator

from ptah_migrate._pyramid.application import load
from ptah_migrate._pyramid.settings import Loaded
from ptah_migrate._pyramid.startup import packages_of
from ptah_migrate.errors import ConfigError
from tests.helpers import Command, Database, PackageMaker, Result, rows, tables
from tests.integration.applications import addon, create

MAIN = """
from pyramid.config import Configurator

def main(global_config, **settings):
    config = Configurator(settings=settings)
    config.include("blog")
    config.ptah_migrate()
    config.ptah_populate()
    {more}
    return config.make_wsgi_app()
"""

READS_A_TABLE = """
    import sqlalchemy as sa
    with sa.create_engine(settings["sqlalchemy.url"]).connect() as connection:
        connection.execute(sa.text("SELECT id FROM post"))
    """

FILTER = """
def make(global_config, **settings):
    def wrap(app):
        return lambda environ, start_response: app(environ, start_response)
    return wrap
"""

INI = """
[app:main]
use = call:portal:main
sqlalchemy.url = {url}
colour = red
"""

LOGGING = """
[loggers]
keys = root

[handlers]
keys = {handler}

[formatters]
keys =

[logger_root]
level = WARNING
handlers = {handler}

[handler_console]
class = StreamHandler
args = (sys.stderr,)

[handler_file]
class = FileHandler
args = ("/nowhere/at/all.log",)
"""


@pytest.fixture(autouse=True)
def keep_logging() -> Iterator[None]:
    """Put the logging back as it was; the settings files here configure it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def portal(make_package: PackageMaker) -> Callable[[str], None]:
    """Return a function that writes the application; its argument is more of its ``main``."""
    make_package("blog", {"001": create("post")}, init=addon("blog")).install()

    def write(more: str = "pass") -> None:
        lines = dedent(more).strip().splitlines()
        make_package("portal", init=MAIN.replace("{more}", "\n    ".join(lines)))

    return write


@pytest.fixture
def ini(tmp_path: Path, sqlite_database: Database) -> Path:
    """Return the settings of the application."""
    return write(tmp_path / "app.ini", INI.format(url=sqlite_database.url))


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text)
    return path


def names(loaded: Loaded) -> list[str]:
    """Return the packages of a loaded application."""
    assert loaded.registry is not None, loaded.problem
    return list(packages_of(loaded.registry).packages)


# -- applications that load --------------------------------------------------------------


def test_load(portal: Callable[..., None], ini: Path, sqlite_database: Database) -> None:
    """An application gives its settings and its packages, and its database is not touched."""
    portal()

    loaded = load(str(ini))

    assert names(loaded) == ["blog"]
    assert loaded.settings["colour"] == "red"
    assert (loaded.problem, loaded.logging) == ("", False)
    assert tables(sqlite_database.engine) == set()


def test_settings_of_the_application(portal: Callable[..., None], ini: Path) -> None:
    """What an application adds to its settings counts."""
    portal("config.add_settings(colour='blue', size='3')")

    loaded = load(str(ini))

    assert (loaded.settings["colour"], loaded.settings["size"]) == ("blue", "3")


def test_section(portal: Callable[..., None], ini: Path) -> None:
    """``#section`` names another application of the file."""
    portal()
    ini.write_text(ini.read_text() + "\n[app:second]\nuse = call:portal:main\ncolour = green\n")

    loaded = load(f"{ini}#second")

    assert names(loaded) == ["blog"]
    assert loaded.settings["colour"] == "green"


def test_logging(portal: Callable[..., None], ini: Path) -> None:
    """A file that configures the logging has it configured, before the application loads."""
    portal("import logging; config.add_settings(level=logging.getLogger().level)")
    write(ini, ini.read_text() + LOGGING.format(handler="console"))
    logging.getLogger().setLevel(logging.CRITICAL)

    loaded = load(str(ini))

    assert loaded.logging is True
    assert loaded.settings["level"] == logging.WARNING


def test_logging_that_fails(
    portal: Callable[..., None], ini: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A log file that this user may not write stops no command; it is said."""
    portal()
    write(ini, ini.read_text() + LOGGING.format(handler="file"))
    warnings: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("ptah.migrate").addHandler(handler)

    loaded = load(str(ini))

    logging.getLogger("ptah.migrate").removeHandler(handler)
    assert names(loaded) == ["blog"]
    assert loaded.logging is False
    assert len(warnings) == 1
    assert warnings[0].startswith(f"the logging of {ini} cannot be set up: ")


def test_root_factory(portal: Callable[..., None], ini: Path) -> None:
    """A root factory that needs tables is not called."""
    portal("config.set_root_factory(lambda request: 1 / 0)")

    assert names(load(str(ini))) == ["blog"]


def test_filter(make_package: PackageMaker, portal: Callable[..., None], ini: Path) -> None:
    """The application is found behind the filters of a pipeline."""
    portal()
    make_package("gzip_", init=FILTER)
    text = ini.read_text().replace("app:main", "app:inner")
    write(
        ini,
        f"{text}\n[filter:gzip]\npaste.filter_factory = gzip_:make\n"
        "[pipeline:main]\npipeline = gzip inner\n",
    )

    loaded = load(str(ini))

    assert names(loaded) == ["blog"]
    assert loaded.settings["colour"] == "red"


def test_talkative(
    portal: Callable[..., None], ini: Path, invoke_cli: Callable[..., Result]
) -> None:
    """What an application prints while it loads is no part of a result."""
    portal("print('loading ...')")

    result = invoke_cli(ini, "current", "--json")

    assert json.loads(result.stdout)["current"] == {"blog": []}
    assert "loading ..." in result.stderr


def test_populated_by_the_application(
    portal: Callable[..., None],
    ini: Path,
    sqlite_database: Database,
    invoke_cli: Callable[..., Result],
) -> None:
    """A command runs the application's own step in place of ours, where it has one."""
    portal("config.ptah_populate_step('ptah-db-schema', lambda r: print(r.settings['colour']))")

    result = invoke_cli(ini, "populate", "ptah-db-schema")

    assert result.stdout == "red\npopulated ptah-db-schema\n"
    assert tables(sqlite_database.engine) == set()


# -- applications that do not ------------------------------------------------------------


def test_reads_a_table(
    portal: Callable[..., None],
    ini: Path,
    sqlite_database: Database,
    invoke_cli: Callable[..., Result],
) -> None:
    """An application that reads a table when it starts can be migrated into being."""
    portal(READS_A_TABLE)
    loaded = load(str(ini))
    assert loaded.registry is None
    assert loaded.problem == "OperationalError: (sqlite3.OperationalError) no such table: post"

    result = invoke_cli(ini, "upgrade")

    assert result.exit_code == 0, result.stderr
    assert (
        f"the application of {ini} cannot be loaded "
        "(OperationalError: (sqlite3.OperationalError) no such table: post)"
    ) in result.stderr
    assert rows(sqlite_database.engine) == {("blog", "001")}
    assert names(load(str(ini))) == ["blog"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param("raise ValueError", "ValueError", id="without a word"),
        pytest.param("raise ValueError('a\\n\\nb')", "ValueError: a", id="many words"),
        pytest.param("import sys; sys.exit('go away')", "SystemExit: go away", id="exits"),
        pytest.param(
            "config.ptah_migrate('upgrad')",
            "RegistrationError: 'upgrad' is no start-up mode",
            id="our error",
        ),
        pytest.param(
            "import nowhere",
            "ModuleNotFoundError: No module named 'nowhere'",
            id="a missing library",
        ),
    ],
)
def test_fails(portal: Callable[..., None], ini: Path, more: str, problem: str) -> None:
    """An application that fails is told in one line, and its settings are there."""
    portal(more)

    loaded = load(str(ini))

    assert (loaded.registry, loaded.problem) == (None, problem)
    assert loaded.settings["colour"] == "red"


def test_conflict(make_package: PackageMaker, portal: Callable[..., None], ini: Path) -> None:
    """Of a conflict both places are told, for they are what has to be corrected."""
    other = make_package("other", init=addon("blog", "other:migrations"))
    portal("config.include('other')")

    loaded = load(str(ini))

    assert loaded.problem.startswith("ConfigurationConflictError: ")
    assert f"Line 3 of file {other.directory / '__init__.py'}" in loaded.problem
    assert f"Line 3 of file {make_package.made[0].directory / '__init__.py'}" in loaded.problem


def test_filter_around_a_failure(
    make_package: PackageMaker, portal: Callable[..., None], ini: Path
) -> None:
    """Also behind a pipeline the settings of an application that fails are there."""
    portal("raise ValueError('mine')")
    make_package("gzip_", init=FILTER)
    text = ini.read_text().replace("app:main", "app:inner")
    write(
        ini,
        f"{text}\n[filter:gzip]\npaste.filter_factory = gzip_:make\n"
        "[pipeline:main]\npipeline = gzip inner\n",
    )

    loaded = load(str(ini))

    assert (loaded.registry, loaded.problem) == (None, "ValueError: mine")
    assert loaded.settings["colour"] == "red"


@pytest.mark.parametrize("use", ["egg:nowhere", "call:nowhere:main"])
def test_not_installed(portal: Callable[..., None], ini: Path, use: str) -> None:
    """An application whose code is not installed is told; its settings are there."""
    write(ini, ini.read_text().replace("call:portal:main", use))

    loaded = load(str(ini))

    assert loaded.registry is None
    assert "nowhere" in loaded.problem
    assert loaded.settings["colour"] == "red"


def test_other_framework(make_package: PackageMaker, ini: Path) -> None:
    """Another framework's application has settings; one that was loaded before is not taken."""
    make_package(
        "portal", init="def main(global_config, **settings):\n    return lambda e, s: []\n"
    )
    before = Configurator()
    before.include("ptah_migrate")
    before.make_wsgi_app()

    loaded = load(str(ini))

    assert (loaded.registry, loaded.problem) == (None, "it is no Pyramid application")
    assert loaded.settings["colour"] == "red"


def test_plain_section(tmp_path: Path) -> None:
    """An ini file that is no PasteDeploy file is a file of settings."""
    path = write(tmp_path / "plain.ini", "[shop]\nsqlalchemy.url = sqlite:///%(here)s/x.sqlite\n")

    loaded = load(f"{path}#shop")

    assert loaded.registry is None
    assert loaded.settings == {"sqlalchemy.url": f"sqlite:///{tmp_path}/x.sqlite"}


def test_plain_section_command(
    make_package: PackageMaker,
    tmp_path: Path,
    sqlite_database: Database,
    invoke_cli: Callable[..., Result],
) -> None:
    """A command works from such a file and the installed entry points."""
    make_package("blog", {"001": create("post")}).install()
    path = write(tmp_path / "plain.ini", f"[main]\nsqlalchemy.url = {sqlite_database.url}\n")

    result = invoke_cli(path, "upgrade", "blog")

    assert result.exit_code == 0, result.stderr
    assert rows(sqlite_database.engine) == {("blog", "001")}


def test_without_the_application(
    make_package: PackageMaker, ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not want the application gets its settings, and none of its code is imported."""
    make_package("portal", init="raise RuntimeError\n")

    loaded = load(str(ini), application=False)

    assert loaded.settings["colour"] == "red"
    assert (loaded.registry, loaded.problem) == (None, "")


# -- without Pyramid ---------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["plaster", "pyramid"])
def test_no_pyramid(
    portal: Callable[..., None], ini: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Without Pyramid the settings are read, and the extra is named."""
    portal()
    for name in list(sys.modules):
        if name == missing or name.startswith(f"{missing}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    loaded = load(str(ini))

    assert (loaded.registry, loaded.problem) == (
        None,
        "Pyramid is not installed: pip install 'ptah-migrate[pyramid]'",
    )
    assert loaded.settings["colour"] == "red"


NO_PYRAMID = """
import runpy, sys
for name in ("pyramid", "plaster", "plaster_pastedeploy", "paste", "venusian", "zope"):
    sys.modules[name] = None
sys.argv = ["ptah-migrate", *sys.argv[1:]]
runpy.run_module("ptah_migrate", run_name="__main__")
"""


def test_command_without_pyramid(
    make_package: PackageMaker, packages_root: Path, tmp_path: Path, sqlite_database: Database
) -> None:
    """A command works without Pyramid, also for packages that declare themselves for its scan."""
    declared = "import ptah_migrate\nptah_migrate.register_migration('blog', 'blog:migrations')\n"
    made = make_package("blog", {"001": f"import blog.migrations\n{create('post')}"})
    made.add("__init__.py", declared)
    made.install()
    path = write(tmp_path / "app.ini", INI.format(url=sqlite_database.url))

    done = subprocess.run(
        [sys.executable, "-c", NO_PYRAMID, str(path), "upgrade"],
        cwd=tmp_path,
        env=Command(tmp_path, [packages_root]).environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "pip install 'ptah-migrate[pyramid]'" in done.stderr
    assert rows(sqlite_database.engine) == {("blog", "001")}


# -- files that cannot be read -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "section", "message"),
    [
        pytest.param(None, "", "settings file '{path}' does not exist", id="missing"),
        pytest.param("", "", "'{path}' has no section [app:main]", id="empty"),
        pytest.param(INI, "two", "'{path}' has no section [app:two]", id="no such section"),
        pytest.param(
            "[app:main]\nuse = two\n", "", "'{path}' has no section [app:two]", id="inside"
        ),
        pytest.param(
            "a = 1\n",
            "",
            "'{path}' cannot be read: File contains no section headers. "
            "file: '{path}', line: 1 'a = 1\\n'",
            id="no ini file",
        ),
    ],
)
def test_unreadable(tmp_path: Path, text: str | None, section: str, message: str) -> None:
    """A file that is missing, damaged, or lacks the section is an error with its path."""
    path = tmp_path / "app.ini"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError) as error:
        load(f"{path}#{section}" if section else str(path))

    assert str(error.value) == message.format(path=path)


def test_directory(tmp_path: Path) -> None:
    """A directory is no settings file."""
    with pytest.raises(ConfigError, match="does not exist"):
        load(str(tmp_path))


def test_own_loader(tmp_path: Path, portal: Callable[..., Any]) -> None:
    """A file whose format nothing here can load is an error, not a traceback."""
    path = write(tmp_path / "app.yaml", "app: {use: portal}\n")

    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(path))
