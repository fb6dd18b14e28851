"""
What settings say: which packages take part, and what a Migrator is given.

Every command asks; nothing of Pyramid, and little else, is loaded for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ptah_migrate.errors import ConfigError
from ptah_migrate.model import Package, Problem
from ptah_migrate.registry import Registry, from_entry_points

ACTIVE = "ptah_migrate.packages"
SKIP_TABLES = "ptah_migrate.skip_tables"
POLICY = "ptah_migrate.seed_policy"
LOCK_TIMEOUT = "ptah_migrate.lock_timeout"
SCHEMA = "ptah_migrate.version_table_schema"
REFUSE_UNWRITTEN = "ptah_migrate.refuse_unwritten"
TRANSACTION = "ptah_migrate.transaction"


class Loaded(NamedTuple):
    """
    What a settings file gives.

    ``registry`` is the application's, None when it could not be loaded;
    ``problem`` says why. ``logging`` tells whether the file configures it.
    """

    settings: Mapping[str, Any] = {}
    registry: Any = None
    problem: str = ""
    logging: bool = False


def words(settings: Mapping[str, Any], name: str) -> list[str]:
    """Return a setting that is a list: of texts, or one text with spaces, commas, lines."""
    value = settings.get(name) or ()
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, Iterable):
        return [str(word) for word in value]
    raise ConfigError(f"the setting {name}, '{value}', is no list", hint=f"{name} = one two")


def with_installed(included: Mapping[str, Package], wished: Sequence[str]) -> Registry:
    """
    Return a registry of the included packages and the installed ones that are wished for.

    ``wished`` are names, or ``*`` for all. A name that is not installed is a problem.
    """
    installed, problems = from_entry_points()
    others = {package.name: package for package in installed if package.name not in included}

    def active(package: Package) -> bool:
        return "*" in wished or package.name in wished

    problems = tuple(problem for problem in problems if problem.subject not in included)
    known = {"*", *included, *others, *(problem.subject for problem in problems)}
    return Registry(
        [*included.values(), *filter(active, others.values())],
        available=[package for package in others.values() if not active(package)],
        problems=[*problems, *(_not_installed(name) for name in wished if name not in known)],
    )


def _not_installed(name: str) -> Problem:
    return Problem(
        name,
        f"the setting {ACTIVE} names '{name}', which is not installed or has no migrations",
        f"install it, or take it out of {ACTIVE}",
    )


def migrator_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the arguments of a Migrator that settings can give.

    Raises:
        ConfigError: a setting cannot be read.

    """
    found: dict[str, Any] = {}
    if settings.get(POLICY):
        found["seed_policy"] = str(settings[POLICY]).strip()
    if settings.get(LOCK_TIMEOUT):
        found["lock_timeout"] = _seconds(settings[LOCK_TIMEOUT])
    if settings.get(TRANSACTION):
        found["transaction"] = str(settings[TRANSACTION]).strip()
    if settings.get(SCHEMA):
        found["version_table_schema"] = str(settings[SCHEMA]).strip()
    if skipped := words(settings, SKIP_TABLES):
        found["skip_tables"] = skipped
    if settings.get(REFUSE_UNWRITTEN):
        found["refuse_unwritten"] = _truth(REFUSE_UNWRITTEN, settings[REFUSE_UNWRITTEN])
    return found


_TRUTH = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0", ""), False
)


def _truth(name: str, value: Any) -> bool:
    try:
        return _TRUTH[str(value).strip().lower()]
    except KeyError as error:
        raise ConfigError(
            f"the setting {name}, '{value}', is neither true nor false", hint=f"{name} = true"
        ) from error


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the setting {LOCK_TIMEOUT}, '{value}', is no number of seconds",
            hint=f"{LOCK_TIMEOUT} = 60",
        ) from error
