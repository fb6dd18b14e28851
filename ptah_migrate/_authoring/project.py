"""
What is in a project directory: the package, its models, its registration.

Everything is read as text; no code of the project runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ptah_migrate._authoring.naming import check_package, derive_package, listed, shown
from ptah_migrate.errors import AuthoringError
from ptah_migrate.registry import GROUP, project_root, read_project

# May lie in a directory that is about to become a project.
_HARMLESS = re.compile(r"(readme|licen[cs]e|copying|notice|authors|change(s|log))\b", re.IGNORECASE)

# Folders with an ``__init__.py`` that are seldom the package a project is about.
_ASIDE = frozenset(
    {"bench", "benchmarks", "build", "dist", "doc", "docs", "example", "examples"}
    | {"migrations", "scripts", "test", "testing", "tests", "tools"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """
    Where ``init`` works: the project's root, the package, its folder below the root.

    ``new``: there is nothing yet, the whole project is to be made.
    """

    root: Path
    name: str
    folder: Path
    new: bool


def find(directory: Path, name: str | None = None) -> Found:
    """
    Return the package that a directory is about.

    An empty directory (hidden files, a virtual environment, a README or a
    licence do not count) gives a new project, named after the directory.

    Raises:
        AuthoringError: there is no directory, no package or no single one.
        NameTakenError: the name cannot be a package's.
        ConfigError: pyproject.toml cannot be read.

    """
    if not directory.is_dir():
        raise AuthoringError(f"there is no directory '{directory}'", hint="make it first")
    directory = directory.resolve()
    if _is_empty(directory):
        name = derive_package(directory.name) if name is None else name
        return Found(directory, name, directory / "src" / name, new=True)
    root = project_root(directory)
    project = {} if root is None else read_project(root)
    home = root or directory
    sources = [folder for folder in (home / "src", home) if folder.is_dir()]
    names = [name] if name is not None else list(_names(project))
    found = _first(sources, names) or (None if name else _only(sources, home))
    if found is None:
        raise _nothing_found(home, names if name is not None else [], declared=root is not None)
    return Found(home, found[0], found[1], new=False)


def _is_empty(directory: Path) -> bool:
    return all(
        entry.name.startswith(".")
        or entry.name == "__pycache__"
        or (entry.is_file() and _HARMLESS.match(entry.name))
        or (entry / "pyvenv.cfg").is_file()
        for entry in directory.iterdir()
    )


def taken(root: Path, name: str) -> str:
    """Return why a new project cannot be made in a folder under a name, or nothing."""
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        return f"'{root}' is there and is no folder"
    if root.is_dir() and not _is_empty(root):
        return f"'{root}' is there and is not empty"
    if name in {entry.name for entry in entry_points(group=GROUP)}:
        return f"{shown(name)} is the name of an installed package with migrations"
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None:  # a folder that happens to be importable
        return ""
    return f"{shown(name)} is a module that is installed here already"


def _names(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a project says its package may be called, surest first."""
    table = _table(project, "project", "entry-points", GROUP)
    if len(table) == 1:
        yield re.split(r"[:.][^:.]*\Z", str(next(iter(table.values()))).strip())[0]
    for distribution in (
        _table(project, "project").get("name"),
        _table(project, "tool", "poetry").get("name"),
    ):
        if isinstance(distribution, str):
            dotted = distribution.replace("-", "_")
            yield from (dotted, dotted.lower(), re.sub(r"[-_.]+", "_", dotted).lower())


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    table: Any = document
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def _first(sources: Iterable[Path], names: Iterable[str]) -> tuple[str, Path] | None:
    """Return the first of these names that is a package in one of the folders."""
    sources = list(sources)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            continue
        for source in sources:
            folder = source.joinpath(*name.split("."))
            if (folder / "__init__.py").is_file():
                return name, folder
    return None


def _only(sources: Iterable[Path], home: Path) -> tuple[str, Path] | None:
    """Return the one package of the first folder that has any."""
    for source in sources:
        found = sorted(
            entry.name
            for entry in source.iterdir()
            if (entry / "__init__.py").is_file()
            and entry.name.isidentifier()
            and entry.name not in _ASIDE
        )
        if len(found) > 1:
            raise AuthoringError(
                f"'{home}' has several packages: {listed(found)}",
                hint=f"name one: ptah-migrate init {found[0]}",
            )
        if found:
            return found[0], source / found[0]
    return None


def _nothing_found(home: Path, names: list[str], *, declared: bool) -> AuthoringError:
    for name in names:
        check_package(name)
        return AuthoringError(
            f"there is no package {shown(name)} in '{home}'",
            hint=f"make {name}/__init__.py first, or run it in an empty directory",
        )
    if declared:
        return AuthoringError(
            f"the project in '{home}' has no package (a folder with an __init__.py)",
            hint="make the package first, or name it: ptah-migrate init NAME",
        )
    return AuthoringError(
        f"'{home}' is not empty, and has neither a pyproject.toml nor a package",
        hint="run it in the folder of a project, or in an empty directory",
    )


# -- models ------------------------------------------------------------------------


def metadata(folder: Path, name: str) -> str:
    """
    Return the dotted name of a package's metadata (``blog.models:Base.metadata``), or nothing.

    Only what the text of the usual modules shows counts. The module named is
    the one whose import makes the models known: ``models`` before ``models.meta``.
    """
    for module in ("models", "models.meta", "models.base", "meta"):
        path = folder.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            found = _metadata_of(file, imported=module == "models")
            if found:
                return f"{name}.{module}:{found}"
    return ""


def _metadata_of(file: Path, *, imported: bool) -> str:
    """Return the expression in a module that is its metadata; ``imported``: an import will do."""
    names: dict[str, str] = {}
    for node in _body(file):
        if isinstance(node, ast.ClassDef) and _is_declarative(node):
            names[node.name] = f"{node.name}.metadata"
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            made = _last_word(node.value.func)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and made in ("declarative_base", "generate_base"):
                    names[target.id] = f"{target.id}.metadata"
                elif isinstance(target, ast.Name) and made == "MetaData":
                    names[target.id] = target.id
        elif isinstance(node, ast.ImportFrom) and node.level and imported:
            bound = {alias.asname or alias.name for alias in node.names}
            names |= {"Base": "Base.metadata"} if "Base" in bound else {}
            names |= {"metadata": "metadata"} if "metadata" in bound else {}
    return next((names[name] for name in ("Base", "metadata") if name in names), "")


def _body(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _is_declarative(node: ast.ClassDef) -> bool:
    return any(_last_word(base).startswith("DeclarativeBase") for base in node.bases) or any(
        _last_word(_called(d)) == "as_declarative" for d in node.decorator_list
    )


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _last_word(node: ast.expr) -> str:
    """Return ``MetaData`` of ``MetaData`` and of ``sa.MetaData``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


# -- registration --------------------------------------------------------------------


def registers(folder: Path, name: str) -> bool:
    """Whether a module of the package, outside its migrations, registers them already."""
    for file in sorted(folder.rglob("*.py")):
        if "migrations" in file.relative_to(folder).parts:
            continue
        for statement in _body(file) if _mentions(file, b"register_migration") else ():
            if any(_registers(node, name) for node in ast.walk(statement)):
                return True
    return False


def _mentions(file: Path, word: bytes) -> bool:
    try:
        return word in file.read_bytes()
    except OSError:
        return False


def _registers(node: ast.AST, name: str) -> bool:
    if not isinstance(node, ast.Call) or _last_word(node.func) != "register_migration":
        return False
    given = [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("package", "name"))]
    return any(isinstance(value, ast.Constant) and value.value == name for value in given)
