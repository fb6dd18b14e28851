"""The matrix: Python, SQLAlchemy, Alembic and Pyramid, oldest and newest, and the wheel."""

from __future__ import annotations

import os
import subprocess
import tomllib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
HERE = Path(__file__).parent
TEMPLATES = "ptah_migrate/_templates/"

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "tests", "sqlalchemy20", "lowest", "wheel"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with the newest of everything: SQLAlchemy 2.1, Pyramid 2.1."""
    session.install("--editable", ".[all,test]", "sqlalchemy>=2.1", "pyramid>=2.1")
    run_tests(session)


@nox.session(python=PYTHONS)
def sqlalchemy20(session: nox.Session) -> None:
    """Run the tests with SQLAlchemy 2.0 and Pyramid 2.0, both still in wide use."""
    session.install("--editable", ".[all,test]", "sqlalchemy<2.1", "pyramid<2.1")
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of every dependency that we promise."""
    with TemporaryDirectory() as directory:
        constraints = Path(directory) / "lowest.txt"
        constraints.write_text("\n".join(lower_bounds()) + "\n", encoding="utf-8")
        session.install("--editable", ".[all,test]", "--constraint", str(constraints))
    run_tests(session)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and architecture."""
    session.install("--editable", ".[all,test,dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the sdist, from it the wheel; install that outside the checkout and use it."""
    session.install("build")
    with TemporaryDirectory() as directory:
        outside = Path(directory).resolve()
        session.run("python", "-m", "build", "--outdir", str(outside), silent=True)
        [built] = outside.glob("*.whl")
        compare_templates(session, built)

        session.run("python", "-m", "venv", str(outside / "venv"))
        python = outside / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(session, python, "-m", "pip", "install", "--quiet", f"{built}[all]")
        smoke(session, python, outside)


def run_tests(session: nox.Session) -> None:
    """Show what is tested, then run pytest with the arguments after ``--``."""
    session.run("python", "-m", "pip", "list", "--format=freeze", silent=False)
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "2"]))


def lower_bounds() -> list[str]:
    """Return every dependency of ours pinned to its lower bound."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"]]
    for name in ("pyramid", "scaffold", "postgresql", "mysql", "progress"):
        wanted += extras[name]
    return [
        requirement.partition("[")[0].partition(">=")[0] + "==" + requirement.partition(">=")[2]
        for requirement in wanted
        if ">=" in requirement
    ]


def compare_templates(session: nox.Session, built: Path) -> None:
    """Fail unless the wheel carries exactly the template files that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "templates/"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {line.removeprefix("templates/") for line in listed.stdout.split("\0") if line}
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    found = {name.removeprefix(TEMPLATES) for name in names if name.startswith(TEMPLATES)}
    if not expected or found != expected:
        session.error(
            f"templates missing in the wheel: {sorted(expected - found)}; "
            f"there, but not in git: {sorted(found - expected)}"
        )
    session.log(f"{len(found)} template files are in the wheel")


def smoke(session: nox.Session, python: Path, outside: Path) -> None:
    """Use the installed wheel as its user does, from an empty directory to a schema."""
    project = outside / "blog"
    project.mkdir()
    with session.chdir(project):
        run(session, python, "-m", "ptah_migrate", "init")
        run(session, python, "-m", "ptah_migrate", "revision", "-r", "001", "-m", "Add column")
        upgrade = run(session, python, "-m", "ptah_migrate", "upgrade")
        run(session, python, "-m", "ptah_migrate", "status")
        run(session, python, "-m", "ptah_migrate", "downgrade", "blog:base")
        place = run(session, python, "-c", "import ptah_migrate; print(ptah_migrate.__file__)")
    if "blog: running upgrade None -> 001, Add column" not in upgrade:
        session.error("upgrade did not run the step")
    if not Path(place.strip()).is_relative_to(outside):
        session.error(f"the checkout was used, not the wheel: {place}")


def run(session: nox.Session, *command: str | Path) -> str:
    """Run a command outside the session's environment; print and return what it wrote."""
    clean = dict.fromkeys(("PYTHONPATH", "PTAH_MIGRATE_CONFIG", "PTAH_MIGRATE_URL"))
    words = [str(word) for word in command]
    output = session.run(*words, external=True, silent=True, env=clean, stderr=subprocess.STDOUT)
    session.log(str(output))
    return str(output)


def prefer_installed_pythons() -> None:
    """Let every Python of pyenv be found; its shims start only the activated ones."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path.parent) for name in PYTHONS for path in versions.glob(f"{name}.*/bin/python")]
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *found])


prefer_installed_pythons()
