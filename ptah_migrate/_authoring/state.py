"""
Remember what was generated: the state file of a project.

It holds the template, its version, the answers and a hash of each file as
generated, so that a later run can tell an author's change from ours. No path of
the machine, no time, no person; the same run writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ptah_migrate._authoring.files import read
from ptah_migrate.errors import AuthoringError

NAME = ".ptah-migrate.json"
ORIGINAL = ".orig"  # behind the name of a file that was overwritten by order
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """
    What was generated for one package.

    ``template`` and ``commit`` are what it was made of, ``version`` that of our
    template in it (0 for a template of somebody's own that has nothing of ours).
    ``files`` maps a path below the project to the sha256 of its generated
    bytes; ``edits`` maps the path of an author's file to the text put into it.
    ``replaced`` holds the hashes of files that were overwritten by order, and
    are kept beside (``ORIGINAL``); ``folders`` are those that were made.
    """

    template: str
    version: int
    answers: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    commit: str = ""


def is_plain(value: object) -> bool:
    """Return whether an answer can be written down and comes back as it was."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def digest(content: bytes) -> str:
    """Return the hash by which a file is recognised, whatever line ends it was checked out with."""
    return hashlib.sha256(lf(content)).hexdigest()


def lf(content: bytes) -> bytes:
    """Return a text file as git would store it."""
    return content.replace(b"\r\n", b"\n")


def find(directory: Path) -> Path | None:
    """Return the nearest folder, this one or one above, that has a state file."""
    directory = directory.resolve()
    return next((f for f in (directory, *directory.parents) if (f / NAME).is_file()), None)


def load(root: Path) -> dict[str, Record]:
    """
    Return what was generated in a project, by package; empty without a state file.

    Raises:
        AuthoringError: the state file cannot be read.

    """
    path = root / NAME
    source = read(path)
    if source is None:
        return {}
    try:
        document = json.loads(source)
        if document["format"] != _FORMAT:
            raise AuthoringError(
                f"'{path}' was written by another version of ptah-migrate",
                hint="update ptah-migrate, or remove the file to begin again",
            )
        return {str(name): _record(value) for name, value in document["packages"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AuthoringError(
            f"'{path}' is not a state file of ptah-migrate",
            hint="restore it from version control, or remove it to begin again",
        ) from error


def _record(value: Any) -> Record:
    record = Record(**{**value, "folders": tuple(value.get("folders", ()))})
    texts = (
        record.template,
        record.commit,
        *(text for mapping in (record.files, record.edits, record.replaced) for text in mapping),
        *record.files.values(),
        *record.edits.values(),
        *record.replaced.values(),
        *record.folders,
    )
    if not all(isinstance(text, str) for text in texts) or not isinstance(record.version, int):
        raise ValueError(value)
    if not isinstance(record.answers, dict):
        raise TypeError(record.answers)
    return record


def dump(records: Mapping[str, Record]) -> bytes:
    """Return the state file's bytes."""
    document = {
        "format": _FORMAT,
        "packages": {name: _written(record) for name, record in records.items()},
    }
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def _written(record: Record) -> dict[str, Any]:
    """Return what is written of a record: no commit where there is none."""
    found = asdict(record)
    return found if record.commit else {k: v for k, v in found.items() if k != "commit"}
