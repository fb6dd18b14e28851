"""A package's history means what Alembic's users know: Alembic itself is asked each time."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ptah_migrate._history import History, read
from ptah_migrate._runtime import plan
from ptah_migrate.errors import PtahMigrateError
from ptah_migrate.model import Target
from ptah_migrate.registry import make_package
from tests.helpers import revision_source

# -- any history that Alembic can hold ------------------------------------------------


@dataclass
class Node:
    """One revision of a made-up history."""

    id: str
    down: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Draw a history: chains, branches, merges, several roots, labels, dependencies."""
    count = draw(st.integers(1, 9))
    names = draw(
        st.lists(
            st.from_regex(r"[a-f0-9]{1,6}|v[0-9]\.[0-9]\.[a-c]|\w{1,8}", fullmatch=True),
            min_size=count,
            max_size=count,
            unique=True,
        ).filter(lambda ids: not {"base", "head", "heads"} & set(ids))
    )
    nodes: list[Node] = []
    for name in names:
        below = [node.id for node in nodes]
        linked = below[-1:] if draw(st.integers(0, 2)) else below
        down = draw(st.lists(st.sampled_from(linked), max_size=2, unique=True)) if below else []
        wanted = draw(st.lists(st.sampled_from(below), max_size=1)) if below else []
        depends_on = [id_ for id_ in wanted if id_ not in down]
        labels = [f"label_{len(nodes)}"] if not draw(st.integers(0, 5)) else []
        by_label = {node.id: node.labels[0] for node in nodes if node.labels}
        if depends_on and depends_on[0] in by_label and draw(st.booleans()):
            depends_on = [by_label[depends_on[0]]]
        nodes.append(Node(name, tuple(down), tuple(depends_on), tuple(labels)))
    return nodes


@contextmanager
def written(nodes: list[Node]) -> Iterator[Path]:
    """Write a history as files, in names that have nothing to do with its order."""
    folder = Path(tempfile.mkdtemp(prefix="ptah_history_"))
    names = [f"{number:03}_file.py" for number in range(len(nodes))]
    random.Random(len(nodes)).shuffle(names)
    for name, node in zip(names, nodes, strict=True):
        source = revision_source(node.id, node.down, depends_on=node.depends_on, labels=node.labels)
        (folder / name).write_text(source, encoding="utf-8")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# -- Alembic as the oracle ----------------------------------------------------------------

Steps = list[tuple[str, tuple[str, ...]]]


@dataclass
class Oracle:
    """Alembic over the same files, on a database of its own in memory."""

    folder: Path
    script: ScriptDirectory = field(init=False)
    connection: sa.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.script = ScriptDirectory(str(self.folder), version_locations=[str(self.folder)])
        self.connection = sa.create_engine("sqlite://").connect()

    def upgrade(self, target: str) -> Steps:
        """Upgrade, and return each revision with the rows after it."""
        return self._run(lambda rows, _: self.script._upgrade_revs(target, rows))

    def downgrade(self, target: str) -> Steps:
        """Downgrade, and return each revision with the rows after it."""
        return self._run(lambda rows, _: self.script._downgrade_revs(target, rows))

    def _run(self, revisions: Callable[[Any, Any], Any]) -> Steps:
        seen: Steps = []

        def applied(*, step: Any, heads: set[str], **_: Any) -> None:
            (id_,) = step.up_revision_ids if step.is_upgrade else [step.up_revision_id]
            seen.append((id_, tuple(sorted(heads))))

        context = MigrationContext.configure(
            self.connection,
            opts={"script": self.script, "fn": revisions, "on_version_apply": [applied]},
        )
        with context.begin_transaction():
            context.run_migrations()
        return seen


def ours(history: History, rows: tuple[str, ...], spec: str, direction: str) -> Steps:
    """Return the same of our planner."""
    decide = plan.upgrade if direction == "upgrade" else plan.downgrade
    facts = plan.Facts({"blog": history}, {"blog": rows} if rows else {})
    found = decide([Target("blog", spec)], facts)
    return [(step.revision.id, step.after) for step in found.steps]


def specs(nodes: list[Node]) -> st.SearchStrategy[tuple[str, str]]:
    """Draw a command: a direction and a target."""
    ids = st.sampled_from([node.id for node in nodes])
    labels = [label for node in nodes for label in node.labels]
    relative = st.integers(1, 3).map(str)
    words = [ids, ids, st.sampled_from(["head", "heads"])]
    if labels:
        words.append(st.sampled_from(labels))
        words.append(st.builds("{}@{}".format, st.sampled_from(labels), st.just("head")))
    place = st.one_of(*words)
    up = st.one_of(place, relative.map("+{}".format))
    down = st.one_of(place, st.just("base"), relative.map("-{}".format))
    return st.one_of(st.tuples(st.just("upgrade"), up), st.tuples(st.just("downgrade"), down))


@settings(max_examples=150)
@given(st.data())
def test_parity(data: st.DataObject) -> None:
    """Any sequence of commands runs the steps, and leaves the rows, that Alembic's would."""
    nodes = data.draw(graphs())
    with written(nodes) as folder:
        oracle = Oracle(folder)
        history = read(make_package("blog", str(folder)))
        assert set(history.heads) == set(oracle.script.get_heads())
        assert set(history.bases) == set(oracle.script.get_bases())
        rows: tuple[str, ...] = ()
        for _ in range(data.draw(st.integers(1, 4))):
            direction, spec = data.draw(specs(nodes))
            assume(len(rows) < 2 or not spec.startswith("-"))  # we refuse what Alembic warns of
            try:
                steps = getattr(oracle, direction)(spec)
                # After some downgrades Alembic keeps a row that another one implies.
                wanted = [(id_, tuple(sorted(history.outer(after)))) for id_, after in steps]
            except CommandError:
                wanted = None
            except (KeyError, AssertionError):
                return  # Alembic itself breaks here: nothing to compare with
            try:
                got = ours(history, rows, spec, direction)
            except PtahMigrateError:
                got = None
            assert got == wanted, (direction, spec, rows)
            if got:
                rows = got[-1][1]
