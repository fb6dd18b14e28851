"""
Read revision files as text: header first, whole file next, execution last.

The header is what stands above the first ``def``, ``class`` or decorator. In
642 of 643 public revision files it holds all there is to know. Its plain form
is recognised by a regular expression; parsing it costs a quarter of parsing
the file; running it would run the author's imports.
"""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ptah_migrate import cache
from ptah_migrate._history import index, modules
from ptah_migrate._history.graph import History
from ptah_migrate._history.marker import unwritten
from ptah_migrate._history.rows import (
    DOWNGRADE,
    UNWRITTEN,
    UPGRADE,
    Revisions,
    Row,
    chain,
    revision,
)
from ptah_migrate._history.scan import NAMES, scan
from ptah_migrate.errors import (
    DuplicateRevisionError,
    PackagePathError,
    RevisionFileError,
)
from ptah_migrate.model import Package, Requirement, Revision
from ptah_migrate.registry import directories

_BODY = re.compile(r"^(?:def|class|async[ \t]+def)\b|^@", re.MULTILINE)
# Rather too wide than too narrow: who runs the file looks again, before anything is run.
_FUNCTION = (
    r"^[ \t]*(?:async[ \t]+)?def[ \t]+{0}\b"
    r"|^[ \t]*(?:\w+[ \t]*[,=][ \t]*)*{0}\b[ \t]*(?:,.*)?[:=]"
    r"|^[ \t]*(?:from\b.*\b)?import\b(?:.*\b{0}\b|[ \t]*\*|[ \t]*\()"
)
_UPGRADE = re.compile(_FUNCTION.format("upgrade"), re.MULTILINE)
_DOWNGRADE = re.compile(_FUNCTION.format("downgrade"), re.MULTILINE)
_CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.MULTILINE)

# What Alembic reads of a module, and our two.
_NAMES = frozenset(NAMES)
_UNKNOWN = object()
_MORE = ("depends_on", "requires", "run_before", "branch_labels")

# These mean something in a target, so a revision could not be named by them.
_RESERVED = re.compile(r"base|heads?|[+-]\d+")
_NO_PLACE = re.compile(r"base|[+-]\d+")
LONGEST = 128  # what the version table holds


def read_files(package: Package, folders: tuple[Path, ...]) -> History:
    """Read every file, and keep what they say; what only running one tells is not kept."""
    now = cache.clock()
    files: list[tuple[str, list[str]]] = []
    stamps: list[cache.Stamp] = []
    ran: list[str] = []
    rows: dict[str, Row] = {}
    for root, names in _files(package, folders):
        files.append((root, read := []))
        for name in names:
            path = f"{root}{os.sep}{name}"
            found = _read(path, package.name)
            if found is None:
                continue
            row = parsed(found[0], path, package.name, len(stamps), ran)
            read.append(name)
            stamps.append(found[1])
            if row is not None and rows.setdefault(row[0], row) is not row:
                other = list(index.paths(files))[rows[row[0]][1]]
                raise DuplicateRevisionError(package.name, row[0], (other, path))
    revisions = Revisions(package.name, rows, list(index.paths(files)).__getitem__)
    history = History(
        package.name, revisions, folders, branches=package.branches, shape=chain(rows)
    )
    if not ran:
        index.store(package, history, files, stamps, rows, now)
    return history


def candidates(package: Package) -> tuple[Path, ...]:
    """
    Return the files of a package that may be revisions, in Alembic's order.

    Raises:
        PackagePathError: a directory is missing, or may not be read.

    """
    found = _files(package, directories(package))
    return tuple(Path(path) for path in index.paths(found) if _may_be_revision(path))


def _files(package: Package, folders: Iterable[Path]) -> Iterator[tuple[str, list[str]]]:
    """Yield folders and the names of their Python files in Alembic's order, each once."""

    def fail(error: OSError) -> NoReturn:
        where = str(error.filename or package.path)
        raise PackagePathError(package.name, where, f"cannot be read: {error.strerror}") from error

    seen: set[tuple[int, int]] = set()
    for folder in folders:
        for root, below, names in os.walk(folder, onerror=fail):
            below[:] = sorted(name for name in below if name != "__pycache__")
            if not package.recursive:
                below.clear()
            try:
                found = os.stat(root)  # noqa: PTH116 - hot
            except OSError as error:
                fail(error)
            here = (found.st_dev, found.st_ino)
            new = [] if here in seen else names
            seen.add(here)
            yield root, sorted(name for name in new if _is_candidate(name))


def _is_candidate(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(("__init__", ".#"))


def _may_be_revision(path: str) -> bool:
    """Return whether it is a file; a link to nowhere may be one: reading it says so."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - hot
    except OSError:
        return True


def parse(path: Path, package: str) -> Revision | None:
    """
    Return what one file says of itself, or None when it is not a revision file.

    Raises:
        RevisionFileError: the file cannot be read or parsed, or its constants
            are not what Alembic takes.

    """
    file = str(path)
    found = _read(file, package)
    row = parsed(found[0], file, package, 0, []) if found is not None else None
    return None if row is None else revision(package, file, row[0], *row[2:])


def parsed(data: bytes, path: str, package: str, number: int, ran: list[str]) -> Row | None:
    """
    Return the row of a file with this content, or None when it is not a revision file.

    A file that had to be run for it is added to ``ran``.
    """
    text = _text(data, path, package)
    values, doc = _constants(text, path, package, ran)
    return None if values is None else _row(values, doc, text, number, path, package)


# A named pipe must not make us wait; what it is, is looked at before anything is read.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _read(path: str, package: str) -> tuple[bytes, cache.Stamp] | None:
    """Return the content and the stamp of a file; None of what is not one."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            data = os.read(descriptor, found.st_size + 1)
            while len(data) != found.st_size and (more := os.read(descriptor, 65536)):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        if not _may_be_revision(path):
            return None
        raise RevisionFileError(package, path, f"cannot be read: {error.strerror}") from error
    return data, cache.stamp_of(found)


def _text(data: bytes, path: str, package: str) -> str:
    try:
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        text = _decoded(data)
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise RevisionFileError(package, path, f"is not Python text: {error}") from error
    if "\0" in text:
        raise RevisionFileError(package, path, "contains NUL bytes")
    if not text or text.isspace():
        raise RevisionFileError(package, path, "is empty", hint="restore it, or delete it")
    return text


def _decoded(data: bytes) -> str:
    if data.isascii() and b"coding" not in data:  # what nearly all are
        return data.decode("ascii")
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding)


def _constants(
    text: str, path: str, package: str, ran: list[str]
) -> tuple[Mapping[str, Any] | None, str]:
    """Return the constants and the docstring; None for a file that defines no revision."""
    plain = scan(text)
    if plain is not None and "revision" in plain[0] and "down_revision" in plain[0]:
        return plain
    body = _BODY.search(text)
    if body is not None:
        tree = _parsed(text[: body.start()])
        values = _literals(tree) if tree is not None else {}
        if tree is not None and _settled(values):
            return values, ast.get_docstring(tree) or ""
    tree = _parsed_or_fail(text, path, package)
    values = _literals(tree)
    if not _settled(values) and _UNKNOWN in values.values() and _claims(values):
        ran.append(path)
        values = _executed(path, package)
    if not _claims(values):
        return None, ""
    for name in ("revision", "down_revision"):
        if name not in values:
            raise RevisionFileError(package, path, f"has no {name}", hint=_MISSING[name])
    return values, ast.get_docstring(tree) or ""


_MISSING = {
    "revision": "give it an id: revision = '001'",
    "down_revision": "name the revision before it, or write: down_revision = None",
}


def _claims(values: Mapping[str, Any]) -> bool:
    """Return whether the file means to be a revision; helper modules have neither name."""
    return "revision" in values or "down_revision" in values


def _settled(values: Mapping[str, Any]) -> bool:
    """Return whether nothing has to be found out any more."""
    return (
        "revision" in values
        and "down_revision" in values
        and not any(value is _UNKNOWN for value in values.values())
    )


def _parsed(text: str) -> ast.Module | None:
    try:
        return _tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _tree(text: str) -> ast.Module:
    if "\\" not in text:
        return ast.parse(text)
    with warnings.catch_warnings():
        # "invalid escape sequence" is for the author, once, when the file is run.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _parsed_or_fail(text: str, path: str, package: str) -> ast.Module:
    try:
        return _tree(text)
    except SyntaxError as error:
        problem = "has conflict markers" if _CONFLICT.search(text) else f"syntax error: {error.msg}"
        raise RevisionFileError(package, path, problem, line=error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RevisionFileError(package, path, f"cannot be parsed: {error}") from error


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
    """Yield the names that a statement binds, with the expression where that is plain."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            else:
                yield from ((name, None) for name in _bound(target))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        if node.value is not None:
            yield node.target.id, node.value
    elif isinstance(node, ast.ImportFrom | ast.Import):
        yield from ((alias.asname or alias.name, None) for alias in node.names)
    elif not isinstance(node, ast.Expr):
        yield from ((name, None) for name in _bound(node))


_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that something compound binds in the module."""
    stack: list[ast.AST] = [node]
    while stack:
        found = stack.pop()
        if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store | ast.Del):
            yield found.id
        elif isinstance(found, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in found.names)
        elif not isinstance(found, _SCOPES):
            stack.extend(ast.iter_child_nodes(found))


def _value(node: ast.expr | None, known: Mapping[str, Any]) -> Any:
    if node is None:
        return _UNKNOWN
    if isinstance(node, ast.Name):
        return known.get(node.id, _UNKNOWN)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _UNKNOWN


def _executed(path: str, package: str) -> dict[str, Any]:
    """Run the file for its constants, where they are computed."""
    module = modules.load(Path(path), package)
    return {name: getattr(module, name) for name in _NAMES if hasattr(module, name)}


def _row(
    values: Mapping[str, Any], doc: str, text: str, number: int, path: str, package: str
) -> Row:
    down = values["down_revision"]
    row = (
        _identifier(values["revision"], path, package),
        number,
        _words(down, "down_revision", path, package) if down is not None else (),
        doc.strip().partition("\n")[0].strip(),
        (UPGRADE if "\ndef upgrade(" in text or _UPGRADE.search(text) else 0)
        | (DOWNGRADE if "\ndef downgrade(" in text or _DOWNGRADE.search(text) else 0)
        | (UNWRITTEN if unwritten(text) else 0),
    )
    for name in _MORE:
        if values.get(name) is not None:
            break
    else:
        return row

    def words(name: str) -> tuple[str, ...]:
        return _words(values.get(name), name, path, package)

    depends = words("depends_on")
    near = [word for word in depends if ":" not in word]
    far = [*words("requires"), *(word for word in depends if ":" in word)]
    wishes = [_requirement(word, path, package) for word in far]
    near += [wish.id for wish in wishes if wish.package == package]
    return (
        *row,
        [id_ for id_ in dict.fromkeys(near) if id_ not in row[2]],
        [str(wish) for wish in wishes if wish.package != package],
        [str(_requirement(word, path, package)) for word in words("run_before")],
        words("branch_labels"),
    )


def _identifier(value: Any, path: str, package: str) -> str:
    if not isinstance(value, str) or not value.strip():
        problem = f"revision is {value!r}, it must be a text that is not empty"
    elif "@" in value or _RESERVED.fullmatch(value):
        problem = f"revision is {value!r}, which means something else in a target"
    elif len(value) > LONGEST:
        problem = f"revision has {len(value)} characters, at most {LONGEST} can be recorded"
    else:
        return value
    raise RevisionFileError(package, path, problem)


def _words(value: Any, name: str, path: str, package: str) -> tuple[str, ...]:
    """Return a constant as Alembic takes it: None, a text, or several texts."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(v, str) for v in value):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return tuple(dict.fromkeys(ordered))
    raise RevisionFileError(package, path, f"{name} is {value!r}, it must be text or None")


def _requirement(word: str, path: str, package: str) -> Requirement:
    optional = word.startswith("?")
    name, _, identifier = word.removeprefix("?").partition(":")
    if not name or not identifier or _NO_PLACE.fullmatch(identifier):
        raise RevisionFileError(
            package, path, f"'{word}' must be written package:revision, as in 'other:003'"
        )
    return Requirement(name, identifier, optional)
