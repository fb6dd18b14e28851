"""What authors type for revision files: new ones, taking one back, two of one number, checks."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.helpers import Database, Result, rows

NOT_WRITTEN = "  # ptah-migrate: not written yet"
HINT = "hint: write it, then remove each '# ptah-migrate: not written yet'\n"


@pytest.fixture
def migrations(folder: Path, invoke_cli: Run) -> Path:
    """Stand in a new project, ``blog``, and return its migrations."""
    invoke_cli("init", "blog")
    return folder / "src/blog/migrations"


def write(path: Path) -> None:
    """Write what the author would: here, nothing but the decision that it is done."""
    path.write_text(path.read_text().replace(NOT_WRITTEN, ""))


def configure(folder: Path, *lines: str) -> None:
    """Add lines to ``[tool.ptah_migrate]`` of the project."""
    with (folder / "pyproject.toml").open("a") as file:
        file.write("\n".join(("", *lines, "")))


def new(invoke_cli: Run, migrations: Path, *words: str) -> Path:
    """Write a revision, with its operations, and return its file."""
    result = invoke_cli("revision", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    path = Path(result.stdout.removeprefix("Generating ").removesuffix("...done\n"))
    write(path)
    return path


# -- new files ------------------------------------------------------------------------


def test_rows(migrations: Path, invoke_cli: Run) -> None:
    """``--data`` begins with operations on rows."""
    invoke_cli("revision", "--data", "-m", "Fill")

    assert "op.bulk_insert(example, " in (migrations / "001.py").read_text()


def test_a_template(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """``--template`` names the file to make it of; JSON tells which one was taken."""
    (folder / "mine.jinja").write_text(
        '{% extends "ptah_migrate/revision.py.jinja" %}\n'
        "{% block imports %}\nimport acme\n{% endblock %}\n"
    )

    result = invoke_cli("revision", "--template", "mine.jinja", "--json")

    assert json.loads(result.stdout)["revision"]["template"] == "mine.jinja"
    assert (migrations / "001.py").read_text().startswith("import acme\n")


def test_a_template_and_rows(migrations: Path, invoke_cli: Run) -> None:
    """One file is made of one template."""
    assert invoke_cli("revision", "--data", "--template", "x") == Result(
        2, "", "Error: a template is named, and the one for data\nhint: leave one of them out\n"
    )


def test_conventions_of_the_project(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """The project's settings name and format the files, from any settings file."""
    configure(folder, 'file_template = "{rev}_{slug}"', 'format = "ruff"')
    configure(folder, "[tool.ruff.format]", 'quote-style = "single"')
    (folder / "other.ini").write_text("[app:main]\nsqlalchemy.url = sqlite://\n")

    invoke_cli("other.ini", "revision", "-m", "Add column")

    assert "revision = '001'\n" in (migrations / "001_add_column.py").read_text()
    assert (migrations / "head.txt").read_text() == "001_add_column\n"


def test_conventions_of_an_application(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """A settings file may say it too, with folders beside it."""
    (folder / "etc/shared").mkdir(parents=True)
    (folder / "etc/shared/revision.py.jinja").write_text(
        '{% extends "ptah_migrate/revision.py.jinja" %}\n'
        "{% block header %}\n# Copyright ACME\n{{ super() }}{% endblock %}\n"
    )
    (folder / "etc/app.ini").write_text(
        "[app:main]\nptah_migrate.templates = shared\nptah_migrate.file_template = {rev}_{slug}\n"
    )

    invoke_cli("etc/app.ini", "revision", "-m", "Add column")

    assert (migrations / "001_add_column.py").read_text().startswith("# Copyright ACME\n")


def test_a_formatter_that_is_not_there(
    migrations: Path, folder: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A formatter's failure is a warning; the file is there."""
    configure(folder, 'format = "black"')
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    assert invoke_cli("revision") == Result(
        0,
        f"Generating {migrations}/001.py...done\n",
        "Warning: black is not installed; the file is there, as it was generated\n",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('file_template = "{slug}"', "the setting file_template is '{slug}', which names no file"),
        ('format = "rm"', "the setting format is 'rm', which is no formatter"),
        (
            'templates = "git+ext::sh"',
            "the setting templates is 'git+ext::sh', which is not fetched",
        ),
    ],
)
def test_impossible_settings(
    migrations: Path, folder: Path, invoke_cli: Run, line: str, message: str
) -> None:
    """A setting that cannot be is one clear error, and nothing is written."""
    configure(folder, line)

    result = invoke_cli("revision")

    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, f"Error: {message}")
    assert os.listdir(migrations) == ["__init__.py"]


# -- taking one back ------------------------------------------------------------------


def test_undo(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """``revision --undo`` removes the newest file, as long as it is as generated."""
    for _ in range(3):
        invoke_cli("revision")

    assert invoke_cli("revision", "--undo", "-q") == Result(
        0, "removed src/blog/migrations/003.py\n", ""
    )
    found = json.loads(invoke_cli("revision", "--undo", "blog", "--json").stdout)
    assert found["removed"]["revision"] == "002"
    write(migrations / "001.py")
    result = invoke_cli("revision", "--undo", "-q")
    assert result == Result(
        1,
        "",
        f"Error: '{migrations}/001.py' has more in it than its template, it is not removed\n"
        "hint: if its operations are not needed: --yes removes it all the same\n",
    )
    assert invoke_cli("revision", "--undo", "-q", "--yes").exit_code == 0
    assert os.listdir(migrations) == ["__init__.py"]


def test_undo_of_what_is_applied(
    migrations: Path, folder: Path, invoke_cli: Run, sqlite_database: Database
) -> None:
    """What the reachable database has stays."""
    invoke_cli("revision")
    invoke_cli("upgrade")

    result = invoke_cli("revision", "--undo", "-q")

    assert result == Result(
        1,
        "",
        "Error: revision '001' of package 'blog' is applied in the database\n"
        "hint: run: ptah-migrate downgrade blog:base\n",
    )
    assert invoke_cli("revision", "--undo", "-q", "--url", sqlite_database.url).exit_code == 0
    assert rows(sqlite_database.engine) == set()


def test_undo_without_a_database(migrations: Path, invoke_cli: Run) -> None:
    """A database that cannot be reached is told of; ``--no-database`` asks none."""
    unreachable = ("--url", "postgresql+psycopg://nobody@127.0.0.1:1/nothing", "-q")
    for _ in range(2):
        invoke_cli("revision")

    told = invoke_cli("revision", "--undo", *unreachable)
    quiet = invoke_cli("revision", "--undo", "--no-database", *unreachable)

    assert told.exit_code == 0
    assert told.stderr.startswith("Warning: the database cannot say what is applied: ")
    assert quiet == Result(0, "removed src/blog/migrations/001.py\n", "")


@pytest.mark.parametrize("words", [["--undo", "-m", "x"], ["--undo", "--data"], ["--no-database"]])
def test_words_that_do_not_fit(migrations: Path, invoke_cli: Run, words: list[str]) -> None:
    """What is for a new revision is not taken for the old one, or the other way round."""
    invoke_cli("revision")

    assert invoke_cli("revision", *words).exit_code == 2
    assert sorted(os.listdir(migrations)) == ["001.py", "__init__.py"]


# -- two of one number -----------------------------------------------------------------

Git = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def git(folder: Path) -> Git:
    """Return a function that runs git in the project."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment = kept | {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    run("init", "-q", "-b", "main")
    return run


def commit(git: Git, message: str) -> None:
    """Commit everything but the database."""
    git("add", "-A")
    assert git("commit", "-q", "-m", message).returncode == 0


@pytest.fixture
def conflict(migrations: Path, invoke_cli: Run, git: Git) -> Path:
    """Add 002 on two branches, merge them, and return the file that is in conflict."""
    new(invoke_cli, migrations, "-m", "First")
    commit(git, "first")
    for branch in ("theirs", "mine"):
        git("checkout", "-q", "-b", branch, "main")
        new(invoke_cli, migrations, "-m", branch)
        commit(git, branch)
    assert "CONFLICT (add/add)" in git("merge", "theirs").stdout
    return migrations / "002.py"


def test_rebase(conflict: Path, invoke_cli: Run, git: Git) -> None:
    """Two branches that both add 002: git conflicts, the check says so, rebase gives 003."""
    assert invoke_cli("check", "--files") == Result(
        1,
        "src/blog/migrations/002.py:1: has conflict markers [conflict-markers]\n",
        "hint: two people made it? ptah-migrate rebase blog; otherwise resolve it in git\n",
    )
    assert invoke_cli("rebase", "-q", "--dry-run").stdout == (
        "would renumber 002 -> 003, after 002: src/blog/migrations/002.py -> 003.py\n"
    )

    done = invoke_cli("rebase", "--no-database")

    assert done == Result(
        0,
        "renumbered 002 -> 003, after 002: src/blog/migrations/002.py -> 003.py\n",
        "next: git add src/blog/migrations\n",
    )
    commit(git, "merged")
    assert invoke_cli("heads").stdout == "blog: 003 mine\n"
    assert invoke_cli("check", "--files") == Result(
        0, "nothing is wrong with the files of blog\n", ""
    )


def test_rebase_again(conflict: Path, invoke_cli: Run) -> None:
    """JSON tells what moved; a second call has nothing to do."""
    found = json.loads(invoke_cli("rebase", "--json", "--no-database").stdout)["rebase"]

    assert found == {
        "package": "blog",
        "moves": [
            {
                "revision": "003",
                "before": "002",
                "down_revision": "002",
                "path": str(conflict.with_name("003.py")),
                "path_before": str(conflict),
            }
        ],
        "references": [],
    }
    assert invoke_cli("rebase", "-q") == Result(
        0, "blog: your revisions are the last ones already\n", ""
    )


def test_rebase_that_others_follow(conflict: Path, folder: Path, invoke_cli: Run) -> None:
    """A revision of the project's other package that names mine is changed, and told."""
    file = folder / "src/shop/migrations/001.py"
    file.parent.mkdir(parents=True)
    file.with_name("__init__.py").touch()
    (folder / "src/shop/__init__.py").touch()
    file.write_text("revision = '001'\ndown_revision = None\nrequires = ('blog:002',)\n")
    pyproject = folder / "pyproject.toml"
    table = "[project.entry-points.ptah_migrate]\n"
    pyproject.write_text(pyproject.read_text().replace(table, f'{table}shop = "shop.migrations"\n'))

    looked = invoke_cli("rebase", "blog", "-q", "--dry-run").stdout.splitlines()
    done = invoke_cli("rebase", "blog", "--no-database")

    assert looked[1:] == ["would change blog:002 -> blog:003 in src/shop/migrations/001.py"]
    assert done == Result(
        0,
        "renumbered 002 -> 003, after 002: src/blog/migrations/002.py -> 003.py\n"
        "changed blog:002 -> blog:003 in src/shop/migrations/001.py\n",
        "next: git add src/blog/migrations src/shop/migrations/001.py\n",
    )
    assert "requires = ('blog:003',)\n" in file.read_text()


def test_rebase_of_theirs(conflict: Path, invoke_cli: Run) -> None:
    """``--theirs`` leaves what stands on the branch that is merged into."""
    invoke_cli("rebase", "--theirs", "-q")

    assert invoke_cli("heads").stdout == "blog: 003 theirs\n"


def test_rebase_of_what_is_applied(
    migrations: Path, invoke_cli: Run, git: Git, sqlite_database: Database
) -> None:
    """What the reachable database has keeps its number."""
    new(invoke_cli, migrations, "-m", "First")
    new(invoke_cli, migrations, "-m", "Mine")
    invoke_cli("upgrade", "--url", sqlite_database.url)
    (migrations / "002_theirs.py").write_text("revision = '002'\ndown_revision = '001'\n")

    result = invoke_cli("rebase", "--mine", "002.py", "--url", sqlite_database.url, "-q")

    assert result == Result(
        1,
        "",
        "Error: revision '002' of package 'blog' is applied in the database, "
        "under another number it would run again\n"
        "hint: give the merge up, take it back and begin again: "
        "ptah-migrate downgrade blog:001\n",
    )
    assert invoke_cli("rebase", "--mine", "002.py", "-q").exit_code == 0
    assert (migrations / "003.py").is_file()


# -- checks -----------------------------------------------------------------------------


def test_check_files(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """Every problem is told with its file, its line and what to do; no database is made."""
    invoke_cli("revision")
    (migrations / "003.py").write_text("revision = '003'\ndown_revision = '002'\n")

    assert invoke_cli("check", "--files", "blog") == Result(
        1,
        "src/blog/migrations/001.py:11: revision '001' is not written yet [not-written]\n"
        "src/blog/migrations/003.py: revision '003' follows '002', which is not there "
        "[missing-parent]\n",
        f"{HINT}hint: restore the file of that revision, or correct down_revision\n",
    )
    assert not (folder / "blog.sqlite").exists()


def test_check_files_as_json(migrations: Path, invoke_cli: Run) -> None:
    """JSON has the same, for tools."""
    invoke_cli("revision")

    result = invoke_cli("check", "--files", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"] == [
        {
            "id": "not-written",
            "package": "blog",
            "path": str(migrations / "001.py"),
            "line": 11,
            "message": "revision '001' is not written yet",
            "hint": HINT.removeprefix("hint: ").strip(),
        }
    ]


def test_check_wheel(migrations: Path, folder: Path, invoke_cli: Run) -> None:
    """A wheel that lacks a step is told; ``dist/*.whl`` may be several words."""
    path = new(invoke_cli, migrations)
    wheels = [folder / "blog-1.0-py3-none-any.whl", folder / "other-1.0-py3-none-any.whl"]
    for wheel in wheels:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{wheel.name[:4]}/__init__.py", "")
    words = ["check", "--wheel", *(wheel.name for wheel in wheels)]

    assert invoke_cli(*words).stdout == "".join(
        f"src/blog/migrations/{name}.py: is not in {wheel.name}, as blog/migrations/{name}.py "
        "[wheel-missing]\n"
        for wheel in wheels
        for name in ("001",)
    )
    with zipfile.ZipFile(wheels[0], "a") as archive:
        archive.writestr("blog/migrations/001.py", path.read_text())
    assert invoke_cli(*words) == Result(0, "nothing is wrong with the files of blog\n", "")


def test_upgrade_where_unwritten_is_refused(
    migrations: Path, folder: Path, invoke_cli: Run
) -> None:
    """With the setting, an upgrade stops before it touches the database."""
    configure(folder, "refuse_unwritten = true")
    invoke_cli("revision")

    result = invoke_cli("-q", "upgrade")

    assert result == Result(
        1,
        "",
        f"Error: revision '001' of package 'blog' is not written yet ({migrations}/001.py)\n"
        "hint: write it, then remove each comment '# ptah-migrate: not written yet' from it\n",
    )
    write(migrations / "001.py")
    assert invoke_cli("-q", "upgrade").exit_code == 0
