"""What a probe costs: the whole daemon beside other probers and a bare aiohttp loop.

All ask the same nginx in one run, by turns, at the same pace: the one that users have, since a loop
that sleeps in between pays two to three times for the same work. cloudprober and Gatus take part
where they are on the path. PROBER_BENCH_PYTHON names another Python that has the runtime
dependencies (requirements/runtime.txt): then the daemon is measured with that one as well.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.blackbox import Blackbox, blackbox
from tests.benchmarks.daemon import Load, measured_daemon
from tests.benchmarks.nginx import StaticPlatform, static_platform
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.results import Figure, formatted, middle

GROUP = "CPU per probe"
_WARM_UP_SECONDS = 2.5
_LEAST_GOOD_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is measured: `rate` probes a second for `seconds`, so many rounds."""

    rate: int = 50
    seconds: float = 10.0
    rounds: int = 2


@dataclass(frozen=True, slots=True)
class Way:
    """How a target is reached."""

    tls: bool
    reuse: bool

    @property
    def name(self) -> str:
        """Return it in words."""
        kept = "reused" if self.reuse else "fresh"
        return f"{kept} {'TLS' if self.tls else 'plain'}"


WAYS = (Way(False, False), Way(True, False), Way(False, True), Way(True, True))
_BEST_OF_BLACKBOX = {"fresh plain": 0.9, "fresh TLS": 1.0}
_BEST_OF_GATUS = 1.5
_NAMES = {"blackbox": "blackbox_exporter", "gatus": "Gatus", "bare": "a bare aiohttp loop"}
_BEST_OF_BARE = 2.0

OTHER_PYTHON = os.environ.get("PROBER_BENCH_PYTHON")

_Costs = dict[tuple[str, str], list[float]]


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return the ratios, and the times that they are made of."""
    pace = Pace(seconds=4.0, rounds=1) if quick else Pace()
    costs: _Costs = defaultdict(list)
    with ExitStack() as resources:
        platform = resources.enter_context(static_platform(directory))
        exporter = resources.enter_context(blackbox(directory, platform.ca_file))
        for number in range(pace.rounds):
            _round(costs, directory / f"round-{number}", platform, exporter, pace)
    return _figures({key: middle(values) for key, values in costs.items()})


def _round(
    costs: _Costs, directory: Path, platform: StaticPlatform, exporter: Blackbox, pace: Pace
) -> None:
    for way in WAYS:
        url = platform.url(tls=way.tls)
        costs["daemon", way.name].append(_of_daemon(directory / way.name, platform, way, pace))
        if OTHER_PYTHON is not None:
            place = directory / f"other {way.name}"
            cost = _of_daemon(place, platform, way, pace, OTHER_PYTHON)
            costs["other", way.name].append(cost)
        costs["bare", way.name].append(_of_bare_loop(platform, way, pace))
        if not way.reuse:  # blackbox_exporter always opens connections of its own
            cost = exporter.cpu_seconds_per_probe(url, pace.rate, _number(pace))
            costs["blackbox", way.name].append(cost)
        for name, peer in PEERS.items():
            if peer.is_there:
                place = directory / f"{name} {way.name}"
                costs[name, way.name].append(_of_peer(peer, place, platform, way, pace))


def _of_daemon(
    directory: Path, platform: StaticPlatform, way: Way, pace: Pace, python: str | None = None
) -> float:
    load = Load(
        platform.url(tls=way.tls),
        probes=pace.rate,
        connection="reuse" if way.reuse else "fresh",
        ca_file=platform.ca_file if way.tls else None,
    )
    with measured_daemon(directory, load, python) as daemon:
        time.sleep(_WARM_UP_SECONDS)
        before, cpu_before = daemon.metrics(), daemon.cpu_seconds
        time.sleep(pace.seconds)
        cpu, after = daemon.cpu_seconds - cpu_before, daemon.metrics()
    name = "prober_probe_runs_total"
    runs = after.total(name) - before.total(name)
    good = after.total(name, outcome="success") - before.total(name, outcome="success")
    if good < _number(pace) * _LEAST_GOOD_RATIO:
        raise AssertionError(f"this machine is too busy: only {good:g} good of {runs:g} runs")
    return cpu / runs


def _of_peer(peer: Peer, directory: Path, platform: StaticPlatform, way: Way, pace: Pace) -> float:
    return peer.cpu_seconds_per_probe(
        directory, platform, tls=way.tls, reuse=way.reuse, rate=pace.rate, seconds=pace.seconds
    )


def _number(pace: Pace) -> int:
    """Return how many probes a contender makes in one round."""
    return round(pace.rate * pace.seconds)


def _of_bare_loop(platform: StaticPlatform, way: Way, pace: Pace) -> float:
    command = [
        *(sys.executable, "-m", "tests.benchmarks.bare_loop"),
        platform.url(tls=way.tls) + "/api/v1/datasets",
        *("--rate", str(pace.rate), "--number", str(_number(pace))),
        *(("--reuse",) if way.reuse else ()),
        *(("--ca-file", str(platform.ca_file)) if way.tls else ()),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _figures(costs: dict[tuple[str, str], float]) -> list[Figure]:
    figures = []
    for way in WAYS:
        daemon = costs["daemon", way.name]
        targets = {
            "blackbox": _BEST_OF_BLACKBOX.get(way.name),
            "gatus": _BEST_OF_GATUS if way.reuse else None,
            "bare": _BEST_OF_BARE,
        }
        for other in ("blackbox", *PEERS, "bare"):
            cost = costs.get((other, way.name))
            if cost is None:
                continue
            name = f"{way.name}, beside {_NAMES.get(other, other)}"
            remark = f"{formatted(daemon * 1e6, 'µs')} to {formatted(cost * 1e6, 'µs')}"
            figures.append(Figure(GROUP, name, daemon / cost, "x", targets.get(other), remark))
        other_cost = costs.get(("other", way.name))
        if other_cost is not None:
            name = (
                f"{way.name}, on {_version(OTHER_PYTHON or '')} beside {_version(sys.executable)}"
            )
            remark = f"{formatted(other_cost * 1e6, 'µs')} to {formatted(daemon * 1e6, 'µs')}"
            figures.append(Figure(GROUP, name, other_cost / daemon, "x", None, remark))
    return figures


def _version(python: str) -> str:
    """Return which Python it is: `Python 3.13.0`."""
    command = [python, "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
