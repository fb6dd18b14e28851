"""
Bad input: each case is one Error line, one hint, the documented exit code, and no other trace.

What must not happen is looked for: a traceback, a file, a table, a row.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Run, WriteApp
from tests.helpers import (
    Command,
    Database,
    PackageMaker,
    PackageOnDisk,
    Result,
    contents,
    dump,
    revision_source,
    rows,
    tree,
)

TABLE = 'op.create_table("a", sa.Column("x", sa.Integer))'


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> PackageOnDisk:
    """Install a package with two revisions."""
    package = make_package("blog", {"001": TABLE, "002": 'op.drop_table("a")'})
    package.install()
    return package


@pytest.fixture
def shop(make_package: PackageMaker) -> PackageOnDisk:
    """Install another package, with which nothing is wrong."""
    package = make_package("shop", {"001": "pass"})
    package.install()
    return package


def refused(error: str, hint: str, *, code: int = 1, using: str = "") -> Result:
    """Return what a refusal leaves: nothing on stdout, two lines behind what was taken."""
    return Result(code, "", f"{using}Error: {error}\nhint: {hint}\n")


class Untouched:
    """Compares folders and a database before and after."""

    def __init__(self, *folders: Path, database: Database | None = None) -> None:
        self.folders = folders
        self.database = database
        self.before = self.now()

    def now(self) -> Any:
        engine = self.database.engine if self.database else None
        found = [
            (engine and dump(engine)),
            (engine and contents(engine)),
            (engine and rows(engine)),
        ]
        return [tree(folder) for folder in self.folders], found

    def __bool__(self) -> bool:
        return self.now() == self.before  # type: ignore[no-any-return]


@pytest.fixture
def upgrade(invoke_cli: Run, sqlite_database: Database) -> Iterator[Run]:
    """Yield a function that upgrades an empty database in vain; nothing may be left in it."""

    def run(*words: str) -> Result:
        return invoke_cli("-q", "--url", sqlite_database.url, "upgrade", *words)

    yield run

    assert rows(sqlite_database.engine) == set()
    assert dump(sqlite_database.engine) == {"tables": {}, "views": {}}


# -- names ---------------------------------------------------------------------------------


def test_unknown_package(blog: PackageOnDisk, upgrade: Run) -> None:
    """An unknown package: the nearest name, and the registered ones."""
    assert upgrade("blgo") == refused(
        "no migrations are registered for 'blgo'", "did you mean 'blog'? registered: blog"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["history", "blgo"],
        ["heads", "blgo"],
        ["branches", "blgo"],
        ["show", "blgo"],
        ["revision", "blgo"],
        ["merge", "blgo"],
        ["current", "blgo"],
        ["check", "blgo"],
        ["plan", "blgo"],
        ["downgrade", "blgo:base"],
        ["stamp", "blgo"],
        ["upgrade", "--sql", "blgo"],
        ["upgrade", "blog", "blgo"],
    ],
    ids=" ".join,
)
def test_unknown_package_anywhere(
    blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database, words: list[str]
) -> None:
    """Every command says the same of an unknown package."""
    untouched = Untouched(blog.root, database=sqlite_database)

    assert invoke_cli("-q", "--url", sqlite_database.url, *words) == refused(
        "no migrations are registered for 'blgo'", "did you mean 'blog'? registered: blog"
    )
    assert untouched


def test_unknown_revision(blog: PackageOnDisk, upgrade: Run) -> None:
    """An unknown revision: the nearest ids, and the known ones."""
    assert upgrade("blog:003") == refused(
        "package 'blog' has no revision '003'", "did you mean '002' or '001'? known: 001, 002"
    )


@pytest.mark.parametrize(
    "words", [["stamp", "blog:009"], ["downgrade", "blog:009"], ["show", "blog:009"]], ids=" ".join
)
def test_unknown_revision_anywhere(
    blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database, words: list[str]
) -> None:
    """Every command that takes a revision says the same of an unknown one."""
    invoke_cli("--url", sqlite_database.url, "upgrade")
    untouched = Untouched(blog.root, database=sqlite_database)

    result = invoke_cli("-q", "--url", sqlite_database.url, *words)

    assert result == refused(
        "package 'blog' has no revision '009'", "did you mean '002' or '001'? known: 001, 002"
    )
    assert untouched


def test_too_far(blog: PackageOnDisk, upgrade: Run) -> None:
    """A relative target outside the history is wrong usage."""
    assert upgrade("blog:+3") == refused(
        "'blog:+3' is outside the history: 2 revisions are left that way",
        "see: ptah-migrate history blog",
        code=2,
    )


# -- new revisions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "error", "hint"),
    [
        pytest.param(
            "001",
            "package 'blog' already has a revision '001'",
            "leave -r out to get the next number",
            id="exists",
        ),
        pytest.param(
            "a;b",
            "Revision id contains forbidden characters: 'a;b'",
            "letters A-Z and a-z, digits and '_', at most 32: ptah-migrate revision -r 001",
            id="forbidden characters",
        ),
        pytest.param(
            "x" * 33,
            f"revision id '{'x' * 33}' is longer than 32 characters",
            "letters A-Z and a-z, digits and '_', at most 32: ptah-migrate revision -r 001",
            id="too long",
        ),
        pytest.param(
            "../x",
            "Revision id contains forbidden characters: '../x'",
            "letters A-Z and a-z, digits and '_', at most 32: ptah-migrate revision -r 001",
            id="path",
        ),
    ],
)
def test_new_id(blog: PackageOnDisk, invoke_cli: Run, id: str, error: str, hint: str) -> None:
    """An id that exists or that cannot be: nothing is written."""
    untouched = Untouched(blog.root)

    assert invoke_cli("revision", "blog", "-r", id) == refused(error, hint)
    assert untouched


def test_disk_full(blog: PackageOnDisk, run_cli: Command) -> None:
    """A file that cannot be written leaves nothing behind, not even a part."""
    untouched = Untouched(blog.root)

    done = subprocess.run(
        [sys.executable, "-m", "ptah_migrate", "revision", "blog"],
        cwd=run_cli.cwd,
        env=run_cli.environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )

    assert Result(done.returncode, done.stdout, done.stderr) == refused(
        f"cannot write '{blog.migrations}/003.py': file too large", "nothing was changed"
    )
    assert untouched
    assert sorted(path.name for path in blog.migrations.iterdir()) == [
        "001.py",
        "002.py",
        "__init__.py",
    ]


# -- directories -----------------------------------------------------------------------------


@pytest.fixture
def project(folder: Path, invoke_cli: Run) -> Path:
    """Make a project whose package has one revision; return its migrations directory."""
    invoke_cli("init", "blog")
    invoke_cli("revision", "-m", "First")
    return folder / "src" / "blog" / "migrations"


@pytest.mark.parametrize("words", [["upgrade"], ["revision"], ["list"]], ids=" ".join)
def test_directory_missing(project: Path, folder: Path, invoke_cli: Run, words: list[str]) -> None:
    """A directory of migrations that is gone: package and path are named."""
    shutil.rmtree(project)
    untouched = Untouched(folder)

    assert invoke_cli("-q", *words) == refused(
        f"the migrations directory '{project}' of package 'blog' does not exist",
        "run: ptah-migrate init blog, or correct the registered path",
    )
    assert untouched


def test_directory_is_a_file(project: Path, folder: Path, invoke_cli: Run) -> None:
    """A file where the directory should be: package and path are named."""
    shutil.rmtree(project)
    project.write_text("")
    untouched = Untouched(folder)

    assert invoke_cli("-q", "upgrade") == refused(
        f"the migrations directory '{project}' of package 'blog' is not a directory",
        "run: ptah-migrate init blog, or correct the registered path",
    )
    assert untouched


def test_directory_of_another(
    blog: PackageOnDisk, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """An installed package whose directory is gone is reported, and stops no other one."""
    gone = make_package("gone")
    gone.install()
    shutil.rmtree(gone.migrations)

    result = invoke_cli("-q", "--url", sqlite_database.url, "upgrade")

    assert (result.exit_code, result.stderr) == (
        0,
        (
            "Warning: entry point 'gone = gone.migrations' of gone 1.0: the migrations directory "
            f"'{gone.migrations}' of package 'gone' does not exist\n"
            "hint: run: ptah-migrate init gone, or correct the registered path\n"
        ),
    )
    assert rows(sqlite_database.engine) == {("blog", "002")}


def test_init_in_the_way(folder: Path, invoke_cli: Run) -> None:
    """A file where init needs a directory: nothing is written."""
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "migrations").write_text("mine")
    untouched = Untouched(folder)

    result = invoke_cli("init", "shop")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 2
    assert untouched


# -- revision files ----------------------------------------------------------------------------


def test_syntax_error(
    blog: PackageOnDisk, shop: PackageOnDisk, upgrade: Run, invoke_cli: Run
) -> None:
    """A syntax error: file and line, and nothing runs when that package takes part."""
    path = blog.add("003.py", "revision = '003'\ndown_revision = '002'\nx = (\n")
    expected = refused(
        f"{path}:3: syntax error: '(' was never closed", "correct the file of package 'blog'"
    )

    assert upgrade("blog") == expected
    assert upgrade() == expected
    assert invoke_cli("revision", "blog") == expected


def test_syntax_error_of_another(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, sqlite_database: Database
) -> None:
    """A syntax error in one package does not stop the others."""
    path = blog.add("003.py", "revision = '003'\ndown_revision = '002'\nx = (\n")

    up = invoke_cli("-q", "--url", sqlite_database.url, "upgrade", "shop")
    listed = invoke_cli("-q", "heads")

    assert (up.exit_code, up.stderr) == (0, "")
    assert rows(sqlite_database.engine) == {("shop", "001")}
    assert listed == Result(
        0,
        "shop: 001\n",
        f"Warning: {path}:3: syntax error: '(' was never closed\n"
        "hint: correct the file of package 'blog'\n",
    )


@pytest.mark.parametrize(
    ("source", "error", "hint"),
    [
        pytest.param(
            revision_source("003", "002", upgrade=None),
            "{path}: has no upgrade()",
            "correct the file of package 'blog'",
            id="no upgrade",
        ),
        pytest.param(
            revision_source("002", "001"),
            "revision '002' of package 'blog' is in two files: {folder}/002.py and {path}",
            "give one of them another id, and correct its down_revision",
            id="duplicate id",
        ),
        pytest.param(
            revision_source("003", "099"),
            "package 'blog' has no revision '099', named by revision '003' ({path})",
            "known: 001, 002, 003",
            id="missing parent",
        ),
        pytest.param(
            revision_source("003", "002", requires=["crm:001"]),
            "revision '003' of package 'blog' requires package 'crm', which is not registered",
            "install and include 'crm', or write '?crm:…' if it is optional",
            id="missing package",
        ),
        pytest.param(
            revision_source("003", "001"),
            "package 'blog' has 2 heads: 002, 003",
            "run: ptah-migrate merge blog, or name one: blog:002, or all: blog:heads",
            id="two heads",
        ),
        pytest.param(
            "import nowhere\n" + revision_source("003", "002"),
            "{path}:1: cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
            "correct the file of package 'blog'",
            id="import",
        ),
    ],
)
def test_revision_file(
    blog: PackageOnDisk, upgrade: Run, source: str, error: str, hint: str
) -> None:
    """A revision file that cannot be used: it is named, and no step before it runs."""
    path = blog.add("003.py", source)

    assert upgrade() == refused(error.format(path=path, folder=blog.migrations), hint)


def test_no_way_back(blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database) -> None:
    """A downgrade across a revision without downgrade(): refused before the first step."""
    path = blog.add("003.py", revision_source("003", "002", downgrade=None))
    blog.add("004.py", revision_source("004", "003"))
    invoke_cli("--url", sqlite_database.url, "upgrade")
    untouched = Untouched(database=sqlite_database)

    assert invoke_cli("-q", "--url", sqlite_database.url, "downgrade", "blog:001") == refused(
        f"revision '003' of package 'blog' has no downgrade() ({path})",
        "write it, or restore a backup and stamp",
    )
    assert untouched


# -- databases ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "hint"),
    [
        pytest.param(
            "no url",
            "the database URL cannot be understood",
            "for example: sqlite:///app.sqlite or postgresql+psycopg://user@host/name",
            id="no URL",
        ),
        pytest.param(
            "nosuch://host/name",
            "SQLAlchemy knows no database 'nosuch'",
            "sqlite, postgresql+psycopg, mysql+pymysql, or install the dialect",
            id="no such database",
        ),
        pytest.param(
            "sqlite:////nowhere/x/app.sqlite",
            "the database sqlite:////nowhere/x/app.sqlite cannot be used: "
            "unable to open database file",
            "is its directory there, and may you write to it?",
            id="no directory",
        ),
        pytest.param(
            "postgresql://jo:pw@127.0.0.1:1/x",
            "the database postgresql+psycopg://jo:***@127.0.0.1:1/x cannot be used: connection "
            'failed: connection to server at "127.0.0.1", port 1 failed: Connection refused',
            "is the server running, and are name, user and password right?",
            id="PostgreSQL is down",
        ),
        pytest.param(
            "mysql://jo:pw@127.0.0.1:1/x",
            "the database mysql+pymysql://jo:***@127.0.0.1:1/x cannot be used: (2003, "
            "\"Can't connect to MySQL server on '127.0.0.1' ([Errno 111] Connection refused)\")",
            "is the server running, and are name, user and password right?",
            id="MariaDB is down",
        ),
    ],
)
def test_unreachable(blog: PackageOnDisk, invoke_cli: Run, url: str, error: str, hint: str) -> None:
    """A URL that is wrong, or a database that does not answer."""
    assert invoke_cli("-q", "--url", url, "upgrade") == refused(error, hint)


@pytest.mark.parametrize("command", ["upgrade", "status", "stamp"])
def test_foreign_version_table(
    blog: PackageOnDisk, invoke_cli: Run, database: Database, command: str
) -> None:
    """A table of our name with other columns is left alone; they are listed."""
    with database.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE ptah_db_versions (id INTEGER, what INTEGER)"))
    words = [command, "blog:001"] if command == "stamp" else [command]

    result = invoke_cli("-q", "--url", database.url, *words)

    assert result == refused(
        "table 'ptah_db_versions' has other columns than package and version_num: id, what",
        "rename that table, or use another database",
    )
    assert sa.inspect(database.engine).get_table_names() == ["ptah_db_versions"]


READ_ONLY = {
    "sqlite": ("?mode=ro&uri=true", "attempt to write a readonly database"),
    "postgresql": (
        "?options=-c+default_transaction_read_only%3Don",
        "cannot execute CREATE TABLE in a read-only transaction",
    ),
    "mariadb": (
        "?init_command=SET+SESSION+TRANSACTION+READ+ONLY",
        "(1792, 'Cannot execute statement in a READ ONLY transaction')",
    ),
}


def test_read_only(blog: PackageOnDisk, invoke_cli: Run, database: Database) -> None:
    """A database that may not be written: reading works, writing says why not."""
    with database.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE mine (x INTEGER)"))
    query, words = READ_ONLY[database.name]
    url = database.url.replace("sqlite:///", "sqlite:///file:") + query
    untouched = Untouched(database=database)

    assert invoke_cli("-q", "--url", url, "current") == Result(0, "Package 'blog' rev: None\n", "")
    result = invoke_cli("-q", "--url", url, "upgrade")

    assert result == refused(
        f"the database {url} refuses: {words}",
        "is it read-only, or locked, or may this user not do it?",
    )
    assert untouched


def test_database_ahead(blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database) -> None:
    """A database that is newer than the code: both revisions are named, and the ways out."""
    invoke_cli("--url", sqlite_database.url, "upgrade")
    (blog.migrations / "002.py").unlink()
    untouched = Untouched(database=sqlite_database)

    assert invoke_cli("-q", "--url", sqlite_database.url, "upgrade") == refused(
        "the database has revision '002' of package 'blog', which the installed code does not "
        "know, newest here is '001'",
        "install the release of 'blog' that has it, "
        "or record another one: ptah-migrate stamp --purge blog:REVISION",
    )
    assert untouched


# -- settings ------------------------------------------------------------------------------------


def test_no_settings(blog: PackageOnDisk, folder: Path, invoke_cli: Run) -> None:
    """No settings anywhere: the three ways to give them."""
    assert invoke_cli("upgrade") == refused(
        "no settings were found",
        "ptah-migrate SETTINGS.ini …, or --url sqlite:///app.sqlite, "
        "or url = … in [tool.ptah_migrate] of pyproject.toml",
    )
    assert tree(folder) == {}


def test_settings_without_database(
    blog: PackageOnDisk, invoke_cli: Run, write_app: WriteApp
) -> None:
    """Settings that name no database: the key to set."""
    write_app("ptah_migrate")

    assert invoke_cli("app.ini", "upgrade") == refused(
        "the settings name no database",
        "set sqlalchemy.url = sqlite:///%(here)s/app.sqlite, or ptah_migrate.engine",
        using="Using app.ini (given)\n",
    )


@pytest.mark.parametrize(
    ("text", "word", "error", "hint"),
    [
        pytest.param(
            None, "app.ini", "settings file 'app.ini' does not exist", "check the path", id="none"
        ),
        pytest.param(
            "[app:main]\n",
            "app.ini#other",
            "'app.ini' has no section [app:other]",
            "sections: app:main",
            id="no section",
        ),
        pytest.param(
            "nonsense\n",
            "app.ini",
            "'app.ini' cannot be read: File contains no section headers. "
            "file: 'app.ini', line: 1 'nonsense\\n'",
            "correct the file",
            id="no ini file",
        ),
    ],
)
def test_settings_file(
    blog: PackageOnDisk,
    folder: Path,
    invoke_cli: Run,
    text: str | None,
    word: str,
    error: str,
    hint: str,
) -> None:
    """A settings file that is missing or cannot be read."""
    if text is not None:
        (folder / "app.ini").write_text(text)

    result = invoke_cli(word, "--no-app", "current")

    assert result == refused(error, hint, using=f"Using {word} (given)\n")


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        pytest.param(
            "[",
            "{path} cannot be read: Invalid initial character for a key part (at end of document)",
            "correct the file",
            id="no TOML",
        ),
        pytest.param(
            "[tool]\nptah_migrate = 3\n",
            "'ptah_migrate' of {path} is no table",
            'write: [tool.ptah_migrate] and below it url = "sqlite:///app.sqlite"',
            id="no table",
        ),
        pytest.param(
            '[tool.ptah_migrate]\nurl = "sqlite://"\nlock_timeout = "soon"\n',
            "the setting ptah_migrate.lock_timeout, 'soon', is no number of seconds",
            "ptah_migrate.lock_timeout = 60",
            id="no number",
        ),
    ],
)
def test_project_file(
    blog: PackageOnDisk, folder: Path, invoke_cli: Run, text: str, error: str, hint: str
) -> None:
    """A pyproject.toml that cannot be used."""
    path = folder / "pyproject.toml"
    path.write_text(text)

    assert invoke_cli("-q", "upgrade") == refused(error.format(path=path), hint)


# -- steps that raise -----------------------------------------------------------------------------


LEFT = {
    "sqlite": ("OperationalError: no such table: nowhere", ""),
    "postgresql": ('UndefinedTable: relation "nowhere" does not exist', ""),
    "mariadb": (
        "ProgrammingError: (1146, \"Table '{name}.nowhere' doesn't exist\")",
        "; 1 statement(s) of '002' were executed and this database cannot roll them back",
    ),
}


def test_step_raises(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, database: Database
) -> None:
    """A step that raises: package, revision, file:line of the statement, what stays applied."""
    package = make_package(
        "blog",
        {
            "001": TABLE,
            "002": 'op.create_table("b", sa.Column("x", sa.Integer))\n'
            'op.execute("INSERT INTO b VALUES (1)")\n'
            'op.execute("INSERT INTO nowhere VALUES (1)")',
            "003": "pass",
        },
    )
    package.install()
    path = package.migrations / "002.py"
    line = path.read_text().splitlines().index('    op.execute("INSERT INTO nowhere VALUES (1)")')

    result = invoke_cli("-q", "--url", database.url, "upgrade")

    cause, left = LEFT[database.name]
    cause = cause.format(name=database.engine.url.database)
    hint = "undo what '002' left, correct it" if left else "correct it"
    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"Error: upgrade of package 'blog' failed in revision '002' at {path}:{line + 1}: "
            f"{cause} (stays applied: blog:001{left})\n"
            f"hint: {hint}, then run the same command again\n"
        ),
    )
    assert result.stdout.startswith("blog None -> 001 (")
    assert rows(database.engine) == {("blog", "001")}
    assert contents(database.engine).keys() == ({"a", "b"} if left else {"a"})


def test_rerun(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """After the repair of a step that raised a plain rerun succeeds."""
    package = make_package("blog", {"001": f'{TABLE}\nop.execute("nonsense")'})
    package.install()
    first = invoke_cli("-q", "--url", sqlite_database.url, "upgrade")
    package.add("001.py", revision_source("001", upgrade=TABLE))

    second = invoke_cli("-q", "--url", sqlite_database.url, "upgrade")

    assert (first.exit_code, second.exit_code, second.stderr) == (1, 0, "")
    assert rows(sqlite_database.engine) == {("blog", "001")}


def test_populate_step_raises(invoke_cli: Run, write_app: WriteApp, packages_root: Path) -> None:
    """A populate step that raises: the step and the reason."""
    (packages_root / "webapp_steps.py").write_text("def fail(registry):\n    raise KeyError('x')\n")
    write_app(
        settings="sqlalchemy.url = sqlite:///a.sqlite\n",
        start="config.ptah_populate_step('fail', 'webapp_steps.fail')",
    )

    assert invoke_cli("app.ini", "-q", "populate", "fail") == refused(
        "populate step 'fail' failed: KeyError: 'x'",
        "correct it, then run the same command again; --traceback shows where",
    )


# -- missing extras --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "words", "error", "extra"),
    [
        pytest.param("copier", ["init", "shop"], "copier", "scaffold", id="copier"),
        pytest.param(
            "psycopg",
            ["--url", "postgresql://h/x", "upgrade"],
            "the PostgreSQL driver psycopg",
            "postgresql",
            id="psycopg",
        ),
        pytest.param(
            "psycopg",
            ["--url", "postgresql+psycopg://h/x", "status"],
            "the PostgreSQL driver psycopg",
            "postgresql",
            id="psycopg by name",
        ),
        pytest.param(
            "pymysql",
            ["--url", "mysql://h/x", "upgrade"],
            "the MariaDB/MySQL driver PyMySQL",
            "mysql",
            id="PyMySQL",
        ),
    ],
)
def test_missing_extra(
    folder: Path,
    invoke_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    words: list[str],
    error: str,
    extra: str,
) -> None:
    """What is not installed is named, with the pip command."""
    monkeypatch.setitem(sys.modules, module, None)

    result = invoke_cli("-q", *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(
        f"Error: {error} is not installed\nhint: pip install 'ptah-migrate[{extra}]'\n"
    )
    assert tree(folder) == {}


def test_without_pyramid(
    blog: PackageOnDisk, folder: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Pyramid a settings file serves as far as it can, and the pip command is named."""
    (folder / "app.ini").write_text(
        "[app:main]\nuse = egg:shop\nsqlalchemy.url = sqlite:///%(here)s/app.sqlite\n"
    )
    for module in ("plaster", "pyramid"):
        monkeypatch.setitem(sys.modules, module, None)

    assert invoke_cli("app.ini", "current", "-q") == Result(
        0,
        "Package 'blog' rev: None\n",
        "Warning: the application of app.ini cannot be loaded (Pyramid is not installed: "
        "pip install 'ptah-migrate[pyramid]'); going on with its settings and the installed "
        "entry points\nhint: --no-app does not try to load it\n",
    )
