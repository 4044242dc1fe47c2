"""What each command may import: the start of a command is mostly imports."""

import subprocess
import sys

import pytest

from prober.cli.main import COMMANDS

WEB = {"aiohttp", "jinja2", "aiohttp_jinja2"}
DAEMON = {"prober.daemon", "apscheduler", "prometheus_client"}
SIMULATOR = {"trustme", "prober.simulator"}
HEAVY = WEB | DAEMON | SIMULATOR | {"pydantic", "cryptography", "sqlite3", "rich", "asyncio"}


def imported(code: str) -> set[str]:
    program = f"import sys; sys.argv = ['prober', '--help']\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["no-such-command"]])
def test_what_runs_no_command_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"from prober.cli.main import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert imported(code) & HEAVY == set()


@pytest.mark.parametrize(
    ("command", "forbidden"),
    [
        ("health", HEAVY - {"asyncio"}),
        ("status", WEB | DAEMON | SIMULATOR | {"cryptography", "sqlite3", "asyncio"}),
        ("probe", DAEMON | SIMULATOR | {"jinja2", "structlog", "prober.render.documents"}),
        ("tokens", WEB | DAEMON | SIMULATOR | {"jinja2", "structlog", "sqlite3"}),
        ("run", WEB | DAEMON | SIMULATOR | {"cryptography", "sqlite3", "structlog"}),
        ("hash-password", WEB | DAEMON | SIMULATOR | {"cryptography", "sqlite3"}),
    ],
)
def test_a_command_imports_what_it_needs(command: str, forbidden: set[str]) -> None:
    assert imported(f"import {COMMANDS[command].module}") & forbidden == set()


def test_no_source_is_read_for_descriptions_that_only_the_schema_shows() -> None:
    code = "import linecache, prober.config.loader\nassert not linecache.cache, [*linecache.cache]"
    assert "prober.config.schema" in imported(code)
