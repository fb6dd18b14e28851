"""What separates a database from the models of a package, and only of that one."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations.ops import DropTableOp

from ptah_migrate import Migrator, Registry
from ptah_migrate.errors import (
    ConfigError,
    DatabaseBehindError,
    ModelsError,
    OwnershipError,
)
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source

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
    shade: Mapped[str] = mapped_column(
        sa.Enum("dark", "light", name="shade"), server_default="dark")
    fixed: Mapped[str] = mapped_column(sa.CHAR(3))
    noted: Mapped[str] = mapped_column(sa.String(10), comment="what it's for")
    total: Mapped[int] = mapped_column(sa.Integer, sa.Computed("small + 1", persisted=True))
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


MODEL = """
import sqlalchemy as sa
from portal.base import Base


class {cls}(Base):
    __tablename__ = "{table}"
    id = sa.Column(sa.Integer, primary_key=True)
{column}
"""


def make_three(make_package: PackageMaker, **models: str) -> dict[str, PackageOnDisk]:
    """Return three packages that share the declarative base of a module of none of them."""
    make_package("portal", files={"base.py": BASE})
    made = {}
    for name, table, refers, needs in (
        ("crowd", "users", "", ()),
        ("blog", "posts", "users", ("crowd:001",)),
        ("cms", "pages", "posts", ("blog:001",)),
    ):
        key = f'sa.ForeignKey("{refers}.id", name="fk_{table}")' if refers else ""
        column = f"    ref = sa.Column({key})" if key else ""
        body = f'op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True)'
        body += f', sa.Column("ref", sa.Integer, {key}))' if key else ")"
        text = MODEL.format(cls=table.title(), table=table, column=column)
        made[name] = make_package(
            name,
            {"001.py": revision_source("001", upgrade=body, requires=needs)},
            files={"models.py": text + models.get(name, "")},
            metadata=f"{name}.models:Base.metadata",
            fresh="steps",
        )
    return made


def shared(database: Database, made: dict[str, PackageOnDisk]) -> Migrator:
    """Return a migrator of packages whose models are all imported, as in an application."""
    for name in made:
        importlib.import_module(f"{name}.models")
    return migrator(database, *made.values())


def upgraded(database: Database, made: dict[str, PackageOnDisk]) -> Migrator:
    found = shared(database, made)
    found.upgrade()
    return found


def test_each_package_sees_its_own_tables(database: Database, make_package: PackageMaker) -> None:
    """Of a base that three packages share, each is compared with its own tables."""
    made = make_three(make_package)
    found = shared(database, made).differences("blog", behind=True)

    assert [one.words for one in found["blog"]] == ["missing table posts"]


def test_a_neighbours_changes_are_not_mentioned(
    database: Database, make_package: PackageMaker
) -> None:
    """What changed in one package is a difference of that package and of no other."""
    made = make_three(
        make_package, crowd='Users.__table__.append_column(sa.Column("name", sa.Text))'
    )
    found = upgraded(database, made).differences()

    assert {name: [one.words for one in all_] for name, all_ in found.items()} == {
        "blog": [],
        "cms": [],
        "crowd": ["missing column users.name"],
    }


def test_neighbours_are_known_by_name(database: Database, make_package: PackageMaker) -> None:
    """The tables that foreign keys lead to are named with their packages."""
    made = make_three(make_package)

    with upgraded(database, made).comparing("blog", "cms") as found:
        assert [one.neighbours for one in found] == [{"users": "crowd"}, {"posts": "blog"}]


def test_a_neighbour_without_models_is_known_by_its_history(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A referred-to table that no models have belongs to the package whose revisions make it."""
    make_package("crowd", {"001": 'op.create_table("users", sa.Column("id", sa.Integer))'})
    more = POSTS + '    ref = sa.Column(sa.ForeignKey("users.id"))\n'
    blog = make_blog(make_package, more)

    with migrator(sqlite_database, blog, make_package.made[0]).comparing(
        "blog", behind=True
    ) as found:
        assert found[0].neighbours == {"users": "crowd"}


def test_neighbours_cost_nothing(database: Database, make_package: PackageMaker) -> None:
    """However many tables others have, and refer to, the same statements are sent."""
    made = make_three(make_package)
    comparing = upgraded(database, made)

    def count() -> int:
        sent: list[str] = []
        with recorded(database.engine, sent):
            comparing.differences("cms")
        return len(sent)

    few = count()
    with database.engine.begin() as connection:
        for number in range(20):
            connection.exec_driver_sql(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE chained (id INTEGER PRIMARY KEY, ref INTEGER)")
        if database.name != "sqlite":
            connection.exec_driver_sql(
                "ALTER TABLE posts ADD FOREIGN KEY (id) REFERENCES chained (id)"
            )

    assert count() == few


@contextmanager
def recorded(engine: sa.Engine, sent: list[str]) -> Iterator[None]:
    """Note every statement that is sent meanwhile."""

    def note(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_tables_of_removed_models_stay_its_own(
    database: Database, make_package: PackageMaker
) -> None:
    """A table of the history that no model has any more is dropped, what refers to it first."""
    made = make_three(make_package)
    made["blog"].add(
        "002.py",
        revision_source(
            "002",
            "001",
            upgrade="""
            def key(*words):
                return sa.Column("id", sa.Integer, *words, primary_key=True)
            op.create_table("a", key())
            op.create_table("b", key(sa.ForeignKey("a.id")))
            op.create_table("z", key(sa.ForeignKey("b.id")))
            """,
        ),
    )
    with upgraded(database, made).comparing("blog") as [found]:
        dropped = [op.table_name for op in found.operations.ops if isinstance(op, DropTableOp)]

    assert dropped == ["z", "b", "a"]


def test_a_table_that_moved_to_a_neighbour_stays(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A table that one package's history made and another one's models have is not dropped."""
    made = make_three(
        make_package, cms=MODEL.format(cls="Tags", table="tags", column="").split("Base\n", 1)[1]
    )
    made["blog"].add(
        "002.py",
        revision_source(
            "002",
            "001",
            upgrade='op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))',
        ),
    )
    found = upgraded(sqlite_database, made).differences()

    assert {name: list(all_) for name, all_ in found.items()} == {
        "blog": [],
        "cms": [],
        "crowd": [],
    }


# -- ownership ---------------------------------------------------------------------------


def owners(database: Database, made: dict[str, PackageOnDisk]) -> dict[str, list[str]]:
    """Return the tables of every package."""
    found = shared(database, made)
    return {
        package.name: sorted(table.name for table in found.owners.of(package).tables)
        for package in found.registry
    }


NONE: dict[str, list[str]] = {"blog": ["posts"], "cms": ["pages"], "crowd": ["users"]}


@pytest.mark.parametrize(
    ("extra", "tags"),
    [
        pytest.param(
            'sa.Table("tags", Base.metadata, info={"ptah_package": "cms"})', "cms", id="info"
        ),
        pytest.param(
            "class Tag(Base):\n    __tablename__ = 'tags'\n"
            "    id = sa.Column(sa.Integer, primary_key=True)",
            "blog",
            id="class",
        ),
        pytest.param(
            "from sqlalchemy.orm import relationship\n"
            "tags = sa.Table('tags', Base.metadata, sa.Column('a', sa.ForeignKey('posts.id')),"
            " sa.Column('b', sa.ForeignKey('users.id')))\n"
            "Posts.readers = relationship('Users', secondary=tags)",
            "blog",
            id="association",
        ),
        pytest.param(
            "import crowd.models\nclass Tag(crowd.models.Users):\n    extra = sa.Column(sa.Text)\n"
            "class Own(Base):\n    __tablename__ = 'tags'\n"
            "    id = sa.Column(sa.Integer, primary_key=True)",
            "blog",
            id="single-table inheritance",
        ),
    ],
)
def test_whose_table_it_is(
    sqlite_database: Database, make_package: PackageMaker, extra: str, tags: str
) -> None:
    """A table is of the package that is named at it, or whose class is mapped to it."""
    made = make_three(make_package, blog=extra)

    assert owners(sqlite_database, made) == {
        name: sorted([*tables, "tags"] if name == tags else tables) for name, tables in NONE.items()
    }


def test_the_history_decides_for_a_plain_table(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A table without a class is of the package whose revisions make it."""
    made = make_three(make_package, blog='sa.Table("tags", Base.metadata)')
    made["cms"].add("002.py", revision_source("002", "001", upgrade='op.create_table("tags")'))

    assert owners(sqlite_database, made)["cms"] == ["pages", "tags"]


def test_a_table_without_an_owner(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A table of shared models that is nobody's is an error that says what to write."""
    made = make_three(make_package, blog='sa.Table("tags", Base.metadata)')

    with pytest.raises(OwnershipError) as caught:
        shared(sqlite_database, made).differences("blog", behind=True)

    assert str(caught.value) == "table 'tags' belongs to no package"
    assert caught.value.hint == (
        "say whose it is: info={'ptah_package': …} at the table, or tables=[…] at the registration"
    )


def test_a_table_with_two_owners(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A table that classes of two packages are mapped to is an error that names the classes."""
    made = make_three(
        make_package,
        cms="class Other(Base):\n    __table__ = Base.metadata.tables['users']\n",
    )

    with pytest.raises(OwnershipError) as caught:
        shared(sqlite_database, made).differences("crowd", behind=True)

    assert str(caught.value) == (
        "table 'users' (cms.models.Other, crowd.models.Users) belongs to 'cms' and 'crowd'"
    )


def test_listed_tables(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A package that lists its tables has these, wherever their classes are."""
    made = make_three(make_package, crowd='sa.Table("tags", Base.metadata)')
    made["cms"].registration = {**made["cms"].registration, "tables": ["pages", "tags"]}

    assert owners(sqlite_database, made)["cms"] == ["pages", "tags"]


# -- what cannot be compared ---------------------------------------------------------------


def test_a_database_that_is_behind(database: Database, make_package: PackageMaker) -> None:
    """A package that is not at its head is named, with the command; diff may look all the same."""
    blog = make_blog(make_package)

    with pytest.raises(DatabaseBehindError) as caught:
        migrator(database, blog).differences()

    assert str(caught.value) == "migrations are pending: blog is at None, head is 001"
    assert caught.value.hint == "run: ptah-migrate upgrade blog"
    assert words(database, blog, behind=True) == {"blog": ["missing table posts"]}


def test_no_models(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A named package without models is refused; where none is named it is left out."""
    blog = make_package("blog", {"001": "pass"})

    with pytest.raises(ModelsError, match="package 'blog' registers no models to compare with"):
        migrator(sqlite_database, blog).differences("blog")
    assert migrator(sqlite_database, blog).differences() == {}


def test_models_without_a_table(sqlite_database: Database, make_package: PackageMaker) -> None:
    """Models that define no table would drop everything: they are refused."""
    blog = make_blog(make_package, "from {base} import Base")
    migrator(sqlite_database, blog).upgrade()

    with pytest.raises(ModelsError, match="the models of package 'blog' define no table"):
        migrator(sqlite_database, blog).differences()


def test_models_that_cannot_be_imported(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Models that cannot be imported are one error, before the database is asked."""
    blog = make_blog(make_package, "import nowhere_to_be_found")

    with pytest.raises(ConfigError, match=r"the models of package 'blog', .* cannot be imported"):
        migrator(sqlite_database, blog).differences()


# -- without a database ----------------------------------------------------------------------


def test_offline(database: Database, make_package: PackageMaker) -> None:
    """Offline, the revisions are replayed elsewhere: the database is left as it is."""
    made = make_three(make_package, cms='Pages.__table__.append_column(sa.Column("name", sa.Text))')
    comparing = shared(database, made)
    before = databases(database)

    found = comparing.differences(offline=True)

    assert {name: [one.words for one in all_] for name, all_ in found.items()} == {
        "blog": [],
        "cms": ["missing column pages.name"],
        "crowd": [],
    }
    assert comparing.versions_recorded() == {}
    assert_gone(database, before)


def assert_gone(database: Database, before: set[str]) -> None:
    """Assert that no new scratch database stays; those of other tests go by themselves."""
    new = databases(database) - before
    deadline = time.monotonic() + 30
    while new and time.monotonic() < deadline:
        time.sleep(0.1)
        new &= databases(database)
    assert not new


def databases(database: Database) -> set[str]:
    """Return the scratch databases of a server."""
    if database.name == "sqlite":
        return set()
    with database.engine.connect() as connection:
        names = sa.inspect(connection).get_schema_names()
        if database.name == "postgresql":
            names = list(connection.scalars(sa.text("SELECT datname FROM pg_database")))
    return {name for name in names if name.startswith("ptah_scratch_")}


def test_offline_needs_a_whole_history(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Revisions that start from tables that existed before cannot be replayed."""
    blog = make_package(
        "blog",
        {"001": 'op.add_column("posts", sa.Column("author", sa.Text))'},
        files={"base.py": BASE, "models.py": POSTS.format(base="blog.base")},
        metadata="blog.models:Base.metadata",
    )

    with pytest.raises(ModelsError, match=r"cannot be replayed from nothing: .*no such table"):
        migrator(sqlite_database, blog).differences(offline=True)


def test_offline_a_model_without_a_revision(database: Database, make_package: PackageMaker) -> None:
    """A model that no revision makes is a difference, not a table that existed before."""
    more = POSTS + dedent("""
        class Tag(Base):
            __tablename__ = "tags"
            id: Mapped[int] = mapped_column(primary_key=True)
    """)
    blog = make_blog(make_package, more)
    blog.registration = {**blog.registration, "fresh": "auto"}

    assert words(database, blog, offline=True) == {"blog": ["missing table tags"]}
