"""Closed standard streams, and what errors may print to a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.cli.main import COMMANDS, main
from tests.programs import END_LIMIT_SECONDS

PROGRAM = f"{sys.executable} -c 'from prober.cli.entry import main; main()'"


def in_shell(command: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", f"{PROGRAM} {command}"],
        cwd=directory,
        capture_output=True,
        timeout=END_LIMIT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("init --no-try --address a/b <&-", 2, b"the token is empty"),
        ("init --no-try <&-", 1, b"Aborted"),
        ("hash-password <&-", 2, b"the password is empty"),
        ("validate --config none.yaml >&-", 1, b"none.yaml"),
        ("explain none.http >&-", 2, b"No such file"),
        ("init --no-try --address a/b <&- >&- 2>&-", 2, b""),
        ("--help >&- 2>&-", 0, b""),
    ],
)
def test_closed_streams_end_in_no_traceback(
    tmp_path: Path, command: str, status: int, said: bytes
) -> None:
    done = in_shell(command, tmp_path)
    assert b"Traceback" not in done.stderr
    assert said in done.stderr
    assert done.returncode == status


def test_what_is_opened_later_does_not_become_a_standard_stream(tmp_path: Path) -> None:
    code = (
        "import os, sys; from prober.cli import entry; entry._open_standard_streams();"
        "assert os.open('later', os.O_CREAT | os.O_WRONLY) > 2; os.write(2, b'lost'); sys.exit(7)"
    )
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], cwd=tmp_path, check=False
    )
    assert done.returncode == 7
    assert (tmp_path / "later").read_bytes() == b""


def test_errors_print_no_control_characters_of_a_file(tmp_path: Path) -> None:
    config = tmp_path / "prober.yaml"
    config.write_text(
        "tenants:\n  - {name: acme, domain: acme, probes: [current-user],"
        r' token: {file: "/x/\e]0;owned\a\e[2J\u202e"}}'
    )
    for command in ("validate", "kubernetes --shards 1", "probe acme", "permissions acme"):
        result = CliRunner().invoke(main, [*command.split(), "--config", str(config)])
        assert result.exit_code != 0 or command == "validate"
        assert not {"\x1b", "\a", "\u202e"} & set(result.output), command


def test_a_usage_error_keeps_its_lines() -> None:
    result = CliRunner().invoke(main, ["report", "a\x1b[2J\nb"])
    assert result.exit_code != 0
    assert "\x1b" not in result.output
    assert set(COMMANDS) >= {"report"}
