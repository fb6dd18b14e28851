"""
The values that the layers hand one another.

All are frozen: a layer returns a new value, it never changes one it was given.
Nothing here touches a database, a file, or a library. They are named tuples: a
dataclass takes three times as long to define, and every command waits for it.
For the same reason annotations are no texts here, each of which would be compiled.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

# What a registration may say about a database in which the package has no row.
FRESH = ("auto", "steps", "create")

# The operations that a plan is made for.
UPGRADE = "upgrade"
DOWNGRADE = "downgrade"
STAMP = "stamp"
POPULATE = "populate"

# The places of a target that mean "everything".
HEADS = ("head", "heads")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Source(str, Enum):
    """The kind of place that a registration came from, strongest first."""

    APPLICATION = "application"
    PLUGIN = "plug-in"
    PROJECT = "project"
    ENTRY_POINT = "entry point"


class Origin(NamedTuple):
    """Where a package was registered; ``str()`` is what people read."""

    source: Source
    file: str = ""
    line: int = 0
    detail: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return " ".join(
            part for part in (self.source.value, self.detail, f"({place})" if place else "") if part
        )


class Package(NamedTuple):
    """
    The unit that owns a history.

    ``paths`` are asset specs (``pkg:migrations``) or absolute directories.
    ``metadata``, ``options`` and ``naming_convention`` may be dotted names
    (``blog.models:Base.metadata``), looked up only when a database is compared
    or a step runs. ``force`` means: never seeded, its steps always run.
    """

    name: str
    paths: tuple[str, ...]
    title: str = ""
    force: bool = False
    fresh: str = "auto"
    branches: bool = False
    recursive: bool = False
    alembic_version: bool = False
    metadata: Any = None
    naming_convention: Any = None
    tables: tuple[str, ...] | None = None
    skip_tables: frozenset[str] = frozenset()
    options: Any = None
    attributes: Mapping[str, Any] = _NOTHING
    origin: Origin = Origin(Source.APPLICATION)

    @property
    def path(self) -> str:
        """The first registered path, as it was given."""
        return self.paths[0]


class Key(NamedTuple):
    """A revision's name in the whole installation."""

    package: str
    id: str

    def __str__(self) -> str:
        return f"{self.package}:{self.id}"


class Requirement(NamedTuple):
    """A revision's wish about another package's revision; ``optional``: only if registered."""

    package: str
    id: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{'?' if self.optional else ''}{self.package}:{self.id}"


class Revision(NamedTuple):
    """
    One revision file, as read without running it.

    ``down`` and ``depends_on`` are ids of the same package; ``requires`` and
    ``run_before`` name revisions of other packages. ``doc`` is the first line
    of the docstring. ``has_upgrade``/``has_downgrade`` are what the text shows.
    ``unwritten``: it still carries the template's comment that nobody wrote it.
    """

    # A named tuple, and the file as a text: ten thousand are made for one list of histories.
    package: str
    id: str
    file: str
    down: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    run_before: tuple[Requirement, ...] = ()
    labels: tuple[str, ...] = ()
    doc: str = ""
    has_upgrade: bool = True
    has_downgrade: bool = True
    unwritten: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.file)

    @property
    def key(self) -> Key:
        """The revision's name in the whole installation."""
        return Key(self.package, self.id)

    @property
    def parents(self) -> tuple[str, ...]:
        """Every revision of the package that must be applied before this one."""
        return (*self.down, *(dep for dep in self.depends_on if dep not in self.down))


class Direction(str, Enum):
    """Which way a step goes."""

    UP = "upgrade"
    DOWN = "downgrade"


class Target(NamedTuple):
    """A package and a place in its history; ``spec`` is Alembic's language (``head``, ``-1``)."""

    package: str
    spec: str = "head"
    start: str | None = None

    def __str__(self) -> str:
        return f"{self.package}:{self.spec}"


class Step(NamedTuple):
    """One revision to run, and the package's rows before and after it."""

    revision: Revision
    direction: Direction
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def package(self) -> str:
        """The package the step belongs to."""
        return self.revision.package

    @property
    def key(self) -> Key:
        """The revision's name in the whole installation."""
        return self.revision.key

    @property
    def source(self) -> str:
        """The id(s) the step starts from, ``None`` for nothing, as in log lines."""
        if self.direction is Direction.UP:
            return ", ".join(self.revision.down) or "None"
        return self.revision.id

    @property
    def destination(self) -> str:
        """The id(s) the step leads to, ``None`` for nothing, as in log lines."""
        if self.direction is Direction.UP:
            return self.revision.id
        return ", ".join(self.revision.down) or "None"


class Seed(NamedTuple):
    """
    Record ``rows`` for a package without running its steps.

    ``create`` names the tables to make from its models first; ``reason`` says
    why its schema is known to be the latest. ``kind`` tells ``seeded`` from
    ``stamped`` (a person's order), for which ``before`` are the replaced rows.
    """

    package: str
    rows: tuple[str, ...]
    reason: str = ""
    create: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    kind: str = "seeded"


Item = Step | Seed


class Plan(NamedTuple):
    """Everything that will happen, in order; empty when there is nothing to do."""

    items: tuple[Item, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The revisions that will run."""
        return tuple(item for item in self.items if isinstance(item, Step))

    @property
    def seeds(self) -> tuple[Seed, ...]:
        """The packages that will be recorded without running steps."""
        return tuple(item for item in self.items if isinstance(item, Seed))

    def __bool__(self) -> bool:
        return bool(self.items)


class Done(NamedTuple):
    """One item of a plan, finished and committed, and the seconds it took."""

    item: Item
    seconds: float


class Report(NamedTuple):
    """
    What a run did; ``waited`` is the time spent on the lock, in seconds.

    ``rows`` are those of every package in the database, where nothing was to be done.
    """

    plan: Plan
    done: tuple[Done, ...] = ()
    waited: float = 0.0
    rows: Mapping[str, tuple[str, ...]] = _NOTHING


class PackageStatus(NamedTuple):
    """
    A package as the database and the code see it.

    ``state`` is one of: ``current`` (at its heads), ``pending``, ``unrecorded``
    (no row), ``ahead`` (rows the code does not know), ``orphan`` (rows of a
    package that is not registered), ``broken`` (its files cannot be read),
    ``empty`` (no revisions, no row), ``available`` (installed, not included).
    ``how`` says how the rows came about: ``run``, ``seeded``, ``stamped``, or
    empty when it is not known.
    """

    package: str
    title: str
    state: str
    rows: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    how: str = ""
    problem: str = ""
    origin: str = ""


class Problem(NamedTuple):
    """Something wrong that must not stop the rest: a broken entry point, a conflict."""

    subject: str
    message: str
    hint: str = ""


class PopulateStep(NamedTuple):
    """One step of data population; the factory is called with the Pyramid registry or None."""

    name: str
    factory: Callable[[Any], Any]
    title: str = ""
    active: bool = True
    requires: tuple[str, ...] = ()


POPULATE_DB_SCHEMA = "ptah-db-schema"
"""The populate step that creates missing tables and seeds; others may require it."""
