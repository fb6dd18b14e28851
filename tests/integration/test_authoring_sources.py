"""Revision templates of one's own: whole files, single blocks, folders, git repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ptah_migrate import _history, registry
from ptah_migrate._authoring import Conventions, NewRevision, conventions, retract, revision
from ptah_migrate.errors import AuthoringError, ConfigError
from ptah_migrate.model import Package

New = Callable[..., NewRevision]

EXTENDS = '{% extends "ptah_migrate/revision.py.jinja" %}\n'
OWN_IMPORTS = EXTENDS + "{% block imports %}\nimport acme\n{% endblock %}\n"
WHOLE = '''"""{{ message }}

Copyright ACME. {{ message }}
"""
# {{ message }}
revision: str = {{ revision }}
down_revision: str | None = {{ down_revision }}
branch_labels = {{ branch_labels }}
depends_on = None
requires = ({{ requires }},)[0]
TITLE = '{{ message }}'


def upgrade():
    pass  {{ todo }}


def downgrade():
    pass
'''.replace("requires = ({{ requires }},)[0]\n", "")


@pytest.fixture
def blog(tmp_path: Path) -> Package:
    """Return a package without revisions."""
    folder = tmp_path / "blog/migrations"
    folder.mkdir(parents=True)
    return registry.make_package("blog", str(folder))


@pytest.fixture
def new(blog: Package) -> New:
    """Return a function that writes the next revision of the package."""
    return lambda **words: revision(blog, _history.read(blog), **words)


def put(folder: Path, text: str, name: str = "revision.py.jinja") -> Path:
    """Write a template."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def test_a_block_of_ours(blog: Package, new: New) -> None:
    """A package changes one block, and keeps the rest of our template."""
    put(Path(blog.path), OWN_IMPORTS)

    made = new(message="Add column")

    assert made.template == f"{blog.path}/revision.py.jinja"
    assert made.path.read_text() == (
        '"""Add column"""\n'
        "\n"
        "import acme\n"
        "\n"
        'revision = "001"\n'
        "down_revision = None\n"
        "branch_labels = None\n"
        "depends_on = None\n"
        "\n"
        "\n"
        "def upgrade() -> None:\n"
        "    pass  # ptah-migrate: not written yet\n"
        "\n"
        "\n"
        "def downgrade() -> None:\n"
        "    pass  # ptah-migrate: not written yet\n"
    )


@pytest.mark.parametrize(
    "message",
    [
        "Add column",
        "it's \"5\\\" '''wide'''\nsecond",
        "# x\nimport os",
        "{{ 7 * 7 }} {% x %}",
        "\\",
    ],
)
def test_a_whole_file(blog: Package, new: New, message: str) -> None:
    """A file of one's own may put the message anywhere in a text or a comment."""
    put(Path(blog.path), WHOLE)

    path = new(message=message).path

    space: dict[str, object] = {}
    exec(compile(path.read_bytes(), path, "exec"), space)
    assert space["TITLE"] == message
    assert str(space["__doc__"]).startswith(message)
    assert (space["revision"], space["down_revision"]) == ("001", None)


def test_who_comes_first(blog: Package, new: New, tmp_path: Path) -> None:
    """A named file wins over the package's template, that over the application's, all over ours."""
    shared = Conventions(templates=str(tmp_path / "shared"))
    put(tmp_path / "shared", OWN_IMPORTS.replace("acme", "shared"))

    first = new(conventions=shared)
    put(Path(blog.path), OWN_IMPORTS.replace("acme", "package"))
    second = new(conventions=shared)
    named = put(tmp_path, OWN_IMPORTS.replace("acme", "named"), "x.jinja")
    third = new(conventions=shared, template=named)

    found = [one.path.read_text().splitlines()[0] for one in (first, second, third)]
    assert found == ["import shared", "import package", "import named"]
    assert third.template == str(named)


def test_rows_in_the_own_shape(blog: Package, new: New) -> None:
    """The template for rows keeps what the package changed in the other one."""
    put(Path(blog.path), EXTENDS + "{% block header %}\n# Copyright ACME\n{% endblock %}\n")

    text = new(data=True).path.read_text()

    assert text.startswith("# Copyright ACME\nimport sqlalchemy as sa\n")
    assert "op.bulk_insert(" in text


@pytest.mark.parametrize("template", [WHOLE, OWN_IMPORTS], ids=["whole", "block"])
@pytest.mark.parametrize("message", ["", "x", 'x\n\nbecause of "y"\n'])
def test_taking_it_back(blog: Package, new: New, template: str, message: str) -> None:
    """A file made of a template of one's own is untouched, whatever that adds to the docstring."""
    put(Path(blog.path), template)
    first, second = new(message=message), new(message=message)
    second.path.write_text(second.path.read_text().replace("def downgrade", "x = 1\ndef downgrade"))

    with pytest.raises(AuthoringError, match="has more in it than its template"):
        retract(blog)
    second.path.unlink()

    assert retract(blog).path == first.path


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param("{{ nothing }}", "'nothing' is undefined", id="unknown name"),
        pytest.param("{{ 1 / 0 }}", "division by zero", id="fault"),
        pytest.param("\n{% if %}", "revision.py.jinja:2' cannot be rendered", id="syntax"),
        pytest.param('{% extends "revision.py.jinja" %}', "cannot be rendered", id="itself"),
        pytest.param('{% extends "nowhere.jinja" %}', "nowhere.jinja", id="missing parent"),
        pytest.param('{% include "/etc/passwd" %}', "cannot be rendered", id="other files"),
        pytest.param("{{ ''.__class__.__mro__ }}", "cannot be rendered", id="out of the sandbox"),
        pytest.param("{{ range(10 ** 9) }}", "cannot be rendered", id="too much"),
        pytest.param(
            '"""{{ message }}"""', "its constants are not those asked for", id="no constants"
        ),
        pytest.param(
            WHOLE.replace("{{ revision }}", '"007"'), "its constants are not", id="another id"
        ),
        pytest.param(
            WHOLE.replace("TITLE = '{{ message }}'", "TITLE = f'{{ message }}'"),
            "the message became code in it",
            id="a text that is run",
        ),
        pytest.param(
            WHOLE.replace("'{{ message }}'", "{{ message }}"),
            "the message became code in it",
            id="the message as code",
        ),
    ],
)
def test_a_broken_template(blog: Package, new: New, template: str, problem: str) -> None:
    """A template that fails, or makes code of what is typed, writes nothing."""
    put(Path(blog.path), template)

    with pytest.raises(AuthoringError) as caught:
        new(message="{name}")

    assert problem in str(caught.value)
    assert "revision.py.jinja" in str(caught.value)
    assert os.listdir(blog.path) == ["revision.py.jinja"]


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_an_unreadable_template(blog: Package, new: New, tmp_path: Path, content: bytes) -> None:
    """A named file that is not there, or no text, is one clear error."""
    path = tmp_path / "x.jinja"
    if content:
        path.write_bytes(content)

    with pytest.raises(AuthoringError, match="is not UTF-8 text" if content else "cannot be read"):
        new(template=path)


def test_a_folder_that_is_not_there(new: New, tmp_path: Path) -> None:
    """A setting that names no folder says so."""
    with pytest.raises(ConfigError, match="which is no folder"):
        new(conventions=conventions({"ptah_migrate.templates": "nowhere"}, tmp_path))


def test_no_way_out_of_the_package(blog: Package, tmp_path: Path) -> None:
    """A directory that a link leads out of the package, or into git, gets no file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    Path(blog.path, "linked").symlink_to(outside)
    package = registry.make_package("blog", blog.path, recursive=True)
    with pytest.raises(AuthoringError, match="is not a directory of package 'blog'"):
        revision(package, _history.read(package), directory=Path(blog.path, "linked"))

    hooks = tmp_path / ".git/hooks"
    hooks.mkdir(parents=True)
    package = registry.make_package("blog", str(hooks))
    with pytest.raises(AuthoringError, match="belongs to git"):
        revision(package, _history.read(package))

    assert os.listdir(outside) == os.listdir(hooks) == []


# -- from git -------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments],
        cwd=folder,
        env=environment | {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a repository with a template, tagged v1."""
    folder = tmp_path / "shared"
    put(folder / "revisions", OWN_IMPORTS.replace("acme", "one"))
    (folder / "revisions/data.py.jinja").symlink_to("/etc/passwd")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "v1")
    return folder


def of(shared: Path, ref: str = "") -> Conventions:
    """Return the conventions that name the repository."""
    source = f"git+file://{shared}{ref}#revisions"
    return conventions({"ptah_migrate.templates": source})


def test_a_repository(blog: Package, new: New, shared: Path) -> None:
    """Templates come from a repository; the commit is told and written down."""
    commit = git(shared, "rev-parse", "HEAD")

    made = new(conventions=of(shared, "@v1"))

    assert made.path.read_text().startswith("import one\n")
    assert made.template == f"git+file://{shared}@{commit}/revision.py.jinja"
    assert Path(blog.path, "templates.lock").read_text() == (
        f"git+file://{shared}@v1#revisions {commit}\n"
    )


def test_a_repository_that_goes_on(blog: Package, new: New, shared: Path) -> None:
    """The commit that was written down is taken again, until that file is removed."""
    new(conventions=of(shared))
    put(shared / "revisions", OWN_IMPORTS.replace("acme", "two"))
    git(shared, "commit", "-q", "-a", "-m", "two")

    second = new(conventions=of(shared))
    Path(blog.path, "templates.lock").unlink()
    third = new(conventions=of(shared))

    assert second.path.read_text().startswith("import one\n")
    assert third.path.read_text().startswith("import two\n")


def test_links_in_a_repository(new: New, shared: Path) -> None:
    """A link in a repository is no template: it could lead anywhere."""
    text = new(conventions=of(shared), data=True).path.read_text()

    assert "root:" not in text
    assert "op.bulk_insert(" in text


@pytest.mark.parametrize(
    "source",
    [
        "git+ext::sh -c touch% /tmp/x",
        "ext::sh -c x",
        "git+http://example.org/x.git",
        "git+git://example.org/x.git",
        "git+https://user:secret@example.org/x.git",
        "git+https://token@example.org/x.git",
        "git+file:///x#../..",
        "git+file:///x#/etc",
        "git+file:///x@-upload-pack=x",
        "https://example.org/x.git",
        "git+--upload-pack=x",
    ],
)
def test_an_unsafe_repository(source: str) -> None:
    """Other protocols, passwords and ways out of a repository are refused before git runs."""
    with pytest.raises(ConfigError) as caught:
        conventions({"ptah_migrate.templates": source})

    assert "secret" not in caught.value.hint


@pytest.mark.parametrize(("ref", "problem"), [("@nowhere", "has no 'nowhere'"), ("", "git failed")])
def test_what_cannot_be_fetched(
    blog: Package, new: New, shared: Path, ref: str, problem: str
) -> None:
    """A repository or a place in it that is not there is one clear error; nothing is written."""
    with pytest.raises(AuthoringError, match=problem):
        new(conventions=of(shared if ref else shared / "nothing", ref))

    assert os.listdir(blog.path) == []


def test_without_git(new: New, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is asked for only where a setting names a repository."""
    monkeypatch.setenv("PATH", "/nowhere")

    new()
    with pytest.raises(AuthoringError, match="git is not installed"):
        new(conventions=of(shared))
