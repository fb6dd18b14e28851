"""Whatever is typed: one correct file in the package, or nothing at all."""

from __future__ import annotations

import ast
import functools
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ptah_migrate import _history, registry
from ptah_migrate._authoring import Conventions, revision, templates
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package

CASES = 100_000
PARTS = 10

PIECES = [
    *('"', '""', '"""', "'''", "'", "\\", '\\"', "\\\\", "\n", "\r", "\r\n", "\t", "\0", "\x0c"),
    *("\x1a", "\x1b[31m", "\x7f", "\x85", "\xa0", "\u200b", "\u202e", "\u2028", "\ufeff", "\ue000"),
    *("{{ 7*7 }}", "{% raw %}", "{% endraw %}", "{#", "#}", "{% extends 'x' %}", "{{ docstring }}"),
    *("${x}", "%(rev)s", "{0}", "{rev}", "{slug}", "\\N{BULLET}", "\\x41", "\\u0041", "\\"),
    *('"""\nimport os\nos.abort()\n"""', "\ndef upgrade(): 1/0\n", "# coding: utf-7", "+ACI-"),
    *("pass  # ptah-migrate: not written yet", "<<<<<<< HEAD", "=======", ">>>>>>> x", "\n\n\n"),
    *(
        "..",
        "/",
        "../",
        "..\\",
        "/etc/passwd",
        "C:",
        "~",
        ".git",
        ".git/hooks/x",
        "nul",
        "CON",
        "|",
    ),
    *("head", "heads", "base", "__init__", "001", "1" * 40, "\u0661", "\uff11", "\xe9", "漢", "🐘"),
    *("-", "--help", "@", ":", "?", "other:003", "?other:1.0-b", "revision", "a", "B", " ", ""),
]


@pytest.fixture
def blog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a package without revisions, where writing is quick."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(templates, "_template", functools.cache(templates._template))
    (tmp_path / "project/migrations").mkdir(parents=True)
    return registry.make_package("blog", str(tmp_path / "project/migrations"))


def typed(chance: random.Random) -> str:
    """Return what somebody may type: pieces of code and paths, any characters, both."""
    words = chance.choices(PIECES, k=chance.randrange(5))
    if chance.random() < 0.4:
        words.append("".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(6))))
    if chance.random() < 0.3:
        words.append("".join(map(chr, chance.choices(range(32, 127), k=chance.randrange(12)))))
    chance.shuffle(words)
    return "".join(words)


def identity(chance: random.Random) -> str | None:
    """Return an id: none, a good one more often than chance would give, or anything."""
    kind = chance.random()
    if kind < 0.3:
        return None
    return "".join(chance.choices("ab01_", k=5)) if kind < 0.6 else typed(chance)


def some(chance: random.Random, make: Callable[[random.Random], str]) -> list[str]:
    """Return none to two of something."""
    return [make(chance) for _ in range(chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 2)))]


def check(package: Package, seed: int) -> bool:
    """Make one revision of hostile words; return whether there is one."""
    chance = random.Random(seed)
    folder = Path(package.path)
    message = typed(chance)
    slugs = Conventions(file_template=chance.choice(("{rev}", "{rev}_{slug}")))
    try:
        made = revision(
            package,
            _history.read(package),
            id=identity(chance),
            message=message,
            requires=some(chance, typed),
            labels=some(chance, typed),
            head=chance.choice((None,) * 9 + (typed(chance),)),
            data=chance.random() < 0.1,
            conventions=slugs,
        )
    except PtahMigrateError:
        assert os.listdir(folder) == []
        assert os.listdir(folder.parent) == ["migrations"]
        return False
    assert {*os.listdir(folder)} - {"head.txt"} == {made.path.name}
    assert made.path.parent == folder
    _is_what_was_meant(made.path, made.id, message)
    assert os.listdir(folder.parent) == ["migrations"]
    for name in os.listdir(folder):
        Path(folder, name).unlink()
    return True


def _is_what_was_meant(path: Path, identity: str, message: str) -> None:
    tree = ast.parse(path.read_bytes())
    assert (ast.get_docstring(tree, clean=False) or "") == message
    body = tree.body[1:] if message else tree.body
    kinds = [type(node).__name__ for node in body]
    assert [kind for kind in kinds if kind != "Assign"] == [
        "Import",
        "ImportFrom",
        "FunctionDef",
        "FunctionDef",
    ]
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls <= CALLS
    found = _history.parse(path, "blog")
    assert found is not None
    assert found.id == identity


# What the template for rows calls, and nothing else may.
CALLS = {
    *("sa.table", "sa.column", "op.bulk_insert", "op.execute", "example.c.name.is_"),
    *("example.delete", "example.delete().where", "example.c.id.in_"),
    *("example.update", "example.update().where"),
    "example.update().where(example.c.name.is_(None)).values",
}


def test_hostile_words(blog: Package) -> None:
    """Of 1,000 cases every file is what was meant, and nothing is outside the package."""
    made = sum(check(blog, seed) for seed in range(1_000))

    assert 150 < made < 850  # both ways are tried


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_hostile_words(blog: Package, part: int) -> None:
    """Of 100,000 cases every file is what was meant, and nothing is outside the package."""
    size = CASES // PARTS
    for seed in range(part * size, (part + 1) * size):
        check(blog, 10_000_000 + seed)
