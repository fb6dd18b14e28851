"""
The checks, one function for each promise.

A check judges its own promise only: where it cannot come to it because another
one is broken, it says which (``NotApplicable``). So a defect fails one check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ptah_migrate import _history
from ptah_migrate._authoring import check_files
from ptah_migrate._runtime import schema
from ptah_migrate.errors import OfflineError, PtahMigrateError, StepError
from ptah_migrate.testing import packaging, snapshot, sqlscript
from ptah_migrate.testing.declared import FailedCheck, NotApplicable
from ptah_migrate.testing.place import Place, readable
from ptah_migrate.testing.subjects import explain

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ptah_migrate.testing.subjects import Subject

Populate = Callable[["Engine"], object]

# What single_head says of a history, check_files says too.
_HEADS = "several-heads"


def run(name: str, subject: Subject, engine: Engine | None, populate: Populate) -> None:
    """
    Run one check.

    Raises:
        FailedCheck: the package does not keep the promise.
        NotApplicable: the check cannot judge it.

    """
    if engine is None:
        _OFFLINE[name](subject)
    elif name == "seed_equals_upgrade":
        seed_equals_upgrade(Place(subject, engine), populate)
    elif name == "models_match":
        models_match(subject, engine)
    else:
        _ONLINE[name](Place(subject, engine))


# -- files ---------------------------------------------------------------------------


def single_head(subject: Subject) -> None:
    """No two revisions follow the same one."""
    history = readable(subject)
    if subject.package.branches:
        raise NotApplicable(f"{subject.name} is registered with branches=True")
    if len(history.heads) > 1:
        raise FailedCheck(
            f"{subject.name} has {len(history.heads)} heads: {', '.join(history.heads)}; "
            f"run: ptah-migrate merge {subject.name}"
        )


def files(subject: Subject) -> None:
    """Names, ids and the chain of the files are sound."""
    found = [one for one in check_files(subject.package) if one.id != _HEADS]
    if found:
        lines = [f"{one.path.name}: {one.message}; {one.hint}" for one in found]
        raise FailedCheck(f"{subject.name}: " + "\n".join(lines))
    try:
        _history.read(subject.package)
    except PtahMigrateError as error:
        raise FailedCheck(explain(error)) from error


def packaged(subject: Subject) -> None:
    """The wheel has every file."""
    readable(subject)
    found = packaging.findings(subject)
    if found:
        lines = [f"{one.path.name} {one.message}; {one.hint}" for one in found]
        raise FailedCheck(f"{subject.name}: " + "\n".join(lines))


# -- up and down -----------------------------------------------------------------------


def upgrade_from_empty(place: Place) -> None:
    """Every revision runs on an empty database."""
    if place.missing:
        raise NotApplicable(f"{', '.join(place.missing)} is not here: see with_dependencies")
    try:
        place.upgrade()
    except PtahMigrateError as error:
        raise FailedCheck(_cause(error)) from error
    [status] = [one for one in place.migrator.status() if one.package == place.name]
    if status.state not in ("current", "empty"):
        raise FailedCheck(
            f"{place.name} is at {', '.join(status.rows) or 'no revision'} after all its "
            f"revisions ran, not at {', '.join(status.heads)}"
        )


def stairway(place: Place) -> None:
    """Each revision runs, is taken back, and runs again."""
    for turn in place.turns():
        if turn.failure is not None:
            raise FailedCheck(
                f"{place.name}: revision {turn.revision} cannot be taken back: "
                f"{_cause(turn.failure)}"
            )
        trace = turn.back != turn.before
        try:
            place.again(turn.revision)
        except PtahMigrateError as error:
            if trace:
                raise NotApplicable(
                    f"revision {turn.revision} leaves something behind: "
                    "see downgrade_leaves_no_trace"
                ) from error
            raise FailedCheck(
                f"{place.name}: revision {turn.revision} does not run again once it was taken "
                f"back: {_cause(error)}"
            ) from error
        if not trace and (lines := snapshot.differences(turn.after, place.schema())):
            raise FailedCheck(
                f"{place.name}: revision {turn.revision} makes another schema when it runs "
                f"again: {'; '.join(lines)}"
            )
    _one_way(place)


def downgrade_leaves_no_trace(place: Place) -> None:
    """A downgrade takes back what its upgrade made."""
    for turn in place.turns():
        if turn.back is None:
            raise NotApplicable(f"revision {turn.revision} cannot be taken back: see stairway")
        if lines := snapshot.differences(turn.before, turn.back):
            raise FailedCheck(
                f"{place.name}: the downgrade of {turn.revision} leaves a trace: "
                f"{'; '.join(lines)}; correct downgrade() in "
                f"{place.history.revisions[turn.revision].path.name}"
            )
        try:
            place.again(turn.revision)
        except PtahMigrateError as error:
            raise NotApplicable(f"revision {turn.revision} does not run again: see stairway") from (
                error
            )
    _one_way(place)


def _one_way(place: Place) -> None:
    if one_way := place.one_way:
        raise NotApplicable(
            f"the rest is fine, but {', '.join(one_way)} of {place.name} cannot be judged: "
            "no downgrade()"
        )


# -- models ----------------------------------------------------------------------------


def models_match(subject: Subject, engine: Engine) -> None:
    """After the last revision the tables are those of the models."""
    try:
        models = schema.metadata(subject.package)
    except PtahMigrateError as error:
        raise FailedCheck(explain(error)) from error
    if models is None:
        raise NotApplicable(f"{subject.name} registers no models (metadata=)")
    if not models.tables:
        raise NotApplicable(f"the models of {subject.name} have no table")
    try:
        place = Place(subject, engine)
    except NotApplicable as reason:
        if "no revisions" in str(reason):
            raise FailedCheck(
                f"{subject.name} has models and no revisions; "
                f"run: ptah-migrate revision {subject.name} --autogenerate"
            ) from reason
        raise
    place.upgraded()
    if lines := _differences(place):
        raise FailedCheck(
            f"the models of {place.name} are not what its revisions make: {'; '.join(lines)}; "
            f"run: ptah-migrate revision {place.name} --autogenerate"
        )


def _differences(place: Place) -> list[str]:
    try:
        found = place.migrator.differences(place.name)
    except PtahMigrateError as error:
        return [explain(error)]
    return [one.words for one in found[place.name]]


def seed_equals_upgrade(place: Place, populate: Populate) -> None:
    """Tables made from the models equal those of the revisions."""
    package = place.package
    if place.models_problem is not None:
        raise NotApplicable(f"the models of {place.name} cannot be imported: see models_match")
    if package.force or package.fresh == "steps":
        how = "force=True" if package.force else "fresh='steps'"
        raise NotApplicable(f"{place.name} is registered with {how}: it is never seeded")
    models = schema.metadata(package)
    if models is None or not models.tables:
        raise NotApplicable(f"{place.name} has no models to make tables from")
    place.upgraded()
    if _differences(place):
        raise NotApplicable(f"the models of {place.name} differ: see models_match")
    by_steps, their_rows = place.schema(), place.rows()
    place.empty()
    place.prepare()
    place.registered.seed(place.name)
    populate(place.engine)
    lines = snapshot.differences(by_steps, place.schema())
    lines += snapshot.row_differences(their_rows, place.rows())
    if lines:
        raise FailedCheck(
            f"{place.name} made from its models is not what its revisions make: "
            f"{'; '.join(lines)}; let the models say it too, insert the rows in a populate step, "
            "or register fresh='steps'"
        )


# -- neighbours --------------------------------------------------------------------------


def with_dependencies(place: Place) -> None:
    """It runs with what it requires, at the least and at the head."""
    if not place.required:
        raise NotApplicable(f"{place.name} requires no other package")
    if place.missing:
        raise FailedCheck(
            f"{place.name} requires {', '.join(place.missing)}, which is not installed here; "
            "install it for the tests"
        )
    place.whole()
    failures = {}
    for at_least in (False, True):
        try:
            place.try_upgrade(at_least=at_least)
        except PtahMigrateError as error:
            failures[at_least] = error
        place.empty()
    if len(failures) > 1:
        raise NotApplicable(f"the revisions of {place.name} do not run: see upgrade_from_empty")
    if True in failures:
        raise FailedCheck(
            f"{place.name} does not run with the least it requires ({_least(place)}), only with "
            f"the newest: {_cause(failures[True])}; require a later revision"
        )
    if False in failures:
        raise FailedCheck(
            f"{place.name} runs with the least it requires ({_least(place)}), but not with the "
            f"newest: {_cause(failures[False])}"
        )


def _least(place: Place) -> str:
    revisions = place.history.revisions.values()
    return ", ".join(sorted({str(wish) for one in revisions for wish in one.requires}))


# -- SQL ----------------------------------------------------------------------------------


def sql_mode(place: Place) -> None:
    """The SQL script gives the same tables."""
    dialect = place.engine.dialect.name
    if dialect not in sqlscript.DIALECTS:
        raise NotApplicable(f"scripts are checked on {', '.join(sqlscript.DIALECTS)}")
    place.upgraded()
    wanted, their_rows = place.schema(), place.rows()
    place.empty()
    place.prepare()
    try:
        script = place.migrator.script(f"{place.name}:base:heads")
    except OfflineError as error:
        if dialect == "sqlite" and "batch mode" in str(error).lower():
            raise NotApplicable(
                f"{place.name} changes tables in batch mode, which looks at them on SQLite; "
                "name a server: --ptah-migrate-url"
            ) from error
        raise FailedCheck(explain(error)) from error
    try:
        sqlscript.run(place.engine, script)
    except sqlscript.ScriptError as error:
        raise FailedCheck(
            f"the SQL of {place.name} does not run on an empty database: {error}; "
            f"see: ptah-migrate upgrade {place.name} --sql"
        ) from error
    lines = snapshot.differences(wanted, place.schema())
    lines += snapshot.row_differences(their_rows, place.rows())
    if lines:
        raise FailedCheck(
            f"the SQL of {place.name} does not give what its revisions do: {'; '.join(lines)}; "
            f"see: ptah-migrate upgrade {place.name} --sql"
        )


def _cause(error: PtahMigrateError) -> str:
    """Return an error in words for authors: what stays applied is of interest elsewhere."""
    if not isinstance(error, StepError):
        return explain(error)
    at = f" at {error.place}" if error.place else ""
    return f"revision '{error.revision}' of package '{error.package}' fails{at}: {error.cause}"


_OFFLINE = {"single_head": single_head, "files": files, "packaged": packaged}
_ONLINE = {
    "upgrade_from_empty": upgrade_from_empty,
    "stairway": stairway,
    "downgrade_leaves_no_trace": downgrade_leaves_no_trace,
    "with_dependencies": with_dependencies,
    "sql_mode": sql_mode,
}
