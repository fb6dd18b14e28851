"""Populate steps: chosen, put in order, run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError as GraphCycle
from graphlib import TopologicalSorter
from typing import Any

from ptah_migrate.errors import CycleError, PopulateError, PtahMigrateError, UnknownStepError
from ptah_migrate.model import POPULATE_DB_SCHEMA, PopulateStep


def choose(
    steps: Mapping[str, PopulateStep], names: Sequence[str] = (), *, every: bool = False
) -> tuple[PopulateStep, ...]:
    """
    Return steps in the order to run them, each once, a required one before its user.

    Args:
        steps: the registered steps by name.
        names: exactly these, active or not, and what they require.
        every: all steps; without names only the active ones.

    Raises:
        UnknownStepError: a step is named, or required, that is not registered.
        CycleError: steps require one another.

    """
    wanted = list(names) or sorted(n for n, step in steps.items() if every or step.active)
    graph: dict[str, tuple[str, ...]] = {}
    while wanted:
        name = wanted.pop(0)
        if name not in steps:
            raise UnknownStepError(name, steps)
        if name not in graph:
            graph[name] = steps[name].requires
            wanted.extend(steps[name].requires)
    return tuple(steps[name] for name in _sorted(graph))


def run(step: PopulateStep, registry: Any) -> None:
    """
    Call a step's factory with the application's registry.

    Raises:
        PopulateError: its own code failed; an error of ours passes as it is.

    """
    try:
        step.factory(registry)
    except PtahMigrateError:
        raise
    except Exception as error:
        raise PopulateError(step.name, f"{type(error).__name__}: {error}") from error


def satisfied(steps: Mapping[str, PopulateStep]) -> dict[str, PopulateStep]:
    """Return the steps that have everything they require, however far away, among the others."""
    found = dict(steps)
    while missing := [
        name for name, step in found.items() if not found.keys() >= set(step.requires)
    ]:
        for name in missing:
            del found[name]
    return found


def _sorted(graph: Mapping[str, Sequence[str]]) -> Iterable[str]:
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except GraphCycle as error:
        raise CycleError(
            _circle(error.args[1]),
            what="populate steps",
            hint="take one of them out of another's requires",
        ) from error
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda name: (name != POPULATE_DB_SCHEMA, name))
        found.extend(ready)
        sorter.done(*ready)
    return found


def _circle(found: Sequence[str]) -> list[str]:
    """Return a circle as a step, what it requires, and so on, the same at every run."""
    members = list(reversed(found[1:]))
    first = members.index(min(members))
    return members[first:] + members[:first]


def schema_step(create: Callable[[Any], Any]) -> PopulateStep:
    """Return our own step, which creates missing tables and seeds."""
    return PopulateStep(POPULATE_DB_SCHEMA, create, "Create the tables and record their versions")
