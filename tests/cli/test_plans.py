"""What is shown before it happens: plan, dry run, SQL; and what is recorded by order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Run
from tests.helpers import (
    Database,
    PackageMaker,
    PackageOnDisk,
    Result,
    contents,
    dump,
    revision_source,
    rows,
)

UP = 'op.create_table("{0}", sa.Column("id", sa.Integer, primary_key=True))'
DOWN = 'op.drop_table("{0}")'


@pytest.fixture
def blog(folder: Path, make_package: PackageMaker) -> PackageOnDisk:
    """Install a package with two revisions."""
    package = make_package("blog")
    package.add(
        "001.py",
        revision_source(
            "001", upgrade=UP.format("posts"), downgrade=DOWN.format("posts"), message="Posts"
        ),
    )
    package.add(
        "002.py",
        revision_source(
            "002",
            "001",
            upgrade='op.execute("INSERT INTO posts VALUES (1)")',
            downgrade='op.execute("DELETE FROM posts")',
            message="First post",
        ),
    )
    package.install()
    return package


@pytest.fixture
def shop(make_package: PackageMaker) -> PackageOnDisk:
    """Install a package that needs the first revision of the other one."""
    package = make_package("a_shop")
    package.add(
        "001.py",
        revision_source(
            "001",
            upgrade=UP.format("orders"),
            downgrade=DOWN.format("orders"),
            requires=["blog:001"],
        ),
    )
    package.install()
    return package


# -- plan and dry run --------------------------------------------------------------------------


def test_plan(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, sqlite_database: Database
) -> None:
    """`plan` numbers the steps in their order over all packages, and does none."""
    result = invoke_cli("-q", "--url", sqlite_database.url, "plan")

    assert result == Result(
        0,
        "1. blog: upgrade None -> 001, Posts\n"
        "2. a_shop: upgrade None -> 001\n"
        "3. blog: upgrade 001 -> 002, First post\n",
        "",
    )
    assert rows(sqlite_database.engine) == set()


def test_plan_of_one(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, sqlite_database: Database
) -> None:
    """`plan TARGET` shows what that target needs."""
    result = invoke_cli("-q", "--url", sqlite_database.url, "plan", "a_shop")

    assert result == Result(
        0, "1. blog: upgrade None -> 001, Posts\n2. a_shop: upgrade None -> 001\n", ""
    )


def test_dry_run(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, database: Database
) -> None:
    """A dry run says `would …` of each step, in the order in which the run then takes them."""
    would = invoke_cli("-q", "--url", database.url, "upgrade", "--dry-run")
    before = rows(database.engine)
    done = invoke_cli("-q", "--url", database.url, "upgrade")

    assert would == Result(
        0,
        "would upgrade blog None -> 001, Posts\n"
        "would upgrade a_shop None -> 001\n"
        "would upgrade blog 001 -> 002, First post\n",
        "",
    )
    assert before == set()
    assert re.sub(r" \(.+ s\)", "", done.stdout) == (
        "blog None -> 001\na_shop None -> 001\nblog 001 -> 002\n"
    )


@pytest.mark.parametrize("words", [["plan"], ["upgrade", "--dry-run"]], ids=" ".join)
def test_nothing_planned(
    blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database, words: list[str]
) -> None:
    """Where nothing would happen, that is said."""
    invoke_cli("--url", sqlite_database.url, "upgrade")

    assert invoke_cli("-q", "--url", sqlite_database.url, *words) == Result(
        0, "nothing to do\n", ""
    )


def test_dry_run_of_a_downgrade(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, sqlite_database: Database
) -> None:
    """A dry run of a cascading downgrade shows whose steps come first, and asks nothing."""
    invoke_cli("--url", sqlite_database.url, "upgrade")

    result = invoke_cli(
        "-q", "--url", sqlite_database.url, "downgrade", "blog:base", "--cascade", "--dry-run"
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == [
        "would downgrade a_shop 001 -> None",
        "would downgrade blog 001 -> None, Posts",
        "would downgrade blog 002 -> 001, First post",
    ]
    assert rows(sqlite_database.engine) == {("a_shop", "001"), ("blog", "002")}


def test_dry_run_of_a_seed(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """A dry run says which tables would be created, and what would be recorded why."""
    models = (
        "import sqlalchemy as sa\n\nmetadata = sa.MetaData()\n"
        'sa.Table("tags", metadata, sa.Column("id", sa.Integer, primary_key=True))\n'
    )
    package = make_package(
        "tags", {"001": 'op.add_column("tags", sa.Column("x", sa.Integer))'}, files={"m.py": models}
    )
    package.add(
        "__init__.py",
        "def includeme(config):\n"
        '    config.register_migration("tags", "tags:migrations", metadata="tags.m:metadata")\n',
    )
    package.install()

    result = invoke_cli("-q", "--url", sqlite_database.url, "upgrade", "--dry-run")

    assert result == Result(
        0,
        "would create 1 table of tags: tags\nwould seed tags 001 (created 1 table)\n",
        "",
    )


# -- SQL ----------------------------------------------------------------------------------------


def execute(database: Database, script: str) -> None:
    """Run a script as the database's own client would."""
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if database.name == "sqlite":
            driver.executescript(script)
            return
        driver.rollback()
        for statement in re.sub(r"^--.*$", "", script, flags=re.MULTILINE).split(";\n"):
            if statement.strip():
                with driver.cursor() as cursor:
                    cursor.execute(statement.strip())
        driver.commit()


@pytest.mark.parametrize(
    "targets",
    [pytest.param([], id="all"), pytest.param(["a_shop", "blog:001"], id="some")],
)
def test_sql(
    blog: PackageOnDisk,
    shop: PackageOnDisk,
    invoke_cli: Run,
    database: Database,
    targets: list[str],
) -> None:
    """Running the script of `upgrade --sql` gives the schema and the rows of the run itself."""
    online = database.another()
    invoke_cli("--url", online.url, "upgrade", *targets)

    result = invoke_cli("-q", "--url", database.url, "upgrade", "--sql", *targets)
    untouched = rows(database.engine)
    execute(database, result.stdout)

    assert (result.exit_code, result.stderr, untouched) == (0, "", set())
    assert dump(database.engine) == dump(online.engine)
    assert contents(database.engine) == contents(online.engine)
    assert rows(database.engine) == rows(online.engine)


def test_sql_back(
    blog: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run, database: Database
) -> None:
    """Running the script of `downgrade --sql` takes away what the upgrade made."""
    invoke_cli("--url", database.url, "upgrade")

    result = invoke_cli("-q", "--url", database.url, "downgrade", "--sql", "--cascade", "blog:base")
    execute(database, result.stdout)

    assert result.exit_code == 0
    assert rows(database.engine) == set()
    assert dump(database.engine)["tables"] == {}


def test_sql_without_database(blog: PackageOnDisk, invoke_cli: Run) -> None:
    """With PACKAGE:FROM:TO, or --empty, no database is asked: none need be there."""
    url = "postgresql://127.0.0.1:1/none"

    stated = invoke_cli("-q", "--url", url, "upgrade", "--sql", "blog:001:002")
    empty = invoke_cli("-q", "--url", url, "upgrade", "--sql", "--empty")

    assert (stated.exit_code, empty.exit_code) == (0, 0)
    assert "CREATE TABLE posts" not in stated.stdout
    assert "INSERT INTO posts VALUES (1);" in stated.stdout
    assert "CREATE TABLE posts" in empty.stdout


def test_sql_refused(
    folder: Path, invoke_cli: Run, make_package: PackageMaker, sqlite_database: Database
) -> None:
    """A revision that looks at the database cannot be written as SQL: it is named."""
    make_package("blog", {"001": "sa.inspect(op.get_bind()).get_table_names()"}).install()

    result = invoke_cli("-q", "--url", sqlite_database.url, "upgrade", "--sql")

    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(
        "Error: revision '001' of package 'blog' cannot be written as SQL: .+\n"
        "hint: it looks at the database: run it with upgrade, "
        r"or ask context\.is_offline_mode\(\) in it\n",
        result.stderr,
    )


# -- branches -------------------------------------------------------------------------------------


@pytest.fixture
def branched(folder: Path, make_package: PackageMaker) -> PackageOnDisk:
    """Install a package whose history has two heads."""
    package = make_package("blog", {"001": "pass", "002": "pass"})
    package.add("003.py", revision_source("003", "001", message="Other", labels=["other"]))
    package.install()
    return package


def test_branches(branched: PackageOnDisk, invoke_cli: Run) -> None:
    """`branches` and `heads` show where the history parts, and its ends with their labels."""
    assert invoke_cli("branches") == Result(0, "blog: 001 -> 002, 003\n", "")
    assert invoke_cli("heads") == Result(0, "blog: 002\nblog: 003 (other) Other\n", "")


def test_no_branches(blog: PackageOnDisk, invoke_cli: Run) -> None:
    """Where no history branches, that is said, on stderr."""
    assert invoke_cli("branches") == Result(0, "", "no history branches\n")


def test_several_roots(folder: Path, make_package: PackageMaker, invoke_cli: Run) -> None:
    """Several roots are a branching of nothing."""
    package = make_package("blog", {"001": "pass"})
    package.add("002.py", revision_source("002"))
    package.install()

    assert invoke_cli("branches") == Result(0, "blog: None -> 001, 002\n", "")


def test_merge(branched: PackageOnDisk, invoke_cli: Run, sqlite_database: Database) -> None:
    """`merge` joins all heads in a new revision, after which a plain upgrade has one way."""
    result = invoke_cli("merge", "blog", "-m", "Join the two")

    path = branched.migrations / "004.py"
    assert result == Result(0, f"Generating {path}...done\n", "")
    assert invoke_cli("heads").stdout == "blog: 004 Join the two\n"
    assert invoke_cli("--url", sqlite_database.url, "upgrade").exit_code == 0
    assert rows(sqlite_database.engine) == {("blog", "004")}


def test_merge_of_one(blog: PackageOnDisk, invoke_cli: Run) -> None:
    """There is nothing to merge where there is one head."""
    assert invoke_cli("merge", "blog") == Result(
        1,
        "",
        "Error: a merge of package 'blog' needs two heads, there is '002'\nhint: its heads: 002\n",
    )


def test_show(branched: PackageOnDisk, shop: PackageOnDisk, invoke_cli: Run) -> None:
    """`show` prints what a revision follows, its labels and wishes, and its file."""
    assert invoke_cli("show", "blog:003") == Result(
        0,
        "revision:      blog:003\n"
        "message:       Other\n"
        "down_revision: 001\n"
        "branch_labels: other\n"
        f"file:          {branched.migrations}/003.py\n",
        "",
    )
    assert invoke_cli("show", "a_shop") == Result(
        0,
        "revision:      a_shop:001\n"
        "message:\n"
        "down_revision: None\n"
        "requires:      blog:001\n"
        f"file:          {shop.migrations}/001.py\n",
        "",
    )
    assert invoke_cli("show", "blog:base") == Result(
        2,
        "",
        "Error: 'blog:base' names no revision\nhint: see: ptah-migrate history blog\n",
    )


# -- stamp and status ---------------------------------------------------------------------------


def test_stamp(blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database) -> None:
    """`stamp` records a revision, back and forth, and runs nothing."""
    url = sqlite_database.url

    assert invoke_cli("-q", "--url", url, "stamp", "blog:002") == Result(
        0, "blog stamped 002\n", ""
    )
    assert invoke_cli("-q", "--url", url, "stamp", "blog:002") == Result(
        0, "blog is at 002 (head)\n", ""
    )
    assert invoke_cli("-q", "--url", url, "stamp", "blog:base") == Result(
        0, "blog stamped None\n", ""
    )
    assert dump(sqlite_database.engine)["tables"] == {}


def test_stamp_purge(blog: PackageOnDisk, invoke_cli: Run, sqlite_database: Database) -> None:
    """`stamp --purge` forgets rows that the code does not know, of that package only."""
    invoke_cli("--url", sqlite_database.url, "upgrade")
    with sqlite_database.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE ptah_db_versions SET version_num = '0af' WHERE package = 'blog'")
        )
        connection.execute(sa.text("INSERT INTO ptah_db_versions VALUES ('other', '0af')"))

    plain = invoke_cli("-q", "--url", sqlite_database.url, "stamp", "blog:001")
    purged = invoke_cli("-q", "--url", sqlite_database.url, "stamp", "--purge", "blog:001")

    assert plain.exit_code == 1
    assert purged == Result(0, "blog stamped 001\n", "")
    assert rows(sqlite_database.engine) == {("blog", "001"), ("other", "0af")}


def test_status(
    blog: PackageOnDisk,
    shop: PackageOnDisk,
    invoke_cli: Run,
    make_package: PackageMaker,
    sqlite_database: Database,
) -> None:
    """`status` tells run, seeded and stamped apart, and lists what has no code any more."""
    url = sqlite_database.url
    make_package("tags", {"001": "pass"}).install()
    gone = make_package("zoo", {"001": "pass"})
    installed = gone.install()
    invoke_cli("--url", url, "upgrade", "blog:001", "zoo")
    invoke_cli("--url", url, "stamp", "tags")
    for file in (*installed.iterdir(), *gone.migrations.iterdir()):
        file.unlink()
    installed.rmdir()

    result = invoke_cli("-q", "--url", url, "status")

    assert result == Result(
        0,
        "package  current  head  pending  state       how\n"
        "a_shop   None     001   1        unrecorded\n"
        "blog     001      002   1        pending     run\n"
        "tags     001      001   0        current     stamped\n"
        "zoo      001      None  0        orphan      run\n",
        "",
    )
