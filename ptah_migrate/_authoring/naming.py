"""What revisions and packages may be called. Nothing here reads a file."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from ptah_migrate.errors import AuthoringError, ConfigError, NameTakenError, RevisionIdError

ID_LENGTH = 32  # the column of the 2012 version table
NUMBER_WIDTH = 3

_ID_HINT = f"letters A-Z and a-z, digits and '_', at most {ID_LENGTH}: ptah-migrate revision -r 001"
_ID = re.compile(r"[A-Za-z0-9_]+\Z")
_NUMBER = re.compile(rf"[0-9]{{1,{ID_LENGTH}}}\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

# Words that mean a place in a history, wherever an id may be typed.
PLACES = frozenset({"head", "heads", "base"})

# Windows opens the device, whatever the folder and the extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)

# `test` is Python's own too, but the list leaves it out.
_STANDARD = sys.stdlib_module_names | {"test"}

# A project's own package under one of these names would hide what it needs, or be hidden.
_OCCUPIED = frozenset(
    {"alembic", "ptah_migrate", "pyramid", "pytest", "sqlalchemy", "src", "tests"}
)

# Control, format (bidirectional marks), surrogate, private use, line and paragraph separators:
# what a reader cannot see, or what a file cannot hold.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


# -- revisions -------------------------------------------------------------------


def check_id(revision: str) -> None:
    """
    Accept a new revision's id: ``[A-Za-z0-9_]{1,32}``, no reserved word.

    Raises:
        RevisionIdError: it cannot be used; the hint says what can.

    """
    problem = _id_problem(revision)
    if problem:
        raise RevisionIdError(problem, hint=_ID_HINT)


def _id_problem(revision: str) -> str:
    if not revision:
        return "a revision id cannot be empty"
    if not _ID.match(revision):
        return f"Revision id contains forbidden characters: {shown(revision)}"
    if len(revision) > ID_LENGTH:
        return f"revision id {shown(revision)} is longer than {ID_LENGTH} characters"
    lower = revision.lower()
    if lower in PLACES:
        return f"revision id '{revision}' is a reserved word"
    if lower in _DEVICES:
        return f"revision id '{revision}' is a device name on Windows"
    if revision.startswith("__"):
        return f"revision id '{revision}' starts with '__', as files that are not revisions do"
    return ""


def same(name: str, taken: Iterable[str]) -> str | None:
    """Return the taken name that equals this one ignoring case, an exact one before others."""
    found = [other for other in taken if other.lower() == name.lower()]
    return name if name in found else next(iter(found), None)


def next_id(package: str, taken: Iterable[str]) -> str:
    """
    Return the number after the highest one, as wide as the widest and at least 3.

    Gaps are never refilled; ids that are not numbers are ignored beside numbers.

    Raises:
        RevisionIdError: there are only ids that are not numbers, or no number is left.

    """
    taken = tuple(taken)
    numbers = [name for name in taken if _NUMBER.match(name)]
    if taken and not numbers:
        raise RevisionIdError(
            f"package '{package}' does not number its revisions, so there is no next number",
            hint="give the id: ptah-migrate revision -r ID",
        )
    width = max((len(number) for number in numbers), default=NUMBER_WIDTH)
    following = str(max(map(int, numbers), default=0) + 1).zfill(max(width, NUMBER_WIDTH))
    check_id(following)
    return following


# -- revision files --------------------------------------------------------------

PLAIN = "{rev}"
SLUGGED = "{rev}_{slug}"
FILE_TEMPLATES = (PLAIN, SLUGGED)
_SLUG_LENGTH = 40


def check_file_template(template: str) -> None:
    """
    Accept how files are named: ``{rev}`` or ``{rev}_{slug}``.

    Raises:
        ConfigError: it is anything else.

    """
    if template not in FILE_TEMPLATES:
        raise ConfigError(
            f"the setting file_template is {shown(template)}, which names no file",
            hint=f"one of {', '.join(FILE_TEMPLATES)}",
        )


def stem(template: str, revision: str, message: str) -> str:
    """Return the name of a revision's file, without ``.py``; no message gives no slug."""
    words = slug(message) if template == SLUGGED else ""
    return f"{revision}_{words}" if words else revision


def slug(message: str) -> str:
    """Return the first line of a message for a file name: ``Größe ändern`` -> ``grosse_andern``."""
    line = message.strip().partition("\n")[0]
    folded = unicodedata.normalize("NFKD", line.casefold()).encode("ascii", "ignore").decode()
    found = ""
    for word in re.findall("[a-z0-9]+", folded):
        longer = f"{found}_{word}" if found else word[:_SLUG_LENGTH]
        if len(longer) > _SLUG_LENGTH:
            break
        found = longer
    return found


def carries(name: str, revision: str) -> bool:
    """Return whether a file's name, without ``.py``, shows this id as one of its words."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(revision)}(?![A-Za-z0-9])", name) is not None


def renamed(name: str, old: str, new: str) -> str:
    """Return a file's name with another id in it; a name that does not show the old one stays."""
    pattern = rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])"
    return re.sub(pattern, lambda _: new, name, count=1)


# -- packages --------------------------------------------------------------------


def check_package(name: str, title: str | None = None, *, existing: bool = False) -> None:
    """
    Accept a package's name and title; every problem of both is told at once.

    ``existing``: the folder is there already, so its name (dotted for a package
    in a namespace) need only be importable.

    Raises:
        NameTakenError: the name cannot be used.
        AuthoringError: only the title cannot.

    """
    problems = _part_problems(name) if existing else _name_problems(name)
    wrong_name = bool(problems)
    problems = [f"{shown(name)} {problem}" for problem in problems]
    if title is not None:
        problems += [f"title {shown(title)} {problem}" for problem in _title_problems(title)]
    if problems:
        raise (NameTakenError if wrong_name else AuthoringError)(
            "; ".join(problems), hint="a name like my_blog, a title in one line: My blog"
        )


def _part_problems(name: str) -> list[str]:
    parts = name.split(".")
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return []
    return ["cannot be imported: it is not a Python identifier, or a keyword"]


def _name_problems(name: str) -> list[str]:
    lower = name.lower()
    checks = (
        (not _IDENTIFIER.match(name), "is not an identifier of ASCII letters, digits and '_'"),
        (keyword.iskeyword(name), "is a Python keyword"),
        (lower in _STANDARD, "is a module of Python's standard library"),
        (lower in _OCCUPIED, "is the name of something a project with migrations needs"),
        (lower in _DEVICES, "is a device name on Windows"),
        (name[:1] == "_" or name[-1:] == "_", "must start and end with a letter or digit"),
        (len(name) > 64, "is longer than 64 characters"),
    )
    return [problem for wrong, problem in checks if wrong]


def _title_problems(title: str) -> list[str]:
    checks = (
        (not title.strip(), "is empty"),
        (any(unicodedata.category(char) in HIDDEN for char in title), "has invisible characters"),
        (len(title) > 200, "is longer than 200 characters"),
    )
    return [problem for wrong, problem in checks if wrong]


def derive_package(text: str) -> str:
    """
    Return a package name made of a folder's or a distribution's name: ``my-blog`` -> ``my_blog``.

    A word that cannot be a package gets ``_app`` behind or ``app_`` in front, so
    that the result is always usable.

    Raises:
        NameTakenError: there is no letter or digit to make a name of.

    """
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    name = "_".join(re.findall(r"[a-z0-9]+", folded))[:50].strip("_")
    if not name:
        raise NameTakenError(
            f"no package name can be made of {shown(text)}", hint="name it: ptah-migrate init NAME"
        )
    if name[0].isdigit():
        name = f"app_{name}"
    return f"{name}_app" if _name_problems(name) else name


def title_of(name: str) -> str:
    """Return the words of a package name as a title: ``my_blog`` -> ``My blog``."""
    words = re.sub(r"[_.]+", " ", name).strip() or name
    return words[:1].upper() + words[1:]


def distribution_of(name: str) -> str:
    """Return a package's distribution name, as PEP 503 writes it: ``my_blog`` -> ``my-blog``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shown(text: str) -> str:
    """Return a foreign text for a message: quoted, on one line, nothing hidden, not too long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def listed(names: Sequence[str]) -> str:
    """Return names for a message, quoted, with commas."""
    return ", ".join(shown(name) for name in names)
