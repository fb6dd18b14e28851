"""How a project wants its revision files: named, formatted, made of which templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptah_migrate._authoring import formatting, headfile, naming, sources
from ptah_migrate.registry import project_root, read_project

FILE_TEMPLATE = "ptah_migrate.file_template"
FORMAT = "ptah_migrate.format"
TEMPLATES = "ptah_migrate.templates"
PACKAGE_TEMPLATE = "ptah_migrate.package_template"


@dataclass(frozen=True, slots=True)
class Conventions:
    """
    What the settings say about generated files; nothing of it by default.

    ``file_template`` is ``{rev}`` or ``{rev}_{slug}``, ``formatter`` ``ruff`` or
    ``black``; ``templates`` (of revisions) and ``package_template`` (of ``init``)
    are an absolute folder or ``git+URL[@REF][#FOLDER]``.
    """

    file_template: str = ""
    formatter: str = ""
    templates: str = ""
    package_template: str = ""

    def naming_of(self, folder: Path) -> str:
        """Return how files are named in a folder: a head file there means with slugs."""
        found = headfile.wanted(folder, self.file_template)
        return self.file_template or (naming.SLUGGED if found else naming.PLAIN)


DEFAULT = Conventions()


def conventions(settings: Mapping[str, Any], root: Path | None = None) -> Conventions:
    """
    Return what settings say about revision files; a relative folder lies in ``root``.

    Raises:
        ConfigError: a setting has a value that is not known, or not safe.

    """
    found = Conventions(
        file_template=str(settings.get(FILE_TEMPLATE) or "").strip(),
        formatter=str(settings.get(FORMAT) or "").strip(),
        templates=_source(settings, TEMPLATES, root),
        package_template=_source(settings, PACKAGE_TEMPLATE, root),
    )
    if found.file_template:
        naming.check_file_template(found.file_template)
    if found.formatter:
        formatting.check_formatter(found.formatter)
    return found


def _source(settings: Mapping[str, Any], key: str, root: Path | None) -> str:
    source = str(settings.get(key) or "").strip()
    if not source or sources.is_git(source):
        sources.check_source(source, f"the setting {key.partition('.')[2]}")
        return source
    return str((root or Path.cwd()).absolute() / Path(source).expanduser())


def of_project(directory: Path) -> Conventions:
    """
    Return what the project around a directory says in ``[tool.ptah_migrate]``.

    Raises:
        ConfigError: its pyproject.toml cannot be read, or says something unknown.

    """
    root = project_root(directory)
    tool = read_project(root).get("tool", {}) if root is not None else {}
    table = tool.get("ptah_migrate", {}) if isinstance(tool, Mapping) else {}
    said = table if isinstance(table, Mapping) else {}
    return conventions({f"ptah_migrate.{key}": value for key, value in said.items()}, root)


def first(own: Conventions, other: Conventions) -> Conventions:
    """Return the conventions of the first, and of the other one where that says nothing."""
    return Conventions(
        own.file_template or other.file_template,
        own.formatter or other.formatter,
        own.templates or other.templates,
        own.package_template or other.package_template,
    )
