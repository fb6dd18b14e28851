"""The real thing: an application with two add-ons, served by pserve and by gunicorn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from tests.helpers import Database, contents, rows
from tests.integration.applications import Kiosk, install_kiosk

STEPS = [
    "kiosk_papers: running upgrade None -> 001, Papers",
    "kiosk_papers: running upgrade 001 -> 002, Prices",
    "kiosk_sales: running upgrade None -> 001, Sales",
    "kiosk_sales: running upgrade 001 -> 002, One sale of each paper",
]
HEADS = {("kiosk_papers", "002"), ("kiosk_sales", "002")}
TABLES = {
    "kiosk_paper": [(1, 3, "Morning Post"), (2, 3, "Echo")],
    "kiosk_sale": [(1, 3), (2, 3)],
}
PATIENCE = 60


@contextmanager
def served(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield server
        finally:
            server.terminate()
            server.wait(PATIENCE)


def answered(kiosk: Kiosk, server: subprocess.Popen[bytes], log: Path, path: str) -> str:
    """Return what the server answers, as soon as it does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            return kiosk.get(path)
        except HTTPError:
            pytest.fail(log.read_text())
        except (URLError, ConnectionError):
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    pytest.fail(log.read_text())


def steps_logged(log: Path) -> list[str]:
    """Return the steps in a server's log."""
    return [
        line.partition("[ptah.alembic] ")[2]
        for line in log.read_text().splitlines()
        if "[ptah.alembic]" in line
    ]


def test_pserve(tmp_path: Path, database: Database) -> None:
    """``pserve`` serves an application whose add-ons' tables were not there before."""
    kiosk = install_kiosk(tmp_path, database.url)
    log = tmp_path / "log"
    command = ["pyramid.scripts.pserve", str(kiosk.ini)]

    with served(command, kiosk.environment(), log) as server:
        papers = answered(kiosk, server, log, "/papers")
        sales = answered(kiosk, server, log, "/sales")

    assert json.loads(papers) == ["Morning Post", "Echo"]
    assert json.loads(sales) == 6
    assert steps_logged(log) == STEPS
    assert rows(database.engine) == HEADS


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ini file", "factory"])
def test_gunicorn(tmp_path: Path, postgresql_database: Database, how: str) -> None:
    """Four workers that start at once on an empty database run each step once; none fails."""
    kiosk = install_kiosk(tmp_path, postgresql_database.url)
    log = tmp_path / "log"
    app = ["--paste", str(kiosk.ini)] if how == "ini file" else ["kiosk:factory()"]
    command = ["gunicorn", *app, "--workers=4", f"--bind=127.0.0.1:{kiosk.port}"]
    environment = kiosk.environment(KIOSK_PAUSE="0.3", KIOSK_URL=postgresql_database.url)

    with served(command, environment, log) as server:
        papers = answered(kiosk, server, log, "/papers")
        end = time.monotonic() + PATIENCE
        while log.read_text().count("is ready") < 4 and time.monotonic() < end:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)

    text = log.read_text()
    assert json.loads(papers) == ["Morning Post", "Echo"]
    assert text.count("Booting worker") == 4, text
    assert text.count("is ready") == 4, text
    assert "Traceback" not in text
    if how == "ini file":
        assert steps_logged(log) == STEPS
    assert rows(postgresql_database.engine) == HEADS
    assert contents(postgresql_database.engine) == TABLES
