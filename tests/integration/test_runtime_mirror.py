"""Revisions whose SQL names ``alembic_version``."""

from __future__ import annotations

from typing import Any

import pytest

from ptah_migrate.errors import StepError
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows
from tests.integration.running import execute, migrator, query

# Says what it finds, as real histories do.
READS = """
found = op.get_bind().execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
op.execute(f"INSERT INTO seen (id, version) VALUES (1, '{found}')")
"""
SEEN = (
    "op.create_table('seen', sa.Column('id', sa.Integer, primary_key=True), "
    "sa.Column('version', sa.String(10)))"
)


def blog(make_package: PackageMaker, **registration: Any) -> PackageOnDisk:
    """Return a package whose second revision asks ``alembic_version`` where it stands."""
    return make_package(
        "blog",
        {
            "001.py": revision_source("001", upgrade=SEEN, downgrade="op.drop_table('seen')"),
            "002.py": revision_source("002", "001", upgrade=READS),
        },
        **registration,
    )


def test_the_table_is_kept(database: Database, make_package: PackageMaker) -> None:
    """With ``alembic_version=True`` the table holds the package's ids, before and after a step."""
    mine = migrator(database, blog(make_package, alembic_version=True))

    mine.upgrade()

    assert query(database, "SELECT version FROM seen") == [("001",)]
    assert query(database, "SELECT version_num FROM alembic_version") == [("002",)]
    assert rows(database.engine) == {("blog", "002")}
    mine.downgrade("blog:base")
    assert query(database, "SELECT version_num FROM alembic_version") == []


def test_ids_of_others_stay(database: Database, make_package: PackageMaker) -> None:
    """What plain Alembic recorded there for another project is not touched."""
    execute(
        database,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('f00d')",
    )

    migrator(database, blog(make_package, alembic_version=True)).stamp("blog:001")

    found = query(database, "SELECT version_num FROM alembic_version ORDER BY 1")
    assert found == [("001",), ("f00d",)]


def test_the_option_is_offered(database: Database, make_package: PackageMaker) -> None:
    """Without it the failing step's hint names the option."""
    with pytest.raises(StepError) as caught:
        migrator(database, blog(make_package)).upgrade()

    assert caught.value.hint == "register 'blog' with alembic_version=True: its SQL names it"


def test_a_script_keeps_the_table(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A script makes the table, and moves its ids with those of the package."""
    package = make_package(
        "blog", {"001.py": revision_source("001", upgrade=SEEN)}, alembic_version=True
    )
    script = migrator(sqlite_database, package).script(empty=True)

    statements = [
        s for s in script.replace("BEGIN;", "").replace("COMMIT;", "").split(";\n") if s.strip()
    ]
    execute(sqlite_database, *statements)

    assert query(sqlite_database, "SELECT version_num FROM alembic_version") == [("001",)]
