"""
Lay Python statements out as formatters do, without one.

What Alembic renders is correct and ugly. Formatters leave a line that fits
alone, and an exploded bracket with a comma at its end too: a file laid out by
these two rules is as ruff and black want it, and no formatter need be installed.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Iterable, Sequence

from ptah_migrate.errors import AuthoringError

LINE = 88
_STEP = "    "


def body(source: str, indent: str = _STEP) -> str:
    """
    Return statements as the body of a function, ``pass`` for none.

    Raises:
        AuthoringError: they are not Python.

    """
    try:
        statements = _Written().visit(ast.parse(source)).body
    except (SyntaxError, ValueError) as error:
        raise AuthoringError(
            f"the operations were rendered as something that is not Python: {error}",
            hint="correct render_item, or the __repr__ of the types of your own",
        ) from error
    lines = _statements(statements, indent)
    return "\n".join(lines) if lines else f"{indent}pass"


def _statements(statements: Sequence[ast.stmt], indent: str) -> list[str]:
    """Return the lines of statements; a block has an empty line around it."""
    lines: list[str] = []
    before: ast.stmt | None = None
    for one in statements:
        if before is not None and (_is_block(before) or _is_block(one)):
            lines.append("")
        lines += _statement(one, indent)
        before = one
    return lines


def _is_block(one: ast.stmt) -> bool:
    return hasattr(one, "body")


def _statement(one: ast.stmt, indent: str) -> list[str]:
    if isinstance(one, ast.Expr):
        return _laid("", one.value, "", indent)
    if isinstance(one, ast.Assign) and len(one.targets) == 1:
        return _laid(f"{_flat(one.targets[0])} = ", one.value, "", indent)
    if isinstance(one, ast.With) and len(one.items) == 1:
        [item] = one.items
        name = f" as {_flat(item.optional_vars)}" if item.optional_vars else ""
        head = _laid("with ", item.context_expr, f"{name}:", indent)
        return [*head, *_statements(one.body, indent + _STEP)]
    if isinstance(one, ast.If) and not one.orelse:
        head = _laid("if ", one.test, ":", indent)
        return [*head, *_statements(one.body, indent + _STEP)]
    return [f"{indent}{line}" for line in _flat(one).splitlines()]


def _laid(before: str, node: ast.expr, after: str, indent: str) -> list[str]:
    """Return an expression on one line, or with its last bracket exploded."""
    line = f"{indent}{before}{_flat(node)}{after}"
    if _width(line) <= LINE:
        return [line]
    opened = _opened(node)
    if opened is None:
        return [line]
    head, items, closing = opened
    lines = [f"{indent}{before}{head}"]
    if _width(lines[0]) > LINE and (inner := _receiver(node)) is not None:
        # What a method is called on is a call itself, and too long too.
        lines = _laid(before, inner, head.removeprefix(_flat(inner)), indent)
    for prefix, item in items:
        lines += _laid(prefix, item, ",", indent + _STEP)
    return [*lines, f"{indent}{closing}{after}"]


def _width(line: str) -> int:
    """Return the columns of a line on a terminal, which is what formatters count."""
    if line.isascii():
        return len(line)
    return sum(_columns(char) for char in line)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _receiver(node: ast.expr) -> ast.expr | None:
    called = node.func if isinstance(node, ast.Call) else None
    return called.value if isinstance(called, ast.Attribute) else None


Items = list[tuple[str, ast.expr]]


def _opened(node: ast.expr) -> tuple[str, Items, str] | None:
    """Return what stands before a node's last bracket closes: head, items, the closing one."""
    if isinstance(node, ast.Call) and (node.args or node.keywords):
        items = [*_plain(node.args), *((_keyword(k.arg), k.value) for k in node.keywords)]
        return f"{_flat(node.func)}(", items, ")"
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and node.elts:
        kinds = {ast.List: ("[", "]"), ast.Tuple: ("(", ")"), ast.Set: ("{", "}")}
        return kinds[type(node)][0], _plain(node.elts), kinds[type(node)][1]
    if isinstance(node, ast.Dict) and node.values:
        pairs = zip(node.keys, node.values, strict=True)
        return "{", [(f"{_flat(key)}: " if key else "**", value) for key, value in pairs], "}"
    if isinstance(node, ast.Starred):
        opened = _opened(node.value)
        return opened and (f"*{opened[0]}", *opened[1:])
    return None


def _plain(nodes: Iterable[ast.expr]) -> Items:
    return [("", node) for node in nodes]


def _keyword(name: str | None) -> str:
    return f"{name}=" if name else "**"


# -- one line --------------------------------------------------------------------------


class _Written(ast.NodeTransformer):
    """
    Puts texts and numbers as they are to be written in the place of their values.

    ``ast.unparse`` quotes in its own way, and writes a name as it is.
    """

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, float):
            text = repr(node.value).replace("e+", "e").replace("inf", "1e309")
            return ast.Name(text, ast.Load())
        if isinstance(node.value, str | bytes):
            return ast.Name(_quoted(node.value), ast.Load())
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node


def _flat(node: ast.AST) -> str:
    """Return a node on one line."""
    return ast.unparse(node)


def _quoted(value: str | bytes) -> str:
    """Return a literal as formatters quote it: double, unless that takes more escapes."""
    text = repr(value)
    prefix, text = ("b", text[1:]) if isinstance(value, bytes) else ("", text)
    inner = text[1:-1]
    if text[0] == '"':
        return prefix + text
    plain = inner.replace("\\'", "'")
    if '"' not in plain:
        return f'{prefix}"{plain}"'
    if inner == plain:
        return prefix + text  # double quotes only: single ones around them need no escape
    # Both kinds are in it, and Python escaped the single ones.
    if plain.count('"') > plain.count("'"):
        return prefix + text
    escaped = plain.replace('"', '\\"')
    return f'{prefix}"{escaped}"'


# -- imports ---------------------------------------------------------------------------


def imports(lines: Iterable[str], own: Iterable[str]) -> str:
    """
    Return import statements in isort's order, those of the project's ``own`` modules last.

    Raises:
        AuthoringError: one of them is no import.

    """
    mine = set(own)
    groups: dict[tuple[int, int], set[str]] = {}
    names: dict[tuple[int, str], set[str]] = {}
    for line in lines:
        for node in _parsed(line):
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                place = _section(module, mine)
                names.setdefault((place, module), set()).update(map(_alias, node.names))
            else:
                for alias in node.names:
                    place = _section(alias.name, mine)
                    groups.setdefault((place, 0), set()).add(f"import {_alias(alias)}")
    for (place, module), found in names.items():
        groups.setdefault((place, 1), set()).add(_from(module, found))
    sections = [
        sorted(groups.get((place, 0), ()), key=_isort) + sorted(groups.get((place, 1), ()))
        for place in sorted({place for place, _ in groups})
    ]
    return "\n\n".join("\n".join(section) for section in sections)


def _isort(line: str) -> tuple[str, str]:
    return line.split()[1].lower(), line


def _from(module: str, names: set[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"


def _alias(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _parsed(line: str) -> list[ast.Import | ast.ImportFrom]:
    try:
        nodes = ast.parse(line.strip()).body
    except (SyntaxError, ValueError):
        nodes = []
    found = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    if not found or len(found) != len(nodes):
        raise AuthoringError(
            f"{line!r} is no import",
            hint="correct what render_item adds to autogen_context.imports",
        )
    return found


def _section(module: str, own: set[str]) -> int:
    """Return the place of a module's section: the future, Python's own, others', ours, near."""
    import sys

    top = module.partition(".")[0]
    if module == "__future__":
        return 0
    if not top:
        return 4
    if top in own:
        return 3
    return 1 if top in sys.stdlib_module_names else 2
