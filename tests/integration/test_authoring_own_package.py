"""Package templates of one's own: single files, single blocks, whole ones; folders and git."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ptah_migrate._authoring import Own, apply, blueprint, plan_init, plan_undo, plan_update
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate.errors import AuthoringError, ConfigError, PtahMigrateError, UsageError
from tests.integration.scaffolds import INIT, PYPROJECT, build, statuses, tree, versions
from tests.integration.test_authoring_sources import git

EXTENDS = '{% extends "builtin/README.md.jinja" %}\n'
QUESTIONS = """\
_envops: {undefined: jinja2.StrictUndefined, keep_trailing_newline: true}
name: {type: str}
folder: {type: str}
colour: {type: str, default: red, choices: [red, green]}
size: {type: int, default: 3}
tags: {type: yaml, default: [a, b]}
token: {type: str, default: hush, secret: true}
"""
MODULE = "{{ folder }}/migrations/__init__.py.jinja"
WHOLE = {
    "copier.yml": QUESTIONS,
    "colour.txt.jinja": "{{ name }} is {{ colour }}, {{ size + 1 }}, {{ tags | join }}\n",
    MODULE: '"""{{ colour }}."""\n',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a package for Pyramid."""
    return build(tmp_path / "p", {"pyproject.toml": PYPROJECT, "src/blog/__init__.py": INIT})


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return the folder of a template, empty."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def init(directory: Path, template: Path | str, *, trust: bool = False, **words: Any) -> FilePlan:
    """Plan and apply with a template."""
    plan = plan_init(directory, own=Own(str(template), trust=trust), **words)
    apply(plan)
    return plan


def update(directory: Path, template: Path | str = "", **words: Any) -> FilePlan:
    """Plan and apply."""
    plan = plan_update(directory, own=Own(str(template)), **words)
    apply(plan)
    return plan


def record(root: Path) -> dict[str, Any]:
    """Return what the state file remembers of the package."""
    document = json.loads((root / ".ptah-migrate.json").read_bytes())
    found: dict[str, Any] = document["packages"]["blog"]
    return found


def text(root: Path, name: str) -> str:
    """Return a file's text."""
    return (root / name).read_text()


# -- over ours ------------------------------------------------------------------------


def test_a_block_of_ours(tmp_path: Path, mine: Path) -> None:
    """A template changes one block of one file, and everything else is ours."""
    plain = {k: v for k, v in tree_of_new(tmp_path / "plain").items() if k != ".ptah-migrate.json"}
    build(
        mine,
        {"README.md.jinja": EXTENDS + "{% block introduction %}Of {{ title }}.\n{% endblock %}"},
    )

    init(tmp_path, mine, name="blog", new=True)

    made = tree(tmp_path / "blog")
    assert set(made) == {*plain, ".ptah-migrate.json"}
    assert [name for name in plain if made[name] != plain[name]] == ["README.md"]
    readme = made["README.md"].decode()
    assert readme.startswith("# Blog\n\nOf Blog.\n")
    assert "## Work on it" in readme
    assert record(tmp_path / "blog")["template"] == "path:"


def tree_of_new(folder: Path) -> dict[str, bytes]:
    """Return what our template makes for a new distribution."""
    folder.mkdir()
    apply(plan_init(folder, name="blog", new=True))
    return tree(folder / "blog")


def test_a_file_of_ours(project: Path, mine: Path) -> None:
    """A file is replaced, one is added, and one that ours would not make is not made."""
    build(
        mine,
        {
            "tests/{{ test }}.py": "# theirs {{ name }}\n",
            "{{ folder }}/extra.txt.jinja": "{{ name }}\n",
            "README.md.jinja": "# not for a package that is there\n",
            "{% if not plugin %}NOTES.md{% endif %}.jinja": "notes\n",
        },
    )

    plan = init(project, mine)

    assert statuses(plan) == {
        "NOTES.md": "create",
        "src/blog/extra.txt": "create",
        "src/blog/migrations/__init__.py": "create",
        "tests/test_migrations.py": "create",
        "src/blog/__init__.py": "edit",
        "pyproject.toml": "edit",
        ".ptah-migrate.json": "create",
    }
    assert text(project, "tests/test_migrations.py") == "# theirs {{ name }}\n"
    assert text(project, "src/blog/extra.txt") == "blog\n"


def test_twice_and_back(project: Path, mine: Path) -> None:
    """A second run finds everything identical, and undo restores the project to the byte."""
    before = tree(project)
    build(project, {"etc/template/extra.txt": "x\n"})
    init(project, project / "etc/template")

    again = plan_init(project)
    apply(plan_undo(project))
    shutil.rmtree(project / "etc")

    assert again.pending == ()
    assert tree(project) == before


def test_where_it_is_remembered(project: Path, mine: Path, tmp_path: Path) -> None:
    """A folder in the project is remembered; another one is named again, no path is written."""
    build(mine, {"extra.txt": "x\n"})
    init(project, mine)

    assert record(project)["template"] == "path:"
    assert str(tmp_path) not in text(project, ".ptah-migrate.json")
    with pytest.raises(AuthoringError) as caught:
        plan_init(project)
    assert caught.value.hint == "name it again: --template FOLDER"
    assert plan_init(project, own=Own(str(mine))).pending == ()
    assert plan_init(project, own=Own(setting=str(mine))).pending == ()


@pytest.mark.parametrize(
    "name", ["path:../mine", "path:/etc", "path:linked", "ext::sh -c x", "builtin:other", "git+x"]
)
def test_a_forged_memory(project: Path, mine: Path, name: str) -> None:
    """What a state file says is judged like what a person types."""
    build(mine, {"extra.txt": "x\n"})
    init(project, mine)
    (project / "linked").symlink_to(mine)
    path = project / ".ptah-migrate.json"
    path.write_text(path.read_text().replace('"path:"', json.dumps(name)))

    for plan in (plan_init, plan_update):
        with pytest.raises((AuthoringError, ConfigError), match="template"):
            plan(project)


def test_another_template(project: Path, mine: Path) -> None:
    """Init does not exchange the template of a package; update does."""
    apply(plan_init(project))
    build(mine, {"extra.txt": "x\n"})

    with pytest.raises(AuthoringError) as caught:
        plan_init(project, own=Own(str(mine)))
    assert caught.value.hint == f"run: ptah-migrate update --template {mine}"
    there = statuses(update(project, mine))
    back = statuses(update(project, "builtin:package"))

    assert there["extra.txt"] == "create"
    assert back["extra.txt"] == "remove"
    assert record(project)["template"] == "builtin:package"


# -- whole ones -----------------------------------------------------------------------


def test_a_whole_template(project: Path, mine: Path) -> None:
    """A copier template has its own questions; their answers are remembered, secrets are not."""
    build(mine, WHOLE)

    plan = init(project, mine, data={"colour": "green", "size": "7"})

    assert text(project, "colour.txt") == "blog is green, 8, ab\n"
    assert statuses(plan)["src/blog/__init__.py"] == "edit"
    assert record(project)["version"] == 0
    answers = record(project)["answers"]
    assert (answers["colour"], answers["size"], answers["tags"]) == ("green", 7, ["a", "b"])
    assert "token" not in answers
    assert plan_init(project, own=Own(str(mine))).pending == ()


def test_a_whole_new_project(tmp_path: Path, mine: Path) -> None:
    """A copier template makes a project of its own; nothing of ours is in it."""
    build(mine, {**WHOLE, "pyproject.toml.jinja": PYPROJECT, "{{ folder }}/__init__.py": ""})

    init(tmp_path, mine, name="blog", new=True)

    assert {name for name, content in tree(tmp_path / "blog").items() if content} == {
        ".ptah-migrate.json",
        "colour.txt",
        "pyproject.toml",
        "src/blog/migrations/__init__.py",
    }
    assert plan_init(tmp_path / "blog", own=Own(str(mine))).pending == ()


def test_a_part_of_a_folder(project: Path, mine: Path) -> None:
    """The files of a copier template may lie in a folder of it, and include others beside it."""
    build(
        mine,
        {
            "copier.yml": "_subdirectory: inner\n!include more/*.yml\n".replace("!", "---\n!"),
            "more/colour.yml": "colour: {type: str, default: red}\n",
            "inner/x.txt.jinja": "{% include 'parts/y' %}{{ colour }}\n",
            "parts/y": "y ",
        },
    )

    init(project, mine)

    assert text(project, "x.txt") == "y red\n"
    assert record(project)["answers"]["colour"] == "red"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param({"pakage": "x"}, "there is no question 'pakage' in the template", id="slip"),
        pytest.param({"folder": "x"}, "there is no question 'folder'", id="decided already"),
        pytest.param({"title": "x"}, "there is no question 'title'", id="of ours"),
        pytest.param({"colour": "blue"}, "'blue' is not in", id="no choice"),
        pytest.param({"size": "big"}, "cannot be rendered", id="no number"),
    ],
)
def test_answers_that_are_none(
    project: Path, mine: Path, data: dict[str, object], problem: str
) -> None:
    """An answer that the template does not ask for, or does not take, writes nothing."""
    build(mine, WHOLE)
    before = tree(project)

    with pytest.raises((UsageError, AuthoringError)) as caught:
        init(project, mine, data=data)

    assert problem in str(caught.value)
    assert tree(project) == before


# -- what it may not do -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param({"copier.yml": "_tasks: [touch ran]\n"}, "has 'tasks'", id="tasks"),
        pytest.param(
            {"copier.yml": "_migrations: [{version: v1, before: [touch ran]}]\n"},
            "has 'migrations'",
            id="migrations",
        ),
        pytest.param(
            {"copier.yml": "_jinja_extensions: [os.path]\n"}, "jinja extensions", id="extensions"
        ),
        pytest.param(
            {"copier.yml": "!include more.yml\n", "more.yml": "_tasks: [touch ran]\n"},
            "has 'tasks'",
            id="included tasks",
        ),
    ],
)
def test_programs(project: Path, mine: Path, files: dict[str, str], problem: str) -> None:
    """A template that runs programs is refused unless somebody trusts it."""
    build(mine, {**files, "x.txt": "x"})

    with pytest.raises(AuthoringError) as caught:
        init(project, mine)

    assert problem in str(caught.value)
    assert caught.value.hint.startswith("--trust")
    assert not list(project.rglob("ran"))


def test_trusted_programs(project: Path, mine: Path) -> None:
    """A trusted task runs where the files are rendered: what it makes is planned like the rest."""
    build(
        mine,
        {
            "copier.yml": QUESTIONS + '_tasks: ["pwd > where; echo {{ colour }} > task.txt"]\n',
            "pyproject.toml.jinja": PYPROJECT,
        },
    )

    plan = plan_init(project, own=Own(str(mine), trust=True))
    assert not (project / "task.txt").exists()
    apply(plan)

    assert text(project, "task.txt") == "red\n"
    assert str(project) not in text(project, "where")


@pytest.mark.parametrize("trust", [False, True], ids=["untrusted", "trusted"])
@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param(
            {"copier.yml": "_exclude: []\na: .git\n", "{{ a }}/hooks/post-checkout": "x"},
            "belongs to git",
            id="git",
        ),
        pytest.param(
            {"copier.yml": "_exclude: []\na: .GIT\n", "b/{{ a }}/config": "x"},
            "belongs to git",
            id="git in a folder",
        ),
        pytest.param(
            {"copier.yml": "a: /tmp/ptah-migrate-evil\n", "{{ a }}/x": "x"},
            "forbidden",
            id="absolute",
        ),
        pytest.param({"copier.yml": "a: ../evil\n", "{{ a }}/x": "x"}, "forbidden", id="up"),
        pytest.param(
            {"copier.yml": "a: b\n", ".ptah-migrate.json": "{}"}, "remembers", id="our memory"
        ),
        pytest.param({"copier.yml": "a: b\n", "linked/x.txt": "x"}, "is not inside", id="link"),
        pytest.param({"copier.yml": "a: [\n", "x": "x"}, "cannot be read", id="no YAML"),
        pytest.param(
            {"copier.yml": "_envops: {finalize: !!python/name:os.system }\n", "x": "x"},
            "cannot be read",
            id="YAML that runs",
        ),
        pytest.param({"copier.yml": "!include copier.yml\n", "x": "x"}, "itself", id="circle"),
        pytest.param({"copier.yml": "a: b\n", "x.py": "x = ("}, "unusable 'x.py'", id="no Python"),
        pytest.param(
            {"copier.yml": "a: b\n", "x.jinja": "{{ ''.__class__.__mro__[1].__subclasses__() }}"},
            "cannot be rendered",
            id="out of the sandbox",
        ),
        pytest.param({"x.txt.jinja": "{{ nothing }}"}, "undefined", id="unknown name"),
        pytest.param(
            {"x/y.txt.jinja": "\n{% if %}"}, "rendered: x/y.txt.jinja:2: Expected", id="syntax"
        ),
        pytest.param({"builtin/x.txt": "x"}, "a folder 'builtin' of its own", id="our folder"),
        pytest.param({".git/x": "x"}, "there is nothing in template", id="nothing"),
    ],
)
def test_ways_out(
    project: Path, mine: Path, tmp_path: Path, files: dict[str, str], problem: str, *, trust: bool
) -> None:
    """What a template must not do it does not do, trusted or not: one clear error, no file."""
    outside = build(tmp_path / "outside", {"kept": ""})
    (project / "linked").symlink_to(outside)
    build(mine, files)
    before = tree(project)

    with pytest.raises(AuthoringError, match=problem):
        init(project, mine, trust=trust)

    assert tree(project) == before
    assert os.listdir(outside) == ["kept"]
    assert not Path("/tmp/ptah-migrate-evil").exists()


def test_links_in_a_template(project: Path, mine: Path) -> None:
    """A link in a template could lead anywhere; it is refused."""
    build(mine, {"x.txt": "x"})
    (mine / "secrets").symlink_to("/etc")

    with pytest.raises(AuthoringError, match="has a link in it"):
        init(project, mine)


def test_a_link_that_a_task_makes(project: Path, mine: Path) -> None:
    """Not even a trusted program makes a link."""
    build(mine, {"copier.yml": '_tasks: ["ln -s /etc/passwd x"]\n', "y": ""})

    with pytest.raises(AuthoringError, match="makes a symbolic link: x"):
        init(project, mine, trust=True)


def test_an_old_copier(project: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copiers that let templates run programs untrusted are refused for all but our own."""
    build(mine, {"x.txt": "x"})
    monkeypatch.setattr(blueprint, "version", lambda name: "9.17.1")

    with pytest.raises(AuthoringError, match=r"needs copier 9.18, here is '9.17.1'"):
        init(project, mine)
    apply(plan_init(project))


@pytest.mark.parametrize("template", ["nowhere", "git+http://example.org/x.git", "/dev/null"])
def test_no_template(project: Path, template: str) -> None:
    """A template that is not there, or comes in an unsafe way, is one clear error."""
    with pytest.raises((AuthoringError, ConfigError), match="template"):
        init(project, template)


def test_a_large_folder(project: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no template is not read to its end."""
    build(mine, {f"{number}.txt": "x" for number in range(4)})
    monkeypatch.setattr("ptah_migrate._authoring.origins._FILES", 3)

    with pytest.raises(AuthoringError, match="is no template: it has more than 3 files"):
        init(project, mine)


# -- from git ---------------------------------------------------------------------------


def commit(folder: Path, files: dict[str, str], tag: str) -> str:
    """Write, commit and tag; return the commit."""
    build(folder, files)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", tag)
    git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")


LINES = "".join(f"{number}\n" for number in range(1, 10))


def test_from_git(project: Path, mine: Path) -> None:
    """The commit is remembered and taken again by init, whatever was committed since."""
    first = commit(mine, {"t/extra.txt": "one\n", "other": "x"}, "v1")
    where = f"git+file://{mine}#t"
    init(project, where)
    commit(mine, {"t/extra.txt": "two\n"}, "v2")

    again = plan_init(project)

    assert (record(project)["template"], record(project)["commit"]) == (where, first)
    assert text(project, "extra.txt") == "one\n"
    assert again.pending == ()


@pytest.mark.parametrize("named", [False, True], ids=["the branch went on", "another tag"])
@pytest.mark.parametrize("whole", [False, True], ids=["over ours", "whole"])
def test_update_from_git(project: Path, mine: Path, *, named: bool, whole: bool) -> None:
    """An update merges with what the recorded commit made, and remembers the new one."""
    config = {"copier.yml": QUESTIONS} if whole else {}
    commit(mine, {**config, "extra.txt.jinja": "{{ name }}\n" + LINES}, "v1")
    where = f"git+file://{mine}@{'v1' if named else 'main'}"
    init(project, where)
    build(project, {"extra.txt": "blog\n" + LINES.replace("2\n", "mine\n")})
    second = commit(mine, {"extra.txt.jinja": "{{ name }}\n" + LINES.replace("8\n", "new\n")}, "v2")

    plan = update(project, where.replace("@v1", "@v2") if named else "")

    assert statuses(plan)["extra.txt"] == "merge"
    merged = LINES.replace("2\n", "mine\n").replace("8\n", "new\n")
    assert text(project, "extra.txt") == "blog\n" + merged
    assert record(project)["commit"] == second
    assert plan_update(project).pending == ()


def test_over_an_older_version_of_ours(project: Path, mine: Path, tmp_path: Path) -> None:
    """The base of a merge is what our earlier version and the recorded commit made together."""
    name = "README.md"
    body = "{% block a %}\n1\n{% endblock %}\n" + LINES
    old, new = versions(tmp_path / "r", {name: body}, {name: body.replace("9\n", "ours\n")})
    commit(mine, {f"{name}.jinja": EXTENDS + "{% block a %}\ntheirs\n{% endblock %}\n"}, "v1")
    init(project, f"git+file://{mine}", source=old)
    made = text(project, name)
    build(project, {name: made.replace("5\n", "mine\n")})

    plan = update(project, source=new)

    assert statuses(plan)[name] == "merge"
    assert text(project, name) == made.replace("5\n", "mine\n").replace("9\n", "ours\n")


@pytest.mark.parametrize("kept", [True, False], ids=["in git", "in no git"])
def test_update_from_a_folder(project: Path, mine: Path, *, kept: bool) -> None:
    """A folder has no past: the base is in the project's git, or the file is left as it is."""
    build(mine, {"extra.txt": LINES})
    init(project, mine)
    if kept:
        commit(project, {}, "made")
    changed = LINES.replace("2\n", "mine\n")
    build(project, {"extra.txt": changed})
    build(mine, {"extra.txt": LINES.replace("8\n", "new\n")})

    plan = update(project, mine)

    assert statuses(plan)["extra.txt"] == ("merge" if kept else "conflict")
    assert text(project, "extra.txt") == (changed.replace("8\n", "new\n") if kept else changed)
    assert (project / "extra.txt.new").exists() is not kept


def test_a_commit_that_is_gone(project: Path, mine: Path) -> None:
    """Where the recorded commit is not to be had, nothing is guessed: a conflict, both versions."""
    commit(mine, {"extra.txt": LINES}, "v1")
    init(project, f"git+file://{mine}")
    shutil.rmtree(mine / ".git")
    commit(mine, {"extra.txt": LINES.replace("8\n", "new\n")}, "v2")
    build(project, {"extra.txt": "mine\n" + LINES})

    with pytest.raises(AuthoringError, match="has no '"):
        plan_init(project)
    plan = update(project)

    assert statuses(plan)["extra.txt"] == "conflict"
    assert text(project, "extra.txt") == "mine\n" + LINES


def test_new_questions(project: Path, mine: Path) -> None:
    """What a newer template asks is answered at the update; what was answered stays."""
    commit(mine, {"copier.yml": "a: {type: str}\n", "x.txt.jinja": "{{ a }}"}, "v1")
    init(project, f"git+file://{mine}", data={"a": "1"})
    commit(
        mine, {"copier.yml": "a: {type: str}\nb: {type: str}\n", "x.txt.jinja": "{{ a + b }}"}, "v2"
    )

    with pytest.raises(AuthoringError, match='Question "b" is required'):
        plan_update(project)
    update(project, data={"b": "2"})

    assert text(project, "x.txt") == "12"


def test_links_in_a_repository(project: Path, mine: Path) -> None:
    """A link in a repository is refused like one in a folder."""
    (mine / "x").symlink_to("/etc/passwd")
    commit(mine, {"y": "y"}, "v1")

    with pytest.raises(PtahMigrateError, match="has a link or another repository in it: 'x'"):
        init(project, f"git+file://{mine}")


def test_git_variables(project: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a git hook sets does not lead to another repository."""
    commit(mine, {"extra.txt": "x\n"}, "v1")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/")

    init(project, f"git+file://{mine}")

    assert text(project, "extra.txt") == "x\n"
