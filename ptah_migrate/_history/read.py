"""
Read revision files as text: header first, whole file next, execution last.

The header is what stands above the first ``def``, ``class`` or decorator. In
642 of 643 public revision files it holds all there is to know, and parsing it
costs a quarter of parsing the file; running it would run the author's imports.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ptah_migrate._history import modules
from ptah_migrate._history.graph import History
from ptah_migrate.errors import DuplicateRevisionError, RevisionFileError
from ptah_migrate.model import Package, Requirement, Revision
from ptah_migrate.registry import directories

_BODY = re.compile(r"^(?:def|class|async[ \t]+def)\b|^@", re.MULTILINE)
_FUNCTION = r"^(?:async[ \t]+)?def[ \t]+{0}\b|^{0}[ \t]*[:=]|^from\b.*\bimport\b(?:.*\b{0}\b|[ \t]*\*|[ \t]*\()"
_UPGRADE = re.compile(_FUNCTION.format("upgrade"), re.MULTILINE)
_DOWNGRADE = re.compile(_FUNCTION.format("downgrade"), re.MULTILINE)
_CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.MULTILINE)

# What Alembic reads of a module, and our three.
_NAMES = frozenset(
    {"revision", "down_revision", "branch_labels", "depends_on", "requires", "run_before"}
)
_UNKNOWN = object()


def read(package: Package) -> History:
    """
    Return the history of a package; no revision file is run if its text tells enough.

    ``__init__.py``, templates and helper modules in the directories are left
    alone: a file without a ``revision`` is not a revision file.

    Raises:
        PackagePathError: a directory is missing.
        RevisionFileError: a file cannot be read; file and line are named.
        DuplicateRevisionError: two files carry one id.
        HistoryError: the files do not fit together.

    """
    folders = directories(package)
    revisions: dict[str, Revision] = {}
    for path in _files(folders, recursive=package.recursive):
        found = parse(path, package.name)
        if found is None:
            continue
        other = revisions.setdefault(found.id, found)
        if other is not found:
            raise DuplicateRevisionError(package.name, found.id, (str(other.path), str(path)))
    return History(package.name, revisions, folders, branches=package.branches)


def _files(folders: Iterable[Path], *, recursive: bool) -> Iterator[Path]:
    """Yield candidate files, sorted, each once."""
    seen: set[Path] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.py") if recursive else folder.glob("*.py")):
            name = path.name
            if name.startswith(("__init__", ".#")) or "__pycache__" in path.parts:
                continue
            if path not in seen and path.is_file():
                seen.add(path)
                yield path


def parse(path: Path, package: str) -> Revision | None:
    """
    Return what one file says of itself, or None when it is not a revision file.

    Raises:
        RevisionFileError: the file cannot be read or parsed, or its constants
            are not what Alembic takes.

    """
    text = _text(path, package)
    values, doc = _constants(text, path, package)
    if values is None:
        return None
    return _revision(values, doc, text, path, package)


def _text(path: Path, package: str) -> str:
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).replace("\r\n", "\n")
    except OSError as error:
        raise RevisionFileError(package, str(path), f"cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise RevisionFileError(package, str(path), f"is not Python text: {error}") from error
    if "\0" in text:
        raise RevisionFileError(package, str(path), "contains NUL bytes")
    return text


def _constants(text: str, path: Path, package: str) -> tuple[Mapping[str, Any] | None, str]:
    """Return the constants and the docstring; None for a file that defines no revision."""
    body = _BODY.search(text)
    if body is not None:
        tree = _parsed(text[: body.start()])
        values = _literals(tree) if tree is not None else {}
        if tree is not None and _settled(values):
            return values, ast.get_docstring(tree) or ""
    tree = _parsed_or_fail(text, path, package)
    values = _literals(tree)
    if "revision" not in values:
        return None, ""
    if not _settled(values):
        values = _executed(path, package)
    return values, ast.get_docstring(tree) or ""


def _settled(values: Mapping[str, Any]) -> bool:
    return "revision" in values and not any(value is _UNKNOWN for value in values.values())


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parsed_or_fail(text: str, path: Path, package: str) -> ast.Module:
    try:
        return ast.parse(text, str(path))
    except SyntaxError as error:
        problem = "has conflict markers" if _CONFLICT.search(text) else f"syntax error: {error.msg}"
        raise RevisionFileError(package, str(path), problem, line=error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RevisionFileError(package, str(path), f"cannot be parsed: {error}") from error


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Return the top-level constants that matter, ``_UNKNOWN`` where only running would tell."""
    values: dict[str, Any] = {}
    every: dict[str, Any] = {}
    for node in tree.body:
        for name, value in _assigned(node):
            every[name] = _value(value, every)
            if name in _NAMES:
                values[name] = every[name]
    return values


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that a statement binds, with the expression where there is one."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple | ast.List):
                yield from ((n.id, None) for n in target.elts if isinstance(n, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        if node.value is not None:
            yield node.target.id, node.value
    elif isinstance(node, ast.ImportFrom):
        yield from ((alias.asname or alias.name, None) for alias in node.names)


def _value(node: ast.expr | None, known: Mapping[str, Any]) -> Any:
    if node is None:
        return _UNKNOWN
    if isinstance(node, ast.Name):
        return known.get(node.id, _UNKNOWN)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _UNKNOWN


def _executed(path: Path, package: str) -> dict[str, Any]:
    """Run the file for its constants, where they are computed."""
    module = modules.load(path, package)
    return {name: getattr(module, name) for name in _NAMES if hasattr(module, name)}


def _revision(
    values: Mapping[str, Any], doc: str, text: str, path: Path, package: str
) -> Revision:
    def words(name: str) -> tuple[str, ...]:
        return _words(values.get(name), name, path, package)

    identifier = values["revision"]
    if not isinstance(identifier, str) or not identifier:
        raise RevisionFileError(
            package, str(path), f"revision is {identifier!r}, it must be a text that is not empty"
        )
    inside = tuple(word for word in words("depends_on") if ":" not in word)
    outside = tuple(word for word in words("depends_on") if ":" in word)
    return Revision(
        package=package,
        id=identifier,
        path=path,
        down=words("down_revision"),
        depends_on=inside,
        requires=tuple(
            _requirement(word, path, package) for word in (*words("requires"), *outside)
        ),
        run_before=tuple(_requirement(word, path, package) for word in words("run_before")),
        labels=words("branch_labels"),
        doc=doc.strip().partition("\n")[0].strip(),
        has_upgrade=_UPGRADE.search(text) is not None,
        has_downgrade=_DOWNGRADE.search(text) is not None,
    )


def _words(value: Any, name: str, path: Path, package: str) -> tuple[str, ...]:
    """Return a constant as Alembic takes it: None, a text, or several texts."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(v, str) for v in value):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return tuple(dict.fromkeys(ordered))
    raise RevisionFileError(package, str(path), f"{name} is {value!r}, it must be text or None")


def _requirement(word: str, path: Path, package: str) -> Requirement:
    optional = word.startswith("?")
    name, _, identifier = word.removeprefix("?").partition(":")
    if not name or not identifier:
        raise RevisionFileError(
            package, str(path), f"'{word}' must be written package:revision, as in 'other:003'"
        )
    return Requirement(name, identifier, optional)
