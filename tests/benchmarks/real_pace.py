"""What a daemon costs at the pace of real installations, and with nothing to do.

At a few probes a second most of the cost is being woken up. A wake-up is a voluntary context switch
of any thread: each time that it goes to sleep it is woken up later.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.daemon import Load, measured_daemon
from tests.benchmarks.nginx import static_platform
from tests.benchmarks.processes import rss_bytes, voluntary_switches
from tests.benchmarks.results import Figure, formatted

GROUP = "at the pace of users"
_PROBES = 400
_WARM_UP_SECONDS = 65.0  # every probe has run once, and all that is made once is there
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a daemon took, a second."""

    wake_ups: float
    core_ratio: float
    rss_bytes: int


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return wake-ups, CPU and memory at 400 probes a minute, and those of an idle daemon."""
    warm_up, seconds = (5.0, 10.0) if quick else (_WARM_UP_SECONDS, 60.0)
    with static_platform(directory) as platform:
        busy = _cost(directory / "busy", Load(platform.plain_url, _PROBES, "60s"), warm_up, seconds)
        idle = _cost(directory / "idle", Load(platform.plain_url, 1, "1h"), warm_up, seconds)
    at, wake_ups = f"{_PROBES} probes a minute", "wake-ups a second"
    remark = f"{formatted(idle.rss_bytes / _MIB, 'MiB')} with one probe"
    return [
        Figure(GROUP, f"{wake_ups}, {at}", busy.wake_ups, "", 45.0),
        Figure(GROUP, f"of a core, {at}, fresh plain", busy.core_ratio * 100, "%", 1.3),
        Figure(GROUP, f"memory, {at}", busy.rss_bytes / _MIB, "MiB", 80.0, remark),
        Figure(GROUP, f"{wake_ups}, nothing to do", idle.wake_ups, "", 4.0),
        Figure(GROUP, "of a core, nothing to do", idle.core_ratio * 100, "%"),
    ]


def _cost(directory: Path, load: Load, warm_up_seconds: float, seconds: float) -> Cost:
    with measured_daemon(directory, load) as daemon:
        time.sleep(warm_up_seconds)
        cpu, switches, began = daemon.cpu_seconds, voluntary_switches(daemon.pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        return Cost(
            wake_ups=(voluntary_switches(daemon.pid) - switches) / took,
            core_ratio=(daemon.cpu_seconds - cpu) / took,
            rss_bytes=rss_bytes(daemon.pid),
        )
