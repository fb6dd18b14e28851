"""
``from alembic import op, context`` inside a running step.

Both are module globals of Alembic. This is the one module that uses names
Alembic does not publish, because its own context managers leave ``op`` bound
to a dead connection when a step raises, and unbound for the outer step when
steps are nested (seen in 1.11 to 1.20):

- ``_proxy``, ``_install_proxy``, ``_remove_proxy``: to put back what was there;
- ``_per_migration``: to begin the transaction that ``autocommit_block`` expects.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import alembic.context
import alembic.op

if TYPE_CHECKING:
    from alembic.operations import Operations
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext

# Steps of several threads take turns: one pair of globals serves the process.
_ONE_AT_A_TIME = threading.RLock()


def installed(env: EnvironmentContext, operations: Operations) -> AbstractContextManager[None]:
    """Bind ``alembic.op`` and ``alembic.context``; afterwards they are as they were."""
    return _Installed(env, operations)


class _Installed:
    """
    A class, since a generator costs as much again as all that it does.

    Where both are bound already (several steps of a package) nothing is done.
    A revision that binds ``op`` itself, and unbinds it, leaves nothing to undo.
    """

    __slots__ = ("_before", "_proxies")

    def __init__(self, *proxies: Any) -> None:
        self._proxies = proxies

    def __enter__(self) -> None:
        _ONE_AT_A_TIME.acquire()
        self._before = _current()
        if self._before != self._proxies:
            for proxy in self._proxies:
                proxy._install_proxy()  # noqa: SLF001

    def __exit__(self, *_error: object) -> None:
        try:
            if self._before != (found := _current()):
                for bound, before in zip(found, self._before, strict=True):
                    if bound is not None:
                        bound._remove_proxy()  # noqa: SLF001
                    if before is not None:
                        before._install_proxy()  # noqa: SLF001
        finally:
            _ONE_AT_A_TIME.release()


def _current() -> tuple[Any, ...]:
    return (alembic.context.__dict__.get("_proxy"), alembic.op.__dict__.get("_proxy"))


def transaction(context: MigrationContext) -> AbstractContextManager[Any]:
    """Return the transaction of one step, which ``autocommit_block`` can end and resume."""
    return context.begin_transaction(_per_migration=True)
