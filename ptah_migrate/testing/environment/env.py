"""Run by Alembic: a package's revisions on the connection of whoever tests them."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, engine_from_config, pool, text

from ptah_migrate._runtime import schema
from ptah_migrate._runtime.contexts import options_of

config = context.config
given = config.attributes
package = given["ptah_package"]
# pytest-alembic puts None where it was told nothing.
target_metadata = given.get("target_metadata")
if target_metadata is None:
    target_metadata = schema.metadata(package)
options: dict[str, Any] = {
    "compare_server_default": True,
    **options_of(package),
    "target_metadata": target_metadata,
}


def online(connection: Connection) -> None:
    """Run on a connection, in a schema if the caller names one."""
    place = given.get("target_schema")
    if place:
        quoted = connection.dialect.identifier_preparer.quote_schema(place)
        connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": quoted})
        options["version_table_schema"] = place
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()


bind = given.get("connection")
if context.is_offline_mode():
    context.configure(
        url=config.get_main_option("sqlalchemy.url"),
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()
elif isinstance(bind, Connection):
    online(bind)
else:
    section = config.get_section(config.config_ini_section) or {}
    engine = bind or engine_from_config(section, poolclass=pool.NullPool)
    with engine.connect() as made:
        online(made)
