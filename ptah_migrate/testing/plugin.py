"""
The pytest plug-in: ``pytest --ptah-migrate``.

Loaded in every session of pytest that has ptah-migrate installed: nothing heavy
is imported before a check or a fixture runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.testing.declared import (
    CHECKS,
    Check,
    FailedCheck,
    MigrationTests,
    NotApplicable,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ptah_migrate.testing.migrator import PtahMigrator
    from ptah_migrate.testing.subjects import Packages, Subject

ROOT = "ptah_migrate"
URL = "PTAH_MIGRATE_TEST_URL"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options and settings."""
    group = parser.getgroup("ptah-migrate", "migrations of packages")
    group.addoption(
        "--ptah-migrate",
        action="store_true",
        help="check the migrations of the project's packages, or of every installed one",
    )
    group.addoption(
        "--ptah-migrate-package",
        action="append",
        default=[],
        metavar="NAME",
        help="check the migrations of this package (may be given several times)",
    )
    group.addoption(
        "--ptah-migrate-url",
        metavar="URL",
        help="a server on which databases for tests may be made and dropped (default: SQLite); "
        f"also the variable {URL}",
    )
    parser.addini("ptah_migrate", "check migrations in every session", type="bool", default=False)
    parser.addini("ptah_migrate_packages", "the packages to check", type="args", default=[])
    parser.addini("ptah_migrate_url", "as --ptah-migrate-url", type="string", default="")


# -- what a session is asked for -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Session:
    """The packages to check, and the single checks if the command line names some."""

    packages: Packages
    names: tuple[str, ...]
    ids: tuple[str, ...] = ()

    def wants(self, nodeid: str) -> bool:
        return not self.ids or any(
            nodeid == one or nodeid.startswith(f"{one}::") for one in self.ids
        )


_SESSION = pytest.StashKey[_Session]()
_PACKAGES = pytest.StashKey["Packages"]()
_FOLDERS = pytest.StashKey[dict[Path, pytest.Directory]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register our mark, and find the packages where the session is asked for them."""
    config.addinivalue_line("markers", f"{ROOT}: a check of a package's migrations")
    ids = tuple(arg for arg in config.args if arg.startswith(f"{ROOT}::"))
    names = _names(config, ids)
    if names is None:
        return
    config.args[:] = [arg for arg in config.args if arg not in ids]
    packages = _packages(config)
    known = packages.names
    unknown = [name for name in names if name not in known and not _is_here(packages, name)]
    if unknown:
        raise pytest.UsageError(
            f"no migrations are registered for '{unknown[0]}'; found: {', '.join(known) or 'none'}"
        )
    if not names and not known:
        raise pytest.UsageError(
            "no package with migrations is found: neither in the project of "
            f"{config.invocation_params.dir}, nor installed"
        )
    config.stash[_SESSION] = _Session(packages, names or packages.default, ids)


def _names(config: pytest.Config, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Return the packages that are asked for, none for all; None when the session is not ours."""
    if ids:
        return tuple(dict.fromkeys(one.split("::")[1] for one in ids))
    if config.option.ptah_migrate_package:
        return tuple(dict.fromkeys(config.option.ptah_migrate_package))
    if config.option.ptah_migrate or (config.getini("ptah_migrate") and not _narrow(config)):
        return tuple(dict.fromkeys(config.getini("ptah_migrate_packages")))
    return None


def _narrow(config: pytest.Config) -> bool:
    """Whether the command line names modules or single tests."""
    return any("::" in arg or arg.endswith(".py") for arg in config.args)


def _packages(config: pytest.Config) -> Packages:
    """Return the packages of the project in the present directory, else in pytest's root."""
    if _PACKAGES not in config.stash:
        config.stash[_PACKAGES] = _found(config.invocation_params.dir)
        if not config.stash[_PACKAGES].own:
            config.stash[_PACKAGES] = _found(config.rootpath)
    return config.stash[_PACKAGES]


def _found(directory: Path) -> Packages:
    from ptah_migrate.testing.subjects import explain, find

    try:
        return find(directory)
    except PtahMigrateError as error:
        raise pytest.UsageError(explain(error)) from error


def _is_here(packages: Packages, name: str) -> bool:
    try:
        return packages.subject(name).name == name
    except PtahMigrateError:
        return False


# -- collection ----------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the checks of every package that no test module has, before -k and -m choose."""
    asked = config.stash.get(_SESSION, None)
    if asked is None:
        return
    there = {item.parent.nodeid for item in items if isinstance(item, CheckItem) and item.parent}
    above = _above(session)
    for name in asked.names:
        node = PackageNode.from_parent(above, name=name, nodeid=f"{ROOT}::{name}")
        node.subject, node.asked = asked.packages.subject(name), asked
        if node.nodeid not in there:
            items.extend(session.genitems(node))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Remember the folders that are collected: fixtures of their conftest.py belong to them."""
    if isinstance(collector, pytest.Directory):
        collector.config.stash.setdefault(_FOLDERS, {})[collector.path] = collector


def _above(session: pytest.Session) -> pytest.Collector:
    """Return a node that sees the fixtures of the root's conftest.py, and of the tests'."""
    config = session.config
    node: pytest.Collector = session
    for folder in (*config.getini("testpaths"), "tests", "test"):
        path = config.rootpath / folder
        if (path / "conftest.py").is_file():
            node = config.stash.setdefault(_FOLDERS, {}).get(path) or _collected(session, path)
            break
    return _Folder.from_parent(node, name=ROOT, nodeid=ROOT, path=config.rootpath)


def _collected(session: pytest.Session, path: Path) -> pytest.Collector:
    """Return the node of a folder that the session does not look into."""
    hook = session.gethookproxy(path)
    node: pytest.Collector = hook.pytest_collect_directory(path=path, parent=session) or session
    hook.pytest_make_collect_report(collector=node)
    return node


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> PackageNode | None:
    """Collect a `MigrationTests` of a test module."""
    if not isinstance(obj, MigrationTests):
        return None
    node = PackageNode.from_parent(collector, name=name, nodeid=f"{ROOT}::{obj.package}")
    node.tests = obj
    return node


class _Folder(pytest.Collector):
    """A node that only stands above others."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        return ()


class PackageNode(pytest.Collector):
    """The checks of one package: a known one, or the one that a test module names."""

    subject: Subject | None = None
    asked: _Session | None = None
    tests: MigrationTests | None = None

    def collect(self) -> Iterator[CheckItem]:
        """Yield an item for each check that is asked for."""
        subject = self.subject or self._said()
        for check in CHECKS:
            if self.asked is not None and not self.asked.wants(f"{self.nodeid}::{check.name}"):
                continue
            item = CheckItem.from_parent(self, name=check.name, callobj=_function(subject, check))
            item.add_marker(ROOT)
            item.extra_keyword_matches.add(subject.name)
            yield item

    def _said(self) -> Subject:
        from ptah_migrate.testing.subjects import explain, find

        assert self.tests is not None
        try:
            packages = find(self.path.parent)
            return packages.subject(self.tests.package, self.tests.registration)
        except PtahMigrateError as error:
            raise self.CollectError(explain(error)) from error


class CheckItem(pytest.Function):
    """One check of one package; its fixtures are those that a test function would get."""

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what names the item in reports."""
        return self.path, None, self.nodeid


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a check that is skipped name itself, not the line of this file that skips it."""
    report = yield
    if isinstance(item, CheckItem) and report.skipped and isinstance(report.longrepr, tuple):
        where: Any = (str(item.config.rootpath / item.nodeid), None, report.longrepr[2])
        report.longrepr = where
    return report


def _function(subject: Subject, check: Check) -> Callable[..., None]:
    """Return the test function of a check; its arguments are the fixtures it takes."""

    def offline() -> None:
        _judge(subject, check)

    def online(ptah_engine: Engine) -> None:
        _judge(subject, check, ptah_engine)

    def seeded(ptah_engine: Engine, ptah_populate: Callable[[Engine], object]) -> None:
        _judge(subject, check, ptah_engine, ptah_populate)

    if not check.database:
        return offline
    return seeded if check.name == "seed_equals_upgrade" else online


def _judge(
    subject: Subject,
    check: Check,
    engine: Engine | None = None,
    populate: Callable[[Engine], object] = lambda engine: None,
) -> None:
    from ptah_migrate.testing import checks
    from ptah_migrate.testing.subjects import explain

    outcome: Callable[[], NoReturn]
    try:
        checks.run(check.name, subject, engine, populate)
    except NotApplicable as reason:
        words = str(reason)
        outcome = lambda: pytest.skip(words)  # noqa: E731
    except FailedCheck as failure:
        outcome = _failing(str(failure))
    except PtahMigrateError as error:
        outcome = _failing(explain(error))
    else:
        return
    outcome()  # outside of the handler: the report shows the words alone


def _failing(words: str) -> Callable[[], NoReturn]:
    return lambda: pytest.fail(words, pytrace=False)


# -- fixtures ------------------------------------------------------------------------


@pytest.fixture
def ptah_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """
    Yield the engine of an empty database that is gone afterwards.

    A SQLite file, or a database on the server of ``--ptah-migrate-url``. A
    fixture of this name in a conftest.py replaces it, for the checks too.
    """
    from ptah_migrate._runtime import scratch
    from ptah_migrate._runtime.engine import parse
    from ptah_migrate.testing.subjects import explain

    with ExitStack() as stack:
        problem = ""
        try:
            url = parse(_url(request.config))
            engine = stack.enter_context(scratch.database(url, prefix="ptah_check"))
        except PtahMigrateError as error:
            problem = explain(error)
        if problem:
            pytest.fail(problem, pytrace=False)
        yield engine


@pytest.fixture
def ptah_populate() -> Callable[[Engine], object]:
    """
    Return what fills a database whose tables were made from the models.

    Does nothing; a fixture of this name in a conftest.py replaces it.
    """
    return lambda engine: None


@pytest.fixture
def ptah_migrator(request: pytest.FixtureRequest, ptah_engine: Engine) -> PtahMigrator:
    """Return what runs single revisions on the database of ``ptah_engine``."""
    from ptah_migrate.testing.migrator import PtahMigrator

    return PtahMigrator(ptah_engine, _packages(request.config))


def _url(config: pytest.Config) -> str:
    given = (
        config.option.ptah_migrate_url or os.environ.get(URL) or config.getini("ptah_migrate_url")
    )
    return str(given or "sqlite://")
