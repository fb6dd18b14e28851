"""Taking the newest revision back, and when that is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ptah_migrate import _history, registry
from ptah_migrate._authoring import Conventions, NewRevision, merge, retract, revision
from ptah_migrate.errors import AuthoringError, MultipleHeadsError, PtahMigrateError
from ptah_migrate.model import Package

New = Callable[..., NewRevision]


@pytest.fixture
def blog(tmp_path: Path) -> Package:
    """Return a package without revisions."""
    return registry.make_package("blog", str(tmp_path))


@pytest.fixture
def new(blog: Package) -> New:
    """Return a function that writes the next revision of the package."""
    return lambda **words: revision(blog, _history.read(blog), **words)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({}, id="plain"),
        pytest.param({"message": 'Größe "ändern"\nzweite\\ Zeile'}, id="message"),
        pytest.param({"requires": ["other:003"], "labels": ["crm"]}, id="requires and label"),
        pytest.param({"data": True, "message": "Fill"}, id="rows"),
        pytest.param({"head": "base", "id": "x"}, id="root"),
    ],
)
@pytest.mark.parametrize("formatter", ["", "ruff"])
def test_untouched(blog: Package, new: New, words: dict[str, object], formatter: str) -> None:
    """The newest file is removed as long as it is what was generated, formatted or not."""
    Path(blog.path, "pyproject.toml").write_text("[tool.ruff.format]\nquote-style = 'single'\n")
    made = new(**words, conventions=Conventions(formatter=formatter))
    assert made.problem == ""

    gone = retract(blog)

    assert (gone.id, gone.path) == (made.id, made.path)
    assert os.listdir(blog.path) == ["pyproject.toml"]


def test_one_after_the_other(blog: Package, new: New) -> None:
    """Each call takes the newest one; in the end there is none."""
    for _ in range(3):
        new()

    assert [retract(blog).id for _ in range(3)] == ["003", "002", "001"]
    with pytest.raises(AuthoringError, match="package 'blog' has no revisions"):
        retract(blog)


@pytest.mark.parametrize(
    ("old", "text"),
    [
        pytest.param("pass  #", "op.f('x')  #", id="an operation"),
        pytest.param("  # ptah-migrate: not written yet", "", id="the mark deleted"),
        pytest.param("depends_on = None", "depends_on = None  # think", id="a comment"),
        pytest.param("depends_on = None", "depends_on = '000'", id="a constant"),
        pytest.param('revision = "002"', 'revision = "002', id="no Python"),
        pytest.param("import sqlalchemy as sa", "import sqlalchemy", id="an import"),
    ],
)
def test_edited(blog: Package, new: New, old: str, text: str) -> None:
    """A file with anything of its author in it stays."""
    new(message="first")
    made = new(message="x")
    source = made.path.read_text()
    made.path.write_text(source.replace(old, text, 1))

    with pytest.raises(PtahMigrateError) as caught:
        retract(blog)

    assert made.path.read_text() == source.replace(old, text, 1)
    if text not in ("depends_on = '000'", 'revision = "002'):  # no history at all
        assert str(caught.value) == (
            f"'{made.path}' has more in it than its template, it is not removed"
        )
        assert retract(blog, sure=True).id == "002"


def test_applied(blog: Package, new: New) -> None:
    """A revision that the database has stays; the hint takes it back there first."""
    new()
    path = new().path

    with pytest.raises(AuthoringError) as caught:
        retract(blog, applied=["002"])

    assert str(caught.value) == "revision '002' of package 'blog' is applied in the database"
    assert caught.value.hint == "run: ptah-migrate downgrade blog:001"
    assert path.exists()


def test_several_heads(blog: Package, new: New) -> None:
    """Of two heads none is the newest; a merge of them is, and can be taken back."""
    new()
    new(head="base")

    with pytest.raises(MultipleHeadsError):
        retract(blog)

    merge(blog, _history.read(blog))
    assert retract(blog).id == "003"


def test_the_head_file(blog: Package, new: New) -> None:
    """The head file names the one before again."""
    slugs = Conventions(file_template="{rev}_{slug}")
    for message in ("a", "b"):
        new(message=message, conventions=slugs)

    retract(blog)

    assert Path(blog.path, "head.txt").read_text() == "001_a\n"
    assert sorted(os.listdir(blog.path)) == ["001_a.py", "head.txt"]


def test_a_named_template(blog: Package, new: New, tmp_path: Path) -> None:
    """A file made of a template that was named can be taken back by naming it again."""
    template = tmp_path / "mine.jinja"
    template.write_text(
        '{% extends "ptah_migrate/revision.py.jinja" %}{% block imports %}import x\n{% endblock %}'
    )
    new(template=template)

    with pytest.raises(AuthoringError, match="has more in it"):
        retract(blog)

    assert retract(blog, template=template).id == "001"
