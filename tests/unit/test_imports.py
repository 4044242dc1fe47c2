"""What a daemon holds in memory for years is what it needs."""

import subprocess
import sys

_NOT_NEEDED = (
    "cryptography",  # 8 MiB; only to say what is wrong with a certificate
    "prober.cli.demo",
    "prober.simulator",
    "trustme",
)


def test_the_daemon_loads_nothing_that_only_other_commands_need() -> None:
    code = "import sys, prober.cli.run, prober.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = done.stdout.split()
    found = {each for each in loaded for name in _NOT_NEEDED if f"{each}.".startswith(f"{name}.")}
    assert found == set()
