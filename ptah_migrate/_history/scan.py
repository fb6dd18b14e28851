"""
The plain form of a revision file's header, recognised without parsing it.

A docstring, comments, imports in one line, and the constants as literals in
one line: what generators write, and nearly everybody leaves. Everything else
is not plain, and is parsed. Both ways give the same values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_LONG = r'(?:"""[^"\\]*(?:""?(?!")[^"\\]*)*"""|' + r"'''[^'\\]*(?:''?(?!')[^'\\]*)*''')"
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
_IS = rf"(?:{_TYPE})?[ ]=[ ]"
_VALUE = rf"(?:None|({_TEXT})|({_MANY}))"
_CONSTANT = re.compile(rf"({_OURS}){_IS}{_VALUE}[ \t]*(?:\#.*)?", re.VERBOSE | re.DOTALL)
_PLACE = re.compile(rf"revision{_IS}({_TEXT}){_END}down_revision{_IS}{_VALUE}{_END}", re.VERBOSE)
_ONE = re.compile(_TEXT)

Value = str | tuple[str, ...] | list[str] | None

# Imports, comments and constants without a value are the same in all files of a history.
_seen: dict[str, Mapping[str, Value]] = {}
_ENOUGH = 1000
_LARGE = 2000


def scan(text: str) -> tuple[Mapping[str, Value], str] | None:
    """
    Return the constants and the docstring of a file's header, None where it is not plain.

    The header ends at the first function. Of its three parts, what stands above
    the revision's place, the place, and what stands below, only the second is
    another one in each file.
    """
    top = _TOP.match(text)
    assert top is not None, "it matches nothing, too"
    start = top.end()
    before = max(start - 1, 0)  # the end of the line before
    end = text.find("\ndef ", before) + 1 or len(text)
    place = _PLACE.match(text, text.find("\nrevision", before, end) + 1)
    if place is None or place.start() < start:
        values = _lines(text[start:end])
    else:
        above, below = _lines(text[start : place.start()]), _lines(text[place.end() : end])
        if above is None or below is None:
            return None
        id_, one, many = place.groups()
        down = one[1:-1] if one else _several(many) if many else None
        values = {**above, "revision": id_[1:-1], "down_revision": down, **below}
    return None if values is None else (values, _unquoted(top.group(1) or ""))


def _lines(text: str) -> Mapping[str, Value] | None:
    """Return the constants of whole lines, None where one is not plain."""
    if text in _seen:
        return _seen[text]
    values: dict[str, Value] = {}
    for line in text.split("\n"):
        found = _CONSTANT.fullmatch(line)
        if found is not None:
            name, one, many = found.groups()
            values[name] = one[1:-1] if one else _several(many) if many else None
        elif _OTHER.fullmatch(line) is None:
            return None
    if len(_seen) < _ENOUGH and len(text) < _LARGE:
        _seen[text] = values
    return values


def _several(text: str) -> Value:
    found = [one[1:-1] for one in _ONE.findall(text)]
    return found if text[0] == "[" else tuple(found)


def _unquoted(text: str) -> str:
    width = 3 if text[:3] in ('"""', "'''") else 1
    return text[width:-width].expandtabs()
