"""
Merge two versions of a text that come from a third one, line by line.

Plain diff3: what one side changed is taken, what both changed in the same place
is a conflict, unless they changed it to the same. Changes need an unchanged
line between them to be different places, as in git.

Lines that repeat can be lined up in several ways. Where that makes a difference
it is a conflict too: what merges without one is what ``git merge-file`` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

YOURS, MIDDLE, TEMPLATE = b"<<<<<<< yours", b"=======", b">>>>>>> template"

_LARGE = 1_000_000  # cells of a table of two texts that takes about half a second

Lines = Sequence[bytes]
Pairs = dict[int, int]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged text; ``conflicts`` is the number of places that carry markers."""

    content: bytes
    conflicts: int = 0


def merge(base: bytes, yours: bytes, template: bytes) -> Merged:
    """
    Return both versions as one text, or with markers where they contradict each other.

    The line ends are those of ``yours``, where it has one kind throughout.
    """
    crlf = b"\r\n" in yours and b"\n" not in yours.replace(b"\r\n", b"")
    if crlf:
        yours = yours.replace(b"\r\n", b"\n")
    merged = _merged(_lines(base), _lines(yours), _lines(template))
    return Merged(merged.content.replace(b"\n", b"\r\n"), merged.conflicts) if crlf else merged


def has_markers(text: bytes) -> bool:
    """Return whether a text still carries markers of ours."""
    return {YOURS, TEMPLATE} <= {line.rstrip() for line in text.split(b"\n")}


def _lines(text: bytes) -> Lines:
    # Not splitlines: a lone CR is a character like others.
    lines = text.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])


def _merged(base: Lines, yours: Lines, template: Lines) -> Merged:
    found = [
        _joined(_regions(base, yours, template, line_up(base, yours), line_up(base, template)))
        for line_up in (_blocks, _backwards(_blocks), _longest, _backwards(_longest))
    ]
    for merged in found:
        if merged.conflicts:
            return merged
    if all(merged == found[0] for merged in found):
        return found[0]
    return _whole(yours, template)


def _regions(
    base: Lines, yours: Lines, template: Lines, mine: Pairs, theirs: Pairs
) -> Iterator[tuple[Lines, Lines, Lines]]:
    """Yield the three texts in pieces: those between the lines that all have, and these lines."""
    start = at_mine = at_theirs = 0
    for number in range(len(base)):
        if number in mine and number in theirs:
            here, there = mine[number], theirs[number]
            yield base[start:number], yours[at_mine:here], template[at_theirs:there]
            yield (base[number : number + 1],) * 3
            start, at_mine, at_theirs = number + 1, here + 1, there + 1
    yield base[start:], yours[at_mine:], template[at_theirs:]


def _joined(regions: Iterator[tuple[Lines, Lines, Lines]]) -> Merged:
    out: list[bytes] = []
    conflicts = 0
    for old, mine, theirs in regions:
        if theirs in (old, mine):
            out += mine
        elif mine == old:
            out += theirs
        else:
            conflicts += 1
            out += _marked(mine, theirs)
    return Merged(b"".join(out), conflicts)


def _whole(yours: Lines, template: Lines) -> Merged:
    """Return one conflict around everything that differs."""
    start = _common(yours, template)
    end = _common(yours[start:][::-1], template[start:][::-1])
    mine, theirs = yours[start : len(yours) - end], template[start : len(template) - end]
    after = yours[len(yours) - end :]
    return Merged(b"".join((*yours[:start], *_marked(mine, theirs), *after)), 1)


def _marked(mine: Lines, theirs: Lines) -> Iterator[bytes]:
    yield YOURS + b"\n"
    yield from _ended(mine)
    yield MIDDLE + b"\n"
    yield from _ended(theirs)
    yield TEMPLATE + b"\n"


def _ended(lines: Lines) -> Iterator[bytes]:
    """Yield lines, each with its newline: a marker must begin one."""
    for line in lines:
        yield line if line.endswith(b"\n") else line + b"\n"


# -- lining up -----------------------------------------------------------------------

LineUp = Callable[[Lines, Lines], Pairs]


def _blocks(first: Lines, second: Lines) -> Pairs:
    """Return the place of each kept line, the longest runs of lines first."""
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    return {
        block.a + number: block.b + number
        for block in matcher.get_matching_blocks()
        for number in range(block.size)
    }


def _longest(first: Lines, second: Lines) -> Pairs:
    """Return the place of each kept line, as many lines as possible."""
    start = _common(first, second)
    end = _common(first[start:][::-1], second[start:][::-1])
    rows, columns = first[start : len(first) - end], second[start : len(second) - end]
    if len(rows) * len(columns) > _LARGE:
        return _blocks(first, second)
    pairs = {number: number for number in range(start)}
    pairs |= {start + row: start + column for row, column in _common_lines(rows, columns)}
    return pairs | {len(first) - n: len(second) - n for n in range(1, end + 1)}


def _common_lines(rows: Lines, columns: Lines) -> Iterator[tuple[int, int]]:
    """Yield the places of a longest common subsequence."""
    counts = [[0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for row in reversed(range(len(rows))):
        for column in reversed(range(len(columns))):
            counts[row][column] = (
                counts[row + 1][column + 1] + 1
                if rows[row] == columns[column]
                else max(counts[row + 1][column], counts[row][column + 1])
            )
    row = column = 0
    while row < len(rows) and column < len(columns):
        if rows[row] == columns[column]:
            yield row, column
            row, column = row + 1, column + 1
        elif counts[row + 1][column] >= counts[row][column + 1]:
            row += 1
        else:
            column += 1


def _backwards(line_up: LineUp) -> LineUp:
    """Return the same from the end to the start."""

    def turned(first: Lines, second: Lines) -> Pairs:
        pairs = line_up(first[::-1], second[::-1])
        return {len(first) - 1 - n: len(second) - 1 - pairs[n] for n in pairs}

    return turned


def _common(first: Lines, second: Lines) -> int:
    """Return how many lines are the same from the start."""
    count = 0
    while count < min(len(first), len(second)) and first[count] == second[count]:
        count += 1
    return count
