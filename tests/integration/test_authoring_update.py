"""Generated files follow a newer template, and nothing of the author's is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ptah_migrate._authoring import apply, plan_init
from ptah_migrate._authoring.fileplan import FilePlan, diff
from ptah_migrate._authoring.scaffold import Scaffold
from ptah_migrate._authoring.undo import plan_undo
from ptah_migrate._authoring.update import plan_update
from ptah_migrate.errors import AuthoringError, UsageError
from tests.integration.scaffolds import PYPROJECT, build, statuses, tree, versions

LINES = [f"line {number}\n" for number in range(1, 10)]
TEXT = "".join(LINES)


def without(*numbers: int, **changed: str) -> str:
    """Return the nine lines without some; ``l3="x"`` changes the third."""
    lines = {f"l{n}": line for n, line in enumerate(LINES, 1) if n not in numbers}
    return "".join((lines | {key: f"{text}\n" for key, text in changed.items()}).values())


V1 = {
    "unedited.txt": TEXT,
    "merged.txt": TEXT,
    "conflict.txt": TEXT,
    "deleted.txt": TEXT,
    "only-you.txt": TEXT,
    "identical.txt": TEXT,
    "dropped.txt": TEXT,
    "dropped-edited.txt": TEXT,
    "{{ folder }}/code.py": "a = 1\n\nb = 2\n\nc = 3\n",
    "title.md": "# {{ title }}\n\nOld.\n",
}
V2 = {
    "unedited.txt": without(l9="new"),
    "merged.txt": without(l9="new"),
    "conflict.txt": without(l5="new"),
    "deleted.txt": without(l9="new"),
    "only-you.txt": TEXT,
    "identical.txt": TEXT,
    "new.txt": "new\n",
    "yours.txt": "theirs\n",
    "{{ folder }}/code.py": "a = 1\n\nb = 2\n\nc = 4\n",
    "title.md": "# {{ title }}\n\nNew.\n",
}
V3 = {**V2, "unedited.txt": without(l1="newer", l9="new")}

EDITED = {
    "merged.txt": without(l1="mine"),
    "conflict.txt": without(l5="mine"),
    "only-you.txt": without(l1="mine"),
    "dropped-edited.txt": without(l1="mine"),
    "yours.txt": "mine\n",
}


@pytest.fixture
def releases(tmp_path: Path) -> list[Scaffold]:
    """Return three releases of a template."""
    return versions(tmp_path / "releases", V1, V2, V3)


@pytest.fixture
def project(tmp_path: Path, releases: list[Scaffold]) -> Path:
    """Return a project as the first release made it."""
    root = build(
        tmp_path / "project", {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": '"""Blog."""\n'}
    )
    apply(plan_init(root, title="The blog", source=releases[0]))
    return root


def edit(root: Path, files: Mapping[str, str]) -> None:
    """Write the author's texts, and remove the file that the author does not want."""
    build(root, files)
    (root / "deleted.txt").unlink()


def update(root: Path, release: Scaffold) -> FilePlan:
    """Plan and apply."""
    plan = plan_update(root, source=release)
    apply(plan)
    return plan


def test_every_status(project: Path, releases: list[Scaffold]) -> None:
    """One update shows all that can become of a file."""
    edit(project, EDITED)

    plan = update(project, releases[1])

    assert statuses(plan) == {
        "unedited.txt": "edit",
        "merged.txt": "merge",
        "conflict.txt": "conflict",
        "deleted.txt": "skip",
        "only-you.txt": "skip",
        "identical.txt": "identical",
        "new.txt": "create",
        "yours.txt": "conflict",
        "yours.txt.new": "create",
        "dropped.txt": "remove",
        "dropped-edited.txt": "keep",
        "src/blog/code.py": "edit",
        "title.md": "edit",
        "src/blog/__init__.py": "identical",
        "pyproject.toml": "identical",
        ".ptah-migrate.json": "edit",
    }
    texts = {name: text.decode() for name, text in tree(project).items()}
    assert texts["unedited.txt"] == V2["unedited.txt"]
    assert texts["merged.txt"] == without(l1="mine", l9="new")
    assert texts["conflict.txt"] == without(
        l5="<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> template"
    )
    assert (texts["yours.txt"], texts["yours.txt.new"]) == ("mine\n", "theirs\n")
    assert texts["title.md"] == "# The blog\n\nNew.\n"
    assert "deleted.txt" not in texts
    assert "dropped.txt" not in texts
    assert texts["dropped-edited.txt"] == EDITED["dropped-edited.txt"]
    assert [change.path.name for change in plan.conflicts] == ["conflict.txt", "yours.txt"]
    record = json.loads(texts[".ptah-migrate.json"])["packages"]["blog"]
    assert record["version"] == 2
    assert "dropped.txt" not in record["files"]


def test_twice(project: Path, releases: list[Scaffold]) -> None:
    """After an update, and after its conflicts are settled, there is nothing to do."""
    edit(project, EDITED)
    update(project, releases[1])

    with pytest.raises(AuthoringError) as caught:
        plan_update(project, source=releases[1])
    assert str(caught.value) == "these files have markers of an earlier update: conflict.txt"
    build(project, {"conflict.txt": "settled\n"})
    (project / "yours.txt.new").unlink()

    plan = plan_update(project, source=releases[1])

    assert plan.pending == ()
    assert plan_init(project, source=releases[1]).pending[0].path.name == "deleted.txt"


@pytest.mark.parametrize("steps", [[2], [1, 2]], ids=["at once", "one by one"])
def test_over_several_versions(project: Path, releases: list[Scaffold], steps: list[int]) -> None:
    """A project may leave versions out."""
    build(project, {"unedited.txt": without(l5="mine")})

    for step in steps:
        update(project, releases[step])

    assert (project / "unedited.txt").read_text() == without(l1="newer", l5="mine", l9="new")


def test_the_answers_stay(project: Path, releases: list[Scaffold]) -> None:
    """What was answered once is not asked again, and stays in the files."""
    update(project, releases[1])

    assert (project / "title.md").read_text() == "# The blog\n\nNew.\n"


def test_a_plan_writes_nothing(project: Path, releases: list[Scaffold]) -> None:
    """A plan can be looked at, as a patch too."""
    edit(project, EDITED)
    before = tree(project)

    plan = plan_update(project, source=releases[1])

    assert tree(project) == before
    assert "+<<<<<<< yours\n" in diff(plan)
    assert "--- a/dropped.txt\n+++ /dev/null\n" in diff(plan)


def test_line_ends_stay(project: Path, releases: list[Scaffold]) -> None:
    """A file that the author's git wrote with CRLF is merged with CRLF."""
    build(project, {"merged.txt": without(l1="mine").replace("\n", "\r\n")})

    update(project, releases[1])

    assert (project / "merged.txt").read_bytes() == without(l1="mine", l9="new").replace(
        "\n", "\r\n"
    ).encode()


def test_what_does_not_work_together(tmp_path: Path) -> None:
    """A merge that Python cannot read is not written: both versions are there to choose from."""
    code = "{{ folder }}/code.py"
    old, new = versions(
        tmp_path / "releases",
        {code: "a = 1\n\nb = 2\n\nc = 3\n"},
        {code: 'a = 1\n\nb = """x"""\n\nc = 3\n'},
    )
    project = build(tmp_path / "p", {"pyproject.toml": PYPROJECT, "blog/__init__.py": ""})
    apply(plan_init(project, source=old))
    mine = 'a = """\n\nb = 2\n\nc = 3\n"""\n'
    build(project, {"blog/code.py": mine})

    plan = update(project, new)

    [conflict] = plan.conflicts
    assert conflict.note == "both changes together are not usable: see code.py.new"
    assert (project / "blog/code.py").read_text() == mine
    assert (project / "blog/code.py.new").read_text() == 'a = 1\n\nb = """x"""\n\nc = 3\n'


# -- where the base comes from --------------------------------------------------------


def forget_history(releases: list[Scaffold]) -> None:
    """Remove what the templates know of earlier versions."""
    for release in releases:
        shutil.rmtree(release.history / "package", ignore_errors=True)


def git(root: Path, *words: str) -> None:
    """Run git in a project."""
    name = ["-c", "user.name=a", "-c", "user.email=a@b.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *name, *words], cwd=root, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("below", [False, True], ids=["repository", "folder of one"])
def test_from_git(project: Path, releases: list[Scaffold], below: bool) -> None:
    """Without a template's history the generated file is found in the project's git."""
    forget_history(releases)
    root = project.parent if below else project
    git(root, "init", "-q")
    git(root, "add", "project" if below else ".")
    git(root, "commit", "-qm", "generated")
    build(project, {"merged.txt": without(l1="mine")})
    git(root, "add", "project" if below else ".")
    git(root, "commit", "-qm", "edited")

    plan = update(project, releases[1])

    assert statuses(plan)["merged.txt"] == "merge"
    assert (project / "merged.txt").read_text() == without(l1="mine", l9="new")


def test_without_a_base(
    project: Path, releases: list[Scaffold], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the generated text is not to be found yours stays, and the template's is beside it."""
    forget_history(releases)
    monkeypatch.setenv("PATH", os.devnull)
    edit(project, EDITED)

    plan = update(project, releases[1])

    assert statuses(plan)["unedited.txt"] == "edit"
    assert statuses(plan)["merged.txt"] == "conflict"
    assert statuses(plan)["merged.txt.new"] == "create"
    assert (project / "merged.txt").read_text() == EDITED["merged.txt"]
    assert (project / "merged.txt.new").read_text() == V2["merged.txt"]


def test_a_history_that_differs(project: Path, releases: list[Scaffold]) -> None:
    """A text that does not have the recorded hash is never taken for the generated one."""
    build(releases[1].history / "package/1", {"merged.txt.jinja": "something else\n"})
    build(project, {"merged.txt": without(l1="mine")})

    plan = plan_update(project, source=releases[1])

    assert statuses(plan)["merged.txt"] == "conflict"


def test_left_over(project: Path, releases: list[Scaffold]) -> None:
    """A file of an earlier update that nobody looked at is not overwritten."""
    build(project, {"yours.txt": "mine\n", "yours.txt.new": "look at me\n"})

    with pytest.raises(AuthoringError, match="is left over from an earlier update"):
        plan_update(project, source=releases[1])


# -- refusing ---------------------------------------------------------------------------


def test_nothing_was_made(tmp_path: Path, releases: list[Scaffold]) -> None:
    """Where nothing was made there is nothing to update."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(AuthoringError, match="was made by ptah-migrate"):
        plan_update(tmp_path / "empty", source=releases[1])


def test_a_newer_project(project: Path, releases: list[Scaffold]) -> None:
    """Files of a newer release are left alone by an older one."""
    update(project, releases[2])

    for plan in (plan_update, plan_init):
        with pytest.raises(AuthoringError) as caught:
            plan(project, source=releases[1])
        assert "made by version 3 of the template" in str(caught.value)
        assert caught.value.hint == "pip install --upgrade ptah-migrate"


def test_init_of_an_older_project(project: Path, releases: list[Scaffold]) -> None:
    """Init does not guess what an update would merge."""
    with pytest.raises(AuthoringError) as caught:
        plan_init(project, source=releases[1])

    assert caught.value.hint == "run: ptah-migrate update"


def test_which_package(project: Path, releases: list[Scaffold]) -> None:
    """With several packages the one to update is named."""
    build(project, {"src/shop/__init__.py": ""})
    with pytest.raises(UsageError, match="'shop' was not made here"):
        plan_update(project, name="shop", source=releases[1])


def test_undo_after_an_update(project: Path, releases: list[Scaffold]) -> None:
    """What an update made can be taken back as well."""
    update(project, releases[1])

    apply(plan_undo(project))

    assert {name for name, text in tree(project).items() if text} == {
        "pyproject.toml",
        "src/blog/__init__.py",
    }


@pytest.mark.parametrize("number", range(1, 30, 4))
def test_a_full_disk(
    project: Path, releases: list[Scaffold], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An update that cannot be written changes nothing."""
    edit(project, EDITED)
    before = tree(project)
    plan = plan_update(project, source=releases[1])
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
        assert tree(project) == before
    else:  # it was no file, but a folder that could not be settled
        written = [change for change in plan.changes if change.status in ("edit", "merge")]
        assert all(change.path.read_bytes() == change.content for change in written)
