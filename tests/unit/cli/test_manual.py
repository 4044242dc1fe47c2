"""The manual page and the completion of shells are made from the commands."""

import os
import re
import subprocess

import pytest
from click.testing import CliRunner

from prober.cli.main import COMMANDS, main
from tests.programs import PROBER


def test_the_manual_page_has_every_command_and_option() -> None:
    page = CliRunner().invoke(main, ["man"]).stdout
    assert page.startswith(".TH PROBER 1 ")
    assert re.findall(r'^\.SS "prober ([a-z-]+)"$', page, re.MULTILINE) == list(COMMANDS)
    assert "\\-\\-config" in page
    known = {".TH", ".SH", ".SS", ".B", ".nf", ".fi"}
    assert {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))} == known
    assert "\b" not in page


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_prober(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_PROBER_COMPLETE={shell}_complete" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("prober val", {"validate"}),
        ("prober validate --as", {"--as-user"}),
        ("prober status --tr", {"--troubled"}),
    ],
)
def test_the_program_completes(words: str, completed: set[str]) -> None:
    environ = {
        **os.environ,
        "_PROBER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run([PROBER], env=environ, capture_output=True, text=True, check=False)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completed
