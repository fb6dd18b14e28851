"""
Give a revision file another id and another parent, and change nothing else.

The two constants are found in the parsed file and replaced as bytes. The result
is parsed again: it must be the old file with just these two values.
"""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
from collections.abc import Iterator, Mapping

from ptah_migrate._authoring.templates import literal

_BOM = codecs.BOM_UTF8


class Unsure(Exception):
    """The constants cannot be replaced with certainty; the message says why."""


def replaced(source: bytes, *, revision: str, down_revision: str) -> bytes:
    """
    Return a revision file with these two constants instead of its own.

    Raises:
        Unsure: they are not plain texts, are set twice, or the file is not UTF-8.

    """
    body = source.removeprefix(_BOM)
    tree = _parse(body)
    wanted = {"revision": revision, "down_revision": down_revision}
    nodes = {name: _only(tree, name) for name in wanted}
    new = body
    for name, node in sorted(nodes.items(), key=lambda pair: pair[1].lineno, reverse=True):
        start, end = _span(body, node)
        new = new[:start] + _like(body[start:end], wanted[name]) + new[end:]
    _verify(tree, nodes, wanted, new)
    return source[: len(source) - len(body)] + new


_NAMING = ("requires", "run_before", "depends_on")


def renamed(source: bytes, names: Mapping[str, str]) -> bytes:
    """
    Return a revision file that names other revisions of other packages.

    ``names`` maps ``package:id`` to what stands there instead; a ``?`` in front stays.

    Raises:
        Unsure: they do not stand there as plain texts, or the file is not UTF-8.

    """
    body = source.removeprefix(_BOM)
    tree = _parse(body)
    nodes = {node: name for node, name in _named(tree) if name.removeprefix("?") in names}
    if {name.removeprefix("?") for name in nodes.values()} != set(names):
        raise Unsure("they are not plain texts in it")
    new = body
    for node, name in sorted(
        nodes.items(), key=lambda pair: (pair[0].lineno, pair[0].col_offset), reverse=True
    ):
        start, end = _span(body, node)
        node.value = name[: name.startswith("?")] + names[name.removeprefix("?")]
        node.kind = None
        new = new[:start] + _like(body[start:end], node.value) + new[end:]
    if ast.dump(_parse(new)) != ast.dump(tree):
        raise Unsure("its constants cannot be replaced safely")
    return source[: len(source) - len(body)] + new


def _named(tree: ast.Module) -> Iterator[tuple[ast.Constant, str]]:
    """Yield every text in the constants that name other revisions."""
    for name in _NAMING:
        for value in _values(tree, name):
            for node in ast.walk(value):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node, node.value


def _parse(body: bytes) -> ast.Module:
    try:
        if not body.isascii():  # places in the parsed file are counted in bytes of UTF-8
            body.decode(_encoding(body))
        return ast.parse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unsure(f"it cannot be parsed as UTF-8 Python: {error}") from error


def _encoding(body: bytes) -> str:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(body).readline)
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise ValueError(f"its encoding is {encoding}")
    return "utf-8"


def _only(tree: ast.Module, name: str) -> ast.Constant:
    """Return the literal that a constant is set to, if that is the only place that sets it."""
    values = list(_values(tree, name))
    bound = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    if len(values) != 1 or sum(isinstance(node.ctx, ast.Store) for node in bound) != 1:
        raise Unsure(f"it does not set {name} exactly once, at the top level")
    value = values[0]
    if isinstance(value, ast.Constant) and isinstance(value.value, str | None):
        return value
    raise Unsure(f"its {name} is not a plain text")


def _values(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name) and target.id == name and node.value is not None:
            yield node.value


def _span(body: bytes, node: ast.Constant) -> tuple[int, int]:
    """Return where a literal begins and ends, in bytes."""
    starts = [0, *(end.end() for end in re.finditer(rb"\r\n|\r|\n", body))]
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (
        starts[node.lineno - 1] + node.col_offset,
        starts[node.end_lineno - 1] + node.end_col_offset,
    )


def _like(old: bytes, value: str) -> bytes:
    """Return a literal in the kind of quotes that stood there."""
    new = literal(value)
    plain = old[:1] == b"'" and "'" not in value and "\\" not in new and '"' not in value
    return (f"'{value}'" if plain else new).encode()


def _verify(
    tree: ast.Module, nodes: dict[str, ast.Constant], wanted: dict[str, str], new: bytes
) -> None:
    for name, node in nodes.items():
        node.value, node.kind = wanted[name], None
    if ast.dump(_parse(new)) != ast.dump(tree):
        raise Unsure("its constants cannot be replaced safely")
