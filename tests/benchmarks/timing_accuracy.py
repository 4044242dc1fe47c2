"""How true the time between request and response is, against what it really took.

`timed_server` knows the truth by the kernel's stamps. The daemon and blackbox_exporter are asked at
the same pace in the same run, one after the other, under the same load. Set-up of the connection
is left out on both sides. A thousand probes are configured at every rate, so that the page that is
scraped is the same.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.background_load import onlookers
from tests.benchmarks.blackbox import blackbox, blackbox_version
from tests.benchmarks.daemon import Load, recorded_daemon
from tests.benchmarks.processes import free_port, running
from tests.benchmarks.results import Figure, formatted, quantile
from tests.programs import get

GROUP = "truth of the network part"
PROBES = 1000
VIEWERS = 20
_WARM_UP_SECONDS = 3.0
_MOST_P99_MILLISECONDS = 0.25
_LEAST_RATIO_UNDER_LOAD = 10.0
_FLOOR_SECONDS = 5e-5  # what loopback and the target's own reading of clocks take
_BURN = "while True: pass"


@dataclass(frozen=True, slots=True)
class Case:
    """A rate (probes a second), and what else happens on the machine meanwhile."""

    rate: int
    scraped: bool = False
    watched: bool = False
    burnt: bool = False
    blocked: bool = False

    @property
    def name(self) -> str:
        """Return it in words."""
        also = ["scraped every 5 s"] * self.scraped + [f"{VIEWERS} pages watched"] * self.watched
        also += ["both cores burning"] * self.burnt + ["loop blocked 50 ms a second"] * self.blocked
        return f"{self.rate}/s" + (f", {' and '.join(also)}" if also else "")

    @property
    def loaded(self) -> bool:
        """Whether anything but probing goes on."""
        return self.scraped or self.watched or self.burnt or self.blocked


CASES = (
    Case(10),
    Case(100),
    Case(300),
    Case(100, scraped=True),
    Case(100, watched=True),
    Case(100, burnt=True),
    Case(100, blocked=True),
    Case(300, blocked=True),
)
_QUICK = (Case(100), Case(100, blocked=True))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One response: what was measured less the truth, and how much of that is accounted for.

    `bound_seconds` is what the result states, `truth_bound_seconds` what the target's own sending
    took.
    """

    error_seconds: float
    bound_seconds: float = 0.0
    truth_bound_seconds: float = 0.0

    @property
    def is_past_its_bound(self) -> bool:
        """Whether the result claims to be truer than it is."""
        accounted = self.bound_seconds + self.truth_bound_seconds + _FLOOR_SECONDS
        return abs(self.error_seconds) > accounted


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return the errors of the network's part, and those of blackbox_exporter beside them."""
    figures = []
    for case in _QUICK if quick else CASES:
        place = directory / case.name.replace("/", "-")
        place.mkdir()
        ours, theirs = measure_case(place, case, 6.0 if quick else 15.0)
        figures.append(_figure(case, ours, theirs))
        if case.loaded:
            ratio = _p99(ours) / _p99(theirs)
            name = f"error p99 at {case.name}, beside {blackbox_version()}"
            figures.append(Figure(GROUP, name, ratio, "x", 1 / _LEAST_RATIO_UNDER_LOAD))
    return figures


def measure_case(
    directory: Path, case: Case, seconds: float
) -> tuple[list[Measurement], list[Measurement]]:
    """Return what the daemon and blackbox_exporter measured."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.timed_server", str(port)]
    with running(command, directory / "target.log", port), _burning(2 if case.burnt else 0):
        url = f"http://127.0.0.1:{port}"
        rows = _of_daemon(directory / "daemon", url, case, seconds)
        measured = _of_blackbox(directory, url, case, seconds)
        truth = json.loads(get(f"{url}/truth"))
    by_path = {path: seconds for path, seconds, _ in truth}
    ours = [
        Measurement(took - truth[int(number)][1], bound, truth[int(number)][2])
        for _, number, took, bound, _ in rows
    ]
    theirs = [Measurement(took - by_path[path]) for path, (took, _) in measured.items()]
    return ours, theirs


def _of_daemon(directory: Path, url: str, case: Case, seconds: float) -> Sequence[Sequence[float]]:
    """Return rows of (epoch seconds, number of the request, seconds, bound, own seconds)."""
    load = Load(url, probes=PROBES, interval=f"{PROBES * 1000 // case.rate}ms")
    flags = ("--block",) if case.blocked else ()
    with (
        recorded_daemon(directory, load, *flags) as recorded,
        onlookers(
            recorded.daemon.url, scraper=case.scraped, viewers=VIEWERS if case.watched else 0
        ),
    ):
        time.sleep(_WARM_UP_SECONDS)
        began = time.time()
        time.sleep(seconds)
        ended = time.time()
    return [row for row in recorded.rows["measured"] if began <= row[0] <= ended]


def _of_blackbox(
    directory: Path, url: str, case: Case, seconds: float
) -> dict[str, tuple[float, float]]:
    with blackbox(directory, None) as exporter:
        command = [sys.executable, "-m", "tests.benchmarks.blackbox_load", exporter.url, url]
        command += [str(case.rate), str(seconds)]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(found.stdout))


@contextmanager
def _burning(number: int) -> Iterator[None]:
    """Let so many processes keep a core busy each."""
    with ExitStack() as at_end:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", _BURN])
            at_end.callback(process.wait)
            at_end.callback(process.kill)
        yield


def _p99(measured: Sequence[Measurement]) -> float:
    return quantile([abs(each.error_seconds) for each in measured], 0.99)


def _spread(measured: Sequence[Measurement]) -> str:
    errors = [abs(each.error_seconds) * 1e3 for each in measured]
    parts = [
        f"p{round(share * 100)} {formatted(quantile(errors, share), 'ms')}" for share in (0.5, 0.99)
    ]
    return f"{', '.join(parts)}, max {formatted(max(errors), 'ms')}"


def _figure(case: Case, ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Figure:
    over = [each for each in ours if each.is_past_its_bound]
    remark = (
        f"{len(ours)} runs: {_spread(ours)}; {len(over)} past the bound they state;"
        f" blackbox_exporter {_spread(theirs)}; load {os.getloadavg()[0]:.1f}"
    )
    name = f"error p99 at {case.name}"
    return Figure(GROUP, name, _p99(ours) * 1e3, "ms", _MOST_P99_MILLISECONDS, remark)
