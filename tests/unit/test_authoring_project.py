"""What is in a project directory, read without running any of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ptah_migrate._authoring import project, state
from ptah_migrate._authoring.project import Found
from ptah_migrate.errors import AuthoringError, ConfigError, NameTakenError


def build(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root.resolve()


@pytest.mark.parametrize(
    ("files", "name", "folder"),
    [
        pytest.param(
            {"pyproject.toml": '[project]\nname = "my-blog"', "src/my_blog/__init__.py": ""},
            "my_blog",
            "src/my_blog",
            id="src layout",
        ),
        pytest.param(
            {
                "pyproject.toml": '[project]\nname = "My.Blog"',
                "my_blog/__init__.py": "",
                "tests/__init__.py": "",
            },
            "my_blog",
            "my_blog",
            id="flat layout",
        ),
        pytest.param(
            {"pyproject.toml": '[project]\nname = "acme.blog"', "src/acme/blog/__init__.py": ""},
            "acme.blog",
            "src/acme/blog",
            id="package in a namespace",
        ),
        pytest.param(
            {"pyproject.toml": '[project]\nname = "dist-name"', "src/blog/__init__.py": ""},
            "blog",
            "src/blog",
            id="another name than the distribution's",
        ),
        pytest.param(
            {
                "pyproject.toml": '[tool.poetry]\nname = "b"',
                "b/__init__.py": "",
                "c/__init__.py": "",
            },
            "b",
            "b",
            id="poetry",
        ),
        pytest.param(
            {
                "pyproject.toml": '[project]\nname = "x"\n[project.entry-points.ptah_migrate]\n'
                'c = "c.migrations"',
                "b/__init__.py": "",
                "c/__init__.py": "",
            },
            "c",
            "c",
            id="entry point",
        ),
        pytest.param(
            {"blog/__init__.py": "", "tests/__init__.py": "", "docs/conf.py": ""},
            "blog",
            "blog",
            id="no pyproject.toml",
        ),
        pytest.param(
            {"pyproject.toml": "[tool.ruff]", "src/a/__init__.py": "", "b/__init__.py": ""},
            "a",
            "src/a",
            id="src before the rest",
        ),
    ],
)
def test_an_existing_package(tmp_path: Path, files: dict[str, str], name: str, folder: str) -> None:
    """The package of a project is found from its files alone."""
    root = build(tmp_path, files)

    assert project.find(tmp_path) == Found(root, name, root / folder, new=False)


def test_from_a_folder_of_the_project(tmp_path: Path) -> None:
    """The project is found from any folder in it."""
    root = build(tmp_path, {"pyproject.toml": "[project]\nname = 'b'", "src/b/__init__.py": ""})

    assert project.find(root / "src/b").root == root


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="nothing"),
        pytest.param({".git/HEAD": "", ".gitignore": ""}, id="git"),
        pytest.param({".venv/x": "", "env/pyvenv.cfg": ""}, id="virtual environments"),
        pytest.param(
            {"README.md": "", "LICENSE": "", "LICENCE.txt": "", "CHANGES.rst": ""}, id="texts"
        ),
    ],
)
def test_an_empty_directory(tmp_path: Path, files: dict[str, str]) -> None:
    """Where there is nothing yet a new project is made, named after the directory."""
    directory = tmp_path / "my-blog"
    directory.mkdir()
    root = build(directory, files)

    assert project.find(directory) == Found(root, "my_blog", root / "src/my_blog", new=True)
    assert project.find(directory, "other").name == "other"


def test_an_empty_directory_inside_a_project(tmp_path: Path) -> None:
    """An empty directory is a new project even below another one."""
    build(tmp_path, {"pyproject.toml": "[project]\nname = 'b'", "b/__init__.py": ""})
    (tmp_path / "demo").mkdir()

    assert project.find(tmp_path / "demo").new


@pytest.mark.parametrize(
    ("files", "name", "message", "hint"),
    [
        pytest.param(
            {"a/__init__.py": "", "b/__init__.py": ""},
            None,
            "'{root}' has several packages: 'a', 'b'",
            "name one: ptah-migrate init a",
            id="several",
        ),
        pytest.param(
            {"data.csv": ""},
            None,
            "'{root}' is not empty, and has neither a pyproject.toml nor a package",
            "run it in the folder of a project, or in an empty directory",
            id="something else",
        ),
        pytest.param(
            {"pyproject.toml": "[project]\nname = 'b'"},
            None,
            "the project in '{root}' has no package (a folder with an __init__.py)",
            "make the package first, or name it: ptah-migrate init NAME",
            id="no package",
        ),
        pytest.param(
            {"pyproject.toml": "[project]\nname = 'b'", "b/__init__.py": ""},
            "c",
            "there is no package 'c' in '{root}'",
            "make c/__init__.py first, or run it in an empty directory",
            id="another name",
        ),
    ],
)
def test_no_single_package(
    tmp_path: Path, files: dict[str, str], name: str | None, message: str, hint: str
) -> None:
    """Where it is not clear what is meant, the way out is told."""
    root = build(tmp_path, files)

    with pytest.raises(AuthoringError) as caught:
        project.find(tmp_path, name)

    assert str(caught.value) == message.format(root=root)
    assert caught.value.hint == hint


def test_a_name_that_is_no_name(tmp_path: Path) -> None:
    """A name that cannot be a package's is refused for that."""
    build(tmp_path, {"pyproject.toml": "[project]\nname = 'b'", "b/__init__.py": ""})

    with pytest.raises(NameTakenError, match="is a Python keyword"):
        project.find(tmp_path, "class")


def test_no_directory(tmp_path: Path) -> None:
    """A directory that is not there is said so."""
    with pytest.raises(AuthoringError, match="there is no directory"):
        project.find(tmp_path / "nowhere")


def test_a_broken_project_file(tmp_path: Path) -> None:
    """A pyproject.toml that is not TOML is named."""
    build(tmp_path, {"pyproject.toml": "[project", "b/__init__.py": ""})

    with pytest.raises(ConfigError, match=r"pyproject\.toml cannot be read"):
        project.find(tmp_path)


BASE = "class Base(DeclarativeBase):\n    pass\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param({"models.py": BASE}, "blog.models:Base.metadata", id="class"),
        pytest.param(
            {"models.py": "class Base(orm.DeclarativeBaseNoMeta): ..."},
            "blog.models:Base.metadata",
            id="dotted class",
        ),
        pytest.param(
            {"models.py": "@as_declarative()\nclass Base: ..."},
            "blog.models:Base.metadata",
            id="decorated class",
        ),
        pytest.param(
            {"models/__init__.py": "Base = declarative_base()"},
            "blog.models:Base.metadata",
            id="call",
        ),
        pytest.param(
            {"models.py": "metadata: sa.MetaData = sa.MetaData()"},
            "blog.models:metadata",
            id="metadata",
        ),
        pytest.param(
            {"models.py": "metadata = MetaData()\nBase = declarative_base(metadata=metadata)"},
            "blog.models:Base.metadata",
            id="both",
        ),
        pytest.param(
            {"models.py": "from .meta import Base", "meta.py": BASE},
            "blog.models:Base.metadata",
            id="imported, so that the models are known",
        ),
        pytest.param(
            {"models/__init__.py": "", "models/meta.py": BASE},
            "blog.models.meta:Base.metadata",
            id="in the folder of the models",
        ),
        pytest.param({"meta.py": BASE}, "blog.meta:Base.metadata", id="meta"),
        pytest.param({"models.py": "Base = make()"}, "", id="not visible"),
        pytest.param({"models.py": "if x:\n    metadata = MetaData()"}, "", id="conditional"),
        pytest.param({"models.py": "class Base: ..."}, "", id="another Base"),
        pytest.param({"models.py": "class Base("}, "", id="syntax error"),
        pytest.param({"views.py": BASE}, "", id="another module"),
        pytest.param({}, "", id="none"),
    ],
)
def test_the_models(tmp_path: Path, files: dict[str, str], found: str) -> None:
    """Metadata is named only where the text of the usual modules shows it."""
    build(tmp_path, files)

    assert project.metadata(tmp_path, "blog") == found


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        pytest.param(
            {"__init__.py": "ptah_migrate.register_migration('blog', 'blog:migrations')"},
            True,
            id="call",
        ),
        pytest.param(
            {"sub/db.py": "def f(config):\n    config.register_migration(name='blog', path='x')"},
            True,
            id="directive with keywords",
        ),
        pytest.param({"__init__.py": "register_migration('other', 'x')"}, False, id="another one"),
        pytest.param({"__init__.py": "# register_migration('blog')"}, False, id="comment"),
        pytest.param(
            {"migrations/__init__.py": "register_migration('blog', 'x')"}, False, id="the stub"
        ),
    ],
)
def test_a_registration_by_hand(tmp_path: Path, files: dict[str, str], answer: bool) -> None:
    """A package that registers its migrations itself is recognised."""
    build(tmp_path, files)

    assert project.registers(tmp_path, "blog") is answer


def test_the_state_file_comes_back(tmp_path: Path) -> None:
    """What is remembered is read as it was written; the bytes are sorted, LF, and end in one."""
    record = state.Record(
        "builtin:package", 1, {"title": "Bücher"}, {"b": "2", "a": "1"}, {"c": "\r\n"}
    )
    content = state.dump({"blog": record})
    (tmp_path / state.NAME).write_bytes(content)

    assert state.load(tmp_path) == {"blog": record}
    assert content == state.dump(state.load(tmp_path))
    assert content.endswith(b"}\n")
    assert content.index(b'"a": "1"') < content.index(b'"b": "2"')
    assert b"\r" not in content


def test_no_state_file(tmp_path: Path) -> None:
    """Without a state file nothing was generated."""
    assert state.load(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"format": 1}',
        '{"format": 1, "packages": {"b": {}}}',
        "\udcff",
        '{"format": 1, "packages": {"b": {"template": "t", "version": 1, "files": {"a": 1}}}}',
        '{"format": 1, "packages": {"b": {"template": "t", "version": 1, "answers": ["a"]}}}',
        '{"format": 1, "packages": {"b": {"template": "t", "version": 1, "other": {}}}}',
        "[" * 100_000,
    ],
)
def test_a_broken_state_file(tmp_path: Path, text: str) -> None:
    """A state file that is none is named, with the way out."""
    (tmp_path / state.NAME).write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(AuthoringError, match="is not a state file of ptah-migrate") as caught:
        state.load(tmp_path)

    assert caught.value.hint == "restore it from version control, or remove it to begin again"


def test_a_state_file_of_the_future(tmp_path: Path) -> None:
    """A state file of another format is not touched."""
    (tmp_path / state.NAME).write_text('{"format": 2}')

    with pytest.raises(AuthoringError, match="was written by another version"):
        state.load(tmp_path)
