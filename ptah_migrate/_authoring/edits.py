"""
Insert a few lines into other people's files, or say why not.

The place is found in the parsed file, the lines go in as text, and the result
is parsed again: it must be the old file plus exactly what was meant. When that
cannot be shown the file is left alone, and a person is told what to paste.
"""

from __future__ import annotations

import ast
import copy
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ptah_migrate.registry import GROUP

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Edit:
    """
    What became of a file: its new content and the text that was added.

    ``added`` is empty when the file already said so; ``refused`` is the reason
    when it was left alone.
    """

    content: bytes
    added: str = ""
    refused: str = ""


class _Unsure(Exception):
    """The file is not one of those we know how to edit; never leaves this module."""


# -- includeme -----------------------------------------------------------------------

_INCLUDEME = """\
from typing import Any


def includeme(config: Any) -> None:
    \"\"\"Add this package to a Pyramid application.\"\"\"
    config.include("{spec}")
"""


def include(source: bytes, module: str, spec: str) -> Edit:
    """
    Add ``config.include(spec)`` as the last line of a module's ``includeme``.

    A module that says nothing yet (a docstring, ``__version__``) gets a small
    ``includeme`` of its own. ``module`` is the dotted name of the module, so
    that an absolute form of ``spec`` counts as there.
    """
    try:
        tree = _parse(source)
        forms = {spec, f"{module}{spec}"} if spec.startswith(".") else {spec}
        definitions = sorted(_bindings(tree, "includeme"), key=lambda node: node.lineno)
        if not definitions:
            return _append_includeme(source, tree, spec)
        function = _the_function(tree, definitions)
        if any(_includes(node, forms) for node in ast.walk(function)):
            return Edit(source)
        return _insert_include(source, tree, function, spec)
    except _Unsure as reason:
        return Edit(source, refused=str(reason))


def _parse(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _Unsure(f"it cannot be parsed: {error}") from error


def _bindings(tree: ast.Module, name: str) -> Iterator[ast.stmt | ast.Name]:
    """Yield everything in a module that gives or takes away a name, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name == name:
                yield node
        elif isinstance(node, ast.Name):
            if node.id == name and not isinstance(node.ctx, ast.Load):
                yield node
        elif isinstance(node, ast.Import | ast.ImportFrom) and any(
            (alias.asname or alias.name) in (name, "*") for alias in node.names
        ):
            yield node


def _the_function(tree: ast.Module, found: list[ast.stmt | ast.Name]) -> ast.FunctionDef:
    """Return the one plain top-level function that the name means."""
    # What a star import brings is replaced by a definition that follows it.
    while len(found) > 1 and _is_star(found[0]):
        del found[0]
    node = found[0]
    if len(found) > 1:
        raise _Unsure("it has several definitions of includeme")
    if isinstance(node, ast.Import | ast.ImportFrom):
        raise _Unsure("it imports includeme, or everything, from another module")
    if isinstance(node, ast.AsyncFunctionDef):
        raise _Unsure("its includeme is async")
    if not isinstance(node, ast.FunctionDef):
        raise _Unsure("its includeme is not a plain function")
    if node not in tree.body:
        raise _Unsure("its includeme is inside another statement")
    return node


def _is_star(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _includes(node: ast.AST, specs: set[str]) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "include"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in specs
    )


def _insert_include(source: bytes, tree: ast.Module, function: ast.FunctionDef, spec: str) -> Edit:
    config = _first_argument(function)
    _refuse_odd_bodies(function, config)
    lines = _lines(source)
    first, last = function.body[0], function.body[-1]
    assert last.end_lineno is not None
    indent = lines[first.lineno - 1][: first.col_offset].removeprefix(_BOM)
    if indent.strip(b" \t") or not indent:
        raise _Unsure("its includeme is written on one line")
    statement = f'{config}.include("{spec}")'
    new, added = _after(lines, last.end_lineno, indent + statement.encode())
    if not _only_added(tree, new, function, statement):
        raise _Unsure("the line cannot be added safely")
    return Edit(new, added)


def _first_argument(function: ast.FunctionDef) -> str:
    arguments = [*function.args.posonlyargs, *function.args.args]
    if not arguments:
        raise _Unsure("its includeme takes no argument")
    return arguments[0].arg


def _refuse_odd_bodies(function: ast.FunctionDef, config: str) -> None:
    """Refuse a body whose last line may not be reached, or where ``config`` is something else."""
    if isinstance(function.body[-1], ast.Return | ast.Raise):
        raise _Unsure("its includeme ends with return or raise")
    for node in ast.walk(function):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            raise _Unsure("its includeme is a generator")
        if isinstance(node, ast.Name) and node.id == config and not isinstance(node.ctx, ast.Load):
            raise _Unsure(f"its includeme gives '{config}' another value")


def _lines(source: bytes) -> list[bytes]:
    """Return the lines as Python counts them, their ends kept."""
    return re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", source)


def _newline(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]


def _after(lines: list[bytes], number: int, line: bytes) -> tuple[bytes, str]:
    """Return the text with a line put behind the numbered one, and what was put there."""
    newline = _newline(lines[number - 1])
    # A file that ends without a newline stays so.
    added = line + newline if newline else (_newline(lines[0]) or b"\n") + line
    return b"".join((*lines[:number], added, *lines[number:])), added.decode()


def _only_added(tree: ast.Module, new: bytes, function: ast.FunctionDef, statement: str) -> bool:
    """Whether the new text is the old one with just this statement at the function's end."""
    expected = copy.deepcopy(tree)
    twin = expected.body[tree.body.index(function)]
    assert isinstance(twin, ast.FunctionDef)
    twin.body.extend(ast.parse(statement).body)
    return ast.dump(_parse(new)) == ast.dump(expected)


def _append_includeme(source: bytes, tree: ast.Module, spec: str) -> Edit:
    if not all(_says_nothing(node) for node in tree.body):
        raise _Unsure("it has no includeme")
    text = _INCLUDEME.format(spec=spec)
    lines = [line for line in _lines(source) if line != _BOM]
    newline = (_newline(lines[0]) if lines else b"") or b"\n"
    added = text.encode().replace(b"\n", newline)
    if lines and _newline(lines[-1]):
        added = newline + added
    elif lines:  # the file ends without a newline: that stays so
        added = newline + newline + added.removesuffix(newline)
    new = source + added
    expected = copy.deepcopy(tree)
    expected.body.extend(ast.parse(text).body)
    if ast.dump(_parse(new)) != ast.dump(expected):
        raise _Unsure("the function cannot be added safely")
    return Edit(new, added.decode())


def _says_nothing(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, a future import or a dunder constant."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if isinstance(node, ast.Assign):
        return all(
            isinstance(t, ast.Name) and t.id in ("__version__", "__author__", "__license__")
            for t in node.targets
        )
    return False


# -- pyproject.toml ------------------------------------------------------------------

_HEADER = re.compile(r"[ \t]*\[(?!\[)(?P<name>[^\]]+)\][ \t]*(?:#.*)?\r?\n?\Z")
_ANY_HEADER = re.compile(r"[ \t]*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_TABLE = ("project", "entry-points", GROUP)


def entry_point(source: bytes, name: str, module: str) -> Edit:
    """
    Add ``name = "module"`` to the entry points of our group in a pyproject.toml.

    ``pkg.migrations`` and ``pkg:migrations`` count as the same.
    """
    try:
        text = source.removeprefix(_BOM).decode("utf-8")
        document = tomllib.loads(text)
        if _has_entry(document, name, module):
            return Edit(source)
        for candidate, added in _candidates(text, name, module):
            if _is(candidate, _with_entry(document, name, module)):
                bom = _BOM if source.startswith(_BOM) else b""
                return Edit(bom + candidate.encode("utf-8"), added)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Edit(source, refused=f"it is not TOML: {error}")
    except _Unsure as reason:
        return Edit(source, refused=str(reason))
    return Edit(source, refused="the lines cannot be added safely")


def entry_lines(name: str, module: str) -> str:
    """Return the lines that a pyproject.toml needs, for a person to paste."""
    return f"[{'.'.join(_TABLE)}]\n{_entry(name, module)}"


def _entry(name: str, module: str) -> str:
    key = name if _BARE.match(name) else f'"{name}"'
    return f'{key} = "{module}"'


def _has_entry(document: dict[str, Any], name: str, module: str) -> bool:
    """Whether the entry is there; refuses files whose entry points are not ours to write."""
    project = document.get("project")
    if not isinstance(project, dict):
        raise _Unsure("it has no [project] table")
    dynamic = project.get("dynamic", [])
    if isinstance(dynamic, list) and "entry-points" in dynamic:
        raise _Unsure("its entry points are dynamic, another file says them")
    table = project
    for key in _TABLE[1:]:
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise _Unsure(f"its {key} is not a table")
    if name not in table:
        return False
    if table[name] in (module, ":".join(module.rsplit(".", 1))):
        return True
    raise _Unsure(f"it has another entry point '{name}'")


def _with_entry(document: dict[str, Any], name: str, module: str) -> dict[str, Any]:
    expected: dict[str, Any] = copy.deepcopy(document)
    table = expected
    for key in _TABLE:
        table = table.setdefault(key, {})
    table[name] = module
    return expected


def _is(text: str, expected: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        return False


def _candidates(text: str, name: str, module: str) -> Iterator[tuple[str, str]]:
    """Yield the text with the entry at each place where it may belong, best first."""
    lines = re.findall(r"[^\n]*\n|[^\n]+\Z", text)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    entry = _entry(name, module)
    headers = [(number, _header(line)) for number, line in enumerate(lines) if _header(line)]
    for number, header in headers:
        if header == _TABLE:
            yield _put(lines, _end_of_table(lines, number), entry, newline)
            yield _put(lines, number + 1, entry, newline)
    block = entry_lines(name, module).replace("\n", newline)
    ours = [number for number, header in headers if header[0] == "project"]
    for place in (*(_end_of_table(lines, number) for number in ours[-1:]), len(lines)):
        yield _put(lines, place, block, newline, apart=True)


def _header(line: str) -> tuple[str, ...]:
    """Return the keys of a table header; nothing for other lines."""
    found = _HEADER.match(line)
    if found is None:
        return ()
    return tuple(key.strip().strip("\"'") for key in found["name"].split("."))


def _end_of_table(lines: list[str], header: int) -> int:
    """Return the number of lines up to the last one of a table that is not blank or a comment."""
    following = (n for n in range(header + 1, len(lines)) if _ANY_HEADER.match(lines[n]))
    end = next(following, len(lines))
    while end > header + 1 and lines[end - 1].strip()[:1] in ("", "#"):
        end -= 1
    return end


def _put(
    lines: list[str], place: int, text: str, newline: str, *, apart: bool = False
) -> tuple[str, str]:
    """Return the document with text behind ``place`` lines, and what was put there."""
    before, after = lines[:place], lines[place:]
    gap = newline if apart and before else ""
    if before and not before[-1].endswith("\n"):  # a file without a last newline stays so
        added = newline + gap + text
    else:
        added = gap + text + newline
        if apart and after and after[0].strip():
            added += newline
    return "".join((*before, added, *after)), added


# -- taking out again ----------------------------------------------------------------


def without_include(source: bytes, module: str, spec: str, added: str) -> Edit:
    """
    Take out what `include` has added, as it is recorded, and nothing else.

    An ``includeme`` that was added for it goes too, unless something else is in
    it now. ``Edit.added`` is the text that was taken.
    """
    try:
        tree = _parse(source)
        forms = {spec, f"{module}{spec}"} if spec.startswith(".") else {spec}
        if not any(_includes(node, forms) for node in ast.walk(tree)):
            return Edit(source)
        expected = [ast.dump(smaller) for smaller in _smaller(tree, forms, spec)]
        for new, text in _shorter(source, added):
            if _dumped(new) in expected:
                return Edit(new, text)
        return Edit(source, refused="the line cannot be taken out safely")
    except _Unsure as reason:
        return Edit(source, refused=str(reason))


def _shorter(source: bytes, added: str) -> Iterator[tuple[bytes, str]]:
    """Yield the file without the text, or without its last line, wherever that is in it."""
    last = added.strip("\r\n").rpartition("\n")[2]
    for piece in (added, f"{last}\n", f"\n{last}"):
        plain = piece.replace("\r\n", "\n")
        for text in dict.fromkeys((piece, plain, plain.replace("\n", "\r\n"))):
            yield from ((new, text) for new in _without_lines(source, text.encode()))


def _without_lines(source: bytes, piece: bytes) -> Iterator[bytes]:
    """Yield the file without each occurrence of whole lines."""
    start = source.find(piece)
    while start >= 0:
        if piece[:1] in b"\r\n" or source[:start].endswith(b"\n") or source[:start] in (b"", _BOM):
            yield source[:start] + source[start + len(piece) :]
        start = source.find(piece, start + 1)


def _dumped(source: bytes) -> str:
    try:
        return ast.dump(_parse(source))
    except _Unsure:
        return ""


def _smaller(tree: ast.Module, forms: set[str], spec: str) -> Iterator[ast.Module]:
    """Yield the module without the statement, and without the function that was made for it."""
    made = ast.parse(_INCLUDEME.format(spec=spec)).body
    for place, node in enumerate(tree.body):
        if not isinstance(node, ast.FunctionDef) or node.name != "includeme":
            continue
        if _same(tree.body[place - 1 : place + 1], made):
            yield _but(tree, slice(place - 1, place + 1))
        for number, statement in enumerate(node.body):
            if isinstance(statement, ast.Expr) and _includes(statement.value, forms):
                twin = copy.deepcopy(tree)
                function = twin.body[place]
                assert isinstance(function, ast.FunctionDef)
                del function.body[number]
                yield twin


def _same(first: list[ast.stmt], second: list[ast.stmt]) -> bool:
    return [ast.dump(node) for node in first] == [ast.dump(node) for node in second]


def _but(tree: ast.Module, places: slice) -> ast.Module:
    twin = copy.deepcopy(tree)
    del twin.body[places]
    return twin


def without_entry_point(source: bytes, name: str, added: str) -> Edit:
    """
    Take out what `entry_point` has added, as it is recorded, and nothing else.

    The header of the table stays when there are other entries below it.
    """
    try:
        document = tomllib.loads(source.removeprefix(_BOM).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Edit(source, refused=f"it is not TOML: {error}")
    expected = _without_entry(document, name)
    if not expected:
        return Edit(source)
    for new, text in _shorter(source, added):
        left = new.removeprefix(_BOM).decode("utf-8")
        if any(_is(left, smaller) for smaller in expected):
            return Edit(new, text)
    return Edit(source, refused="the lines cannot be taken out safely")


def _without_entry(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the document without the entry, then also without the tables that are empty now."""
    smaller = copy.deepcopy(document)
    tables = [smaller]
    for key in _TABLE:
        table = tables[-1].get(key)
        if not isinstance(table, dict):
            return []
        tables.append(table)
    if tables[-1].pop(name, None) is None:
        return []
    found = [copy.deepcopy(smaller)]
    for depth in (2, 1):
        if tables[depth + 1]:
            break
        del tables[depth][_TABLE[depth]]
        found.append(copy.deepcopy(smaller))
    return found
