"""Where packages are registered, who wins, and where their directories are."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ptah_migrate import registry
from ptah_migrate.errors import (
    ConfigError,
    PackagePathError,
    PtahMigrateError,
    RegistrationConflictError,
    RegistrationError,
    UnknownPackageError,
)
from ptah_migrate.model import Origin, Package, Problem, Source
from ptah_migrate.registry import Registry, directories
from tests.helpers import PackageMaker


@pytest.fixture
def only_here(packages_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide what this machine has installed: entry points come from `packages_root` alone."""
    kept = [path for path in sys.path if not [*Path(path).glob("*.dist-info")]]
    monkeypatch.setattr(sys, "path", [str(packages_root), *kept])
    return packages_root


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def distribution(root: Path, name: str, entry_points: str, metadata: str | None = None) -> Path:
    """Make an installed distribution with this entry_points.txt."""
    folder = root / f"{name}-1.0.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
    if text:
        write(folder / "METADATA", text)
    write(folder / "entry_points.txt", f"[ptah_migrate]\n{entry_points}\n")
    return folder


# -- registration ----------------------------------------------------------------------


def test_everything_that_can_be_said() -> None:
    """A package keeps what it was registered with, as values that cannot change."""
    package = registry.make_package(
        "blog",
        ["blog:migrations", "blog:more"],
        "  A blog,\n  in two lines ",
        force=True,
        fresh="create",
        branches=True,
        recursive=True,
        metadata="blog.models:Base",
        naming_convention={"ix": "ix_%(column_0_label)s"},
        tables=["post"],
        options={"render_as_batch": True},
        attributes={"tenant": "x"},
        origin=Origin(Source.PLUGIN, "blog/__init__.py", 3),
    )

    assert package == Package(
        name="blog",
        paths=("blog:migrations", "blog:more"),
        title="A blog, in two lines",
        force=True,
        fresh="create",
        branches=True,
        recursive=True,
        metadata="blog.models:Base",
        naming_convention={"ix": "ix_%(column_0_label)s"},
        tables=("post",),
        options={"render_as_batch": True},
        attributes={"tenant": "x"},
        origin=Origin(Source.PLUGIN, "blog/__init__.py", 3),
    )


def test_a_path_object_is_a_path(tmp_path: Path) -> None:
    """A directory may be given as a path object, alone or among others."""
    one: Any = tmp_path
    several: Any = [tmp_path, "blog:migrations"]

    assert registry.make_package("blog", one).paths == (str(tmp_path),)
    assert registry.make_package("blog", several).paths == (str(tmp_path), "blog:migrations")


@pytest.mark.parametrize(
    "name",
    ["blog", "Blog", "ptah_minicms", "acme.blog", "acme-blog", "b", "1st", "b" * 128],
)
def test_possible_names(name: str) -> None:
    """Import names and distribution names are names of packages."""
    assert registry.make_package(name, "blog:migrations").name == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:b", "-a", ".a", "?a", "a/b", "a\n", "bl\u00f6g", "b" * 129, None, 7]
)
def test_impossible_names(name: Any) -> None:
    """A name that would mean something else in a target is refused."""
    with pytest.raises(RegistrationError) as caught:
        registry.make_package(name, "blog:migrations")

    assert caught.value.message == f"{name!r} cannot be the name of a package"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"path": ""}, "package 'blog' is registered without a path", id="no path"),
        pytest.param({"path": []}, "package 'blog' is registered without a path", id="no paths"),
        pytest.param({"path": None}, "package 'blog' is registered without a path", id="None"),
        pytest.param({"path": [7]}, "package 'blog' is registered without a path", id="a number"),
        pytest.param(
            {"fresh": "maybe"}, "fresh='maybe' of package 'blog' is not known", id="fresh"
        ),
        pytest.param(
            {"tables": "post"}, "tables='post' of package 'blog' is not a list of texts", id="text"
        ),
        pytest.param(
            {"tables": [1]}, "tables=[1] of package 'blog' is not a list of texts", id="numbers"
        ),
        pytest.param(
            {"attributes": 3}, "attributes=3 of package 'blog' is not a mapping", id="attributes"
        ),
    ],
)
def test_impossible_arguments(arguments: dict[str, Any], message: str) -> None:
    """An impossible argument is refused in words, whatever its type."""
    with pytest.raises(RegistrationError) as caught:
        registry.make_package("blog", **{"path": "blog:migrations", **arguments})

    assert caught.value.message == message


# -- directories ---------------------------------------------------------------------------


def found(path: str | Sequence[str]) -> tuple[Path, ...]:
    return directories(registry.make_package("blog", path))


def test_a_directory_of_a_package(make_package: PackageMaker) -> None:
    """An asset spec names a directory inside a package, however deep; contract 6."""
    blog = make_package("blog", files={"dir/sub/x.txt": ""})

    assert found("blog:migrations") == (blog.migrations,)
    assert found("blog:dir/sub") == (blog.directory / "dir" / "sub",)
    assert found("blog:") == (blog.directory,)
    assert "blog" not in sys.modules


def test_an_absolute_directory(tmp_path: Path) -> None:
    """An absolute path is taken as it is, with a colon in it too."""
    folder = tmp_path / "with:colon"
    folder.mkdir()

    assert found(str(folder)) == (folder,)
    assert found([str(folder), str(tmp_path)]) == (folder, tmp_path)


def test_a_package_that_cannot_be_imported(make_package: PackageMaker) -> None:
    """A package is located without running its code, so a broken one is located too."""
    broken = make_package("broken", init="raise RuntimeError('imported')")
    deep = make_package("outer.inner", init="raise RuntimeError('imported')")
    write(broken.root / "outer" / "__init__.py", "raise RuntimeError('imported')")

    assert found("broken:migrations") == (broken.migrations,)
    assert found("outer.inner:migrations") == (deep.migrations,)


def test_a_namespace_package(
    make_package: PackageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of a namespace package may lie in several places, nested ones too."""
    here = make_package("acme.tools.blog")
    there = tmp_path / "acme" / "tools" / "shop" / "migrations"
    write(there.parent / "__init__.py", "")
    there.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert found("acme.tools.blog:migrations") == (here.migrations,)
    assert found("acme.tools.shop:migrations") == (there,)


def test_a_package_without_init(packages_root: Path) -> None:
    """A directory without ``__init__.py`` is a package too, as Python says."""
    (packages_root / "bare" / "migrations").mkdir(parents=True)

    assert found("bare:migrations") == (packages_root / "bare" / "migrations",)


def test_beside_a_module(packages_root: Path) -> None:
    """The asset spec of a module means the folder it is in."""
    write(packages_root / "single.py", "raise RuntimeError('imported')")
    (packages_root / "versions").mkdir()

    assert found("single:versions") == (packages_root / "versions",)


class EditableFinder:
    """Maps names to folders off ``sys.path``, as setuptools' editable installs do."""

    def __init__(self, mapping: dict[str, Path]) -> None:
        self.mapping = mapping

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        folder = self.mapping.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(name, folder / "__init__.py")


def test_an_editable_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finders on ``sys.meta_path`` are asked, for parts of a namespace package too."""
    for name in ("blog", "shop"):
        write(tmp_path / name / "__init__.py", "raise RuntimeError('imported')")
        (tmp_path / name / "migrations").mkdir()
    namespace = importlib.machinery.ModuleSpec("acme_ns", None, is_package=True)

    class Namespace:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            return namespace if name == "acme_ns" else None

    finder = EditableFinder({"blog_ed": tmp_path / "blog", "acme_ns.shop": tmp_path / "shop"})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Namespace, finder])

    assert found("blog_ed:migrations") == (tmp_path / "blog" / "migrations",)
    assert found("acme_ns.shop:migrations") == (tmp_path / "shop" / "migrations",)


def test_a_finder_of_the_old_kind(
    make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finder without ``find_spec`` does not disturb."""
    blog = make_package("blog")
    monkeypatch.setattr(sys, "meta_path", [object(), *sys.meta_path])

    assert found("blog:migrations") == (blog.migrations,)


def test_a_module_that_is_imported_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an import settled is where the package is, whatever finders would say."""
    module = ModuleType("blog")
    module.__file__ = str(tmp_path / "blog" / "__init__.py")
    (tmp_path / "blog" / "migrations").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "blog", module)

    assert found("blog:migrations") == (tmp_path / "blog" / "migrations",)


def test_a_missing_package() -> None:
    """A path in a package that is not installed is an error on opening, naming both."""
    package = registry.make_package("blog", "no_such_package.at_all:migrations")

    with pytest.raises(PackagePathError) as caught:
        directories(package)

    assert caught.value.message == (
        "the migrations directory 'no_such_package.at_all:migrations' of package 'blog' "
        "is in 'no_such_package.at_all', which is not installed"
    )


def test_a_missing_directory(make_package: PackageMaker) -> None:
    """A path that does not exist is an error on opening, naming package and path; contract 7."""
    blog = make_package("blog")
    package = registry.make_package("blog", "blog:nowhere")

    with pytest.raises(PackagePathError) as caught:
        directories(package)

    assert caught.value.message == (
        f"the migrations directory '{blog.directory / 'nowhere'}' of package 'blog' does not exist"
    )
    assert caught.value.hint == "run: ptah-migrate init blog, or correct the registered path"
    assert registry.locate(package) == "blog:nowhere"


def test_a_file_instead_of_a_directory(make_package: PackageMaker) -> None:
    """A file is not a directory, and the error says so."""
    blog = make_package("blog")
    package = registry.make_package("blog", "blog:__init__.py")

    with pytest.raises(PackagePathError) as caught:
        directories(package)

    assert caught.value.message == (
        f"the migrations directory '{blog.directory / '__init__.py'}' of package 'blog' "
        "is not a directory"
    )


def test_where_it_is_for_display(make_package: PackageMaker) -> None:
    """The first directory is what lists show."""
    blog = make_package("blog", files={"more/x.txt": ""})

    assert registry.locate(registry.make_package("b", ["blog:migrations", "blog:more"])) == str(
        blog.migrations
    )


# -- a registry ------------------------------------------------------------------------------


def package(name: str, path: str = "", **arguments: Any) -> Package:
    return registry.make_package(name, path or f"{name}:migrations", **arguments)


def test_sorted_by_name() -> None:
    """Packages come by name, whatever the order of registration."""
    found = Registry([package("shop"), package("blog")], available=[package("zoo"), package("api")])

    assert list(found.packages) == ["blog", "shop"]
    assert [p.name for p in found] == ["blog", "shop"]
    assert list(found.available) == ["api", "zoo"]
    assert (len(found), repr(found)) == (2, "Registry(blog, shop)")


def test_an_active_package_is_not_available_too() -> None:
    """What is included is not listed a second time as only installed."""
    found = Registry([package("blog")], available=[package("blog", "other:migrations")])

    assert found.get("blog").path == "blog:migrations"
    assert dict(found.available) == {}


def test_did_you_mean() -> None:
    """An unknown name is a ValueError that names the nearest; contract 5."""
    found = Registry([package("blog"), package("cms")])

    with pytest.raises(UnknownPackageError) as caught:
        found.get("blgo")

    assert isinstance(caught.value, ValueError)
    assert caught.value.message == "no migrations are registered for 'blgo'"
    assert caught.value.hint == "did you mean 'blog'? registered: blog, cms"


def test_installed_but_not_included() -> None:
    """A package that is only installed is told from one that is not there."""
    origin = Origin(Source.ENTRY_POINT, detail="blog 1.0")
    found = Registry([package("cms")], available=[package("blog", origin=origin)])

    with pytest.raises(UnknownPackageError) as caught:
        found.get("blog")

    assert caught.value.hint == (
        "'blog' is installed but not included: include it in the application, entry point blog 1.0"
    )


def test_a_broken_registration_is_what_the_hint_tells() -> None:
    """Asking for a package whose entry point is broken says what is broken."""
    found = Registry(problems=[Problem("blog", "its stub has a syntax error")])

    with pytest.raises(UnknownPackageError) as caught:
        found.get("blog")

    assert caught.value.hint == "its stub has a syntax error"


def test_the_same_registration_twice() -> None:
    """The same path registered twice is one registration, the first."""
    found = Registry([package("blog", title="one"), package("blog", title="two")])

    assert found.get("blog").title == "one"


def test_two_registrations_conflict() -> None:
    """Two directories for one name are an error that names both places."""
    one = package("blog", "a:migrations", origin=Origin(Source.PLUGIN, "a.py", 3))
    two = package("blog", "b:migrations", origin=Origin(Source.APPLICATION, "b.py", 7))

    with pytest.raises(RegistrationConflictError) as caught:
        Registry([one, two])

    assert caught.value.message == (
        "package 'blog' is registered twice: plug-in (a.py:3) and application (b.py:7)"
    )


# -- entry points ------------------------------------------------------------------------


STUB = '''\
"""Schema history of blog."""
raise RuntimeError("imported")


def includeme(config):
    config.include("ptah_migrate")
    config.register_migration(
        "blog", "blog:migrations", title="A blog", metadata="blog.models:Base.metadata",
        options={"render_as_batch": True}, force=True,
    )
'''


@pytest.mark.parametrize("value", ["blog.migrations", "blog:migrations"])
def test_both_forms_of_an_entry_point(
    make_package: PackageMaker, only_here: Path, value: str
) -> None:
    """``pkg.migrations`` and ``pkg:migrations`` mean the same directory."""
    blog = make_package("blog", init="raise RuntimeError('imported')")
    blog.install(value)

    packages, problems = registry.from_entry_points()

    origin = Origin(Source.ENTRY_POINT, str(blog.migrations), detail="blog 1.0")
    assert packages == (package("blog", origin=origin),)
    assert problems == ()
    assert directories(packages[0]) == (blog.migrations,)


def test_a_deep_directory_by_entry_point(make_package: PackageMaker, only_here: Path) -> None:
    """An entry point may name a directory deep in a dotted package."""
    deep = make_package("acme.tools.blog", files={"db/versions/x.txt": ""})
    distribution(only_here, "acme", "blog = acme.tools.blog:db/versions")

    packages, problems = registry.from_entry_points()

    assert [directories(p) for p in packages] == [(deep.directory / "db" / "versions",)]
    assert problems == ()


def test_a_directory_at_the_top(packages_root: Path, only_here: Path) -> None:
    """A package that is nothing but its revisions is named alone."""
    write(packages_root / "history" / "__init__.py", "")
    distribution(only_here, "history", "history = history")

    (found,), _ = registry.from_entry_points()

    assert directories(found) == (packages_root / "history",)


def test_the_stub_speaks(make_package: PackageMaker, only_here: Path) -> None:
    """The literal call inside ``includeme`` says everything, and nothing is imported."""
    blog = make_package("blog")
    stub = blog.add("__init__.py", STUB)
    distribution(only_here, "acme-blog", "other_name = blog.migrations")

    packages, problems = registry.from_entry_points()

    assert problems == ()
    assert packages == (
        package(
            "blog",
            title="A blog",
            metadata="blog.models:Base.metadata",
            options={"render_as_batch": True},
            force=True,
            origin=Origin(Source.ENTRY_POINT, str(stub), 7, "acme-blog 1.0"),
        ),
    )
    assert "blog" not in sys.modules


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            "import ptah_migrate\n"
            "ptah_migrate.register_migration('blog', 'blog:migrations', 'A blog')\n",
            id="an attribute",
        ),
        pytest.param(
            "from ptah_migrate import register_migration\n"
            "register_migration(package='blog', path='blog:migrations', title='A blog')\n",
            id="keywords",
        ),
        pytest.param(
            "import ptah_migrate\n"
            "if True:\n"
            "    ptah_migrate.register_migration('blog', ('blog:migrations',), 'A blog')\n",
            id="in a block",
        ),
    ],
)
def test_a_call_at_module_level(make_package: PackageMaker, only_here: Path, source: str) -> None:
    """A call at module level is found in each way that people write it."""
    blog = make_package("blog")
    blog.add("__init__.py", source)
    blog.install()

    packages, problems = registry.from_entry_points()

    assert problems == ()
    assert [(p.name, p.paths, p.title) for p in packages] == [
        ("blog", ("blog:migrations",), "A blog")
    ]


def test_several_packages_in_one_stub(make_package: PackageMaker, only_here: Path) -> None:
    """One stub may register several histories; a relative path is meant from its folder."""
    blog = make_package("blog", files={"migrations/more/x.txt": ""})
    blog.add(
        "__init__.py",
        "import ptah_migrate as p\n"
        "p.register_migration('blog', 'blog:migrations')\n"
        "p.register_migration('blog_more', 'more')\n"
        "def includeme(config):\n"
        "    config.register_migration('blog', 'blog:migrations')\n",
    )
    blog.install()

    packages, problems = registry.from_entry_points()

    assert problems == ()
    assert [(p.name, p.origin.line) for p in packages] == [("blog", 2), ("blog_more", 3)]
    assert directories(packages[1]) == (blog.migrations / "more",)


def test_what_a_stub_computes_is_left_to_the_application(
    make_package: PackageMaker, only_here: Path
) -> None:
    """Models and titles that are no constants are known when the application registers."""
    blog = make_package("blog")
    blog.add(
        "__init__.py",
        "from blog.models import Base, title\n"
        "def includeme(config):\n"
        "    config.register_migration('blog', 'blog:migrations', title(),\n"
        "                              metadata=Base.metadata, force=True)\n",
    )
    blog.install()

    (found,), problems = registry.from_entry_points()

    assert problems == ()
    assert (found.title, found.metadata, found.force) == ("", None, True)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        pytest.param("r(NAME, 'blog:migrations')", "needs a literal package", id="a computed name"),
        pytest.param("r('blog', 'blog:' + FOLDER)", "needs a literal path", id="a computed path"),
        pytest.param(
            "r('blog', 'blog:migrations', force=FORCE)", "needs a literal force", id="force"
        ),
        pytest.param("r('blog')", "needs a path", id="no path"),
        pytest.param("r()", "needs a package and a path", id="nothing"),
        pytest.param("r('blog', 'p:q', colour='red')", "takes no colour", id="unknown argument"),
        pytest.param("r('blog', 'p:q', **OPTIONS)", "takes no **", id="two stars"),
        pytest.param("r('blog', 'p:q', 'title', True)", "takes no fourth argument", id="four"),
    ],
)
def test_a_stub_that_cannot_be_understood(
    make_package: PackageMaker, only_here: Path, call: str, problem: str
) -> None:
    """What decides over seeding must be a constant: otherwise file and line are named."""
    blog = make_package("blog")
    stub = blog.add("__init__.py", f"import x\nx.{call.replace('r(', 'register_migration(', 1)}\n")
    blog.install()

    packages, problems = registry.from_entry_points()

    assert packages == ()
    assert problems == (
        Problem(
            "blog",
            "entry point 'blog = blog.migrations' of blog 1.0: "
            f"{stub}:2: register_migration {problem}",
            "installed packages are read without running them: write constants here",
        ),
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("x = (\n", ":1: syntax error: '(' was never closed", id="syntax"),
        pytest.param("# coding: no-such\n", ": syntax error: unknown encoding", id="encoding"),
        pytest.param("x = '\\d'\nx = (", ":2: syntax error: '(' was never", id="with a warning"),
    ],
)
def test_a_broken_stub(
    make_package: PackageMaker, only_here: Path, source: str, problem: str
) -> None:
    """A broken stub is reported by name, file and line, and the others work."""
    blog, shop = make_package("blog"), make_package("shop")
    stub = blog.add("__init__.py", source)
    blog.install()
    shop.install()

    packages, problems = registry.from_entry_points()

    assert [p.name for p in packages] == ["shop"]
    assert [p.subject for p in problems] == ["blog"]
    assert problems[0].message.startswith(
        f"entry point 'blog = blog.migrations' of blog 1.0: {stub}{problem}"
    )


def test_entry_points_to_nowhere(make_package: PackageMaker, only_here: Path) -> None:
    """A missing directory and a missing package are reported by name, and the others work."""
    make_package("shop").install()
    make_package("blog").install("blog:nowhere")
    distribution(only_here, "gone", "gone = gone.migrations\nodd name = x y z")

    packages, problems = registry.from_entry_points()

    assert [p.name for p in packages] == ["shop"]
    assert [p.subject for p in problems] == ["blog", "gone", "odd name"]
    assert problems[1].message == (
        "entry point 'gone = gone.migrations' of gone 1.0: the migrations directory "
        "'gone:migrations' of package 'gone' is in 'gone', which is not installed"
    )


def test_an_impossible_registration_in_a_stub(make_package: PackageMaker, only_here: Path) -> None:
    """A stub that says something impossible is reported, and the others work."""
    blog, shop = make_package("blog"), make_package("shop")
    blog.add("__init__.py", "import p\np.register_migration('bl og', 7)\n")
    blog.install()
    shop.install()

    packages, problems = registry.from_entry_points()

    assert [p.name for p in packages] == ["shop"]
    assert problems[0].message == (
        "entry point 'blog = blog.migrations' of blog 1.0: 'bl og' cannot be the name of a package"
    )


def test_two_distributions_claim_one_name(make_package: PackageMaker, only_here: Path) -> None:
    """Neither is used, both are named, and other packages work."""
    make_package("blog_a")
    make_package("blog_b")
    make_package("shop").install()
    distribution(only_here, "one", "blog = blog_a.migrations")
    distribution(only_here, "two", "blog = blog_b.migrations")

    packages, problems = registry.from_entry_points()

    assert [p.name for p in packages] == ["shop"]
    assert [p.subject for p in problems] == ["blog"]
    assert "blog_a:migrations by entry point one 1.0" in problems[0].message
    assert "blog_b:migrations by entry point two 1.0" in problems[0].message


@pytest.mark.filterwarnings("ignore:Implicit None on return values")
def test_a_damaged_distribution(make_package: PackageMaker, only_here: Path) -> None:
    """A malformed entry_points.txt of anybody's stops nobody else."""
    make_package("shop").install()
    damaged = distribution(only_here, "damaged", "no equals sign")
    distribution(only_here, "nameless", "nameless = shop.migrations", metadata="")

    packages, problems = registry.from_entry_points()

    assert [p.name for p in packages] == ["nameless", "shop"]
    assert packages[0].origin.detail == "an unknown distribution"
    assert [p.subject for p in problems] == [str(damaged)]
    assert problems[0].message.startswith("its entry points cannot be read: ")


def test_discovery(make_package: PackageMaker, only_here: Path) -> None:
    """Every installed package takes part, or those that are named."""
    for name in ("blog", "shop"):
        make_package(name).install()
    make_package("broken").install("broken:nowhere")

    everything = registry.discover()
    some = registry.discover(include=["blog"])

    assert list(everything.packages) == ["blog", "shop"]
    assert [p.subject for p in everything.problems] == ["broken"]
    assert (list(some.packages), list(some.available)) == (["blog"], ["shop"])


# -- projects ----------------------------------------------------------------------------


@pytest.fixture
def sys_path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return ``sys.path``; it is as it was after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return sys.path


def project(root: Path, name: str, source: str = "", entry: str = "") -> Path:
    """Write a project that declares a package, in its src or flat layout."""
    entry = entry or f"{name}.migrations"
    write(root / "pyproject.toml", f'[project.entry-points.ptah_migrate]\n{name} = "{entry}"\n')
    folder = root / source / name
    write(folder / "__init__.py", "raise RuntimeError('imported')")
    write(folder / "migrations" / "__init__.py", "")
    return folder


@pytest.mark.parametrize("source", ["src", ""], ids=["src layout", "flat layout"])
def test_a_project_that_is_not_installed(tmp_path: Path, sys_path: list[str], source: str) -> None:
    """The package of a project is found from its pyproject.toml, from below too."""
    folder = project(tmp_path, "prj_blog", source)

    for start in (tmp_path, folder, folder / "migrations"):
        (found,) = registry.from_project(start)

        assert (found.name, found.path) == ("prj_blog", "prj_blog:migrations")
        assert found.origin.source is Source.PROJECT
        assert directories(found) == (folder / "migrations",)
    assert sys_path[0] == str(tmp_path / source)
    assert sys_path.count(str(tmp_path / source)) == 1


def test_a_flat_project_with_other_sources(tmp_path: Path, sys_path: list[str]) -> None:
    """A folder ``src`` with something else does not hide a package beside it."""
    folder = project(tmp_path, "prj_flat")
    write(tmp_path / "src" / "main.c", "")

    (found,) = registry.from_project(tmp_path)

    assert directories(found) == (folder / "migrations",)


def test_the_nearest_project_counts(tmp_path: Path, sys_path: list[str]) -> None:
    """A project inside another one is its own."""
    project(tmp_path, "prj_outer")
    project(tmp_path / "sub", "prj_inner")

    assert [p.name for p in registry.from_project(tmp_path / "sub")] == ["prj_inner"]
    assert registry.project_root(tmp_path / "sub" / "prj_inner") == tmp_path / "sub"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'x'\n",
        "project = 3\n",
        "[project]\nentry-points = 3\n",
        "[project.entry-points]\nptah_migrate = 'x'\n",
    ],
)
def test_a_project_without_packages(tmp_path: Path, text: str) -> None:
    """A project that declares nothing of ours has no packages."""
    write(tmp_path / "pyproject.toml", text)

    assert registry.from_project(tmp_path) == ()


def test_no_project(tmp_path: Path) -> None:
    """Outside of any project there is nothing."""
    if registry.project_root(tmp_path) is None:
        assert registry.from_project(tmp_path) == ()


def test_a_pyproject_that_is_no_toml(tmp_path: Path) -> None:
    """A broken pyproject.toml is named."""
    path = write(tmp_path / "pyproject.toml", "[project\n")

    with pytest.raises(ConfigError, match="cannot be read") as caught:
        registry.from_project(tmp_path)

    assert caught.value.message.startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize(
    ("stub", "error"),
    [
        pytest.param("x = (", RegistrationError, id="broken stub"),
        pytest.param(None, PackagePathError, id="no directory"),
    ],
)
def test_a_broken_project(
    tmp_path: Path, sys_path: list[str], stub: str | None, error: type[PtahMigrateError]
) -> None:
    """What a project declares and does not have is our error."""
    folder = project(tmp_path, "prj_broken")
    init = folder / "migrations" / "__init__.py"
    if stub is None:
        init.unlink()
        init.parent.rmdir()
    else:
        init.write_text(stub, encoding="utf-8")

    with pytest.raises(error):
        registry.from_project(tmp_path)
