"""A package gets its migrations, and an empty directory a project, with real files."""

from __future__ import annotations

import ast
import getpass
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptah_migrate import _history, registry
from ptah_migrate._authoring import NOT_WRITTEN, FilePlan, apply, plan_init, revision, scaffold
from ptah_migrate.errors import AuthoringError, MissingExtraError, NameTakenError
from tests.integration.checked import process

ROOT = Path(__file__).parents[2]
PYPROJECT = '[project]\nname = "blog"\nversion = "1"\n'
INIT = '"""A blog."""\n\n\ndef includeme(config):\n    config.scan()\n'


def build(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return root


def tree(root: Path) -> dict[str, str]:
    """Return the text of every file below a folder, but for what running it leaves."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().decode()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def statuses(plan: FilePlan) -> dict[str, str]:
    """Return what a plan does, by path below the project."""
    return {
        change.path.relative_to(plan.directory).as_posix(): change.status for change in plan.changes
    }


def init(directory: Path, name: str | None = None, title: str | None = None) -> FilePlan:
    """Plan and apply."""
    plan = plan_init(directory, name=name, title=title)
    apply(plan)
    return plan


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Return an empty directory called my-blog."""
    directory = tmp_path / "my-blog"
    directory.mkdir()
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in src layout with a package ``blog`` for Pyramid."""
    return build(tmp_path / "p", {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT})


# -- an empty directory ---------------------------------------------------------------


def test_a_new_project(empty: Path) -> None:
    """An empty directory becomes a project named after it, without a model or a revision."""
    plan = init(empty)

    assert (plan.package, plan.directory, plan.todo) == ("my_blog", empty.resolve(), ())
    assert set(statuses(plan).values()) == {"create"}
    assert sorted(tree(empty)) == [
        ".gitignore",
        ".ptah-migrate.json",
        "README.md",
        "pyproject.toml",
        "src/my_blog/__init__.py",
        "src/my_blog/migrations/__init__.py",
        "src/my_blog/py.typed",
        "tests/test_migrations.py",
    ]
    document = tomllib.loads(tree(empty)["pyproject.toml"])
    assert document["project"]["name"] == "my-blog"
    assert document["project"]["entry-points"] == {
        "ptah_migrate": {"my_blog": "my_blog.migrations"}
    }
    assert document["tool"]["ptah_migrate"] == {"url": "sqlite:///my_blog.sqlite"}
    assert "*.sqlite" in tree(empty)[".gitignore"].splitlines()


def test_a_new_project_is_registered(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is found from the project's files, and takes a first revision."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    init(empty, title="Mine & yours")

    [package] = registry.from_project(empty)
    made = revision(package, _history.read(package), id="001", message="Add column")

    assert (package.name, package.title) == ("my_blog", "Mine & yours")
    assert made.path == empty / "src/my_blog/migrations/001.py"


def test_twice_is_once(empty: Path) -> None:
    """A second run finds everything identical and writes nothing."""
    init(empty)
    before = {path: path.stat().st_mtime_ns for path in empty.rglob("*")}

    plan = init(empty)

    assert set(statuses(plan).values()) == {"identical"}
    assert {path: path.stat().st_mtime_ns for path in empty.rglob("*")} == before


def test_the_same_anywhere(empty: Path, tmp_path: Path) -> None:
    """The files depend on the name only: no path, person, machine or time is in them."""
    other = tmp_path / "elsewhere/my-blog"
    other.mkdir(parents=True)

    init(empty)
    init(other)

    assert tree(empty) == tree(other)
    text = "\n".join(tree(empty).values())
    assert "\r" not in text
    assert re.search(r"\b20\d\d-\d\d", text) is None
    secrets = [str(empty), str(tmp_path), str(ROOT), "/tmp", "/home", socket.gethostname()]
    assert [word for word in secrets if word in text] == []
    assert re.search(rf"\b{re.escape(getpass.getuser())}\b", text) is None


def test_what_may_be_there(empty: Path) -> None:
    """A repository with a readme and an ignore file is empty enough; both are kept."""
    build(
        empty, {".git/HEAD": "ref", "README.md": "mine", ".gitignore": "*.pyc\n", "LICENSE": "MIT"}
    )

    plan = init(empty)

    assert statuses(plan)["README.md"] == statuses(plan)[".gitignore"] == "skip"
    assert plan.todo == (".gitignore: yours was kept; the project's database is in:\n*.sqlite",)
    assert tree(empty)["README.md"] == "mine"
    assert set(statuses(init(empty)).values()) == {"identical", "skip"}


def test_named(empty: Path) -> None:
    """A name that is given goes before the directory's."""
    init(empty, "other")

    assert (empty / "src/other/migrations/__init__.py").is_file()
    assert set(statuses(init(empty)).values()) == {"identical"}
    assert set(statuses(init(empty, "other")).values()) == {"identical"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("class", "is a Python keyword"),
        ("json", "standard library"),
        ("a b", "is not an identifier"),
        ("../x", "is not an identifier"),
        ("/etc/x", "is not an identifier"),
        ("{{ 7*7 }}", "is not an identifier"),
        ("", "is not an identifier"),
    ],
)
def test_impossible_names(empty: Path, name: str, problem: str) -> None:
    """A name is judged before anything is rendered, and nothing is written."""
    with pytest.raises(NameTakenError, match=problem):
        init(empty, name)

    assert list(empty.parent.rglob("*")) == [empty]


def test_a_title_in_every_file(empty: Path) -> None:
    """A title is a text wherever it goes, whatever is in it."""
    title = """Bücher "\\" {{ 7*7 }} '''"""

    init(empty, title=title)

    files = tree(empty)
    assert tomllib.loads(files["pyproject.toml"])["project"]["description"] == title
    assert title in [
        node.value
        for node in ast.walk(ast.parse(files["src/my_blog/migrations/__init__.py"]))
        if isinstance(node, ast.Constant)
    ]
    assert files["README.md"].startswith(f"# {title}\n")
    assert (
        json.loads(files[".ptah-migrate.json"])["packages"]["my_blog"]["answers"]["title"] == title
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(st.text(max_size=12), st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)),
    st.text(st.characters(exclude_categories=()), max_size=30),
)
def test_hostile_answers(tmp_path_factory: pytest.TempPathFactory, name: str, title: str) -> None:
    """Whatever is answered, there is one whole, parsable project or nothing."""
    directory = tmp_path_factory.mktemp("around") / "inside"
    directory.mkdir()

    try:
        plan = init(directory, name, title)
    except AuthoringError:
        assert list(directory.parent.rglob("*")) == [directory]
        return

    assert list(directory.parent.iterdir()) == [directory]
    assert {change.path for change in plan.changes} == {
        p for p in directory.rglob("*") if p.is_file()
    }
    found = tomllib.loads((directory / "pyproject.toml").read_text("utf-8"))["project"]
    assert found["description"] == title.strip()
    for path in directory.rglob("*.py"):
        ast.parse(path.read_bytes())


# -- an existing package --------------------------------------------------------------


def test_an_existing_package(project: Path) -> None:
    """A package gets a stub, one line, an entry point, a test and the state file."""
    plan = init(project)

    assert statuses(plan) == {
        "src/blog/migrations/__init__.py": "create",
        "tests/test_migrations.py": "create",
        "src/blog/__init__.py": "edit",
        "pyproject.toml": "edit",
        ".ptah-migrate.json": "create",
    }
    files = tree(project)
    assert sorted(files) == sorted(statuses(plan))
    assert files["src/blog/__init__.py"] == INIT + '    config.include(".migrations")\n'
    assert files["pyproject.toml"] == (
        PYPROJECT + '\n[project.entry-points.ptah_migrate]\nblog = "blog.migrations"\n'
    )
    assert files["src/blog/migrations/__init__.py"] == (
        '"""Schema history of blog: one numbered file for each revision."""\n'
        "\n"
        "from __future__ import annotations\n"
        "\n"
        "from typing import Any\n"
        "\n"
        "\n"
        "class _Unscanned(list[str]):\n"
        '    """A search path that imports follow '
        'and ``config.scan()`` of the package does not."""\n'
        "\n"
        "    def __bool__(self) -> bool:\n"
        "        return False\n"
        "\n"
        "\n"
        "__path__ = _Unscanned(__path__)\n"
        "\n"
        "\n"
        "def includeme(config: Any) -> None:\n"
        '    """Register the migrations with the application that includes this package."""\n'
        '    config.include("ptah_migrate")\n'
        "    config.register_migration(\n"
        '        "blog",\n'
        '        "blog:migrations",\n'
        '        title="Blog",\n'
        "    )\n"
    )


def test_an_existing_package_twice(project: Path) -> None:
    """A second run over an existing package writes nothing."""
    init(project)
    before = tree(project)

    plan = init(project)

    assert Counter(statuses(plan).values()) == {"identical": 5}
    assert tree(project) == before
    record = json.loads(before[".ptah-migrate.json"])["packages"]["blog"]
    assert record["template"] == "builtin:package"
    assert record["edits"] == {
        "pyproject.toml": '\n[project.entry-points.ptah_migrate]\nblog = "blog.migrations"\n',
        "src/blog/__init__.py": '    config.include(".migrations")\n',
    }
    assert sorted(record["files"]) == [
        "src/blog/migrations/__init__.py",
        "tests/test_migrations.py",
    ]


def test_the_author_goes_on(project: Path) -> None:
    """What the author changed since stays, and is no conflict; what is missing comes back."""
    init(project)
    build(project, {"tests/test_migrations.py": "mine\n"})
    (project / "src/blog/migrations/__init__.py").unlink()

    plan = init(project)

    assert statuses(plan) == {
        "src/blog/migrations/__init__.py": "create",
        "tests/test_migrations.py": "skip",
        "src/blog/__init__.py": "identical",
        "pyproject.toml": "identical",
        ".ptah-migrate.json": "identical",
    }
    assert tree(project)["tests/test_migrations.py"] == "mine\n"


def test_a_new_title(project: Path) -> None:
    """A file of ours that nobody changed follows a new answer, and it is remembered."""
    init(project)

    plan = init(project, title="Other")

    assert statuses(plan)["src/blog/migrations/__init__.py"] == "edit"
    assert 'title="Other"' in tree(project)["src/blog/migrations/__init__.py"]
    assert set(statuses(init(project)).values()) == {"identical"}


def test_a_checkout_with_other_line_ends(project: Path) -> None:
    """A file that git wrote with CRLF is the same file."""
    init(project)
    path = project / "tests/test_migrations.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert set(statuses(init(project)).values()) == {"identical"}


def test_a_file_in_the_way(project: Path) -> None:
    """A file of the author's is never overwritten, and then nothing is written at all."""
    build(project, {"tests/test_migrations.py": "mine", "src/blog/migrations/__init__.py": ""})
    before = tree(project)

    with pytest.raises(AuthoringError) as caught:
        init(project)

    assert str(caught.value) == (
        "these files exist and differ from what would be made: "
        "src/blog/migrations/__init__.py, tests/test_migrations.py"
    )
    assert tree(project) == before


def test_models_are_named(project: Path) -> None:
    """A package with models has its metadata in the registration."""
    build(project, {"src/blog/models.py": "class Base(DeclarativeBase):\n    pass\n"})

    init(project)

    line = '        metadata="blog.models:Base.metadata",\n'
    assert line in tree(project)["src/blog/migrations/__init__.py"]
    assert "metadata" not in tree(project)["tests/test_migrations.py"]


def test_a_package_that_registers_itself(project: Path) -> None:
    """A registration by hand stays the only one."""
    source = INIT + "    config.register_migration('blog', 'blog:migrations')\n"
    build(project, {"src/blog/__init__.py": source})

    plan = init(project)

    assert "register_migration" not in tree(project)["src/blog/migrations/__init__.py"]
    assert tree(project)["src/blog/__init__.py"] == source
    assert "src/blog/__init__.py" not in statuses(plan)


def test_what_a_person_must_do(tmp_path: Path) -> None:
    """Where an edit is not safe the file, the reason and the lines to paste are told."""
    build(tmp_path, {"blog/__init__.py": "from .app import includeme\n"})

    plan = init(tmp_path)

    assert plan.todo == (
        (
            "blog/__init__.py: it imports includeme, or everything, from another module; "
            "a Pyramid application needs in its includeme(config):\n"
            'config.include(".migrations")'
        ),
        (
            "pyproject.toml: there is none; the package is found by this entry point:\n"
            '[project.entry-points.ptah_migrate]\nblog = "blog.migrations"'
        ),
    )
    assert statuses(plan)["blog/__init__.py"] == "skip"
    assert (tmp_path / "blog/migrations/__init__.py").is_file()


def test_a_second_package(project: Path) -> None:
    """Two packages of one project share the state file, and have a test each."""
    build(project, {"src/shop/__init__.py": ""})

    init(project, "blog")
    plan = init(project, "shop")

    assert statuses(plan) == {
        "src/shop/migrations/__init__.py": "create",
        "tests/test_migrations_shop.py": "create",
        "src/shop/__init__.py": "edit",
        "pyproject.toml": "edit",
        ".ptah-migrate.json": "edit",
    }
    assert sorted(json.loads(tree(project)[".ptah-migrate.json"])["packages"]) == ["blog", "shop"]
    for name in ("blog", "shop"):
        assert set(statuses(init(project, name)).values()) == {"identical"}


def test_a_package_in_a_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dotted package is registered under its whole name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    build(
        tmp_path,
        {"pyproject.toml": '[project]\nname = "acme.blog"\n', "src/acme/blog/__init__.py": ""},
    )

    init(tmp_path)

    [package] = registry.from_project(tmp_path)
    assert (package.name, package.path) == ("acme.blog", "acme.blog:migrations")


def test_a_link_that_leads_out(project: Path, tmp_path: Path) -> None:
    """A package behind a symbolic link to somewhere else is not written to."""
    outside = build(tmp_path / "outside", {"__init__.py": ""})
    (project / "src/other").symlink_to(outside)

    with pytest.raises(AuthoringError, match="is not inside"):
        init(project, "other")

    assert sorted(tree(outside)) == ["__init__.py"]


def test_a_state_file_with_tricks(project: Path) -> None:
    """What a state file says never leaves the project, and is no code."""
    init(project)
    path = project / ".ptah-migrate.json"
    document = json.loads(path.read_text())
    tricks = {"folder": "../x", "test": "../x", "metadata": '"); import os; ("', "source": "/etc"}
    document["packages"]["blog"]["answers"] |= tricks
    path.write_text(json.dumps(document))

    plan = init(project)

    assert Counter(statuses(plan).values()) == {"identical": 4, "edit": 1}
    assert sorted(os.listdir(project.parent)) == ["p"]


def test_two_people_at_once(empty: Path) -> None:
    """A plan that was overtaken by another is given up."""
    mine, theirs = plan_init(empty), plan_init(empty)
    apply(theirs)
    before = tree(empty)

    with pytest.raises(AuthoringError, match="changed by somebody else meanwhile"):
        apply(mine)

    assert tree(empty) == before


# -- copier -------------------------------------------------------------------------


def test_without_copier(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where copier is not installed the command to install it is told."""
    monkeypatch.setitem(sys.modules, "copier", None)

    with pytest.raises(MissingExtraError) as caught:
        plan_init(empty)

    assert str(caught.value) == "copier is not installed"
    assert caught.value.hint == "pip install 'ptah-migrate[scaffold]'"
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        pytest.param("a.txt.jinja", "{{ unknown }}", "'unknown' is undefined", id="unknown name"),
        pytest.param("a.txt.jinja", "{% if %}", "cannot be rendered", id="syntax"),
        pytest.param("a.py.jinja", "x = (", "made an unusable 'a.py'", id="not Python"),
        pytest.param("a.toml.jinja", "x = ", "made an unusable 'a.toml'", id="not TOML"),
        pytest.param("copier.yml", "_tasks: [touch x]", "cannot be rendered", id="commands"),
    ],
)
def test_an_unusable_template(
    empty: Path, tmp_path: Path, name: str, text: str, problem: str
) -> None:
    """A template that fails, or wants to run something, is one clear error."""
    template = build(
        tmp_path / "template", {"copier.yml": "_envops: {undefined: jinja2.StrictUndefined}"}
    )
    build(template, {name: text})
    source = scaffold.Scaffold(template, template, {1: ""})

    with pytest.raises(AuthoringError, match=re.escape(problem)):
        plan_init(empty, source=source)

    assert list(empty.iterdir()) == []


def test_a_strange_environment(empty: Path, tmp_path: Path) -> None:
    """A git hook's variables, broken settings of copier, no git at all: the files are the same."""
    broken = build(tmp_path / "settings", {"settings.yml": "{"})
    answers = build(empty, {".copier-answers.yml": "title: Not ours\n_src_path: x\n"})
    environment = {
        "PATH": str(tmp_path),
        "GIT_DIR": str(tmp_path / "nowhere"),
        "GIT_WORK_TREE": "/",
        "COPIER_SETTINGS_PATH": str(broken / "settings.yml"),
        "HOME": str(tmp_path),
    }
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ptah_migrate._authoring import apply, plan_init\n"
        "os.umask(0o077)\n"
        "apply(plan_init(Path(sys.argv[1])))\n"
        "assert os.environ['GIT_WORK_TREE'] == '/'\n"
    )

    done = run([sys.executable, "-c", code, str(empty)], ROOT, environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    other = tmp_path / "other/my-blog"
    other.mkdir(parents=True)
    init(other)
    (answers / ".copier-answers.yml").unlink()
    assert tree(empty) == tree(other)
    assert {path.stat().st_mode & 0o777 for path in empty.rglob("*") if path.is_file()} == {0o600}


# -- what was generated works -----------------------------------------------------------


@pytest.fixture(scope="module", params=["new", "existing, src", "existing, flat"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project of each kind, as generated, with two revisions."""
    root = tmp_path_factory.mktemp("generated")
    models = (
        "from sqlalchemy.orm import DeclarativeBase\n\n\nclass Base(DeclarativeBase):\n    pass\n"
    )
    package = '"""A blog."""\n'
    if request.param == "existing, src":
        build(root, {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": package})
        build(root, {"src/blog/models.py": models})
    elif request.param == "existing, flat":
        build(root, {"pyproject.toml": PYPROJECT, "blog/__init__.py": package})
    plan = init(root)
    folder = next(path.parent for path in root.rglob("migrations/__init__.py"))
    registered = registry.make_package(plan.package, str(folder))
    for message in ("Add column", 'It\'s "two"'):
        revision(registered, _history.read(registered), message=message)
    return root


def test_its_tests_pass(generated: Path, tmp_path: Path) -> None:
    """The generated test passes with plain pytest, the package installed or not."""
    project = tmp_path / "project"
    shutil.copytree(generated, project)
    for path in project.rglob("migrations/0*.py"):
        path.write_text(path.read_text().replace(f"  {NOT_WRITTEN}", ""))

    done = process(project, "-q", "-rs")

    found = set(re.findall(r"^SKIPPED .*::(\w+): ", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert found - {"packaged"} == {"models_match", "seed_equals_upgrade", "with_dependencies"}


def test_its_tests_pass_without_a_revision(empty: Path) -> None:
    """The generated test passes before there is a revision, and fails for two heads."""
    init(empty)

    first = process(empty, "-q")
    for name in ("001", "002"):
        text = (
            f'revision = "{name}"\ndown_revision = None\ndef upgrade(): ...\ndef downgrade(): ...\n'
        )
        build(empty, {f"src/my_blog/migrations/{name}.py": text})
    second = process(empty, "-q")

    assert first.stdout.splitlines()[-1].startswith("1 passed"), first.stdout + first.stderr
    assert "run: ptah-migrate merge my_blog" in second.stdout


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "--no-cache", "."], id="ruff check"),
        pytest.param(["ruff", "format", "--no-cache", "--check", "."], id="ruff format"),
        pytest.param(["mypy", "--strict", "."], id="mypy"),
    ],
)
def test_it_is_clean(generated: Path, command: list[str]) -> None:
    """Linter, formatter and type checker have nothing to say about untouched files."""
    if importlib.util.find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if command[0] == "mypy":
        command = [*command, "--cache-dir", str(generated.parent / "mypy")]

    done = run([sys.executable, "-m", *command], generated)

    assert done.returncode == 0, done.stdout + done.stderr


def run(
    command: list[str], directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory, with this checkout importable."""
    variables = {**(os.environ if environment is None else environment), "PYTHONPATH": str(ROOT)}
    variables["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        command,
        cwd=directory,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
