"""A package as plain Alembic sees it, for tools that test Alembic projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config

from ptah_migrate import registry
from ptah_migrate._runtime import schema
from ptah_migrate.errors import UnknownPackageError
from ptah_migrate.model import Package
from ptah_migrate.testing.subjects import find

if TYPE_CHECKING:
    from os import PathLike

ENVIRONMENT = Path(__file__).parent / "environment"


def alembic_config(package: Package | str, *, project: str | PathLike[str] | None = None) -> Config:
    """
    Return the configuration of an Alembic project that is this package's history.

    Its ``env.py`` is ours. It takes what such tools put into ``attributes``: the
    ``connection`` (or an engine), and the ``target_schema`` on PostgreSQL; without
    a connection the ``sqlalchemy.url``. What is run this way is recorded in
    ``alembic_version``, as everywhere in Alembic; other packages are unknown to it.

    Args:
        package: a package, or its name: of the project, or installed.
        project: a folder of the project; the present one by default.

    Raises:
        UnknownPackageError: nothing is called so.
        ConfigError: its models cannot be imported.
        PackagePathError: its directory is missing.

    """
    if isinstance(package, str):
        package = find(Path(project or ".")).subject(package).package
    if not isinstance(package, Package):
        raise UnknownPackageError(repr(package), ())
    config = Config()
    config.set_main_option("script_location", _escaped(ENVIRONMENT))
    folders = [_escaped(folder) for folder in registry.directories(package)]
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_path_separator", "newline")  # before Alembic 1.16
    config.set_main_option("version_locations", "\n".join(folders))
    if package.recursive:
        config.set_main_option("recursive_version_locations", "true")
    config.attributes.update(package.attributes)
    config.attributes["ptah_package"] = package
    config.attributes["target_metadata"] = schema.metadata(package)
    return config


def _escaped(path: Path) -> str:
    """Return a path as the configuration's file format has it."""
    return str(path).replace("%", "%%")
