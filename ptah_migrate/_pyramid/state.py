"""What one Pyramid application said about migrations, kept in its registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ptah_migrate.errors import ConfigError
from ptah_migrate.model import Package, PopulateStep

KEY = "ptah_migrate"

MODES = ("upgrade", "check", "warn", "off")
ENVIRONMENT = "PTAH_MIGRATE_ON_START"
SETTING = "ptah_migrate.on_start"

_suspended: ContextVar[bool] = ContextVar("ptah_migrate_suspended", default=False)


@dataclass(slots=True)
class State:
    """
    The registrations and wishes of one application.

    ``mode`` is what ``config.ptah_migrate()`` asked for, None when it was not
    called; ``ready`` names the packages that start-up has dealt with.
    """

    packages: dict[str, Package] = field(default_factory=dict)
    steps: dict[str, PopulateStep] = field(default_factory=dict)
    mode: str | None = None
    script: str | None = None
    populate: bool = False
    populated: bool = False
    ready: set[str] = field(default_factory=set)
    failure: BaseException | None = None


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

    Raises:
        ConfigError: it is none of the modes.

    """
    configured = os.environ.get(ENVIRONMENT) or settings.get(SETTING)
    if state.mode is None and not configured:
        return "off"
    mode = str(state.mode or configured).strip().lower()
    if mode == "default":
        mode = str(configured or "upgrade").strip().lower()
    if mode not in MODES:
        raise ConfigError(
            f"'{mode}' is no start-up mode", hint=f"{SETTING} is one of {', '.join(MODES)}"
        )
    return mode


def started_by(script: str | None = None) -> str:
    """
    Return the name of the tool that loads the application, empty for a server or a test.

    Only servers may upgrade: ``pviews app.ini /`` must not migrate a database.
    Pyramid 2.1 tells the tool in ``global_config['__script__']``, which reaches
    ``main()`` and not the settings; the call stack tells it on 2.0 as well.
    """
    if _suspended.get():
        return "ptah-migrate"
    if script and script != "pserve":
        return script
    frame = sys._getframe(1)  # noqa: SLF001 - nothing else knows on Pyramid 2.0
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("pyramid.scripts.") and module != "pyramid.scripts.pserve":
            return str(module.rpartition(".")[2])
        if module == "pyramid.paster" and frame.f_code.co_name == "bootstrap":
            return "bootstrap"
        frame = frame.f_back  # type: ignore[assignment]
    return ""
