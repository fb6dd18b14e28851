"""A package with one defect fails the one check that is about it, on every database."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.helpers import DATABASES, Database, revision_source
from tests.integration.checked import BACKEND, BODY, CREATE, MODELS, NAMES, NO_BODY, session, sound

pytest_plugins = ["pytester"]

# The database is the test's own for all checks: quicker than one for each.
CONFTEST = """
import pytest
import sqlalchemy as sa
from ptah_migrate.testing import emptying

@pytest.fixture
def ptah_engine():
    engine = sa.create_engine({url!r}, poolclass=sa.NullPool, connect_args={options!r})
    kept = emptying.schemas(engine)
    yield engine
    emptying.empty(engine, kept)
"""


def first(upgrade: str = CREATE, requires: str = "crowd:001") -> str:
    return revision_source(
        "001", requires=[requires], upgrade=upgrade, downgrade='op.drop_table("post")'
    )


def second(upgrade: str = BODY, downgrade: str = NO_BODY) -> str:
    return revision_source("002", "001", upgrade=upgrade, downgrade=downgrade)


DEFECTS = [
    pytest.param(
        {
            "blog/migrations/003.py": revision_source("003", "002"),
            "blog/migrations/004.py": revision_source("004", "002"),
        },
        "single_head",
        "blog has 2 heads: 003, 004; run: ptah-migrate merge blog",
        id="two heads",
    ),
    pytest.param(
        {"blog/migrations/002.py": None, "blog/migrations/other.py": second()},
        "files",
        "blog: other.py: the file holds revision '002'; rename it to 002.py, or correct the id",
        id="a file with another id",
    ),
    pytest.param(
        {"blog/migrations/002.py": second(upgrade='raise LookupError("no such thing")')},
        "upgrade_from_empty",
        "revision '002' of package 'blog' fails",
        id="an upgrade that fails",
    ),
    pytest.param(
        {"blog/migrations/002.py": second(downgrade='raise LookupError("no way back")')},
        "stairway",
        "blog: revision 002 cannot be taken back: revision '002' of package 'blog' fails",
        id="a downgrade that fails",
    ),
    pytest.param(
        {"blog/models.py": MODELS.replace("sa.String(80)", "sa.String(90)")},
        "models_match",
        "the models of blog are not what its revisions make: column post.body",
        id="models that differ",
    ),
    pytest.param(
        {"blog/models.py": MODELS + "\nraise LookupError('no models')"},
        "models_match",
        "the models of package 'blog', 'blog.models:metadata', cannot be imported: "
        "LookupError: no models; correct the name, or the module it names",
        id="models that cannot be imported",
    ),
    pytest.param(
        {
            "blog/migrations/002.py": second(
                upgrade=f'{BODY}\nop.create_index("ix_body", "post", ["title"])\n'
                'op.drop_index("ix_body", "post")\n'
                'op.create_table("old", sa.Column("id", sa.Integer, primary_key=True))\n'
                'op.rename_table("old", "older")\n'
                'op.drop_table("older")',
                downgrade=f'{NO_BODY}\nop.create_index("ix_title", "post", ["title"])',
            )
        },
        "downgrade_leaves_no_trace",
        "blog: the downgrade of 002 leaves a trace: index ix_title of post is left; "
        "correct downgrade() in 002.py",
        id="a downgrade that leaves something",
    ),
    pytest.param(
        {
            "blog/migrations/002.py": second(
                f"{BODY}\nop.execute(\"INSERT INTO post (title) VALUES ('one')\")"
            )
        },
        "seed_equals_upgrade",
        "blog made from its models is not what its revisions make: "
        "post lacks the row body=None, id=1, title='one'; ",
        id="rows that only the revisions make",
    ),
    pytest.param(
        {
            "blog/migrations/001.py": first(
                f'{CREATE}\nop.execute("INSERT INTO post (title) SELECT email FROM users")'
            )
        },
        "with_dependencies",
        "blog does not run with the least it requires (crowd:001), only with the newest: "
        "revision '001' of package 'blog' fails",
        id="requires too little",
    ),
    pytest.param(
        {"blog/migrations/001.py": first(requires="shop:001")},
        "with_dependencies",
        "blog requires shop, which is not installed here; install it for the tests",
        id="requires what is not there",
    ),
    pytest.param(
        {
            "blog/migrations/002.py": second(
                f'{BODY}\nop.get_bind().execute(sa.text("SELECT 1")).scalar()'
            )
        },
        "sql_mode",
        "revision '002' of package 'blog' cannot be written as SQL: ",
        id="an upgrade that looks at the database",
    ),
    pytest.param(
        {"backend.py": BACKEND.replace("blog/**/*.py", "blog/**/*1.py")},
        "packaged",
        "blog: 002.py is not in blog-1-py3-none-any.whl, as blog/migrations/002.py; ",
        id="a wheel without a revision",
    ),
]
# What is found without a database is found in the same way on all.
WITHOUT = {"single_head", "files", "packaged"}
CASES = [
    pytest.param(
        kind,
        *defect.values,
        id=f"{defect.id}, {kind}",
        marks=[pytest.mark.slow] if kind != "sqlite" else [],
    )
    for defect in DEFECTS
    for kind in DATABASES
    if kind == "sqlite" or defect.values[1] not in WITHOUT
]
SERVERS = [pytest.param(name, marks=pytest.mark.slow) for name in DATABASES if name != "sqlite"]


@pytest.fixture(params=["sqlite", *SERVERS])
def own_database(
    request: pytest.FixtureRequest,
    make_database: Callable[[str], Database],
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> Database:
    """Return the database that the checks of the inner session take."""
    database = make_database(request.param)
    # PyMySQL prepares for TLS at each connection: most of the time of these tests.
    options = {"ssl_disabled": True} if request.param == "mariadb" else {}
    pytester.makeconftest(CONFTEST.format(url=database.url, options=options))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return database


def test_a_sound_package(own_database: Database, pytester: pytest.Pytester) -> None:
    """A package without a defect passes every check, on the database of its conftest.py."""
    sound(pytester.path)

    found = session(pytester, "--ptah-migrate-package", "blog")

    assert (found.failed, found.skipped, found.errors) == ({}, {}, {})
    assert tuple(found.passed) == NAMES


@pytest.mark.parametrize(
    ("own_database", "changes", "check", "words"), CASES, indirect=["own_database"]
)
def test_one_defect(
    own_database: Database,
    pytester: pytest.Pytester,
    changes: Mapping[str, str | None],
    check: str,
    words: str,
) -> None:
    """The check that is about a defect fails, in one line; the others pass, or say why not."""
    sound(pytester.path, changes)

    found = session(pytester, "--ptah-migrate-package", "blog")

    assert list(found.failed) == [check], found
    assert found.failed[check].startswith(words), found.failed[check]
    assert "\n" not in found.failed[check]
    assert found.errors == {}
    assert set(found.passed) | set(found.skipped) == set(NAMES) - {check}
    for name, reason in found.skipped.items():
        assert reason.endswith(f"see {check}") or name == "with_dependencies"
