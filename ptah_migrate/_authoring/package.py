"""
Give a package its migrations, or make a project that has them.

``plan_init`` looks and decides, ``apply`` does it: all of the plan or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptah_migrate._authoring import (
    answers,
    blueprint,
    compare,
    files,
    insertions,
    origins,
    project,
    scaffold,
    state,
)
from ptah_migrate._authoring.answers import Answer, Prompt
from ptah_migrate._authoring.blueprint import Blueprint
from ptah_migrate._authoring.compare import Compared
from ptah_migrate._authoring.fileplan import FilePlan
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.insertions import Insertions
from ptah_migrate._authoring.naming import check_package, distribution_of, title_of
from ptah_migrate._authoring.origins import Fetcher, Origin
from ptah_migrate._authoring.project import Found
from ptah_migrate._authoring.scaffold import Scaffold
from ptah_migrate._authoring.state import Record
from ptah_migrate.errors import AuthoringError, NameTakenError, UsageError


def plan_init(
    directory: Path,
    *,
    name: str | None = None,
    title: str | None = None,
    new: bool = False,
    data: Mapping[str, object] | None = None,
    prompt: Prompt | None = None,
    conflicts: str = "stop",
    source: Scaffold | None = None,
    own: Own | None = None,
) -> FilePlan:
    """
    Return what gives the package in a directory its migrations; writes nothing.

    An empty directory gets a whole project. A second run finds everything
    ``identical``: what was answered before is remembered in the state file.

    Args:
        directory: the project, or a folder in it; with ``new`` the folder around it.
        name: the package; left out when the directory has one, or is empty.
        title: the package's title for people; made of its name by default.
        new: make a distribution of its own, in a folder of that name.
        data: answers by key, see ``answers``; the rest is recorded or by default.
        prompt: asks a person what nobody has answered.
        conflicts: what becomes of somebody's files in the way: ``stop``,
            ``force`` (they are kept as ``*.orig``) or ``skip``.
        source: the templates; those that came with ptah-migrate by default.
        own: a template of somebody's own, over ours or instead of it.

    Raises:
        NameTakenError: the name cannot be a package's.
        UsageError: an answer that nobody asked for, no name for a new project.
        AuthoringError: an answer is not usable, there is no package, a path
            leads out of the project, or another version of the template made it.
        MissingExtraError: copier is not installed.

    """
    compare.check_conflicts(conflicts)
    given = dict(data or {}) | ({} if title is None else {"title": title})
    found = _fresh(directory, name, given) if new else project.find(directory, name)
    with scaffold.opened(source) as template, origins.fetcher() as fetch:
        return _plan(found, given, prompt, conflicts, template, own or Own(), fetch, new=new)


def _plan(
    found: Found,
    given: Mapping[str, object],
    prompt: Prompt | None,
    conflicts: str,
    template: Scaffold,
    own: Own,
    fetch: Fetcher,
    *,
    new: bool,
) -> FilePlan:
    records = state.load(found.root)
    old = records.get(found.name)
    origin = _origin(found, old, own, fetch)
    source = Blueprint(template.package, template.version, origin, own.trust)
    refuse_other_version(found.name, old, source)
    made = make(source, found, records, given, prompt, plugin=new)
    found, chosen = made.found, made.answers
    generated = compare.look(found.root, made.files, old.files if old else {})
    changes = [change for one in generated for change in compare.changes(one, conflicts)]
    inserted = inserted_into(made)
    kept = {one.name for one in generated if is_theirs(one)}
    hashes = {one.name: state.digest(one.content) for one in generated if one.name not in kept}
    record = remember(
        found.root, chosen, hashes, (*changes, *inserted.changes), inserted, old, source
    )
    return FilePlan(
        found.name,
        found.root,
        (*changes, *inserted.changes, state_change(found.root, {**records, found.name: record})),
        (*inserted.todo, *_left_out(changes, found.root)),
    )


def is_theirs(one: Compared) -> bool:
    """Whether a file that we never made stays the author's, now and later."""
    theirs = one.there is not None and not one.identical and one.recorded is None
    return theirs and one.name in compare.OPTIONAL


def refuse_other_version(name: str, old: Record | None, source: Blueprint) -> None:
    """
    Refuse to compare a project with a template that did not make it.

    Raises:
        AuthoringError: it was made by a newer or an older version.

    """
    if old is None or old.version == source.version:
        return
    if not (old.version and source.version):
        raise AuthoringError(
            f"the template of '{name}' became a whole one, or was one and has lost its copier.yml",
            hint="run: ptah-migrate update",
        )
    newer = old.version > source.version
    raise AuthoringError(
        f"the files of '{name}' were made by version {old.version} of the template, "
        f"this ptah-migrate has version {source.version}",
        hint="pip install --upgrade ptah-migrate" if newer else "run: ptah-migrate update",
    )


# -- of what -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Own:
    """
    A template of somebody's own: a folder, or ``git+URL[@REF][#FOLDER]``.

    ``template`` was named for this call, ``setting`` holds for new packages.
    ``trust``: it may run programs.
    """

    template: str = ""
    setting: str = ""
    trust: bool = False


def _origin(found: Found, old: Record | None, own: Own, fetch: Fetcher) -> Origin:
    """Return the template to use: what made the package before, else what is named."""
    named = own.template or own.setting or origins.BUILTIN
    if old is None:
        return origins.resolve(named, found.root, fetch)
    if own.template and not origins.same(own.template, old.template, found.root):
        raise AuthoringError(
            f"the files of '{found.name}' were made by template '{old.template}'",
            hint=f"run: ptah-migrate update --template {own.template}",
        )
    if origins.is_elsewhere(old.template) and origins.same(named, old.template, found.root):
        return origins.resolve(named, found.root, fetch)
    return origins.recalled(old.template, found.root, fetch, old.commit)


@dataclass(frozen=True, slots=True)
class MadeFor:
    """
    What a template makes for a package, and what to remember of the answers.

    ``whole``: the template is somebody's own altogether.
    """

    found: Found
    answers: Mapping[str, Any]
    files: Mapping[str, bytes]
    whole: bool = False


def make(
    source: Blueprint,
    found: Found,
    records: Mapping[str, Record],
    given: Mapping[str, object],
    prompt: Prompt | None = None,
    *,
    plugin: bool = False,
) -> MadeFor:
    """
    Return what a template makes for a package.

    Raises:
        NameTakenError, UsageError, AuthoringError: see `plan_init`.

    """
    if not source.whole:
        found, chosen = answered(found, records, given, prompt, plugin=plugin)
        return MadeFor(found, chosen, source.render(chosen).files)
    old = records.get(found.name)
    recorded = dict(old.answers) if old else {}
    flat = {**recorded, **given}.get("flat")
    if plugin and old is None and flat in (True, "true", "yes"):
        found = Found(found.root, found.name, found.root / found.name, new=True)
    facts = _facts(found, records, recorded, plugin=plugin)
    asked = blueprint.asked(source, facts, recorded, given)
    made = source.render(asked)
    kept = {key: facts[key] for key in ("name", "folder", "source", "new", "registered", "plugin")}
    return MadeFor(
        found, {**blueprint.remembered(source, made.answers), **kept}, made.files, whole=True
    )


def _facts(
    found: Found, records: Mapping[str, Record], recorded: Mapping[str, Any], *, plugin: bool
) -> dict[str, Answer]:
    """Return what is known of a package without asking."""
    problem = _name_problem(found.name, existing=not found.new)
    if problem:
        raise NameTakenError(problem, hint="a name like my_blog")
    new = recorded.get("new") is True if recorded else found.new
    folder = files.relative(found.root, found.folder)
    return {
        **_defaults(found, records, new=new, plugin=False),
        "name": found.name,
        "folder": folder,
        "source": folder.removesuffix(found.name.replace(".", "/")).strip("/"),
        "new": new,
        "plugin": recorded.get("plugin") is True if recorded else plugin,
    }


# -- where -------------------------------------------------------------------------


def _fresh(directory: Path, name: str | None, given: Mapping[str, object]) -> Found:
    """Return the new project's place; the one that was made there before, on a second run."""
    if name is None:
        raise UsageError("a new package needs a name", hint="ptah-migrate init NAME --new")
    package = name.replace("-", "_")
    problem = _name_problem(package, existing=False)
    root = directory.resolve() / name
    if not problem and (root / state.NAME).is_file():
        return project.find(root, package)
    problem = problem or project.taken(root, package)
    if problem:
        questions = answers.PLUGIN
        gathered = answers.gather(questions, {}, given=given)
        raise _refused([problem], gathered, NameTakenError)
    return Found(root, package, root / "src" / package, new=True)


def _name_problem(name: str, *, existing: bool) -> str:
    try:
        check_package(name, existing=existing)
    except NameTakenError as error:
        return error.message
    return ""


# -- answers -----------------------------------------------------------------------


def answered(
    found: Found,
    records: Mapping[str, Record],
    given: Mapping[str, object],
    prompt: Prompt | None = None,
    *,
    plugin: bool = False,
) -> tuple[Found, dict[str, Answer]]:
    """
    Return what the template asks, and where the package is then.

    Raises:
        NameTakenError, UsageError, AuthoringError: see `plan_init`.

    """
    old = records.get(found.name)
    recorded = dict(old.answers) if old else {}
    plugin = recorded.get("plugin") is True if old else plugin
    new = recorded.get("new") is True if old else found.new
    questions = answers.PLUGIN if plugin else answers.PROJECT if new else answers.EXISTING
    defaults = _defaults(found, records, new=new, plugin=plugin)
    gathered = answers.gather(questions, defaults, given=given, recorded=recorded, prompt=prompt)
    _refuse_problems(found, gathered, questions)
    chosen = {**defaults, **gathered.answers}
    if plugin and old is None and chosen["flat"]:
        found = Found(found.root, found.name, found.root / found.name, new=True)
    folder = files.relative(found.root, found.folder)
    source = folder.removesuffix(found.name.replace(".", "/")).strip("/")
    if plugin and chosen["flat"] is not (source == ""):
        raise AuthoringError(
            f"package '{found.name}' is in '{folder}' already",
            hint="leave flat out, or make it again in another place",
        )
    return found, {**chosen, "name": found.name, "folder": folder, "source": source, "new": new}


def _defaults(
    found: Found, records: Mapping[str, Record], *, new: bool, plugin: bool
) -> dict[str, Answer]:
    defaults: dict[str, Answer] = {
        "title": title_of(found.name),
        "distribution": distribution_of(found.name),
        "test": _test_module(found.name, records),
        "metadata": "" if new else project.metadata(found.folder, found.name),
        "registered": not new and project.registers(found.folder, found.name),
    }
    if not plugin:
        return defaults
    return defaults | {
        "plugin": True,
        "metadata": f"{found.name}.models:Base.metadata",
        "license": answers.LICENSES[0],
        "author": "",
        "email": "",
        "flat": False,
        "first_revision": False,
    }


def _test_module(name: str, records: Mapping[str, Record]) -> str:
    """Return the name of the test module, another one for a project's second package."""
    plain = "test_migrations"
    others = (record for other, record in records.items() if other != name)
    if any(f"tests/{plain}.py" in record.files for record in others):
        return f"{plain}_{name.replace('.', '_')}"
    return plain


def _refuse_problems(
    found: Found, gathered: answers.Gathered, questions: Sequence[answers.Question]
) -> None:
    """Tell everything that is wrong with the name and the answers at once."""
    problem = _name_problem(found.name, existing=not found.new)
    if problem:
        raise _refused([problem], gathered, NameTakenError)
    if gathered.problems:
        raise _refused([], gathered, AuthoringError)
    answers.refuse_unknown(gathered.unknown, questions)


def _refused(
    problems: Sequence[str], gathered: answers.Gathered, kind: type[AuthoringError]
) -> AuthoringError:
    unknown = (f"there is no question '{key}'" for key in gathered.unknown)
    return kind(
        "; ".join((*problems, *gathered.problems, *unknown)),
        hint="a name like my_blog, a title in one line: My blog",
    )


# -- the author's files --------------------------------------------------------------


def inserted_into(made: MadeFor) -> Insertions:
    """
    Return what goes into files of the author's; nothing where all files are ours.

    A template of somebody's own may make these files itself, or have no module
    that they could name.
    """
    module = f"{files.relative(made.found.root, made.found.folder)}/migrations/__init__.py"
    if made.answers["new"] or (made.whole and module not in made.files):
        return Insertions()
    registered = bool(made.answers["registered"])
    return insertions.put_in(made.found, registered=registered, besides=frozenset(made.files))


def _left_out(changes: Iterable[FileChange], root: Path) -> tuple[str, ...]:
    """Return what an author's own .gitignore lacks."""
    for change in changes:
        if (
            change.path == root / ".gitignore"
            and change.status == "skip"
            and b"*.sqlite" not in change.content.split()
        ):
            return (".gitignore: yours was kept; the project's database is in:\n*.sqlite",)
    return ()


# -- remembering ---------------------------------------------------------------------


def remember(
    root: Path,
    chosen: Mapping[str, Any],
    hashes: Mapping[str, str],
    changes: Iterable[FileChange],
    inserted: Insertions,
    old: Record | None,
    source: Blueprint,
) -> Record:
    """Return what to write into the state file; a file the author keeps keeps the hash it had."""
    changes = list(changes)
    originals = {
        files.relative(root, change.path).removesuffix(state.ORIGINAL): state.digest(change.content)
        for change in changes
        if change.status == "create" and change.path.name.endswith(state.ORIGINAL)
    }
    old = old or Record(source.origin.name, source.version)
    return Record(
        source.origin.name,
        source.version,
        chosen,
        {**old.files, **hashes},
        {**old.edits, **inserted.texts},
        {**old.replaced, **originals},
        tuple(sorted({*old.folders, *_new_folders(root, changes)})),
        source.origin.commit,
    )


def _new_folders(root: Path, changes: Iterable[FileChange]) -> set[str]:
    return {
        files.relative(root, folder)
        for change in changes
        if change.status == "create"
        for folder in change.path.parents
        if folder.is_relative_to(root) and folder != root and not folder.exists()
    }


def state_change(root: Path, records: Mapping[str, Record]) -> FileChange:
    """Return what happens to the state file; without records it goes."""
    path = files.inside(root, root / state.NAME)
    content, there = state.dump(records), files.read(path)
    if not records:
        return FileChange("remove", path, b"", there)
    if there is None:
        return FileChange("create", path, content)
    return FileChange("identical" if state.lf(there) == content else "edit", path, content, there)
