"""
The plain form of a revision file's header, recognised without parsing it.

A docstring, comments, imports in one line, and the constants as literals in
one line: what generators write, and nearly everybody leaves. Everything else
is not plain, and is parsed. Both ways give the same values.
"""

from __future__ import annotations

import re
from keyword import kwlist

NAMES = ("revision", "down_revision", "branch_labels", "depends_on", "requires", "run_before")

_OURS = "|".join(NAMES)
_WORD = rf"(?!(?:{'|'.join(kwlist)})\b)[A-Za-z_][A-Za-z0-9_]*"
_END = r"[ \t]*(?:\#[^\n]*)?\n"
# No backslash: an escape is for the parser. No form feed or other blank that only it knows.
_TEXT = r"""(?:'[^'\\\n]*'|"[^"\\\n]*")"""
_MANY = (
    rf"\([ ]*(?:{_TEXT}[ ]*,[ ]*)+(?:{_TEXT}[ ]*)?\)|\(\)"
    rf"|\[[ ]*(?:{_TEXT}[ ]*,[ ]*)*(?:{_TEXT})?[ ]*\]"
)
_LONG = r'(?:"""(?:(?!""")[^\\])*"""|' + r"'''(?:(?!''')[^\\])*''')"
_ALIAS = rf"(?:[ ]as[ ]{_WORD})?"
_MODULE = rf"{_WORD}(?:\.{_WORD})*"
_IMPORT = (
    rf"(?:from[ ]{_MODULE}[ ]import[ ]{_WORD}{_ALIAS}(?:,[ ]?{_WORD}{_ALIAS})*"
    rf"|import[ ]{_MODULE}{_ALIAS}(?:,[ ]?{_MODULE}{_ALIAS})*)"
)
# As Alembic's own templates and their users write them.
_TYPE = (
    r":[ ](?:str|str[ ]\|[ ]None|Union\[str,[ ]None\]|Optional\[str\]"
    r"|Union\[str,[ ]Sequence\[str\],[ ]None\]|str[ ]\|[ ]Sequence\[str\][ ]\|[ ]None"
    r"|tuple\[str,[ ]\.\.\.\](?:[ ]\|[ ]None)?)"
)

_TOP = re.compile(rf"(?:[ \t]*(?:\#[^\n]*)?\n)*(?:({_LONG}|{_TEXT}){_END})?", re.VERBOSE)
_OTHER = re.compile(
    rf"(?:[ \t]*|(?!.*\b(?:{_OURS})\b){_IMPORT}[ \t]*)(?:\#.*)?", re.VERBOSE | re.DOTALL
)
_CONSTANT = re.compile(
    rf"({_OURS})(?:{_TYPE})?[ ]=[ ](?:None|({_TEXT})|({_MANY}))[ \t]*(?:\#.*)?",
    re.VERBOSE | re.DOTALL,
)
_ONE = re.compile(_TEXT)

Value = str | tuple[str, ...] | list[str] | None

# Imports and comments are the same in all files of a history.
_seen: set[str] = {""}
_ENOUGH = 1000


def scan(header: str) -> tuple[dict[str, Value], str] | None:
    """Return the constants and the docstring of a header, None where it is not plain."""
    top = _TOP.match(header)
    assert top is not None, "it matches nothing, too"
    values: dict[str, Value] = {}
    for line in header[top.end() :].split("\n"):
        if line in _seen:
            continue
        found = _CONSTANT.fullmatch(line)
        if found is not None:
            name, one, many = found.groups()
            values[name] = one[1:-1] if one else _several(many) if many else None
        elif _OTHER.fullmatch(line) is None:
            return None
        elif len(_seen) < _ENOUGH:
            _seen.add(line)
    return values, _unquoted(top.group(1) or "")


def _several(text: str) -> Value:
    found = [one[1:-1] for one in _ONE.findall(text)]
    return found if text[0] == "[" else tuple(found)


def _unquoted(text: str) -> str:
    width = 3 if text[:3] in ('"""', "'''") else 1
    return text[width:-width].expandtabs()
