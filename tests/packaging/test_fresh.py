"""What `make fresh` tells; that it does it, it must show itself."""

from pathlib import Path

import pytest

from tests.packaging.bare_debian import command_in, environment
from tests.packaging.fresh import (
    GUIDE,
    INSTALL,
    Protocol,
    counts_in,
    guide_script,
    pipx_script,
    table,
)

LOG = """\
collecting ...
= 1 passed in 2.00s =
=========== 2 failed, 3412 passed, 1 skipped in 312.41s (0:05:12) ===========
Name    Stmts
"""


@pytest.mark.parametrize(
    ("log", "counts"),
    [
        (LOG, "2 failed, 3412 passed, 1 skipped"),
        ("make: *** [Makefile:10: test] Error 1", ""),
        ("", ""),
    ],
)
def test_the_last_count_of_a_log_counts(log: str, counts: str) -> None:
    assert counts_in(log) == counts


def test_a_suite_is_green_when_every_step_is() -> None:
    green = Protocol("bookworm", "3.11.2", "ok", "ok", "ok", "ok", "9 passed")
    assert green.is_green
    assert not Protocol("trixie", demo="ok", guide="ok", pipx="ok", tests="exit 2").is_green
    assert not Protocol("trixie", demo="ok", guide="exit 1", pipx="ok", tests="ok").is_green
    assert not Protocol("trixie", demo="ok", guide="ok", pipx="exit 1", tests="ok").is_green
    assert not Protocol("trixie").is_green
    assert table([green]).splitlines()[1].split() == (
        ["bookworm", "3.11.2", "ok", "ok", "ok", "ok", "0.0", "9", "passed"]
    )


def test_no_more_of_the_environment_is_taken_along_than_where_packages_are() -> None:
    ours = {"HOME": "/home/me", "PIP_CERT": "/x.crt", "HTTPS_PROXY": "p", "TOKEN": "t"}
    kept = environment(ours)
    assert kept.keys() == {"PATH", "HOME", "PIP_CERT", "HTTPS_PROXY"}
    assert kept["HOME"] == "/root"


def test_whatever_is_begun_in_a_tree_ends_with_the_command(tmp_path: Path) -> None:
    command = command_in(tmp_path, ["make", "test"])
    assert "--kill-child" in command
    assert command[-2:] == ["make", "test"]


def test_the_guide_is_followed_with_the_simulator_as_the_platform() -> None:
    script = guide_script(GUIDE.read_text())
    assert "cloud.uipath.com" not in script
    for command in ("init --address", "validate --live", "discover acme-prod --write", "run &"):
        assert f".venv/bin/prober {command}" in script


def test_the_page_on_installing_is_followed_with_pipx() -> None:
    assert "\npipx install dist/prober-*.whl\n" in pipx_script(INSTALL)
