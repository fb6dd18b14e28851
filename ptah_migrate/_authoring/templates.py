"""
Where the templates are, and how a revision file is made of one.

Nothing a person typed is pasted: messages and ids are encoded as Python
literals first, and the finished file is parsed and compared with what was
asked for before anybody may write it.
"""

from __future__ import annotations

import ast
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptah_migrate._authoring import operations as operations_
from ptah_migrate._authoring.naming import HIDDEN
from ptah_migrate._authoring.operations import Operations
from ptah_migrate._history import NOT_WRITTEN
from ptah_migrate.errors import AuthoringError

if TYPE_CHECKING:
    from jinja2 import Template

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
    """
    What a new revision file says; ``down`` and ``requires`` as they will be read.

    ``operations`` are those that were rendered from the models; None leaves
    them to be written.
    """

    id: str
    message: str = ""
    down: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    operations: Operations | None = None


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates of somebody's own, under the names that ours have; ``place`` is where they are."""

    place: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    Where the template of a revision file is looked for.

    ``kind`` is ``revision``, or ``data`` for a step that moves rows. ``file``
    is one that was named; ``own`` come next, in their order, and ours stand
    behind all of them: also as ``ptah_migrate/…``, for a template that extends
    the one it replaces.
    """

    kind: str = "revision"
    file: Path | None = None
    own: tuple[Templates, ...] = ()

    @property
    def name(self) -> str:
        """The template's file name."""
        return f"{self.kind}.py.jinja"

    @property
    def chosen(self) -> str:
        """The place of the template that will be used; empty for ours."""
        if self.file is not None:
            return str(self.file)
        place = next((one.place for one in self.own if self.name in one.texts), "")
        return f"{place}/{self.name}" if place else ""


OURS = Lookup()


def render_revision(values: RevisionValues, lookup: Lookup = OURS) -> bytes:
    """
    Return the file of a new revision: UTF-8, LF, the same for the same values.

    Raises:
        AuthoringError: the template is missing or broken, or what came out does
            not say what was asked for.

    """
    name, render = _renderer(lookup)
    source = _rendered(name, render, values)
    problem = difference(source, values)
    if not problem and values.message:
        other = replace(values, message="message")
        if not _same_code((source, values), (_rendered(name, render, other), other)):
            problem = "the message became code in it"
    if problem:
        raise AuthoringError(
            f"template '{name}' made an unusable file: {problem}",
            hint="correct the template; nothing was written",
        )
    return source


def _renderer(lookup: Lookup) -> tuple[str, Callable[..., str]]:
    """Return what makes a text of the values, and what to call it in messages."""
    if lookup.kind == "revision" and not lookup.chosen:
        return lookup.name, standard
    name, template = _template(lookup)
    return name, template.render


def standard(
    *,
    docstring: str,
    revision: str,
    down_revision: str,
    branch_labels: str,
    requires: str,
    todo: str,
    imports: str,
    upgrade: str,
    downgrade: str,
    **_: str,
) -> str:
    """
    Return what our ``revision.py.jinja`` makes of the same values.

    Nearly every file is made of it, and loading Jinja to compile it would take
    ten times longer than all the rest. A test compares the two.
    """
    nothing = f"    pass{'  ' + todo if todo else ''}"
    lines = [
        *((docstring, "") if docstring else ()),
        imports if upgrade else _IMPORTS,
        "",
        f"revision = {revision}",
        f"down_revision = {down_revision}",
        f"branch_labels = {branch_labels}",
        "depends_on = None",
        *((f"requires = {requires}",) if requires != "None" else ()),
        "",
        "",
        "def upgrade() -> None:",
        upgrade or nothing,
        "",
        "",
        "def downgrade() -> None:",
        downgrade or nothing,
        "",
    ]
    return "\n".join(lines)


_IMPORTS = "import sqlalchemy as sa  # noqa: F401\nfrom alembic import op  # noqa: F401"


def _template(lookup: Lookup) -> tuple[str, Template]:
    """Return the template to use, compiled, and what to call it in messages."""
    from jinja2 import ChoiceLoader, DictLoader, PrefixLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    ours = DictLoader(texts_of(locate("revision")))
    own = [DictLoader(one.texts) for one in lookup.own]
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([*own, PrefixLoader({"ptah_migrate": ours}), ours]),
        undefined=StrictUndefined,
        autoescape=False,  # it is Python, not HTML, and every value is a literal by now
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
    with _explained(lookup.chosen or lookup.name) as shown:
        if lookup.file is not None:
            return shown, environment.from_string(_text(lookup.file))
        return shown, environment.get_template(lookup.name)


@contextmanager
def _explained(name: str) -> Iterator[str]:
    """Give a name; whatever a template raises in the block is one error with that name."""
    try:
        yield name
    except AuthoringError:
        raise
    except Exception as error:  # a template of somebody's own runs here
        from jinja2 import TemplateSyntaxError

        line = f":{error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        words = " ".join(str(error).split()) or type(error).__name__
        raise AuthoringError(
            f"template '{name}{line}' cannot be rendered: {words}",
            hint="correct the template; nothing was written",
        ) from error


def texts_of(folder: Traversable) -> dict[str, str]:
    """
    Return the templates of a folder by name; inside a zipped wheel they have no path.

    Raises:
        AuthoringError: one of them cannot be read.

    """
    try:
        # A path for each of hundreds of revisions takes its time.
        names = (
            os.listdir(folder)  # noqa: PTH208 - hot
            if isinstance(folder, Path)
            else [entry.name for entry in folder.iterdir()]
        )
    except OSError as error:
        raise AuthoringError(
            f"the templates in '{folder}' cannot be read: {error.strerror}",
            hint="correct the folder's permissions, or the setting templates",
        ) from error
    found = {name: folder / name for name in names if name.endswith(".jinja")}
    return {name: _text(file) for name, file in found.items() if file.is_file()}


def _text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AuthoringError(f"template '{file}' is not UTF-8 text") from error
    except OSError as error:
        raise AuthoringError(f"template '{file}' cannot be read: {error.strerror}") from error


def _rendered(name: str, render: Callable[..., str], values: RevisionValues) -> bytes:
    made = values.operations or Operations("", "", "")
    written = values.operations is not None or len(values.down) > 1
    with _explained(name):
        text = render(
            docstring=docstring(values.message),
            message=embedded(values.message),
            revision=literal(values.id),
            down_revision=literal(_one_or_many(values.down)),
            branch_labels=literal(values.labels or None),
            requires=literal(values.requires or None),
            todo="" if written else NOT_WRITTEN,
            imports=made.imports,
            upgrade=made.upgrade,
            downgrade=made.downgrade,
        )
        return text.encode("utf-8")


def _same_code(*made: tuple[bytes, RevisionValues]) -> bool:
    """Return whether files that begin with their messages, or have them in texts, do the same."""
    behind = {source.removeprefix(docstring(said.message).encode()) for source, said in made}
    return len(behind) == 1 or len({_shape(source) for source, _ in made}) == 1


def _shape(source: bytes) -> str:
    """Return a file's code without its texts: what a message must have no influence on."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def difference(source: bytes, values: RevisionValues) -> str:
    """Return how a revision file differs from what it must say, or nothing."""
    try:
        tree = ast.parse(source)
        compile(source, "<revision>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"it is not Python: {error}"
    if not (ast.get_docstring(tree, clean=False) or "").startswith(values.message):
        return "its docstring does not begin with the message"
    expected = {
        "revision": values.id,
        "down_revision": _one_or_many(values.down),
        "branch_labels": values.labels or None,
        "depends_on": None,
        **({"requires": values.requires} if values.requires else {}),
    }
    if constants(tree) != expected:
        return "its constants are not those asked for"
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if [name for name in functions if name in ("upgrade", "downgrade")] != ["upgrade", "downgrade"]:
        return "it does not define upgrade and downgrade"
    return operations_.lost(values.operations, tree) if values.operations else ""


_CONSTANTS = frozenset({"revision", "down_revision", "branch_labels", "depends_on", "requires"})


def constants(tree: ast.Module) -> dict[str, Any]:
    """Return the constants of a revision file; ``...`` for one that is computed or bound twice."""
    found: dict[str, Any] = {}
    for statement in tree.body:
        for name, value in _assigned(statement):
            if name in _CONSTANTS:
                found[name] = ... if name in found else _value(value)
    return found


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from (
            (target.id, node.value) for target in node.targets if isinstance(target, ast.Name)
        )
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value


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


def embedded(message: str) -> str:
    r"""
    Return a message for any place inside a text or a comment of a template's own.

    Nothing in it ends a literal of either kind of quotes, or the line.
    """
    return "".join(f"\\{char}" if char in "\"'" else _escaped(char) for char in message)


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
