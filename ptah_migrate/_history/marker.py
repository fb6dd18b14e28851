"""The comment in a generated function that nobody has written yet."""

from __future__ import annotations

import re

# Stands in every generated function that has no operation yet. A file with this
# comment was not written by its author: tools look for it, authors delete it.
NOT_WRITTEN = "# ptah-migrate: not written yet"

_MARKED = re.compile(rf"^[ \t]*(?:pass[ \t]+)?{re.escape(NOT_WRITTEN)}[ \t]*$", re.MULTILINE)


def unwritten(text: str) -> bool:
    """Return whether a revision file's text still carries the comment; no file is parsed."""
    return NOT_WRITTEN in text and _MARKED.search(text) is not None
