"""What will happen, and in which order, over all packages at once; no database is needed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptah_migrate._history import History
from ptah_migrate._runtime import plan
from ptah_migrate._runtime.fresh import Action, Fresh
from ptah_migrate._runtime.plan import Facts
from ptah_migrate.errors import (
    CycleError,
    DatabaseAheadError,
    DependantsError,
    IrreversibleError,
    MissingPackageError,
    MultipleHeadsError,
    RevisionFileError,
    TargetError,
    UnknownPackageError,
    UnknownRevisionError,
    UnrecordedTablesError,
)
from ptah_migrate.model import Direction, Plan, Requirement, Revision, Seed, Step, Target


def wish(text: str) -> Requirement:
    package, _, id_ = text.removeprefix("?").partition(":")
    return Requirement(package, id_, text.startswith("?"))


def rev(
    id: str,
    *down: str,
    requires: str = "",
    run_before: str = "",
    labels: str = "",
    depends_on: str = "",
    has_upgrade: bool = True,
    has_downgrade: bool = True,
) -> Revision:
    """Return a revision of a package that `facts` names."""
    return Revision(
        package="",
        id=id,
        file=f"{id}.py",
        down=down,
        depends_on=tuple(depends_on.split()),
        requires=tuple(map(wish, requires.split())),
        run_before=tuple(map(wish, run_before.split())),
        labels=tuple(labels.split()),
        has_upgrade=has_upgrade,
        has_downgrade=has_downgrade,
    )


def chain(*ids: str, **requires: str) -> list[Revision]:
    """Return a chain; ``_002="shop:001"`` is what 002 requires."""
    return [
        rev(id_, *ids[max(0, at - 1) : at], requires=requires.get(f"_{id_}", ""))
        for at, id_ in enumerate(ids)
    ]


def facts(
    packages: Mapping[str, Iterable[Revision]],
    rows: Mapping[str, str] | None = None,
    *,
    branches: str = "",
    **others: Any,
) -> Facts:
    """Return facts: packages and their revisions, and the recorded ids as a text."""
    histories = {
        name: History(
            name,
            {found.id: _owned(found, name) for found in revisions},
            branches=name in branches.split(),
        )
        for name, revisions in packages.items()
    }
    recorded = {name: tuple(sorted(ids.split())) for name, ids in (rows or {}).items()}
    return Facts(histories, recorded, **others)


def _owned(revision: Revision, package: str) -> Revision:
    return Revision(package, *(getattr(revision, name) for name in Revision._fields[1:]))


def targets(*texts: str) -> list[Target]:
    return [
        Target(name, spec or "head") for name, _, spec in (text.partition(":") for text in texts)
    ]


def told(found: Plan) -> list[str]:
    """Return a plan as short texts, in order."""
    return [_told(item) for item in found.items]


def _told(item: Step | Seed) -> str:
    if isinstance(item, Step):
        return f"{'+' if item.direction is Direction.UP else '-'}{item.key}"
    made = f"create {','.join(item.create)} " if item.create else ""
    return f"{made}{item.kind} {item.package}:{','.join(item.rows)}".removesuffix("seeded ")


def upgrade(world: Facts, *texts: str) -> list[str]:
    return told(plan.upgrade(targets(*(texts or world.histories)), world))


def downgrade(world: Facts, *texts: str, cascade: bool = False) -> list[str]:
    return told(plan.downgrade(targets(*texts), world, cascade=cascade))


# -- one package ---------------------------------------------------------------------------


def test_from_nothing_to_the_head() -> None:
    """Every step knows the rows before and after it."""
    world = facts({"blog": chain("001", "002")})

    found = plan.upgrade(targets("blog"), world)

    one, two = world.histories["blog"].revisions.values()
    assert found == Plan(
        (Step(one, Direction.UP, (), ("001",)), Step(two, Direction.UP, ("001",), ("002",))),
        ("blog",),
    )


@pytest.mark.parametrize(
    ("row", "target", "steps"),
    [
        pytest.param("", "blog:002", "+blog:001 +blog:002", id="16: to a revision"),
        pytest.param("001", "blog:head", "+blog:002 +blog:003", id="17: to the head"),
        pytest.param("001", "blog", "+blog:002 +blog:003", id="18: no place is the head"),
        pytest.param("003", "blog", "", id="19: at the head"),
        pytest.param("003", "blog:001", "", id="below the present one"),
        pytest.param("", "blog:+1", "+blog:001", id="one step"),
        pytest.param("002", "blog:+1", "+blog:003", id="one more step"),
    ],
)
def test_places(row: str, target: str, steps: str) -> None:
    """A target goes where it says, from where the package is; contracts 16 to 19."""
    world = facts({"blog": chain("001", "002", "003")}, {"blog": row} if row else {})

    assert upgrade(world, target) == steps.split()


def test_two_targets_of_one_package() -> None:
    """Several targets of one package are brought about together, each step once."""
    world = facts({"blog": [*chain("1", "2a"), rev("2b", "1"), rev("3b", "2b")]})

    assert upgrade(world, "blog:2a", "blog:3b", "blog:2b") == [
        "+blog:1",
        "+blog:2b",
        "+blog:3b",
        "+blog:2a",
    ]


def test_nothing_to_do() -> None:
    """A plan without items is false, and names its packages all the same."""
    found = plan.upgrade(
        targets("blog", "blog:001"), facts({"blog": chain("001")}, {"blog": "001"})
    )

    assert (bool(found), found) == (False, Plan((), ("blog",)))


def test_no_revisions() -> None:
    """A package without revisions is always at its head; contract 15."""
    assert upgrade(facts({"blog": []})) == []


# -- several packages ---------------------------------------------------------------------------


def test_packages_of_one_id() -> None:
    """Two packages may both have 001; each is done by itself, in the order of their names."""
    world = facts({"shop": chain("001", "002"), "blog": chain("001", "002")})

    assert upgrade(world) == ["+blog:001", "+blog:002", "+shop:001", "+shop:002"]
    assert upgrade(world, "shop") == ["+shop:001", "+shop:002"]


def test_a_requirement() -> None:
    """What a step requires of another package comes first, and is added to the plan."""
    world = facts(
        {"blog": chain("001", "002", _002="shop:002"), "shop": chain("001", "002", "003")}
    )

    assert upgrade(world, "blog") == ["+blog:001", "+shop:001", "+shop:002", "+blog:002"]
    assert upgrade(world, "blog:001") == ["+blog:001"]
    assert upgrade(world) == ["+blog:001", "+shop:001", "+shop:002", "+blog:002", "+shop:003"]


def test_requirements_to_and_fro() -> None:
    """Two packages may need one another, as long as no circle comes of it."""
    world = facts(
        {
            "blog": chain("001", "002", "003", _002="shop:001", _003="shop:002"),
            "shop": chain("001", "002", _002="blog:002"),
        }
    )

    assert upgrade(world, "shop") == ["+blog:001", "+shop:001", "+blog:002", "+shop:002"]
    assert upgrade(world, "blog")[-1] == "+blog:003"


def test_a_requirement_of_a_requirement() -> None:
    """Requirements are followed as far as they go."""
    world = facts({"a": chain("1", _1="b:1"), "b": chain("1", _1="c:1"), "c": chain("1", "2")})

    assert upgrade(world, "a") == ["+c:1", "+b:1", "+a:1"]


def test_a_requirement_that_is_met() -> None:
    """A requirement that is applied already adds nothing, wherever above it the package is."""
    world = facts({"blog": chain("1", _1="shop:1"), "shop": chain("1", "2", "3")}, {"shop": "2"})

    assert upgrade(world, "blog") == ["+blog:1"]


def test_an_optional_requirement() -> None:
    """``?`` counts where the package is registered, and only there."""
    blog = chain("1", _1="?shop:1")

    assert upgrade(facts({"blog": blog})) == ["+blog:1"]
    assert upgrade(facts({"blog": blog, "shop": chain("1")}), "blog") == ["+shop:1", "+blog:1"]
    assert upgrade(facts({"blog": blog}, available=["shop"])) == ["+blog:1"]


def test_a_requirement_by_label() -> None:
    """A requirement may name a label, or the head of one."""
    shop = [rev("1"), rev("2", "1", labels="stable"), rev("3", "2"), rev("2b", "1")]

    assert upgrade(facts({"blog": chain("1", _1="shop:stable"), "shop": shop}), "blog") == [
        "+shop:1",
        "+shop:2",
        "+blog:1",
    ]
    assert upgrade(facts({"blog": chain("1", _1="shop:stable@head"), "shop": shop}), "blog") == [
        "+shop:1",
        "+shop:2",
        "+shop:3",
        "+blog:1",
    ]


def test_run_before() -> None:
    """``run_before`` lets a package go in front of another that knows nothing of it."""
    world = facts({"zoo": [rev("1"), rev("2", "1", run_before="blog:2")], "blog": chain("1", "2")})

    assert upgrade(world) == ["+blog:1", "+zoo:1", "+zoo:2", "+blog:2"]
    assert upgrade(world, "blog") == ["+blog:1", "+blog:2"]


def test_run_before_what_is_done() -> None:
    """``run_before`` of something applied, or of a package that is not there, is no obstacle."""
    zoo = [rev("1", run_before="blog:1 gone:1")]

    assert upgrade(facts({"zoo": zoo, "blog": chain("1", "2")}, {"blog": "1"})) == [
        "+blog:2",
        "+zoo:1",
    ]


def test_reach() -> None:
    """The packages that matter are those named and what they require, each read once."""
    world = facts(
        {
            "a": chain("1", _1="b:1 gone:1"),
            "b": chain("1", _1="?c:1"),
            "c": chain("1", _1="a:1"),
            "d": chain("1"),
        }
    )

    assert sorted(plan.reach(["a"], world.histories)) == ["a", "b", "c", "gone"]


# -- found before the first statement ------------------------------------------------------------


def test_a_missing_revision() -> None:
    """A required revision that does not exist is named, with who needs it."""
    world = facts({"blog": chain("001", _001="shop:010"), "shop": chain("001")})

    with pytest.raises(UnknownRevisionError) as caught:
        upgrade(world)

    assert caught.value.message == (
        "package 'shop' has no revision '010', named by revision '001' of package 'blog'"
    )


def test_an_unknown_target() -> None:
    """A target that does not exist is named; a package that does not, too."""
    world = facts({"blog": chain("001")})

    with pytest.raises(UnknownRevisionError, match="package 'blog' has no revision '007'"):
        upgrade(world, "blog:007")
    with pytest.raises(UnknownPackageError, match="no migrations are registered for 'shop'"):
        upgrade(world, "shop")


@pytest.mark.parametrize(
    ("available", "hint"),
    [
        ((), "install and include 'shop', or write '?shop:…' if it is optional"),
        (("shop",), "'shop' is installed but not included: include it in the application"),
    ],
    ids=["not installed", "installed"],
)
def test_a_missing_package(available: tuple[str, ...], hint: str) -> None:
    """A required package that is not registered is named, with the way out."""
    world = facts({"blog": chain("001", "002", _002="shop:001")}, available=available)

    with pytest.raises(MissingPackageError) as caught:
        upgrade(world)

    assert caught.value.message == (
        "revision '002' of package 'blog' requires package 'shop', which is not registered"
    )
    assert caught.value.hint == hint
    assert upgrade(world, "blog:001") == ["+blog:001"]


def test_a_cycle() -> None:
    """A circle over packages is printed, from revision to revision."""
    world = facts(
        {
            "blog": chain("1", "2", _1="shop:2"),
            "shop": chain("1", "2", _2="zoo:1"),
            "zoo": chain("1", _1="blog:2"),
        }
    )

    with pytest.raises(CycleError) as caught:
        upgrade(world, "zoo")

    assert caught.value.message == (
        "revisions require one another: blog:1 -> shop:2 -> zoo:1 -> blog:2 -> blog:1"
    )


@pytest.mark.parametrize(
    "zoo",
    [
        pytest.param([rev("1", requires="blog:1", run_before="blog:1")], id="of two"),
        pytest.param([rev("1", run_before="zoo:1")], id="of one"),
    ],
)
def test_a_cycle_by_run_before(zoo: list[Revision]) -> None:
    """``run_before`` can close a circle too."""
    with pytest.raises(CycleError, match="revisions require one another"):
        upgrade(facts({"blog": chain("1"), "zoo": zoo}))


def test_several_heads_and_no_choice() -> None:
    """Several heads without a choice are refused, wherever the target came from."""
    shop = [rev("1"), rev("2a", "1"), rev("2b", "1")]

    with pytest.raises(MultipleHeadsError):
        upgrade(facts({"shop": shop}), "shop")
    with pytest.raises(MultipleHeadsError):
        upgrade(facts({"shop": shop, "blog": chain("1", _1="shop:head")}), "blog")


def test_several_heads_and_a_choice() -> None:
    """One head, ``heads``, or ``branches=True`` is a choice."""
    shop = [rev("1"), rev("2a", "1"), rev("2b", "1")]

    assert upgrade(facts({"shop": shop}), "shop:2b") == ["+shop:1", "+shop:2b"]
    assert sorted(upgrade(facts({"shop": shop}), "shop:heads")) == [
        "+shop:1",
        "+shop:2a",
        "+shop:2b",
    ]
    assert plan.upgrade(targets("shop"), facts({"shop": shop}, branches="shop")).steps[
        -1
    ].after == (
        "2a",
        "2b",
    )


def test_a_database_that_is_ahead() -> None:
    """Rows the code does not know stop every plan that touches the package, and no other."""
    world = facts({"blog": chain("001", "002"), "shop": chain("1")}, {"blog": "007", "gone": "x"})

    for decide in (plan.upgrade, plan.downgrade, plan.stamp):
        with pytest.raises(DatabaseAheadError) as caught:
            decide(targets("blog:001"), world)
        assert caught.value.message == (
            "the database has revision '007' of package 'blog', "
            "which the installed code does not know, newest here is '002'"
        )
    assert upgrade(world, "shop") == ["+shop:1"]
    assert told(plan.stamp(targets("blog:001"), world, purge=True)) == ["stamped blog:001"]


def test_a_required_package_that_is_ahead() -> None:
    """A package that is only required must be known as well."""
    world = facts({"blog": chain("1", _1="shop:1"), "shop": chain("1")}, {"shop": "9"})

    with pytest.raises(DatabaseAheadError):
        upgrade(world, "blog")


def test_a_broken_package() -> None:
    """A package whose files cannot be read is its own error, for itself and who requires it."""
    error = RevisionFileError("shop", "shop/001.py", "syntax error", line=3)
    world = facts({"blog": chain("1"), "cms": chain("1", _1="shop:1")}, broken={"shop": error})

    for name in ("shop", "cms"):
        with pytest.raises(RevisionFileError) as caught:
            upgrade(world, name)
        assert caught.value is error
    assert upgrade(world, "blog") == ["+blog:1"]


def test_no_upgrade_function() -> None:
    """A step without ``upgrade()`` is found before anything is run."""
    world = facts({"blog": [rev("1"), rev("2", "1", has_upgrade=False)]})

    with pytest.raises(RevisionFileError, match=r"2\.py: has no upgrade\(\)"):
        upgrade(world)
    assert upgrade(world, "blog:1") == ["+blog:1"]


# -- packages without a row ----------------------------------------------------------------------


def seeded(*create: str) -> Fresh:
    return Fresh(Action.SEED, create, "schema matches")


def test_a_seed() -> None:
    """A package that is seeded gets its heads recorded, and none of its steps run."""
    world = facts({"blog": chain("001", "002")}, fresh={"blog": seeded("post", "tag")})

    assert plan.upgrade(targets("blog:001", "blog"), world) == Plan(
        (Seed("blog", ("002",), "schema matches", ("post", "tag")),), ("blog",)
    )


def test_a_seed_of_several_heads() -> None:
    """Every head is recorded, but none that another one implies; contract 15."""
    revisions = [rev("1"), rev("2a", "1"), rev("2b", "1", depends_on="2a"), rev("9")]
    world = facts({"blog": revisions}, branches="blog", fresh={"blog": seeded()})

    assert upgrade(world) == ["seeded blog:2b,9"]


def test_a_seed_requires() -> None:
    """What the revisions of a seeded package require is brought about all the same."""
    world = facts(
        {"blog": chain("1", "2", _2="shop:1"), "shop": chain("1", "2")}, fresh={"blog": seeded()}
    )

    assert upgrade(world, "blog") == ["+shop:1", "seeded blog:2"]


def test_a_seed_that_is_required() -> None:
    """A seed comes before the steps that require it."""
    world = facts(
        {"blog": chain("1", _1="shop:1"), "shop": chain("1", "2")}, fresh={"shop": seeded("price")}
    )

    assert upgrade(world, "blog") == ["create price seeded shop:2", "+blog:1"]


def test_a_seed_and_steps_that_need_one_another() -> None:
    """A seed stands for revisions on both sides of a step: that is no circle."""
    world = facts(
        {"blog": chain("1", "2", _2="shop:1"), "shop": chain("1", _1="blog:1")},
        fresh={"blog": seeded()},
    )

    assert upgrade(world) == ["seeded blog:2", "+shop:1"]


def test_tables_that_refer_to_one_another() -> None:
    """The package whose tables are referred to comes first, created or made by its steps."""
    packages = {"blog": chain("1"), "user": chain("1", "2"), "zoo": chain("1")}
    fresh = {"blog": seeded("post"), "zoo": seeded("animal")}

    assert upgrade(facts(packages, fresh=fresh, refers={"blog": ["zoo", "user"], "zoo": []})) == [
        "create animal seeded zoo:1",
        "+user:1",
        "+user:2",
        "create post seeded blog:1",
    ]


def test_tables_in_a_circle() -> None:
    """Tables that refer to one another in a circle give way, the requirements do not."""
    world = facts(
        {"blog": chain("1"), "user": chain("1"), "zoo": chain("1", _1="blog:1")},
        fresh={"blog": seeded("post"), "user": seeded("account")},
        refers={"blog": ["user"], "user": ["blog", "zoo"]},
    )

    assert upgrade(world) == [
        "create post seeded blog:1",
        "+zoo:1",
        "create account seeded user:1",
    ]


def test_tables_made_before_steps() -> None:
    """A package whose steps run may have tables made first, and no row by that."""
    world = facts({"blog": chain("1")}, fresh={"blog": Fresh(Action.RUN, ("extra",))})

    assert upgrade(world) == ["create extra seeded blog:", "+blog:1"]
    assert plan.upgrade(targets("blog"), world).items[1] == Step(
        world.histories["blog"].revisions["1"], Direction.UP, (), ("1",)
    )


def test_tables_without_a_version() -> None:
    """A refusal for a package without a row is raised, for whoever requires it too."""
    error = UnrecordedTablesError("shop", ["price"], [])
    refused = {"shop": Fresh(Action.REFUSE, error=error)}
    world = facts({"blog": chain("1", _1="shop:1"), "shop": chain("1")}, fresh=refused)

    for name in ("blog", "shop"):
        with pytest.raises(UnrecordedTablesError):
            upgrade(world, name)


def test_populate() -> None:
    """Populate seeds packages without a row, and only them; no step runs; contracts 12 to 14."""
    world = facts(
        {name: chain("1", "2") for name in ("a", "b", "c", "d", "e")} | {"f": []},
        {"b": "1", "c": "unknown"},
        fresh={
            "a": seeded("t"),
            "c": seeded(),
            "d": Fresh(Action.NOTHING),
            "f": seeded("u"),
        },
    )

    assert told(plan.seed(["a", "b", "c", "d", "e", "f"], world)) == [
        "create t seeded a:2",
        "create u seeded f:",
    ]


def test_populate_refuses() -> None:
    """A refusal stops populate before it begins."""
    refused = Fresh(Action.REFUSE, error=UnrecordedTablesError("blog", ["post"], []))

    with pytest.raises(UnrecordedTablesError):
        plan.seed(["blog"], facts({"blog": chain("1")}, fresh={"blog": refused}))


# -- downgrade -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "steps"),
    [
        ("blog:base", "-blog:003 -blog:002 -blog:001"),
        ("blog:-1", "-blog:003"),
        ("blog:001", "-blog:003 -blog:002"),
        ("blog:003", ""),
    ],
)
def test_down(target: str, steps: str) -> None:
    """A downgrade reverts from above, down to the place."""
    world = facts({"blog": chain("001", "002", "003")}, {"blog": "003"})

    assert downgrade(world, target) == steps.split()


def test_the_rows_on_the_way_down() -> None:
    """Each step down knows the rows before and after it, none at the end."""
    world = facts({"blog": chain("001", "002")}, {"blog": "002"})

    steps = plan.downgrade(targets("blog:base"), world).steps

    assert [(step.before, step.after) for step in steps] == [
        (("002",), ("001",)),
        (("001",), ()),
    ]


def test_down_several_packages() -> None:
    """Several packages go down together; who requires goes before who is required."""
    world = facts(
        {"a": chain("1", "2"), "b": chain("1", "2", _2="a:2"), "c": chain("1")},
        {"a": "2", "b": "2", "c": "1"},
    )

    assert downgrade(world, "a:base", "b:base") == ["-b:2", "-a:2", "-a:1", "-b:1"]


def test_dependants() -> None:
    """Steps of other packages that need what goes are named, and nothing is planned."""
    world = facts(
        {"a": chain("1", "2"), "b": chain("1", "2", "3", _2="a:2"), "c": chain("1", _1="b:3")},
        {"a": "2", "b": "3", "c": "1"},
    )

    with pytest.raises(DependantsError) as caught:
        downgrade(world, "a:1")

    assert caught.value.message == (
        "other packages still need what the downgrade of 'a' takes away: b:2, b:3, c:1"
    )
    assert caught.value.hint == "--cascade downgrades them first"


def test_cascade() -> None:
    """Cascade takes the dependants down first, and no more of them than depends."""
    world = facts(
        {"a": chain("1", "2"), "b": chain("1", "2", "3", _2="a:2"), "c": chain("1", _1="b:3")},
        {"a": "2", "b": "3", "c": "1"},
    )

    assert downgrade(world, "a:1", cascade=True) == ["-c:1", "-b:3", "-b:2", "-a:2"]


def test_dependants_that_are_not_applied() -> None:
    """Only what is recorded depends; a dependant that was never applied is no obstacle."""
    world = facts({"a": chain("1"), "b": chain("1", "2", _2="a:1")}, {"a": "1", "b": "1"})

    assert downgrade(world, "a:base") == ["-a:1"]


def test_a_dependant_that_needs_something_unknown() -> None:
    """A wish for a revision that no code knows stands in nobody's way down."""
    world = facts({"a": chain("1"), "b": chain("1", _1="a:9 gone:1")}, {"a": "1", "b": "1"})

    assert downgrade(world, "a:base") == ["-a:1"]


def test_down_with_a_broken_package() -> None:
    """An applied package that cannot be read could be a dependant: that must be known first."""
    error = RevisionFileError("b", "b/1.py", "syntax error")
    world = facts({"a": chain("1")}, {"a": "1", "b": "1"}, broken={"b": error})

    with pytest.raises(RevisionFileError):
        downgrade(world, "a:base")


def test_down_with_rows_of_nobody() -> None:
    """Rows of a package that is not registered stand in nobody's way."""
    world = facts({"a": chain("1")}, {"a": "1", "gone": "7"})

    assert downgrade(world, "a:base") == ["-a:1"]


def test_run_before_on_the_way_down() -> None:
    """What ran before goes after."""
    world = facts(
        {"blog": [rev("1", run_before="zoo:1")], "zoo": chain("1")}, {"blog": "1", "zoo": "1"}
    )

    assert downgrade(world, "blog:base", "zoo:base") == ["-zoo:1", "-blog:1"]


def test_run_before_that_came_later() -> None:
    """A ``run_before`` that cannot be kept on the way down does not stop it."""
    world = facts(
        {"blog": [rev("1", requires="zoo:1", run_before="zoo:1")], "zoo": chain("1")},
        {"blog": "1", "zoo": "1"},
    )

    assert downgrade(world, "zoo:base", cascade=True) == ["-blog:1", "-zoo:1"]


def test_no_way_back() -> None:
    """A missing ``downgrade()`` is found before anything is reverted."""
    world = facts(
        {"blog": [rev("1", has_downgrade=False), rev("2", "1"), rev("3", "2")]}, {"blog": "3"}
    )

    with pytest.raises(IrreversibleError, match=r"revision '1' of package 'blog' has no downgrade"):
        downgrade(world, "blog:base")
    assert downgrade(world, "blog:1") == ["-blog:3", "-blog:2"]


def test_down_to_where_it_is_not() -> None:
    """A place above the present one is refused."""
    world = facts({"blog": chain("1", "2")}, {"blog": "1"})

    with pytest.raises(TargetError):
        downgrade(world, "blog:2")


# -- stamp ---------------------------------------------------------------------------------------


TREE = [rev("1"), rev("2a", "1", labels="a"), rev("3a", "2a"), rev("2b", "1")]


@pytest.mark.parametrize(
    ("rows", "specs", "after"),
    [
        pytest.param("", "blog:2a", "blog:2a", id="nothing yet"),
        pytest.param("3a", "blog:2a", "blog:2a", id="back"),
        pytest.param("2a", "blog:3a", "blog:3a", id="forward"),
        pytest.param("2a", "blog:2b", "blog:2a,2b", id="another branch"),
        pytest.param("2a 2b", "blog:1", "blog:1", id="below both"),
        pytest.param("1", "blog:heads", "blog:2b,3a", id="all heads"),
        pytest.param("2b", "blog:2a blog:3a", "blog:2b,3a", id="two of one branch"),
        pytest.param("2b", "blog:a@head", "blog:2b,3a", id="by label"),
        pytest.param("2a 2b", "blog:base", "blog:", id="forget"),
        pytest.param("3a", "blog:3a", "", id="no change"),
    ],
)
def test_stamp(rows: str, specs: str, after: str) -> None:
    """A stamp replaces the rows below and above it; other branches stay."""
    world = facts({"blog": TREE}, {"blog": rows} if rows else {})

    found = plan.stamp(targets(*specs.split()), world)

    assert told(found) == ([f"stamped {after}"] if after else [])
    assert all(item.before == tuple(rows.split()) for item in found.seeds)


def test_stamp_with_purge() -> None:
    """Purge forgets every row first, those nobody knows too."""
    world = facts({"blog": TREE}, {"blog": "2b unknown"})

    assert told(plan.stamp(targets("blog:2a"), world, purge=True)) == ["stamped blog:2a"]
    assert plan.stamp(targets("blog:2a"), world, purge=True).seeds[0].before == ("2b", "unknown")


def test_stamp_several_packages() -> None:
    """Each package is stamped by itself."""
    world = facts({"blog": chain("1"), "shop": chain("1")}, {"blog": "1"})

    assert told(plan.stamp(targets("shop:1", "blog:base"), world)) == [
        "stamped shop:1",
        "stamped blog:",
    ]


# -- what holds for all of them ----------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, list[Revision]]:
    """Draw packages whose revisions need only what was drawn before: there is a way."""
    names = [f"p{number}" for number in range(draw(st.integers(1, 4)))]
    made: dict[str, list[Revision]] = {name: [] for name in names}
    order: list[tuple[str, str]] = []
    for number in range(draw(st.integers(1, 14))):
        package = draw(st.sampled_from(names))
        own = [revision.id for revision in made[package]]
        others = [f"{name}:{id_}" for name, id_ in order if name != package]
        down = draw(st.lists(st.sampled_from(own[-3:]), max_size=2, unique=True)) if own else []
        requires = (
            draw(st.lists(st.sampled_from(others), max_size=2, unique=True)) if others else []
        )
        made[package].append(rev(str(number), *down, requires=" ".join(requires)))
        order.append((package, str(number)))
    return made


def edges(world: Facts) -> set[tuple[str, str]]:
    """Return every (needed, needing) of a world."""
    return {
        (needed, f"{name}:{found.id}")
        for name, history in world.histories.items()
        for found in history.revisions.values()
        for needed in [
            *(f"{name}:{parent}" for parent in history.parents(found.id)),
            *(f"{wished.package}:{wished.id}" for wished in found.requires),
        ]
    }


def after(world: Facts, found: Plan) -> dict[str, str]:
    """Return the rows once a plan is carried out."""
    rows = {name: ids for name, ids in world.rows.items() if ids}
    for item in found.items:
        rows[item.package] = item.after if isinstance(item, Step) else item.rows
    return {name: " ".join(ids) for name, ids in rows.items() if ids}


@given(worlds(), st.data())
def test_the_order_respects_every_edge(packages: dict[str, list[Revision]], data: Any) -> None:
    """Each step comes once, after everything it needs, whatever the target."""
    world = facts(packages, branches=" ".join(packages))
    everything = [f"{name}:{found.id}" for name, some in packages.items() for found in some]
    wanted = data.draw(st.lists(st.sampled_from(everything), min_size=1, max_size=3))

    seen = [step.removeprefix("+") for step in upgrade(world, *wanted)]

    assert len(set(seen)) == len(seen)
    assert set(wanted) <= set(seen)
    for needed, needing in edges(world):
        if needing in seen:
            assert seen.index(needed) < seen.index(needing)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_same_plan_every_time(
    packages: dict[str, list[Revision]], shuffled: random.Random
) -> None:
    """The order in which packages and rows come to the planner does not matter."""
    names = list(packages)
    shuffled.shuffle(names)
    other = {name: packages[name] for name in names}
    branches = " ".join(packages)

    assert upgrade(facts(packages, branches=branches)) == upgrade(facts(other, branches=branches))


@given(worlds(), st.data())
def test_twice_is_once(packages: dict[str, list[Revision]], data: Any) -> None:
    """After an upgrade there is nothing left to do; half of it and the rest is all of it."""
    branches = " ".join(packages)
    world = facts(packages, branches=branches)
    half = data.draw(st.sampled_from([str(key) for key in _keys(packages)]))
    middle = facts(packages, after(world, plan.upgrade(targets(half), world)), branches=branches)
    end = facts(packages, after(middle, _all(middle)), branches=branches)

    assert _all(end) == Plan((), tuple(packages))
    assert end.rows == {
        name: tuple(sorted(history.tops))
        for name, history in world.histories.items()
        if history.tops
    }
    assert sorted(told(plan.upgrade(targets(half), world)) + told(_all(middle))) == sorted(
        told(_all(world))
    )


@given(worlds(), st.data())
def test_down_and_up_again(packages: dict[str, list[Revision]], data: Any) -> None:
    """A cascade and an upgrade end where they began; what goes down goes before what it needs."""
    branches = " ".join(packages)
    empty = facts(packages, branches=branches)
    full = facts(packages, after(empty, _all(empty)), branches=branches)
    name = data.draw(st.sampled_from([name for name in packages if packages[name]]))

    down = plan.downgrade(targets(f"{name}:base"), full, cascade=True)
    less = facts(packages, after(full, down), branches=branches)
    again = facts(packages, after(less, _all(less)), branches=branches)

    assert again.rows == full.rows
    assert name not in less.rows
    assert {f"+{step.key}" for step in down.steps} == set(told(_all(less)))
    seen = [str(step.key) for step in down.steps]
    for needed, needing in edges(full):
        if needed in seen:
            assert seen.index(needing) < seen.index(needed)


def _keys(packages: dict[str, list[Revision]]) -> list[str]:
    return [f"{name}:{found.id}" for name, some in packages.items() for found in some]


def _all(world: Facts) -> Plan:
    return plan.upgrade(targets(*world.histories), world)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_a_large_installation(shuffled: random.Random) -> None:
    """Twenty packages with a requirement in every fifth revision are planned as a whole."""
    packages = {
        f"p{number:02}": [
            rev(
                f"{at:03}",
                *([f"{at - 1:03}"] if at else []),
                requires=f"p{number - 1:02}:{at:03}" if number and at % 5 == 0 else "",
            )
            for at in range(20)
        ]
        for number in range(20)
    }
    names = sorted(packages, key=lambda _: shuffled.random())
    world = facts({name: packages[name] for name in names})

    assert len(upgrade(world)) == 400
    assert upgrade(world, "p00") == [f"+p00:{at:03}" for at in range(20)]
