"""The pages are complete, and what they link to is there."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ptah_migrate
from ptah_migrate import Migrator, PackageStatus, Plan, Report, errors, make_package
from ptah_migrate._cli import cli
from tests.docs.story import ROOT, blocks

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BESIDE = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
SOURCES = sorted((ROOT / "ptah_migrate").rglob("*.py"))

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SETTING = re.compile(r'"(ptah_migrate\.[a-z_]+)"')
_VARIABLE = re.compile(r"\b(PTAH_MIGRATE_[A-Z_]+|NO_COLOR)\b")

# Dotted texts in the source that are no settings: a logger, a discriminator, modules.
_NO_SETTINGS = {"ptah_migrate.lock", "ptah_migrate.populate", "ptah_migrate.errors"}


def over(found: list[Path]) -> pytest.MarkDecorator:
    """Return what runs a test once for each page."""
    cases = [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in found]
    return pytest.mark.parametrize("page", cases)


def text_of(page: Path) -> str:
    """Return a page."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def sections(page: Path, level: int) -> dict[str, str]:
    """Return the text below each heading of a level, by heading."""
    parts = re.split(rf"^{'#' * level} (.+)$", text_of(page), flags=re.MULTILINE)
    return {
        heading: re.split(rf"^#{{1,{level}}} ", body, flags=re.MULTILINE)[0]
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def first_cells(text: str) -> Iterator[str]:
    """Yield the code words in the first cell of each row of the tables in a text."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])


# -- every page ---------------------------------------------------------------------------


@over([*PAGES, *BESIDE])
def test_links_lead_somewhere(page: Path) -> None:
    """Every link inside the repository names a file that is there, and a heading it has."""
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        found = target.is_relative_to(ROOT) and target.exists()
        if not found or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert not broken


@over(PAGES)
def test_every_page_is_in_the_index(page: Path) -> None:
    """Whoever opens the index finds every page."""
    index = DOCS / "index.md"
    linked = {(DOCS / link).resolve() for link in _LINK.findall(text_of(index))}

    assert page in {*linked, index, ROOT / "README.md"}


@over(PAGES)
def test_python_in_documents_is_python(page: Path) -> None:
    """What a page shows as Python can be parsed."""
    for block in blocks(text_of(page)):
        if block.language == "python":
            ast.parse("\n".join(block.lines), f"{page.name}:{block.number}")


@over([*PAGES, *BESIDE])
def test_no_page_knows_the_machine_it_was_written_on(page: Path) -> None:
    """Pages name no directory of one machine."""
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|usr|Users)/", text_of(page))


def test_design_notes_are_numbered_without_gaps() -> None:
    """Design notes are 0001, 0002 and so on, and each begins with its number."""
    notes = sorted((DOCS / "design").glob("*.md"))

    assert [note.name[:4] for note in notes] == [f"{n:04}" for n in range(1, len(notes) + 1)]
    assert all(text_of(note).startswith(f"# {note.name[:4]} ") for note in notes)


# -- README -------------------------------------------------------------------------------


def test_the_targets_of_make_in_the_readme_exist() -> None:
    """What the README tells to make can be made."""
    named = set(re.findall(r"^make (\w+)", text_of(ROOT / "README.md"), re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", text_of(ROOT / "Makefile"), re.MULTILINE))

    assert named
    assert named <= targets


def test_the_extras_in_the_readme_exist() -> None:
    """The README names every extra that users need, and none that does not exist."""
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    extras = set(project["optional-dependencies"]) - {"test", "dev", "bench"}
    install = sections(ROOT / "README.md", 2)["Install"]
    named = {word for words in re.findall(r"\[([\w,]+)\]'", install) for word in words.split(",")}

    assert {*first_cells(install), "all"} == extras
    assert named <= extras


# -- reference: errors ----------------------------------------------------------------------


def test_every_error_has_an_entry() -> None:
    """The page of errors has one entry for each id, and none that does not exist."""
    entries = list(sections(REFERENCE / "errors.md", 3))

    assert sorted(entries) == sorted(errors.ERRORS)


@pytest.mark.parametrize("id_", sorted(errors.ERRORS))
def test_the_entry_of_an_error_has_its_exit_code(id_: str) -> None:
    """The exit code in an error's entry is the one that the command exits with."""
    entry = sections(REFERENCE / "errors.md", 3)[id_]

    assert entry.strip().startswith(f"Exit code {errors.ERRORS[id_].exit_code}.")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(error, id=error.id)
        for error in (
            errors.UnknownPackageError("blgo", ["blog"]),
            errors.UnknownRevisionError("blog", "009", ["001"]),
            errors.UnknownStepError("usres", ["users"]),
            errors.MissingExtraError("copier", "scaffold"),
            errors.RegistrationConflictError("blog", "plug-in (a.py:3)", "plug-in (b.py:7)"),
            errors.PackagePathError("blog", "migrations"),
            errors.RevisionFileError("blog", "002.py", "syntax error: invalid syntax", line=7),
            errors.DuplicateRevisionError("blog", "002", ["a.py", "b.py"]),
            errors.IrreversibleError("blog", "002", "002.py"),
            errors.UnwrittenError("blog", "002", "002.py"),
            errors.MultipleHeadsError("blog", ["002", "003"]),
            errors.CycleError(["blog:001", "comments:001"]),
            errors.MissingPackageError("blog", "revision '001' of package 'comments'"),
            errors.VersionTableError("ptah_db_versions", ["id", "name"]),
            errors.DatabaseAheadError("blog", ["004"], ["001", "003"]),
            errors.UnrecordedTablesError("blog", ["posts"], ["missing column posts.author"]),
            errors.DependantsError("blog", ["comments:001"]),
            errors.PendingError(["blog is at 001, head is 002"]),
            errors.LockError(60.0, "ptah-migrate host:4711"),
            errors.LockLostError(),
            errors.StepError(
                "blog",
                "002",
                cause="OperationalError: no such column: writer",
                place="002.py:16",
            ),
            errors.PopulateError("users", "ValueError: no password"),
            errors.RevisionExistsError("blog", "002"),
        )
    ],
)
def test_the_entry_of_an_error_shows_its_message(error: errors.PtahMigrateError) -> None:
    """The message in an error's entry reads as the error does."""
    entry = " ".join(sections(REFERENCE / "errors.md", 3)[error.id].split())

    assert f"`{error.message}`" in entry


def test_every_exit_code_is_explained() -> None:
    """The page of exit codes has every code that an error or an interrupt can give."""
    page = text_of(REFERENCE / "exit-codes.md")
    codes = {0, 130, *(error.exit_code for error in errors.ERRORS.values())}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


# -- reference: commands ----------------------------------------------------------------------


def option_names(command: click.Command) -> set[str]:
    """Return every spelling of a command's options."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {name for option in options for name in option.opts}


def command_sections() -> dict[str, str]:
    """Return the entries of the page of commands, by command."""
    found = sections(REFERENCE / "commands.md", 3)
    return {heading.strip("`").split()[0]: body for heading, body in found.items()}


COMMANDS = cli.list_commands(click.Context(cli))
COMMON = option_names(cli) | {"-h", "--help"}


def test_every_command_has_an_entry() -> None:
    """The page of commands has one entry for each command, and none that does not exist."""
    assert sorted(command_sections()) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_entry_of_a_command_has_its_options(name: str) -> None:
    """Every option of a command is in its entry, and nothing else is called an option there."""
    entry = re.sub(r"^ *```.*?^ *```", "", command_sections()[name], flags=re.DOTALL | re.MULTILINE)
    command = cli.get_command(click.Context(cli), name)
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`[^`]+`", entry))))

    assert command is not None
    assert words - COMMON == option_names(command) - COMMON


def test_the_common_options_are_in_their_table() -> None:
    """The table of common options has every one, and none that does not exist."""
    table = sections(REFERENCE / "commands.md", 2)["Common options"]
    found = {word.split()[0] for word in first_cells(table)}

    assert found == COMMON


# -- reference: settings ------------------------------------------------------------------------


def reached() -> list[Path]:
    """Return the modules whose settings count: those of authoring once a command reads them."""
    commands = [source for source in SOURCES if source.parent.name == "_cli"]
    wired = any("conventions" in text_of(source) for source in commands)
    return [source for source in SOURCES if wired or source.parent.name != "_authoring"]


def test_every_setting_is_in_the_reference() -> None:
    """Every setting that the code reads is in the table of ini keys, and no other one is."""
    read = {name for source in reached() for name in _SETTING.findall(text_of(source))}
    table = sections(REFERENCE / "settings.md", 2)["Ini keys"]
    documented = {word for word in first_cells(table) if word.startswith("ptah_migrate.")}

    assert documented == read - _NO_SETTINGS


def test_every_environment_variable_is_in_the_reference() -> None:
    """Every environment variable that the code reads is in its table, and no other one is."""
    read = {name for source in SOURCES for name in _VARIABLE.findall(text_of(source))}
    table = sections(REFERENCE / "settings.md", 2)["Environment"]

    assert set(first_cells(table)) == read


# -- reference: Python ----------------------------------------------------------------------------


def test_every_public_name_is_in_the_reference() -> None:
    """The page of the API names everything that the package exports."""
    page = text_of(REFERENCE / "api.md")

    assert [name for name in ptah_migrate.__all__ if name not in page] == ["__version__"]


def test_every_argument_of_a_registration_is_in_the_reference() -> None:
    """The table of arguments has those of register_migration, and no other ones."""
    table = sections(REFERENCE / "registration.md", 2)["Arguments"]
    documented = {word.partition("=")[0] for word in first_cells(table)}
    arguments = set(inspect.signature(make_package).parameters) - {"name", "origin"} | {"package"}

    assert documented == arguments


def test_the_migrator_is_in_the_reference() -> None:
    """The page of the API has every argument and method of a Migrator, with its defaults."""
    entry = sections(REFERENCE / "api.md", 2)["`Migrator(bind, registry, *, …)`"]
    documented = {re.split(r"[=(]", word)[0] for word in first_cells(entry)}
    arguments = set(inspect.signature(Migrator).parameters)
    public = {name: value for name, value in vars(Migrator).items() if not name.startswith("_")}
    methods = {name for name, value in public.items() if callable(value)}

    assert documented == arguments | methods


@pytest.mark.parametrize("value", [Plan, Report, PackageStatus])
def test_the_attributes_of_results_are_in_the_reference(value: type) -> None:
    """The table of results has every attribute of a result."""
    [row] = [
        line
        for line in sections(REFERENCE / "api.md", 2)["Results"].splitlines()
        if line.startswith(f"| `{value.__name__}`")
    ]
    attributes = [name for name in set(dir(value)) - set(dir(tuple)) if name[0] != "_"]

    assert [name for name in attributes if f"`{name}`" not in row] == []
