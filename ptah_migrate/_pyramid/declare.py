"""
Registrations at module level, which ``config.scan()`` picks up.

They do nothing when the module is only imported. Without Pyramid installed
they are plain marks: the entry point's reader finds them in the source.
"""

from __future__ import annotations

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
    _at_module_level(frame, "register_migration", "config.register_migration")
    try:
        make_package(package, path, title, **options)
    except TypeError as error:
        raise RegistrationError(f"package '{package}': {error}") from error
    info = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, "")

    def callback(context: Any, name: str, ob: Any) -> None:  # noqa: ARG001 - venusian's form
        config = context.config.with_package(sys.modules[frame_module])
        _included(config).register_migration(package, path, title, **options, _info=info)

    frame_module = str(frame.f_globals["__name__"])
    _attach(frame, f"_ptah_migration_{package}_{frame.f_lineno}", callback)


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
        info = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, "")

        def callback(context: Any, name: str, ob: Any) -> None:  # noqa: ARG001
            _included(context.config).ptah_populate_step(
                self.name, factory, self.title, self.active, self.requires, _info=info
            )

        _attach_to(factory, callback, depth=2)
        return factory


def _at_module_level(frame: FrameType, name: str, directive: str) -> None:
    if frame.f_code.co_name != "<module>":
        raise RegistrationError(
            f"{name} is called inside a function, where a scan does not see it "
            f"({frame.f_code.co_filename}:{frame.f_lineno})",
            hint=f"call it at module level, or use {directive}",
        )


def _included(config: Any) -> Any:
    """Return the configurator, with our directives even where nobody included us."""
    config.include("ptah_migrate")
    return config


def _attach(frame: FrameType, name: str, callback: Callable[..., None]) -> None:
    holder = _Declared()
    frame.f_globals[name] = holder
    holder.__module__ = str(frame.f_globals["__name__"])
    _attach_to(holder, callback, depth=3)


def _attach_to(target: Any, callback: Callable[..., None], *, depth: int) -> None:
    """Let venusian know; ``depth`` frames lie between this call and the declaring module."""
    try:
        import venusian
    except ImportError:  # no Pyramid here: nothing will scan
        return
    # Pyramid 2 scans this category alone; 2012's "ptah" would be ignored silently.
    venusian.attach(target, callback, category="pyramid", depth=depth)
