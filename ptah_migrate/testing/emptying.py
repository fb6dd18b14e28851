"""Takes a database that was empty back to being empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


def inhabitants(engine: Engine) -> list[str]:
    """Return the tables and views that a database has, sorted."""
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        return sorted({*inspector.get_table_names(), *inspector.get_view_names()})


def schemas(engine: Engine) -> frozenset[str]:
    """Return the schemas that a database has, where a database has schemas."""
    if engine.dialect.name != "postgresql":
        return frozenset()
    with engine.connect() as connection:
        return frozenset(sa.inspect(connection).get_schema_names())


def empty(engine: Engine, kept: frozenset[str]) -> None:
    """Drop everything that was made since; ``kept`` are the schemas that were there."""
    statements = {
        "sqlite": _sqlite,
        "postgresql": lambda connection: _postgresql(connection, kept),
        "mysql": _mysql,
        "mariadb": _mysql,
    }.get(engine.dialect.name, _any)
    with engine.connect() as connection:
        for statement in list(statements(connection)):
            connection.exec_driver_sql(statement)
        connection.commit()


def _quoted(connection: Connection, *names: str) -> str:
    return ".".join(connection.dialect.identifier_preparer.quote_identifier(n) for n in names)


def _sqlite(connection: Connection) -> Iterator[str]:
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master "
        "WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
    ).all()
    connection.rollback()
    yield "PRAGMA foreign_keys = OFF"
    for kind, name in found:
        yield f"DROP {kind} {_quoted(connection, name)}"


def _mysql(connection: Connection) -> Iterator[str]:
    inspector = sa.inspect(connection)
    yield "SET FOREIGN_KEY_CHECKS = 0"
    for view in inspector.get_view_names():
        yield f"DROP VIEW {_quoted(connection, view)}"
    for table in inspector.get_table_names():
        yield f"DROP TABLE {_quoted(connection, table)}"
    yield "SET FOREIGN_KEY_CHECKS = 1"


# What an extension brought is not ours to drop.
_OBJECTS = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
    WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm', 'S', 'r', 'p') AND n.nspname !~ '^(pg_|information_schema)'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, t.typname
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd') OR c.relkind = 'c') AND n.nspname !~ '^(pg_|information_schema)'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'ROUTINE', n.nspname, p.proname
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p') AND n.nspname !~ '^(pg_|information_schema)'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def _postgresql(connection: Connection, kept: frozenset[str]) -> Iterator[str]:
    for name in sa.inspect(connection).get_schema_names():
        if name not in kept:
            yield f"DROP SCHEMA {_quoted(connection, name)} CASCADE"
    for kind, place, name in connection.exec_driver_sql(_OBJECTS).all():
        if place in kept:
            yield f"DROP {kind} IF EXISTS {_quoted(connection, place, name)} CASCADE"


def _any(connection: Connection) -> Iterator[str]:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    metadata.drop_all(connection)
    return iter(())
