"""A new plug-in is a whole distribution that works as it is."""

from __future__ import annotations

import ast
import configparser
import getpass
import importlib.util
import os
import re
import socket
import sys
import tomllib
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptah_migrate import registry
from ptah_migrate._authoring import answers, apply, plan_init
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.templates import RevisionValues, render_revision
from ptah_migrate.errors import AuthoringError, NameTakenError, UsageError
from tests.helpers import Server
from tests.integration.checked import process
from tests.integration.scaffolds import ROOT, build, run, statuses, tree


def new(directory: Path, name: str = "blog", **data: object) -> FilePlan:
    """Plan a new plug-in and make it."""
    plan = plan_init(directory, name=name, new=True, data=data)
    apply(plan)
    return plan


def test_the_files(tmp_path: Path) -> None:
    """A new plug-in is in a folder of its name, with everything a distribution has."""
    plan = new(tmp_path, "my-blog")

    assert (plan.package, plan.directory, plan.todo) == ("my_blog", tmp_path / "my-blog", ())
    assert {name for name in tree(tmp_path / "my-blog") if not name.endswith("/")} == {
        ".gitignore",
        ".ptah-migrate.json",
        "CHANGES.md",
        "LICENSE",
        "README.md",
        "development.ini",
        "pyproject.toml",
        "src/my_blog/__init__.py",
        "src/my_blog/development.py",
        "src/my_blog/migrations/__init__.py",
        "src/my_blog/models.py",
        "src/my_blog/py.typed",
        "tests/test_migrations.py",
        "tests/test_package.py",
    }
    document = tomllib.loads((tmp_path / "my-blog/pyproject.toml").read_text())
    assert document["project"]["name"] == "my-blog"
    assert document["project"]["license"] == "MIT"
    assert document["build-system"]["build-backend"] == "hatchling.build"
    assert document["project"]["entry-points"] == {
        "ptah_migrate": {"my_blog": "my_blog.migrations"}
    }


def test_flat(tmp_path: Path) -> None:
    """The package may be beside pyproject.toml."""
    plan = new(tmp_path, flat=True)

    assert statuses(plan)["blog/migrations/__init__.py"] == "create"
    assert not (tmp_path / "blog/src").exists()


def test_no_table_and_no_revision(tmp_path: Path) -> None:
    """Unless it is asked for there is a base for models, no model and no revision."""
    new(tmp_path)

    models = (tmp_path / "blog/src/blog/models.py").read_text()
    assert "class Base(DeclarativeBase)" in models
    assert "__tablename__" not in models
    assert [path.name for path in (tmp_path / "blog/src/blog/migrations").iterdir()] == [
        "__init__.py"
    ]


def test_a_first_revision(tmp_path: Path) -> None:
    """Asked for, an example table comes with its revision, which is shaped as ours are."""
    new(tmp_path, first_revision=True)

    text = (tmp_path / "blog/src/blog/migrations/001.py").read_text()
    plain = render_revision(RevisionValues("001", "Create the example table")).decode()
    head = re.sub(r"  # noqa: F401|  # ptah.*", "", plain).partition("def upgrade")[0]
    assert text.startswith(head)
    assert '__tablename__ = "blog_entries"' in (tmp_path / "blog/src/blog/models.py").read_text()


def test_twice(tmp_path: Path) -> None:
    """A second run, from around or inside, finds everything identical."""
    new(tmp_path, author="Ann", flat=True)

    for plan in (
        plan_init(tmp_path, name="blog", new=True),
        plan_init(tmp_path, name="blog", new=True, data={"flat": "yes"}),
        plan_init(tmp_path / "blog"),
        plan_init(tmp_path / "blog/tests"),
    ):
        assert set(statuses(plan).values()) == {"identical"}
        assert plan.pending == ()


def test_it_does_not_move(tmp_path: Path) -> None:
    """The layout of what is made already cannot be answered anew."""
    new(tmp_path)

    with pytest.raises(AuthoringError, match="is in 'src/blog' already"):
        plan_init(tmp_path / "blog", data={"flat": True})


def test_a_first_revision_later(tmp_path: Path) -> None:
    """An answer may change: unedited files follow, what is missing is made."""
    new(tmp_path)

    plan = plan_init(tmp_path / "blog", data={"first_revision": "yes"})

    assert {name: status for name, status in statuses(plan).items() if status != "identical"} == {
        "README.md": "edit",
        "src/blog/migrations/001.py": "create",
        "src/blog/models.py": "edit",
        ".ptah-migrate.json": "edit",
    }


def test_what_may_be_there(tmp_path: Path) -> None:
    """A repository with a licence and a readme is empty enough; they stay."""
    build(tmp_path / "blog", {"LICENSE": "mine", "README.md": "mine", ".git/HEAD": "ref"})

    plan = new(tmp_path)

    assert statuses(plan)["LICENSE"] == statuses(plan)["README.md"] == "skip"
    assert (tmp_path / "blog/LICENSE").read_text() == "mine"
    assert plan_init(tmp_path / "blog").pending == ()


def test_answers_in_the_files(tmp_path: Path) -> None:
    """Author, licence and title are where a distribution has them, whatever is in them."""
    title = 'It\'s "a" \\ {{ 7*7 }} blog'
    new(tmp_path, title=title, author='Ann "A" O\\N', email="a@b.org", license="BSD-3-Clause")

    project = tomllib.loads((tmp_path / "blog/pyproject.toml").read_text())["project"]
    assert project["description"] == title
    assert project["authors"] == [{"name": 'Ann "A" O\\N', "email": "a@b.org"}]
    text = (tmp_path / "blog/LICENSE").read_text()
    assert text.startswith('BSD 3-Clause License\n\nCopyright (c) Ann "A" O\\N\n')


@pytest.mark.parametrize("license", answers.LICENSES)
def test_licenses(tmp_path: Path, license: str) -> None:
    """Every licence that can be chosen has its text."""
    new(tmp_path, license=license)

    assert len((tmp_path / "blog/LICENSE").read_text().split()) > 150


# -- refusing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("class", "is a Python keyword"),
        ("json", "standard library"),
        ("sqlalchemy", "is the name of something"),
        ("hypothesis", "is a module that is installed here already"),
        ("a b", "is not an identifier"),
        ("../x", "is not an identifier"),
        ("/etc/x", "is not an identifier"),
        ("", "is not an identifier"),
    ],
)
def test_impossible_names(tmp_path: Path, name: str, problem: str) -> None:
    """A name is judged before anything is made, and other problems are told with it."""
    with pytest.raises(NameTakenError, match=problem) as caught:
        new(tmp_path / "x", name, license="?", titel="?")

    assert "license '?' is none of" in str(caught.value)
    assert "there is no question 'titel'" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_needed(tmp_path: Path) -> None:
    """A new plug-in is never named after the folder it happens to be made in."""
    with pytest.raises(UsageError, match="needs a name"):
        plan_init(tmp_path, new=True)


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_a_place_that_is_taken(tmp_path: Path, kind: str) -> None:
    """What is there already is not written into."""
    place = tmp_path / "blog"
    if kind == "file":
        place.write_text("mine")
    elif kind == "full":
        build(place, {"setup.py": ""})
    else:
        place.symlink_to(tmp_path / "nowhere")
    before = tree(tmp_path)

    with pytest.raises(NameTakenError, match="is there and is n"):
        new(tmp_path)

    assert tree(tmp_path) == before


def test_an_unknown_answer(tmp_path: Path) -> None:
    """An answer to a question that nobody asks is refused, naming those that are asked."""
    with pytest.raises(UsageError) as caught:
        new(tmp_path, titel="x")

    assert str(caught.value) == "there is no question 'titel' here"
    assert caught.value.hint.startswith("there are: title, distribution, license")


def test_the_first_revision_is_for_new_plug_ins(tmp_path: Path) -> None:
    """A package that is there already gets no example."""
    build(tmp_path, {"pyproject.toml": "[project]\nname='blog'\n", "blog/__init__.py": ""})

    with pytest.raises(UsageError, match="no question 'first_revision'"):
        plan_init(tmp_path, data={"first_revision": True})


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whichever write fails, there is no part of a project, and the next run makes it."""
    plan = plan_init(tmp_path, name="blog", new=True)
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    try:
        apply(plan)
    except AuthoringError:
        assert list(tmp_path.iterdir()) == []
        apply(plan)

    assert plan_init(tmp_path / "blog").pending == ()


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permission there")
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder is one clear line."""

    def mkdir(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "blog"))

    plan = plan_init(tmp_path, name="blog", new=True)
    monkeypatch.setattr(Path, "mkdir", mkdir)

    with pytest.raises(AuthoringError) as caught:
        apply(plan)

    assert str(caught.value) == f"cannot write '{tmp_path / 'blog'}': permission denied"


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "title": st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co"))),
            "author": st.sampled_from(['"]\nx=1', "'''", '"""', "{{ 7*7 }}", "\\", '\\"', "Ann"])
            | st.text(),
            "email": st.sampled_from(["a@b.org", "a@b", '"@b.org']),
            "distribution": st.sampled_from(["blog", "a.b-c", "../x", "a b"]),
            "license": st.sampled_from([*answers.LICENSES, "../LICENSE", "{{ x }}"]),
            "first_revision": st.booleans(),
        },
    )
)
def test_hostile_answers(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    """Whatever is answered, there is one whole project that says just that, or nothing."""
    directory = tmp_path_factory.mktemp("around")

    try:
        new(directory, **data)
    except AuthoringError:
        assert list(directory.iterdir()) == []
        return

    assert [path.name for path in directory.iterdir()] == ["blog"]
    document = tomllib.loads((directory / "blog/pyproject.toml").read_text("utf-8"))
    author = str(data.get("author", "")).strip()
    assert document["project"].get("authors", [{}])[0].get("name", "") == author
    if "title" in data:
        assert document["project"]["description"] == str(data["title"]).strip()
    assert set(document) == {"build-system", "project", "dependency-groups", "tool"}
    for path in directory.rglob("*.py"):
        ast.parse(path.read_bytes())


# -- it works -------------------------------------------------------------------------


SHAPES: dict[str, dict[str, Any]] = {
    "src": {"first_revision": True, "title": 'The "blog"', "author": "Ann", "email": "a@b.org"},
    "flat": {"flat": True, "license": "Apache-2.0"},
    "long": {"first_revision": True, "flat": True, "author": "B" * 150, "title": "T" * 200},
}


@pytest.fixture(scope="module", params=SHAPES)
def plugin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a plug-in of each shape, as it was made."""
    root = tmp_path_factory.mktemp("new")
    name = "b" * 64 if request.param == "long" else "blog"
    new(root, name, **SHAPES[request.param])
    return root / name


def test_nothing_of_this_machine(plugin: Path) -> None:
    """No path, person, machine or time is in any file."""
    text = b"\n".join(tree(plugin).values()).decode()

    secrets = [str(plugin.parent), str(ROOT), "/tmp", "/home", socket.gethostname()]
    assert [word for word in secrets if word in text] == []
    assert re.search(rf"\b{re.escape(getpass.getuser())}\b", text) is None
    assert re.search(r"\b20\d\d-\d\d|\b\d\d:\d\d", text) is None
    assert "\r" not in text


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "--no-cache", "."], id="ruff check"),
        pytest.param(["ruff", "format", "--no-cache", "--check", "."], id="ruff format"),
        pytest.param(["mypy", "--strict", "."], id="mypy"),
        pytest.param(["mypy"], id="mypy as configured"),
    ],
)
def test_it_is_clean(plugin: Path, command: list[str]) -> None:
    """Linter, formatter and type checker have nothing to say about untouched files."""
    if importlib.util.find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if command[0] == "mypy":
        command = [*command, "--cache-dir", str(plugin.parent / "mypy")]

    done = run([sys.executable, "-m", *command], plugin)

    assert done.returncode == 0, done.stdout + done.stderr


def test_its_tests_pass(plugin: Path) -> None:
    """Its own tests pass on SQLite, untouched; without a revision there is little to test."""
    done = process(plugin, "-q")

    revisions = any(plugin.rglob("migrations/001.py"))
    summary = "9 passed, 2 skipped" if revisions else "2 passed, 9 skipped"
    assert done.stdout.splitlines()[-1].startswith(summary), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_its_tests_pass_on_servers(
    tmp_path: Path, kind: str, make_database: Callable[[str], Any], request: pytest.FixtureRequest
) -> None:
    """Its own tests pass on other databases, untouched, and leave none behind."""
    new(tmp_path, first_revision=True)
    database = make_database(kind)
    server: Server = request.getfixturevalue(f"{kind}_server")
    before = databases(server)

    done = process(tmp_path / "blog", "-q", environment={"PTAH_MIGRATE_TEST_URL": database.url})

    assert done.stdout.splitlines()[-1].startswith("9 passed, 2 skipped"), done.stdout
    # Other tests make databases meanwhile: those of the checks have a name of their own.
    left = {name for name in databases(server) - before if name.startswith("ptah_check_")}
    assert left == set()


def databases(server: Server) -> set[str]:
    """Return the names of a server's databases."""
    listing = "SELECT datname FROM pg_database" if server.name == "postgresql" else "SHOW DATABASES"
    with server.admin.connect() as connection:
        return {row[0] for row in connection.exec_driver_sql(listing)}


def test_a_model_without_a_revision(tmp_path: Path) -> None:
    """Its tests fail when the models have a table that no revision makes."""
    new(tmp_path)
    models = tmp_path / "blog/src/blog/models.py"
    models.write_text(
        models.read_text()
        + "\n\nfrom sqlalchemy import Column, Integer, Table\n"
        + 'Table("x", Base.metadata, Column("id", Integer, primary_key=True))\n'
    )

    done = process(tmp_path / "blog", "-q", "-k", "models_match")

    assert "blog has models and no revisions; run: ptah-migrate revision blog" in done.stdout


def test_commands_work_in_it(tmp_path: Path) -> None:
    """The first revision is applied by one command, nothing installed, nothing edited."""
    new(tmp_path, first_revision=True)

    done = run([sys.executable, "-m", "ptah_migrate", "upgrade"], tmp_path / "blog")

    assert done.returncode == 0, done.stderr
    assert "blog None -> 001" in done.stdout
    status = run([sys.executable, "-m", "ptah_migrate", "status"], tmp_path / "blog")
    assert status.stdout.splitlines()[1].split() == ["blog", "001", "001", "0", "current", "run"]


def test_its_application(tmp_path: Path) -> None:
    """The settings file starts a small application with the package in it."""
    pytest.importorskip("pyramid")
    new(tmp_path)
    source = tmp_path / "blog/src"

    done = run(
        [
            sys.executable,
            "-c",
            (
                "import sys; from pyramid.paster import get_app; "
                "print(get_app('development.ini').registry.introspector"
                ".get('database migrations', 'blog') is not None)"
            ),
        ],
        tmp_path / "blog",
        {"PYTHONPATH": f"{source}:{ROOT}", "PYTHONWARNINGS": "ignore"},
    )

    assert done.stdout.strip() == "True", done.stderr
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(tmp_path / "blog/development.ini")
    assert parser["app:main"]["sqlalchemy.url"] == "sqlite:///%(here)s/blog.sqlite"


@pytest.mark.slow
def test_it_builds(tmp_path: Path) -> None:
    """pip makes a wheel of it that has everything, and applications find its migrations."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    new(tmp_path, first_revision=True, author="Ann")

    done = run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(tmp_path / "dist"),
            ".",
        ],
        tmp_path / "blog",
    )

    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = HeaderParser().parsestr(archive.read("blog-0.1.0.dist-info/METADATA").decode())
        entries = archive.read("blog-0.1.0.dist-info/entry_points.txt").decode()
    assert {
        "blog/__init__.py",
        "blog/py.typed",
        "blog/models.py",
        "blog/migrations/__init__.py",
        "blog/migrations/001.py",
        "blog-0.1.0.dist-info/licenses/LICENSE",
    } <= names
    assert (metadata["Author"], metadata["License-Expression"]) == ("Ann", "MIT")
    assert "[ptah_migrate]\nblog = blog.migrations" in entries


def test_it_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is found from the project's files."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    new(tmp_path, title="Mine & yours")

    [package] = registry.from_project(tmp_path / "blog")

    assert (package.name, package.title, package.metadata) == (
        "blog",
        "Mine & yours",
        "blog.models:Base.metadata",
    )
