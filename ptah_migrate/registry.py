"""
Which packages carry migrations, where each was registered, and who wins.

Entry points and project files only *locate* packages. They are read without
importing the packages (the registration stub is read by ``ast``), so a broken
add-on can be listed, and named, without stopping the others.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ptah_migrate import cache
from ptah_migrate.errors import (
    ConfigError,
    PackagePathError,
    PtahMigrateError,
    RegistrationConflictError,
    RegistrationError,
    UnknownPackageError,
)
from ptah_migrate.model import FRESH, Origin, Package, Problem, Source

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "ptah_migrate"

# A name ends up in targets (``name:rev@…``), rows and messages. Distribution-like
# and dotted names are fine; what separates words there is not.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


class Registry:
    """
    The packages that take part, and those that are only installed.

    ``packages`` are active: commands work on them. ``available`` are installed
    with migrations, but not included by the application. ``problems`` are
    registrations that could not be used. All three are sorted by name.
    """

    def __init__(
        self,
        packages: Iterable[Package] = (),
        *,
        available: Iterable[Package] = (),
        problems: Iterable[Problem] = (),
    ) -> None:
        self.packages = _by_name(packages)
        self.available = MappingProxyType(
            {k: v for k, v in _by_name(available).items() if k not in self.packages}
        )
        self.problems = tuple(problems)

    def get(self, name: str) -> Package:
        """
        Return the active package of this name.

        Raises:
            UnknownPackageError: there is none; the hint names the nearest, or
                says that the package is installed but not included.
        """
        if name in self.packages:
            return self.packages[name]
        if name in self.available:
            origin = self.available[name].origin
            hint = (
                f"'{name}' is installed but not included: include it in the application, {origin}"
            )
        else:
            hint = next((p.message for p in self.problems if p.subject == name), "")
        raise UnknownPackageError(name, self.packages, hint=hint)

    def __iter__(self) -> Iterator[Package]:
        return iter(self.packages.values())

    def __len__(self) -> int:
        return len(self.packages)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self.packages)})"


def discover(*, include: Sequence[str] | None = None) -> Registry:
    """
    Return a registry of every installed package that has an entry point.

    ``include`` limits the active ones to these names; the others are available.
    """
    found, problems = from_entry_points()
    if include is None:
        return Registry(found, problems=problems)
    wanted = set(include)
    return Registry(
        (p for p in found if p.name in wanted),
        available=(p for p in found if p.name not in wanted),
        problems=problems,
    )


def make_package(
    name: str,
    path: str | Sequence[str],
    title: str = "",
    *,
    force: bool = False,
    fresh: str = "auto",
    branches: bool = False,
    recursive: bool = False,
    alembic_version: bool = False,
    metadata: Any = None,
    naming_convention: Any = None,
    tables: Sequence[str] | None = None,
    options: Any = None,
    attributes: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
) -> Package:
    """
    Return a validated package.

    Args:
        name: the name in targets and in the version table.
        path: asset spec (``blog:migrations``) or absolute directory; several for
            a history kept in several directories, the first one gets new files.
        title: one line for people.
        force: never seed this package, always run its steps.
        fresh: ``steps`` or ``create`` state what reading the history cannot tell
            about a database without a version; ``auto`` reads it.
        branches: the history has several heads on purpose, ``head`` means all.
        recursive: look for revision files in sub-folders too.
        alembic_version: keep a table of that name too, for revisions whose SQL
            names it.
        metadata: the models: a MetaData, a declarative base, a callable that
            returns one, or a dotted name of these.
        naming_convention: as MetaData takes it, where there are no models.
        tables: the names of the package's own tables, if ``metadata`` has others.
        options: further arguments of Alembic's ``MigrationContext.configure``.
        attributes: what revisions find in ``context.config.attributes``.

    Raises:
        RegistrationError: a name, a path or a word is impossible.

    """
    _check_name(name)
    if fresh not in FRESH:
        raise RegistrationError(
            f"fresh={fresh!r} of package '{name}' is not known", hint=f"one of {', '.join(FRESH)}"
        )
    return Package(
        name=name,
        paths=_paths(name, path),
        title=" ".join(str(title or "").split()),
        force=bool(force),
        fresh=fresh,
        branches=bool(branches),
        recursive=bool(recursive),
        alembic_version=bool(alembic_version),
        metadata=metadata,
        naming_convention=naming_convention,
        tables=None if tables is None else _texts(name, "tables", tables),
        options=options,
        attributes=_mapping(name, "attributes", attributes),
        origin=origin or _APPLICATION,
    )


_APPLICATION = Origin(Source.APPLICATION)


# What a registration says comes from files that nobody type-checked.


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise RegistrationError(
            f"{name!r} cannot be the name of a package",
            hint="letters, digits, '_', '.' and '-', at most 128, not starting with '.' or '-'",
        )


def _paths(name: str, path: object) -> tuple[str, ...]:
    if isinstance(path, str) and path:
        return (path,)
    given = (path,) if isinstance(path, str | PathLike) else path
    if isinstance(given, Iterable):
        paths = [fspath(p) if isinstance(p, PathLike) else p for p in given]
        if paths and all(isinstance(p, str) and p for p in paths):
            return tuple(dict.fromkeys(paths))
    raise RegistrationError(
        f"package '{name}' is registered without a path",
        hint=f"register_migration('{name}', '{name}:migrations')",
    )


def _texts(name: str, what: str, value: object) -> tuple[str, ...]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        found = tuple(value)
        if all(isinstance(text, str) for text in found):
            return found
    raise RegistrationError(f"{what}={value!r} of package '{name}' is not a list of texts")


def _mapping(name: str, what: str, value: object) -> Mapping[str, Any]:
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise RegistrationError(f"{what}={value!r} of package '{name}' is not a mapping")


def directories(package: Package) -> tuple[Path, ...]:
    """
    Return the absolute directories of a package's revisions, imports nothing of it.

    Raises:
        PackagePathError: one of them is not there, or is not a directory.

    """
    return tuple(_directory(package.name, path) for path in package.paths)


def locate(package: Package) -> str:
    """Return the first directory for display, even when it does not exist."""
    try:
        return str(directories(package)[0])
    except PackagePathError:
        return package.path


def _directory(name: str, path: str) -> Path:
    found = resolve_path(path)
    if found is None:
        root = path.partition(":")[0]
        raise PackagePathError(name, path, f"is in '{root}', which is not installed")
    if not found.exists():
        raise PackagePathError(name, str(found))
    if not found.is_dir():
        raise PackagePathError(name, str(found), "is not a directory")
    return found


def resolve_path(path: str) -> Path | None:
    """Return where an asset spec or a path points to; None when its package is not found."""
    module, colon, rest = path.partition(":")
    if not colon or Path(path).is_absolute() or "/" in module or "\\" in module:
        return Path(path).absolute()
    folder = _package_folder(module)
    return None if folder is None else folder.joinpath(*rest.split("/")).absolute()


def _package_folder(module: str) -> Path | None:
    """
    Return the folder of a dotted package, without importing it or its parents.

    ``importlib.util.find_spec`` would import the parents. Here every finder is
    asked for each part of the name in turn, so editable installs are found too;
    where none knows a part, a directory of that name will do. Modules that an
    import already settled win.
    """
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__)).parent
    folders: list[str] | None = None
    parts = module.split(".")
    for count, part in enumerate(parts, start=1):
        folders = _folders(".".join(parts[:count]), part, folders)
    return next((Path(folder) for folder in folders or () if Path(folder).is_dir()), None)


def _folders(name: str, part: str, parents: list[str] | None) -> list[str]:
    """Return the folder(s) of one part of a dotted name, given those of the part above it."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, parents)
        except (ImportError, ValueError, AttributeError, KeyError):
            continue  # a namespace package asks for its parent, which is not imported
        if spec is not None and spec.submodule_search_locations is not None:
            return list(spec.submodule_search_locations)
        if spec is not None and spec.origin and spec.has_location:
            return [str(Path(spec.origin).parent)]
    return [str(Path(parent, part)) for parent in parents or ()]


# -- entry points ----------------------------------------------------------------


def from_entry_points() -> tuple[tuple[Package, ...], tuple[Problem, ...]]:
    """
    Return the packages of every installed distribution, and what could not be used.

    No package is imported. Two distributions that claim one name are a problem
    of that name only: neither is used, both are named. What was found before
    is taken again while nothing was installed or removed meanwhile.
    """
    now, path = cache.clock(), cache.search_path()
    remembered = _remembered(path)
    if remembered is not None:
        return remembered, ()
    found, problems, folders = _located()
    if not problems:
        _remember(path, found, folders, now)
    return found, problems


def _located() -> tuple[tuple[Package, ...], tuple[Problem, ...], dict[str, str]]:
    """Return the packages, the problems, and the folder that each entry point names."""
    found: dict[str, Package] = {}
    clashes: set[str] = set()
    folders: dict[str, str] = {}
    entries, problems = _entry_points()
    for entry in entries:
        try:
            for package in located(entry.name, entry.value, _origin(entry)):
                other = found.setdefault(package.name, package)
                if other.paths != package.paths:
                    clashes.add(package.name)
                    problems.append(_clash(other, package))
            folders[_spec(entry.value)] = str(resolve_path(_spec(entry.value)))
        except PtahMigrateError as error:
            problems.append(Problem(entry.name, _entry_problem(entry, error), error.hint))
    packages = tuple(p for p in found.values() if p.name not in clashes)
    return packages, tuple(problems), folders


def _remembered(path: list[list[Any]]) -> tuple[Package, ...] | None:
    """Return the packages that were found when everything was as it is now."""
    value = cache.load("installed", repr(sys.path))
    try:
        if value is None or value["path"] != path or not cache.unchanged(value["stamps"]):
            return None
        if any(is_moved(spec, folder) for spec, folder in value["folders"].items()):
            return None
        return tuple(map(_package, value["packages"]))
    except (LookupError, TypeError, ValueError, AttributeError, PtahMigrateError):
        return None  # whatever it is, it is not of our making


def _remember(
    path: list[list[Any]], packages: Sequence[Package], folders: Mapping[str, str], now: int
) -> None:
    stamps = cache.stamped(cache.distributions())
    for folder in folders.values():
        stub = os.path.join(folder, "__init__.py")  # noqa: PTH118 - hot
        stamps += cache.stamped([stub] if cache.stamp(stub) else [stub, folder])
    rows = [_row(package) for package in packages]
    with suppress(TypeError, ValueError, PtahMigrateError):
        # A literal that JSON does not keep as it is would come back as another one.
        kept = tuple(_package(row) for row in json.loads(json.dumps(rows)))
        if cache.settled((was for _, was in stamps), now) and kept == tuple(packages):
            value = {"path": path, "stamps": stamps, "folders": dict(folders)}
            cache.store("installed", repr(sys.path), {**value, "packages": rows})


def _row(package: Package) -> dict[str, Any]:
    """Return what `make_package` has to be told, without what it assumes anyway."""
    said = {
        name: value
        for name, value in package._asdict().items()
        if name not in ("paths", "skip_tables", "origin")
        and value not in (None, False, "", "auto", {})
    }
    origin = package.origin
    return {**said, "path": package.paths, "origin": [origin.file, origin.line, origin.detail]}


def _package(row: dict[str, Any]) -> Package:
    return make_package(**{**row, "origin": Origin(Source.ENTRY_POINT, *row["origin"])})


def is_moved(spec: str, folder: str) -> bool:
    """Return whether a module that was loaded meanwhile says that an asset is elsewhere."""
    module, colon, rest = spec.partition(":")
    loaded = sys.modules.get(module) if colon else None
    if loaded is None or not getattr(loaded, "__file__", None):
        return False
    parent = os.path.dirname(str(loaded.__file__))  # noqa: PTH120 - hot
    return os.path.join(parent, *filter(None, rest.split("/"))) != folder  # noqa: PTH118 - hot


# What importlib.metadata raises for a damaged distribution; each Python has its own words.
_MALFORMED = (OSError, TypeError, ValueError, AttributeError, KeyError)


def _entry_points() -> tuple[list[EntryPoint], list[Problem]]:
    """Return the entry points of our group, in a fixed order, each once."""
    # With what it loads it takes as long as all of ours; most starts remember what is installed.
    from importlib.metadata import entry_points

    problems: list[Problem] = []
    try:
        found = set(entry_points(group=GROUP))
    except _MALFORMED:
        # One distribution with a malformed file breaks the list of all: one by one then.
        found, problems = _entry_points_one_by_one()
    return sorted(found, key=lambda entry: (entry.name, entry.value)), problems


def _entry_points_one_by_one() -> tuple[set[EntryPoint], list[Problem]]:
    from importlib.metadata import distributions

    found: set[EntryPoint] = set()
    problems: list[Problem] = []
    for distribution in distributions():
        try:
            found.update(distribution.entry_points.select(group=GROUP))
        except _MALFORMED as error:
            place = getattr(distribution, "_path", "an unknown distribution")
            words = f"its entry points cannot be read: {type(error).__name__}: {error}"
            problems.append(Problem(str(place), words, "reinstall that distribution"))
    return found, list(dict.fromkeys(problems))


def _clash(first: Package, second: Package) -> Problem:
    return Problem(
        first.name,
        f"registered twice: {first.path} by {first.origin}, and {second.path} by {second.origin}",
        "uninstall one of them, or register the right one in the application",
    )


def _entry_problem(entry: EntryPoint, error: PtahMigrateError) -> str:
    return f"entry point '{entry.name} = {entry.value}' of {_distribution(entry)}: {error.message}"


def _distribution(entry: EntryPoint) -> str:
    try:
        dist = entry.dist
        if dist is not None and dist.name:
            return f"{dist.name} {dist.version}"
    except _MALFORMED:  # no METADATA
        pass
    return "an unknown distribution"


def _origin(entry: EntryPoint) -> Origin:
    return Origin(Source.ENTRY_POINT, detail=_distribution(entry))


def located(name: str, value: str, origin: Origin) -> tuple[Package, ...]:
    """
    Return what an entry point ``name = value`` registers.

    ``value`` is ``pkg.migrations`` or ``pkg:migrations``; both mean a directory.
    A literal ``register_migration(...)`` in its ``__init__.py`` speaks for it.

    Raises:
        PackagePathError: there is no such directory.
        RegistrationError: the stub cannot be read, or says something impossible.

    """
    spec = _spec(value)
    folder = _directory(name, spec)
    stub = folder / "__init__.py"
    packages = [
        make_package(**said, origin=origin._replace(file=str(stub), line=line))
        for line, said in (_registrations(stub) if stub.is_file() else ())
    ]
    return tuple(packages) or (make_package(name, spec, origin=origin._replace(file=str(folder))),)


def _spec(value: str) -> str:
    """Return the asset that the value of an entry point means."""
    value = value.strip()
    return value if ":" in value else _spec_of_module(value)


def _spec_of_module(module: str) -> str:
    parent, _, last = module.rpartition(".")
    return f"{parent}:{last}" if parent else f"{module}:"


# Arguments of a registration, by what happens when a stub computes one of them:
# it is left to the application, or nothing can be known of the package at all.
_POSITIONAL = ("package", "path", "title")
_LATER = frozenset({"title", "metadata", "naming_convention", "options", "attributes"})
_NOW = frozenset({"package", "path", "force", "fresh", "branches", "recursive", "tables"})


def _registrations(stub: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line and arguments of every ``register_migration`` call of a stub."""
    calls = [
        node
        for node in ast.walk(_parsed(stub))
        if isinstance(node, ast.Call) and _called(node.func) == "register_migration"
    ]
    for call in sorted(calls, key=lambda node: node.lineno):
        said = _arguments(call, stub)
        name, path = said.pop("package"), said.pop("path")
        yield call.lineno, {"name": name, "path": _beside(stub, path), **said}


def _beside(stub: Path, path: Any) -> Any:
    """Return registered paths; a relative one is meant from the stub's folder, as Pyramid does."""
    if isinstance(path, list | tuple):
        return [_beside(stub, one) for one in path]
    if isinstance(path, str) and path and ":" not in path:
        return str(stub.parent / path)
    return path


def _parsed(stub: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are for the author, when the file is run
            return ast.parse(stub.read_bytes(), str(stub))
    except SyntaxError as error:
        place = f"{stub}:{error.lineno}" if error.lineno else str(stub)
        problem = f"{place}: syntax error: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        problem = f"{stub}: cannot be read: {error}"
    raise RegistrationError(problem, hint="correct the file")


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _arguments(call: ast.Call, stub: Path) -> dict[str, Any]:
    given = dict(zip(_POSITIONAL, call.args, strict=False))
    given.update({keyword.arg or "**": keyword.value for keyword in call.keywords})
    unknown = sorted(given.keys() - _NOW - _LATER)
    if unknown or len(call.args) > len(_POSITIONAL):
        raise _stub_error(stub, call, f"takes no {', '.join(unknown) or 'fourth argument'}")
    if missing := [name for name in ("package", "path") if name not in given]:
        raise _stub_error(stub, call, f"needs a {' and a '.join(missing)}")
    said: dict[str, Any] = {}
    for name, value in given.items():
        try:
            said[name] = ast.literal_eval(value)
        except ValueError as error:
            if name in _NOW:
                raise _stub_error(stub, call, f"needs a literal {name}") from error
    return said


def _stub_error(stub: Path, call: ast.Call, problem: str) -> RegistrationError:
    return RegistrationError(
        f"{stub}:{call.lineno}: register_migration {problem}",
        hint="installed packages are read without running them: write constants here",
    )


# -- a project on disk, not installed ------------------------------------------------


def project_root(directory: Path) -> Path | None:
    """Return the nearest folder, at or above ``directory``, that has a pyproject.toml."""
    directory = directory.absolute()
    folders = (directory, *directory.parents)
    return next((folder for folder in folders if (folder / "pyproject.toml").is_file()), None)


def read_project(root: Path) -> dict[str, Any]:
    """
    Return the pyproject.toml of a project.

    Raises:
        ConfigError: it is not TOML, or cannot be read.

    """
    import tomllib

    path = root / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="correct the file") from error


def source_folder(root: Path, module: str = "") -> Path:
    """Return the folder of a project that its packages, or this one, are imported from."""
    source = root / "src"
    flat = module and (root / module).exists() and not (source / module).exists()
    return source if source.is_dir() and not flat else root


def from_project(directory: Path) -> tuple[Package, ...]:
    """
    Return the packages that the nearest project declares, installed or not.

    The project's source folder is put on ``sys.path``, so that its models and
    the code its revisions use can be imported.

    Raises:
        ConfigError: pyproject.toml cannot be read.
        PackagePathError, RegistrationError: it declares something that is not there.

    """
    root = project_root(directory)
    if root is None:
        return ()
    origin = Origin(Source.PROJECT, detail=root.name)
    found: dict[str, Package] = {}
    for name, value in sorted(_entries(read_project(root)).items()):
        importable(source_folder(root, re.split("[.:]", str(value))[0]))
        for package in located(str(name), str(value), origin):
            found.setdefault(package.name, package)
    return tuple(found.values())


def importable(folder: Path) -> None:
    """Put a source folder on ``sys.path``."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        PathFinder.invalidate_caches()


def _entries(project: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry points of our group, whatever shape the file has."""
    table: Any = project
    for key in ("project", "entry-points", GROUP):
        table = table.get(key) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def _by_name(packages: Iterable[Package]) -> Mapping[str, Package]:
    found: dict[str, Package] = {}
    for package in packages:
        other = found.setdefault(package.name, package)
        if other is not package:
            _agree(other, package)
    return MappingProxyType(dict(sorted(found.items())))


def _agree(first: Package, second: Package) -> None:
    if first.paths != second.paths:
        raise RegistrationConflictError(first.name, str(first.origin), str(second.origin))
