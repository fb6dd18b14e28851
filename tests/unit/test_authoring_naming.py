"""What revisions and packages may be called."""

from __future__ import annotations

import keyword
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._authoring import naming
from ptah_migrate.errors import AuthoringError, NameTakenError, RevisionIdError


@pytest.mark.parametrize("revision", ["001", "a", "Add_column", "0" * 32, "_x", "1000"])
def test_ordinary_ids(revision: str) -> None:
    """Letters, digits and underscores make an id, up to 32 of them."""
    naming.check_id(revision)


@pytest.mark.parametrize(
    "revision", ["0.1", "0,1", "0;1", "0-1", "a b", "../x", "a/b", "é", "١", "1\n", "\0", "\udc80"]
)
def test_forbidden_characters(revision: str) -> None:
    """An id with any other character is refused in the words of the original."""
    with pytest.raises(RevisionIdError) as caught:
        naming.check_id(revision)

    assert str(caught.value).startswith("Revision id contains forbidden characters")
    assert caught.value.exit_code == 1
    assert "letters A-Z and a-z, digits and '_', at most 32" in caught.value.hint


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        pytest.param("", "a revision id cannot be empty", id="empty"),
        pytest.param("head", "revision id 'head' is a reserved word", id="head"),
        pytest.param("Heads", "revision id 'Heads' is a reserved word", id="heads in another case"),
        pytest.param("base", "revision id 'base' is a reserved word", id="base"),
        pytest.param("nul", "revision id 'nul' is a device name on Windows", id="device"),
        pytest.param(
            "COM1", "revision id 'COM1' is a device name on Windows", id="numbered device"
        ),
        pytest.param(
            "__init__",
            "revision id '__init__' starts with '__', as files that are not revisions do",
            id="package module",
        ),
        pytest.param(
            "a" * 33, f"revision id '{'a' * 33}' is longer than 32 characters", id="too long"
        ),
    ],
)
def test_reserved_ids(revision: str, message: str) -> None:
    """A word that means something else is refused, saying what."""
    with pytest.raises(RevisionIdError) as caught:
        naming.check_id(revision)

    assert str(caught.value) == message


@given(st.text(max_size=40))
def test_an_accepted_id_is_a_safe_file_name(revision: str) -> None:
    """Whatever is accepted consists of 1 to 32 harmless ASCII characters."""
    try:
        naming.check_id(revision)
    except RevisionIdError:
        return

    assert re.fullmatch("[A-Za-z0-9_]{1,32}", revision)
    assert revision.lower() not in ("head", "heads", "base", "con", "nul")


@pytest.mark.parametrize(
    ("taken", "following"),
    [
        pytest.param([], "001", id="the first"),
        pytest.param(["001"], "002", id="the second"),
        pytest.param(["001", "009"], "010", id="carry"),
        pytest.param(["001", "005"], "006", id="gaps stay"),
        pytest.param(["1", "2"], "003", id="at least three wide"),
        pytest.param(["0001", "0002"], "0003", id="wide stays wide"),
        pytest.param(["00001", "2"], "00003", id="the widest counts"),
        pytest.param(["999"], "1000", id="one digit more"),
        pytest.param(["001", "ae1027a6acf"], "002", id="hexadecimal beside numbers"),
        pytest.param(["20230101120000"], "20230101120001", id="time stamps"),
        pytest.param(["002", "001"], "003", id="any order"),
    ],
)
def test_the_next_number(taken: list[str], following: str) -> None:
    """The next id is the highest number and one, as wide as the widest."""
    assert naming.next_id("blog", taken) == following


def test_no_number_to_follow() -> None:
    """Where ids are not numbers there is no next one, and the hint says what to type."""
    with pytest.raises(RevisionIdError) as caught:
        naming.next_id("blog", ["ae1027a6acf", "b2"])

    assert str(caught.value) == (
        "package 'blog' does not number its revisions, so there is no next number"
    )
    assert caught.value.hint == "give the id: ptah-migrate revision -r ID"


def test_the_numbers_run_out() -> None:
    """After 32 nines there is no id of 32 characters left."""
    with pytest.raises(RevisionIdError, match="longer than 32 characters"):
        naming.next_id("blog", ["9" * 32])


@given(st.lists(st.from_regex(r"[0-9]{1,6}", fullmatch=True)))
def test_the_next_number_is_new_and_last(taken: list[str]) -> None:
    """The next id is higher than every number, and no narrower."""
    following = naming.next_id("blog", taken)

    assert all(int(following) > int(number) for number in taken)
    assert len(following) >= max([3, *map(len, taken)])


def test_names_that_differ_in_case_only() -> None:
    """The same name is found whatever its case, an exact one first."""
    assert naming.same("ab", ["AB", "ab"]) == "ab"
    assert naming.same("Ab", ["ab"]) == "ab"
    assert naming.same("ab", ["abc"]) is None


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        pytest.param("Add column", "add_column", id="words"),
        pytest.param("Größe ändern: 50%", "grosse_andern_50", id="accents"),
        pytest.param("  First line\nsecond", "first_line", id="the first line only"),
        pytest.param("../../etc/passwd\0", "etc_passwd", id="a path"),
        pytest.param("漢字 …", "", id="no Latin letter"),
        pytest.param("", "", id="nothing"),
        pytest.param("a" * 50, "a" * 40, id="one long word"),
        pytest.param(f"{'a' * 20} {'b' * 30} c", "a" * 20, id="cut at a word"),
    ],
)
def test_slugs(message: str, slug: str) -> None:
    """A slug is what a file name can show of the message, not too long; it may be nothing."""
    assert naming.slug(message) == slug
    assert naming.stem("{rev}_{slug}", "003", message) == (f"003_{slug}" if slug else "003")
    assert naming.stem("{rev}", "003", message) == "003"


@given(st.text())
def test_a_slug_is_a_safe_file_name(message: str) -> None:
    """Whatever the message is, its slug has harmless characters only."""
    assert re.fullmatch("([a-z0-9]+(_[a-z0-9]+)*)?", naming.slug(message))
    assert len(naming.slug(message)) <= 40


@pytest.mark.parametrize(
    ("name", "new"),
    [("003", "004"), ("003_x003", "004_x003"), ("2026-003_a", "2026-004_a"), ("0031", "0031")],
)
def test_another_id_in_a_file_name(name: str, new: str) -> None:
    """Only the id itself, as a word, is replaced."""
    assert naming.renamed(name, "003", "004") == new
    assert naming.carries(name, "003") is (name != new)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("class", "is a Python keyword", id="keyword"),
        pytest.param("json", "is a module of Python's standard library", id="standard library"),
        pytest.param("Email", "is a module of Python's standard library", id="in another case"),
        pytest.param("my-blog", "is not an identifier", id="dash"),
        pytest.param("../x", "is not an identifier", id="path"),
        pytest.param("x;import os", "is not an identifier", id="code"),
        pytest.param("", "is not an identifier", id="empty"),
        pytest.param("bl\u00f6g", "is not an identifier of ASCII letters", id="not ASCII"),
        pytest.param("sqlalchemy", "is the name of something", id="a library it needs"),
        pytest.param("nul", "is a device name on Windows", id="device"),
        pytest.param("_blog", "must start and end with a letter or digit", id="underscore"),
        pytest.param("a" * 65, "is longer than 64 characters", id="too long"),
    ],
)
def test_impossible_package_names(name: str, problem: str) -> None:
    """A name that cannot be a new package's is refused with the reason."""
    with pytest.raises(NameTakenError, match=re.escape(problem)):
        naming.check_package(name, "A title")


def test_all_problems_at_once() -> None:
    """Name and title are judged together, so that one run tells everything."""
    with pytest.raises(NameTakenError) as caught:
        naming.check_package("_class-", "two\nlines")

    assert str(caught.value) == (
        "'_class-' is not an identifier of ASCII letters, digits and '_'; "
        "'_class-' must start and end with a letter or digit; "
        "title 'two\\nlines' has invisible characters"
    )


@pytest.mark.parametrize("title", ["", "  ", "a\u202eb", "a\0", "x" * 201, "\ud800"])
def test_impossible_titles(title: str) -> None:
    """A title is one visible line."""
    with pytest.raises(AuthoringError, match=r"^title "):
        naming.check_package("blog", title)


@pytest.mark.parametrize("name", ["blog", "Blog", "acme.blog", "json", "bl\u00f6g", "_x"])
def test_existing_names(name: str) -> None:
    """A package that is there already need only be importable."""
    naming.check_package(name, "A title", existing=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("my-blog", "my_blog", id="distribution"),
        pytest.param("My Blog.app", "my_blog_app", id="words"),
        pytest.param("B\u00fccher", "bucher", id="accents"),
        pytest.param("3d-models", "app_3d_models", id="digit first"),
        pytest.param("test", "test_app", id="standard library"),
        pytest.param("class", "class_app", id="keyword"),
        pytest.param("tests", "tests_app", id="hides a folder"),
        pytest.param("-x-", "x", id="dashes"),
    ],
)
def test_a_name_made_of_a_folder(text: str, name: str) -> None:
    """A folder or distribution name becomes a name that can be imported."""
    assert naming.derive_package(text) == name


def test_nothing_to_make_a_name_of() -> None:
    """A folder without a Latin letter or digit gives no name, and says so."""
    with pytest.raises(NameTakenError) as caught:
        naming.derive_package("…")

    assert str(caught.value) == "no package name can be made of '…'"
    assert caught.value.hint == "name it: ptah-migrate init NAME"


@given(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from([*keyword.kwlist, *sorted(sys.stdlib_module_names)]),
    )
)
def test_a_derived_name_is_always_usable(text: str) -> None:
    """Whatever the folder is called, the name made of it passes the check."""
    try:
        name = naming.derive_package(text)
    except NameTakenError:
        return

    naming.check_package(name, naming.title_of(name))


def test_names_made_of_a_package_name() -> None:
    """Title and distribution name follow from the package name."""
    assert naming.title_of("my_blog") == "My blog"
    assert naming.title_of("acme.blog") == "Acme blog"
    assert naming.distribution_of("My_blog") == "my-blog"


def test_foreign_text_in_messages() -> None:
    """A text shown in a message is quoted, on one line and not long."""
    assert naming.shown("a\nb\u202e") == "'a\\nb\\u202e'"
    assert len(naming.shown("x" * 1000)) < 70
