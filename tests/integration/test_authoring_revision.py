"""New revisions, through the door that commands use, with real files."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptah_migrate import _history, registry
from ptah_migrate._authoring import Conventions, NewRevision, conventions, merge, revision
from ptah_migrate._authoring.templates import RevisionValues, render_revision
from ptah_migrate.errors import (
    AuthoringError,
    ConfigError,
    MultipleHeadsError,
    PackagePathError,
    PtahMigrateError,
    RevisionExistsError,
    RevisionIdError,
    UnknownRevisionError,
    UsageError,
)
from ptah_migrate.model import Package, Requirement

ROOT = Path(__file__).parents[2]
SLUGS = Conventions(file_template="{rev}_{slug}")
revision_module = sys.modules[revision.__module__]
New = Callable[..., NewRevision]


@pytest.fixture
def blog(tmp_path: Path) -> Package:
    """Return a package without revisions."""
    folder = tmp_path / "blog/migrations"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Schema history."""\n')
    return registry.make_package("blog", str(folder))


@pytest.fixture
def new(blog: Package) -> New:
    """Return a function that writes the next revision of the package."""
    return lambda **words: revision(blog, _history.read(blog), **words)


def names(package: Package) -> list[str]:
    """Return the names in the package's folder."""
    return sorted(os.listdir(package.path))


def write(package: Package, name: str, down: str | None = None, **constants: Any) -> None:
    """Write a revision file by hand."""
    values = {"revision": name, "down_revision": down, **constants}
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    Path(package.path, f"{name}.py").write_text("\n".join([*lines, "def upgrade(): pass"]))


def test_the_first_revision(blog: Package, new: New) -> None:
    """Contract 9: ``001`` is returned and written as ``001.py``."""
    made = new(id="001", message="Add column")

    assert made == NewRevision("001", Path(blog.path, "001.py"), ())
    [found] = _history.read(blog).revisions.values()
    assert (found.id, found.down, found.doc, found.path) == ("001", (), "Add column", made.path)
    assert found.has_upgrade
    assert found.has_downgrade


def test_the_next_number_follows(blog: Package, new: New) -> None:
    """Contract 8 and 11: without an id the next number follows the head."""
    made = [new(), new(), new(id="010"), new()]

    assert [(one.id, one.down) for one in made] == [
        ("001", ()),
        ("002", ("001",)),
        ("010", ("002",)),
        ("011", ("010",)),
    ]
    assert _history.read(blog).order() == ("001", "002", "010", "011")


def test_an_id_that_exists(blog: Package, new: New) -> None:
    """Contract 10: an id of the package is refused as a KeyError, and nothing is written."""
    path = new(id="001").path
    before = path.read_bytes()

    with pytest.raises(RevisionExistsError) as caught:
        new(id="001", message="again")

    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == "package 'blog' already has a revision '001'"
    assert caught.value.path == str(path)
    assert path.read_bytes() == before
    assert names(blog) == ["001.py", "__init__.py"]


def test_another_package_may_use_it(tmp_path: Path, new: New) -> None:
    """Contract 10: an id is unique inside its package only."""
    new(id="001")
    (tmp_path / "other").mkdir()
    other = registry.make_package("other", str(tmp_path / "other"))

    assert revision(other, _history.read(other), id="001").id == "001"


def test_an_id_in_another_file(blog: Package, new: New) -> None:
    """An id counts wherever it stands, whatever its file is called."""
    Path(blog.path, "first_column.py").write_text(
        "revision = '001'\ndown_revision = None\ndef upgrade(): pass"
    )

    with pytest.raises(RevisionExistsError) as caught:
        new(id="001")

    assert caught.value.path == str(Path(blog.path, "first_column.py"))


@pytest.mark.parametrize(
    "word", ["0.1", "0,1", "0;1", "0-1", "../evil", "a b", "", "head", "__init__"]
)
def test_an_impossible_id(blog: Package, new: New, word: str) -> None:
    """Contract 30: an id that cannot be one is refused, and nothing is written."""
    with pytest.raises(RevisionIdError):
        new(id=word)

    assert names(blog) == ["__init__.py"]


@pytest.mark.parametrize("word", ["Abc", "ABC"])
def test_an_id_that_differs_in_case_only(blog: Package, new: New, word: str) -> None:
    """Two ids that are one file on another system are refused."""
    new(id="abc")

    with pytest.raises(RevisionIdError) as caught:
        new(id=word)

    assert str(caught.value) == (
        f"revision id '{word}' differs from 'abc' of package 'blog' only in upper and lower case"
    )


def test_a_file_in_the_way(blog: Package, new: New) -> None:
    """A file of that name is never overwritten, even if it is no revision; numbers step over it."""
    Path(blog.path, "001.py").write_text("helper = 1\n")

    with pytest.raises(RevisionExistsError):
        new(id="001")

    assert new().id == "002"
    assert Path(blog.path, "001.py").read_text() == "helper = 1\n"


def test_an_id_that_is_a_label(blog: Package, new: New) -> None:
    """An id that is a branch label already would make both ambiguous."""
    write(blog, "001", branch_labels="crm")

    with pytest.raises(RevisionExistsError):
        new(id="crm")


def test_no_numbers(blog: Package, new: New) -> None:
    """A history of hexadecimal ids has no next number."""
    write(blog, "ae1027a6acf")

    with pytest.raises(RevisionIdError, match="does not number its revisions"):
        new()
    assert new(id="b1").down == ("ae1027a6acf",)


def test_old_ids_of_any_kind(blog: Package, new: New) -> None:
    """A revision can follow one whose id could not be given today."""
    write(blog, "1.0-beta'\"\\")

    made = new(id="002")

    assert _history.read(blog).revisions["002"].down == ("1.0-beta'\"\\",) == made.down


def test_requirements(blog: Package, new: New) -> None:
    """Revisions of other packages are written as they are given, each once."""
    new(requires=["other:003", "?third:1.0-b", "other:003"])

    assert _history.read(blog).revisions["001"].requires == (
        Requirement("other", "003"),
        Requirement("third", "1.0-b", optional=True),
    )


@pytest.mark.parametrize(
    "word",
    ["other", "other:", ":003", "a b:003", "other:003\n", "x:'", "other:head", "?", "blog:001"],
)
def test_impossible_requirements(blog: Package, new: New, word: str) -> None:
    """What is not ``package:revision`` of another package is refused."""
    with pytest.raises(UsageError) as caught:
        new(requires=[word])

    assert caught.value.exit_code == 2
    assert names(blog) == ["__init__.py"]


def test_several_heads(blog: Package, new: New) -> None:
    """With several heads somebody must say which one is followed."""
    write(blog, "001")
    write(blog, "002", "001")
    write(blog, "003", "001")

    for word in (None, "head"):
        with pytest.raises(MultipleHeadsError):
            new(head=word)
    assert new(head="002").down == ("002",)


def test_several_heads_on_purpose(blog: Package) -> None:
    """A package that has branches on purpose must say the head as well."""
    write(blog, "001")
    write(blog, "002")
    package = registry.make_package("blog", blog.path, branches=True)

    with pytest.raises(MultipleHeadsError):
        revision(package, _history.read(package))


def test_a_new_root(blog: Package, new: New) -> None:
    """``head="base"`` begins a second line."""
    new()

    assert new(head="base").down == ()
    assert _history.read(blog).bases == ("001", "002")


def test_a_branch(blog: Package, new: New) -> None:
    """A revision that is followed already can be followed again when that is said."""
    new()
    new()

    with pytest.raises(AuthoringError) as caught:
        new(head="001")
    assert str(caught.value) == "'001' of package 'blog' is not a head, another revision follows it"
    assert caught.value.hint == "heads: 002; --splice begins a branch here"

    assert new(head="001", splice=True).down == ("001",)
    assert _history.read(blog).heads == ("002", "003")


@pytest.mark.parametrize("splice", [True, False])
def test_an_unknown_head(blog: Package, new: New, splice: bool) -> None:
    """A head that is not in the history is told, with those that are."""
    new()

    with pytest.raises(UnknownRevisionError, match="has no revision '007'"):
        new(head="007", splice=splice)


def test_a_head_where_there_is_none(blog: Package, new: New) -> None:
    """An empty history has nothing to follow, but a root can begin."""
    with pytest.raises(PtahMigrateError):
        new(head="heads")

    assert new(head="base").down == ()


def test_labels(blog: Package, new: New) -> None:
    """A branch label is written, and can be used as head from then on."""
    new(labels=["crm"])

    assert _history.read(blog).revisions["001"].labels == ("crm",)
    assert new(head="crm@head").down == ("001",)


@pytest.mark.parametrize("label", ["", "a b", "a-b", "1", "head", "x@y", "taken", "two\nlines"])
def test_impossible_labels(blog: Package, new: New, label: str) -> None:
    """A label must be one word, and new."""
    write(blog, "001", branch_labels="taken")

    with pytest.raises(UsageError):
        new(labels=[label])

    assert names(blog) == ["001.py", "__init__.py"]


def test_a_label_that_is_the_id(new: New) -> None:
    """Id and label of one revision differ."""
    with pytest.raises(UsageError, match="cannot be both id and label"):
        new(id="crm", labels=["crm"])


def test_a_merge(blog: Package, new: New) -> None:
    """A merge joins all heads, or those named, into one."""
    for name in ("001", "002", "003"):
        write(blog, name)

    some = merge(blog, _history.read(blog), heads=["001", "002"], message="Join")
    all_ = merge(blog, _history.read(blog), id="last")

    assert (some.id, some.down) == ("004", ("001", "002"))
    assert (all_.id, sorted(all_.down)) == ("last", ["003", "004"])
    assert _history.read(blog).heads == ("last",)


@pytest.mark.parametrize("heads", [[], ["001"], ["001", "001"]])
def test_nothing_to_merge(blog: Package, new: New, heads: Sequence[str]) -> None:
    """One head is no reason for a merge."""
    new()

    with pytest.raises(AuthoringError) as caught:
        merge(blog, _history.read(blog), heads=heads)

    assert str(caught.value) == "a merge of package 'blog' needs two heads, there is '001'"


def test_a_merge_of_inner_revisions(blog: Package, new: New) -> None:
    """Only heads can be merged."""
    new()
    new()

    with pytest.raises(AuthoringError, match="'001' of package 'blog' is not a head"):
        merge(blog, _history.read(blog), heads=["001", "002"])


def test_a_history_in_several_directories(tmp_path: Path) -> None:
    """New files go into the first directory, or into the one that is named."""
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder in folders:
        folder.mkdir()
    package = registry.make_package("blog", [str(folders[0]), str(folders[1])])

    first = revision(package, _history.read(package))
    second = revision(package, _history.read(package), directory=folders[1])

    assert first.path == folders[0] / "001.py"
    assert second.path == folders[1] / "002.py"
    with pytest.raises(AuthoringError, match="is not a directory of package 'blog'"):
        revision(package, _history.read(package), directory=folders[2])


def test_a_folder_of_a_recursive_history(tmp_path: Path) -> None:
    """Where sub-folders are searched a new file may go into one."""
    (tmp_path / "2.0").mkdir()
    package = registry.make_package("blog", str(tmp_path), recursive=True)

    made = revision(package, _history.read(package), directory=tmp_path / "2.0")

    assert made.path == tmp_path / "2.0/001.py"
    assert "001" in _history.read(package)


def test_a_missing_directory(tmp_path: Path) -> None:
    """Contract 7: the package and the path are named when the directory is not there."""
    package = registry.make_package("blog", str(tmp_path / "nowhere"))
    history = _history.History("blog", {})

    with pytest.raises(PackagePathError) as caught:
        revision(package, history)

    assert str(caught.value) == (
        f"the migrations directory '{tmp_path / 'nowhere'}' of package 'blog' does not exist"
    )


def test_an_unwritable_directory(blog: Package, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that takes no files is one clear error."""
    real = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(".tmp"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(AuthoringError) as caught:
        new()

    assert str(caught.value) == f"cannot write '{Path(blog.path, '001.py')}': permission denied"
    assert names(blog) == ["__init__.py"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
@pytest.mark.parametrize("size", [0, 1, 200])
def test_a_full_disk(blog: Package, size: int) -> None:
    """When the disk is full at any byte there is no file, and the next command works."""
    code = (
        "import resource, sys\n"
        "from ptah_migrate import _history, registry\n"
        "from ptah_migrate._authoring import revision\n"
        "from ptah_migrate.errors import AuthoringError\n"
        "blog = registry.make_package('blog', sys.argv[1])\n"
        "history = _history.read(blog)\n"
        "sys.dont_write_bytecode = True\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))\n"
        "try:\n"
        "    revision(blog, history)\n"
        "except AuthoringError as error:\n"
        "    sys.exit(str(error))\n"
    )

    done = run(code, blog.path, str(size))

    assert (done.returncode, names(blog)) == (1, ["__init__.py"])
    assert done.stderr.strip() == f"cannot write '{Path(blog.path, '001.py')}': file too large"
    assert revision(blog, _history.read(blog)).id == "001"


def test_many_at_once(blog: Package) -> None:
    """Twenty processes that make the next revision make twenty, one after the other."""
    answers = at_once(blog, "", 20)

    numbers = [f"{number:03}" for number in range(1, 21)]
    assert sorted(answers) == [["made", number] for number in numbers]
    assert _history.read(blog).order() == tuple(numbers)
    assert names(blog) == [*(f"{number}.py" for number in numbers), "__init__.py"]


def test_many_at_once_with_slugs(blog: Package) -> None:
    """Numbers are distinct although no two files have one name; the head file is the last one."""
    Path(blog.path, "head.txt").write_text("")

    answers = at_once(blog, "", 6)

    numbers = [f"{number:03}" for number in range(1, 7)]
    assert sorted(answers) == [["made", number] for number in numbers]
    history = _history.read(blog)
    assert history.order() == tuple(numbers)
    assert Path(blog.path, "head.txt").read_text() == f"{history.revisions['006'].path.stem}\n"


def test_many_of_one_id_at_once(blog: Package) -> None:
    """Of several processes that make the same revision exactly one succeeds."""
    answers = at_once(blog, "x", 6)

    assert sorted(outcome for outcome, _ in answers) == ["exists"] * 5 + ["made"]
    assert all("leave -r out" in hint for outcome, hint in answers if outcome == "exists")
    assert names(blog) == ["__init__.py", "x.py"]
    assert _history.read(blog).revisions["x"].doc.startswith("process ")


def at_once(blog: Package, given: str, count: int) -> list[list[str]]:
    """Let processes make a revision at the same moment; return what became of each."""
    code = (
        "import json, sys\n"
        "from ptah_migrate import _history, registry\n"
        "from ptah_migrate._authoring import revision\n"
        "from ptah_migrate.errors import RevisionExistsError\n"
        "blog = registry.make_package('blog', sys.argv[1])\n"
        "history = _history.read(blog)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    made = revision(blog, history, id=sys.argv[2] or None, message=sys.argv[3])\n"
        "    print(json.dumps(['made', made.id]))\n"
        "except RevisionExistsError as error:\n"
        "    print(json.dumps(['exists', error.hint]))\n"
    )
    started = [start(code, blog.path, given, f"process {number}") for number in range(count)]
    for process in started:  # all have read the same history before one is let go
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=60)[0]) for process in started]


def test_where_folders_cannot_be_locked(
    blog: Package, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks a number that somebody takes meanwhile is refused, not overwritten."""
    monkeypatch.setattr("ptah_migrate._authoring.exclusive._opened", lambda folder: None)

    def slowly(values: RevisionValues, *arguments: Any) -> bytes:
        Path(blog.path, "001.py").write_text("somebody's\n")
        return render_revision(values, *arguments)

    monkeypatch.setattr(revision_module, "render_revision", slowly)

    with pytest.raises(RevisionExistsError) as caught:
        new()

    assert caught.value.hint == "run the same command again"
    assert Path(blog.path, "001.py").read_text() == "somebody's\n"


def test_a_writer_that_hangs(blog: Package, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits forever for another process."""
    monkeypatch.setattr("ptah_migrate._authoring.exclusive._locked", lambda descriptor: False)
    clock = iter([0.0, 5.0, 11.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))

    with pytest.raises(AuthoringError, match="another process is writing in"):
        new()

    assert names(blog) == ["__init__.py"]


# -- how files are named and formatted ------------------------------------------------


def test_slugs(blog: Package, new: New) -> None:
    """With slugs a file is named after id and message, and the head file names the newest."""
    made = [new(message=text, conventions=SLUGS) for text in ("Add column", "", "../../é vil!")]

    assert [one.path.name for one in made] == ["001_add_column.py", "002.py", "003_e_vil.py"]
    assert Path(blog.path, "head.txt").read_text() == "003_e_vil\n"
    assert new(message="No setting, but a head file").path.stem == "004_no_setting_but_a_head_file"


def test_a_head_file_of_branches(blog: Package, new: New) -> None:
    """Each head has a line, and a merge leaves one."""
    for words in ({"message": "a"}, {"message": "b"}, {"head": "001", "splice": True}):
        new(conventions=SLUGS, **words)
    assert Path(blog.path, "head.txt").read_text() == "002_b\n003\n"

    merge(blog, _history.read(blog), message="Join", conventions=SLUGS)

    assert Path(blog.path, "head.txt").read_text() == "004_join\n"


def test_a_head_file_that_cannot_be_written(blog: Package, new: New) -> None:
    """Without its line in the head file there is no new revision."""
    Path(blog.path, "head.txt").mkdir()

    with pytest.raises(AuthoringError):
        new(conventions=SLUGS)

    assert names(blog) == ["__init__.py", "head.txt"]


@pytest.mark.parametrize("template", ["{slug}", "{rev}-{slug}", "../{rev}", ""])
def test_an_unknown_file_template(template: str) -> None:
    """Files are named by id, or by id and message; a setting that says else is refused."""
    settings = {"ptah_migrate.file_template": template}
    if not template:
        assert conventions(settings) == Conventions()
        return

    with pytest.raises(ConfigError) as caught:
        conventions(settings)

    assert caught.value.hint == "one of {rev}, {rev}_{slug}"


def test_an_unknown_formatter() -> None:
    """Only formatters that we know how to run are run."""
    with pytest.raises(ConfigError, match="'rm', which is no formatter"):
        conventions({"ptah_migrate.format": "rm"})


def test_a_formatted_file(blog: Package, new: New, tmp_path: Path) -> None:
    """A configured formatter brings the file into the project's own shape."""
    Path(tmp_path, "pyproject.toml").write_text("[tool.ruff.format]\nquote-style = 'single'\n")

    made = new(message="x", conventions=conventions({"ptah_migrate.format": "ruff"}))

    assert made.problem == ""
    assert "revision = '001'\n" in made.path.read_text()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        pytest.param("exit 0", "", id="fine"),
        pytest.param(
            "echo no config >&2; exit 3", "black failed with exit code 3: no config", id="fails"
        ),
        pytest.param(None, "black is not installed", id="missing"),
        pytest.param(
            'for f; do :; done; sed -i s/001/002/ "$f"',
            "black changed what the file says: its constants are not those asked for",
            id="changes the id",
        ),
        pytest.param(
            'for f; do :; done; : > "$f"',
            "black changed what the file says: its docstring does not begin with the message",
            id="empties the file",
        ),
    ],
)
def test_a_formatter_that_fails(
    blog: Package,
    new: New,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    problem: str,
) -> None:
    """A formatter's failure is told, and the file is kept as it was generated."""
    tools = tmp_path / "bin"
    tools.mkdir()
    if script is not None:
        (tools / "black").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "black").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tools / "python"))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    plain = render_revision(RevisionValues("001", "x"))

    made = new(message="x", conventions=Conventions(formatter="black"))

    assert made.problem == problem
    assert made.path.read_bytes() == plain


def test_a_step_that_moves_rows(blog: Package, new: New) -> None:
    """``data`` gives operations on rows to begin with, marked as not written."""
    text = new(message="Fill", data=True).path.read_text()

    assert "op.bulk_insert(example, " in text
    assert text.count("    # ptah-migrate: not written yet\n") == 2
    assert "noqa" not in text
    assert _history.unwritten(text)


@pytest.mark.parametrize("message", ["a\udce9", "\ud83d"])
def test_half_a_character(blog: Package, new: New, message: str) -> None:
    """A message made of bytes that are no text is refused, because no file can carry it."""
    with pytest.raises(UsageError, match="has half a character at"):
        new(message=message)

    assert names(blog) == ["__init__.py"]


def test_the_file_is_plain_alembic(new: New) -> None:
    """Contract 44: the file runs as it is, with empty ``upgrade`` and ``downgrade``."""
    path = new(message="Add column").path

    space: dict[str, Any] = {}
    exec(compile(path.read_bytes(), path, "exec"), space)  # what Alembic does with it

    assert (space["revision"], space["down_revision"]) == ("001", None)
    assert (space["branch_labels"], space["depends_on"]) == (None, None)
    assert space["upgrade"]() is None
    assert space["downgrade"]() is None


def test_light(blog: Package) -> None:
    """A server that writes a revision loads neither copier, nor alembic, nor SQLAlchemy."""
    code = (
        "import sys\n"
        "from ptah_migrate import _history, registry\n"
        "from ptah_migrate._authoring import revision\n"
        "assert 'jinja2' not in sys.modules\n"
        "blog = registry.make_package('blog', sys.argv[1])\n"
        "revision(blog, _history.read(blog))\n"
        "print(sorted({'copier', 'alembic', 'sqlalchemy', 'pyramid', 'yaml'} & set(sys.modules)))\n"
    )

    assert run(code, blog.path).stdout.strip() == "[]"


@given(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.text(max_size=8),
    st.lists(st.text(max_size=12), max_size=2),
    st.lists(st.text(max_size=8), max_size=2),
)
def test_hostile_words(
    tmp_path_factory: pytest.TempPathFactory,
    message: str,
    word: str,
    requires: list[str],
    labels: list[str],
) -> None:
    """Whatever is typed, there is one correct file in the folder or nothing at all."""
    folder = tmp_path_factory.mktemp("migrations")
    package = registry.make_package("blog", str(folder))
    history = _history.read(package)

    try:
        made = revision(
            package, history, id=word, message=message, requires=requires, labels=labels
        )
    except PtahMigrateError:
        assert os.listdir(folder) == []
        return

    assert os.listdir(folder) == [f"{word}.py"]
    tree = ast.parse(made.path.read_bytes())
    assert (ast.get_docstring(tree, clean=False) or "") == message
    assert tuple(_history.read(package).revisions) == (word,)


def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run Python code to its end."""
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def start(code: str, *args: str) -> subprocess.Popen[str]:
    """Start Python code that waits for a line."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
