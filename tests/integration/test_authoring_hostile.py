"""Whatever is typed: correct files in the package, or nothing at all."""

from __future__ import annotations

import ast
import functools
import os
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment

from ptah_migrate import _history, registry
from ptah_migrate._authoring import (
    Conventions,
    FilePlan,
    plan_init,
    project,
    revision,
    skeleton,
    templates,
)
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package
from tests.conftest import CI

CASES = 5_000 if CI else 100_000  # `make test` has the time for all of them
PARTS = 20  # none takes long on a machine with much else to do

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


# -- answers of init ---------------------------------------------------------------------

PACKAGE = Path(__file__).parents[2] / "templates/package"
NAMES = ["blog", "my-blog", "class", "os", "a.b", "../x", ".git", "1a", "é", "blog ", "", "-x"]
KEYS = ["title", "author", "email", "distribution", "license", "flat", "first_revision", "name"]
GOOD = {
    "title": "My blog",
    "author": "Ann",
    "email": "ann@example.org",
    "distribution": "my-blog",
    "license": "MIT",
    "flat": "yes",
    "first_revision": "yes",
}


@functools.cache
def compiled() -> tuple[tuple[tuple[Template, ...], Template | bytes], ...]:
    """Return our package template, names and texts, ready to render."""
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(PACKAGE),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = []
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.is_file() and not name.startswith(("copier.yml", "license-texts/")):
            parts = tuple(map(environment.from_string, name.removesuffix(".jinja").split("/")))
            jinja = name.endswith(".jinja")
            found.append((parts, environment.get_template(name) if jinja else path.read_bytes()))
    return tuple(found)


def quick(answers: Mapping[str, Any], *_: object, **__: object) -> skeleton.Made:
    """Render as copier does, without copier: a thousand times as often."""
    made = {}
    for parts, text in compiled():
        names = [part.render(answers) for part in parts]
        if all(names):
            made["/".join(names)] = (
                text if isinstance(text, bytes) else text.render(answers).encode()
            )
    return skeleton.Made(made, {})


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what costs much and says nothing about answers."""
    monkeypatch.setattr(project, "entry_points", lambda **_: ())
    monkeypatch.setattr(skeleton, "render", quick)
    yield
    monkeypatch.undo()


def test_quick_is_the_same(tmp_path: Path) -> None:
    """What the tests below render is what copier makes."""
    real = plan_init(tmp_path, name="blog", new=True, data=GOOD)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(skeleton, "render", quick)
        again = plan_init(tmp_path, name="blog", new=True, data=GOOD)

    assert sorted(map(str, real.changes)) == sorted(map(str, again.changes))


def answer(folder: Path, seed: int) -> bool:
    """Plan a project of hostile answers; return whether there is one."""
    chance = random.Random(seed)
    name = "blog" if chance.random() < 0.7 else chance.choice((*NAMES, typed(chance)))
    keys = [key for key in KEYS if chance.random() < 0.2]
    data: dict[str, object] = {
        key: GOOD.get(key, "x") if chance.random() < 0.3 else typed(chance) for key in keys
    }
    try:
        plan = plan_init(folder, name=name, new=True, data=data)
    except PtahMigrateError:
        return False
    _says_what_was_answered(plan, folder / name, data)
    return True


def _says_what_was_answered(plan: FilePlan, root: Path, data: Mapping[str, object]) -> None:
    texts = {change.path.relative_to(root).as_posix(): change.content for change in plan.changes}
    assert {change.status for change in plan.changes} == {"create"}
    assert not any(".." in name or ".git/" in name for name in texts)
    assert len(texts) in (13, 14, 15)
    said = {key: str(value).strip() for key, value in data.items()}
    document = tomllib.loads(texts["pyproject.toml"].decode())
    assert document["project"]["description"] == said.get(
        "title", document["project"]["description"]
    )
    [author] = document["project"].get("authors", [{}])
    assert (author.get("name", ""), author.get("email", "")) == (
        said.get("author", ""),
        said.get("email", ""),
    )
    assert set(document) == {"build-system", "project", "dependency-groups", "tool"}
    for name, content in texts.items():
        if name.endswith(".py"):
            shape, titles = outline(content)
            assert shape == SHAPES.setdefault((Path(name).name, len(shape)), shape)
            if name.endswith("migrations/__init__.py"):
                assert document["project"]["description"] in titles


@functools.lru_cache(1000)
def outline(content: bytes) -> tuple[str, frozenset[str]]:
    """Return a module's code without its texts and names, and the texts."""
    tree = ast.parse(content)
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return " ".join(type(node).__name__ for node in ast.walk(tree)), frozenset(texts)


SHAPES: dict[tuple[str, int], str] = {}


def test_hostile_answers(tmp_path: Path, quickly: None) -> None:
    """Of 300 sets of answers each project says just that, or there is none."""
    made = sum(answer(tmp_path, seed) for seed in range(300))

    assert 50 < made < 250  # both ways are tried
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_hostile_answers(tmp_path: Path, quickly: None, part: int) -> None:
    """Of 100,000 sets of answers each project says just that, or there is none."""
    size = CASES // PARTS
    for seed in range(part * size, (part + 1) * size):
        answer(tmp_path, 20_000_000 + seed)

    assert list(tmp_path.iterdir()) == []
    assert len(SHAPES) < 30  # the same code, whatever is answered
