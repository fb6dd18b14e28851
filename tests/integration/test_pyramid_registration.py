"""How an application and its add-ons say which migrations there are."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from pyramid import testing
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError

from ptah_migrate import _authoring as authoring
from ptah_migrate.errors import (
    ConfigError,
    PackagePathError,
    RegistrationConflictError,
    RegistrationError,
    UnknownPackageError,
)
from ptah_migrate.model import Source
from ptah_migrate.registry import directories
from tests.helpers import Database, PackageMaker, PackageOnDisk, rows, tables
from tests.integration.applications import addon, application, create, registered, start

DECLARED = """
import ptah_migrate

ptah_migrate.register_migration("blog", "blog:migrations", "Blog", fresh="steps")
"""


# -- the directive -----------------------------------------------------------------------


def test_directive(make_package: PackageMaker) -> None:
    """A registration makes the path findable under its name once the configuration is committed."""
    made = make_package("blog")
    config = Configurator()
    config.include("ptah_migrate")

    config.register_migration("blog", "blog:migrations", "Blog", force=True)

    package = registered(config).get("blog")
    assert (package.title, package.force) == ("Blog", True)
    assert directories(package) == (made.migrations,)


def test_directive_waits_for_commit(make_package: PackageMaker) -> None:
    """Before the commit nothing is registered: something else may still override it."""
    make_package("blog", init=addon("blog"))
    config = Configurator()

    config.include("blog")

    from ptah_migrate._pyramid.startup import packages_of

    assert list(packages_of(config.registry)) == []


def test_origin(make_package: PackageMaker) -> None:
    """A package knows who registered it, with file and line."""
    made = make_package("blog", init=addon("blog"))
    make_package("shop")
    config = Configurator()
    config.include("blog")
    config.register_migration("shop", "shop:migrations")

    found = registered(config)

    assert str(found.get("blog").origin) == f"plug-in ({made.directory / '__init__.py'}:3)"
    assert found.get("shop").origin.source is Source.APPLICATION
    assert Path(found.get("shop").origin.file) == Path(__file__)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("migrations", ["migrations"], id="relative"),
        pytest.param("db/steps", ["db/steps"], id="deeper"),
        pytest.param(".", ["."], id="the folder itself"),
        pytest.param("blog:migrations", ["migrations"], id="asset spec"),
    ],
)
def test_relative_path(make_package: PackageMaker, path: str, expected: list[str]) -> None:
    """A relative path is one in the package that registers, as Pyramid's paths are."""
    made = make_package("blog", init=addon("blog", path), files={"db/steps/001.py": ""})
    config = Configurator()
    config.include("blog")

    package = registered(config).get("blog")

    assert directories(package) == tuple((made.directory / e).resolve() for e in expected)


def test_several_paths(make_package: PackageMaker) -> None:
    """A history kept in several directories is registered with all of them."""
    made = make_package("blog", files={"more/__init__.py": ""})
    config = Configurator(package="blog")
    config.include("ptah_migrate")

    config.register_migration("blog", ["migrations", "blog:more"])

    expected = (made.migrations, made.directory / "more")
    assert directories(registered(config).get("blog")) == expected


def test_missing_directory(make_package: PackageMaker) -> None:
    """A path that does not exist is an error on opening, not on registering."""
    made = make_package("blog", init=addon("blog", "blog:nowhere"))
    config = Configurator()
    config.include("blog")

    package = registered(config).get("blog")

    with pytest.raises(PackagePathError) as error:
        directories(package)
    assert str(error.value) == (
        f"the migrations directory '{made.directory / 'nowhere'}' of package 'blog' does not exist"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("blog", ""), "package 'blog' is registered without a path", id="no path"),
        pytest.param(("b:l", "x:y"), "'b:l' cannot be the name of a package", id="name"),
        pytest.param(("blog", 7), "package 'blog' is registered without a path", id="number"),
    ],
)
def test_impossible(arguments: tuple[str, str], message: str) -> None:
    """An impossible registration is refused where it is written, not at commit."""
    config = Configurator()
    config.include("ptah_migrate")

    with pytest.raises(RegistrationError) as error:
        config.register_migration(*arguments)

    assert str(error.value) == message


def test_unknown_option() -> None:
    """A misspelled option is refused by its name."""
    config = Configurator()
    config.include("ptah_migrate")

    with pytest.raises(RegistrationError, match=r"package 'blog': .*'metdata'"):
        config.register_migration("blog", "blog:migrations", metdata=None)


def test_include_twice(make_package: PackageMaker, database: Database) -> None:
    """Including ptah_migrate again, also after a commit, changes nothing."""
    make_package("blog", {"001": create("post")}, init=addon("blog"))
    config = application(database, "blog", "ptah_migrate")
    config.commit()
    config.include("ptah_migrate")
    config.ptah_migrate()

    start(config)

    assert rows(database.engine) == {("blog", "001")}


def test_introspection(make_package: PackageMaker) -> None:
    """Registrations are among the application's introspectables."""
    make_package("blog", init=addon("blog"))
    config = Configurator()
    config.include("blog")
    config.commit()

    shown = config.introspector.get("database migrations", "blog")

    assert shown["title"] == "blog!"
    assert shown["paths"] == ("blog:migrations",)
    assert shown.action_info.line == 3


def test_without_introspection(make_package: PackageMaker) -> None:
    """Introspection is for looking only: an application may do without it."""
    make_package("blog", init=addon("blog"))
    config = Configurator(introspection=False)
    config.include("blog")

    assert list(registered(config).packages) == ["blog"]


def test_at_once_in_tests(make_package: PackageMaker) -> None:
    """Under ``testConfig``, which commits each call by itself, a registration is there at once."""
    make_package("blog", init=addon("blog"))

    with testing.testConfig() as config:
        config.include("blog")

        assert list(registered(config).packages) == ["blog"]


# -- at module level ---------------------------------------------------------------------


def test_scan(make_package: PackageMaker) -> None:
    """``config.scan()`` finds a registration at module level, though nobody includes us."""
    made = make_package("blog", files={"data.py": DECLARED})
    config = Configurator()

    config.scan("blog.data")

    package = registered(config).get("blog")
    assert (package.title, package.fresh) == ("Blog", "steps")
    assert package.origin.file == str(made.directory / "data.py")
    assert package.origin.line == 3


def test_scan_relative(make_package: PackageMaker) -> None:
    """A relative path at module level is one in the package of that module."""
    declared = "import ptah_migrate as p\np.register_migration('blog', 'migrations')\n"
    made = make_package("blog", files={"data.py": declared})
    make_package("portal")
    config = Configurator(package="portal")

    config.scan("blog.data")

    assert directories(registered(config).get("blog")) == (made.migrations,)


def test_scan_of_a_loop(make_package: PackageMaker) -> None:
    """A loop on one line, or two calls in one module, declares each package."""
    declared = """
        from ptah_migrate import register_migration

        for name in ("one", "two"): register_migration(name, f"{name}:migrations")
        register_migration("three", "three:migrations")
    """
    make_package("blog", files={"data.py": declared})
    config = Configurator()

    config.scan("blog")

    assert list(registered(config).packages) == ["one", "three", "two"]


def test_import_registers_nothing(make_package: PackageMaker) -> None:
    """A module that is only imported, or whose names are, registers nothing."""
    make_package("blog", files={"data.py": DECLARED, "other.py": "from blog import data\n"})
    config = Configurator()
    config.include("ptah_migrate")

    config.scan("blog.other")

    assert "blog.data" in sys.modules
    assert list(registered(config)) == []


def test_inside_a_function(make_package: PackageMaker) -> None:
    """Inside a function no scan would find it: that is refused, with the way that works."""
    body = DECLARED.replace("ptah_migrate.reg", "def later():\n    ptah_migrate.reg")
    made = make_package("blog", files={"data.py": f"{body}\nlater()\n"})
    config = Configurator()

    with pytest.raises(RegistrationError) as error:
        config.scan("blog")

    place = f"{made.directory / 'data.py'}:4"
    assert str(error.value) == (
        f"register_migration is called inside a function, where a scan does not see it ({place})"
    )
    assert error.value.hint == "call it at module level, or use config.register_migration"


def test_impossible_at_module_level(make_package: PackageMaker) -> None:
    """An impossible registration at module level fails at its own line, when imported."""
    declared = "import ptah_migrate\nptah_migrate.register_migration('blog', 'x:y', frsh=1)\n"
    make_package("blog", files={"data.py": declared})

    with pytest.raises(RegistrationError, match=r"package 'blog': .*'frsh'"):
        Configurator().scan("blog")


def test_scan_imports_no_revision(
    make_package: PackageMaker, packages_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan of a whole package that ``init`` made imports its modules, not its revisions."""
    pytest.importorskip("copier")
    project = packages_root / "project"
    (project / "src/blog").mkdir(parents=True)
    (project / "src/blog/__init__.py").write_text("def includeme(config): config.scan()\n")
    (project / "src/blog/views.py").write_text("")
    (project / "pyproject.toml").write_text('[project]\nname = "blog"\nversion = "1"\n')
    authoring.apply(authoring.plan_init(project))
    (project / "src/blog/migrations/001.py").write_text("raise RuntimeError\n")
    (project / "src/blog/migrations/helpers.py").write_text("")
    make_package.made.append(PackageOnDisk("blog", project / "src"))
    monkeypatch.syspath_prepend(project / "src")
    config = Configurator()

    config.include("blog")
    config.include("blog.migrations")
    config.scan("blog")

    assert list(registered(config).packages) == ["blog"]
    assert {name for name in sys.modules if name.startswith("blog.")} == {
        "blog.migrations",
        "blog.views",
    }
    assert import_module("blog.migrations.helpers") is not None


# -- who wins ----------------------------------------------------------------------------


def test_conflict(make_package: PackageMaker) -> None:
    """Two registrations of one package from two places conflict at commit, naming both."""
    blog = make_package("blog", init=addon("blog"))
    other = make_package("other", init=addon("blog", "other:migrations"))
    config = Configurator()
    config.include("blog")
    config.include("other")

    with pytest.raises(ConfigurationConflictError) as error:
        config.commit()

    for made in (blog, other):
        assert f"Line 3 of file {made.directory / '__init__.py'}" in str(error.value)


def test_conflict_of_declarations(make_package: PackageMaker) -> None:
    """A declaration at module level conflicts with its own line, not with that of the scan."""
    blog = make_package("blog", files={"data.py": DECLARED})
    config = Configurator()
    config.include("ptah_migrate")
    config.scan("blog")
    config.register_migration("blog", "elsewhere:migrations")

    with pytest.raises(ConfigurationConflictError) as error:
        config.commit()

    assert f"Line 3 of file {blog.directory / 'data.py'}" in str(error.value)
    assert 'ptah_migrate.register_migration("blog", "blog:migrations"' in str(error.value)
    assert __file__ in str(error.value)


def test_conflict_of_one_line(make_package: PackageMaker) -> None:
    """One line that registers two directories for one package conflicts with itself."""
    both = "    for p in ('a', 'b'): config.register_migration('blog', 'blog:' + p)"
    make_package("blog", init=f"def includeme(config):\n    config.include('ptah_migrate')\n{both}")
    config = Configurator()
    config.include("blog")

    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_same_line_twice(make_package: PackageMaker) -> None:
    """The same call reached twice, by a scan here and an include there, is one registration."""
    make_package("blog", files={"data.py": DECLARED}, init="def includeme(c): c.scan('blog.data')")
    make_package("shop", init="def includeme(c): c.scan('blog')")
    config = Configurator()
    config.include("blog")
    config.include("shop")
    config.scan("blog")

    assert list(registered(config).packages) == ["blog"]


@pytest.mark.parametrize("first", ["application", "plug-in"])
@pytest.mark.parametrize("commit", [False, True], ids=["one commit", "commit between"])
def test_application_overrides(make_package: PackageMaker, first: str, commit: bool) -> None:
    """The application's registration wins over a plug-in's, whatever comes first."""
    make_package("blog", init=addon("blog"))
    make_package("portal", files={"more/__init__.py": ""})
    config = Configurator(package="portal")
    config.include("ptah_migrate")

    for turn in (first, "plug-in" if first == "application" else "application"):
        if turn == "application":
            config.register_migration("blog", "portal:more")
        else:
            config.include("blog")
        if commit:
            config.commit()

    package = registered(config).get("blog")
    assert (package.path, package.origin.source) == ("portal:more", Source.APPLICATION)


def test_plugins_conflict_over_a_commit(make_package: PackageMaker) -> None:
    """Two plug-ins with one package conflict also when a commit lies between them."""
    blog = make_package("blog", init=addon("blog"))
    other = make_package("other", init=addon("blog", "other:migrations"))
    config = Configurator()
    config.include("blog")
    config.commit()

    with pytest.raises(RegistrationConflictError) as error:
        config.include("other")

    assert str(error.value) == (
        f"package 'blog' is registered twice: plug-in ({blog.directory / '__init__.py'}:3) "
        f"and plug-in ({other.directory / '__init__.py'}:3)"
    )


# -- entry points ------------------------------------------------------------------------


def test_entry_points_only_locate(make_package: PackageMaker, database: Database) -> None:
    """An installed package that nobody includes is known, and never migrated by itself."""
    make_package("blog", {"001": create("post")}, init=addon("blog"))
    make_package("shop", {"001": create("item")}).install()
    config = application(database, "blog")
    config.ptah_migrate()

    start(config)

    found = registered(config)
    assert list(found.packages) == ["blog"]
    assert "shop" in found.available
    assert rows(database.engine) == {("blog", "001")}


def test_entry_point_gives_way(make_package: PackageMaker) -> None:
    """An entry point never conflicts with a registration, wherever it points."""
    make_package("blog", init=addon("blog"), files={"old/__init__.py": ""}).install("blog.old")
    config = Configurator()
    config.include("blog")

    assert registered(config).get("blog").path == "blog:migrations"


@pytest.mark.parametrize(
    ("wished", "active"),
    [
        pytest.param("*", {"blog", "shop", "wiki"}, id="all"),
        pytest.param("shop", {"blog", "shop"}, id="one"),
        pytest.param("shop\n  wiki", {"blog", "shop", "wiki"}, id="lines"),
        pytest.param("shop, blog", {"blog", "shop"}, id="commas, one included too"),
        pytest.param(["wiki"], {"blog", "wiki"}, id="a list"),
        pytest.param("", {"blog"}, id="none"),
    ],
)
def test_installed_packages_activated(
    make_package: PackageMaker, sqlite_database: Database, wished: str, active: set[str]
) -> None:
    """``ptah_migrate.packages`` makes installed packages active without an include."""
    make_package("blog", {"001": create("post")}, init=addon("blog")).install()
    make_package("shop", {"001": create("item")}).install()
    make_package("wiki", {"001": create("page")}).install()
    config = application(sqlite_database, "blog", packages=wished)
    config.ptah_migrate()

    start(config)

    assert rows(sqlite_database.engine) == {(name, "001") for name in active}


def test_activated_before_commit_ends(make_package: PackageMaker, database: Database) -> None:
    """Activated packages are migrated by the commit, in one plan with the included ones."""
    shop = make_package("shop", {"001": create("item")})
    shop.install()
    blog = make_package("blog", {"001": create("post")}, init=addon("blog"))
    blog.add(
        "002.py",
        "revision = '002'\ndown_revision = '001'\nrequires = ('shop:001',)\ndef upgrade(): pass\n",
    )
    config = application(database, "blog", packages="*")
    config.ptah_migrate()

    config.commit()

    assert rows(database.engine) == {("blog", "002"), ("shop", "001")}


def test_activated_but_not_installed(sqlite_database: Database) -> None:
    """A name in ``ptah_migrate.packages`` that is not installed stops the start."""
    config = application(sqlite_database, packages="nowhere")
    config.ptah_migrate()

    with pytest.raises(ConfigError) as error:
        start(config)

    assert str(error.value) == (
        "the setting ptah_migrate.packages names 'nowhere', "
        "which is not installed or has no migrations"
    )


def test_broken_entry_point(
    make_package: PackageMaker, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``*`` a broken entry point is logged by its name, and stops no other package."""
    make_package("gone").install("gone.elsewhere")
    make_package("shop", {"001": create("item")}).install()
    config = application(database, packages="*")
    config.ptah_migrate()

    start(config)

    assert "item" in tables(database.engine)
    warnings = [r.getMessage() for r in caplog.records if r.name == "ptah.migrate"]
    assert len(warnings) == 1
    assert "entry point 'gone = gone.elsewhere' of gone 1.0" in warnings[0]


def test_broken_entry_point_by_name(make_package: PackageMaker, sqlite_database: Database) -> None:
    """A broken entry point that is wished for by name stops the start with the reason."""
    make_package("gone").install("gone.elsewhere")
    config = application(sqlite_database, packages="gone")
    config.ptah_migrate()

    with pytest.raises(ConfigError, match=r"entry point 'gone = gone\.elsewhere' of gone 1\.0"):
        start(config)


def test_not_included(make_package: PackageMaker) -> None:
    """Asking for a package that is only installed says so."""
    make_package("shop").install()
    config = Configurator()
    config.include("ptah_migrate")

    with pytest.raises(UnknownPackageError) as error:
        registered(config).get("shop")

    assert error.value.hint.startswith("'shop' is installed but not included")
