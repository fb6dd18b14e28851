"""Revisions made of the difference between models and database, run on every database."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from ptah_migrate import Migrator, Registry
from ptah_migrate._authoring import Wanted, revisions
from ptah_migrate._history import read
from ptah_migrate._runtime.answers import Told, Unattended
from ptah_migrate.drafts import Body, Fill, Rename
from ptah_migrate.errors import AuthoringError, ModelsError, UsageError
from ptah_migrate.model import Package
from tests.conftest import CI
from tests.helpers import Database, PackageMaker, PackageOnDisk, contents, tree

BASE = """
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
"""
HEAD = "import sqlalchemy as sa\nfrom {base} import Base\n\n\n"


@dataclass
class Models:
    """
    A package whose MetaData the test makes, and the revisions that were made for it.

    ``autogenerate`` may be told again and again, with other tables.
    """

    database: Database
    made: PackageOnDisk
    options: Mapping[str, Any] = field(default_factory=dict)
    last: Body = field(default_factory=lambda: Body("blog"))

    def package(self, metadata: sa.MetaData) -> Package:
        return PackageOnDisk(
            self.made.name,
            self.made.root,
            {"metadata": metadata, "fresh": "steps", "options": self.options},
        ).package

    def migrator(self, *tables: Any) -> Migrator:
        return Migrator(self.database.engine, Registry([self.package(_metadata(tables))]))

    def autogenerate(self, *tables: Any, ask: Any = None) -> str:
        """Write a revision for tables, apply it, and return its text; nothing may be left."""
        metadata = _metadata(tables)
        migrator = Migrator(self.database.engine, Registry([self.package(metadata)]))
        [self.last] = migrator.autogenerate(ask=ask)
        package = self.package(metadata)
        [new] = revisions([Wanted(package, read(package), self.last)])
        self.migrator(*tables).upgrade()
        assert self.migrator(*tables).differences() == {"blog": ()}
        return new.path.read_text()

    def downgrade(self, target: str = "blog:-1") -> None:
        self.migrator(T("nothing")).downgrade(target)

    def insert(self, table: str, **values: Any) -> None:
        with self.database.engine.begin() as connection:
            found = sa.Table(table, sa.MetaData(), autoload_with=connection)
            connection.execute(found.insert().values(**values))

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return contents(self.database.engine)[table]


def T(name: str, *parts: Any) -> tuple[Any, ...]:  # noqa: N802 - reads as a table
    return (name, sa.Column("id", sa.Integer, primary_key=True), *parts)


def _metadata(tables: Sequence[tuple[Any, ...]]) -> sa.MetaData:
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    for name, *parts in tables:
        copies = [part._copy() if isinstance(part, sa.Column) else part for part in parts]
        sa.Table(name, metadata, *copies)
    return metadata


@pytest.fixture
def blog(database: Database, make_package: PackageMaker) -> Models:
    return Models(database, make_package("blog"))


def upgrade_of(text: str) -> str:
    return text.partition("def upgrade() -> None:\n")[2].partition("\n\n\ndef downgrade")[0]


def downgrade_of(text: str) -> str:
    return text.partition("def downgrade() -> None:\n")[2]


# -- several packages ----------------------------------------------------------------------


@pytest.fixture
def three(make_package: PackageMaker) -> list[PackageOnDisk]:
    """Make three packages that share a declarative base; wiki refers to crowd."""
    make_package("shared", files={"base.py": BASE})
    bodies = {
        "crowd": "class Person(Base):\n    __tablename__ = 'people'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n",
        "shop": "class Item(Base):\n    __tablename__ = 'items'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n",
        "wiki": "class Page(Base):\n    __tablename__ = 'pages'\n"
        "    id = sa.Column(sa.Integer, primary_key=True)\n"
        "    author_id = sa.Column(sa.ForeignKey('people.id'))\n",
    }
    return [
        make_package(
            name,
            files={"models.py": HEAD.format(base="shared.base") + body},
            fresh="steps",
            metadata=f"{name}.models:Base.metadata",
        )
        for name, body in bodies.items()
    ]


def write(database: Database, packages: Sequence[PackageOnDisk], *names: str) -> dict[str, str]:
    """Write revisions for packages and return their texts."""
    for package in packages:
        importlib.import_module(f"{package.name}.models")
    migrator = Migrator(database.engine, Registry([one.package for one in packages]))
    by_name = {one.name: one.package for one in packages}
    wanted = [
        Wanted(by_name[body.package], read(by_name[body.package]), body)
        for body in migrator.autogenerate(*names)
        if body
    ]
    made = revisions(wanted)
    return {one.package.name: new.path.read_text() for one, new in zip(wanted, made, strict=True)}


def upgrade(database: Database, packages: Sequence[PackageOnDisk]) -> None:
    Migrator(database.engine, Registry([one.package for one in packages])).upgrade()


def test_three_packages_on_one_base(database: Database, three: list[PackageOnDisk]) -> None:
    """Each gets a revision with its own tables; a foreign key to a new table requires the other."""
    texts = write(database, three)

    assert list(texts) == ["crowd", "shop", "wiki"]
    assert '"people"' in texts["crowd"]
    assert "items" not in texts["crowd"]
    assert "pages" not in texts["crowd"]
    assert 'requires = ("crowd:001",)' in texts["wiki"]
    assert "requires" not in texts["shop"]
    upgrade(database, three)
    assert write(database, three) == {}


def test_one_of_three_never_mentions_another(
    database: Database, three: list[PackageOnDisk]
) -> None:
    """The others' tables are neither made nor dropped, whether they are there or not."""
    assert list(write(database, three, "shop")) == ["shop"]
    upgrade(database, three)
    assert write(database, three, "shop") == {}


@pytest.mark.slow
def test_among_two_thousand_foreign_tables(database: Database, three: list[PackageOnDisk]) -> None:
    """Where others have 2,000 tables, a package's revision has its own change and nothing else."""
    write(database, three)
    upgrade(database, three)
    foreign = 2_000 if database.name == "sqlite" or not CI else 300
    with database.engine.begin() as connection:
        if database.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # else each table waits for the disk
        for number in range(foreign):
            connection.exec_driver_sql(f"CREATE TABLE foreign_{number} (id INTEGER PRIMARY KEY)")
    item = sys.modules["shop.models"].Item
    item.__table__.append_column(sa.Column("price", sa.Integer))

    texts = write(database, three)

    assert list(texts) == ["shop"]
    assert 'add_column(sa.Column("price", sa.Integer(), nullable=True))' in texts["shop"]
    assert not any(
        word in texts["shop"] for word in ("foreign_", "people", "pages", "create_", "drop_t")
    )


def test_a_removed_table_is_dropped_by_its_package(
    database: Database, three: list[PackageOnDisk]
) -> None:
    """A model that is gone drops its table, in the package that made it, and in no other."""
    write(database, three)
    upgrade(database, three)
    shop = three[1]
    path = shop.directory / "models.py"
    path.write_text(
        path.read_text()
        .replace("items", "goods_of_another_kind")
        .replace(
            "    id =", "    other = sa.Column(sa.Text)\n    number = sa.Column(sa.Text)\n    id ="
        )
    )
    for name in ("shared", "crowd", "shop", "wiki"):
        for module in [one for one in sys.modules if one.partition(".")[0] == name]:
            del sys.modules[module]
    importlib.invalidate_caches()

    texts = write(database, three)

    assert list(texts) == ["shop"]
    assert 'op.drop_table("items")' in texts["shop"]
    assert texts["shop"].count("drop_table") == 2


def test_requires_names_the_revision_that_made_the_table(
    database: Database, make_package: PackageMaker
) -> None:
    """A foreign key to a neighbour's table requires the revision that made it, once."""
    people = make_package(
        "crowd",
        {
            "001": "pass",
            "002": 'op.create_table("people", sa.Column("id", sa.Integer, primary_key=True))',
            "003": "pass",
        },
        fresh="steps",
    )
    metadata = sa.MetaData()
    sa.Table(
        "pages",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("author_id", sa.Integer, sa.ForeignKey("people.id", name="fk_author")),
    )
    wiki = make_package("wiki", fresh="steps", metadata=metadata)
    upgrade(database, [people])

    texts = _written(database, [people, wiki], "wiki")
    assert 'requires = ("crowd:002",)' in texts["wiki"]
    upgrade(database, [people, wiki])

    metadata.tables["pages"].append_column(
        sa.Column("editor_id", sa.Integer, sa.ForeignKey("people.id", name="fk_editor"))
    )
    texts = _written(database, [people, wiki], "wiki")
    assert "fk_editor" in texts["wiki"]
    assert "requires" not in texts["wiki"]


def _written(database: Database, packages: Sequence[PackageOnDisk], *names: str) -> dict[str, str]:
    migrator = Migrator(database.engine, Registry([one.package for one in packages]))
    by_name = {one.name: one.package for one in packages}
    bodies = [body for body in migrator.autogenerate(*names) if body]
    made = revisions([Wanted(by_name[b.package], read(by_name[b.package]), b) for b in bodies])
    return {body.package: new.path.read_text() for body, new in zip(bodies, made, strict=True)}


def test_packages_that_need_each_other(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """Two new tables that refer to each other, of two packages, are refused by name."""
    metadata = sa.MetaData()
    for name, other in (("a", "b"), ("b", "a")):
        sa.Table(
            name,
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("other", sa.ForeignKey(f"{other}.id", use_alter=True, name=f"fk_{name}")),
        )
    packages = [
        make_package(f"p{name}", fresh="steps", metadata=metadata, tables=(name,)) for name in "ab"
    ]

    with pytest.raises(ModelsError) as error:
        _written(sqlite_database, packages)

    assert str(error.value) == (
        "packages 'pa', 'pb' refer to each other's new tables, so none can be the first"
    ) or str(error.value) == (
        "packages 'pb', 'pa' refer to each other's new tables, so none can be the first"
    )
    assert not list(packages[0].migrations.glob("0*.py"))


def test_all_or_nothing(sqlite_database: Database, three: list[PackageOnDisk]) -> None:
    """Where a later file cannot be written, none of the earlier ones stays."""
    crowd, _, wiki = three
    wiki.add("revision.py.jinja", "no Python at all {{ revision }}")
    before = tree(crowd.root)

    with pytest.raises(AuthoringError):
        write(sqlite_database, three)

    assert tree(crowd.root) == before


# -- what is written ---------------------------------------------------------------------


def test_the_whole_file(blog: Models) -> None:
    """The file is what a person would have written: imports in order, one line where it fits."""
    text = blog.autogenerate(
        T("posts", sa.Column("title", sa.String(200), nullable=False, index=True))
    )

    assert text == (
        '"""Add posts"""\n\n'
        "import sqlalchemy as sa\n"
        "from alembic import op\n\n"
        'revision = "001"\n'
        "down_revision = None\n"
        "branch_labels = None\n"
        "depends_on = None\n\n\n"
        "def upgrade() -> None:\n"
        "    op.create_table(\n"
        '        "posts",\n'
        '        sa.Column("id", sa.Integer(), nullable=False),\n'
        '        sa.Column("title", sa.String(length=200), nullable=False),\n'
        '        sa.PrimaryKeyConstraint("id", name=op.f("pk_posts")),\n'
        "    )\n"
        '    op.create_index(op.f("ix_posts_title"), "posts", ["title"], unique=False)\n\n\n'
        "def downgrade() -> None:\n"
        '    op.drop_table("posts")\n'
    )
    assert not read(blog.package(sa.MetaData())).revisions["001"].unwritten


def test_types_of_a_dialect_are_imported(blog: Models) -> None:
    """A type of one dialect brings its import along, and only that."""
    from sqlalchemy.dialects import postgresql

    text = blog.autogenerate(
        T("posts", sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")))
    )

    assert "from sqlalchemy.dialects import postgresql\n" in text
    assert "postgresql.JSONB(astext_type=sa.Text())" in text


def test_types_of_ones_own_are_imported(blog: Models, make_package: PackageMaker) -> None:
    """A type of the package's own is named and imported from its module."""
    blog.made.add("__init__.py", "")
    (blog.made.directory / "kinds.py").write_text(
        "import sqlalchemy as sa\n\n\n"
        "class Money(sa.types.TypeDecorator):\n"
        "    impl = sa.Integer\n    cache_ok = True\n\n"
        "    def __repr__(self):\n        return 'Money()'\n"
    )
    Money = importlib.import_module("blog.kinds").Money  # noqa: N806 - a class

    text = blog.autogenerate(T("posts", sa.Column("price", Money())))

    assert "from alembic import op\n\nimport blog.kinds\n" in text
    assert 'sa.Column("price", blog.kinds.Money(), nullable=True)' in text


def test_render_item(database: Database, make_package: PackageMaker) -> None:
    """The package's own render_item says how a type is written, and its import is kept."""

    def render(kind: str, thing: Any, context: Any) -> Any:
        if kind == "type" and isinstance(thing, sa.Uuid):
            context.imports.add("from decimal import Decimal")
            return "sa.Numeric(asdecimal=Decimal)"
        return False

    blog = Models(database, make_package("blog"), {"render_item": render})
    [body] = blog.migrator(T("posts", sa.Column("key", sa.Uuid()))).autogenerate()
    package = blog.package(sa.MetaData())
    [new] = revisions([Wanted(package, read(package), body)])

    text = new.path.read_text()
    assert text.startswith('"""Add posts"""\n\nfrom decimal import Decimal\n\nimport sqlalchemy')
    assert "sa.Numeric(asdecimal=Decimal)" in text


def test_a_name_that_nothing_imports(sqlite_database: Database, make_package: PackageMaker) -> None:
    """What a hook renders without its import is refused before the file is written."""
    hook = {"render_item": lambda kind, thing, context: "Money()" if kind == "type" else False}
    blog = Models(sqlite_database, make_package("blog"), hook)

    with pytest.raises(AuthoringError) as error:
        blog.autogenerate(T("posts"))

    assert str(error.value) == "the operations use 'Money', which nothing imports"
    assert error.value.hint == "let render_item add it: autogen_context.imports.add('import …')"
    assert not list(blog.made.migrations.glob("0*.py"))


def test_process_revision_directives(sqlite_database: Database, make_package: PackageMaker) -> None:
    """The package's own directives may change the operations, or leave none."""

    def nothing(context: Any, revision: Any, directives: list[Any]) -> None:
        directives[:] = []

    blog = Models(sqlite_database, make_package("blog"), {"process_revision_directives": nothing})

    [body] = blog.migrator(T("posts")).autogenerate()

    assert not body


def test_without_batch(database: Database, make_package: PackageMaker) -> None:
    """A package that says render_as_batch=False gets plain operations."""
    blog = Models(database, make_package("blog"), {"render_as_batch": False})
    blog.autogenerate(T("posts"))

    text = blog.autogenerate(T("posts", sa.Column("title", sa.Text)))

    assert '    op.add_column("posts", sa.Column("title", sa.Text(), nullable=True))\n' in text


def test_names_cannot_become_code(blog: Models) -> None:
    """Whatever tables, columns and comments are called, they stay texts."""
    name = 'an "odd" \\ %d :x {{ 1 }}'
    text = blog.autogenerate(T(name, sa.Column('co"l', sa.Text, comment='"""\n:y \\ \'')))
    blog.downgrade("blog:base")

    assert "{{ 1 }}" in text
    assert set(sa.inspect(blog.database.engine).get_table_names()) == {
        "ptah_db_journal",
        "ptah_db_versions",
    }


def test_a_template_without_a_place(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A template of one's own that has no place for the operations is refused, nothing written."""
    blog = Models(sqlite_database, make_package("blog"))
    blog.made.add(
        "revision.py.jinja",
        '{% extends "ptah_migrate/revision.py.jinja" %}\n{% block upgrade %}\n    pass\n'
        "{% endblock %}\n",
    )

    with pytest.raises(AuthoringError) as error:
        blog.autogenerate(T("posts"))

    assert str(error.value).endswith(
        "made an unusable file: it has no place for the operations: {{ upgrade }}"
    )
    assert not list(blog.made.migrations.glob("0*.py"))


def test_a_template_that_imports_less(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A template whose imports are not those that the operations need is refused."""
    blog = Models(sqlite_database, make_package("blog"))
    blog.made.add(
        "revision.py.jinja",
        '{% extends "ptah_migrate/revision.py.jinja" %}\n{% block imports %}\n'
        "from alembic import op\n{% endblock %}\n",
    )

    with pytest.raises(AuthoringError) as error:
        blog.autogenerate(T("posts"))

    assert str(error.value).endswith(
        "it does not import 'sa', which the operations use: {{ imports }}"
    )


def test_constraints_without_a_name(database: Database, make_package: PackageMaker) -> None:
    """A foreign key without a name is added to a table that exists, and dropped, under one."""
    blog = make_package("blog", fresh="steps")

    def step(*parts: Any) -> None:
        metadata = sa.MetaData()
        sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True))
        sa.Table("posts", metadata, sa.Column("id", sa.Integer, primary_key=True), *parts)
        package = PackageOnDisk("blog", blog.root, {"metadata": metadata, "fresh": "steps"})
        _written(database, [package])
        upgrade(database, [package])
        migrator = Migrator(database.engine, Registry([package.package]))
        assert migrator.differences() == {"blog": ()}

    step()
    step(sa.Column("user_id", sa.ForeignKey("users.id")), sa.Column("name", sa.Text))
    step(sa.Column("user_id", sa.Integer), sa.Column("name", sa.Text))
    Migrator(database.engine, Registry([blog.package])).downgrade("blog:base")

    assert "posts" not in sa.inspect(database.engine).get_table_names()


def test_another_primary_key(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A primary key that changes is told of: what is written does not change it."""
    blog = Models(sqlite_database, make_package("blog"))
    blog.autogenerate(T("posts"))

    [body] = blog.migrator(
        T("posts", sa.Column("language", sa.String(2), primary_key=True))
    ).autogenerate()

    assert body.notes == ("the primary key of posts changes, which is for you to write",)


# -- rows ----------------------------------------------------------------------------------


class Answers(Unattended):
    """A person who has an answer to everything."""

    def __init__(self, *values: str | None, renamed: bool = False) -> None:
        super().__init__()
        self.values = list(values)
        self.answer = renamed
        self.asked: list[str] = []

    def renamed(self, rename: Rename) -> bool:
        self.asked.append(str(rename))
        return self.answer

    def value(self, fill: Fill, problem: str) -> str | None:
        self.asked.append(f"{fill} {problem}".strip())
        return self.values.pop(0)


def test_a_new_column_that_needs_a_value(blog: Models) -> None:
    """Rows that are there get what was answered; then the column is closed."""
    blog.autogenerate(T("posts"))
    blog.insert("posts", id=1)

    ask = Answers("many", "7")
    blog.autogenerate(T("posts", sa.Column("rank", sa.Integer, nullable=False)), ask=ask)

    assert ask.asked == ["posts.rank", "posts.rank 'many' is no whole number"]
    assert blog.rows("posts") == [(1, 7)]


def test_nobody_to_ask(blog: Models) -> None:
    """Without an answer rows get what is safe for the type, and a note says so."""
    blog.autogenerate(T("posts"))
    blog.insert("posts", id=1)

    blog.autogenerate(
        T(
            "posts",
            sa.Column("title", sa.String(20), nullable=False),
            sa.Column("done", sa.Boolean, nullable=False),
            sa.Column("stars", sa.Integer, nullable=False, default=3),
        )
    )

    assert blog.rows("posts") == [(False, 1, 3, "")] or blog.rows("posts") == [(0, 1, 3, "")]
    assert blog.last.notes == (
        "posts.title is '' in existing rows",
        "posts.done is False in existing rows",
        "posts.stars is 3 in existing rows",
    )


def test_a_column_without_a_safe_value(blog: Models) -> None:
    """What must differ, or be in another table, gets none: the step is for empty tables."""
    blog.autogenerate(T("posts"))

    blog.autogenerate(T("posts", sa.Column("slug", sa.String(20), nullable=False, unique=True)))

    assert blog.last.notes == (
        "posts.slug gets no value in existing rows: the step fails where there are some",
    )


def test_a_column_that_must_no_longer_be_empty(blog: Models) -> None:
    """Only the rows without a value get one, and the way back leaves them."""
    blog.autogenerate(T("posts", sa.Column("title", sa.String(20))))
    blog.insert("posts", id=1, title=None)
    blog.insert("posts", id=2, title="kept")

    blog.autogenerate(
        T("posts", sa.Column("title", sa.String(20), nullable=False)), ask=Answers("none")
    )
    assert blog.rows("posts") == [(1, "none"), (2, "kept")]

    blog.downgrade()
    blog.insert("posts", id=3, title=None)
    assert len(blog.rows("posts")) == 3


def test_a_renamed_column_keeps_its_values(blog: Models) -> None:
    """A dropped and an added column that are one become a rename, both ways."""
    blog.autogenerate(T("posts", sa.Column("title", sa.String(20), nullable=False, index=True)))
    blog.insert("posts", id=1, title="first")

    ask = Answers(renamed=True)
    text = blog.autogenerate(
        T("posts", sa.Column("headline", sa.String(40), nullable=False, index=True)), ask=ask
    )

    assert ask.asked == ["posts.title:headline"]
    assert 'new_column_name="headline"' in upgrade_of(text)
    assert blog.rows("posts") == [("first", 1)]
    blog.downgrade()
    assert blog.rows("posts") == [(1, "first")]


def test_a_rename_that_was_none(blog: Models) -> None:
    """Without an answer one column is dropped and another added; a note says how to rename."""
    blog.autogenerate(T("posts", sa.Column("title", sa.String(20))))

    text = blog.autogenerate(T("posts", sa.Column("headline", sa.String(20))))

    assert 'batch_op.drop_column("title")' in upgrade_of(text)
    [note] = blog.last.notes
    assert note == (
        "posts.title is dropped and posts.headline added; "
        "if it was renamed: --rename posts.title:headline"
    )


def test_a_renamed_table_keeps_its_rows(blog: Models) -> None:
    """A dropped and an added table with mostly the same columns may be one."""
    parts = (sa.Column("title", sa.String(20)), sa.Column("body", sa.Text))
    blog.autogenerate(T("posts", *[_copy(one) for one in parts]))
    blog.insert("posts", id=1, title="first")
    tables = T("articles", *[_copy(one) for one in parts], sa.Column("rank", sa.Integer))

    metadata = _metadata([tables])
    migrator = Migrator(blog.database.engine, Registry([blog.package(metadata)]))
    [body] = migrator.autogenerate(ask=Told(["posts:articles"], Unattended()))
    package = blog.package(metadata)
    revisions([Wanted(package, read(package), body)])
    Migrator(blog.database.engine, Registry([package])).upgrade()

    assert [row[1] for row in blog.rows("articles")] == [1]
    assert 'op.rename_table("posts", "articles")'.replace('"', "'") in body.upgrade
    blog.downgrade()
    assert len(blog.rows("posts")) == 1


def _copy(column: sa.Column[Any]) -> sa.Column[Any]:
    return sa.Column(column.name, column.type)


def test_a_rename_told_that_cannot_be(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A rename that was told and matches nothing is refused, with those that are possible."""
    blog = Models(sqlite_database, make_package("blog"))
    blog.autogenerate(T("posts", sa.Column("title", sa.String(20))))
    told = Told(["posts.tilte:headline"], Unattended())
    blog.migrator(T("posts", sa.Column("headline", sa.String(20)))).autogenerate(ask=told)

    with pytest.raises(UsageError) as error:
        told.refuse_unused()

    assert error.value.hint == "possible: posts.title:headline"


def test_another_type(blog: Models) -> None:
    """Values are taken along into another type, a default in the way is taken off and put back."""
    blog.autogenerate(T("posts", sa.Column("rank", sa.String(20), server_default="1")))
    blog.insert("posts", id=1, rank="42")

    blog.autogenerate(T("posts", sa.Column("rank", sa.Integer, server_default="2")))

    assert blog.rows("posts") == [(1, 42)]
    blog.downgrade()
    assert blog.rows("posts") == [(1, "42")]


# -- what PostgreSQL has beside the tables -------------------------------------------------


@pytest.fixture
def on_postgresql(postgresql_database: Database, make_package: PackageMaker) -> Models:
    return Models(postgresql_database, make_package("blog"))


def enums(models: Models) -> dict[str, list[str]]:
    inspector: Any = sa.inspect(models.database.engine)
    return {one["name"]: one["labels"] for one in inspector.get_enums()}


def mood(*labels: str) -> sa.Enum:
    return sa.Enum(*labels, name="mood")


def test_enums_come_and_go_with_their_columns(on_postgresql: Models) -> None:
    """A type is made before a column that is added, and dropped after the last one, both ways."""
    blog = on_postgresql
    blog.autogenerate(T("posts"))
    blog.autogenerate(T("posts", sa.Column("mood", mood("good", "bad"))))
    assert enums(blog) == {"mood": ["good", "bad"]}

    blog.autogenerate(
        T("posts", sa.Column("mood", mood("good", "bad"))),
        T("tags", sa.Column("mood", mood("good", "bad"))),
    )
    blog.autogenerate(T("posts"), T("tags", sa.Column("mood", mood("good", "bad"))))
    assert enums(blog) == {"mood": ["good", "bad"]}
    blog.autogenerate(T("posts"))
    assert enums(blog) == {}

    for _ in range(4):
        blog.downgrade()
    assert enums(blog) == {}


def test_enums_get_new_values(on_postgresql: Models) -> None:
    """A value is added where the models have it; the way back takes it from the type."""
    blog = on_postgresql
    blog.autogenerate(T("posts", sa.Column("mood", mood("good", "bad"), server_default="good")))
    blog.insert("posts", id=1)

    text = blog.autogenerate(
        T("posts", sa.Column("mood", mood("best", "good", "so: so", "bad"), server_default="good"))
    )

    assert enums(blog) == {"mood": ["best", "good", "so: so", "bad"]}
    assert "with op.get_context().autocommit_block():" in upgrade_of(text)
    blog.downgrade()
    assert enums(blog) == {"mood": ["good", "bad"]}
    blog.insert("posts", id=2)
    assert blog.rows("posts") == [(1, "good"), (2, "good")]


def test_enums_lose_values(on_postgresql: Models) -> None:
    """A value that the models have no more is taken out of the type."""
    blog = on_postgresql
    blog.autogenerate(T("posts", sa.Column("mood", mood("good", "bad"), server_default="good")))
    blog.insert("posts", id=1)

    blog.autogenerate(T("posts", sa.Column("mood", mood("good"), server_default="good")))

    assert enums(blog) == {"mood": ["good"]}
    blog.downgrade()
    assert enums(blog) == {"mood": ["good", "bad"]}
    assert blog.rows("posts") == [(1, "good")]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_sequences(kind: str, make_database: Any, make_package: PackageMaker) -> None:
    """A sequence of the models is made, and dropped when they have it no more."""
    blog = Models(make_database(kind), make_package("blog"))
    numbers = sa.Sequence("post_numbers", start=100)

    blog.autogenerate(T("posts", sa.Column("number", sa.Integer, numbers)))
    assert "post_numbers" in sa.inspect(blog.database.engine).get_sequence_names()

    blog.autogenerate(T("posts", sa.Column("number", sa.Integer)))
    assert "post_numbers" not in sa.inspect(blog.database.engine).get_sequence_names()
    blog.downgrade()
    assert "post_numbers" in sa.inspect(blog.database.engine).get_sequence_names()


@pytest.mark.slow
def test_the_same_file_on_every_database(make_database: Any, make_package: PackageMaker) -> None:
    """Files that were made on SQLite run on PostgreSQL and MariaDB, enums and sequences too."""
    sqlite = Models(make_database("sqlite"), make_package("blog"))
    numbers = sa.Sequence("post_numbers")
    first = T("posts", sa.Column("mood", mood("good", "bad")))
    second = T(
        "posts",
        sa.Column("mood", mood("good", "bad")),
        sa.Column("past", mood("good", "bad"), nullable=False),
        sa.Column("colour", sa.Enum("red", "blue", name="colour")),
        sa.Column("number", sa.Integer, numbers),
    )
    sqlite.autogenerate(first)
    sqlite.autogenerate(second)

    for kind in ("postgresql", "mariadb"):
        there = Models(make_database(kind), sqlite.made)
        there.migrator(second).upgrade()
        assert there.migrator(second).differences() == {"blog": ()}
        there.downgrade("blog:base")


def test_a_script_has_it_too(postgresql_database: Database, make_package: PackageMaker) -> None:
    """What is written asks no database while it runs, so an SQL script can be made of it."""
    blog = Models(postgresql_database, make_package("blog"))
    blog.autogenerate(T("posts"))
    blog.autogenerate(T("posts", sa.Column("mood", mood("good", "bad"), nullable=False)))

    script = blog.migrator(T("posts")).script("blog:base:head")

    assert "CREATE TYPE mood AS ENUM ('good', 'bad');" in script
    assert "UPDATE posts SET mood='good'" in script
