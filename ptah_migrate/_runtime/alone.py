"""
Which steps cannot share a transaction with the steps before them.

Told by the names and texts in a revision's functions: whatever ends a
transaction, opens another connection, or sets one up. What hides elsewhere is
noticed when it happens, and the step is run again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

# fmt: off
_NAMES = frozenset({
    "autocommit_block", "begin", "begin_nested", "begin_transaction", "commit", "rollback",
    "connect", "connection", "create_engine", "engine", "engine_from_config", "raw_connection",
    "dbapi_connection", "driver_connection", "execution_options", "invalidate",
    "Session", "sessionmaker", "scoped_session", "session", "subprocess", "Popen", "system",
    "Thread", "run_in_executor",
})
# fmt: on
_TEXT = re.compile(
    r"(?i)(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:commit|rollback|begin|end|savepoint|release|vacuum|attach|detach|pragma)\b",
    re.DOTALL,
)


class Alone(Exception):
    """
    A step does what it can only do in a transaction of its own.

    An ``Exception``, because SQLAlchemy gives a connection up after anything
    else. A step that catches it is stopped at its end.
    """


def alone(module: ModuleType) -> bool:
    """Return whether a revision's code shows that its steps need a transaction of their own."""
    functions = [one for one in vars(module).values() if isinstance(one, FunctionType)]
    return any(_shows(code) for one in functions for code in _codes(one.__code__))


def _shows(code: CodeType) -> bool:
    if not _NAMES.isdisjoint(code.co_names):
        return True
    return any(isinstance(text, str) and _TEXT.match(text) for text in code.co_consts)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)
