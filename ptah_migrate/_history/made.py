"""
Which tables a history makes, read from its source.

Of 444 table operations in four public histories all named their table by a
literal. What cannot be read this way is stated by ``fresh=`` at registration.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ptah_migrate import cache
from ptah_migrate._history.graph import History

_CREATE = re.compile(
    r"\s*create\s+table\s+(?:if\s+not\s+exists\s+)?((?:[\"`\[]?\w+[\"`\]]?\.)?[\"`\[]?\w+)",
    re.IGNORECASE,
)
# A file without these words has no operation that is looked for: it is not parsed.
_VERBS = re.compile(rb"create_table|drop_table|rename_table|create_all")
_WORDS = frozenset(
    {"create_table", "drop_table", "rename_table", "create_all"}
    | {"execute", "exec_driver_sql", "text"}
)
_LEAVES = frozenset({ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del})
_SQL = re.compile(rb"(?=.*create)(?=.*table)(?=.*(?:execute|text))", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class HistoryTables:
    """
    The tables a history ever makes, and those it leaves at its head.

    ``everything``: a revision calls ``create_all``, or creates a table whose name
    only running it tells, so no table can be said to be missing.
    """

    ever: frozenset[str]
    final: frozenset[str]
    everything: bool = False


def tables(history: History) -> HistoryTables:
    """Return what the revisions create, rename and drop on the way up; runs nothing, reads once."""
    if history.made is None:
        history.made = _remembered(history) or _read(history)
    return history.made


def _remembered(history: History) -> HistoryTables | None:
    """Return what was read from these very files before."""
    if history.kept is None:
        return None
    found = cache.load("tables", _key(history))
    try:
        if found is None or found[0] != history.kept.digest:
            return None
        _, ever, final, everything = found
        return HistoryTables(
            frozenset(map(str, ever)), frozenset(map(str, final)), bool(everything)
        )
    except (LookupError, TypeError, ValueError):  # whatever it is, it is not of our making
        return None


def _read(history: History) -> HistoryTables:
    found = _tables(history)
    if history.kept is not None:
        made = (sorted(found.ever), sorted(found.final), found.everything)
        cache.store("tables", _key(history), [history.kept.digest, *made])
    return found


def _key(history: History) -> str:
    return repr((history.package, [str(folder) for folder in history.directories]))


def _tables(history: History) -> HistoryTables:
    ever: set[str] = set()
    final: set[str] = set()
    everything = False
    for id_ in history.order():
        for verb, name, new in _operations(history.revisions[id_].path.read_bytes()):
            if verb == "create_all":
                everything = True
            elif verb == "create_table":
                ever.add(name)
                final.add(name)
            elif verb == "drop_table":
                final.discard(name)
            else:
                ever.add(new)
                final.discard(name)
                final.add(new)
    return HistoryTables(frozenset(ever), frozenset(final), everything)


def makers(history: History) -> dict[str, str]:
    """Return the revision that gives each table its name, the last one of several."""
    found: dict[str, str] = {}
    for id_ in history.order():
        for verb, name, new in _operations(history.revisions[id_].path.read_bytes()):
            if verb == "create_table":
                found[name] = id_
            elif verb == "rename_table":
                found[new] = id_
    return found


def sequences(history: History) -> frozenset[str]:
    """Return the sequences that revisions name: ``sa.Sequence("…")`` in their source."""
    return frozenset(
        name
        for revision in history.revisions.values()
        for name in _sequences(revision.path.read_bytes())
    )


def _sequences(source: bytes) -> Iterator[str]:
    if b"Sequence" not in source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == "Sequence" and node.args:
            schema = next((_text(k.value, {}) for k in node.keywords if k.arg == "schema"), "")
            name = _text(node.args[0], {})
            if name:
                yield f"{schema}.{name}" if schema else name


def _called(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _operations(source: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (verb, table, new name) of each operation outside ``downgrade``, in file order."""
    if not (_VERBS.search(source) or _SQL.match(source)):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
    names = {
        target.id: _text(top.value, {})
        for top in tree.body
        if isinstance(top, ast.Assign)
        for target in top.targets
        if isinstance(target, ast.Name)
    }
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and top.name == "downgrade":
            continue
        for call in sorted(_calls(top), key=lambda node: (node.lineno, node.col_offset)):
            yield from _operation(call, names)


def _calls(top: ast.AST) -> list[ast.Call]:
    """Return the calls that ``ast.walk`` would find, without a look at what can hold none."""
    found: list[ast.Call] = []
    left: list[Any] = [top]
    while left:
        node = left.pop()
        if type(node) is ast.Call:
            found.append(node)
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                left += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
                left.append(value)
    return found


def _operation(call: ast.Call, names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    def said(position: int | None, *keywords: str) -> str:
        """Return an argument that is a text, or the name of one; empty when it is neither."""
        if position is not None and len(call.args) > position:
            return _text(call.args[position], names)
        return next((_text(k.value, names) for k in call.keywords if k.arg in keywords), "")

    verb = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if verb not in _WORDS:
        return
    first = said(0, "table_name", "old_table_name")
    schema = said(None, "schema")
    prefix = f"{schema}." if schema else ""
    if verb == "create_all":
        yield verb, "", ""
    elif verb == "create_table" and not first:
        yield "create_all", "", ""
    elif verb in ("create_table", "drop_table") and first:
        yield verb, prefix + first, ""
    elif verb == "rename_table" and first and (new := said(1, "new_table_name")):
        yield verb, prefix + first, prefix + new
    elif verb in ("execute", "exec_driver_sql", "text") and (made := _CREATE.match(first)):
        yield "create_table", re.sub(r"[\"`\[\]]", "", made.group(1)), ""


def _text(node: ast.expr, names: Mapping[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
