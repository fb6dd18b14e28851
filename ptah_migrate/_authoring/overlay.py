"""
Put files of somebody's own over our template of a package.

A file with the name of one of ours replaces it, and is made where ours would be
made. Ours stay there for ``{% extends %}``, below ``builtin/``. A name is what
is left of our file's name without its condition: ``README.md.jinja``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ptah_migrate._authoring.naming import shown
from ptah_migrate.errors import AuthoringError

BUILTIN = "builtin"
_CONDITION = re.compile(r"\{%.*?%\}")
_SUFFIX = ".jinja"
_CONFIG = "copier.yml"


def merged(ours: Path, own: Mapping[str, bytes], answers: Mapping[str, object]) -> dict[str, bytes]:
    """
    Return the files of our template with somebody's own over them.

    Raises:
        AuthoringError: one of their names is taken by ours, for our use.

    """
    if any(name.partition("/")[0] == BUILTIN for name in own):
        raise AuthoringError(
            f"the template has a folder {shown(BUILTIN)} of its own",
            hint=f"ours is there, for {{% extends %}}: give yours another name than {BUILTIN}",
        )
    built = {
        path.relative_to(ours).as_posix(): path.read_bytes()
        for path in sorted(ours.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    active = {_plain(name): name for name in built if _is_made(name, answers)}
    result = dict(built)
    result |= {f"{BUILTIN}/{plain}": built[name] for plain, name in active.items()}
    for name, content in own.items():
        replaced = [other for other in built if _key(other) == _key(name)]
        place = _place(name, replaced, active)
        for other in replaced:
            result.pop(other, None)
        if place:
            result[place] = content
    return result


def _plain(name: str) -> str:
    """Return a file's name without its conditions."""
    return _CONDITION.sub("", name)


def _key(name: str) -> str:
    return _plain(name).removesuffix(_SUFFIX)


def _place(name: str, replaced: list[str], active: Mapping[str, str]) -> str:
    """Return the name under which somebody's file is rendered; nothing where it is not."""
    if not replaced or _CONDITION.search(name):
        return name
    return name if any(other in active.values() for other in replaced) else ""


def _is_made(name: str, answers: Mapping[str, object]) -> bool:
    """Return whether our template makes a file with these answers; an empty name is none."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment()
    parts = name.removesuffix(_SUFFIX).split("/")
    return all(environment.from_string(part).render(answers) for part in parts)
