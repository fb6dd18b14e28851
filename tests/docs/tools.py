"""
Tools that examples use, made fit for a test.

``pip install -e`` makes a project importable and its entry points known, as
the real one does, without building anything. ``pserve`` stops once it serves.
Two are ours, and keep what readers know out of documents: ``pyramid-logging``
writes the usual lines, ``fill-in`` makes all new revisions look written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from threading import Timer

from ptah_migrate._cli import populate_main
from ptah_migrate._history import NOT_WRITTEN


def pip(arguments: list[str]) -> int:
    """Install the projects named by ``-e`` for the rest of the story, or remove the last word."""
    site = Path(os.environ["STORY_SITE"])
    if arguments[0] == "uninstall":
        [metadata] = site.glob(f"{arguments[-1]}-*.dist-info")
        rmtree(metadata)
    for option, folder in pairwise(arguments):
        if option == "-e":
            _install(site, Path(folder).resolve())
    return 0


def _install(site: Path, root: Path) -> None:
    source = root / "src"
    with (site / "editable.txt").open("a", encoding="utf-8") as installed:
        installed.write(f"{source if source.is_dir() else root}\n")
    _metadata(site, root)


def _metadata(site: Path, root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project.get("version", "0")
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines: list[str] = []
    for group, entries in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pserve(arguments: list[str]) -> int:
    """Start the server, print what it says, and stop it once it serves, or after a minute."""
    words = [sys.executable, "-P", "-u", "-m", "pyramid.scripts.pserve", *arguments]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as server:
        assert server.stdout is not None
        patience = Timer(60, server.kill)
        patience.start()
        for line in server.stdout:
            sys.stdout.write(line)
            if "Serving on" in line:
                server.terminate()
        patience.cancel()
        return max(server.wait(), 0)


LOGGING = """
[loggers]
keys = root, alembic

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = INFO
handlers = console

[logger_alembic]
level = WARN
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
"""


def pyramid_logging(arguments: list[str]) -> int:
    """Add the logging that Pyramid's cookiecutter writes to a settings file."""
    with Path(arguments[0]).open("a", encoding="utf-8") as file:
        file.write(LOGGING)
    return 0


def fill_in(_: list[str]) -> int:
    """Take the mark of an unwritten revision out of every one below this directory."""
    for path in Path.cwd().rglob("migrations/*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(f"  {NOT_WRITTEN}", ""), encoding="utf-8")
    return 0


def ptah_populate(arguments: list[str]) -> int:
    """Run the console script ``ptah-populate``."""
    sys.argv[:] = ["ptah-populate", *arguments]
    populate_main()
    return 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1].replace("-", "_")](sys.argv[2:]))
