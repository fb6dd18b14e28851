"""Revision files are read, not run: what they say, and what is wrong with them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptah_migrate._history import History, parse, read
from ptah_migrate.errors import (
    CycleError,
    DuplicateRevisionError,
    HistoryError,
    PackagePathError,
    RevisionFileError,
    UnknownRevisionError,
)
from ptah_migrate.model import Requirement, Revision
from ptah_migrate.registry import make_package
from tests.helpers import revision_source

FUNCTIONS = "def upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
# A file that tells by its import that it was run.
RUN = "import sys\nsys.modules['ptah_test_was_run'] = sys\n"


@pytest.fixture(autouse=True)
def was_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Return a function that tells whether a file with `RUN` in it was run."""
    monkeypatch.delitem(sys.modules, "ptah_test_was_run", raising=False)
    return lambda: sys.modules.pop("ptah_test_was_run", None) is not None


def parsed(tmp_path: Path, source: str | bytes, name: str = "001.py") -> Revision | None:
    path = tmp_path / name
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return parse(path, "blog")


def refused(tmp_path: Path, source: str | bytes) -> RevisionFileError:
    with pytest.raises(RevisionFileError) as caught:
        parsed(tmp_path, source)
    return caught.value


def history(tmp_path: Path, files: dict[str, str], **arguments: Any) -> History:
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return read(make_package("blog", str(tmp_path), **arguments))


# -- one file ----------------------------------------------------------------------------


def test_everything_a_file_says(tmp_path: Path) -> None:
    """Ids, labels, needs of other packages and the first line of the docstring are read."""
    source = (
        '"""Add a column\n\nRevision ID: 003\n"""\n'
        'revision = "003"\n'
        'down_revision = ("001", "002")\n'
        'branch_labels = ("stable",)\n'
        'depends_on = ["000", "shop:004", "blog:002b"]\n'
        'requires = ("cms:001", "?wiki:002", "blog:002c")\n'
        'run_before = "shop:009"\n' + FUNCTIONS
    )

    assert parsed(tmp_path, source) == Revision(
        package="blog",
        id="003",
        file=str(tmp_path / "001.py"),
        down=("001", "002"),
        depends_on=("000", "002c", "002b"),
        requires=(
            Requirement("cms", "001"),
            Requirement("wiki", "002", optional=True),
            Requirement("shop", "004"),
        ),
        run_before=(Requirement("shop", "009"),),
        labels=("stable",),
        doc="Add a column",
    )


@pytest.mark.parametrize(
    ("constants", "down"),
    [
        pytest.param("revision = '2'\ndown_revision = '1'", ("1",), id="plain"),
        pytest.param("revision: str = '2'\ndown_revision: str = '1'", ("1",), id="annotated"),
        pytest.param(
            "from typing import Sequence, Union\n"
            "revision: str = '2'\n"
            "down_revision: Union[str, Sequence[str], None] = None\n"
            "depends_on: Union[str, Sequence[str], None]",
            (),
            id="as Alembic writes them now",
        ),
        pytest.param("revision = '2'\ndown_revision = ('0', '1')", ("0", "1"), id="a tuple"),
        pytest.param("revision = '2'\ndown_revision = ['0', '1']", ("0", "1"), id="a list"),
        pytest.param("revision = '2'\ndown_revision = {'1', '0'}", ("0", "1"), id="a set"),
        pytest.param("revision = '2'\ndown_revision = ('1', '1')", ("1",), id="one twice"),
        pytest.param("revision = '2'\ndown_revision = None", (), id="None"),
        pytest.param("revision = '2'\ndown_revision = ''", (), id="an empty text"),
        pytest.param("revision = '2'\ndown_revision = ()", (), id="an empty tuple"),
        pytest.param("revision = ('2'); down_revision = ('1')", ("1",), id="in brackets"),
        pytest.param("revision = '' '2'\ndown_revision = r'1'", ("1",), id="two literals"),
        pytest.param("ID = '2'\nrevision = ID\ndown_revision = '1'", ("1",), id="by a name"),
        pytest.param("revision = rev = '2'\ndown_revision = '1'", ("1",), id="a chain"),
        pytest.param("revision = '1'\nrevision = '2'\ndown_revision = '1'", ("1",), id="again"),
    ],
)
@pytest.mark.parametrize("before", ["", "# Copyright, a licence\n#\n\n", '"""Words."""\n'])
def test_ways_to_write_constants(
    tmp_path: Path, was_run: Callable[[], bool], constants: str, down: tuple[str, ...], before: str
) -> None:
    """The text tells enough in every usual form, so the file is not run."""
    found = parsed(tmp_path, f"{before}{RUN}{constants}\n{FUNCTIONS}")

    assert found is not None
    assert (found.id, found.down) == ("2", down)
    assert not was_run()


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("class Kind:\n    a = 1\n\n", id="a class"),
        pytest.param("import enum\n\n@enum.unique\nclass Kind(enum.Enum):\n    a = 1\n\n", id="@"),
        pytest.param("def helper():\n    revision = 'no'\n\n", id="a function"),
        pytest.param('"""Says\ndef and\nclass at the beginning of lines."""\n', id="a docstring"),
        pytest.param("async def helper():\n    pass\n\n", id="a coroutine"),
    ],
)
def test_constants_below_code(tmp_path: Path, was_run: Callable[[], bool], source: str) -> None:
    """Constants below the first class or function are found in the whole file's text."""
    found = parsed(tmp_path, f"{source}{RUN}revision = '2'\ndown_revision = '1'\n{FUNCTIONS}")

    assert found is not None
    assert (found.id, found.down) == ("2", ("1",))
    assert not was_run()


def test_a_parent_below_the_functions(tmp_path: Path) -> None:
    """A header with half of the constants does not hide the other half."""
    found = parsed(tmp_path, f"revision = '2'\n{FUNCTIONS}down_revision = '1'\n")

    assert found is not None
    assert found.down == ("1",)


@pytest.mark.parametrize(
    ("constants", "id_"),
    [
        pytest.param("revision = 'a' + 'b'\ndown_revision = None", "ab", id="a sum"),
        pytest.param("revision = f'{1}'\ndown_revision = None", "1", id="an f-string"),
        pytest.param("revision, down_revision = 'ab', None", "ab", id="unpacked"),
        pytest.param("if True:\n    revision = 'x'\ndown_revision = None", "x", id="if"),
        pytest.param(
            "try:\n    import nope\nexcept ImportError:\n    revision = 'x'\ndown_revision = None",
            "x",
            id="try",
        ),
        pytest.param("from os import sep as revision\ndown_revision = None", os.sep, id="imported"),
        pytest.param("revision = 'a'\nrevision += 'b'\ndown_revision = None", "ab", id="added to"),
        pytest.param(
            "import pathlib\nrevision = pathlib.Path(__file__).stem\ndown_revision = None",
            "001",
            id="of the file name",
        ),
        pytest.param("revision = 'x'\ndown_revision = None or None", "x", id="a computed parent"),
        pytest.param(
            "revision = 'x'\ndown_revision = None\nrequires = tuple(['shop:1'])",
            "x",
            id="a computed need",
        ),
    ],
)
def test_what_only_running_tells(
    tmp_path: Path, was_run: Callable[[], bool], constants: str, id_: str
) -> None:
    """A computed constant is the last resort, and the only one, for which a file is run."""
    found = parsed(tmp_path, f"{RUN}{constants}\n{FUNCTIONS}")

    assert found is not None
    assert found.id == id_
    assert was_run()


def test_a_file_that_must_be_run_and_fails(tmp_path: Path) -> None:
    """What a file raises while it is run for its id is told with its line."""
    error = refused(tmp_path, "revision = str(1)\ndown_revision = None\n1 / 0\n")

    assert error.message == (
        f"{tmp_path / '001.py'}:3: cannot be imported: ZeroDivisionError: division by zero"
    )


def test_a_file_that_must_be_run_and_exits(tmp_path: Path) -> None:
    """``sys.exit`` in a file that is run for its id ends nothing."""
    error = refused(tmp_path, "import sys\nrevision = str(1)\ndown_revision = None\nsys.exit(3)\n")

    assert error.message == f"{tmp_path / '001.py'}:4: cannot be imported: SystemExit: 3"


def test_an_interrupt_is_the_users(tmp_path: Path) -> None:
    """Ctrl-C while a file is run is not taken for an error of the file."""
    with pytest.raises(KeyboardInterrupt):
        parsed(tmp_path, "revision = str(1)\ndown_revision = None\nraise KeyboardInterrupt\n")


def test_a_dataclass_in_a_file_that_must_be_run(tmp_path: Path) -> None:
    """A file is a module of its own while it is run (alembic#1419)."""
    found = parsed(
        tmp_path,
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        f"@dataclass\nclass A:\n    x: int\nrevision = str(1)\ndown_revision = None\n{FUNCTIONS}",
    )

    assert found is not None
    assert found.id == "1"


@pytest.mark.parametrize(
    ("data", "doc"),
    [
        pytest.param(b'\xef\xbb\xbf"""caf\xc3\xa9"""\n', "café", id="BOM"),
        pytest.param(b'# -*- coding: latin-1 -*-\n"""caf\xe9"""\n', "café", id="coding cookie"),
        pytest.param(
            b'#!/usr/bin/python\n# vim: set fileencoding=cp1252:\n"""\x80"""\n', "€", id="vim"
        ),
        pytest.param('"""漢字"""\n'.encode(), "漢字", id="UTF-8"),
    ],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_encodings_and_line_ends(tmp_path: Path, data: bytes, doc: str, newline: bytes) -> None:
    """A file is decoded as Python does it, whatever its line ends are."""
    data += b"revision = '2'\ndown_revision = '1'\nclass A:\n    pass\n" + FUNCTIONS.encode()

    found = parsed(tmp_path, data.replace(b"\n", newline))

    assert found == Revision("blog", "2", str(tmp_path / "001.py"), ("1",), doc=doc)


@pytest.mark.parametrize(
    ("source", "upgrade", "downgrade"),
    [
        pytest.param(FUNCTIONS, True, True, id="both"),
        pytest.param("def upgrade():\n    pass\n", True, False, id="no way back"),
        pytest.param("# downgrade is for cowards\n", False, False, id="a comment"),
        pytest.param("def upgrade_data():\n    pass\n", False, False, id="a longer name"),
        pytest.param("upgrade = downgrade = print\n", True, True, id="assigned"),
        pytest.param("upgrade, downgrade = print, print\n", True, True, id="unpacked"),
        pytest.param("from os import close as downgrade\n", False, True, id="imported"),
        pytest.param("from os import (\n    close as upgrade,\n)\n", True, True, id="in brackets"),
        pytest.param("from os import *\n", True, True, id="star"),
        pytest.param("if True:\n    def upgrade():\n        pass\n", True, False, id="in a block"),
        pytest.param("async def upgrade():\n    pass\n", True, False, id="a coroutine"),
        pytest.param("import other.upgrade as upgrade\n", True, False, id="a module"),
    ],
)
def test_the_functions(tmp_path: Path, source: str, upgrade: bool, downgrade: bool) -> None:
    """Whether the functions are there is seen from the text; in doubt they are."""
    found = parsed(tmp_path, f"revision = '2'\ndown_revision = '1'\n{source}")

    assert found is not None
    assert (found.has_upgrade, found.has_downgrade) == (upgrade, downgrade)


def test_no_warnings_of_somebody_elses_text(tmp_path: Path) -> None:
    """An invalid escape in a revision is no matter of who reads its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = parsed(tmp_path, "x = '\\d'\nrevision = '2'\ndown_revision = None\n")

    assert found is not None


# -- what is no revision file -------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(f"{RUN}def helper():\n    revision = '1'\n", id="functions"),
        pytest.param("# nothing\n", id="a comment"),
        pytest.param("class revision:\n    pass\n", id="a class of that name"),
        pytest.param("all = [revision for revision in ()]\n", id="a comprehension"),
        pytest.param("print([revision for revision in ()])\n", id="a comprehension in a call"),
        pytest.param("branch_labels = None\ndepends_on = None\n", id="other constants"),
        pytest.param("import revisions\n", id="an import"),
        pytest.param("revision: str\n", id="an annotation alone"),
    ],
)
def test_helper_modules(tmp_path: Path, was_run: Callable[[], bool], source: str) -> None:
    """A module that defines neither revision nor down_revision is left alone, and not run."""
    assert parsed(tmp_path, source) is None
    assert not was_run()


def test_a_helper_that_turns_out_to_be_one(tmp_path: Path) -> None:
    """A name that is gone when the module has run does not count."""
    assert parsed(tmp_path, "for revision in ():\n    pass\n") is None


def test_what_is_left_alone(tmp_path: Path) -> None:
    """Package files, editor files, templates, folders and caches are no revisions."""
    (tmp_path / "001.py").mkdir()
    (tmp_path / ".#003.py").symlink_to("somebody@somewhere.1234")
    os.mkfifo(tmp_path / "pipe.py")
    found = history(
        tmp_path,
        {
            "__init__.py": "raise RuntimeError",
            "002.py": revision_source("002"),
            "002.py.orig": "<<<<<<< ours",
            "script.py.mako": "${message}",
            "003.pyc": "",
            "sub/004.py": revision_source("004"),
            "__pycache__/005.py": revision_source("005"),
            "helpers.py": "def upgrade(): pass",
            "README": "",
        },
    )

    assert list(found.revisions) == ["002"]


# -- what is wrong with a file ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("revision = (\n", ":1: syntax error: '(' was never closed", id="syntax"),
        pytest.param(
            "revision = '1'\n<<<<<<< HEAD\ndown_revision = '2'\n=======\ndown_revision = '3'\n"
            ">>>>>>> theirs\n",
            ":2: has conflict markers",
            id="conflict markers",
        ),
        pytest.param(b"revision = '1'\n\0", ": contains NUL bytes", id="NUL"),
        pytest.param(
            "revision = '1'".encode("utf-16"),
            ": is not Python text: invalid or missing encoding declaration",
            id="UTF-16",
        ),
        pytest.param(
            b"# \xe9\nrevision = '1'\n",
            ": is not Python text: invalid or missing encoding declaration",
            id="no coding cookie",
        ),
        pytest.param(
            b"#\n#\nx = '\xe9'\nrevision = '1'\n", ": is not Python text: 'utf-8'", id="below it"
        ),
        pytest.param(
            "# coding: klingon\n", ": is not Python text: unknown encoding: klingon", id="cookie"
        ),
        pytest.param("# coding: rot13\n", ": is not Python text: 'rot13' is not", id="no text"),
        pytest.param("# coding: undefined\n", ": is not Python text: ", id="undefined"),
        pytest.param("", ": is empty", id="empty"),
        pytest.param("\n  \n", ": is empty", id="blank"),
        pytest.param("revision = '1'\n", ": has no down_revision", id="no parent"),
        pytest.param("down_revision = '1'\n", ": has no revision", id="no id"),
        pytest.param(
            "revision = 1\ndown_revision = None\n",
            ": revision is 1, it must be a text that is not empty",
            id="a number",
        ),
        pytest.param(
            "revision = ''\ndown_revision = None\n",
            ": revision is '', it must be a text that is not empty",
            id="an empty id",
        ),
        pytest.param(
            "revision = None\ndown_revision = None\n",
            ": revision is None, it must be a text that is not empty",
            id="None",
        ),
        pytest.param(
            "revision = 'head'\ndown_revision = None\n",
            ": revision is 'head', which means something else in a target",
            id="head",
        ),
        pytest.param(
            "revision = '-1'\ndown_revision = None\n",
            ": revision is '-1', which means something else in a target",
            id="a relative target",
        ),
        pytest.param(
            "revision = 'a@b'\ndown_revision = None\n",
            ": revision is 'a@b', which means something else in a target",
            id="a label",
        ),
        pytest.param(
            f"revision = '{'x' * 129}'\ndown_revision = None\n",
            ": revision has 129 characters, at most 128 can be recorded",
            id="too long",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = 7\n",
            ": down_revision is 7, it must be text or None",
            id="a number as parent",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = None\ndepends_on = False\n",
            ": depends_on is False, it must be text or None",
            id="a truth as dependency",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = ('0', None)\n",
            ": down_revision is ('0', None), it must be text or None",
            id="None among parents",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = None\nrequires = 'shop'\n",
            ": 'shop' must be written package:revision, as in 'other:003'",
            id="no revision in requires",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = None\nrequires = ':3'\n",
            ": ':3' must be written package:revision, as in 'other:003'",
            id="no package in requires",
        ),
        pytest.param(
            "revision = '1'\ndown_revision = None\nrun_before = 'shop:-1'\n",
            ": 'shop:-1' must be written package:revision, as in 'other:003'",
            id="a relative place",
        ),
        pytest.param(
            f"revision = '1'\ndown_revision = {'(' * 150}1{')' * 150}\nx = {'-' * 9999}1\n",
            ":",
            id="too deep",
        ),
    ],
)
def test_broken_files(tmp_path: Path, source: str | bytes, message: str) -> None:
    """A broken file is named, with the line where there is one, and what is wrong."""
    error = refused(tmp_path, source)

    assert error.message.startswith(f"{tmp_path / '001.py'}{message}")
    assert "\n" not in error.message
    assert error.hint


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    """A dangling link among the revisions is not passed over in silence."""
    (tmp_path / "001.py").symlink_to(tmp_path / "gone.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")

    with pytest.raises(RevisionFileError, match=r"001\.py: cannot be read: No such file"):
        read(make_package("blog", str(tmp_path)))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    """A file or folder that may not be read is named; it is not taken for nothing."""
    (tmp_path / "versions").mkdir(mode=0)
    with pytest.raises(PackagePathError, match="cannot be read: Permission denied"):
        read(make_package("blog", str(tmp_path / "versions")))

    (tmp_path / "001.py").touch(mode=0)
    with pytest.raises(RevisionFileError, match="cannot be read: Permission denied"):
        read(make_package("blog", str(tmp_path)))


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed is an error, not an empty history."""

    def forbidden(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(PackagePathError) as caught:
        read(make_package("blog", str(tmp_path)))

    assert caught.value.message == (
        f"the migrations directory '{tmp_path}' of package 'blog' cannot be read: Permission denied"
    )


# -- several files ---------------------------------------------------------------------------


def test_a_chain(tmp_path: Path) -> None:
    """The files' names and order mean nothing; what they say does."""
    found = history(
        tmp_path,
        {
            "a_last.py": revision_source("v3.0.0.a", "été"),
            "b_first.py": revision_source("1"),
            "c_middle.py": revision_source("été", "1"),
        },
    )

    assert found.order() == ("1", "été", "v3.0.0.a")
    assert (found.bases, found.heads, found.linear) == (("1",), ("v3.0.0.a",), True)
    assert found.directories == (tmp_path,)
    assert len(found) == 3


def test_no_files(tmp_path: Path) -> None:
    """A directory without revisions is an empty history."""
    found = history(tmp_path, {"__init__.py": ""})

    assert (found.order(), found.heads, found.bases, found.tops) == ((), (), (), ())
    assert found.linear


def test_nothing_is_run(tmp_path: Path, was_run: Callable[[], bool]) -> None:
    """Reading a history runs no revision file whose text tells enough."""
    source = RUN + "import no_such_module_anywhere\n"
    history(
        tmp_path,
        {f"{n}.py": source + revision_source(str(n), str(n - 1) if n else None) for n in range(5)},
    )

    assert not was_run()


def test_folders_below(tmp_path: Path) -> None:
    """Revisions in a folder for each release are found where the registration says so."""
    files = {
        "2.0/003.py": revision_source("003", "002"),
        "1.0/002.py": revision_source("002", "001"),
        "1.0/deep/001.py": revision_source("001"),
        "1.0/__init__.py": "",
        "1.0/__pycache__/004.py": revision_source("004"),
    }

    assert history(tmp_path, files, recursive=True).order() == ("001", "002", "003")
    assert history(tmp_path, files).order() == ()


def test_folders_that_link_to_one_another(tmp_path: Path) -> None:
    """A loop of links ends, and no file is taken twice."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)

    found = history(tmp_path, {"sub/001.py": revision_source("001")}, recursive=True)

    assert found.order() == ("001",)


def test_several_directories(tmp_path: Path) -> None:
    """A history may be kept in several directories; one that is given twice counts once."""
    for name, source in (("one/001.py", revision_source("001")), ("two/002.py", "")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(source or revision_source("002", "001"), encoding="utf-8")
    (tmp_path / "again").symlink_to(tmp_path / "one")
    paths = [str(tmp_path / name) for name in ("one", "two", "again")]

    found = read(make_package("blog", paths))

    assert found.order() == ("001", "002")
    assert found.directories == tuple(map(Path, paths))


def test_duplicates(tmp_path: Path) -> None:
    """Two files with one id are both named."""
    with pytest.raises(DuplicateRevisionError) as caught:
        history(tmp_path, {"a.py": revision_source("001"), "b.py": revision_source("001")})

    assert caught.value.message == (
        f"revision '001' of package 'blog' is in two files: {tmp_path / 'a.py'} "
        f"and {tmp_path / 'b.py'}"
    )


def test_a_missing_parent(tmp_path: Path) -> None:
    """A parent that no file defines is named, with the file that wants it."""
    with pytest.raises(UnknownRevisionError) as caught:
        history(tmp_path, {"001.py": revision_source("001"), "3.py": revision_source("3", "01")})

    assert caught.value.message == (
        f"package 'blog' has no revision '01', named by revision '3' ({tmp_path / '3.py'})"
    )
    assert caught.value.hint == "did you mean '001'? known: 001, 3"


def test_a_missing_dependency(tmp_path: Path) -> None:
    """A dependency inside the package that no file defines is named."""
    with pytest.raises(UnknownRevisionError, match="has no revision '2', named by revision '1'"):
        history(tmp_path, {"1.py": revision_source("1", depends_on=("2",))})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {"1.py": revision_source("1", "1")},
            "revisions require one another: blog:1 -> blog:1",
            id="itself",
        ),
        pytest.param(
            {
                "0.py": revision_source("0"),
                "1.py": revision_source("1", "3"),
                "2.py": revision_source("2", "1"),
                "3.py": revision_source("3", "2"),
                "4.py": revision_source("4", "3"),
            },
            "revisions require one another: blog:1 -> blog:3 -> blog:2 -> blog:1",
            id="three",
        ),
        pytest.param(
            {
                "1.py": revision_source("1", depends_on=("2",)),
                "2.py": revision_source("2", "1"),
            },
            "revisions require one another: blog:1 -> blog:2 -> blog:1",
            id="by a dependency",
        ),
        pytest.param(
            {
                "1.py": revision_source("1", requires=("blog:2",)),
                "2.py": revision_source("2", "1"),
            },
            "revisions require one another: blog:1 -> blog:2 -> blog:1",
            id="by requires",
        ),
    ],
)
def test_cycles(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """A circle is printed from revision to revision."""
    with pytest.raises(CycleError) as caught:
        history(tmp_path, files)

    assert caught.value.message == message


@pytest.mark.parametrize(
    "files",
    [
        {"1.py": revision_source("1", labels=("x",)), "2.py": revision_source("2", labels=("x",))},
        {"1.py": revision_source("1", labels=("2",)), "2.py": revision_source("2")},
    ],
    ids=["two revisions", "a revision"],
)
def test_a_label_that_is_taken(tmp_path: Path, files: dict[str, str]) -> None:
    """A label stands for one revision, and is no id of another one."""
    with pytest.raises(HistoryError, match=r"label '.' of revision '.' .* is taken by"):
        history(tmp_path, files)


def test_ids_with_a_hyphen(tmp_path: Path) -> None:
    """A chain may have ids that Alembic refuses today; contract 30."""
    found = history(
        tmp_path,
        {
            "1.py": revision_source("2024-01-02"),
            "2.py": revision_source("a,b;c.d", "2024-01-02"),
            "3.py": revision_source("x+1", "a,b;c.d"),
        },
    )

    assert found.upgrades("head", ()) == ("2024-01-02", "a,b;c.d", "x+1")
    assert found.upgrades("2024-01-02", ()) == ("2024-01-02",)
    assert found.downgrades("2024-01-02", ("x+1",)) == ("x+1", "a,b;c.d")
    with pytest.raises(UnknownRevisionError):
        found.resolve("nothing")


def test_ids_with_a_hyphen_and_branches(tmp_path: Path) -> None:
    """Where branches are, such an id could be taken for a relative target: it is refused."""
    files = {
        "1.py": revision_source("a"),
        "2.py": revision_source("a-1", "a"),
        "3.py": revision_source("b", "a"),
    }

    with pytest.raises(HistoryError, match=r"revision 'a-1' \(.*2\.py\) of a history with branch"):
        history(tmp_path, files)


def test_one_package_is_broken_and_others_are_not(tmp_path: Path) -> None:
    """A broken package is an error when it is read, and of no consequence for the next."""
    for name, source in (("blog", "revision = ("), ("shop", revision_source("001"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "001.py").write_text(source, encoding="utf-8")

    with pytest.raises(RevisionFileError):
        read(make_package("blog", str(tmp_path / "blog")))
    assert read(make_package("shop", str(tmp_path / "shop"))).heads == ("001",)
