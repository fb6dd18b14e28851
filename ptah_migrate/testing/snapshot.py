"""A database's schema and rows as plain values, equal for equal schemas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import CompileError, UnsupportedCompilationError

from ptah_migrate._runtime import journal, versions

if TYPE_CHECKING:
    from sqlalchemy import Engine, Inspector
    from sqlalchemy.engine.interfaces import Dialect

Snapshot = Mapping[str, str]

_BOOKKEEPING = frozenset({versions.TABLE, journal.TABLE, "alembic_version"})


def schema(engine: Engine) -> Snapshot:
    """
    Return everything a database has, by what it is: ``column post.title`` → ``VARCHAR(20)``.

    The tables in which migrations are recorded are left out.
    """
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        found = dict(_everything(inspector, connection.dialect))
    return dict(sorted(found.items()))


def schemas(inspector: Inspector) -> list[str | None]:
    """Return the schemas that are looked at: all of PostgreSQL, elsewhere the database itself."""
    if inspector.dialect.name != "postgresql":
        return [None]
    names = inspector.get_schema_names()
    default = inspector.default_schema_name
    others = [n for n in names if n not in (default, "information_schema") and n[:3] != "pg_"]
    return [None, *others]


def _everything(inspector: Inspector, dialect: Dialect) -> Iterator[tuple[str, str]]:
    for place in schemas(inspector):
        prefix = f"{place}." if place else ""
        if place:
            yield f"schema {place}", ""
        columns = inspector.get_multi_columns(schema=place)
        for (_, table), all_columns in _users(columns):
            yield f"table {prefix}{table}", ""
            for column in all_columns:
                yield f"column {prefix}{table}.{column['name']}", _column(column, dialect)
        for kind, found in (
            ("primary key", inspector.get_multi_pk_constraint(schema=place)),
            ("foreign key", inspector.get_multi_foreign_keys(schema=place)),
            ("unique constraint", inspector.get_multi_unique_constraints(schema=place)),
            ("index", inspector.get_multi_indexes(schema=place)),
            ("check constraint", inspector.get_multi_check_constraints(schema=place)),
        ):
            yield from _constraints(kind, prefix, found)
        for view in inspector.get_view_names(schema=place):
            yield f"view {prefix}{view}", inspector.get_view_definition(view, schema=place) or ""
        if dialect.name == "postgresql":
            for sequence in inspector.get_sequence_names(schema=place):
                if not sequence.startswith("ptah_db_"):
                    yield f"sequence {prefix}{sequence}", ""
            enums: Any = inspector
            for enum in enums.get_enums(schema=place):
                yield f"type {prefix}{enum['name']}", ", ".join(enum["labels"])


def _users(found: Mapping[Any, Any]) -> list[Any]:
    return [(key, value) for key, value in found.items() if key[1] not in _BOOKKEEPING]


def _constraints(kind: str, prefix: str, found: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for (_, table), all_of_them in _users(found):
        given = [all_of_them] if kind == "primary key" else all_of_them or ()
        for one in given:
            about = {key: value for key, value in one.items() if value not in (None, [], {}, ())}
            name = about.pop("name", None)
            if not about:
                continue  # no primary key
            words = _words(about)
            yield f"{kind} {name or words} of {prefix}{table}", words


def _words(about: Mapping[str, Any]) -> str:
    parts = []
    for key, value in sorted(about.items()):
        if key == "comment":
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        parts.append(f"{key.removesuffix('s').replace('_', ' ')} {text}")
    return " ".join(parts)


def _column(column: Mapping[str, Any], dialect: Dialect) -> str:
    try:
        words = column["type"].compile(dialect=dialect)
    except (CompileError, UnsupportedCompilationError):  # a type SQLAlchemy cannot reflect
        words = repr(column["type"])
    words += "" if column["nullable"] else " NOT NULL"
    for key in ("default", "computed", "identity"):
        if column.get(key):
            value = column[key]
            words += f" {key} {value['sqltext'] if key == 'computed' else value}"
    return str(words)


def differences(wanted: Snapshot, found: Snapshot) -> list[str]:
    """Return what of ``found`` is not as ``wanted``, in words; what hangs on a table is implied."""
    lines = [f"{name} is missing" for name in _outer(wanted.keys() - found.keys())]
    lines += [f"{name} is left" for name in _outer(found.keys() - wanted.keys())]
    lines += [
        f"{name} is '{found[name]}', not '{wanted[name]}'"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    return lines


def _outer(names: Iterable[str]) -> list[str]:
    """Return the names without the columns and constraints of a table that is among them."""
    tables = {name.removeprefix("table ") for name in names if name.startswith("table ")}
    return sorted(name for name in names if name.startswith("table ") or _table(name) not in tables)


def _table(name: str) -> str:
    if name.startswith("column "):
        return name.removeprefix("column ").rpartition(".")[0]
    return name.rpartition(" of ")[2]


# -- rows ----------------------------------------------------------------------------


def rows(engine: Engine) -> dict[str, list[str]]:
    """
    Return the rows of every table, sorted, in words; columns by name.

    Columns of dates and times are left out: whoever writes them writes now.
    """
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        for place in schemas(inspector):
            for name in inspector.get_table_names(schema=place):
                if name in _BOOKKEEPING:
                    continue
                columns: list[Any] = [
                    sa.column(column["name"])
                    for column in inspector.get_columns(name, schema=place)
                    if not isinstance(column["type"], sa.DateTime | sa.Date | sa.Time)
                ]
                columns.sort(key=lambda column: column.name)
                if not columns:
                    continue
                table = sa.table(name, *columns, schema=place)
                lines = (
                    ", ".join(f"{key}={value!r}" for key, value in row._mapping.items())  # noqa: SLF001
                    for row in connection.execute(sa.select(*table.c))
                )
                found[f"{place}.{name}" if place else name] = sorted(lines)
    return found


def row_differences(wanted: Mapping[str, list[str]], found: Mapping[str, list[str]]) -> list[str]:
    """Return the rows that only one of two databases has, in words."""
    lines = []
    for table in sorted(wanted.keys() & found.keys()):
        missing = [row for row in wanted[table] if row not in found[table]]
        extra = [row for row in found[table] if row not in wanted[table]]
        lines += [f"{table} lacks the row {missing[0]}{_more(missing)}"] if missing else []
        lines += [f"{table} has the row {extra[0]}{_more(extra)} besides"] if extra else []
    return lines


def _more(rows_: list[str]) -> str:
    return f" and {len(rows_) - 1} more" if len(rows_) > 1 else ""
