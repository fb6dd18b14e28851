"""What init made is taken back, and what the author changed is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptah_migrate._authoring import apply, plan_init
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.undo import plan_undo
from ptah_migrate.errors import AuthoringError, UsageError
from tests.integration.scaffolds import INIT, PYPROJECT, build, statuses, tree


def undo(directory: Path, name: str | None = None) -> FilePlan:
    """Plan and apply."""
    plan = plan_undo(directory, name=name)
    apply(plan)
    return plan


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in src layout with a package ``blog`` for Pyramid."""
    return build(tmp_path / "p", {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT})


SHAPES = {
    "src": {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT},
    "flat, no includeme": {"pyproject.toml": PYPROJECT, "blog/__init__.py": '"""A blog."""\n'},
    "an empty module": {"pyproject.toml": PYPROJECT, "blog/__init__.py": ""},
    "a folder for tests": {
        "pyproject.toml": PYPROJECT,
        "blog/__init__.py": "",
        "tests/conftest.py": "",
    },
    "no last newlines": {
        "pyproject.toml": PYPROJECT.rstrip(),
        "blog/__init__.py": INIT.rstrip(),
    },
    "CRLF and a byte order mark": {
        "pyproject.toml": "\ufeff" + PYPROJECT.replace("\n", "\r\n"),
        "blog/__init__.py": "\ufeff" + INIT.replace("\n", "\r\n"),
    },
    "tabs": {
        "pyproject.toml": PYPROJECT + "\n[tool.x]\na = 1\n",
        "blog/__init__.py": "def includeme(config):\n\tconfig.scan()\n\nX = 1\n",
    },
    "other entry points": {
        "pyproject.toml": PYPROJECT
        + '\n[project.entry-points.ptah_migrate]\nshop = "shop.migrations"\n\n[tool.x]\na = 1\n',
        "blog/__init__.py": INIT,
    },
    "nothing to insert": {
        "pyproject.toml": PYPROJECT
        + '[project.entry-points.ptah_migrate]\nblog = "blog:migrations"\n',
        "blog/__init__.py": INIT + '    config.include("blog.migrations")\n',
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_byte_for_byte(tmp_path: Path, shape: str) -> None:
    """An existing project is afterwards what it was before, to the byte and the folder."""
    build(tmp_path, SHAPES[shape])
    before = tree(tmp_path)
    apply(plan_init(tmp_path, name="blog"))
    assert tree(tmp_path) != before

    plan = undo(tmp_path)

    assert tree(tmp_path) == before
    assert plan.todo == ()


@pytest.mark.parametrize("new", [True, False])
def test_a_new_project(tmp_path: Path, new: bool) -> None:
    """Of a new project only the folder stays."""
    directory = tmp_path / "blog"
    if not new:
        directory.mkdir()
    apply(plan_init(tmp_path if new else directory, name="blog", new=new))
    build(directory, {"src/blog/__pycache__/models.cpython-311.pyc": b"x"} if new else {})

    undo(directory)

    assert tree(tmp_path) == {"blog/": b""}


def test_what_the_author_changed(project: Path) -> None:
    """An edited file and a file of the author's own are kept, the rest goes."""
    apply(plan_init(project))
    build(
        project,
        {
            "tests/test_migrations.py": "mine\n",
            "src/blog/migrations/001.py": 'revision = "001"\n',
            "src/blog/__init__.py": INIT
            + '    config.include(".migrations")\n    config.add_route("x", "/x")\n',
        },
    )

    plan = undo(project)

    assert statuses(plan) == {
        "src/blog/migrations/__init__.py": "remove",
        "tests/test_migrations.py": "keep",
        "pyproject.toml": "edit",
        "src/blog/__init__.py": "edit",
        ".ptah-migrate.json": "remove",
    }
    assert {name: text for name, text in tree(project).items() if text} == {
        "pyproject.toml": PYPROJECT.encode(),
        "src/blog/__init__.py": (INIT + '    config.add_route("x", "/x")\n').encode(),
        "src/blog/migrations/001.py": b'revision = "001"\n',
        "tests/test_migrations.py": b"mine\n",
    }


def test_a_line_that_cannot_be_taken_out(project: Path) -> None:
    """A line that the author moved into something else stays, and is told."""
    apply(plan_init(project))
    text = 'def includeme(config):\n    if config:\n        config.include(".migrations")\n'
    build(project, {"src/blog/__init__.py": text})

    plan = undo(project)

    assert statuses(plan)["src/blog/__init__.py"] == "keep"
    assert plan.todo == (
        (
            "src/blog/__init__.py: the line cannot be taken out safely; take out by hand:\n"
            'config.include(".migrations")'
        ),
    )
    assert (project / "src/blog/__init__.py").read_text() == text


def test_a_line_that_is_gone(project: Path) -> None:
    """What the author took out already is no problem."""
    apply(plan_init(project))
    build(project, {"src/blog/__init__.py": INIT, "pyproject.toml": PYPROJECT})

    plan = undo(project)

    assert plan.todo == ()
    assert sorted(name for name, text in tree(project).items() if text) == [
        "pyproject.toml",
        "src/blog/__init__.py",
    ]


def test_a_checkout_with_other_line_ends(project: Path) -> None:
    """Files that git wrote with CRLF count as unedited."""
    apply(plan_init(project))
    for path in project.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    undo(project)

    assert tree(project) == {
        "pyproject.toml": PYPROJECT.replace("\n", "\r\n").encode(),
        "src/": b"",
        "src/blog/": b"",
        "src/blog/__init__.py": INIT.replace("\n", "\r\n").encode(),
    }


def test_a_second_package(project: Path) -> None:
    """One of two packages is taken back, the other's files and state stay."""
    build(project, {"src/shop/__init__.py": ""})
    apply(plan_init(project, name="blog"))
    before = tree(project)
    apply(plan_init(project, name="shop"))

    with pytest.raises(UsageError, match="name a package"):
        plan_undo(project)
    undo(project, "shop")

    assert tree(project) == before


@pytest.mark.parametrize("edited", [False, True])
def test_overwritten_by_order(project: Path, edited: bool) -> None:
    """A file that was overwritten by order comes back, unless ours was edited since."""
    build(project, {"tests/test_migrations.py": "mine, first\r\n"})
    before = tree(project)
    plan = plan_init(project, conflicts="force")
    apply(plan)
    assert statuses(plan)["tests/test_migrations.py.orig"] == "create"
    assert set(statuses(plan_init(project)).values()) == {"identical"}
    if edited:
        build(project, {"tests/test_migrations.py": "mine, later\n"})

    undo(project)

    if edited:
        assert (project / "tests/test_migrations.py").read_bytes() == b"mine, later\n"
        assert (project / "tests/test_migrations.py.orig").read_bytes() == b"mine, first\r\n"
    else:
        assert tree(project) == before


def test_kept_by_order(project: Path) -> None:
    """A file that was kept by order is the author's: later runs and undo leave it alone."""
    build(project, {"tests/test_migrations.py": "mine\n"})
    before = tree(project)
    plan = plan_init(project, conflicts="skip")
    apply(plan)

    assert statuses(plan)["tests/test_migrations.py"] == "skip"
    assert plan_init(project).pending == ()
    undo(project)
    assert tree(project) == before


def test_an_original_that_is_there(project: Path) -> None:
    """A file kept under another name never overwrites one."""
    build(project, {"tests/test_migrations.py": "1", "tests/test_migrations.py.orig": "2"})

    with pytest.raises(AuthoringError, match="is there already"):
        plan_init(project, conflicts="force")


def test_nothing_was_made(tmp_path: Path) -> None:
    """Where nothing was made there is nothing to take back."""
    with pytest.raises(AuthoringError, match="was made by ptah-migrate"):
        plan_undo(tmp_path)


def test_a_state_file_with_tricks(project: Path) -> None:
    """A state file that names files outside, or somebody's folders, removes nothing of them."""
    apply(plan_init(project))
    path = project / ".ptah-migrate.json"
    document = json.loads(path.read_text())
    document["packages"]["blog"]["files"]["../x"] = "0"
    path.write_text(json.dumps(document))

    with pytest.raises(AuthoringError, match="is not inside"):
        plan_undo(project)

    del document["packages"]["blog"]["files"]["../x"]
    document["packages"]["blog"]["folders"] = ["../q"]
    (project.parent / "q").mkdir()
    path.write_text(json.dumps(document))
    with pytest.raises(AuthoringError, match="is not inside"):
        plan_undo(project)


def test_a_fault(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a removal fails everything is as it was."""
    apply(plan_init(project))
    before = tree(project)
    plan = plan_undo(project)
    real, calls = Path.unlink, 0

    def unlink(self: Path, missing_ok: bool = False) -> None:
        nonlocal calls
        calls += not self.name.endswith(".tmp")
        if calls == 2 and not self.name.endswith(".tmp"):
            raise PermissionError(13, "Permission denied", str(self))
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(AuthoringError, match="permission denied"):
        apply(plan)
    monkeypatch.undo()

    assert tree(project) == before
    undo(project)
