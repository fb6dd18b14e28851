"""Package templates of one's own, as a person types them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.helpers import Result, tree
from tests.integration.scaffolds import build

QUESTIONS = "name: {type: str}\ncolour: {type: str}\n"


@pytest.fixture
def shop(folder: Path) -> Path:
    """Return the folder of a project with a package, with a template in it."""
    return build(
        folder,
        {
            "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
            "shop/__init__.py": "",
            "etc/copier.yml": QUESTIONS,
            "etc/colour.txt.jinja": "{{ name }} {{ colour }}\n",
        },
    )


def test_a_template(shop: Path, invoke_cli: Run) -> None:
    """Init makes what the template makes, and answers are given by --data."""
    result = invoke_cli("init", "--template", "etc", "--data", "colour=red")

    assert result.stdout == "created colour.txt\ncreated .ptah-migrate.json\n"
    assert (shop / "colour.txt").read_text() == "shop red\n"


def test_a_setting(shop: Path, invoke_cli: Run) -> None:
    """The project's own setting names the template, relative to the project."""
    with (shop / "pyproject.toml").open("a") as file:
        file.write('[tool.ptah_migrate]\npackage_template = "etc"\n')

    result = invoke_cli("init", "--data", "colour=red", "--dry-run")

    assert result.stdout == "would create colour.txt\nwould create .ptah-migrate.json\n"


def test_an_update(shop: Path, invoke_cli: Run) -> None:
    """Update follows the template, and may be told what it asks now."""
    invoke_cli("init", "--template", "etc", "--data", "colour=red")
    build(shop, {"etc/copier.yml": QUESTIONS + "size: {type: str}\n", "etc/size.jinja": "{{size}}"})

    assert invoke_cli("update", "--data", "size=7", "--data", "colour=blue") == Result(
        0, "edited colour.txt\ncreated size\nedited .ptah-migrate.json\n", ""
    )
    assert invoke_cli("update").stdout == "shop is up to date with its template: nothing to do\n"


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        pytest.param(
            ["--data", "colour=red"],
            1,
            "the template has 'tasks', which run programs",
            "--trust lets it, if you trust who wrote it",
            id="programs",
        ),
        pytest.param(
            ["--trust"],
            1,
            'the package template cannot be rendered: Question "colour" is required',
            "answer it: --data colour=…",
            id="no answer",
        ),
        pytest.param(
            ["--data", "color=red"],
            2,
            "there is no question 'color' in the template",
            "there are: colour",
            id="unknown key",
        ),
    ],
)
def test_one_clear_line(
    shop: Path, invoke_cli: Run, words: list[str], code: int, error: str, hint: str
) -> None:
    """What a template must not do, or is not told, is one line with a way out."""
    build(shop, {"etc/copier.yml": QUESTIONS + "_tasks: [touch ran]\n"})
    before = tree(shop)

    result = invoke_cli("init", "--template", "etc", *words)

    assert result == Result(code, "", f"Error: {error}\nhint: {hint}\n")
    assert tree(shop) == before


@pytest.mark.parametrize("words", [["update"], ["init", "--check"]], ids=["update", "init"])
def test_without_copier(
    shop: Path, invoke_cli: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Where copier is not installed any more the command to install it is told."""
    invoke_cli("init", "--template", "etc", "--data", "colour=red")
    monkeypatch.setitem(sys.modules, "copier", None)

    assert invoke_cli(*words) == Result(
        1, "", "Error: copier is not installed\nhint: pip install 'ptah-migrate[scaffold]'\n"
    )


def test_undo_with_a_template(shop: Path, invoke_cli: Run) -> None:
    """--undo makes nothing, so it takes no template."""
    result = invoke_cli("init", "--undo", "--template", "etc")

    assert result.exit_code == 2
