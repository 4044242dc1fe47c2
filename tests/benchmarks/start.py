"""What it costs to start a command: CPU seconds, nearly all of them for imports."""

import resource
import subprocess
from pathlib import Path

from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.results import Figure
from tests.programs import PROBER, started

GROUP = "start"
_MOST_CPU_SECONDS = 0.6
CONFIGURATION = """\
state: {directory: state}
web: {listen: "127.0.0.1:0"}
tenants:
  - {name: lab, base_url: "http://127.0.0.1:1/x", token: {env: PATH}, probes: [datasets]}
"""


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return the least of several starts of each command: others share the machine."""
    file = directory / "start.yaml"
    file.write_text(CONFIGURATION)
    configured = ["--config", str(file)]
    commands = {
        "prober --help": ["--help"],
        "prober health, without a daemon": ["health", *configured],
        "prober health, of an address": ["health", "--url", "http://127.0.0.1:1"],
        "prober validate": ["validate", str(file)],
        "prober probe": ["probe", "lab", *configured],
        "prober tokens": ["tokens", *configured],
        "prober status, without a daemon": ["status", *configured],
    }
    times = 1 if quick else 5
    least = {
        name: min(command_cpu_seconds([PROBER, *arguments]) for _ in range(times))
        for name, arguments in commands.items()
    }
    least["prober run, until it listens"] = min(
        _run_cpu_seconds(configured, directory / "run.log") for _ in range(times)
    )
    return [Figure(GROUP, name, value, "CPU s", _MOST_CPU_SECONDS) for name, value in least.items()]


def _run_cpu_seconds(configured: list[str], log: Path) -> float:
    with started("run", *configured, until=r'"listening": "([^"]+)"', log=log) as (process, _):
        return cpu_seconds(process.pid)


def command_cpu_seconds(command: list[str]) -> float:
    """Return what a command takes of the processor, in user and system mode."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
