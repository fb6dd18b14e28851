"""Runs an SQL script as people do: each statement when the one before it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import Engine

DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")

# What a semicolon may be in: texts, names, comments, PostgreSQL's dollar quotes.
_PIECE = re.compile(
    r"'(?:[^']|'')*'"
    r'|"(?:[^"]|"")*"'
    r"|`(?:[^`]|``)*`"
    r"|--[^\n]*"
    r"|/\*.*?\*/"
    r"|\$(\w*)\$.*?\$\1\$"
    r"|\b(?:BEGIN|CASE|END)\b"
    r"|;"
    r"|.",
    re.DOTALL | re.IGNORECASE,
)
_TRIGGER = re.compile(r"\s*CREATE\s+(?:\w+\s+)*?(?:TRIGGER|PROCEDURE|FUNCTION)\b", re.IGNORECASE)


class ScriptError(Exception):
    """A statement of a script fails; the text has it, and why."""


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, without comments."""
    text, depth = "", 0
    for match in _PIECE.finditer(script):
        piece = match.group()
        if piece.startswith(("--", "/*")):
            continue
        if piece.upper() in ("BEGIN", "CASE") and _TRIGGER.match(text):
            depth += 1
        elif piece.upper() == "END" and depth:
            depth -= 1
        if piece == ";" and not depth:
            if text.strip():
                yield text.strip()
            text = ""
        else:
            text += piece
    if text.strip():
        yield text.strip()


def run(engine: Engine, script: str) -> None:
    """
    Run every statement; the script's own transactions count.

    Raises:
        ScriptError: one of them fails.

    """
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        driver = connection.connection.cursor()
        for statement in statements(script):
            try:
                driver.execute(statement)
            except engine.dialect.loaded_dbapi.Error as error:
                shown = " ".join(statement.split())
                reason = " ".join(str(error).split())
                raise ScriptError(f"{reason} (in: {shown[:120]})") from error
            except DBAPIError as error:  # a driver that SQLAlchemy adapts
                raise ScriptError(str(error.orig)) from error
        driver.close()
