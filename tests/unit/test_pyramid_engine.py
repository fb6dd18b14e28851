"""Where the engine of an application is found."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import zope.sqlalchemy
from pyramid.registry import Registry
from sqlalchemy.orm import scoped_session, sessionmaker

from ptah_migrate._pyramid.engine import find
from ptah_migrate.errors import ConfigError
from tests.helpers import PackageMaker

DOTTED = """
import sqlalchemy as sa

engine = sa.create_engine("sqlite:///dotted.sqlite")

def make(registry):
    return sa.create_engine("sqlite:///" + registry.settings["file"])

def url(registry):
    return "sqlite:///url.sqlite"

def fail(registry):
    raise LookupError("mine")

def number(registry):
    return 7

def none(registry):
    return None
"""


def engine(name: str) -> sa.Engine:
    """Return an engine that is told by its file."""
    return sa.create_engine(f"sqlite:///{name}.sqlite")


def registry(settings: dict[str, Any] | None = None, **stored: Any) -> Registry:
    """Return the registry of an application that keeps things in it."""
    found = Registry()
    found.settings = settings or {}
    found.update(stored)
    return found


def file(found: Any) -> str:
    """Return the file of an engine or a URL."""
    return str(sa.make_url(found).database if isinstance(found, str) else found.url.database)


@pytest.fixture
def shop(make_package: PackageMaker) -> None:
    """Write a package with things that can be named in a setting."""
    make_package("shop", files={"db.py": DOTTED})


def test_order(shop: None) -> None:
    """The places where applications keep their engine are asked in a fixed order."""
    places: list[tuple[str, str, Any]] = [
        ("settings", "ptah_migrate.engine", "shop.db:engine"),
        ("settings", "dbengine", engine("tests")),
        ("registry", "dbsession_factory", sessionmaker(bind=engine("session"))),
        ("registry", "sqlalchemy.engine", engine("stored")),
        ("registry", "dbengine", engine("old")),
        ("settings", "sqlalchemy.url", "sqlite:///settings.sqlite"),
    ]
    found = []

    for first in range(len(places)):
        known: dict[str, dict[str, Any]] = {"settings": {}, "registry": {}}
        for where, key, value in places[first:]:
            known[where][key] = value
        found.append(file(find(registry(known["settings"], **known["registry"]))))

    assert found == [
        "dotted.sqlite",
        "tests.sqlite",
        "session.sqlite",
        "stored.sqlite",
        "old.sqlite",
        "settings.sqlite",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("shop.db:engine", "dotted.sqlite", id="engine"),
        pytest.param("shop.db.engine", "dotted.sqlite", id="with dots only"),
        pytest.param("shop.db:make", "made.sqlite", id="function of the registry"),
        pytest.param("shop.db:url", "url.sqlite", id="function that returns a URL"),
        pytest.param(engine("itself"), "itself.sqlite", id="an engine itself"),
        pytest.param(lambda registry: engine("called"), "called.sqlite", id="a function itself"),
    ],
)
def test_setting(shop: None, value: Any, expected: str) -> None:
    """``ptah_migrate.engine`` is an engine, a function of the registry, or the name of one."""
    found = find(registry({"ptah_migrate.engine": value, "file": "made.sqlite"}))

    assert file(found) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            "shop.nowhere:engine",
            "the setting ptah_migrate.engine, 'shop.nowhere:engine', cannot be imported: "
            "ModuleNotFoundError: No module named 'shop.nowhere'",
            id="no such module",
        ),
        pytest.param(
            "shop.db:fail",
            "the setting ptah_migrate.engine, 'shop.db:fail', failed: LookupError: mine",
            id="a function that fails",
        ),
        pytest.param(
            "shop.db:number",
            "the setting ptah_migrate.engine, 'shop.db:number', gives a int, not an engine",
            id="no engine",
        ),
        pytest.param(
            "shop.db:none",
            "the setting ptah_migrate.engine, 'shop.db:none', gives a NoneType, not an engine",
            id="nothing",
        ),
    ],
)
def test_bad_setting(shop: None, value: str, message: str) -> None:
    """A name that gives no engine is an error; no other place is taken in its stead."""
    with pytest.raises(ConfigError) as error:
        find(registry({"ptah_migrate.engine": value, "sqlalchemy.url": "sqlite://"}))

    assert str(error.value) == message


def test_without_an_application(shop: None) -> None:
    """Where the application cannot be loaded its settings still lead to the engine."""
    settings = {"ptah_migrate.engine": "shop.db:make", "file": "alone.sqlite"}

    assert file(find(None, settings)) == "alone.sqlite"
    assert file(find(None, {"sqlalchemy.url": "sqlite:///plain.sqlite"})) == "plain.sqlite"


def test_cookiecutter() -> None:
    """The official cookiecutter binds its session factory after making it."""
    factory = sessionmaker()
    factory.configure(bind=engine("cookie"))

    assert file(find(registry(dbsession_factory=factory))) == "cookie.sqlite"


def test_with_a_transaction_manager() -> None:
    """A session factory that takes part in zope's transactions gives its engine, no session."""
    factory = sessionmaker(bind=engine("zope"))
    zope.sqlalchemy.register(factory)

    found = find(registry(dbsession_factory=factory))

    assert isinstance(found, sa.Engine)
    assert file(found) == "zope.sqlite"


def test_scoped_session() -> None:
    """A scoped session gives the engine of its factory."""
    scoped = scoped_session(sessionmaker(bind=engine("scoped")))

    assert file(find(registry(dbsession_factory=scoped))) == "scoped.sqlite"


@pytest.mark.parametrize("factory", [sessionmaker(), lambda request: None], ids=["unbound", "own"])
def test_unbound_session(factory: Any) -> None:
    """A session factory that tells no engine is passed over."""
    found = find(registry({"sqlalchemy.url": "sqlite:///x.sqlite"}, dbsession_factory=factory))

    assert file(found) == "x.sqlite"


def test_engine_settings() -> None:
    """An engine made from settings has all of them, as the application's own would."""
    found = find(registry({"sqlalchemy.url": "sqlite://", "sqlalchemy.echo": "true"}))

    assert found.echo is True


def test_nowhere() -> None:
    """Without any of them the error says what to set."""
    with pytest.raises(ConfigError) as error:
        find(registry())

    assert str(error.value) == "the settings name no database"
    assert error.value.hint == (
        "set sqlalchemy.url = sqlite:///%(here)s/app.sqlite, or ptah_migrate.engine"
    )
