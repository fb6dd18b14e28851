"""The versions of the package template, as they lie in the repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ptah_migrate._authoring import scaffold
from ptah_migrate.errors import AuthoringError

TEMPLATES = Path(__file__).parents[2] / "templates"


def listed() -> dict[int, str]:
    """Return the versions that the repository lists."""
    document = json.loads((TEMPLATES / "history/versions.json").read_text())
    return {int(version): digest for version, digest in document["package"].items()}


def test_a_change_needs_a_version() -> None:
    """A template that was changed has a new version, unless no release has the present one."""
    highest = max(listed())

    digest = scaffold.digest(TEMPLATES / "package")

    assert listed()[highest] == digest, (
        f"the package template changed: if version {highest} is released follow "
        f"templates/history/README.md, else give it this digest in versions.json: {digest}"
    )


def test_earlier_versions_are_kept() -> None:
    """Every version but the present one is in the history, exactly as it was."""
    found = {
        int(folder.name): scaffold.digest(folder)
        for folder in (TEMPLATES / "history").glob("package/*")
    }

    versions = listed()
    assert found == {version: versions[version] for version in sorted(versions)[:-1]}
    assert sorted(versions) == list(range(1, len(versions) + 1))


def test_released_versions_do_not_change() -> None:
    """What a release says of a version stays so in all later ones."""
    tags = git("tag", "--list", "v*", "--merged").split()
    for tag in tags:
        text = git("show", f"{tag}:templates/history/versions.json")
        released = json.loads(text)["package"] if text else {}

        assert (
            released.items()
            <= json.loads((TEMPLATES / "history/versions.json").read_text())["package"].items()
        ), tag


def test_what_came_with_us() -> None:
    """The command works with the templates that are beside it, at the highest version."""
    with scaffold.opened() as template:
        assert template.version == max(listed())
        assert template.folder(template.version) == template.package
        assert template.folder(99) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="missing"),
        pytest.param("{", id="not JSON"),
        pytest.param("[]", id="a list"),
        pytest.param('{"package": {}}', id="no version"),
        pytest.param('{"package": {"x": ""}}', id="not a number"),
    ],
)
def test_a_broken_list(tmp_path: Path, text: str | None) -> None:
    """Without a list of versions there is one clear error, not a wrong comparison."""
    if text is not None:
        (tmp_path / "versions.json").write_text(text)

    with pytest.raises(AuthoringError, match="does not list the versions"):
        scaffold.load(tmp_path, tmp_path)


def test_digests(tmp_path: Path) -> None:
    """A digest follows names and texts, and neither line ends nor what Python compiled."""
    (tmp_path / "a").write_bytes(b"1\n")
    first = scaffold.digest(tmp_path)

    (tmp_path / "a").write_bytes(b"1\r\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_bytes(b"x")
    assert scaffold.digest(tmp_path) == first

    (tmp_path / "a").rename(tmp_path / "b")
    assert scaffold.digest(tmp_path) != first


def git(*words: str) -> str:
    """Return what git prints in the checkout; nothing without git or without one."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=TEMPLATES, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
