"""Random models for the tests of autogenerate: tables as a program may have them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# The primary key of each: Alembic does not see a change of it.
TABLES = {
    "album": "integer",
    "order": "integer",
    "Post": "pair",
    "user_account": "string",
    "a_table_with_quite_a_long_name_of_its_own": "integer",
}
COLUMNS = ("title", "Rank", "select", "created_at", "a_column_whose_name_is_rather_long", "price")

TYPES: dict[str, Any] = {
    "integer": sa.Integer,
    "big": sa.BigInteger,
    "small": sa.SmallInteger,
    "text": sa.Text,
    "string": lambda: sa.String(40),
    "long string": lambda: sa.String(200),
    "unicode": lambda: sa.Unicode(30),
    "flag": sa.Boolean,
    "numeric": lambda: sa.Numeric(10, 2),
    "float": sa.Float,
    "moment": sa.DateTime,
    "date": sa.Date,
    "time": sa.Time,
    "bytes": sa.LargeBinary,
    "json": sa.JSON,
    "uuid": sa.Uuid,
    "colour": lambda: sa.Enum("red", "dark 'green'", "blue", name="colour"),
    "mood": lambda: sa.Enum("good", "bad", name="mood"),
    "plain": lambda: sa.Enum("a", "b", name="plain", native_enum=False, length=12),
}
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "integer": ("0", sa.text("7")),
    "string": ("it's", "", 'a "quoted" one'),
    "flag": (sa.true(), sa.false()),
    "moment": (sa.func.current_timestamp(),),
    "numeric": ("1.50",),
    "mood": ("good",),
}
INDEXABLE = sorted(set(TYPES) - {"text", "bytes", "json"})

column_kinds = st.sampled_from(sorted(TYPES))


@st.composite
def columns(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return what a column is made of."""
    kind = draw(column_kinds)
    default = draw(st.sampled_from([None, None, *DEFAULTS.get(kind, ())]))
    return {
        "name": name,
        "kind": kind,
        "nullable": draw(st.booleans()),
        "default": default,
        "unique": kind in INDEXABLE and draw(st.integers(0, 5)) == 0,
        "index": kind in INDEXABLE and draw(st.integers(0, 3)) == 0,
        "comment": draw(st.sampled_from([None, None, None, "It's a \"comment\": 5 %"])),
    }


@st.composite
def models(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return what tables are made of; each may refer to those before it, and to itself."""
    names = draw(st.lists(st.sampled_from(sorted(TABLES)), min_size=1, max_size=3, unique=True))
    found: list[dict[str, Any]] = []
    for name in names:
        titles = draw(st.lists(st.sampled_from(COLUMNS), max_size=4, unique=True))
        referred = draw(st.lists(st.sampled_from(names[: len(found) + 1]), max_size=2, unique=True))
        found.append(
            {
                "name": name,
                "columns": [draw(columns(title)) for title in titles],
                "referred": referred,
                "together": draw(st.booleans()),
            }
        )
    for one in found:
        one["referred"] = [name for name in one["referred"] if TABLES[name] == "integer"]
    return found


def build(tables: list[dict[str, Any]], *, named: bool) -> sa.MetaData:
    """Return the MetaData of drawn tables."""
    metadata = sa.MetaData(naming_convention=CONVENTION if named else None)
    for one in tables:
        parts: list[Any] = _key(TABLES[one["name"]])
        parts += [_column(column) for column in one["columns"]]
        parts += [
            sa.Column(f"{name}_id", sa.ForeignKey(f"{name}.id"), index=True)
            for name in one["referred"]
        ]
        short = [c["name"] for c in one["columns"] if c["kind"] in ("integer", "string", "flag")]
        if one["together"] and len(short) > 1:
            parts.append(sa.UniqueConstraint(*short[:2]))
            parts.append(sa.Index(f"ix_{one['name']}_both", *short[:2]))
        sa.Table(one["name"], metadata, *parts)
    return metadata


def _key(kind: str) -> list[Any]:
    if kind == "pair":
        return [
            sa.Column("first", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("second", sa.String(20), primary_key=True),
        ]
    type_ = sa.Integer() if kind == "integer" else sa.String(30)
    return [sa.Column("id", type_, primary_key=True)]


def _column(one: dict[str, Any]) -> sa.Column[Any]:
    return sa.Column(
        one["name"],
        TYPES[one["kind"]](),
        nullable=one["nullable"],
        server_default=one["default"],
        unique=one["unique"] or None,
        index=one["index"] or None,
        comment=one["comment"],
    )
