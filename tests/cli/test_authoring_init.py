"""The commands around generated files: what they say, what they exit with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptah_migrate import _authoring
from ptah_migrate._authoring import templates
from tests.cli.conftest import Run
from tests.helpers import Command
from tests.integration.scaffolds import PYPROJECT, build, tree, versions

CREATED = """\
created my-blog/.gitignore
created my-blog/CHANGES.md
created my-blog/LICENSE
created my-blog/README.md
created my-blog/development.ini
created my-blog/pyproject.toml
created my-blog/src/my_blog/__init__.py
created my-blog/src/my_blog/development.py
created my-blog/src/my_blog/migrations/001.py
created my-blog/src/my_blog/migrations/__init__.py
created my-blog/src/my_blog/models.py
created my-blog/src/my_blog/py.typed
created my-blog/tests/test_migrations.py
created my-blog/tests/test_package.py
created my-blog/.ptah-migrate.json
"""


def test_a_new_plug_in(folder: Path, run_cli: Command) -> None:
    """From an empty directory to an applied first revision there are two commands, and a cd."""
    made = run_cli("init", "my-blog", "--new", "--first-revision", "--data", "author=Ann")
    upgraded = run_cli("upgrade", "-q", cwd=folder / "my-blog")

    assert (made.exit_code, made.stdout) == (0, CREATED)
    assert made.stderr == "next: cd my-blog && ptah-migrate upgrade\n"
    assert upgraded.exit_code == 0
    assert upgraded.stdout.startswith("my_blog None -> 001 (")
    assert "Copyright (c) Ann\n" in (folder / "my-blog/LICENSE").read_text()


def test_without_a_first_revision(folder: Path, invoke_cli: Run) -> None:
    """Without an example the next thing to do is to write a revision."""
    made = invoke_cli("init", "blog", "--new", "--flat", "--title", "The blog")

    assert made.stderr == (
        'next: cd blog && ptah-migrate revision blog -m "Create the first table"\n'
    )
    assert (folder / "blog/blog/models.py").is_file()


def test_answers_in_a_file(folder: Path, invoke_cli: Run) -> None:
    """A file answers, and what is said on the command line goes before it."""
    build(folder, {"answers.toml": 'title = "One"\nlicense = "BSD-3-Clause"\nflat = true\n'})

    made = invoke_cli("init", "blog", "--new", "--data-file", "answers.toml", "--title", "Two")

    assert made.exit_code == 0
    assert (folder / "blog/README.md").read_text().startswith("# Two\n")
    assert (folder / "blog/LICENSE").read_text().startswith("BSD 3-Clause License\n")
    assert (folder / "blog/blog/__init__.py").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["class", "--new", "--data", "license=GPL", "--data", "lisence=MIT"],
            1,
            (
                "Error: 'class' is a Python keyword; license 'GPL' is none of MIT, BSD-3-Clause, "
                "Apache-2.0; there is no question 'lisence'\n"
                "hint: a name like my_blog, a title in one line: My blog\n"
            ),
        ),
        (
            ["blog", "--new", "--data", "titel=x"],
            2,
            (
                "Error: there is no question 'titel' here\nhint: there are: title, distribution, "
                "license, author, email, flat, first_revision\n"
            ),
        ),
        (
            ["--new"],
            2,
            "Error: a new package needs a name\nhint: ptah-migrate init NAME --new\n",
        ),
        (
            ["--first-revision"],
            2,
            "Error: --first-revision is for a new distribution\nhint: add --new\n",
        ),
        (
            ["--force", "--skip"],
            2,
            "Error: --force and --skip contradict each other\nhint: leave one of them out\n",
        ),
        (
            ["--undo", "--new"],
            2,
            "Error: --undo takes back what was made, and makes nothing\nhint: use it alone\n",
        ),
        (
            ["blog", "--new", "--data", "x"],
            2,
            "Error: 'x' is no answer\nhint: write: --data \"title=My blog\"\n",
        ),
    ],
)
def test_refused(folder: Path, invoke_cli: Run, words: list[str], code: int, message: str) -> None:
    """What cannot be done is told in one line and a hint, and nothing is written."""
    result = invoke_cli("init", *words)

    assert (result.exit_code, result.stdout, result.stderr) == (code, "", message)
    assert tree(folder) == {}


def test_check(folder: Path, invoke_cli: Run) -> None:
    """A check exits with 1 as soon as init would write something, and writes nothing."""
    assert invoke_cli("init", "blog", "--check").exit_code == 1
    assert tree(folder) == {}
    invoke_cli("init", "blog")
    assert invoke_cli("init", "--check").exit_code == 0
    (folder / "README.md").write_text("mine\n")
    assert invoke_cli("init", "--check").exit_code == 0
    (folder / "tests/test_migrations.py").unlink()

    result = invoke_cli("init", "--check")

    assert (result.exit_code, result.stdout) == (
        1,
        "would keep README.md\nwould create tests/test_migrations.py\n",
    )


def test_diff(folder: Path, invoke_cli: Run) -> None:
    """A patch is shown on stdout, and nothing is written."""
    build(folder, {"pyproject.toml": PYPROJECT, "blog/__init__.py": '"""Blog."""\n'})
    before = tree(folder)

    result = invoke_cli("init", "--diff")

    assert "+++ b/blog/migrations/__init__.py\n" in result.stdout
    assert '+    config.include(".migrations")\n' in result.stdout
    assert tree(folder) == before


def test_force_and_skip(folder: Path, invoke_cli: Run) -> None:
    """Files in the way stop everything, are kept, or are replaced and kept beside."""
    build(
        folder,
        {"pyproject.toml": PYPROJECT, "blog/__init__.py": "", "tests/test_migrations.py": "mine"},
    )
    before = tree(folder)

    stopped = invoke_cli("init", "blog")
    assert (stopped.exit_code, tree(folder)) == (1, before)
    assert "--skip keeps them, --force replaces them" in stopped.stderr

    kept = invoke_cli("init", "blog", "--skip")
    assert "kept tests/test_migrations.py\n" in kept.stdout
    invoke_cli("init", "--undo")
    assert tree(folder) == before

    forced = invoke_cli("init", "blog", "--force")
    assert "edited tests/test_migrations.py\ncreated tests/test_migrations.py.orig\n" in (
        forced.stdout
    )
    undone = invoke_cli("init", "--undo")
    assert "removed tests/test_migrations.py.orig\n" in undone.stdout
    assert tree(folder) == before


def test_undo_looks_first(folder: Path, invoke_cli: Run) -> None:
    """What an undo would do can be looked at."""
    invoke_cli("init", "blog")
    before = tree(folder)

    result = invoke_cli("init", "--undo", "--dry-run")

    assert "would remove src/blog/migrations/__init__.py\n" in result.stdout
    assert tree(folder) == before


def test_questions(folder: Path, monkeypatch: pytest.MonkeyPatch, invoke_cli: Run) -> None:
    """On a terminal a new plug-in is asked about; a wrong answer is asked for again."""
    from ptah_migrate._cli import scaffolding

    monkeypatch.setattr(scaffolding, "_is_terminal", lambda: True)

    result = invoke_cli("init", "blog", "--new", input="My blog\nGPL\nMIT\n\nyes\n")

    assert result.exit_code == 0, result.stderr
    assert "Warning: this is none of MIT, BSD-3-Clause, Apache-2.0\n" in result.stderr
    assert (folder / "blog/README.md").read_text().startswith("# My blog\n")
    assert (folder / "blog/src/blog/migrations/001.py").is_file()


def test_nobody_is_kept_waiting(folder: Path, run_cli: Command) -> None:
    """Without a terminal nothing is asked."""
    result = run_cli("init", "blog", "--new", timeout=60)

    assert result.exit_code == 0


# -- update ------------------------------------------------------------------------------


@pytest.fixture
def older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that an older template made."""
    first, second = versions(
        folder / "releases",
        {"a.txt": "1\n2\n3\n4\n5\n", "b.txt": "old\n"},
        {"a.txt": "1\n2\n3\n4\nfive\n", "b.txt": "new\n"},
    )
    root = build(folder / "p", {"pyproject.toml": PYPROJECT, "blog/__init__.py": ""})
    _authoring.apply(_authoring.plan_init(root, source=first))
    monkeypatch.setattr(templates, "locate", lambda kind: getattr(second, kind))
    monkeypatch.chdir(root)
    return root


def test_update(older: Path, invoke_cli: Run) -> None:
    """An update says what became of each file."""
    build(older, {"a.txt": "one\n2\n3\n4\n5\n"})

    looked = invoke_cli("update", "--dry-run")
    done = invoke_cli("update")
    again = invoke_cli("update")

    assert looked.stdout == ("would merge a.txt\nwould edit b.txt\nwould edit .ptah-migrate.json\n")
    assert (done.exit_code, done.stdout, done.stderr) == (
        0,
        "merged a.txt\nedited b.txt\nedited .ptah-migrate.json\n",
        "",
    )
    assert (older / "a.txt").read_text() == "one\n2\n3\n4\nfive\n"
    assert again.stdout == "kept a.txt (changed by you)\n"


def test_update_with_a_conflict(older: Path, invoke_cli: Run) -> None:
    """A conflict is marked, named, and exits with 1; the rest is done."""
    build(older, {"b.txt": "mine\n"})

    looked = invoke_cli("update", "--diff")
    done = invoke_cli("update")
    again = invoke_cli("update")

    assert looked.exit_code == 1
    assert "+<<<<<<< yours\n mine\n+=======\n+new\n+>>>>>>> template\n" in looked.stdout
    assert (done.exit_code, done.stdout) == (
        1,
        "edited a.txt\nconflict in b.txt (has markers)\nedited .ptah-migrate.json\n",
    )
    assert done.stderr == (
        "Error: decide what these files shall say: b.txt\nhint: then remove the markers\n"
    )
    assert again.exit_code == 1
    assert again.stderr.startswith("Error: these files have markers of an earlier update: b.txt\n")


def test_update_as_json(older: Path, invoke_cli: Run) -> None:
    """A program gets status, path and reason of every file."""
    build(older, {"b.txt": "mine\n"})

    result = invoke_cli("update", "--json")

    assert json.loads(result.stdout)["update"] == {
        "package": "blog",
        "files": [
            {"status": "edit", "path": str(older / "a.txt")},
            {"status": "conflict", "path": str(older / "b.txt"), "note": "has markers"},
            {"status": "identical", "path": str(older / "blog/__init__.py")},
            {"status": "identical", "path": str(older / "pyproject.toml")},
            {"status": "edit", "path": str(older / ".ptah-migrate.json")},
        ],
        "todo": [],
    }
    assert result.exit_code == 1


def test_nothing_to_update(folder: Path, invoke_cli: Run) -> None:
    """Files of the present template are up to date; where nothing was made that is told."""
    nothing = invoke_cli("update")
    invoke_cli("init", "blog")
    done = invoke_cli("update")

    assert (nothing.exit_code, nothing.stderr) == (
        1,
        (
            f"Error: nothing in '{folder}' was made by ptah-migrate\n"
            "hint: there is no .ptah-migrate.json; run: ptah-migrate init\n"
        ),
    )
    assert (done.exit_code, done.stdout) == (
        0,
        "blog is up to date with its template: nothing to do\n",
    )
