"""What is wrong with revision files, told all at once and with their names."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ptah_migrate import registry
from ptah_migrate._authoring import check_files, check_wheel, revision
from ptah_migrate._authoring.conventions import Conventions
from ptah_migrate._history import read
from ptah_migrate.errors import AuthoringError, ConfigError
from ptah_migrate.model import Package


def source(name: str, down: str | None, more: str = "") -> str:
    """Return the text of a revision file."""
    return f"revision = {name!r}\ndown_revision = {down!r}\n{more}\ndef upgrade():\n    x = 1\n"


GOOD = {"001.py": source("001", None), "002.py": source("002", "001")}


def package_of(folder: Path, files: dict[str, str], **words: bool) -> Package:
    """Write files and return the package they make."""
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return registry.make_package("blog", str(folder), **words)  # type: ignore[arg-type]


def test_nothing_is_wrong(tmp_path: Path) -> None:
    """Numbered files that follow one another, and helpers beside them, are fine."""
    package = package_of(tmp_path, GOOD | {"__init__.py": "", "helper.py": "x = 1", "a.txt": ""})

    assert check_files(package) == ()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param(
            {"003_a.py": source("003", "002"), "003_b.py": source("003", "002")},
            [("duplicate-id", "003_b.py", "revision '003' is also in 003_a.py")],
            id="one id twice",
        ),
        pytest.param(
            {"Ab.py": source("Ab", "002"), "ab_2.py": source("ab", "Ab")},
            [
                (
                    "case-collision",
                    "ab_2.py",
                    "revision 'ab' differs from 'Ab' (Ab.py) only in upper and lower case",
                )
            ],
            id="ids that differ in case",
        ),
        pytest.param(
            {"ab_x.py": "", "AB_x.py": ""},
            [
                ("unreadable", "AB_x.py", "is empty"),
                (
                    "case-collision",
                    "ab_x.py",
                    "the name differs from AB_x.py only in upper and lower case",
                ),
                ("unreadable", "ab_x.py", "is empty"),
            ],
            id="names that differ in case",
        ),
        pytest.param(
            {"003.py": source("004", "002")},
            [("file-name", "003.py", "the file holds revision '004'")],
            id="name and id differ",
        ),
        pytest.param(
            {"003.py": source("003", "002"), "004.py": source("004", "002")},
            [("several-heads", "", "the history has 2 heads: 003 (003.py), 004 (004.py)")],
            id="two heads",
        ),
        pytest.param(
            {"003.py": source("003", None), "004.py": source("004", "003"), "002.py": ""},
            [("unreadable", "002.py", "is empty")],
            id="what follows from a file that cannot be read is not told",
        ),
        pytest.param(
            {"000.py": source("000", None), "003.py": "revision='003'; down_revision='002','000'"},
            [("several-roots", "", "the history has 2 roots: 000 (000.py), 001 (001.py)")],
            id="two roots",
        ),
        pytest.param(
            {"004.py": source("004", "003")},
            [("missing-parent", "004.py", "revision '004' follows '003', which is not there")],
            id="a gap",
        ),
        pytest.param(
            {"003.py": "<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> theirs\n"},
            [("conflict-markers", "003.py", "has conflict markers")],
            id="a merge in the middle",
        ),
        pytest.param(
            {"003.py": f'"""\n<<<<<<< HEAD\n>>>>>>> b\n"""\n{source("003", "002")}'},
            [("conflict-markers", "003.py", "has conflict markers")],
            id="a merge in the middle of a docstring",
        ),
        pytest.param(
            {"003.py": "revision = '003'\ndef upgrade(:\n"},
            [("syntax", "003.py", "syntax error: invalid syntax")],
            id="no Python",
        ),
        pytest.param(
            {"003.py": "revision = '003'\n"},
            [("unreadable", "003.py", "has no down_revision")],
            id="half a revision",
        ),
        pytest.param(
            {"003.py": "x = '\udcff'\n"},
            [
                (
                    "unreadable",
                    "003.py",
                    "is not Python text: invalid or missing encoding declaration",
                )
            ],
            id="no text",
        ),
        pytest.param(
            {"001.py": source("001", "002")},
            [("history", "", "revisions require one another: blog:001 -> blog:002 -> blog:001")],
            id="a circle",
        ),
        pytest.param(
            {"head.txt": "001\n"},
            [("head-file", "head.txt", "does not name the newest revision, 002")],
            id="a head file out of date",
        ),
        pytest.param(
            {"head.txt": "<<<<<<< HEAD\n002\n=======\n"},
            [("head-file", "head.txt", "does not name the newest revision, 002")],
            id="a head file in conflict",
        ),
    ],
)
def test_what_is_wrong(
    tmp_path: Path, files: dict[str, str], found: list[tuple[str, str, str]]
) -> None:
    """Each fault is named, with its file; nothing else is said."""
    findings = check_files(package_of(tmp_path, GOOD | files))

    shown = [
        (one.id, "" if one.path == tmp_path else one.path.name, one.message) for one in findings
    ]
    assert sorted(shown) == sorted(found)
    assert all(one.hint for one in findings)


def test_everything_at_once(tmp_path: Path) -> None:
    """One run tells every problem, in the order of the files, with the lines."""
    package = package_of(
        tmp_path,
        {
            "001.py": source("001", None),
            "002.py": "x = 1\n<<<<<<< a\n",
            "003.py": "revision = '003'\ndown_revision = '002'\nx = (\n",
            "004.py": source("005", "009"),
        },
    )

    assert [str(one).replace(f"{tmp_path}/", "") for one in check_files(package)] == [
        "002.py:2: has conflict markers",
        "003.py:3: syntax error: '(' was never closed",
        "004.py: the file holds revision '005'",
        "004.py: revision '005' follows '009', which is not there",
    ]


def test_branches_on_purpose(tmp_path: Path) -> None:
    """A package that is registered with branches may have several heads and roots."""
    files = GOOD | {"003.py": source("003", None)}

    assert check_files(package_of(tmp_path, files, branches=True)) == ()


def test_a_missing_directory(tmp_path: Path) -> None:
    """A directory that is not there is a finding, too."""
    package = registry.make_package("blog", str(tmp_path / "nowhere"))

    [finding] = check_files(package)

    assert (finding.id, finding.path) == ("directory", tmp_path / "nowhere")


def test_a_revision_nobody_wrote(tmp_path: Path) -> None:
    """The mark of the template is found, with its line, until the author deletes it."""
    package = registry.make_package("blog", str(tmp_path))
    path = revision(package, read(package), message="x").path

    [finding] = check_files(package)

    assert (finding.id, finding.line) == ("not-written", 13)
    assert finding.message == "revision '001' is not written yet"
    path.write_text(path.read_text().replace("  # ptah-migrate: not written yet", ""))
    assert check_files(package) == ()


def test_a_mark_in_a_text(tmp_path: Path) -> None:
    """A message that talks about the mark is not the mark."""
    package = package_of(
        tmp_path, {"001.py": '"""About # ptah-migrate: not written yet"""\n' + source("001", None)}
    )

    assert check_files(package) == ()


@pytest.mark.parametrize(
    ("template", "name", "good"),
    [
        (None, "003", True),
        (None, "003_add", True),
        (None, "2026-11-22_003_add", True),
        (None, "0031", False),
        ("{rev}", "003", True),
        ("{rev}", "003_add", False),
        ("{rev}_{slug}", "003_add", True),
        ("{rev}_{slug}", "003", True),
        ("{rev}_{slug}", "x_003", False),
    ],
)
def test_names_of_files(tmp_path: Path, template: str | None, name: str, good: bool) -> None:
    """A name must show the id; a configured template says exactly how."""
    package = package_of(tmp_path, GOOD | {f"{name}.py": source("003", "002")})
    if template == "{rev}_{slug}":
        (tmp_path / "head.txt").write_text(f"{name}\n")

    findings = check_files(package, file_template=template)

    assert [one.id for one in findings] == ([] if good else ["file-name"])


def test_a_missing_head_file(tmp_path: Path) -> None:
    """Where files have slugs the head file must be there."""
    findings = check_files(package_of(tmp_path, GOOD), file_template="{rev}_{slug}")

    assert [(one.id, one.path.name) for one in findings] == [("head-file", "head.txt")]


def test_an_unknown_template(tmp_path: Path) -> None:
    """A setting that names no file is refused."""
    with pytest.raises(ConfigError, match="which names no file"):
        check_files(package_of(tmp_path, GOOD), file_template="{slug}")


# -- wheels ---------------------------------------------------------------------------


@pytest.fixture
def blog(tmp_path: Path) -> Package:
    """Return a package with two revisions in a source folder."""
    folder = tmp_path / "src/acme/blog/migrations"
    folder.mkdir(parents=True)
    return package_of(folder, GOOD | {"__init__.py": ""})


def wheel(folder: Path, files: dict[str, str]) -> Path:
    """Write a wheel that holds these files."""
    path = folder / "acme_blog-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


INSIDE = {f"acme/blog/migrations/{name}": text for name, text in GOOD.items()}


def test_a_complete_wheel(blog: Package, tmp_path: Path) -> None:
    """A wheel with the revision files of the source is fine, whatever ends their lines."""
    files = {name: text.replace("\n", "\r\n") for name, text in INSIDE.items()}

    assert (
        check_wheel(blog, wheel(tmp_path, files | {"acme/blog/migrations/__init__.py": ""})) == ()
    )


def test_a_wheel_without_a_step(blog: Package, tmp_path: Path) -> None:
    """A step that is missing, another one, or a left-over is named."""
    files = {
        "acme/blog/migrations/001.py": source("001", None, "# edited"),
        "acme/blog/migrations/000.py": source("000", None),
    }

    findings = check_wheel(blog, wheel(tmp_path, files))

    assert [(one.id, one.path.name, one.message) for one in findings] == [
        (
            "wheel-differs",
            "001.py",
            "is not the file in acme_blog-1.0-py3-none-any.whl, acme/blog/migrations/001.py",
        ),
        (
            "wheel-missing",
            "002.py",
            "is not in acme_blog-1.0-py3-none-any.whl, as acme/blog/migrations/002.py",
        ),
        (
            "wheel-extra",
            "acme_blog-1.0-py3-none-any.whl",
            "holds the revision acme/blog/migrations/000.py, which the source does not have",
        ),
    ]


def test_a_wheel_without_migrations(blog: Package, tmp_path: Path) -> None:
    """A wheel that left out the directory misses every step."""
    findings = check_wheel(blog, wheel(tmp_path, {"acme/blog/__init__.py": ""}))

    assert [(one.id, one.path.name) for one in findings] == [
        ("wheel-missing", "001.py"),
        ("wheel-missing", "002.py"),
    ]


def test_a_wheel_that_is_none(blog: Package, tmp_path: Path) -> None:
    """What is no wheel is one clear error."""
    (tmp_path / "x.whl").write_text("no zip")

    with pytest.raises(AuthoringError, match="cannot be read as a wheel: File is not a zip file"):
        check_wheel(blog, tmp_path / "x.whl")


def test_slugs_are_checked_as_written(tmp_path: Path) -> None:
    """What ``revision`` writes with slugs passes the check, but for the mark."""
    package = registry.make_package("blog", str(tmp_path))
    slugs = Conventions(file_template="{rev}_{slug}")
    for message in ("Add column", "", "Größe ändern!"):
        revision(package, read(package), message=message, conventions=slugs)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "001_add_column.py",
        "002.py",
        "003_grosse_andern.py",
        "head.txt",
    ]
    assert {one.id for one in check_files(package, file_template="{rev}_{slug}")} == {"not-written"}
