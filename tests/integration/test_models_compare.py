"""What separates a database from the models of a package, and only of that one."""

from __future__ import annotations

from textwrap import dedent

import pytest
import sqlalchemy as sa

from ptah_migrate import Migrator, Registry
from ptah_migrate.errors import (
    ConfigError,
    DatabaseBehindError,
    ModelsError,
    OwnershipError,
)
from tests.helpers import Database, PackageMaker, PackageOnDisk

BASE = """
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
"""

POSTS = """
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from {base} import Base


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(200), index=True)
"""

MAKE_POSTS = """
op.create_table(
    "posts",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(200), nullable=False),
)
op.create_index("ix_posts_title", "posts", ["title"])
"""


def make_blog(
    make_package: PackageMaker, models: str = POSTS, body: str = MAKE_POSTS
) -> PackageOnDisk:
    """Return a package of its own MetaData."""
    return make_package(
        "blog",
        {"001": body},
        files={"base.py": BASE, "models.py": models.format(base="blog.base")},
        fresh="steps",
        metadata="blog.models:Base.metadata",
    )


def migrator(database: Database, *made: PackageOnDisk) -> Migrator:
    return Migrator(database.engine, Registry([one.package for one in made]))


def words(database: Database, *made: PackageOnDisk, **how: bool) -> dict[str, list[str]]:
    """Return the differences of every package, in words."""
    found = migrator(database, *made).differences(**how)
    return {name: [one.words for one in differences] for name, differences in found.items()}


def test_models_that_agree(database: Database, make_package: PackageMaker) -> None:
    """Models that agree with the database have no difference."""
    blog = make_blog(make_package)
    migrator(database, blog).upgrade()

    assert words(database, blog) == {"blog": []}


def test_what_models_have_more(database: Database, make_package: PackageMaker) -> None:
    """Tables, columns and indexes that only the models have are named, and who has them."""
    more = POSTS + dedent("""
        class Tag(Base):
            __tablename__ = "tags"
            id: Mapped[int] = mapped_column(primary_key=True)

        Post.__table__.append_column(sa.Column("author", sa.String(80)))
        sa.Index("ix_posts_author", Post.__table__.c.author)
    """)
    blog = make_blog(make_package, more)
    migrator(database, blog).upgrade()

    [found] = migrator(database, blog).differences().values()
    assert [(one.table, one.words, one.side) for one in found] == [
        ("posts", "missing column posts.author", "models"),
        ("posts", "missing index ix_posts_author of posts", "models"),
        ("tags", "missing table tags", "models"),
    ]


def test_what_the_database_has_more(database: Database, make_package: PackageMaker) -> None:
    """Columns, indexes and removed tables of its own that only the database has are named."""
    body = MAKE_POSTS + dedent("""
        op.create_table("old", sa.Column("id", sa.Integer, primary_key=True))
        op.add_column("posts", sa.Column("author", sa.String(80)))
        op.create_index("ix_posts_author", "posts", ["author"])
    """)
    blog = make_blog(make_package, body=body)
    migrator(database, blog).upgrade()

    [found] = migrator(database, blog).differences().values()
    assert [(one.table, one.words, one.side) for one in found] == [
        ("old", "unexpected table old", "database"),
        ("posts", "unexpected column posts.author", "database"),
        ("posts", "unexpected index ix_posts_author of posts", "database"),
    ]


def test_what_differs(database: Database, make_package: PackageMaker) -> None:
    """Types, nullability and server defaults that differ are told with both values."""
    body = """
    op.create_table(
        "posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(100), nullable=True, server_default="x"),
    )
    op.create_index("ix_posts_title", "posts", ["title"])
    """
    blog = make_blog(make_package, body=body)
    migrator(database, blog).upgrade()

    found = words(database, blog)["blog"]
    assert len(found) == 3
    assert found[0].startswith("column posts.title has default ")
    assert found[0].endswith(", not None")
    assert found[1] == "column posts.title has nullable True, not False"
    assert found[2].startswith("column posts.title has type VARCHAR(")
    assert found[2].endswith("not String(length=200)")


COMMON = """
import datetime, decimal, enum, uuid
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from {base} import Base

class Colour(enum.Enum):
    red = 1
    blue = 2

class Everything(Base):
    __tablename__ = "everything"
    id: Mapped[int] = mapped_column(primary_key=True)
    flag: Mapped[bool]
    on: Mapped[bool] = mapped_column(server_default=sa.true())
    off: Mapped[bool] = mapped_column(server_default=sa.false())
    small: Mapped[int] = mapped_column(sa.SmallInteger, server_default="7")
    big: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.text("0"))
    ratio: Mapped[float]
    price: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(10, 2), server_default="0")
    name: Mapped[str] = mapped_column(sa.String(50), server_default="it's", unique=True)
    text: Mapped[str] = mapped_column(sa.Text)
    data: Mapped[bytes] = mapped_column(sa.LargeBinary)
    json: Mapped[dict] = mapped_column(sa.JSON)
    key: Mapped[uuid.UUID] = mapped_column(sa.Uuid)
    day: Mapped[datetime.date]
    time: Mapped[datetime.time]
    made: Mapped[datetime.datetime] = mapped_column(server_default=sa.func.now())
    changed: Mapped[datetime.datetime] = mapped_column(
        sa.DateTime(timezone=True), server_default=sa.text("CURRENT_TIMESTAMP"))
    span: Mapped[datetime.timedelta] = mapped_column(sa.Interval)
    colour: Mapped[Colour]
    shade: Mapped[str] = mapped_column(sa.Enum("dark", "light", name="shade"), server_default="dark")
    fixed: Mapped[str] = mapped_column(sa.CHAR(3))
    noted: Mapped[str] = mapped_column(sa.String(10), comment="what it's for")
    total: Mapped[int] = mapped_column(sa.Integer, sa.Computed("small + 1"))
    parent: Mapped[int] = mapped_column(sa.ForeignKey("everything.id", ondelete="CASCADE"))
    __table_args__ = (
        sa.Index("ix_some", "small", "big"),
        sa.UniqueConstraint("small", "day", name="uq_some"),
        sa.CheckConstraint("small > 0", name="ck_small"),
    )
"""


def test_every_common_type_is_the_same_again(
    database: Database, make_package: PackageMaker
) -> None:
    """Tables made from the models differ in nothing, whatever their types and defaults."""
    body = "from blog.models import Base; Base.metadata.create_all(op.get_bind())"
    blog = make_blog(make_package, COMMON, body)
    migrator(database, blog).upgrade()

    assert words(database, blog) == {"blog": []}


# -- several packages --------------------------------------------------------------------


def make_three(make_package: PackageMaker, extra: str = "") -> list[PackageOnDisk]:
    """Return three packages of one declarative base, in a module of none of them."""
    make_package("portal", files={"base.py": BASE})
    made = []
    for name, table, refers in (
        ("crowd", "users", ""),
        ("blog", "posts", "users"),
        ("cms", "pages", "posts"),
    ):
        column = f', sa.Column("ref", sa.Integer, sa.ForeignKey("{refers}.id"))' if refers else ""
        model = f"""
        import sqlalchemy as sa
        from site_.base import Base
        """
        del model
        text = (
            "import sqlalchemy as sa\nfrom portal.base import Base\n\n\n"
            f"class Model(Base):\n    __tablename__ = {table!r}\n"
            "    id = sa.Column(sa.Integer, primary_key=True)\n"
            + (f'    ref = sa.Column(sa.ForeignKey("{refers}.id"))\n' if refers else "")
        )
        made.append(
            make_package(
                name,
                {
                    "001": f'op.create_table("{table}", '
                    f'sa.Column("id", sa.Integer, primary_key=True){column})'
                },
                files={"models.py": text + (extra if name == "blog" else "")},
                metadata=f"{name}.models:Base.metadata",
            )
        )
    return made


pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
