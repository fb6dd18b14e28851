"""Which populate steps run, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._pyramid.steps import choose, satisfied
from ptah_migrate.errors import CycleError, UnknownStepError
from ptah_migrate.model import POPULATE_DB_SCHEMA, PopulateStep


def steps(*described: tuple[str, str, bool]) -> dict[str, PopulateStep]:
    """Return steps of (name, required names, active)."""
    return {
        name: PopulateStep(name, print, "", active, tuple(requires.split()))
        for name, requires, active in described
    }


KNOWN = steps(
    ("mail", "users", True),
    ("users", "", False),
    ("demo", "", False),
    (POPULATE_DB_SCHEMA, "", True),
    ("admin", POPULATE_DB_SCHEMA, True),
)


@pytest.mark.parametrize(
    ("names", "every", "expected"),
    [
        pytest.param([], False, ["ptah-db-schema", "users", "admin", "mail"], id="active ones"),
        pytest.param([], True, ["ptah-db-schema", "demo", "users", "admin", "mail"], id="all"),
        pytest.param(["demo"], False, ["demo"], id="one, though inactive"),
        pytest.param(["mail"], False, ["users", "mail"], id="one and what it requires"),
        pytest.param(["mail", "users", "mail"], False, ["users", "mail"], id="each once"),
    ],
)
def test_choose(names: list[str], every: bool, expected: list[str]) -> None:
    """Chosen are the active steps, or all, or those named, always with what they require."""
    assert [step.name for step in choose(KNOWN, names, every=every)] == expected


@pytest.mark.parametrize(
    ("known", "names", "message"),
    [
        pytest.param(KNOWN, ["mial"], "no populate step is called 'mial'", id="named"),
        pytest.param(steps(("a", "b", True)), [], "no populate step is called 'b'", id="required"),
    ],
)
def test_unknown(known: dict[str, PopulateStep], names: list[str], message: str) -> None:
    """An unknown name is a RuntimeError that names it."""
    with pytest.raises(RuntimeError) as error:
        choose(known, names)

    assert isinstance(error.value, UnknownStepError)
    assert str(error.value) == message


def test_did_you_mean() -> None:
    """The hint names the step that was probably meant."""
    with pytest.raises(UnknownStepError) as error:
        choose(KNOWN, ["mial"])

    assert error.value.hint == (
        "did you mean 'mail'? known: admin, demo, mail, ptah-db-schema, users"
    )


@pytest.mark.parametrize(
    ("known", "message"),
    [
        pytest.param(steps(("a", "a", True)), "a -> a", id="itself"),
        pytest.param(steps(("a", "b", True), ("b", "a", True)), "a -> b -> a", id="two"),
        pytest.param(
            steps(("c", "a", True), ("a", "b", True), ("b", "c", True)),
            "a -> b -> c -> a",
            id="three",
        ),
    ],
)
def test_cycle(known: dict[str, PopulateStep], message: str) -> None:
    """A circle is an error that shows it, each step before what it requires."""
    with pytest.raises(CycleError) as error:
        choose(known)

    assert str(error.value) == f"populate steps require one another: {message}"


NAMES = st.sampled_from("abcdefgh")


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, PopulateStep]:
    """Return steps that require only earlier names, perhaps unknown ones."""
    found = {}
    for name in draw(st.sets(NAMES)):
        required = {other for other in draw(st.sets(NAMES)) if other < name}
        found[name] = PopulateStep(name, print, "", draw(st.booleans()), tuple(required))
    return found


@given(acyclic())
def test_satisfied(known: dict[str, PopulateStep]) -> None:
    """Satisfied steps can all be chosen, in an order that respects every requirement."""
    found = satisfied(known)

    order = [step.name for step in choose(found, every=True)]
    assert sorted(order) == sorted(found)
    for name in order:
        assert all(order.index(other) < order.index(name) for other in known[name].requires)


@given(acyclic())
def test_not_satisfied(known: dict[str, PopulateStep]) -> None:
    """Every step that is left out lacks one that is unknown or left out itself."""
    found = satisfied(known)

    for name in known.keys() - found.keys():
        assert any(other not in found for other in known[name].requires)
