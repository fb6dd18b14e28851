"""What is remembered of a history: never a wrong plan, at worst a slower one."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from ptah_migrate import Migrator, Registry, cache, registry
from ptah_migrate._history import heads, read, tables
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Package
from tests.helpers import Database, PackageMaker, PackageOnDisk, revision_source

HOUR = 3_600_000_000_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache directory of the test's own; to our clock all files are an hour old."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    monkeypatch.setattr(cache, "clock", lambda: time.time_ns() + HOUR)
    return folder


@pytest.fixture
def blog(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package with two revisions, in a checkout."""
    return make_package("blog", {"001": "pass", "002": "pass"})


@pytest.fixture
def installed(
    make_package: PackageMaker, packages_root: Path, monkeypatch: pytest.MonkeyPatch
) -> PackageOnDisk:
    """Return the same package where a package manager would have put it."""
    make_package.root = packages_root / "lib" / "site-packages"
    monkeypatch.syspath_prepend(make_package.root)
    return make_package("blog", {"001": "pass", "002": "pass"})


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the revision files that are opened from here on."""
    module: Any = importlib.import_module("ptah_migrate._history.parsing")
    names: list[str] = []
    real = module._read

    def opened(path: str, *args: object) -> object:
        names.append(Path(path).name)
        return real(path, *args)

    monkeypatch.setattr(module, "_read", opened)
    return names


def seen(package: Package) -> tuple[object, ...]:
    """Return all that a history says."""
    history = read(package)
    return (
        dict(history.revisions),
        history.order(),
        (history.heads, history.bases, history.tops, history.linear),
        (dict(history.children), dict(history.dependants)),
        history.directories,
    )


def file_of(place: Path, kind: str = "history") -> Path:
    return next(place.glob(f"{kind}-*.json"))


RICH = {
    "001.py": revision_source("001", message="First"),
    "002.py": revision_source(
        "002", "001", requires=["crowd:003", "?shop:1.0"], labels=["two"], downgrade=None
    ),
    "003.py": revision_source("003", "001", run_before=["mail:001"], depends_on=["two"]),
    "helper.py": "VALUE = 1\n",
}


def test_the_same_history_again(place: Path, make_package: PackageMaker, parsed: list[str]) -> None:
    """What is remembered of a history with everything in it is the history that was read."""
    package = make_package("blog", RICH, branches=True).package
    first = seen(package)
    parsed.clear()

    assert seen(package) == first
    assert parsed == []


def test_heads_of_installed_packages_open_no_file(
    place: Path, installed: PackageOnDisk, parsed: list[str]
) -> None:
    """The heads of installed packages come from one file."""
    first = heads([installed.package])
    for path in place.glob("history-*"):
        path.unlink()
    parsed.clear()

    assert heads([installed.package]) == first
    assert first["blog"].heads == ("002",)
    assert parsed == []


def test_a_module_found_elsewhere_now(
    place: Path, installed: PackageOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads are those of the folder that the registered path means now."""
    heads([installed.package])
    other = PackageMaker(tmp_path / "other")("blog", {"001": "pass"})
    monkeypatch.syspath_prepend(other.root)

    assert heads([installed.package])["blog"].heads == ("001",)


def test_started_in_another_folder(
    place: Path,
    installed: PackageOnDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parsed: list[str],
) -> None:
    """Python puts that folder in front: unless it has such a module, all stays as it was."""
    first = heads([installed.package])
    before = file_of(place, "heads").stat()
    (tmp_path / "work" / "other").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "work")
    for path in place.glob("history-*"):
        path.unlink()
    parsed.clear()

    assert heads([installed.package]) == first
    assert parsed == []
    assert file_of(place, "heads").stat() == before


@pytest.mark.parametrize(
    "shadow",
    [
        pytest.param(lambda work: (work / "blog").mkdir(), id="folder"),
        pytest.param(lambda work: (work / "blog.py").write_text(""), id="module"),
        pytest.param(lambda work: (work / "BLOG").mkdir(), id="another case"),
    ],
)
def test_started_in_a_folder_with_such_a_module(
    place: Path,
    installed: PackageOnDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shadow: Callable[[Path], object],
) -> None:
    """What is in front may be what is imported now: only Python knows, and is asked."""
    heads([installed.package])
    work = tmp_path / "work"
    work.mkdir()
    shadow(work)
    monkeypatch.syspath_prepend(work)
    asked: list[Package] = []
    module = sys.modules["ptah_migrate._history.histories"]
    real = module.directories

    def directories(package: Package) -> object:
        asked.append(package)
        return real(package)

    monkeypatch.setattr(module, "directories", directories)

    heads([installed.package])

    assert asked == [installed.package]


def test_no_longer_on_the_search_path(
    place: Path, installed: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is not found any more has no heads, whatever is remembered."""
    heads([installed.package])
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(installed.root)])
    broken: dict[str, PtahMigrateError] = {}

    assert heads([installed.package], broken) == {}
    assert list(broken) == ["blog"]


@pytest.mark.parametrize("kind", ["checkout", "installed"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: p.add("003.py", revision_source("003", "002")), id="new file"),
        pytest.param(lambda p: (p.migrations / "002.py").unlink(), id="file removed"),
        pytest.param(
            lambda p: (p.migrations / "002.py").rename(p.migrations / "old.txt"), id="renamed"
        ),
        pytest.param(lambda p: rewrite(p.migrations / "002.py", "002", "00b"), id="head edited"),
    ],
)
def test_changes_are_seen(
    request: pytest.FixtureRequest,
    place: Path,
    kind: str,
    change: Callable[[PackageOnDisk], object],
) -> None:
    """A file that is added, removed, renamed, or the head edited in place: it is read anew."""
    package: PackageOnDisk = request.getfixturevalue("blog" if kind == "checkout" else kind)
    assert heads([package.package])["blog"].heads == ("002",)
    change(package)

    assert read(package.package).heads != ("002",)
    assert heads([package.package])["blog"].heads != ("002",)


def rewrite(path: Path, old: str, new: str) -> None:
    """Edit a file in place and put its time back, as one who wants to hide it."""
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    with path.open("r+", encoding="utf-8") as file:
        file.write(text.replace(f"'{old}'", f"'{new}'"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size


def test_edited_in_place_with_its_time_restored(place: Path, blog: PackageOnDisk) -> None:
    """Nobody can put back the time of the change itself."""
    read(blog.package)
    rewrite(blog.migrations / "001.py", "001", "00a")
    rewrite(blog.migrations / "002.py", "001", "00a")

    assert read(blog.package).order() == ("00a", "002")


def test_an_installed_file_edited_in_place(
    place: Path, installed: PackageOnDisk, sqlite_database: Database
) -> None:
    """What an installed file says is looked at before the first statement: the plan follows it."""
    read(installed.package)
    rewrite(installed.migrations / "001.py", "001", "00a")
    rewrite(installed.migrations / "002.py", "001", "00a")
    migrator = Migrator(sqlite_database.engine, Registry([installed.package]))

    report = migrator.upgrade()

    assert [step.revision.id for step in report.plan.steps] == ["00a", "002"]
    assert migrator.versions_recorded() == {"blog": ("002",)}


def test_an_installed_step_edited_to_follow_another(
    place: Path, make_package: PackageMaker, installed: PackageOnDisk, sqlite_database: Database
) -> None:
    """A step whose file names another parent than the index did is planned anew, or refused."""
    read(installed.package)
    rewrite(installed.migrations / "002.py", "001", "009")
    migrator = Migrator(sqlite_database.engine, Registry([installed.package]))

    with pytest.raises(PtahMigrateError, match="009"):
        migrator.upgrade()

    assert migrator.versions_recorded() == {}


def test_what_was_just_changed_is_not_kept(
    place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one tick of the clock look like one: too new is not kept."""
    monkeypatch.setattr(cache, "clock", time.time_ns)
    read(blog.package)

    assert not place.exists()


def test_files_from_the_future_are_not_kept(
    place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system whose clock is ahead of ours: nothing is kept."""
    monkeypatch.setattr(cache, "clock", lambda: time.time_ns() - HOUR)
    read(blog.package)

    assert not place.exists()


def test_what_only_running_tells_is_not_kept(place: Path, make_package: PackageMaker) -> None:
    """An id that is computed may be another one next time."""
    source = revision_source("001").replace("'001'", "str(1).zfill(3)")
    package = make_package("blog", {"001.py": source}).package

    assert read(package).heads == ("001",)
    assert not place.exists()


# -- the tables that a history makes ----------------------------------------------------------


def tabled(package: PackageOnDisk) -> tuple[list[str], list[str], bool]:
    """Return the tables of a history that is read anew."""
    found = tables(read(package.package))
    return sorted(found.ever), sorted(found.final), found.everything


@pytest.fixture
def making(make_package: PackageMaker) -> PackageOnDisk:
    """Return a package that makes two tables and drops one."""
    return make_package(
        "blog",
        {"001": "op.create_table('a')\nop.create_table('b')", "002": "op.drop_table('b')"},
    )


def test_tables_are_read_once(
    place: Path, making: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the files say of tables is remembered, with all of it."""
    first = tabled(making)
    monkeypatch.setattr(Path, "read_bytes", lambda _self: pytest.fail("a file was read"))

    assert tabled(making) == first == (["a", "b"], ["a"], False)


def test_tables_of_a_file_edited_in_place(place: Path, making: PackageOnDisk) -> None:
    """A file that makes another table now is read anew, whatever its time says."""
    tabled(making)
    rewrite(making.migrations / "001.py", "a", "c")

    assert tabled(making) == (["b", "c"], ["c"], False)


def test_tables_that_make_no_sense(place: Path, making: PackageOnDisk) -> None:
    """A whole file with other contents than ours is not relied on."""
    first = tabled(making)
    key = json.loads(file_of(place, "tables").read_bytes().partition(b"\n")[2])["key"]
    stamps = cache.load("tables", key)[0]
    values: list[Any] = [None, [], {}, [stamps], [stamps, 1, 2, 3], [stamps, ["a"], None, False]]
    for value in values:
        cache.store("tables", key, value)

        assert tabled(making) == first


# -- a cache that is not to be relied on -----------------------------------------------------


def lie(place: Path) -> None:
    """Make the remembered history say something else, in the form of a true one."""
    path = file_of(place)
    head, _, body = path.read_bytes().partition(b"\n")
    value = json.loads(body)
    value["value"]["heads"] = value["value"]["tops"] = ["666"]
    body = json.dumps(value).encode()
    words = head.decode().split(" ")
    words[-2] = str(crc32(body))
    path.write_bytes(" ".join(words).encode() + b"\n" + body)


def test_a_lie_would_be_believed(place: Path, blog: PackageOnDisk) -> None:
    """The tests below fail if what they spoil were read."""
    read(blog.package)
    lie(place)

    assert read(blog.package).heads == ("666",)


def replaced(place: Path, old: bytes, new: bytes) -> None:
    path = file_of(place)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def cut(place: Path, size: int) -> None:
    path = file_of(place)
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda place: replaced(
                place, cache._WRITER.encode(), b"ptah-migrate 99.0 " + cache._WRITER[-6:].encode()
            ),
            id="another version",
        ),
        pytest.param(lambda place: replaced(place, b"666", b"667"), id="damaged"),
        pytest.param(lambda place: cut(place, -10), id="truncated"),
        pytest.param(lambda place: cut(place, 12), id="cut in its first line"),
        pytest.param(lambda place: cut(place, 0), id="empty"),
        pytest.param(lambda place: file_of(place).write_bytes(os.urandom(999)), id="noise"),
        pytest.param(lambda place: file_of(place).chmod(0o666), id="writable by others"),
        pytest.param(
            lambda place: os.chown(file_of(place), 65534, 65534),
            id="of another user",
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
            ),
        ),
    ],
)
def test_a_file_that_is_not_ours_is_not_read(
    place: Path, blog: PackageOnDisk, spoil: Callable[[Path], object]
) -> None:
    """A file of another version or user, damaged or cut: the revision files are read."""
    read(blog.package)
    lie(place)

    spoil(place)

    assert read(blog.package).heads == ("002",)


def test_a_link_is_not_followed(place: Path, blog: PackageOnDisk, tmp_path: Path) -> None:
    """Who can put a link into the directory does not choose what is read."""
    read(blog.package)
    lie(place)
    path = file_of(place)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert read(blog.package).heads == ("002",)


def test_made_in_the_future(
    place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the clock was put back, what the earlier one saw counts for nothing."""
    read(blog.package)
    lie(place)
    monkeypatch.setattr(cache, "clock", lambda: time.time_ns() - HOUR)

    assert read(blog.package).heads == ("002",)


def test_values_that_make_no_sense(place: Path, blog: PackageOnDisk) -> None:
    """A whole file with other contents than ours is not relied on."""
    read(blog.package)
    key = json.loads(file_of(place).read_bytes().partition(b"\n")[2])["key"]
    values: list[object] = [None, [], {}, {"folders": 1}]
    for value in [*values, {"folders": [], "files": [], "watched": [3]}]:
        cache.store("history", key, value)

        assert read(blog.package).heads == ("002",)


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda place: place.write_text("a file"), id="a file in its place"),
        pytest.param(lambda place: place.symlink_to("/dev/full"), id="a device"),
        pytest.param(lambda place: place.symlink_to(place), id="a link to itself"),
    ],
)
def test_no_place_to_write(place: Path, blog: PackageOnDisk, put: Callable[[Path], object]) -> None:
    """A directory that cannot be made is done without."""
    put(place)

    assert read(blog.package).heads == ("002",)
    assert read(blog.package).heads == ("002",)


def test_full_disk(place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could not be written whole is removed, and says nothing."""

    def full(path: str, flags: int) -> int:
        os.close(os.open(path, flags, 0o600))
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(cache, "_private", full)

    assert read(blog.package).heads == ("002",)
    assert list(place.iterdir()) == []


def test_read_only_directory(
    place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that may not be written to is done without."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(cache, "_private", refuse)

    assert read(blog.package).heads == ("002",)
    assert list(place.iterdir()) == []


def test_too_many_files(place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older half of our files goes where there are too many; nobody else's is touched."""
    place.mkdir(mode=0o700)
    names = [f"history-{number:032x}.json" for number in range(4)]
    left = f"heads-{5:032x}.json.123-0a0b0c0d"  # of a process that was killed
    for age, name in enumerate([left, "notes.json", *names]):
        (place / name).write_text("{}")
        os.utime(place / name, (age, age))
    monkeypatch.setattr(cache, "LOOKS", 1)
    monkeypatch.setattr(cache, "MOST", 6)

    read(blog.package)
    assert len(list(place.iterdir())) == 7
    cache.store("heads", "one more", [])

    found = {path.name for path in place.iterdir()}
    assert found >= {"notes.json", *names[2:], file_of(place, "heads").name}
    assert found.isdisjoint({left, *names[:2]})


@pytest.mark.parametrize("word", ["off", "OFF", "no", "0", "false"])
def test_switched_off(
    place: Path, blog: PackageOnDisk, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """PTAH_MIGRATE_CACHE=off: nothing is read, nothing is written."""
    read(blog.package)
    lie(place)
    before = sorted(place.iterdir())
    monkeypatch.setenv(cache.VARIABLE, word)

    assert read(blog.package).heads == ("002",)
    assert sorted(place.iterdir()) == before


def test_the_users_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the variable the files lie where the system keeps its users' caches."""
    import platformdirs

    monkeypatch.delenv(cache.VARIABLE)
    assert cache.folder() == platformdirs.user_cache_dir("ptah-migrate", appauthor=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == platformdirs.user_cache_dir("ptah-migrate", appauthor=False)


def test_many_at_once(place: Path, blog: PackageOnDisk) -> None:
    """Threads that read and write the same files all get the history."""
    failed: list[object] = []

    def look() -> None:
        for _ in range(20):
            for path in place.glob("history-*.json"):
                path.unlink(missing_ok=True)
            if read(blog.package).heads != ("002",):
                failed.append(1)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert [path.suffix for path in place.iterdir()] in ([], [".json"])


PROCESS = """
import sys, time
from ptah_migrate import cache, make_package
from ptah_migrate._history import read
real = time.time_ns
cache.clock = lambda: real() + 3_600_000_000_000
for _ in range(30):
    assert read(make_package("blog", sys.argv[1])).heads == ("002",)
"""


def test_many_processes(place: Path, blog: PackageOnDisk) -> None:
    """Processes that start together all get the history, and leave whole files."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(blog.migrations)]) for _ in range(4)
    ]

    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert [path.suffix for path in place.iterdir()] == [".json"]


# -- which packages are installed --------------------------------------------------------------


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows each time the entry points are really read."""
    times: list[int] = []
    real = registry._entry_points

    def entries() -> object:
        times.append(1)
        return real()

    monkeypatch.setattr(registry, "_entry_points", entries)
    return times


STUB = """
from ptah_migrate import register_migration

register_migration(
    "blog", "blog:migrations", "A blog", metadata="blog.models:Base", branches=True,
    tables=["posts"], attributes={"a": 1},
)
"""


def found() -> list[Package]:
    return [package for package in registry.discover() if package.name in ("blog", "shop")]


def test_installed_packages_again(place: Path, blog: PackageOnDisk, looked: list[int]) -> None:
    """What is installed is read once: the packages are the same, with all that their stubs say."""
    blog.add("__init__.py", STUB)
    blog.install()
    first = found()

    assert found() == first
    assert (first[0].title, first[0].tables, first[0].branches) == ("A blog", ("posts",), True)
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("change", "names"),
    [
        pytest.param(
            lambda blog: blog.install("nowhere.migrations"), [], id="entry point edited in place"
        ),
        pytest.param(lambda blog: blog.add("__init__.py", ""), ["blog"], id="stub edited"),
        pytest.param(lambda blog: blog.install(version="2.0"), ["blog"], id="another version"),
        pytest.param(
            lambda blog: (blog.install() / "entry_points.txt").unlink(), [], id="no entry points"
        ),
        pytest.param(
            lambda blog: PackageMaker(blog.root)("shop", {"001": "pass"}).install(),
            ["blog", "shop"],
            id="one more",
        ),
    ],
)
def test_installed_or_removed(
    place: Path,
    blog: PackageOnDisk,
    looked: list[int],
    change: Callable[[PackageOnDisk], object],
    names: list[str],
) -> None:
    """What is installed, removed or registered otherwise is seen at once."""
    blog.add("__init__.py", STUB)
    blog.install()
    assert [package.title for package in found()] == ["A blog"]

    change(blog)

    assert [package.name for package in found()] == names
    assert len(looked) == 2


def test_problems_are_told_every_time(place: Path, blog: PackageOnDisk, looked: list[int]) -> None:
    """A package that cannot be used is not hidden by what is remembered."""
    blog.install("nowhere.migrations")

    first = registry.discover().problems

    assert first
    assert registry.discover().problems == first
    assert len(looked) == 2


def test_literals_that_json_does_not_keep(
    place: Path, blog: PackageOnDisk, looked: list[int]
) -> None:
    """A registration that would come back as another one is read from its stub."""
    blog.add("__init__.py", STUB.replace('{"a": 1}', '{1: ("a",)}'))
    blog.install()

    values = [package.attributes.get(1) for package in (*found(), *found())]  # type: ignore[call-overload]

    assert values == [("a",), ("a",)]
    assert len(looked) == 2
