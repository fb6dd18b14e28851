"""Targets in histories of every shape: after each step the rows are those that Alembic records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import sqlalchemy as sa

from ptah_migrate.errors import MultipleHeadsError, PtahMigrateError, TargetError
from tests.helpers import Database, PackageMaker, revision_source, rows
from tests.integration.running import Alembic, everything, migrator, query, schema

Shape = Mapping[str, Mapping[str, object]]

LINEAR: Shape = {"001": {}, "002": {"down": "001"}, "003": {"down": "002"}, "004": {"down": "003"}}
BRANCHES: Shape = {
    "001": {},
    "a1": {"down": "001", "labels": ["a"]},
    "a2": {"down": "a1"},
    "b1": {"down": "001", "labels": ["b"]},
    "b2": {"down": "b1"},
}
MERGED: Shape = {
    **BRANCHES,
    "m": {"down": ("a2", "b2")},
    "n": {"down": "m"},
}
ROOTS: Shape = {
    "x1": {"labels": ["x"]},
    "x2": {"down": "x1"},
    "y1": {"labels": ["y"]},
    "y2": {"down": "y1"},
}
DEPENDS: Shape = {
    "e1": {"labels": ["expand"]},
    "c1": {"labels": ["contract"], "depends_on": ["e1"]},
    "e2": {"down": "e1"},
    "c2": {"down": "c1", "depends_on": ["e2"]},
}
UP, DOWN, STAMP = "upgrade", "downgrade", "stamp"


def files(shape: Shape) -> dict[str, str]:
    """Return the files of a history in which each revision makes a table of its own."""
    return {
        f"{id_}.py": revision_source(
            id_,
            upgrade=f"op.create_table('t_{id_}', sa.Column('id', sa.Integer, primary_key=True))",
            downgrade=f"op.drop_table('t_{id_}')",
            **how,  # type: ignore[arg-type]
        )
        for id_, how in shape.items()
    }


@pytest.mark.parametrize(
    ("shape", "orders"),
    [
        pytest.param(
            LINEAR,
            [
                (UP, "002"),
                (UP, "+1"),
                (DOWN, "-1"),
                (UP, "head"),
                (UP, "head"),
                (DOWN, "002"),
                (DOWN, "base"),
                (UP, "+2"),
                (UP, "heads"),
                (DOWN, "-4"),
            ],
            id="one chain, up and down, absolute and relative",
        ),
        pytest.param(
            LINEAR,
            [(STAMP, "003"), (STAMP, "001"), (STAMP, "head"), (STAMP, "base"), (UP, "001")],
            id="one chain, stamped",
        ),
        pytest.param(
            BRANCHES,
            [
                (UP, "a1"),
                (UP, "b@head"),
                (UP, "heads"),
                (DOWN, "b1"),
                (DOWN, "a@-1"),
                (UP, "a@head"),
                (UP, "b@head"),
                (DOWN, "001"),
                (UP, "heads"),
                (DOWN, "base"),
            ],
            id="two heads by label",
        ),
        pytest.param(
            BRANCHES,
            [(STAMP, "heads"), (STAMP, "b@b1"), (STAMP, "001"), (STAMP, "a@head")],
            id="two heads, stamped",
        ),
        pytest.param(
            MERGED,
            [
                (UP, "a@a2"),
                (UP, "b1"),
                (UP, "m"),
                (UP, "+1"),
                (DOWN, "-1"),
                (DOWN, "-1"),
                (UP, "head"),
                (DOWN, "001"),
                (UP, "head"),
                (DOWN, "base"),
            ],
            id="a merge",
        ),
        pytest.param(
            MERGED,
            [(STAMP, "m"), (STAMP, "head"), (STAMP, "001")],
            id="a merge, stamped",
        ),
        pytest.param(
            ROOTS,
            [
                (UP, "x@head"),
                (UP, "y1"),
                (DOWN, "x@base"),
                (UP, "heads"),
                (DOWN, "y@-1"),
                (DOWN, "y1-1"),
                (UP, "heads"),
                (DOWN, "base"),
            ],
            id="two roots",
        ),
        pytest.param(
            DEPENDS,
            [
                (UP, "c1"),
                (UP, "heads"),
                (DOWN, "contract@base"),
                (DOWN, "expand@e1"),
                (UP, "contract@head"),
                (DOWN, "contract@-1"),
                (UP, "heads"),
                (DOWN, "base"),
            ],
            id="one branch depends on the other",
        ),
        pytest.param(
            DEPENDS,
            [(STAMP, "heads"), (STAMP, "c1"), (STAMP, "base"), (STAMP, "contract@head")],
            id="one branch depends on the other, stamped",
        ),
    ],
)
def test_rows_are_alembics(
    shape: Shape,
    orders: Sequence[tuple[str, str]],
    database: Database,
    make_package: PackageMaker,
) -> None:
    """Each order leaves the rows and the tables that plain Alembic leaves, or both refuse it."""
    blog = make_package("blog", files(shape), fresh="steps")
    reference = database.another()
    alembic = Alembic(reference, blog)
    mine = migrator(database, blog)

    found: list[object] = []
    expected: list[object] = []
    for verb, target in orders:
        try:
            getattr(alembic, verb)(target)
            expected.append((verb, target, alembic.rows(), schema(reference.engine)))
        except Exception:
            expected.append((verb, target, "refused"))
        try:
            getattr(mine, verb)(f"blog:{target}")
            ids = {version for _, version in rows(database.engine)}
            found.append((verb, target, ids, schema(database.engine)))
        except PtahMigrateError:
            found.append((verb, target, "refused"))

    assert found == expected


def test_rows_change_with_every_step(database: Database, make_package: PackageMaker) -> None:
    """The row is there with its step, so a step that looks sees the one before it."""
    see = 'op.execute("INSERT INTO seen SELECT version_num FROM ptah_db_versions")'
    blog = make_package(
        "blog",
        {
            "001": "op.create_table('seen', sa.Column('version', sa.String(32)))",
            "002": see,
            "003": see,
        },
    )

    migrator(database, blog).upgrade()

    assert query(database, "SELECT version FROM seen ORDER BY version") == [("001",), ("002",)]
    assert rows(database.engine) == {("blog", "003")}


def test_several_heads_need_a_choice(database: Database, make_package: PackageMaker) -> None:
    """An upgrade to ``head`` of a history with two heads names both and does nothing."""
    blog = make_package("blog", files(BRANCHES))

    with pytest.raises(MultipleHeadsError) as caught:
        migrator(database, blog).upgrade("blog")

    assert caught.value.heads == ("a2", "b2")
    assert sa.inspect(database.engine).get_table_names() == []


def test_registered_branches_are_all_meant(database: Database, make_package: PackageMaker) -> None:
    """A package registered with several heads on purpose is brought to all of them."""
    blog = make_package("blog", files(BRANCHES), branches=True)

    migrator(database, blog).upgrade()

    assert rows(database.engine) == {("blog", "a2"), ("blog", "b2")}
    migrator(database, blog).check()


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        pytest.param(UP, "+9", id="too far up"),
        pytest.param(DOWN, "-9", id="too far down"),
        pytest.param(UP, "-1", id="up to what is below"),
        pytest.param(DOWN, "+1", id="down to what is above"),
        pytest.param(DOWN, "004", id="down to a later revision"),
    ],
)
def test_places_outside_are_refused(
    verb: str, target: str, database: Database, make_package: PackageMaker
) -> None:
    """A target outside the history, or in the other direction, is refused and changes nothing."""
    blog = make_package("blog", files(LINEAR))
    migrator(database, blog).upgrade("blog:002")
    before = everything(database)

    with pytest.raises(TargetError):
        getattr(migrator(database, blog), verb)(f"blog:{target}")

    assert everything(database) == before
