"""Signals that arrive before the event loop runs: none is lost, and none kills the daemon."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.programs import END_LIMIT_SECONDS

# The entry point, stopped where the long imports would begin.
STARTING = """
import signal, sys, types
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` would ignore it here too
sys.argv = ["prober", *{arguments!r}]
from prober.cli import early_signals, entry
assert not {{"click", "aiohttp", "asyncio"}} & sys.modules.keys()
def wait():
    print("ready", flush=True)
    sys.stdin.readline()
    print(early_signals.take_hangup(), early_signals.take_hangup(), flush=True)
sys.modules["prober.cli.main"] = types.SimpleNamespace(main=wait)
entry.main()
"""


@contextmanager
def starting(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    code = STARTING.format(arguments=arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], text=True, stdin=pipe, stdout=pipe) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        yield one


@pytest.mark.parametrize("command", ["run", "simulate", "demo"])
def test_sigterm_ends_what_serves_with_0_however_early_it_comes(command: str) -> None:
    with starting(command, "--config", "x") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_LIMIT_SECONDS) == 0


def test_sighup_is_remembered_once() -> None:
    with starting("run") as process:
        process.send_signal(signal.SIGHUP)
        assert process.communicate("\n", END_LIMIT_SECONDS)[0] == "True False\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_commands_end_by_signals_as_programs_do(number: signal.Signals) -> None:
    with starting("probe", "run") as process:
        process.send_signal(number)
        assert process.wait(END_LIMIT_SECONDS) == -number
