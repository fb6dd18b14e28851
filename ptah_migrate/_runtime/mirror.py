"""
The table ``alembic_version``, kept beside our own for revisions that name it in their SQL.

Made only for packages registered with ``alembic_version=True``. It holds the
same ids as the package's rows, and those of no other package are touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, literal
from sqlalchemy.schema import CreateTable

from ptah_migrate._runtime.versions import LONGEST
from ptah_migrate.model import Package, Plan

if TYPE_CHECKING:
    from sqlalchemy.sql.base import Executable

NAME = "alembic_version"

_TABLE = Table(
    NAME,
    MetaData(),
    Column("version_num", String(LONGEST), primary_key=True, nullable=False),
    implicit_returning=False,
)


def begun(plan: Plan, packages: Mapping[str, Package]) -> Iterator[Executable]:
    """Yield the statements that make the table and fill in where the plan's packages stand."""
    seen: set[str] = set()
    for item in plan.items:
        if packages[item.package].alembic_version and item.package not in seen:
            if not seen:
                yield CreateTable(_TABLE, if_not_exists=True)
            seen.add(item.package)
            yield from moved(item.before, item.before)


def moved(before: Iterable[str], after: Iterable[str]) -> Iterator[Executable]:
    """Yield the statements that replace a package's ids, whatever the table has of them."""
    ids = set(after)
    for row in sorted(set(before) | ids):
        yield _TABLE.delete().where(_TABLE.c.version_num == literal(row))
    for row in sorted(ids):
        yield _TABLE.insert().values(version_num=row)
