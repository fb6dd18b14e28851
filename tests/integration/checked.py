"""What the tests of the pytest plug-in share: a project, and what a session says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ptah_migrate.testing import checks, migrator, standard
from tests.helpers import SOURCE, revision_source
from tests.integration.scaffolds import build

# Imported here: what a session inside this process imports first, it takes away again.
LOADED = (checks, migrator, standard)

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "blog"
version = "1"

[project.entry-points.ptah_migrate]
blog = "blog.migrations"
crowd = "crowd.migrations"
"""
# Much quicker than a real one, of which the tests of generated projects make use.
BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(Path(folder, "blog-1-py3-none-any.whl"), "w") as wheel:
        for path in Path().glob("blog/**/*.py"):
            wheel.write(path)
    return "blog-1-py3-none-any.whl"
"""
REGISTRATION = """
def includeme(config):
    config.register_migration("blog", "blog:migrations", metadata="blog.models:metadata")
"""
MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
post = sa.Table(
    "post",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(40), nullable=False, server_default="none"),
    sa.Column("body", sa.String(80)),
)
"""
CREATE = """
op.create_table(
    "post",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(40), nullable=False, server_default="none"),
)
"""
BODY = 'op.add_column("post", sa.Column("body", sa.String(80)))'
NO_BODY = 'op.drop_column("post", "body")'
CROWD = {
    "crowd/__init__.py": "",
    "crowd/migrations/__init__.py": "",
    "crowd/migrations/001.py": revision_source(
        "001",
        upgrade='op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))',
        downgrade='op.drop_table("users")',
    ),
    "crowd/migrations/002.py": revision_source(
        "002",
        "001",
        upgrade='op.add_column("users", sa.Column("email", sa.String(40)))',
        downgrade='op.drop_column("users", "email")',
    ),
}
SOUND = {
    "pyproject.toml": PYPROJECT,
    "backend.py": BACKEND,
    "blog/__init__.py": "",
    "blog/models.py": MODELS,
    "blog/migrations/__init__.py": REGISTRATION,
    "blog/migrations/001.py": revision_source(
        "001", requires=["crowd:001"], upgrade=CREATE, downgrade='op.drop_table("post")'
    ),
    "blog/migrations/002.py": revision_source("002", "001", upgrade=BODY, downgrade=NO_BODY),
    **CROWD,
}
NAMES = (
    "single_head",
    "files",
    "upgrade_from_empty",
    "stairway",
    "models_match",
    "downgrade_leaves_no_trace",
    "seed_equals_upgrade",
    "with_dependencies",
    "sql_mode",
    "packaged",
)


def sound(root: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Write a project that keeps every promise, but for the changes; None leaves a file out."""
    files = {**SOUND, **(changes or {})}
    return build(root, {name: text for name, text in files.items() if text is not None})


@dataclass(eq=False)  # plug-ins are kept in sets
class Outcomes:
    """What became of the checks, by name: of those that pass nothing, of others their words."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take note of what will run."""
        self.collected = [item.nodeid for item in session.items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a report."""
        name = report.nodeid.removeprefix("ptah_migrate::blog::")
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[name] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            (self.failed if report.when == "call" else self.errors)[name] = report.longreprtext
        elif report.passed and report.when == "call":
            self.passed.append(name)


def session(pytester: pytest.Pytester, *args: str) -> Outcomes:
    """Run a session inside this process, with no plug-in but ours, and return what it says."""
    found = Outcomes()
    pytester.inline_run(
        "-p", "ptah_migrate.testing.plugin", "-p", "no:cacheprovider", *args, plugins=[found]
    )
    return found


def process(
    directory: Path,
    *args: str,
    environment: Mapping[str, str] | None = None,
    plugins: Collection[str] = (),
) -> subprocess.CompletedProcess[str]:
    """
    Run pytest as people do, as a process that sees nothing of the session around it.

    Of the plug-ins that test migrations too it loads those that are named.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("CI", "COLUMNS", "LINES", "FORCE_COLOR", "BUILD_NUMBER")
        and not key.startswith(("PYTEST", "PTAH_MIGRATE_"))
    }
    others = {"alembic-gauntlet", "asyncio", "pytest_alembic"} - set(plugins)
    words = [word for other in sorted(others) for word in ("-p", f"no:{other}")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, *args],
        cwd=directory,
        env={
            **kept,
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
