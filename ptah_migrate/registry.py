"""
Which packages carry migrations, where each was registered, and who wins.

Entry points and project files only *locate* packages. They are read without
importing the packages (the registration stub is read by ``ast``), so a broken
add-on can be listed, and named, without stopping the others.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ptah_migrate.errors import (
    ConfigError,
    PackagePathError,
    RegistrationConflictError,
    RegistrationError,
    UnknownPackageError,
)
from ptah_migrate.model import FRESH, Origin, Package, Problem, Source

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
            hint = f"'{name}' is installed ({self.available[name].origin}) but not included"
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
        metadata: the models: a MetaData, a declarative base, a callable that
            returns one, or a dotted name of these.
        naming_convention: as MetaData takes it, where there are no models.
        tables: the names of the package's own tables, if ``metadata`` has others.
        options: further arguments of Alembic's ``MigrationContext.configure``.
        attributes: what revisions find in ``context.config.attributes``.

    Raises:
        RegistrationError: a name, a path or a word is impossible.

    """
    paths = (path,) if isinstance(path, str) else tuple(path)
    if not isinstance(name, str) or not _NAME.match(name):
        raise RegistrationError(
            f"{name!r} cannot be the name of a package",
            hint="letters, digits, '_', '.' and '-', at most 128, not starting with '.' or '-'",
        )
    if not paths or not all(isinstance(p, str) and p for p in paths):
        raise RegistrationError(
            f"package '{name}' is registered without a path",
            hint=f"register_migration('{name}', '{name}:migrations')",
        )
    if fresh not in FRESH:
        raise RegistrationError(
            f"fresh={fresh!r} of package '{name}' is not known", hint=f"one of {', '.join(FRESH)}"
        )
    return Package(
        name=name,
        paths=paths,
        title=" ".join(str(title or "").split()),
        force=bool(force),
        fresh=fresh,
        branches=bool(branches),
        recursive=bool(recursive),
        metadata=metadata,
        naming_convention=naming_convention,
        tables=None if tables is None else tuple(tables),
        options=options,
        attributes=dict(attributes or {}),
        origin=origin or Origin(Source.APPLICATION),
    )


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
    # One letter before the colon is a Windows drive, not a package.
    if not colon or len(module) == 1 or "/" in module or "\\" in module:
        return Path(path).absolute()
    folder = _package_folder(module)
    return None if folder is None else folder.joinpath(*rest.split("/")).absolute()


def _package_folder(module: str) -> Path | None:
    """
    Return the folder of a dotted package, without importing it or its parents.

    ``importlib.util.find_spec`` would import the parents; walking from the
    top-level spec does not. Modules that an import already settled win.
    """
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__)).parent
    top, *rest = module.split(".")
    for folder in _top_folders(top):
        candidate = folder.joinpath(*rest)
        if candidate.is_dir():
            return candidate
    return None


def _top_folders(top: str) -> list[Path]:
    """Return the folder(s) of a top-level package, asking every finder (editable installs too)."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(top, None) if find is not None else None
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is not None:
            if spec.submodule_search_locations is not None:
                return [Path(location) for location in spec.submodule_search_locations]
            return [Path(spec.origin).parent] if spec.origin else []
    return []


# -- entry points ----------------------------------------------------------------


def from_entry_points() -> tuple[tuple[Package, ...], tuple[Problem, ...]]:
    """
    Return the packages of every installed distribution, and what could not be used.

    No package is imported. Two distributions that claim one name are a problem
    of that name only: neither is used, both are named.
    """
    found: dict[str, Package] = {}
    problems: list[Problem] = []
    clashes: set[str] = set()
    for entry in sorted(set(entry_points(group=GROUP)), key=lambda e: (e.name, e.value)):
        try:
            for package in _from_entry_point(entry):
                other = found.setdefault(package.name, package)
                if other.paths != package.paths:
                    clashes.add(package.name)
                    problems.append(_clash(other, package))
        except (OSError, SyntaxError, ValueError, PackagePathError, RegistrationError) as error:
            problems.append(Problem(entry.name, _entry_problem(entry, error)))
    return tuple(p for p in found.values() if p.name not in clashes), tuple(problems)


def _clash(first: Package, second: Package) -> Problem:
    return Problem(
        first.name,
        f"registered twice: {first.path} by {first.origin}, and {second.path} by {second.origin}",
        "uninstall one of them, or register the right one in the application",
    )


def _entry_problem(entry: EntryPoint, error: Exception) -> str:
    reason = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return f"entry point '{entry.name} = {entry.value}' of {_distribution(entry)}: {reason}"


def _distribution(entry: EntryPoint) -> str:
    dist = entry.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an unknown distribution"


def _from_entry_point(entry: EntryPoint) -> tuple[Package, ...]:
    origin = Origin(Source.ENTRY_POINT, detail=_distribution(entry))
    return located(entry.name, entry.value, origin)


def located(name: str, value: str, origin: Origin) -> tuple[Package, ...]:
    """
    Return what an entry point ``name = value`` registers.

    ``value`` is ``pkg.migrations`` or ``pkg:migrations``; both mean a directory.
    A literal ``register_migration(...)`` in its ``__init__.py`` speaks for it.

    Raises:
        PackagePathError: there is no such directory.
        RegistrationError, SyntaxError, OSError: the stub cannot be read.

    """
    value = value.strip()
    spec = value if ":" in value else _spec_of_module(value)
    folder = _directory(name, spec)
    stub = folder / "__init__.py"
    calls = list(_registrations(stub)) if stub.is_file() else []
    packages = [
        make_package(*args, **kwargs, origin=replace(origin, file=str(stub), line=line))
        for line, args, kwargs in calls
    ]
    return tuple(packages) or (make_package(name, spec, origin=replace(origin, file=str(folder))),)


def _spec_of_module(module: str) -> str:
    parent, _, last = module.rpartition(".")
    return f"{parent}:{last}" if parent else f"{module}:"


def _registrations(stub: Path) -> Iterator[tuple[int, list[Any], dict[str, Any]]]:
    """Yield the literal ``register_migration`` calls of a stub; calls with other arguments don't count."""
    tree = ast.parse(stub.read_bytes(), str(stub))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name != "register_migration":
            continue
        try:
            args = [ast.literal_eval(arg) for arg in node.args]
            kwargs = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
        except ValueError:
            continue
        known = make_package.__kwdefaults__ or {}
        if args and all(key in known or key in ("name", "path", "title") for key in kwargs):
            yield node.lineno, args, kwargs


# -- a project on disk, not installed ------------------------------------------------


def project_root(directory: Path) -> Path | None:
    """Return the nearest folder, at or above ``directory``, that has a pyproject.toml."""
    directory = directory.absolute()
    return next(
        (folder for folder in (directory, *directory.parents) if (folder / "pyproject.toml").is_file()),
        None,
    )


def read_project(root: Path) -> dict[str, Any]:
    """
    Return the pyproject.toml of a project.

    Raises:
        ConfigError: it is not TOML, or cannot be read.

    """
    path = root / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="correct the file") from error


def source_folder(root: Path) -> Path:
    """Return the folder of a project that its packages are imported from."""
    return root / "src" if (root / "src").is_dir() else root


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
    table = _entries(read_project(root))
    if not table:
        return ()
    sources = str(source_folder(root))
    if sources not in sys.path:
        sys.path.insert(0, sources)
        PathFinder.invalidate_caches()
    origin = Origin(Source.PROJECT, detail=root.name)
    found: list[Package] = []
    for name, value in sorted(table.items()):
        found.extend(located(str(name), str(value), origin))
    return tuple(found)


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
