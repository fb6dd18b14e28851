"""
One logical history, and the same written for each contender.

A history has P packages of R revisions and T tables. Each revision is one
operation: create a table, add a column, create an index, insert rows. What a
revision does follows from its number alone, so that every run makes the same.
"""

from __future__ import annotations

import compileall
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

DIALECTS: dict[str, sa.Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "mysql": mysql.dialect(),
}


@dataclass(frozen=True, slots=True)
class Size:
    """How large a history is: packages, revisions and tables of each."""

    packages: int
    revisions: int
    tables: int

    def __str__(self) -> str:
        return f"{self.packages}×{self.revisions}×{self.tables}"

    @property
    def names(self) -> list[str]:
        """The packages."""
        return [f"p{number:04}" for number in range(1, self.packages + 1)]

    @property
    def ids(self) -> list[str]:
        """The revisions of each package."""
        return [f"{number:04}" for number in range(1, self.revisions + 1)]


@dataclass(frozen=True, slots=True)
class Operation:
    """What one revision does: ``create``, ``column``, ``index`` or ``rows``, in one table."""

    kind: str
    package: str
    table: str
    id: str
    creates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The table, as the database knows it."""
        return f"{self.package}_{self.table}"

    @property
    def column(self) -> str:
        """The column it adds, or has an index for."""
        return f"c{self.id}"

    @property
    def index(self) -> str:
        """The index it creates."""
        return f"ix_{self.package}_{self.id}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """The rows it inserts."""
        first = int(self.id) * 10
        return [{"id": first + n, "title": f"row {n} of {self.id}"} for n in range(2)]


def operations(size: Size, package: str) -> Iterator[Operation]:
    """
    Yield what the revisions of a package do, one after the other.

    Tables come into being evenly over the history; the revisions between work
    in the newest of them. The last one adds a column: it is easily taken back.
    """
    made = 0
    others = 0
    for number, id_ in enumerate(size.ids):
        wanted = -(-(number + 1) * size.tables // max(1, size.revisions - 1))
        creates = tuple(f"t{n:03}" for n in range(made + 1, min(wanted, size.tables) + 1))
        last = number == size.revisions - 1 and number > 0
        if creates and not last:
            made += len(creates)
            yield Operation("create", package, creates[-1], id_, creates)
            continue
        kind = "column" if last else ("column", "index", "rows")[others % 3]
        others += 1
        yield Operation(kind, package, f"t{made:03}", id_)


def metadata(size: Size, package: str) -> sa.MetaData:
    """Return the models of a package: its tables when all revisions have run."""
    found = sa.MetaData()
    for one in operations(size, package):
        if one.kind == "create":
            for table in one.creates:
                _table(found, f"{package}_{table}")
        elif one.kind == "column":
            found.tables[one.name].append_column(sa.Column(one.column, sa.Integer))
        elif one.kind == "index":
            sa.Index(one.index, found.tables[one.name].c.title)
    return found


def _table(found: sa.MetaData, name: str) -> sa.Table:
    return sa.Table(
        name,
        found,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.String(80), nullable=False),
    )


def statements(one: Operation, dialect: str) -> list[str]:
    """Return the SQL of an operation, ready for the driver."""
    if one.kind == "create":
        made = [_table(sa.MetaData(), f"{one.package}_{table}") for table in one.creates]
        return [str(CreateTable(table).compile(dialect=DIALECTS[dialect])) for table in made]
    if one.kind == "column":
        return [f"ALTER TABLE {one.name} ADD COLUMN {one.column} INTEGER"]
    if one.kind == "index":
        table = _table(sa.MetaData(), one.name)
        index = sa.Index(one.index, table.c.title)
        return [str(CreateIndex(index).compile(dialect=DIALECTS[dialect]))]
    values = ", ".join(f"({row['id']}, '{row['title']}')" for row in one.rows)
    return [f"INSERT INTO {one.name} (id, title) VALUES {values}"]


# -- files -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """
    The files of a history: ``site`` as installed packages, ``labels`` and ``env`` for Alembic.

    An Alembic environment per package takes the revision files of ``site``:
    ids are unique inside a package. One environment for all needs ids that are
    unique everywhere, and a branch label on each first revision.
    """

    root: Path
    size: Size

    @property
    def site(self) -> Path:
        """The installed packages."""
        return self.root / "site-packages"

    @property
    def labels(self) -> Path:
        """The version locations of the one Alembic environment."""
        return self.root / "labels"

    @property
    def env(self) -> Path:
        """The script location of every Alembic environment."""
        return self.root / "env"

    @property
    def django(self) -> Path:
        """The Django apps."""
        return self.root / "django"

    @property
    def work(self) -> Path:
        """An empty folder, to run commands in."""
        return self.root / "work"

    def migrations(self, package: str) -> Path:
        """The revision files of an installed package."""
        return self.site / package / "migrations"


def write(tree: Tree) -> Tree:
    """Write a history for every contender, with bytecode, and return it."""
    _put(tree.env / "env.py", _ENV)
    _put(tree.env / "script.py.mako", _MAKO)
    _put(tree.root / "alembic.ini", _ini(tree))
    tree.work.mkdir()
    for package in tree.size.names:
        found = list(operations(tree.size, package))
        _package(tree, package, found)
        _labels(tree, package, found)
        _django(tree, package, found)
    # The process that runs first would otherwise pay for the others.
    compileall.compile_dir(tree.root, quiet=2)
    return tree


def _package(tree: Tree, package: str, found: list[Operation]) -> None:
    home = tree.site / package
    _put(home / "__init__.py", "")
    _put(home / "models.py", _models(metadata(tree.size, package)))
    _put(home / "migrations" / "__init__.py", _STUB.format(package=package))
    for one, before in _followed(found):
        _put(home / "migrations" / f"{one.id}.py", _revision(one, one.id, before))
    info = tree.site / f"{package}-1.0.dist-info"
    _put(info / "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    _put(info / "entry_points.txt", f"[ptah_migrate]\n{package} = {package}.migrations\n")


def _labels(tree: Tree, package: str, found: list[Operation]) -> None:
    for one, before in _followed(found):
        after = f"{package}_{before}" if before else None
        label = None if before else package
        text = _revision(one, f"{package}_{one.id}", after, label)
        _put(tree.labels / package / f"{one.id}.py", text)


def _followed(found: list[Operation]) -> Iterator[tuple[Operation, str | None]]:
    """Yield each operation with the id of the one before."""
    yield found[0], None
    for before, one in pairwise(found):
        yield one, before.id


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _revision(one: Operation, id_: str, before: str | None, label: str | None = None) -> str:
    up, down = _alembic(one)
    return _REVISION.format(
        doc=f"{one.kind} {one.name}",
        id=id_,
        before=before,
        label=label and (label,),
        up="\n    ".join(up),
        down="\n    ".join(down),
    )


def _alembic(one: Operation) -> tuple[list[str], list[str]]:
    """Return an operation as Alembic's, up and down."""
    if one.kind == "create":
        names = [f"{one.package}_{table}" for table in one.creates]
        return [_CREATE.format(name) for name in names], [f'op.drop_table("{n}")' for n in names]
    if one.kind == "column":
        return (
            [f'op.add_column("{one.name}", sa.Column("{one.column}", sa.Integer))'],
            [f'op.drop_column("{one.name}", "{one.column}")'],
        )
    if one.kind == "index":
        return (
            [f'op.create_index("{one.index}", "{one.name}", ["title"])'],
            [f'op.drop_index("{one.index}", "{one.name}")'],
        )
    columns = 'sa.column("id", sa.Integer), sa.column("title", sa.String)'
    return [f'op.bulk_insert(sa.table("{one.name}", {columns}), {one.rows!r})'], ["pass"]


def _models(found: sa.MetaData) -> str:
    lines = ["import sqlalchemy as sa", "", "metadata = sa.MetaData()"]
    for table in found.sorted_tables:
        parts = [f'sa.Column("{c.name}", sa.Integer)' for c in list(table.columns)[2:]]
        parts += [f'sa.Index("{index.name}", "title")' for index in table.indexes]
        lines.append(_MODEL.format(name=table.name, rest="".join(f"    {p},\n" for p in parts)))
    return "\n".join(lines)


def _django(tree: Tree, package: str, found: list[Operation]) -> None:
    home = tree.django / package
    _put(home / "__init__.py", "")
    _put(home / "migrations" / "__init__.py", "")
    for one, before in _followed(found):
        text = _MIGRATION.format(
            dependencies=[(package, f"m{before}")] if before else [],
            operations="".join(f"        {line},\n" for line in _djangos(one)),
        )
        _put(home / "migrations" / f"m{one.id}.py", text)


def _djangos(one: Operation) -> list[str]:
    """
    Return an operation as Django's.

    Rows are inserted by a statement: a function with models would cost Django
    more than the others pay.
    """
    if one.kind == "create":
        return [_DJANGO_MODEL.format(table) for table in one.creates]
    if one.kind == "column":
        field = "models.IntegerField(null=True)"
        return [f'migrations.AddField("{one.table}", "{one.column}", {field})']
    if one.kind == "index":
        index = f'models.Index(fields=["title"], name="{one.index}")'
        return [f'migrations.AddIndex("{one.table}", {index})']
    return [f"migrations.RunSQL({statements(one, 'sqlite')[0]!r}, migrations.RunSQL.noop)"]


def _ini(tree: Tree) -> str:
    locations = " ".join(str(tree.labels / package) for package in tree.size.names)
    return (
        f"[alembic]\nscript_location = {tree.env}\npath_separator = space\n"
        f"version_locations = {locations}\n"
    )


_STUB = """\
def includeme(config):
    config.include("ptah_migrate")
    config.register_migration(
        "{package}", "{package}:migrations", title="{package}", metadata="{package}.models:metadata"
    )
"""
_REVISION = '''\
"""{doc}"""
import sqlalchemy as sa
from alembic import op

revision = {id!r}
down_revision = {before!r}
branch_labels = {label!r}
depends_on = None


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''
_CREATE = """op.create_table(
        "{}",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.String(80), nullable=False),
    )"""
_MODEL = """
sa.Table(
    "{name}",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("title", sa.String(80), nullable=False),
{rest})
"""
_MIGRATION = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = {dependencies}
    operations = [
{operations}    ]
"""
_DJANGO_MODEL = (
    'migrations.CreateModel("{}", [("id", models.IntegerField(primary_key=True)),'
    ' ("title", models.CharField(max_length=80))])'
)
# The common env.py, shortened: a URL, the models, one transaction as is Alembic's default.
_ENV = """\
import os

import sqlalchemy as sa
from alembic import context

given = context.config.attributes
engine = sa.create_engine(given.get("url") or os.environ["BENCH_URL"], poolclass=sa.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=given.get("metadata"),
        version_table=given.get("version_table", "alembic_version"),
        include_name=given.get("include_name"),
    )
    with context.begin_transaction():
        context.run_migrations()
"""
_MAKO = '''\
"""${message}"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''


# -- ends ------------------------------------------------------------------------------

BOOKKEEPING = ("alembic_version", "bench_", "django_", "ptah_")


def end(engine: sa.Engine) -> dict[str, object]:
    """Return the tables, columns, indexes and rows of a database, equal for equal ends."""
    inspector = sa.inspect(engine)
    names = [n for n in inspector.get_table_names() if not n.startswith(BOOKKEEPING)]
    columns = inspector.get_multi_columns()
    indexes = inspector.get_multi_indexes()
    with engine.connect() as connection:
        return {
            name: (
                sorted(
                    (column["name"], str(column["type"]), column["nullable"])
                    for column in columns[None, name]
                ),
                sorted((str(i["name"]), tuple(i["column_names"])) for i in indexes[None, name]),
                sorted(map(tuple, connection.exec_driver_sql(f"SELECT id, title FROM {name}"))),
            )
            for name in sorted(names)
        }
