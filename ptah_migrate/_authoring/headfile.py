"""
The file that names the newest revision file, so that git sees two of them.

Two branches that both add ``003.py`` collide in git. ``003_a.py`` and
``003_b.py`` do not, but both branches also change this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ptah_migrate._authoring import files, naming
from ptah_migrate._authoring.files import FileChange

if TYPE_CHECKING:
    from ptah_migrate._history import History

NAME = "head.txt"


def wanted(folder: Path, template: str) -> bool:
    """Return whether a folder of revisions has, or must have, this file."""
    return template == naming.SLUGGED or (folder / NAME).is_file()


def content(stems: Iterable[str]) -> bytes:
    """Return the file's bytes for the names of the head files, each on a line."""
    return "".join(f"{stem}\n" for stem in sorted(stems)).encode()


def stems(history: History) -> tuple[str, ...]:
    """Return the names of the files that are heads, without ``.py``."""
    return tuple(history.revisions[head].path.stem for head in history.heads)


def change(folder: Path, names: Iterable[str]) -> FileChange:
    """
    Return what brings the file up to date.

    Raises:
        AuthoringError: it cannot be read.

    """
    path, new = folder / NAME, content(names)
    old = files.read(path)
    status = "create" if old is None else "identical" if old == new else "edit"
    return FileChange(status, path, new, old)
