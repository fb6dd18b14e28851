"""Steps that fail: what is left, what is said, and that a repaired run goes through."""

from __future__ import annotations

import pytest

from ptah_migrate.errors import (
    IrreversibleError,
    PtahMigrateError,
    RevisionFileError,
    StepError,
    UnrecordedTablesError,
)
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source, rows, tables
from tests.integration.running import everything, execute, journal, migrator, query, state

TABLE = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"

# The third statement fails: the column of it does not exist.
BROKEN = """
op.create_table('note', sa.Column('id', sa.Integer, primary_key=True))
op.execute("INSERT INTO post (id) VALUES (2)")
op.execute("UPDATE post SET missing = 1")
op.execute("INSERT INTO post (id) VALUES (3)")
"""
REPAIRED = BROKEN.replace("missing = 1", "id = 4 WHERE id = 2")


def line_of(package: PackageOnDisk, filename: str, text: str) -> str:
    """Return ``file:line`` of the line that contains a text."""
    path = package.migrations / filename
    lines = path.read_text(encoding="utf-8").splitlines()
    return f"{path}:{next(n for n, line in enumerate(lines, 1) if text in line)}"


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package whose second revision fails in its third statement."""
    return make_package(
        "blog",
        {
            "001.py": revision_source(
                "001", upgrade=TABLE.format("post") + "\nop.execute('INSERT INTO post VALUES (1)')"
            ),
            "002.py": revision_source("002", "001", upgrade=BROKEN),
        },
    )


def failure(mine: object, order: str = "upgrade", *targets: str) -> StepError:
    """Run and return the error of the step."""
    with pytest.raises(StepError) as caught:
        getattr(mine, order)(*targets)
    return caught.value


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_failing_step_leaves_no_trace(
    kind: str, request: pytest.FixtureRequest, blog: PackageOnDisk
) -> None:
    """Failing in its third statement, a step leaves schema, data and rows as they were before."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    migrator(database, blog).upgrade("blog:001")
    before = state(database)

    error = failure(migrator(database, blog))

    assert (error.package, error.revision, error.left_behind) == ("blog", "002", 0)
    assert error.place == line_of(blog, "002.py", "missing")
    assert state(database) == before
    assert journal(database, "failed") == [("blog", "002", "upgrade")]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_repaired_step_runs_through(
    kind: str, request: pytest.FixtureRequest, blog: PackageOnDisk
) -> None:
    """After the repair the same command succeeds, and the status forgets the failure."""
    database: Database = request.getfixturevalue(f"{kind}_database")
    failure(migrator(database, blog))
    blog.add("002.py", revision_source("002", "001", upgrade=REPAIRED))
    mine = migrator(database, blog)

    mine.upgrade()

    assert rows(database.engine) == {("blog", "002")}
    assert query(database, "SELECT id FROM post ORDER BY id") == [(1,), (3,), (4,)]
    assert [(s.state, s.how, s.problem) for s in mine.status()] == [("current", "run", "")]


def test_what_mariadb_leaves_is_counted(mariadb_database: Database, blog: PackageOnDisk) -> None:
    """MariaDB commits DDL: the error counts what stays, the status shows the half-done step."""
    mine = migrator(mariadb_database, blog)

    error = failure(mine)

    # The rows inserted after the CREATE TABLE were rolled back.
    assert error.left_behind == 1
    assert (
        "1 statement(s) of '002' were executed and this database cannot roll them back"
        in error.message
    )
    assert error.hint == "undo what '002' left, correct it, then run the same command again"
    assert query(mariadb_database, "SELECT id FROM post") == [(1,)]
    assert "note" in tables(mariadb_database.engine)
    assert rows(mariadb_database.engine) == {("blog", "001")}
    assert [(s.state, s.pending, s.how, s.problem) for s in mine.status()] == [
        (
            "pending",
            ("002",),
            "run",
            f"upgrade of 002 failed: {error.cause}; it left 1 statement(s) behind",
        )
    ]


def test_a_half_done_first_step_is_named(
    mariadb_database: Database, make_package: PackageMaker
) -> None:
    """After a first revision failed half-way, the rerun names it instead of advising a stamp."""
    package = make_package("shop", {"001.py": revision_source("001", upgrade=BROKEN)})
    mine = migrator(mariadb_database, package)
    failure(mine)

    with pytest.raises(UnrecordedTablesError) as caught:
        migrator(mariadb_database, package).upgrade()

    assert "upgrade of 001 failed: " in caught.value.message
    assert caught.value.hint == "undo what it left, then run the same command again"


def test_mariadb_after_the_repair(mariadb_database: Database, blog: PackageOnDisk) -> None:
    """What was left is undone by hand, the step repaired: the same command succeeds."""
    failure(migrator(mariadb_database, blog))
    execute(mariadb_database, "DROP TABLE note")
    blog.add("002.py", revision_source("002", "001", upgrade=REPAIRED))
    mine = migrator(mariadb_database, blog)

    mine.upgrade()

    assert rows(mariadb_database.engine) == {("blog", "002")}
    assert [(s.state, s.problem) for s in mine.status()] == [("current", "")]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        pytest.param("op.execute('INSERT INTO post VALUES (2)')\n1 / 0", 0, id="data alone"),
        pytest.param(
            "op.execute('INSERT INTO post VALUES (2)')\nop.execute('NONSENSE')",
            0,
            id="a statement that is not understood commits nothing",
        ),
        pytest.param(
            "op.execute('INSERT INTO post VALUES (2)')\n" + TABLE.format("post"),
            1,
            id="failing DDL commits what stands before it",
        ),
        pytest.param(TABLE.format("a") + "\n" + TABLE.format("b") + "\n1 / 0", 2, id="two tables"),
        pytest.param(
            "op.execute('CREATE TEMPORARY TABLE t (id INTEGER)')\n1 / 0", 0, id="a temporary table"
        ),
    ],
)
def test_mariadb_counts_what_it_committed(
    body: str, left: int, mariadb_database: Database, make_package: PackageMaker
) -> None:
    """Only statements that MariaDB has committed count as left behind."""
    blog = make_package("blog", {"001": TABLE.format("post"), "002": body})

    error = failure(migrator(mariadb_database, blog))

    assert error.left_behind == left


def test_what_an_autocommit_block_leaves_is_counted(
    database: Database, make_package: PackageMaker
) -> None:
    """On every database what an autocommit block committed is told, and the step is shown."""
    body = """
    op.create_table('a', sa.Column('id', sa.Integer, primary_key=True))
    with op.get_context().autocommit_block():
        op.create_index('ix_a', 'a', ['id'])
    op.create_table('b', sa.Column('id', sa.Integer, primary_key=True))
    op.execute("INSERT INTO a VALUES (1)")
    op.execute("UPDATE b SET missing = 1")
    """
    blog = make_package("blog", {"001": body})
    mine = migrator(database, blog)

    error = failure(mine)

    left = 3 if database.name == "mariadb" else 2
    assert error.left_behind == left
    assert "a" in tables(database.engine)
    assert ("b" in tables(database.engine)) == (database.name == "mariadb")
    assert query(database, "SELECT id FROM a") == []
    assert rows(database.engine) == set()
    assert [s.problem for s in mine.status()] == [
        f"upgrade of 001 failed: {error.cause}; it left {left} statement(s) behind"
    ]


def test_what_a_raw_commit_leaves_is_counted(
    database: Database, make_package: PackageMaker
) -> None:
    """A COMMIT sent as text makes everything before it stay, and that is told."""
    body = """
    op.create_table('a', sa.Column('id', sa.Integer, primary_key=True))
    op.execute("INSERT INTO a VALUES (1)")
    op.execute("COMMIT")
    op.execute("UPDATE a SET missing = 1")
    """
    blog = make_package("blog", {"001": body})

    error = failure(migrator(database, blog))

    assert error.left_behind == 2
    assert query(database, "SELECT id FROM a") == [(1,)]


def test_the_error_says_everything(database: Database, blog: PackageOnDisk) -> None:
    """The error has package, revision, place, cause and what stays applied, also in words."""
    error = failure(migrator(database, blog))

    assert error.applied == ("blog:001",)
    assert error.direction == "upgrade"
    assert "missing" in error.cause
    assert "\n" not in error.message
    assert error.message.startswith(
        "upgrade of package 'blog' failed in revision '002' at "
        f"{line_of(blog, '002.py', 'missing')}: "
    )
    assert "(stays applied: blog:001" in error.message


def test_a_failing_downgrade(database: Database, make_package: PackageMaker) -> None:
    """A downgrade that fails names itself and leaves the row where it was."""
    blog = make_package(
        "blog", {"001": ("pass", "pass"), "002": ("pass", "raise ValueError('no way back')")}
    )
    mine = migrator(database, blog)
    mine.upgrade()

    error = failure(mine, "downgrade", "blog:base")

    assert (error.direction, error.cause, error.revision) == (
        "downgrade",
        "ValueError: no way back",
        "002",
    )
    assert rows(database.engine) == {("blog", "002")}


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("INSERT INTO secret VALUES (:a, :b)", id="a duplicate key"),
        pytest.param("UPDATE secret SET missing = :b WHERE word = :a", id="a missing column"),
    ],
)
def test_bound_parameters_stay_private(
    statement: str, database: Database, make_package: PackageMaker
) -> None:
    """What a step binds to a failing statement is not in the message, nor in the journal."""
    bound = {"a": "hunter2", "b": "swordfish"}
    body = f"""
    op.create_table(
        'secret', sa.Column('word', sa.String(20), primary_key=True), sa.Column('x', sa.String(20))
    )
    op.get_bind().execute(sa.text("INSERT INTO secret VALUES (:a, :b)"), {bound!r})
    op.get_bind().execute(sa.text({statement!r}), {bound!r})
    """
    blog = make_package("blog", {"001": body})

    error = failure(migrator(database, blog))

    told = f"{error} {error.hint} {query(database, 'SELECT detail FROM ptah_db_journal')}"
    assert "hunter2" not in told
    assert "swordfish" not in told


def test_sys_exit_is_a_failure(database: Database, make_package: PackageMaker) -> None:
    """A step that calls ``sys.exit(0)`` has failed; it does not end the program with success."""
    blog = make_package("blog", {"001": "import sys\nsys.exit(0)"})

    error = failure(migrator(database, blog))

    assert error.cause == "the revision called sys.exit(0)"
    assert rows(database.engine) == set()


def test_ctrl_c_goes_through(database: Database, make_package: PackageMaker) -> None:
    """An interruption is no failure of the step: it goes to the caller, the step is undone."""
    blog = make_package(
        "blog",
        {
            "001": TABLE.format("a"),
            "002": "op.execute('INSERT INTO a VALUES (1)')\nraise KeyboardInterrupt",
        },
    )
    mine = migrator(database, blog)

    with pytest.raises(KeyboardInterrupt):
        mine.upgrade()

    assert rows(database.engine) == {("blog", "001")}
    assert query(database, "SELECT id FROM a") == []


UNUSABLE = {
    "syntax error": ("def upgrade(:\n", "syntax error: invalid syntax"),
    "import error": ("import no_such_module\n", "cannot be imported: ModuleNotFoundError"),
    "exit on import": ("import sys\nsys.exit(0)\n", "cannot be imported: SystemExit: 0"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_files_that_cannot_be_used_stop_before_the_first_statement(
    kind: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A later revision that cannot be imported is found, with its line, before anything is run."""
    line, problem = UNUSABLE[kind]
    text = revision_source("002", "001") + line
    blog = make_package("blog", {"001.py": revision_source("001"), "002.py": text})

    with pytest.raises(RevisionFileError) as caught:
        migrator(sqlite_database, blog).upgrade()

    path = blog.migrations / "002.py"
    where = len(text.splitlines()) - line.count("\n") + (2 if "exit" in kind else 1)
    assert str(caught.value).startswith(f"{path}:{where}: {problem}")
    assert tables(sqlite_database.engine) == set()


def test_a_broken_file_stops_its_own_package(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A file with a syntax error stops its package; the others work when they are named."""
    blog = make_package("blog", {"001.py": "revision = '001'\ndef upgrade(:\n"})
    crowd = make_package("crowd", {"001": "pass"})
    mine = migrator(sqlite_database, blog, crowd)

    mine.upgrade("crowd")
    with pytest.raises(RevisionFileError):
        mine.upgrade()

    assert rows(sqlite_database.engine) == {("crowd", "001")}
    assert {s.package: s.state for s in mine.status()} == {"blog": "broken", "crowd": "current"}


def test_a_missing_upgrade(sqlite_database: Database, make_package: PackageMaker) -> None:
    """A revision without ``upgrade()`` is found before the first statement."""
    blog = make_package(
        "blog",
        {"001.py": revision_source("001"), "002.py": revision_source("002", "001", upgrade=None)},
    )

    with pytest.raises(RevisionFileError) as caught:
        migrator(sqlite_database, blog).upgrade()

    assert str(caught.value) == f"{blog.migrations / '002.py'}: has no upgrade()"
    assert tables(sqlite_database.engine) == set()


def test_a_missing_downgrade(database: Database, make_package: PackageMaker) -> None:
    """A revision without ``downgrade()`` on the way down is named before the first statement."""
    blog = make_package(
        "blog",
        {
            "001.py": revision_source("001", downgrade=None),
            "002.py": revision_source("002", "001"),
        },
    )
    mine = migrator(database, blog)
    mine.upgrade()
    before = everything(database)

    with pytest.raises(IrreversibleError) as caught:
        mine.downgrade("blog:base")

    assert (caught.value.package, caught.value.revision) == ("blog", "001")
    assert everything(database) == before


@pytest.mark.parametrize("function", ["upgrade", "downgrade"])
def test_a_function_that_is_no_function(
    function: str, sqlite_database: Database, make_package: PackageMaker
) -> None:
    """An ``upgrade`` or ``downgrade`` that cannot be called is found before the first statement."""
    text = revision_source("001") + f"\n{function} = None\n"
    blog = make_package("blog", {"001.py": text})
    mine = migrator(sqlite_database, blog)
    if function == "downgrade":
        mine.stamp("blog:001")
    before = everything(sqlite_database)

    with pytest.raises(RevisionFileError) as caught:
        getattr(mine, function)("blog:head" if function == "upgrade" else "blog:base")

    assert str(caught.value) == f"{blog.migrations / '001.py'}: has no {function}()"
    assert everything(sqlite_database) == before


def test_a_module_that_says_another_id(
    sqlite_database: Database, make_package: PackageMaker
) -> None:
    """A file that calls itself otherwise when it is run than in its text is refused unrun."""
    text = revision_source("001") + "\nglobals().update(revision='666')\n"
    blog = make_package("blog", {"001.py": text})

    with pytest.raises(RevisionFileError) as caught:
        migrator(sqlite_database, blog).upgrade()

    assert str(caught.value) == (f"{blog.migrations / '001.py'}: is not revision '001' when run")
    assert tables(sqlite_database.engine) == set()


def test_tables_that_cannot_be_made(database: Database, make_package: PackageMaker) -> None:
    """A failure to create a package's tables names the package; its row is not written."""
    models = """
    import sqlalchemy as sa
    metadata = sa.MetaData()
    sa.Table("post", metadata, sa.Column("id", sa.Integer, primary_key=True),
             sa.CheckConstraint("nonsense is is", name="ck"))
    """
    blog = make_package(
        "blog", {"001": "pass"}, files={"models.py": models}, metadata="blog.models:metadata"
    )

    with pytest.raises(PtahMigrateError) as caught:
        migrator(database, blog).seed()

    assert str(caught.value).startswith("package 'blog' could not be seeded: ")
    assert rows(database.engine) == set()
