"""When two server defaults are the same, as far as their texts tell."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from ptah_migrate._runtime.defaults import _normal, _text

DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "mariadb": mysql.dialect(is_mariadb=True),
}


@pytest.mark.parametrize(
    ("dialect", "found", "wanted"),
    [
        pytest.param("sqlite", "'it''s'", "it's", id="quotes"),
        pytest.param("sqlite", "(1 + 1)", sa.text("1 + 1"), id="parentheses"),
        pytest.param("sqlite", "((1) + (1))", sa.text("(1) + (1)"), id="only the outer ones"),
        pytest.param("sqlite", "1", sa.true(), id="true is one"),
        pytest.param("postgresql", "'x'::character varying", "x", id="cast"),
        pytest.param("postgresql", "'{}'::text[]", "{}", id="cast to an array"),
        pytest.param("postgresql", "'1.5'::numeric(10, 2)", "1.5", id="cast with a size"),
        pytest.param("postgresql", "NOW()", sa.func.now(), id="case of functions"),
        pytest.param("mariadb", "current_timestamp()", sa.func.now(), id="now"),
        pytest.param("mariadb", "current_timestamp(6)", sa.text("NOW(6)"), id="now with digits"),
        pytest.param("mariadb", "'it\\'s'", "it's", id="escaped quotes"),
        pytest.param("mariadb", "0", sa.false(), id="false is nought"),
    ],
)
def test_equal(dialect: str, found: str, wanted: Any) -> None:
    """What a database says and what the models say is one default in two forms."""
    assert _normal(found, DIALECTS[dialect]) == normal_of(wanted, dialect)


@pytest.mark.parametrize(
    ("dialect", "found", "wanted"),
    [
        pytest.param("sqlite", "'X'", "x", id="case of texts"),
        pytest.param("sqlite", "(1) + (2)", sa.text("1) + (2"), id="parentheses that belong apart"),
        pytest.param("postgresql", "'a::text'", "a", id="a cast inside a text"),
        pytest.param("mariadb", "current_timestamp(6)", sa.func.now(), id="digits"),
        pytest.param("postgresql", "true", sa.text("1"), id="a true boolean is no number"),
    ],
)
def test_different(dialect: str, found: str, wanted: Any) -> None:
    """What only looks alike stays different."""
    assert _normal(found, DIALECTS[dialect]) != normal_of(wanted, dialect)


def normal_of(default: Any, dialect: str) -> str:
    """Return a models' default as it is compared."""
    column = sa.Column("c", sa.String(10), server_default=default)
    sa.Table("t", sa.MetaData(), column)
    text = _text(column, DIALECTS[dialect])
    assert text is not None
    return _normal(text, DIALECTS[dialect])
