"""What one Pyramid application said about migrations, kept in its registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from ptah_migrate.errors import ConfigError
from ptah_migrate.model import Package, PopulateStep

KEY = "ptah_migrate"

MODES = ("upgrade", "check", "warn", "off")
ENVIRONMENT = "PTAH_MIGRATE_ON_START"
SETTING = "ptah_migrate.on_start"

OURSELVES = "ptah-migrate"

_suspended: ContextVar[bool] = ContextVar("ptah_migrate_suspended", default=False)


@dataclass(slots=True)
class State:
    """
    The registrations and wishes of one application, and how far its start has come.

    ``included``: the subscriber is registered. ``asked``: ``config.ptah_migrate()``
    was called; ``mode`` is what it said, if anything, and ``depth`` how many
    includes away. ``seeded`` and ``ready`` name the packages that start-up has
    populated and dealt with, ``populated`` the steps it ran; ``settled``: it is
    over. ``failure`` waits to be raised outside of the commit.
    """

    packages: dict[str, Package] = field(default_factory=dict)
    steps: dict[str, PopulateStep] = field(default_factory=dict)
    included: bool = False
    asked: bool = False
    mode: str | None = None
    depth: int = sys.maxsize
    script: str | None = None
    populate: bool = False
    seeded: set[str] = field(default_factory=set)
    populated: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    announced: bool = False
    migrated: bool = False
    settled: bool = False
    failure: Exception | None = None


def of(registry: Any) -> State:
    """Return the state of an application, a new one at the first call."""
    state = registry.get(KEY)
    if state is None:
        state = registry[KEY] = State()
    return state  # type: ignore[no-any-return]


@contextmanager
def suspended() -> Iterator[None]:
    """
    Load an application without its start-up upgrade, check or population.

    For commands that need what an application registers, not its database.
    """
    token = _suspended.set(True)
    try:
        yield
    finally:
        _suspended.reset(token)


def asked_mode(state: State, settings: Mapping[str, Any]) -> str:
    """
    Return what start-up has to do: the argument, else the environment, else the setting.

    Nothing of these, and no ``config.ptah_migrate()``, is ``off``.

    Raises:
        ConfigError: it is none of the modes.

    """
    if state.mode is not None:
        return state.mode
    return configured_mode(settings) or ("upgrade" if state.asked else "off")


def configured_mode(settings: Mapping[str, Any]) -> str:
    """
    Return the mode that the environment, else the setting, demands; empty when neither does.

    Raises:
        ConfigError: it is none of the modes.

    """
    place = ENVIRONMENT
    value: Any = os.environ.get(ENVIRONMENT)
    if not value:
        place, value = f"setting {SETTING}", settings.get(SETTING)
    mode = "" if value is None else str(value).strip().lower()
    if mode and mode not in MODES:
        raise ConfigError(
            f"'{value}' is no start-up mode ({place})", hint=f"one of {', '.join(MODES)}"
        )
    return mode


def may_populate(state: State, settings: Mapping[str, Any]) -> bool:
    """
    Return whether populate steps may run.

    The person who sets ``check``, ``warn`` or ``off`` outside of the code wants
    a start that writes nothing; an argument in the code says nothing of populating.
    """
    if not state.populate:
        return False
    return state.mode is not None or configured_mode(settings) in ("", "upgrade")


def started_by(script: str | None = None) -> str:
    """
    Return the name of the tool that loads the application, empty for a server or a test.

    Only servers may upgrade: ``pviews app.ini /`` must not migrate a database.
    Pyramid 2.1 tells the tool in ``global_config['__script__']``, which reaches
    ``main()`` and not the settings; the call stack tells it on 2.0 as well.
    """
    if _suspended.get():
        return OURSELVES
    if script and script != "pserve":
        return script
    tools = [tool for tool in map(_script, _stack()) if tool]
    return tools[-1] if tools else ""


def in_make_wsgi_app() -> bool:
    """Return whether Pyramid's own commit is running, not one by the application's code."""
    return any(
        frame.f_code.co_name == "make_wsgi_app" and _module(frame) == "pyramid.config"
        for frame in _stack()
    )


def _script(frame: FrameType) -> str:
    """Return the name of the tool whose code a frame runs, empty for any other code."""
    parent, _, name = _module(frame).rpartition(".")
    if parent == "pyramid.scripts" and name not in ("pserve", "common"):
        return name
    if (parent, name) == ("pyramid", "paster") and frame.f_code.co_name == "bootstrap":
        return "bootstrap"
    return ""


def _module(frame: FrameType) -> str:
    """Return the name of a frame's module, also of one that was started with ``-m``."""
    name = frame.f_globals.get("__name__") or ""
    if name == "__main__":
        name = getattr(frame.f_globals.get("__spec__"), "name", name)
    return str(name)


def _stack() -> Iterator[FrameType]:
    """Yield the frames above; Pyramid tells nowhere else who is at work."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        yield frame
        frame = frame.f_back
