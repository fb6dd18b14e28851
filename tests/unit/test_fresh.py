"""The decision on a package without a row: a function of the state of its tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._runtime.fresh import Action, Fresh, TableState, created, decide
from ptah_migrate.drafts import Difference
from ptah_migrate.errors import TargetError, UnrecordedTablesError
from ptah_migrate.registry import make_package

MODELS = ("author", "post")
BOTH = frozenset(MODELS)
NO_TITLE = Difference("post", "missing column post.title")
NO_AUTHOR = Difference("author", "missing table author")

blog = make_package("blog", "blog:migrations")


def complete(existing: frozenset[str] = frozenset(), *differences: Difference) -> TableState:
    """Return the state where the history makes every table."""
    return TableState(MODELS, existing, BOTH, BOTH, differences=differences)


def partial(existing: frozenset[str] = frozenset(), *differences: Difference) -> TableState:
    """Return the state where the history makes no table."""
    return TableState(MODELS, existing, differences=differences)


@pytest.mark.parametrize(
    ("tables", "populate", "expected"),
    [
        pytest.param(
            complete(),
            True,
            Fresh(Action.SEED, MODELS, "created 2 tables"),
            id="none exist, complete, populate: created and seeded",
        ),
        pytest.param(complete(), False, Fresh(Action.RUN), id="none exist, complete: run"),
        pytest.param(
            partial(),
            False,
            Fresh(Action.SEED, MODELS, "created 2 tables"),
            id="none exist, partial: created and seeded",
        ),
        pytest.param(
            complete(BOTH),
            False,
            Fresh(Action.SEED, (), "schema matches"),
            id="match: seeded",
        ),
        pytest.param(partial(BOTH, NO_TITLE), False, Fresh(Action.RUN), id="differ, partial: run"),
        pytest.param(
            partial(frozenset({"post"}), NO_AUTHOR),
            False,
            Fresh(Action.SEED, ("author",), "created 1 table"),
            id="only a table of no revision is missing: created, then a match",
        ),
        pytest.param(
            partial(frozenset({"post"}), NO_AUTHOR, NO_TITLE),
            False,
            Fresh(Action.RUN, ("author",)),
            id="such a table is missing and others differ: created first",
        ),
        pytest.param(
            TableState((), frozenset(), BOTH, BOTH),
            True,
            Fresh(Action.NOTHING, reason="its tables are made by its revisions: run upgrade"),
            id="no models, tables of revisions, populate: a seed would lie",
        ),
        pytest.param(
            TableState(),
            True,
            Fresh(Action.SEED, (), "nothing to create"),
            id="no models, no tables, populate: seeded",
        ),
        pytest.param(TableState(), False, Fresh(Action.RUN), id="no models, no tables: run"),
        pytest.param(
            TableState(MODELS, everything=True),
            False,
            Fresh(Action.RUN),
            id="a history that calls create_all is complete",
        ),
    ],
)
def test_decisions(tables: TableState, populate: bool, expected: Fresh) -> None:
    """Each state of the tables has its decision, with the tables to make and the reason."""
    assert decide(blog, tables, populate=populate) == expected


@pytest.mark.parametrize(
    ("tables", "populate"),
    [
        pytest.param(complete(BOTH, NO_TITLE), False, id="upgrade, complete"),
        pytest.param(
            TableState(MODELS, BOTH, everything=True, differences=(NO_TITLE,)),
            False,
            id="upgrade, a history that calls create_all",
        ),
        pytest.param(complete(BOTH, NO_TITLE), True, id="populate, complete"),
        pytest.param(partial(BOTH, NO_TITLE), True, id="populate, partial"),
    ],
)
def test_differences_are_refused(tables: TableState, populate: bool) -> None:
    """Tables that are there and differ are refused, with their differences."""
    found = decide(blog, tables, populate=populate)

    assert found.action is Action.REFUSE
    assert isinstance(found.error, UnrecordedTablesError)
    assert found.error.tables == MODELS
    assert found.error.differences == ("missing column post.title",)


def test_trust_seeds_what_differs() -> None:
    """The policy of 2012 seeds tables that differ and makes those that are missing."""
    tables = complete(frozenset({"post"}), NO_TITLE, NO_AUTHOR)

    found = decide(blog, tables, populate=True, trust=True)

    assert found == Fresh(Action.SEED, ("author",), "trusted, not compared")


def test_trust_is_of_populate_only() -> None:
    """An upgrade is not made careless by the policy."""
    found = decide(blog, complete(BOTH, NO_TITLE), populate=False, trust=True)

    assert found.action is Action.REFUSE


def test_only_the_head_can_be_made_from_models() -> None:
    """A partial history on an empty database is not brought to a revision in the middle."""
    found = decide(blog, partial(), populate=False, to_head=False)

    assert found.action is Action.REFUSE
    assert isinstance(found.error, TargetError)
    assert found.error.hint == "run: ptah-migrate upgrade blog"


@pytest.mark.parametrize("stated", [{"force": True}, {"fresh": "steps"}])
@pytest.mark.parametrize(
    "tables",
    [complete(), partial(), complete(BOTH), partial(BOTH, NO_TITLE), TableState()],
)
def test_stated_steps_are_never_seeded(stated: dict[str, object], tables: TableState) -> None:
    """``force=True`` and ``fresh="steps"`` run from base and are never seeded."""
    package = make_package("blog", "blog:migrations", **stated)  # type: ignore[arg-type]

    assert decide(package, tables, populate=False) == Fresh(Action.RUN)
    assert decide(package, tables, populate=True, trust=True) == Fresh(Action.NOTHING)


def test_stated_create_is_partial() -> None:
    """``fresh="create"`` makes the tables from the models though the revisions could."""
    package = make_package("blog", "blog:migrations", fresh="create")

    assert decide(package, complete(), populate=False) == Fresh(
        Action.SEED, MODELS, "created 2 tables"
    )
    assert decide(package, complete(BOTH, NO_TITLE), populate=False).action is Action.RUN


def test_words_for_tables_made() -> None:
    """The reason counts in words that people say."""
    assert [created(n) for n in range(3)] == [
        "nothing to create",
        "created 1 table",
        "created 2 tables",
    ]


NAMES = st.sampled_from(["a", "b", "c"])
SETS = st.frozensets(NAMES)


@st.composite
def states(draw: st.DrawFn) -> TableState:
    """Return any state, also impossible ones."""
    made = draw(SETS)
    return TableState(
        tuple(sorted(draw(SETS))),
        draw(SETS),
        made,
        frozenset(made & draw(SETS)),
        draw(st.booleans()),
        tuple(Difference(name, f"{name} differs") for name in sorted(draw(SETS))),
    )


@given(states(), st.booleans(), st.booleans())
def test_nothing_is_made_twice(tables: TableState, populate: bool, to_head: bool) -> None:
    """Only tables of the models are made, and never one that exists."""
    found = decide(blog, tables, populate=populate, to_head=to_head)

    assert set(found.create) <= set(tables.models) - tables.existing


@given(states(), st.booleans())
def test_a_seed_is_never_a_belief(tables: TableState, populate: bool) -> None:
    """Without trust, a seeded package has no difference but tables that are made now."""
    found = decide(blog, tables, populate=populate)

    if found.action is Action.SEED and tables.existing:
        left = {difference.table for difference in tables.differences}
        assert left <= set(found.create)
        assert tables.models


@given(states(), st.booleans(), st.booleans())
def test_a_refusal_has_an_error(tables: TableState, populate: bool, trust: bool) -> None:
    """There is an error exactly where the decision is to refuse."""
    found = decide(blog, tables, populate=populate, trust=trust)

    assert (found.error is not None) == (found.action is Action.REFUSE)


def test_nothing_is_known_to_be_made_by_nobody() -> None:
    """Of a history whose tables cannot all be read, no missing table is created beforehand."""
    missing = TableState(MODELS, frozenset({"post"}), everything=True, differences=(NO_AUTHOR,))

    assert missing.creatable == ()
    assert decide(blog, missing, populate=False).action is Action.REFUSE
