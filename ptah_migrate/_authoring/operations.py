"""The operations of a revision that was rendered from models, laid out for its file."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ptah_migrate._authoring import layout
from ptah_migrate.drafts import Body
from ptah_migrate.errors import AuthoringError
from ptah_migrate.model import Package
from ptah_migrate.registry import directories

_USUAL = {"sa": "import sqlalchemy as sa", "op": "from alembic import op"}
_DIALECTS = "from sqlalchemy.dialects import "
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True, slots=True)
class Operations:
    """The source of both functions, indented, and of the imports they need."""

    imports: str
    upgrade: str
    downgrade: str


def laid_out(body: Body, package: Package) -> Operations:
    """
    Return a body as its file has it.

    Raises:
        AuthoringError: it is not Python, or uses a name that nothing imports.

    """
    up, down = layout.body(body.upgrade), layout.body(body.downgrade)
    used = {*_names(body.upgrade), *_names(body.downgrade)}
    lines = [line for name, line in _USUAL.items() if name in used]
    lines += [line for line in body.imports if not _idle(line, used)]
    found = layout.imports(lines, _own(package, lines))
    missing = used - bound(ast.parse(found)) - _assigned(body) - set(dir(builtins))
    if missing:
        raise AuthoringError(
            f"the operations use '{min(missing)}', which nothing imports",
            hint="let render_item add it: autogen_context.imports.add('import …')",
        )
    return Operations(found, up, down)


def lost(operations: Operations, tree: ast.Module) -> str:
    """Return what a revision file lacks of operations that it must have, or nothing."""
    wanted = {"upgrade": operations.upgrade, "downgrade": operations.downgrade}
    functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
    for name, text in wanted.items():
        function = functions.get(name)
        if function is None or not _holds(function.body, _statements(text)):
            return f"it has no place for the operations: {{{{ {name} }}}}"
    missing = bound(ast.parse(operations.imports)) - bound(tree)
    if missing:
        return f"it does not import '{min(missing)}', which the operations use: {{{{ imports }}}}"
    return ""


def _statements(text: str) -> list[ast.stmt]:
    """Return the statements of an indented body."""
    [block] = ast.parse(f"if 1:\n{text}").body
    assert isinstance(block, ast.If)
    return block.body


def _holds(found: list[ast.stmt], wanted: list[ast.stmt]) -> bool:
    """Return whether statements are among others, together and in their order."""
    all_ = [ast.dump(one) for one in found]
    some = [ast.dump(one) for one in wanted]
    return any(all_[i : i + len(some)] == some for i in range(len(all_) - len(some) + 1))


# -- names -----------------------------------------------------------------------------


def _names(source: str) -> set[str]:
    return {
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _assigned(body: Body) -> set[str]:
    return {
        node.id
        for source in (body.upgrade, body.downgrade)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def bound(tree: ast.Module) -> set[str]:
    """Return the names that the imports of a file bind."""
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _idle(line: str, used: set[str]) -> bool:
    """Return whether a line imports a dialect that no type is of: Alembic may ask for one."""
    return line.startswith(_DIALECTS) and line.removeprefix(_DIALECTS).strip() not in used


# -- whose modules ---------------------------------------------------------------------


def _own(package: Package, lines: Iterable[str]) -> set[str]:
    """Return those of the imported modules that lie in the project, as isort would see it."""
    top = package.name.partition(".")[0]
    root = _root(directories(package)[0], top)
    if root is None or root.name in _INSTALLED:
        return {top}
    return {top, *(name for name in _modules(lines) if _lies(root, name))}


def _root(folder: Path, top: str) -> Path | None:
    return next((one.parent for one in (folder, *folder.parents) if one.name == top), None)


def _lies(root: Path, name: str) -> bool:
    return (root / name / "__init__.py").is_file() or (root / f"{name}.py").is_file()


def _modules(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        words = line.split()
        if len(words) > 1:
            yield words[1].partition(".")[0].rstrip(",")
