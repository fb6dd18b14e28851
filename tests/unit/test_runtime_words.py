"""Small pure parts of the runtime: URLs, statements, causes, targets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate._runtime import databases, parse_target, pending_line
from ptah_migrate._runtime.databases.base import changes, poll, verb
from ptah_migrate._runtime.databases.mysql import MySQL
from ptah_migrate._runtime.engine import masked, parse
from ptah_migrate._runtime.runner import cause
from ptah_migrate.errors import LockError, PtahMigrateError, TargetError
from ptah_migrate.model import PackageStatus, Target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("sqlite:///x.sqlite", "sqlite:///x.sqlite", id="SQLite"),
        pytest.param(
            "postgresql://me:s3cret@host/x", "postgresql+psycopg://me:***@host/x", id="password"
        ),
        pytest.param(
            "mysql://host/x?ssl_key=a&ssl_password=b",
            "mysql+pymysql://host/x?ssl_key=a&ssl_password=***",
            id="in the query",
        ),
        pytest.param(
            "postgresql+asyncpg://me:s3cret@host/x",
            "postgresql+asyncpg://me:***@host/x",
            id="a driver that is named",
        ),
    ],
)
def test_masked_urls(url: str, expected: str) -> None:
    """A URL for people has its driver and no secret."""
    assert masked(url).replace("%2A", "*") == expected


def test_the_url_that_is_used_keeps_its_password() -> None:
    """Only what people see is masked."""
    assert parse("postgresql://me:s3cret@host/x").password == "s3cret"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        pytest.param("CREATE TABLE x (id INTEGER)", "CREATE", id="plain"),
        pytest.param("\n  insert into x values (1)", "INSERT", id="indented, small"),
        pytest.param("-- a word\n/* and\n another */ UPDATE x", "UPDATE", id="behind comments"),
        pytest.param("(SELECT 1)", "", id="in parentheses"),
        pytest.param("-- only a comment", "", id="only a comment"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_verb_of_a_statement(statement: str, expected: str) -> None:
    """The first word of a statement is found behind comments and blanks."""
    assert verb(statement) == expected


@given(st.text())
def test_any_text_has_a_verb(statement: str) -> None:
    """Whatever is executed, looking at it neither fails nor takes long."""
    assert isinstance(changes(statement), bool)


@pytest.mark.parametrize(
    ("statement", "commits"),
    [
        ("CREATE TABLE x (id INTEGER)", True),
        ("ALTER TABLE x ADD y INTEGER", True),
        ("TRUNCATE x", True),
        ("COMMIT", True),
        ("LOCK TABLES x WRITE", True),
        ("INSERT INTO x VALUES (1)", False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False),
        ("CREATE TEMPORARY TABLE x (id INTEGER)", False),
        ("DROP TEMPORARY TABLE x", False),
        ("SET NAMES utf8mb4", False),
    ],
)
def test_what_commits_on_mariadb(statement: str, commits: bool) -> None:
    """DDL commits what stands before it, data and temporary tables do not."""
    assert MySQL().commits_before(statement) is commits


def failing(parameters: Any, message: str) -> sa.exc.DBAPIError:
    """Return the error of a statement with bound parameters."""
    return sa.exc.DBAPIError("INSERT …", parameters, ValueError(message))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(ValueError("no\nsecond line"), "ValueError: no", id="one line"),
        pytest.param(ValueError(), "ValueError", id="no words"),
        pytest.param(SystemExit(3), "the revision called sys.exit(3)", id="sys.exit"),
        pytest.param(PtahMigrateError("as it is"), "as it is", id="an error of ours"),
        pytest.param(
            failing({"a": "swordfish"}, "Duplicate entry 'swordfish' for key 'x'"),
            "ValueError: Duplicate entry '***' for key 'x'",
            id="a parameter",
        ),
        pytest.param(
            failing([("swordfish", 1), ("hunter2", 2)], "key (hunter2) of swordfishes exists"),
            "ValueError: key (***) of swordfishes exists",
            id="of many, whole words only",
        ),
        pytest.param(
            failing(("id",), "no column 'id'"), "ValueError: no column 'id'", id="too short"
        ),
        pytest.param(
            failing({"a": "a.b*c", "b": "a.b*cd"}, "'a.b*cd' and 'a.b*c'"),
            "ValueError: '***' and '***'",
            id="signs, one within the other",
        ),
        pytest.param(failing(None, "plain"), "ValueError: plain", id="no parameters"),
        pytest.param(
            FileNotFoundError(2, "No such file"),
            "FileNotFoundError: [Errno 2] No such file",
            id="an error of the system",
        ),
    ],
)
def test_causes(error: BaseException, expected: str) -> None:
    """A cause is one line that repeats no bound word."""
    assert cause(error) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blog", Target("blog", "head")),
        (" blog:003 ", Target("blog", "003")),
        ("blog:label@head", Target("blog", "label@head")),
        ("blog:+1", Target("blog", "+1")),
        ("blog:001:003", Target("blog", "003", "001")),
    ],
)
def test_targets(text: str, expected: Target) -> None:
    """A target is a package, a place, and for scripts a start."""
    assert parse_target(text) == expected


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """Whatever is typed is a target or a TargetError."""
    try:
        target = parse_target(text)
    except TargetError:
        return
    assert target.package
    assert target.spec


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (PackageStatus("a", "", "unrecorded", heads=("2",)), "a is at None, head is 2"),
        (
            PackageStatus("a", "", "pending", rows=("x", "y"), heads=("z", "w")),
            "a is at x, y, head is z, w",
        ),
        (PackageStatus("a", "", "ahead", problem="words"), "a: words"),
        (PackageStatus("a", "", "broken", problem="words"), "a: words"),
    ],
)
def test_lines_of_what_is_pending(status: PackageStatus, expected: str) -> None:
    """A package that is not at its head is one line with where it is and should be."""
    assert pending_line(status) == expected


def test_polling_tries_until_it_succeeds() -> None:
    """A lock that becomes free is taken."""
    answers = iter([False, False, True])

    poll(lambda: next(answers), lambda: "nobody", 10)

    assert list(answers) == []


def test_polling_gives_up() -> None:
    """A time of nothing is one try; the holder is named then."""
    answers = iter([False, True])

    with pytest.raises(LockError) as caught:
        poll(lambda: next(answers), lambda: "somebody", 0)

    assert list(answers) == [True]
    assert str(caught.value) == "the migration lock is held by somebody, waited 0 s"


@pytest.mark.parametrize("dialect", ["oracle", "mssql", "anything"])
def test_unknown_databases_get_plain_transactions(dialect: str) -> None:
    """A database we know nothing of is run without a lock, in plain transactions."""
    database = databases.for_dialect(dialect)
    connection: Any = SimpleNamespace(
        engine=SimpleNamespace(url=sa.make_url("sqlite:///x")), invalidated=False
    )

    with database.session(connection), database.locked(connection, 0):
        assert database.holds(connection)
        assert database.transactional_ddl
        with pytest.raises(LockError), database.locked(connection, 0):
            pass
