"""
The Alembic side of one package in one run: its contexts and its modules.

What an ``env.py`` would hand over comes from the registration. The contexts
are made with the public ``EnvironmentContext.configure``, so revisions find
``op``, ``context``, ``context.config`` and ``-x`` arguments as they know them.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

from ptah_migrate import dotted
from ptah_migrate._history import History
from ptah_migrate._history import modules as history_modules
from ptah_migrate._runtime import proxies, schema, versions
from ptah_migrate.errors import ConfigError, RevisionFileError
from ptah_migrate.model import Direction, Package, Revision

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from ptah_migrate._runtime.surroundings import Surroundings

# Options whose values are functions: registered as dotted names where text is all one can say.
_HOOKS = frozenset(
    {
        "compare_server_default",
        "compare_type",
        "include_name",
        "include_object",
        "on_version_apply",
        "process_revision_directives",
        "render_item",
    }
)
# What is ours to say: the place that the steps run on, and where they are recorded.
_OURS = frozenset(
    {
        "as_sql",
        "connection",
        "dialect_name",
        "dialect_opts",
        "output_buffer",
        "transaction_per_migration",
        "url",
        "version_table",
        "version_table_pk",
        "version_table_schema",
    }
)


class PackageContext:
    """
    The Alembic contexts of one package on one connection, or on one script.

    ``options`` are the registered ones, but for those that are ours to say;
    ``transactional`` says whether the package wants its steps in a transaction
    (``transactional_ddl`` there).
    """

    def __init__(
        self,
        package: Package,
        history: History,
        surroundings: Surroundings,
        *,
        connection: Connection | None = None,
        dialect: str | None = None,
        output: TextIO | None = None,
        transactional_ddl: bool,
    ) -> None:
        self.package = package
        self.history = history
        self.options = options_of(package)
        self.transactional = bool(self.options.pop("transactional_ddl", transactional_ddl))
        self.env = EnvironmentContext(_config(package, surroundings), _script(history))
        if connection is not None:
            self.env.config.attributes["connection"] = connection
        self.env.configure(
            connection=connection,
            dialect_name=dialect,
            transactional_ddl=self.transactional,
            **_offline(output),
            **{
                "target_metadata": _target_metadata(package),
                **self.options,
                "transaction_per_migration": True,
                "version_table": versions.TABLE,
                "version_table_schema": surroundings.version_table_schema,
            },
        )
        self.migration: MigrationContext = self.env.get_context()
        self.operations = Operations(self.migration)
        self._modules: dict[str, ModuleType] = {}
        self._loaded: dict[tuple[str, Direction], ModuleType] = {}

    def installed(self) -> AbstractContextManager[None]:
        """Bind ``alembic.op`` and ``alembic.context`` to this package."""
        return proxies.installed(self.env, self.operations)

    def load(self, revision: Revision, direction: Direction) -> ModuleType:
        """
        Import a revision, once, and return its module.

        Raises:
            RevisionFileError: it cannot be imported, says another id than its
                text did, or lacks the function to call.

        """
        known = self._loaded.get((revision.id, direction))
        if known is not None:
            return known
        if revision.id not in self._modules:
            with self.installed():
                self._modules[revision.id] = history_modules.load(revision.path, revision.package)
        module = self._modules[revision.id]
        if getattr(module, "revision", None) != revision.id:
            raise RevisionFileError(
                revision.package, str(revision.path), f"is not revision '{revision.id}' when run"
            )
        if set(_words(getattr(module, "down_revision", None))) != set(revision.down):
            raise RevisionFileError(
                revision.package,
                str(revision.path),
                f"follows {getattr(module, 'down_revision', None)!r} when run, "
                f"not {', '.join(revision.down) or None!r}",
            )
        if not callable(getattr(module, direction.value, None)):
            raise RevisionFileError(
                revision.package, str(revision.path), f"has no {direction.value}()"
            )
        self._loaded[revision.id, direction] = module
        return module


def _words(value: Any) -> tuple[str, ...]:
    return () if not value else (value,) if isinstance(value, str) else tuple(value)


def options_of(package: Package) -> dict[str, Any]:
    """
    Return what a package registers as ``options``, without those that are ours to say.

    Raises:
        ConfigError: they, or a function they name, cannot be imported.

    """
    options = dotted.resolve(package.options, f"the options of package '{package.name}'")
    if callable(options):
        options = options()
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"the options of package '{package.name}' are not a mapping")
    return {
        key: _hook(value, f"option '{key}' of package '{package.name}'") if key in _HOOKS else value
        for key, value in dict(options or {}).items()
        if key not in _OURS
    }


def _hook(value: Any, what: str) -> Any:
    if isinstance(value, list | tuple):
        return [dotted.resolve(one, what) for one in value]
    return dotted.resolve(value, what)


def _target_metadata(package: Package) -> MetaData | None:
    found = schema.metadata(package)
    if found is None and package.naming_convention is not None:
        convention = dotted.resolve(
            package.naming_convention, f"the naming convention of package '{package.name}'"
        )
        found = MetaData(naming_convention=convention)
    return found


def _config(package: Package, surroundings: Surroundings) -> Config:
    config = Config()
    config.cmd_opts = Namespace(x=list(surroundings.x_arguments))
    config.attributes.update(surroundings.attributes)
    config.attributes.update(package.attributes)
    if surroundings.url is not None:
        text = surroundings.url.render_as_string(hide_password=False)
        config.set_main_option("sqlalchemy.url", text.replace("%", "%%"))
    return config


def _script(history: History) -> ScriptDirectory:
    folders = [str(folder) for folder in history.directories]
    return ScriptDirectory(folders[0], version_locations=folders)


def _offline(output: TextIO | None) -> dict[str, Any]:
    if output is None:
        return {}
    return {
        "as_sql": True,
        "output_buffer": output,
        "literal_binds": True,
        # Other styles double every percent sign, for a driver that takes it back.
        "dialect_opts": {"paramstyle": "named"},
    }
