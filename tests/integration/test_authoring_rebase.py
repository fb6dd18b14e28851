"""Two people made the same number: real git repositories, real conflicts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ptah_migrate import _history, registry
from ptah_migrate._authoring import check_files, plan_rebase, rebase, revision
from ptah_migrate._authoring.conventions import Conventions
from ptah_migrate.errors import AuthoringError, MultipleHeadsError, RevisionExistsError
from ptah_migrate.model import Package

SLUGS = Conventions(file_template="{rev}_{slug}")
Git = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return a function that runs git in a new repository."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_EDITOR": "true"}

    def run(*arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", *who, "-C", str(tmp_path / "project"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    (tmp_path / "project").mkdir()
    run("init", "-q", "-b", "main")
    return run


@pytest.fixture
def blog(tmp_path: Path, git: Git) -> Package:
    """Return a package in the repository, with 001 and 002 committed."""
    folder = tmp_path / "project/blog/migrations"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Schema history."""\n')
    package = registry.make_package("blog", str(folder))
    for number in (1, 2):
        write(package, f"Step {number}")
    commit(git, "base")
    return package


def write(
    package: Package, message: str, conventions: Conventions = SLUGS, body: str = "op.f('x')"
) -> Path:
    """Write the next revision, and its operations."""
    if conventions is SLUGS and not Path(package.path, "head.txt").exists():
        conventions = Conventions()
    made = revision(package, _history.read(package), message=message, conventions=conventions)
    text = made.path.read_text()
    made.path.write_text(text.replace("pass  # ptah-migrate: not written yet", body))
    return made.path


def commit(git: Git, message: str) -> None:
    """Commit everything."""
    git("add", "-A")
    git("commit", "-q", "-m", message)


def two_branches(
    git: Git, package: Package, *, mine: int = 1, theirs: int = 1, mark: bool = True
) -> None:
    """Make a branch of mine and leave the other's additions on main; stand on mine."""
    for branch, count in (("mine", mine), ("theirs", theirs)):
        git("checkout", "-q", "-b", branch, "main")
        for number in range(count):
            write(package, f"{branch} {number}", body=f"op.f('{branch} {number}')")
            commit(git, f"{branch} {number}")
    git("checkout", "-q", "mine")


def slugged(package: Package, git: Git) -> None:
    """Make the package one whose files have slugs."""
    Path(package.path, "head.txt").write_text("002\n")
    commit(git, "slugs")


def shape(package: Package) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return parents and message of every revision."""
    return {one.id: (one.down, one.doc) for one in _history.read(package).revisions.values()}


def names(package: Package) -> list[str]:
    """Return the names in the package's folder."""
    return sorted(os.listdir(package.path))


def test_git_itself_stops_two_of_one_number(blog: Package, git: Git) -> None:
    """Plain names: git conflicts, ``rebase`` gives one head, 004, and the merge goes on."""
    two_branches(git, blog)
    mine = Path(blog.path, "003.py").read_text()
    assert "CONFLICT (add/add)" in git("merge", "theirs", code=1).stdout
    [conflict] = check_files(blog)
    assert (conflict.id, conflict.path.name) == ("conflict-markers", "003.py")

    done = rebase(blog)

    assert [(move.old, move.new, move.down) for move in done.moves] == [("003", "004", "003")]
    assert check_files(blog) == ()
    assert _history.read(blog).heads == ("004",)
    assert shape(blog)["003"] == (("002",), "theirs 0")
    assert Path(blog.path, "004.py").read_text() == mine.replace('"003"', '"004"').replace(
        '"002"', '"003"'
    )
    commit(git, "merged")
    assert git("diff", "--quiet", "theirs", "--", "blog/migrations/003.py").returncode == 0


def test_twice(blog: Package, git: Git) -> None:
    """A second call in the same merge finds nothing left to do."""
    two_branches(git, blog, mine=2)
    git("merge", "theirs", code=1)
    rebase(blog)
    before = names(blog)

    assert rebase(blog).moves == ()
    assert names(blog) == before


def test_twice_with_slugs(blog: Package, git: Git) -> None:
    """A file that was renamed is not there to be renamed again."""
    slugged(blog, git)
    two_branches(git, blog)
    git("merge", "theirs", code=1)
    rebase(blog)

    assert rebase(blog).moves == ()


def test_in_a_rebase_of_git(blog: Package, git: Git) -> None:
    """In ``git rebase`` mine is the commit that is being moved, one after the other."""
    two_branches(git, blog, mine=2, theirs=2)
    git("rebase", "theirs", code=1)
    for _ in range(2):
        rebase(blog)
        git("add", "-A")
        git("rebase", "--continue", code=None)

    assert git("status", "--porcelain").stdout == ""
    assert "rebase" not in git("status").stdout
    assert shape(blog) == {
        "001": ((), "Step 1"),
        "002": (("001",), "Step 2"),
        "003": (("002",), "theirs 0"),
        "004": (("003",), "theirs 1"),
        "005": (("004",), "mine 0"),
        "006": (("005",), "mine 1"),
    }


@pytest.mark.parametrize(("mine", "theirs"), [(2, 1), (1, 2), (3, 3), (3, 2)])
def test_several_of_each(blog: Package, git: Git, mine: int, theirs: int) -> None:
    """All of mine go behind all of theirs, in their order, with their operations."""
    two_branches(git, blog, mine=mine, theirs=theirs)
    git("merge", "theirs", code=1)

    rebase(blog)

    expected = [f"theirs {n}" for n in range(theirs)] + [f"mine {n}" for n in range(mine)]
    found = shape(blog)
    assert [found[f"{n:03}"] for n in range(3, 3 + mine + theirs)] == [
        ((f"{n - 1:03}",), message) for n, message in enumerate(expected, 3)
    ]
    for n, message in enumerate(expected, 3):
        assert f"op.f('{message}')" in Path(blog.path, f"{n:03}.py").read_text()
    assert check_files(blog) == ()


def test_the_other_way_round(blog: Package, git: Git) -> None:
    """Who merges somebody's branch into the deployed one moves that somebody's revision."""
    two_branches(git, blog)
    git("merge", "theirs", code=1)

    rebase(blog, swap=True)

    assert shape(blog)["003"] == (("002",), "mine 0")
    assert shape(blog)["004"] == (("003",), "theirs 0")


def test_slugs_without_a_head_file(blog: Package, git: Git) -> None:
    """Files with slugs merge without a conflict: the check fails, and names the files."""
    for branch in ("mine", "theirs"):
        git("checkout", "-q", "-b", branch, "main")
        revision(blog, _history.read(blog), message=branch, conventions=SLUGS)
        Path(blog.path, "head.txt").unlink()
        commit(git, branch)
    git("merge", "-q", "mine")

    findings = [one for one in check_files(blog) if one.id != "not-written"]

    assert [(one.id, one.path.name, one.message) for one in findings] == [
        ("duplicate-id", "003_theirs.py", "revision '003' is also in 003_mine.py")
    ]
    with pytest.raises(AuthoringError) as caught:
        rebase(blog)
    assert caught.value.hint == "name their files: ptah-migrate rebase blog --mine FILE"

    rebase(blog, mine=["003_mine.py"])

    assert names(blog) == ["001.py", "002.py", "003_theirs.py", "004_mine.py", "__init__.py"]
    assert _history.read(blog).heads == ("004",)


def test_slugs_with_a_head_file(blog: Package, git: Git) -> None:
    """The head file makes git conflict, and is correct after the rebase."""
    slugged(blog, git)
    two_branches(git, blog)
    assert "head.txt" in git("merge", "theirs", code=1).stdout
    assert {one.id for one in check_files(blog)} == {"duplicate-id", "head-file"}

    rebase(blog)

    assert names(blog) == [
        "001.py",
        "002.py",
        "003_theirs_0.py",
        "004_mine_0.py",
        "__init__.py",
        "head.txt",
    ]
    assert Path(blog.path, "head.txt").read_text() == "004_mine_0\n"
    assert check_files(blog) == ()
    commit(git, "merged")


def test_an_applied_revision_is_refused(blog: Package, git: Git) -> None:
    """A revision that the database has is not renumbered: it would run a second time."""
    two_branches(git, blog)
    git("merge", "theirs", code=1)
    before = Path(blog.path, "003.py").read_bytes()

    with pytest.raises(AuthoringError) as caught:
        rebase(blog, applied=["003"])

    assert str(caught.value) == (
        "revision '003' of package 'blog' is applied in the database, "
        "under another number it would run again"
    )
    assert "ptah-migrate downgrade blog:002" in caught.value.hint
    assert Path(blog.path, "003.py").read_bytes() == before
    assert names(blog) == ["001.py", "002.py", "003.py", "__init__.py"]


def test_a_plan_changes_nothing(blog: Package, git: Git) -> None:
    """What a rebase would do can be seen first."""
    two_branches(git, blog)
    git("merge", "theirs", code=1)
    before = git("status", "--porcelain").stdout

    plan = plan_rebase(blog)

    assert [(one.status, one.path.name) for one in plan.changes] == [
        ("edit", "003.py"),
        ("create", "004.py"),
    ]
    assert git("status", "--porcelain").stdout == before


def test_two_heads_with_different_numbers(blog: Package, git: Git) -> None:
    """Two heads whose ids differ become one line; a number that is free stays."""
    write(blog, "mine", Conventions())
    path = Path(blog.path, "003.py")
    text = path.read_text()
    path.unlink()
    write(blog, "theirs", Conventions())
    Path(blog.path, "004.py").write_text(text.replace('"003"', '"004"'))

    rebase(blog, mine=["004"])

    assert shape(blog)["004"] == (("003",), "mine")
    assert rebase(blog, mine=["004"]).moves == ()


def test_a_number_that_was_free(blog: Package, git: Git) -> None:
    """A number of mine that is higher than theirs is kept."""
    git("checkout", "-q", "-b", "mine")
    revision(blog, _history.read(blog), id="010")
    commit(git, "mine")
    git("checkout", "-q", "-b", "theirs", "main")
    revision(blog, _history.read(blog), id="003")
    commit(git, "theirs")
    git("merge", "-q", "mine")

    rebase(blog, mine=[Path(blog.path, "010.py")])

    assert _history.read(blog).order() == ("001", "002", "003", "010")


def test_only_two_constants_change(blog: Package, git: Git) -> None:
    """Line ends, quotes, comments, an Alembic docstring and typed constants stay as they were."""
    source = (
        b'\xef\xbb\xbf"""Gr\xc3\xb6\xc3\x9fe\r\n\r\nRevision ID: 003\r\n"""\r\n'
        b"from alembic import op\r\nrevision: str = '003'  # \xc3\xa9\r\n"
        b'x = "\xc3\xa9"; down_revision = (\r\n    "002"  # before\r\n)\r\n'
        b"def upgrade():\r\n\trevision_ = '003'"
    )
    Path(blog.path, "003.py").write_bytes(source)
    Path(blog.path, "003_theirs.py").write_text("revision = '003'\ndown_revision = '002'\n")

    rebase(blog, mine=["003.py"])

    assert Path(blog.path, "004.py").read_bytes() == source.replace(
        b"str = '003'", b"str = '004'"
    ).replace(b'"002"', b'"003"')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "revision = '00' + '3'\ndown_revision = '002'", "not a plain text", id="computed"
        ),
        pytest.param(
            "revision = '003'\nif 1:\n    revision = '003'\ndown_revision = '002'",
            "does not set revision exactly once",
            id="set twice",
        ),
        pytest.param(
            "# coding: latin-1\nrevision = '003'\ndown_revision = '002' # \xe9",
            "its encoding is iso-8859-1",
            id="another encoding",
        ),
    ],
)
def test_a_file_that_cannot_be_changed_safely(
    blog: Package, git: Git, text: str, problem: str
) -> None:
    """When the constants are not plain the person is told what to write."""
    Path(blog.path, "003.py").write_bytes(text.encode("latin-1"))
    Path(blog.path, "003_theirs.py").write_text("revision = '003'\ndown_revision = '002'\n")
    before = names(blog)

    with pytest.raises(AuthoringError, match=problem) as caught:
        rebase(blog, mine=["003.py"])

    assert caught.value.hint == "write into it: revision = '004', down_revision = '003'"
    assert names(blog) == before


def test_a_dependency_on_what_is_renumbered(blog: Package, git: Git) -> None:
    """A third constant that names the number is not changed behind the author's back."""
    for name, text in {
        "003.py": "revision = '003'\ndown_revision = '002'",
        "004_x.py": "revision = '004'\ndown_revision = '003'",
        "005_x.py": "revision = '005'\ndown_revision = '004'\ndepends_on = '003'",
        "003_theirs.py": "revision = '003'\ndown_revision = '002'",
    }.items():
        Path(blog.path, name).write_text(text)

    with pytest.raises(AuthoringError, match="depends on '003', which gets another number"):
        rebase(blog, mine=["003.py", "004_x.py", "005_x.py"])


def test_hexadecimal_ids(blog: Package, git: Git) -> None:
    """An id that is no number stays, and only follows another revision."""
    for name in ("aa", "bb"):
        Path(blog.path, f"{name}_x.py").write_text(f"revision = '{name}'\ndown_revision = '002'\n")

    rebase(blog, mine=["aa_x.py"])

    assert names(blog) == ["001.py", "002.py", "__init__.py", "aa_x.py", "bb_x.py"]
    assert _history.read(blog).order() == ("001", "002", "bb", "aa")


def test_mine_is_not_a_line(blog: Package, git: Git) -> None:
    """Branches of one's own are a case for a merge."""
    for name in ("003", "004", "005"):
        Path(blog.path, f"{name}.py").write_text(f"revision = '{name}'\ndown_revision = '002'\n")

    with pytest.raises(AuthoringError, match="do not follow one another: '004', '005'"):
        rebase(blog, mine=["004", "005"])


def test_theirs_has_two_heads(blog: Package, git: Git) -> None:
    """What mine should follow must be one revision."""
    for name in ("003", "004", "005"):
        Path(blog.path, f"{name}.py").write_text(f"revision = '{name}'\ndown_revision = '002'\n")

    with pytest.raises(MultipleHeadsError):
        rebase(blog, mine=["005"])


def test_a_file_in_the_way(blog: Package, git: Git) -> None:
    """A file that is none of mine is never overwritten."""
    for name in ("003_a", "003_b"):
        Path(blog.path, f"{name}.py").write_text("revision = '003'\ndown_revision = '002'\n")
    Path(blog.path, "004_b.py").write_text("helper = 1\n")

    with pytest.raises(RevisionExistsError):
        rebase(blog, mine=["003_b"])

    assert Path(blog.path, "004_b.py").read_text() == "helper = 1\n"


def test_another_conflict(blog: Package, git: Git) -> None:
    """A revision that both sides changed is for the person to resolve."""
    two_branches(git, blog)
    for branch in ("theirs", "mine"):
        git("checkout", "-q", branch)
        Path(blog.path, "002.py").write_text(f"revision = '002'\ndown_revision = '001'\n# {branch}")
        commit(git, "change")
    git("merge", "theirs", code=1)

    with pytest.raises(AuthoringError, match=r"'002\.py' of package 'blog' is in conflict"):
        rebase(blog)


def test_a_conflict_resolved_by_hand(blog: Package, git: Git) -> None:
    """What somebody wrote into the conflicting file is not thrown away."""
    two_branches(git, blog)
    git("merge", "theirs", code=1)
    Path(blog.path, "003.py").write_text("revision = '003'\ndown_revision = '002'\n")
    git("add", "-A")

    with pytest.raises(AuthoringError, match="is neither your version nor theirs any more"):
        rebase(blog)


def test_without_a_repository(tmp_path: Path) -> None:
    """Outside a merge somebody has to say whose is what."""
    package = registry.make_package("blog", str(tmp_path))

    with pytest.raises(AuthoringError) as caught:
        rebase(package)

    assert str(caught.value) == (
        "git is not merging revisions of package 'blog', so which of them are yours cannot be told"
    )


def test_inside_a_git_hook(blog: Package, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a git hook sets in the environment does not lead to another repository."""
    two_branches(git, blog)
    git("merge", "theirs", code=1)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")

    assert rebase(blog).moves[0].new == "004"


# -- without MERGE_HEAD ----------------------------------------------------------------


@pytest.mark.parametrize("slugs", [False, True], ids=["plain", "slugs"])
def test_a_squash(blog: Package, git: Git, *, slugs: bool) -> None:
    """In ``git merge --squash`` mine is what HEAD has, and theirs is the branch."""
    if slugs:
        slugged(blog, git)
    two_branches(git, blog, mine=2, theirs=2)
    git("merge", "--squash", "theirs", code=1)

    rebase(blog)

    assert [shape(blog)[f"{n:03}"][1] for n in range(3, 7)] == [
        *("theirs 0", "theirs 1", "mine 0", "mine 1")
    ]
    assert check_files(blog) == ()
    assert rebase(blog).moves == ()
    commit(git, "squashed")
    with pytest.raises(AuthoringError, match="git is not merging"):
        rebase(blog)


def stash(git: Git, blog: Package, count: int = 1) -> None:
    """Leave revisions of mine in a stash, and theirs on HEAD."""
    for number in range(count):
        write(blog, f"mine {number}")
    git("add", "-A")
    git("stash", "-q")
    write(blog, "theirs")
    commit(git, "theirs")


@pytest.mark.parametrize("count", [1, 2])
def test_a_stash(blog: Package, git: Git, count: int) -> None:
    """After ``git stash pop`` mine is what was stashed, and theirs is HEAD."""
    stash(git, blog, count)
    git("stash", "pop", code=1)

    rebase(blog)

    assert shape(blog)["003"] == (("002",), "theirs")
    assert [shape(blog)[f"{n + 4:03}"][1] for n in range(count)] == [
        f"mine {n}" for n in range(count)
    ]
    assert check_files(blog) == ()
    assert git("diff", "HEAD", "--", "blog/migrations/003.py").stdout.count("\n+") == 0


def test_a_stash_that_changed_a_revision(blog: Package, git: Git) -> None:
    """A conflict about a revision that both have is not one about numbers."""
    path = Path(blog.path, "002.py")
    text = path.read_text()
    path.write_text(text + "# mine\n")
    git("stash", "-q")
    path.write_text(text + "# theirs\n")
    commit(git, "theirs")
    git("stash", "pop", code=1)

    with pytest.raises(AuthoringError, match=r"'002\.py' of package 'blog' is in conflict"):
        rebase(blog)


def test_a_stash_the_other_way_round(blog: Package, git: Git) -> None:
    """What is committed is not moved behind what is not."""
    stash(git, blog)
    git("stash", "pop", code=1)

    with pytest.raises(AuthoringError, match="git is not merging"):
        rebase(blog, swap=True)


# -- other packages ----------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, blog: Package, git: Git) -> Package:
    """Return a second package of the checkout."""
    return neighbour(tmp_path / "project/shop")


def neighbour(folder: Path) -> Package:
    """Return a package without revisions."""
    folder.mkdir()
    return registry.make_package("shop", str(folder))


def wants(package: Package, name: str, line: str) -> Path:
    """Write a revision of another package that names one of blog's."""
    path = Path(package.path, f"{name}.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"from alembic import op\nrevision = '{name}'\ndown_revision = None\n{line}\n"
        "def upgrade():\n    op.f('blog:003')\n",
        encoding="utf-8",
        newline="",
    )
    return path


@pytest.mark.parametrize(
    ("line", "after"),
    [
        pytest.param(
            "requires = ('blog:003', \"?crowd:003\")",
            "requires = ('blog:004', \"?crowd:003\")",
            id="requires",
        ),
        pytest.param('run_before = "?blog:003"', 'run_before = "?blog:004"', id="run_before"),
        pytest.param(
            "depends_on = [\r\n    'blog:003',  # é\r\n]",
            "depends_on = [\r\n    'blog:004',  # é\r\n]",
            id="depends_on",
        ),
    ],
)
def test_what_names_mine(blog: Package, shop: Package, git: Git, line: str, after: str) -> None:
    """A revision of mine in another package follows, and nothing else of its file changes."""
    two_branches(git, blog)
    path = wants(shop, "001", line)
    before = path.read_bytes()
    commit(git, "shop")
    git("merge", "theirs", code=1)

    done = rebase(blog, neighbours=[shop])

    assert [(one.path, one.old, one.new) for one in done.references] == [
        (path, "blog:003", "blog:004")
    ]
    assert path.read_bytes() == before.replace(line.encode(), after.encode())
    assert done.warnings == ()


def test_what_names_theirs(blog: Package, shop: Package, git: Git) -> None:
    """A revision of theirs in another package means their 003, which stays."""
    two_branches(git, blog)
    git("checkout", "-q", "theirs")
    path = wants(shop, "001", "requires = ('blog:003',)")
    commit(git, "shop")
    git("checkout", "-q", "mine")
    git("merge", "theirs", code=1)
    before = path.read_bytes()

    done = rebase(blog, neighbours=[shop])

    assert (done.references, done.warnings) == ((), ())
    assert path.read_bytes() == before


def test_what_names_theirs_the_other_way_round(blog: Package, shop: Package, git: Git) -> None:
    """With theirs renumbered it is their file that follows."""
    two_branches(git, blog)
    git("checkout", "-q", "theirs")
    path = wants(shop, "001", "requires = ('blog:003',)")
    commit(git, "shop")
    git("checkout", "-q", "mine")
    kept = wants(shop, "002", "requires = ('blog:003',)")
    commit(git, "shop")
    git("merge", "theirs", code=1)

    rebase(blog, swap=True, neighbours=[shop])

    assert "'blog:004'" in path.read_text()
    assert "'blog:004'" not in kept.read_text()


def test_what_names_mine_in_a_stash(blog: Package, shop: Package, git: Git) -> None:
    """What is not on HEAD is mine in a stash too."""
    path = wants(shop, "001", "requires = ('blog:003',)")
    stash(git, blog)
    git("stash", "pop", code=1)

    rebase(blog, neighbours=[shop])

    assert "'blog:004'" in path.read_text()


@pytest.mark.parametrize("place", ["outside", "unsure", "computed"])
def test_what_is_not_sure(blog: Package, git: Git, tmp_path: Path, place: str) -> None:
    """A file in another checkout, or one that may mean either, is told and left as it is."""
    shop = neighbour(tmp_path / ("shop" if place == "outside" else "project/shop"))
    line = "requires = ('blog' ':003',)" if place == "outside" else "requires = ('blog:003',)"
    line = "requires = ('blog:' + '003',)" if place == "computed" else line
    path = wants(shop, "001", line)
    before = path.read_bytes()
    for name, down in {"003_mine": "002", "003_theirs": "002"}.items():
        Path(blog.path, f"{name}.py").write_text(f"revision = '003'\ndown_revision = '{down}'\n")
    if place == "computed":  # else it is not sure either whose it is
        Path(blog.path, "003_theirs.py").unlink()
        Path(blog.path, "004.py").write_text("revision = '004'\ndown_revision = '002'\n")

    done = rebase(blog, mine=["003_mine.py"], neighbours=[shop])

    why = {
        "outside": "it is not in this checkout",
        "unsure": "which of the two is meant cannot be told",
        "computed": "they are not plain texts in it",
    }[place]
    named = f"'{path}' of package 'shop' names blog:003, and is left as it is: {why}"
    assert done.warnings == (named,)
    assert done.references == ()
    assert path.read_bytes() == before


def test_a_number_that_only_i_had(blog: Package, shop: Package, git: Git) -> None:
    """What only one revision can mean follows without git's word."""
    for name, down in {"003": "002", "004_mine": "002"}.items():
        Path(blog.path, f"{name}.py").write_text(
            f"revision = '{name[:3]}'\ndown_revision = '{down}'\n"
        )
    Path(blog.path, "005.py").write_text("revision = '005'\ndown_revision = '003'\n")
    path = wants(shop, "001", "requires = ('blog:004',)")

    rebase(blog, mine=["004_mine"], neighbours=[shop])

    assert "'blog:006'" in path.read_text()
