"""Python source of operations, from Alembic's renderers, with what these leave out."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy
from alembic.autogenerate import render_op_text
from alembic.operations import ops
from sqlalchemy import Enum
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError

from ptah_migrate._runtime import named
from ptah_migrate._runtime.autogenerate import values
from ptah_migrate._runtime.autogenerate.operations import Code, FillRows
from ptah_migrate._runtime.contexts import options_of
from ptah_migrate.errors import ModelsError

if TYPE_CHECKING:
    from sqlalchemy import Column

    from ptah_migrate._runtime.comparison import Comparison

# Constraints that nobody named, so that SQLite finds what it is to drop.
CONVENTION = {
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
}
# What every database does to a table that exists, without batch mode.
_INDEXES = (ops.CreateIndexOp, ops.DropIndexOp)
_POSTGRESQL_IMPORT = "from sqlalchemy.dialects import postgresql"


class Renderer:
    """
    Renders the operations of one direction; ``kinds`` are the enums that are there before.

    ``imports`` grows with what is rendered.
    """

    def __init__(self, comparison: Comparison, kinds: set[str]) -> None:
        self.comparison = comparison
        self.kinds = kinds
        self.context = comparison.context
        options = options_of(comparison.package)
        self.batch = bool(options.get("render_as_batch", True))
        self._theirs = _hooks(options.get("render_item"))
        self._creating = False
        self._unnamed = False
        self.context.imports = set()

    @property
    def imports(self) -> set[str]:
        """What the rendered source needs, as far as nothing but the renderers knows."""
        return self.context.imports

    def source(self, found: Sequence[ops.MigrateOperation]) -> str:
        """
        Return statements, nothing for none.

        Raises:
            ModelsError: something cannot be rendered.

        """
        before = self.context.opts
        self.context.opts = {**before, "render_item": self._item, "render_as_batch": self.batch}
        try:
            statements = [one for run in _runs(found) for one in self._run(run)]
        finally:
            self.context.opts = before
        imported = {name for line in self.imports for name in _bound(line)}
        module = ast.Module(body=statements, type_ignores=[])
        imported |= set(_assigned(module))
        module = _Qualified(imported).visit(module)
        return ast.unparse(ast.fix_missing_locations(module))

    def _run(self, run: list[ops.MigrateOperation]) -> list[ast.stmt]:
        fills = [op for op in run if isinstance(op, FillRows)]
        if fills:
            return self._parsed("\n".join(self._filled(fills)), fills[0])
        return self._statements(run[0])

    def _statements(self, op: ops.MigrateOperation) -> list[ast.stmt]:
        if isinstance(op, Code):
            self.imports.update(op.imports if op.lines else ())
            return self._parsed("\n".join(op.lines), op)
        if isinstance(op, ops.ModifyTableOps):
            return self._modified(op)
        self._creating = isinstance(op, ops.CreateTableOp)
        text = self._text(op)
        self._creating = False
        if isinstance(op, ops.CreateTableOp):
            self.kinds |= set(named.kinds(op.to_table().columns))
        return self._parsed(text, op)

    def _text(self, op: ops.MigrateOperation) -> str:
        try:
            return render_op_text(self.context, op)
        except (ValueError, TypeError, AttributeError, NotImplementedError, CompileError) as error:
            raise self._cannot(op, error) from error

    def _cannot(self, op: ops.MigrateOperation, error: Exception) -> ModelsError:
        words = " ".join(str(error).split()) or type(error).__name__
        place = getattr(op, "table_name", "") or type(op).__name__
        return ModelsError(
            f"a change of '{place}' of package '{self.comparison.package.name}' "
            f"cannot be written as Python: {words}",
            hint="render it by the option render_item, or give the type a __repr__ that is Python",
        )

    def _parsed(self, text: str, op: ops.MigrateOperation) -> list[ast.stmt]:
        try:
            return ast.parse(text).body
        except (SyntaxError, ValueError) as error:
            raise self._cannot(op, error) from error

    # -- one table ---------------------------------------------------------------

    def _modified(self, op: ops.ModifyTableOps) -> list[ast.stmt]:
        self._unnamed = False
        for one in op.ops:
            self._name(one)
        batch = self.batch and not all(isinstance(one, _INDEXES) for one in op.ops)
        self.context.opts["render_as_batch"] = batch
        text = self._text(op)
        self.context.opts["render_as_batch"] = self.batch
        if not text.strip():
            return []
        head, _, rest = text.partition("\n")
        if not batch:
            return self._completed(op, self._parsed(text, op))
        [block] = self._parsed(f"{head} pass", op)
        assert isinstance(block, ast.With)
        block.body = self._completed(op, self._parsed(rest, op))
        call = block.items[0].context_expr
        assert isinstance(call, ast.Call)
        call.keywords = [one for one in call.keywords if not _is_none(one.value)]
        if self._unnamed:
            convention = ast.parse(repr(CONVENTION), mode="eval").body
            call.keywords.append(ast.keyword("naming_convention", convention))
        return [block]

    def _name(self, one: ops.MigrateOperation) -> None:
        """Give a constraint without a name one: on a table that exists it needs one."""
        if getattr(one, "constraint_name", "") is not None:
            return
        if isinstance(one, ops.CreateForeignKeyOp):
            one.constraint_name = _key_name(one.source_table, one.local_cols, one.referent_table)
        elif isinstance(one, ops.CreateUniqueConstraintOp):
            one.constraint_name = _unique_name(one.table_name, list(map(str, one.columns)))
        elif isinstance(one, ops.DropConstraintOp):
            self._unnamed = True
            found = _dropped_name(one)
            if found is not None:
                one.constraint_name = found

    def _completed(self, op: ops.ModifyTableOps, found: list[ast.stmt]) -> list[ast.stmt]:
        """Add to changes of types how PostgreSQL gets from the old to the new values."""
        altered = [one for one in op.ops if isinstance(one, ops.AlterColumnOp)]
        casts = {one.column_name: cast for one in altered if (cast := _cast(one))}
        for statement in found:
            call = statement.value if isinstance(statement, ast.Expr) else None
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", "") != "alter_column":
                continue
            name = call.args[0 if self.batch else 1]
            using = casts.get(str(name.value)) if isinstance(name, ast.Constant) else None
            if using and any(one.arg == "type_" for one in call.keywords):
                call.keywords.append(ast.keyword("postgresql_using", ast.Constant(using)))
        return found

    # -- rows --------------------------------------------------------------------

    def _filled(self, fills: Sequence[FillRows]) -> Iterator[str]:
        """Yield statements that fill columns of one table; new ones together, they are empty."""
        first = fills[0]
        name = f"{_identifier(first.fill.table)}_table"
        columns = [
            f"sa.column({str(one.column.name)!r}{self._type_of(one.column)})" for one in fills
        ]
        table = first.fill.table.rpartition(".")[2]
        schema = [f"schema={first.schema!r}"] if first.schema else []
        yield f"{name} = sa.table({', '.join([repr(table), *columns, *schema])})"
        for one in fills:
            self.imports.update(values.imports(one.value))
        pairs = [f"{str(one.column.name)!r}: {one.value}" for one in fills if one.every]
        if pairs:
            yield f"op.execute(sa.update({name}).values({{{', '.join(pairs)}}}))"
        for one in fills:
            if not one.every:
                column = repr(str(one.column.name))
                yield f"filled = sa.update({name}).values({{{column}: {one.value}}})"
                yield f"op.execute(filled.where(sa.column({column}).is_(None)))"

    def _type_of(self, column: Column[Any]) -> str:
        """Return the source of a column's type as an argument, as the database knows it."""
        from sqlalchemy import Column

        plain: Column[Any] = Column("plain", values.plain(column.type))
        rendered = ast.parse(self._text(ops.AddColumnOp("plain", plain)), mode="eval").body
        made = next(
            (
                node
                for node in ast.walk(rendered)
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "Column"
            ),
            None,
        )
        return f", {ast.unparse(made.args[1])}" if made and len(made.args) > 1 else ""

    # -- types -------------------------------------------------------------------

    def _item(self, kind: str, thing: Any, context: Any) -> Any:
        """Render as the package wants it; then the enums that PostgreSQL has already."""
        for hook in self._theirs:
            rendered = hook(kind, thing, context)
            if rendered is not False:
                return rendered
        if kind == "type":
            self._import(type(thing).__module__)
        found = named.kind_of(thing) if kind == "type" and isinstance(thing, Enum) else None
        if found is None:
            return False
        # What was reflected is PostgreSQL's own class, which other databases do not know.
        reflected = isinstance(thing, postgresql.ENUM)
        if self._creating and found.key in self.kinds:
            self.imports.add(_POSTGRESQL_IMPORT)
            words = _enum(found, "postgresql.ENUM", ", create_type=False")
            plain = _enum(found, "sa.Enum", _options(thing))
            return f"{plain}.with_variant({words}, 'postgresql')"
        return _enum(found, "sa.Enum", "") if reflected else False

    def _import(self, module: str) -> None:
        """Import the module of a type of somebody's own, as its name will be written."""
        if module.partition(".")[0] in ("sqlalchemy", "builtins", "__main__"):
            return
        prefix = str(self.context.opts.get("user_module_prefix") or "").rstrip(".")
        wanted = prefix if self.context.opts.get("user_module_prefix") is not None else module
        if wanted in sys.modules:
            self.imports.add(f"import {wanted}")


def _runs(found: Sequence[ops.MigrateOperation]) -> Iterator[list[ops.MigrateOperation]]:
    """Yield each operation alone, but the fillings of one table together."""
    for table, run in groupby(found, lambda op: op.fill.table if isinstance(op, FillRows) else ""):
        if table:
            yield list(run)
        else:
            yield from ([op] for op in run)


class _Qualified(ast.NodeTransformer):
    """
    Says where SQLAlchemy's names come from: ``Text()`` becomes ``sa.Text()``.

    The ``repr()`` of a dialect's type may hold other types, bare; Alembic
    corrects it for the dialect it is connected to, and no other (1.20).
    """

    def __init__(self, imported: set[str]) -> None:
        self._imported = imported

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = node.id in self._imported or hasattr(builtins, node.id)
        if known or not hasattr(sqlalchemy, node.id) or not isinstance(node.ctx, ast.Load):
            return node
        return ast.Attribute(ast.Name("sa", ast.Load()), node.id, ast.Load())


def _assigned(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _bound(line: str) -> Iterator[str]:
    """Yield the names that an import statement binds."""
    for node in ast.parse(line).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (one.asname or one.name.partition(".")[0] for one in node.names)


def _hooks(given: Any) -> tuple[Callable[..., Any], ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _enum(kind: named.Kind, name: str, options: str) -> str:
    schema = f", schema={kind.schema!r}" if kind.schema else ""
    return f"{name}({', '.join(map(repr, kind.labels))}, name={kind.name!r}{schema}{options})"


def _options(type_: Enum) -> str:
    return ", create_constraint=True" if type_.create_constraint else ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _identifier(name: str) -> str:
    found = re.sub(r"\W", "_", name)
    return found if found.isidentifier() and not keyword.iskeyword(found) else f"_{found}"


def _cast(op: ops.AlterColumnOp) -> str:
    """Return an expression that PostgreSQL turns the old values into the new type with."""
    if op.modify_type is None or op.existing_type is None:
        return ""
    try:
        new = op.modify_type.compile(dialect=named.POSTGRESQL)
        old = op.existing_type.compile(dialect=named.POSTGRESQL)
    except CompileError:
        return ""
    if new.partition("(")[0] == old.partition("(")[0]:
        return ""
    column = named.POSTGRESQL.identifier_preparer.quote(op.column_name)
    return f"{column}::{new}"


def _key_name(table: str, columns: Sequence[str], referred: str) -> str:
    return f"fk_{table}_{'_'.join(columns)}_{referred}"


def _unique_name(table: str, columns: Sequence[str]) -> str:
    return f"uq_{table}_{'_'.join(columns)}"


def _dropped_name(op: ops.DropConstraintOp) -> str | None:
    constraint = op.to_constraint()
    columns = [str(name) for name in getattr(constraint, "column_keys", ())]
    if op.constraint_type == "foreignkey":
        elements: list[Any] = getattr(constraint, "elements", [])
        referred = elements[0].target_fullname.rpartition(".")[0].rpartition(".")[2]
        return _key_name(op.table_name, columns, referred)
    if op.constraint_type == "unique":
        found = [str(column.name) for column in getattr(constraint, "columns", ())]
        return _unique_name(op.table_name, found or columns)
    return None
