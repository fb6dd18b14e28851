"""What targets mean in a history, and which rows a step leaves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._history import History
from ptah_migrate._history.graph import Shape
from ptah_migrate._history.rows import Revisions, Row, chain
from ptah_migrate.errors import (
    MultipleHeadsError,
    PtahMigrateError,
    TargetError,
    UnknownRevisionError,
)
from ptah_migrate.model import Revision


def revision(
    id: str,
    *down: str,
    depends_on: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> Revision:
    return Revision("blog", id, f"{id}.py", down, depends_on, labels=labels)


def history(*revisions: Revision, branches: bool = False) -> History:
    return History("blog", {found.id: found for found in revisions}, branches=branches)


CHAIN = history(revision("001"), revision("002", "001"), revision("003", "002"))

# 001 - 002 - 003a - 004   (004 joins both branches)
#           \ 003b - /
MERGED = history(
    revision("001"),
    revision("002", "001"),
    revision("003a", "002"),
    revision("003b", "002"),
    revision("004", "003a", "003b"),
)

# Two branches for good: expand and contract; the second needs the first.
TWO = history(
    revision("base"[:-1] + "0"),
    revision("e1", "bas0", labels=("expand",)),
    revision("e2", "e1"),
    revision("c1", "bas0", labels=("contract",), depends_on=("e1",)),
    branches=True,
)


# -- a chain ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "ids"),
    [
        ("head", ("003",)),
        ("heads", ("003",)),
        ("base", ()),
        ("002", ("002",)),
    ],
)
def test_resolve(spec: str, ids: tuple[str, ...]) -> None:
    """A word of a target names revisions."""
    assert CHAIN.resolve(spec) == ids


@pytest.mark.parametrize(
    ("spec", "rows", "ids"),
    [
        ("head", (), ("001", "002", "003")),
        ("heads", (), ("001", "002", "003")),
        ("002", (), ("001", "002")),
        ("+1", (), ("001",)),
        ("+2", ("001",), ("002", "003")),
        ("head", ("002",), ("003",)),
        ("head", ("003",), ()),
        ("001", ("003",), ()),
        ("+0", ("003",), ()),
        ("head", ("001", "002"), ("003",)),
        ("001+1", ("001",), ("002",)),
    ],
)
def test_upgrades(spec: str, rows: tuple[str, ...], ids: tuple[str, ...]) -> None:
    """An upgrade runs what lies between the rows and the place; at the place, nothing."""
    assert CHAIN.upgrades(spec, rows) == ids


@pytest.mark.parametrize(
    ("spec", "rows", "ids"),
    [
        ("base", ("003",), ("003", "002", "001")),
        ("001", ("003",), ("003", "002")),
        ("-1", ("003",), ("003",)),
        ("-3", ("003",), ("003", "002", "001")),
        ("head", ("003",), ()),
        ("003", ("003",), ()),
        ("base", (), ()),
        ("base", ("001", "003"), ("003", "002", "001")),
        ("003-1", ("003",), ("003",)),
    ],
)
def test_downgrades(spec: str, rows: tuple[str, ...], ids: tuple[str, ...]) -> None:
    """A downgrade reverts what lies above the place."""
    assert CHAIN.downgrades(spec, rows) == ids


@pytest.mark.parametrize(
    ("direction", "spec", "rows", "message", "hint"),
    [
        pytest.param(
            "upgrades",
            "+3",
            ("001",),
            "'blog:+3' is outside the history: 2 revisions are left that way",
            "see: ptah-migrate history blog",
            id="too far up",
        ),
        pytest.param(
            "downgrades",
            "-2",
            ("001",),
            "'blog:-2' is outside the history: 1 revision is left that way",
            "see: ptah-migrate history blog",
            id="too far down",
        ),
        pytest.param(
            "downgrades",
            "-1",
            (),
            "'blog:-1' is outside the history: 0 revisions are left that way",
            "see: ptah-migrate history blog",
            id="below nothing",
        ),
        pytest.param(
            "upgrades",
            "base",
            ("001",),
            "'blog:base' is below the present revision",
            "run: ptah-migrate downgrade blog:base",
            id="up to base",
        ),
        pytest.param(
            "upgrades",
            "-1",
            ("001",),
            "'blog:-1' is below the present revision",
            "run: ptah-migrate downgrade blog:-1",
            id="up by minus one",
        ),
        pytest.param(
            "downgrades",
            "+1",
            ("001",),
            "'blog:+1' is above the present revision",
            "run: ptah-migrate upgrade blog:+1",
            id="down by plus one",
        ),
        pytest.param(
            "downgrades",
            "003",
            ("001",),
            "package 'blog' is at '001', which is below '003'",
            "run: ptah-migrate upgrade blog:003",
            id="down to something above",
        ),
        pytest.param(
            "downgrades",
            "001",
            (),
            "package 'blog' is at base, which is below '001'",
            "run: ptah-migrate upgrade blog:001",
            id="down from nothing",
        ),
    ],
)
def test_targets_that_are_no_places(
    direction: str, spec: str, rows: tuple[str, ...], message: str, hint: str
) -> None:
    """A target on the wrong side of the rows is refused, with the command that was meant."""
    with pytest.raises(TargetError) as caught:
        getattr(CHAIN, direction)(spec, rows)

    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("call", ["resolve", "upgrades", "downgrades"])
def test_an_unknown_revision(call: str) -> None:
    """An unknown revision is named, with the nearest known one."""
    arguments = () if call == "resolve" else (("002",),)

    with pytest.raises(UnknownRevisionError) as caught:
        getattr(CHAIN, call)("0003", *arguments)

    assert caught.value.message == "package 'blog' has no revision '0003'"
    assert caught.value.hint == "did you mean '003'? known: 001, 002, 003"


def test_a_chain_needs_no_alembic() -> None:
    """What nearly every package is, is answered without loading Alembic."""
    code = (
        "import sys; from tests.unit.test_history_graph import CHAIN\n"
        "CHAIN.resolve('head'), CHAIN.upgrades('+1', ()), CHAIN.downgrades('-1', ('003',))\n"
        "CHAIN.after_upgrade((), '001'), CHAIN.order(), CHAIN.tops\n"
        "sys.exit('alembic.script' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_beginning_of_an_id() -> None:
    """An id may be shortened as long as it is one revision's alone, as in Alembic."""
    found = history(revision("ae1027a6acf"), revision("ae10f21bc3", "ae1027a6acf"))

    assert found.resolve("ae1027") == ("ae1027a6acf",)
    assert found.upgrades("ae1027", ()) == ("ae1027a6acf",)
    with pytest.raises(UnknownRevisionError):
        found.resolve("ae10")


def test_an_empty_history() -> None:
    """A package without revisions is at its head, and has nowhere to go."""
    empty = history()

    assert (empty.upgrades("head", ()), empty.downgrades("base", ())) == ((), ())
    assert (empty.resolve("head"), empty.resolve("heads"), empty.tops) == ((), (), ())
    with pytest.raises(UnknownRevisionError):
        empty.upgrades("001", ())


# -- branches -------------------------------------------------------------------------------


def test_several_heads_and_no_choice() -> None:
    """``head`` of several is refused, and the ways out are named."""
    found = history(revision("1"), revision("2a", "1"), revision("2b", "1"))

    for call in (found.resolve, lambda spec: found.upgrades(spec, ())):
        with pytest.raises(MultipleHeadsError) as caught:
            call("head")
        assert caught.value.message == "package 'blog' has 2 heads: 2a, 2b"
        assert caught.value.hint == (
            "run: ptah-migrate merge blog, or name one: blog:2a, or all: blog:heads"
        )


def test_several_heads_and_a_choice() -> None:
    """One head, all heads, or a head by its label may be named."""
    found = history(revision("1"), revision("2a", "1", labels=("a",)), revision("2b", "1"))

    assert found.upgrades("2b", ()) == ("1", "2b")
    assert found.upgrades("a@head", ()) == ("1", "2a")
    assert set(found.upgrades("heads", ())) == {"1", "2a", "2b"}
    assert found.upgrades("heads", ("2a",)) == ("2b",)


def test_branches_on_purpose() -> None:
    """``branches=True`` lets ``head`` mean all heads; of those the outer ones are stored."""
    assert set(TWO.resolve("head")) == {"e2", "c1"}
    assert set(TWO.upgrades("head", ())) == {"bas0", "e1", "e2", "c1"}
    assert TWO.upgrades("expand@head", ()) == ("bas0", "e1", "e2")
    assert TWO.upgrades("contract@head", ()) == ("bas0", "e1", "c1")


def test_a_dependency_between_heads() -> None:
    """A head that another revision depends on is implied by that one."""
    found = history(revision("a1", labels=("a",)), revision("b1", labels=("b",), depends_on=("a",)))

    assert set(found.heads) == {"a1", "b1"}
    assert found.tops == ("b1",)
    assert found.parents("b1") == ("a1",)
    assert found.upgrades("b@head", ()) == ("a1", "b1")
    assert found.after_upgrade(("a1",), "b1") == ("b1",)
    assert found.after_downgrade(("b1",), "b1") == ("a1",)


def test_rows_along_a_merge() -> None:
    """Rows split where the history branches, join where it merges, and come back."""
    rows: tuple[str, ...] = ()
    up, down = [], []
    for id_ in MERGED.upgrades("head", ()):
        rows = MERGED.after_upgrade(rows, id_)
        up.append(rows)
    for id_ in MERGED.downgrades("base", rows):
        rows = MERGED.after_downgrade(rows, id_)
        down.append(rows)

    assert up == [("001",), ("002",), ("003b",), ("003a", "003b"), ("004",)]
    assert down == [("003a", "003b"), ("003b",), ("002",), ("001",), ()]


@pytest.mark.parametrize(
    ("call", "spec", "rows", "message", "hint"),
    [
        (
            *("downgrades", "-1", ("004",)),
            "'blog:-1' is ambiguous: '004' follows 003a and 003b",
            "name the place to go to: blog:003a or blog:003b",
        ),
        (
            *("upgrades", "+2", ("001",)),
            "'blog:+2' is ambiguous: '002' is followed by 003a and 003b",
            "name the place to go to: blog:003a or blog:003b",
        ),
        (
            *("downgrades", "-1", ("003a", "003b")),
            "'blog:-1' is ambiguous: it is at 003a, 003b",
            "name the place to go to: blog:REVISION, or :LABEL@-1",
        ),
        (
            *("upgrades", "+1", ("003a", "003b")),
            "'blog:+1' is ambiguous: it is at 003a, 003b",
            "name the place to go to: blog:REVISION, or :LABEL@+1",
        ),
        (
            *("upgrades", "+3", ("003b",)),
            "'blog:+3' is outside the history: 1 revision is left that way",
            "see: ptah-migrate history blog",
        ),
        (
            *("downgrades", "-3", ("002",)),
            "'blog:-3' is outside the history: 2 revisions are left that way",
            "see: ptah-migrate history blog",
        ),
    ],
)
def test_steps_along_a_merge(
    call: str, spec: str, rows: tuple[str, ...], message: str, hint: str
) -> None:
    """So many steps could end at two places, or at none: they are refused, the places named."""
    with pytest.raises(PtahMigrateError) as caught:
        getattr(MERGED, call)(spec, rows)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_one_step_from_a_branch() -> None:
    """A step is taken where there is one way only, also in a history with branches."""
    assert MERGED.downgrades("003a-1", ("003a",)) == ("003a",)
    assert MERGED.downgrades("-2", ("003a",)) == ("003a", "002")
    assert MERGED.upgrades("+2", ()) == ("001", "002")


def test_steps_from_nothing() -> None:
    """Where a history begins twice, the first step has to be named."""
    with pytest.raises(PtahMigrateError) as caught:
        history(revision("a1"), revision("b1")).upgrades("+1", ())

    assert caught.value.message == "'blog:+1' is ambiguous: it begins with a1 and b1"
    assert caught.value.hint == "name the place to go to: blog:a1 or blog:b1"


def test_rows_that_say_the_same_twice() -> None:
    """A row that another one implies disturbs no walk."""
    assert MERGED.upgrades("head", ("002", "003a", "003b")) == ("004",)
    assert set(MERGED.downgrades("001", ("002", "003a"))) == {"003a", "002"}
    assert MERGED.outer(("002", "003a", "001")) == ("003a",)


def test_rows_that_nothing_stands_for() -> None:
    """Rows of a newer release are told apart."""
    assert CHAIN.unknown(("009", "003", "008")) == ("008", "009")


@given(
    st.sampled_from([CHAIN, MERGED, TWO]),
    st.text(st.sampled_from("0123abe@+-.:hdsxpn 'é"), max_size=8) | st.text(max_size=6),
    st.sampled_from(["resolve", "upgrades", "downgrades"]),
    st.booleans(),
)
def test_any_words(found: History, spec: str, call: str, applied: bool) -> None:
    """Whatever is written as a target gives ids or an error of ours."""
    arguments = () if call == "resolve" else (found.tops if applied else (),)
    try:
        ids = getattr(found, call)(spec, *arguments)
    except PtahMigrateError:
        return
    assert set(ids) <= set(found.revisions)


# -- a chain that was not looked at ---------------------------------------------------------


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Row]:
    """Draw what some files say: mostly a chain, in any order, sometimes anything else."""
    ids = draw(st.permutations([f"{number:03}" for number in range(draw(st.integers(0, 6)))]))
    found: dict[str, Row] = {}
    for number, id_ in enumerate(ids):
        usual = [f"{int(id_) - 1:03}"] if int(id_) else []
        some = st.lists(st.sampled_from([*ids, "gone"]), max_size=2, unique=True)
        down = draw(st.one_of(st.just(usual), st.just(usual), some))
        more = draw(
            st.sampled_from(
                [(), (), ([], ["a:1"], [], []), (["000"], [], [], []), ([], [], [], [f"at_{id_}"])]
            )
        )
        found[id_] = (id_, number, down, "", 0, *more)
    return found


@given(rows())
def test_the_shape_of_a_chain(found: dict[str, Row]) -> None:
    """A chain without labels is recognised by its rows; its shape is that of its revisions."""
    revisions = Revisions("blog", found, "{}.py".format)
    shape = chain(found)
    try:
        read = History("blog", revisions)
    except PtahMigrateError:
        assert shape is None
        return

    assert shape == (
        Shape(True, read.heads, read.bases, read.tops, read.sorted)
        if read.linear and not any(revision.labels for revision in revisions.values())
        else None
    )
