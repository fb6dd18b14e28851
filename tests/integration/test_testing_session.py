"""A session of pytest with the plug-in: what is collected, from where, on which database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.helpers import PackageMaker, revision_source
from tests.integration.checked import (
    BODY,
    MODELS,
    NAMES,
    PYPROJECT,
    REGISTRATION,
    SOUND,
    process,
    session,
    sound,
)
from tests.integration.scaffolds import build

pytest_plugins = ["pytester"]

INSERT = "op.execute(\"INSERT INTO post (title) VALUES ('one')\")"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no other plug-in in sessions inside this process, and no database of a person's."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PTAH_MIGRATE_TEST_URL", raising=False)


def collected(pytester: pytest.Pytester, *args: str) -> list[str]:
    """Return the ids that a session collects."""
    return session(pytester, "--collect-only", *args).collected


def ids(*packages: str, names: tuple[str, ...] = NAMES) -> list[str]:
    return [f"ptah_migrate::{package}::{name}" for package in packages for name in names]


# -- what is collected -----------------------------------------------------------------


def test_it_is_light(tmp_path: Path) -> None:
    """A session that does not ask for it loads no heavy library because of the plug-in."""
    build(
        tmp_path,
        {
            "test_it.py": "def test_it(): pass\n",
            "conftest.py": (
                "import sys\n"
                "def pytest_sessionfinish():\n"
                "    heavy = {'alembic', 'sqlalchemy', 'jinja2', 'copier', 'pyramid'}\n"
                "    ours = {name for name in sys.modules if name.startswith('ptah_migrate._')}\n"
                "    print('plugin:', 'ptah_migrate.testing.plugin' in sys.modules)\n"
                "    print('loaded:', sorted(heavy & set(sys.modules) | ours))\n"
            ),
        },
    )

    done = process(tmp_path, "-s", "-q")

    assert "plugin: True\nloaded: []\n" in done.stdout, done.stdout + done.stderr


def test_every_package_of_the_project(pytester: pytest.Pytester) -> None:
    """The flag adds each check of each package of the project, after the project's own tests."""
    sound(pytester.path, {"test_it.py": "def test_it(): pass\n"})

    assert collected(pytester, "--ptah-migrate") == ["test_it.py::test_it", *ids("blog", "crowd")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], [], id="not asked for"),
        pytest.param(["--ptah-migrate-package", "crowd"], ids("crowd"), id="one package"),
        pytest.param(
            ["--ptah-migrate", "-k", "blog and stairway"],
            ids("blog", names=("stairway",)),
            id="by words",
        ),
        pytest.param(
            ["--ptah-migrate-package", "blog", "-m", "not ptah_migrate"], [], id="by mark"
        ),
        pytest.param(
            ["ptah_migrate::crowd::files", "ptah_migrate::blog::stairway"],
            ["ptah_migrate::crowd::files", "ptah_migrate::blog::stairway"],
            id="by id",
        ),
        pytest.param(["ptah_migrate::crowd"], ids("crowd"), id="by the id of a package"),
        pytest.param(["-o", "ptah_migrate=true"], ids("blog", "crowd"), id="setting"),
        pytest.param(
            ["-o", "ptah_migrate=true", "-o", "ptah_migrate_packages=crowd"],
            ids("crowd"),
            id="setting for one package",
        ),
        pytest.param(
            ["-o", "ptah_migrate=true", "test_none.py"], [], id="setting, and a named module"
        ),
    ],
)
def test_what_is_asked_for(
    pytester: pytest.Pytester, words: list[str], expected: list[str]
) -> None:
    """Packages and checks are chosen by option, setting, words, mark and id."""
    sound(pytester.path, {"test_none.py": ""})

    assert collected(pytester, *words) == expected


def test_an_unknown_package(tmp_path: Path) -> None:
    """A name that nobody registered is a usage error, with the names that are there."""
    sound(tmp_path)

    done = process(tmp_path, "--ptah-migrate-package", "blgo")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr == ("ERROR: no migrations are registered for 'blgo'; found: blog, crowd\n\n")


def test_no_package(tmp_path: Path) -> None:
    """Asked for checks where no package is, the session says so and does not pass."""
    build(tmp_path, {"pyproject.toml": ""})

    done = process(tmp_path, "--ptah-migrate")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith("ERROR: no package with migrations is found: neither in the")


def test_an_installed_package(pytester: pytest.Pytester, make_package: PackageMaker) -> None:
    """A package that is only installed is checked by its name; there is no wheel to look into."""
    make_package("shop", {"001": "pass"}).install()

    found = session(pytester, "--ptah-migrate-package", "shop")

    assert found.failed == {}
    assert found.skipped["ptah_migrate::shop::packaged"] == (
        "shop is installed, there is no project to build"
    )


@pytest.mark.slow
def test_side_by_side(tmp_path: Path) -> None:
    """The checks run in several processes."""
    sound(tmp_path)

    done = process(tmp_path, "--ptah-migrate-package", "blog", "-n", "2", "-q")

    assert done.stdout.splitlines()[-1].startswith("10 passed"), done.stdout + done.stderr


def test_a_test_module(pytester: pytest.Pytester) -> None:
    """A module asks for a package's checks; the flag does not add them a second time."""
    text = "from ptah_migrate.testing import MigrationTests\ntest_it = MigrationTests('blog')\n"
    sound(pytester.path, {"tests/test_migrations.py": text})

    assert collected(pytester) == ids("blog")
    assert collected(pytester, "tests/test_migrations.py::test_it::files") == (
        ids("blog", names=("files",))
    )
    assert collected(pytester, "--ptah-migrate") == ids("blog", "crowd")


def test_a_module_says_more(pytester: pytest.Pytester) -> None:
    """What a module says of a package replaces a registration that cannot be read."""
    text = (
        "from ptah_migrate.testing import MigrationTests\n"
        "test_it = MigrationTests('blog', metadata='blog.models:metadata')\n"
    )
    computed = REGISTRATION.replace('"blog.models:metadata"', "str(config)")
    sound(
        pytester.path,
        {
            "tests/test_migrations.py": text,
            "blog/migrations/__init__.py": computed,
            "blog/models.py": MODELS.replace("sa.String(80)", "sa.String(90)"),
        },
    )

    assert list(session(pytester, "-k", "models_match").failed) == ["models_match"]


def test_a_module_without_its_package(pytester: pytest.Pytester) -> None:
    """A module that asks for what is not there is an error, not an empty success."""
    text = "from ptah_migrate.testing import MigrationTests\ntest_it = MigrationTests('blgo')\n"
    sound(pytester.path, {"tests/test_migrations.py": text})

    done = process(pytester.path, "-q")

    assert done.returncode != 0
    assert "no migrations are registered for 'blgo'; did you mean 'blog'?" in done.stdout


# -- the database ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["ptah_migrate::blog::upgrade_from_empty"], id="folder not looked into"),
        pytest.param(["--ptah-migrate-package", "blog", "-k", "from_empty"], id="it is"),
    ],
)
def test_another_database(pytester: pytest.Pytester, words: list[str]) -> None:
    """A fixture in the conftest.py of the tests replaces the database, for the checks too."""
    sound(
        pytester.path,
        {
            "tests/conftest.py": (
                "import pytest, sqlalchemy\n"
                "@pytest.fixture\n"
                "def ptah_engine():\n"
                "    return sqlalchemy.create_engine('sqlite:///mine.sqlite')\n"
            ),
            "tests/test_it.py": "def test_it(): pass\n",
        },
    )

    found = session(pytester, *words)

    assert found.passed == ["upgrade_from_empty"]
    with sqlite3.connect(pytester.path / "mine.sqlite") as connection:
        assert ("post",) in connection.execute("SELECT name FROM sqlite_master").fetchall()


def test_a_database_of_somebody(pytester: pytest.Pytester) -> None:
    """A database that is not empty is refused, and nothing is dropped."""
    sound(
        pytester.path,
        {
            "conftest.py": (
                "import pytest, sqlalchemy\n"
                "@pytest.fixture\n"
                "def ptah_engine():\n"
                "    return sqlalchemy.create_engine('sqlite:///theirs.sqlite')\n"
            ),
        },
    )
    with sqlite3.connect(pytester.path / "theirs.sqlite") as connection:
        connection.execute("CREATE TABLE precious (id INTEGER)")

    found = session(pytester, "ptah_migrate::blog::stairway")

    assert found.failed["stairway"].startswith(
        "the database of ptah_engine is not empty: it has precious; "
    )
    with sqlite3.connect(pytester.path / "theirs.sqlite") as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("precious",)]


def test_a_server_that_does_not_answer(pytester: pytest.Pytester) -> None:
    """Where no database can be made, that is said in one line without a password."""
    sound(pytester.path)
    url = "postgresql+psycopg://ann:secret@127.0.0.1:1/x"

    found = session(pytester, "ptah_migrate::blog::stairway", "--ptah-migrate-url", url)

    [words] = found.errors.values()
    assert words.startswith("a scratch database cannot be made at postgresql+psycopg://ann:***@")
    assert "secret" not in words


# -- what does not apply ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "skipped"),
    [
        pytest.param(
            {"blog/migrations/__init__.py": ""},
            {
                "models_match": "blog registers no models (metadata=)",
                "seed_equals_upgrade": ("blog has no models to make tables from"),
            },
            id="no models",
        ),
        pytest.param(
            {
                "blog/migrations/__init__.py": REGISTRATION.replace(
                    "metadata=", "force=True, metadata="
                )
            },
            {"seed_equals_upgrade": ("blog is registered with force=True: it is never seeded")},
            id="never seeded",
        ),
        pytest.param(
            {
                "blog/migrations/001.py": None,
                "blog/migrations/002.py": revision_source("002", upgrade=BODY),
            },
            {
                **dict.fromkeys(
                    (
                        "stairway",
                        "models_match",
                        "downgrade_leaves_no_trace",
                        "seed_equals_upgrade",
                        "sql_mode",
                    ),
                    "the history of blog starts from tables that existed before",
                ),
                "with_dependencies": "blog requires no other package",
            },
            id="a history that starts from tables",
        ),
        pytest.param(
            {"blog/migrations/002.py": revision_source("002", "001", upgrade=BODY, downgrade=None)},
            dict.fromkeys(
                ("stairway", "downgrade_leaves_no_trace"),
                "the rest is fine, but 002 of blog cannot be judged: no downgrade()",
            ),
            id="no way back",
        ),
        pytest.param(
            {
                "pyproject.toml": PYPROJECT.replace('"backend"', '"nothing"').replace(
                    'backend-path = ["."]', ""
                )
            },
            {
                "packaged": (
                    "there is no wheel in dist/, and nothing, which builds one, is not installed"
                )
            },
            id="no wheel can be built",
        ),
    ],
)
def test_what_does_not_apply(
    pytester: pytest.Pytester, changes: dict[str, str | None], skipped: dict[str, str]
) -> None:
    """A check that cannot judge a package is skipped, with the reason; none passes silently."""
    sound(pytester.path, changes)

    found = session(pytester, "--ptah-migrate-package", "blog")

    assert (found.failed, found.errors) == ({}, {})
    assert found.skipped == skipped
    assert set(found.passed) == set(NAMES) - set(skipped)


def test_files_that_cannot_be_read(pytester: pytest.Pytester) -> None:
    """One broken file fails the check of the files; the others say where to look."""
    sound(pytester.path, {"blog/migrations/002.py": "def upgrade(:\n"})

    found = session(pytester, "--ptah-migrate-package", "blog")

    assert list(found.failed) == ["files"]
    assert "002.py: syntax error" in found.failed["files"]
    assert set(found.skipped.values()) == {"the files of blog cannot be read: see files"}


# -- fixtures --------------------------------------------------------------------------------


def test_rows_by_a_populate_step(pytester: pytest.Pytester) -> None:
    """What an application fills in after tables were made from the models counts as seed data."""
    source = SOUND["blog/migrations/002.py"].replace(BODY, f"{BODY}\n    {INSERT}")
    sound(
        pytester.path,
        {
            "blog/migrations/002.py": source,
            "conftest.py": (
                "import pytest, sqlalchemy\n"
                "def fill(engine):\n"
                "    with engine.begin() as connection:\n"
                "        connection.exec_driver_sql(\n"
                "            \"INSERT INTO post (title) VALUES ('one')\")\n"
                "@pytest.fixture\n"
                "def ptah_populate():\n"
                "    return fill\n"
            ),
        },
    )

    assert session(pytester, "ptah_migrate::blog::seed_equals_upgrade").failed == {}


def test_one_revision(pytester: pytest.Pytester) -> None:
    """A test brings the database before a revision, puts rows in, runs it, and looks at them."""
    sound(
        pytester.path,
        {
            "test_002.py": (
                "def test_002(ptah_migrator):\n"
                "    ptah_migrator.before('blog:002')\n"
                "    assert ptah_migrator.at('blog') == ('001',)\n"
                "    ptah_migrator.insert('post', {'title': 'a'}, [{'title': 'b'}])\n"
                "    assert ptah_migrator.up().rows('post') == [\n"
                "        {'id': 1, 'title': 'a', 'body': None},\n"
                "        {'id': 2, 'title': 'b', 'body': None},\n"
                "    ]\n"
                "    assert ptah_migrator.at() == ('002',)\n"
                "    assert ptah_migrator.down().rows('post')[0] == {'id': 1, 'title': 'a'}\n"
                "    assert ptah_migrator.down('blog:base').at('blog') == ()\n"
                "    assert ptah_migrator.up('crowd:001').up().at('crowd') == ('002',)\n"
            ),
        },
    )

    found = session(pytester)

    assert found.failed == {}
    assert found.passed == ["test_002.py::test_002"]


def test_which_package(pytester: pytest.Pytester) -> None:
    """In a project of several packages a step without a name is a question."""
    sound(
        pytester.path,
        {
            "test_it.py": (
                "import pytest\n"
                "from ptah_migrate import PtahMigrateError\n"
                "def test_it(ptah_migrator):\n"
                "    with pytest.raises(PtahMigrateError, match='which package'):\n"
                "        ptah_migrator.up()\n"
            ),
        },
    )

    assert session(pytester).passed == ["test_it.py::test_it"]
