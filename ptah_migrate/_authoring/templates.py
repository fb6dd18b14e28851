"""
Where the templates are, and how a revision file is made of one.

Nothing a person typed is pasted: messages and ids are encoded as Python
literals first, and the finished file is parsed and compared with what was
asked for before anybody may write it.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ptah_migrate._authoring.naming import HIDDEN
from ptah_migrate.errors import AuthoringError

# Stands in every generated function that has no operation yet. A file with this
# comment was not written by its author: tools look for it, authors delete it.
NOT_WRITTEN = "# ptah-migrate: not written yet"

REVISION = "revision.py.jinja"

_ENDING_QUOTE = re.compile(r'"(?="|\Z)')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LINE = 88  # a longer tuple gets one item per line, as formatters do


# -- where -------------------------------------------------------------------------


@contextmanager
def directory(kind: str) -> Iterator[Path]:
    """
    Give the templates of a kind (``revision``, ``package``) as a real directory.

    Raises:
        AuthoringError: they are not there.

    """
    with as_file(locate(kind)) as path:
        yield path


def locate(kind: str, package: Traversable | None = None) -> Traversable:
    """
    Return the folder of a kind: inside the installed package, else beside the checkout's.

    Raises:
        AuthoringError: it is in neither place.

    """
    package = files("ptah_migrate") if package is None else package
    installed = package / "_templates" / kind
    if installed.is_dir():
        return installed
    # Only a checkout has our pyproject.toml there: site-packages may hold anybody's `templates`.
    root = Path(str(package)).parent
    if (root / "pyproject.toml").is_file() and (root / "templates" / kind).is_dir():
        return root / "templates" / kind
    raise AuthoringError(
        f"the {kind} templates of ptah-migrate are not installed",
        hint="pip install --force-reinstall ptah-migrate",
    )


# -- a revision file ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RevisionValues:
    """What a new revision file says; ``down`` and ``requires`` as they will be read."""

    id: str
    message: str = ""
    down: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


def render_revision(values: RevisionValues) -> bytes:
    """
    Return the file of a new revision: UTF-8, LF, the same for the same values.

    Raises:
        AuthoringError: the template is broken, or what came out does not say
            what was asked for.

    """
    source = _rendered(
        REVISION,
        {
            "docstring": docstring(values.message),
            "revision": literal(values.id),
            "down_revision": literal(_one_or_many(values.down)),
            "branch_labels": literal(values.labels or None),
            "requires": literal(values.requires or None),
            "todo": "" if len(values.down) > 1 else NOT_WRITTEN,
        },
    ).encode("utf-8")
    problem = difference(source, values)
    if problem:
        raise AuthoringError(f"template '{REVISION}' made an unusable file: {problem}")
    return source


def _rendered(name: str, context: Mapping[str, str]) -> str:
    from jinja2 import DictLoader, StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Read as text: a template inside a zipped wheel has no path.
    texts = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in locate("revision").iterdir()
        if entry.name.endswith(".jinja")
    }
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(texts),
        undefined=StrictUndefined,
        autoescape=False,  # it is Python, not HTML, and every value is a literal by now
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
    try:
        return environment.get_template(name).render(context)
    except TemplateError as error:
        raise AuthoringError(f"template '{name}' cannot be rendered: {error}") from error


def difference(source: bytes, values: RevisionValues) -> str:
    """Return how a revision file differs from what it must say, or nothing."""
    try:
        tree = ast.parse(source)
        compile(source, "<revision>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"it is not Python: {error}"
    if (ast.get_docstring(tree, clean=False) or "") != values.message:
        return "its docstring is not the message"
    expected = {
        "revision": values.id,
        "down_revision": _one_or_many(values.down),
        "branch_labels": values.labels or None,
        "depends_on": None,
        **({"requires": values.requires} if values.requires else {}),
    }
    if _constants(tree) != expected:
        return "its constants are not those asked for"
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if [name for name in functions if name in ("upgrade", "downgrade")] != ["upgrade", "downgrade"]:
        return "it does not define upgrade and downgrade"
    return ""


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the top-level assignments; a name bound twice is not a constant."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = ast.unparse(target)
                found[name] = ... if name in found else _value(node.value)
    return found


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def _one_or_many(ids: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """Return ids as Alembic writes ``down_revision``."""
    return ids if len(ids) > 1 else next(iter(ids), None)


# -- encoding ------------------------------------------------------------------------


def docstring(message: str) -> str:
    r"""
    Return a triple-quoted literal whose value is exactly the message; nothing for none.

    Ordinary letters and line breaks stay readable. A backslash, a quote that
    could end the literal and every character that a reader cannot see
    (``naming.HIDDEN``) are escaped.
    """
    if not message:
        return ""
    body = "".join(char if char == "\n" else _escaped(char) for char in message)
    # A quote can stay when another character than a quote follows it.
    body = _ENDING_QUOTE.sub(r'\\"', body)
    return f'"""{body}"""'


def literal(value: str | tuple[str, ...] | None) -> str:
    """Return Python source of a text, of several, or of nothing."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return '"' + "".join(_escaped(char) for char in value).replace('"', '\\"') + '"'
    items = [literal(item) for item in value]
    line = f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if len(line) <= _LINE - len("down_revision = "):
        return line
    return "(\n" + "".join(f"    {item},\n" for item in items) + ")"


def _escaped(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if unicodedata.category(char) not in HIDDEN:
        return char
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
