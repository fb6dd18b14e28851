"""
Registrations at module level, which ``config.scan()`` picks up.

They do nothing when the module is only imported. Without Pyramid installed
they are plain marks: the entry point's reader finds them in the source.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

from ptah_migrate.errors import RegistrationError
from ptah_migrate.registry import make_package

F = TypeVar("F", bound=Callable[..., Any])


class _Declared:
    """What stands in the module; venusian finds its callback on it."""


def register_migration(
    package: str, path: str | Sequence[str], title: str = "", **options: Any
) -> None:
    """
    Declare, at module level, where a package keeps its migrations.

    ``config.scan()`` of the module registers it, as ``config.register_migration``
    with the same arguments would.

    Raises:
        RegistrationError: it is called inside a function, where no scan would
            see it, or an argument is impossible.

    """
    frame = sys._getframe(1)  # noqa: SLF001 - the declaration stands for its line
    _at_module_level(frame)
    try:
        make_package(package, path, title, **options)
    except TypeError as error:
        raise RegistrationError(f"package '{package}': {error}") from error
    info = _info(frame)
    module = str(frame.f_globals["__name__"])

    def callback(context: Any, *_: object) -> None:
        config = _included(context, module)
        config.register_migration(package, path, title, **options, _info=info)

    holder = _Declared()
    # Two calls on one line, in a loop, are two declarations.
    frame.f_globals[f"_ptah_migration_{frame.f_lineno}_{package}_{path}"] = holder
    _attach(holder, callback, depth=2)


class populate:  # noqa: N801 - a decorator
    """Declare a function as a populate step: ``@populate("name", requires=(…))``."""

    def __init__(
        self,
        name: str,
        title: str = "",
        active: bool = True,  # noqa: FBT001, FBT002 - the signature of 2012
        requires: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.title = title
        self.active = active
        self.requires = requires

    def __call__(self, factory: F) -> F:
        """Mark the function; ``config.scan()`` registers it."""
        frame = sys._getframe(1)  # noqa: SLF001 - the declaration stands for its line
        info = _info(frame)
        module = str(frame.f_globals["__name__"])

        def callback(context: Any, *_: object) -> None:
            _included(context, module).ptah_populate_step(
                self.name, factory, self.title, self.active, self.requires, _info=info
            )

        _attach(factory, callback, depth=2)
        return factory


def _at_module_level(frame: FrameType) -> None:
    if frame.f_code.co_name != "<module>":
        raise RegistrationError(
            "register_migration is called inside a function, where a scan does not see it "
            f"({frame.f_code.co_filename}:{frame.f_lineno})",
            hint="call it at module level, or use config.register_migration",
        )


def _info(frame: FrameType) -> tuple[str, int, str, str]:
    """Return where a declaration stands, as Pyramid shows it in a conflict."""
    code = frame.f_code
    line = linecache.getline(code.co_filename, frame.f_lineno).strip()
    return (code.co_filename, frame.f_lineno, code.co_name, line)


def _included(context: Any, module: str) -> Any:
    """Return the scan's configurator for a module, with our directives also if nobody did so."""
    config = context.config.with_package(sys.modules[module])
    config.include("ptah_migrate")
    return config


def _attach(target: Any, callback: Callable[..., None], *, depth: int) -> None:
    """Let venusian know; ``depth`` frames lie between this call and the declaring module."""
    try:
        import venusian
    except ImportError:  # no Pyramid here: nothing will scan
        return
    # Pyramid 2 scans this category alone; 2012's "ptah" would be ignored silently.
    venusian.attach(target, callback, category="pyramid", depth=depth)
