"""How true the split is: what is told of server and network, against what they really took.

Set-up of the connection is left out on both sides. A thousand probes are configured at every rate,
so that the page that is scraped is the same. A bare socket asks the same target at the same pace:
what it errs by is the machine's doing, and nobody's merit.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.background_load import onlookers
from tests.benchmarks.daemon import Load, recorded_daemon
from tests.benchmarks.processes import free_port, running
from tests.benchmarks.results import Figure, quantile, told

GROUP = "truth of the split"
PROBES = 1000
VIEWERS = 20
_WARM_UP_SECONDS = 3.0
_MOST_P99_SECONDS = 0.001
_MOST_RATIO_SCRAPED = 1.2


@dataclass(frozen=True, slots=True)
class Case:
    """A rate (probes a second), and who looks on."""

    rate: int
    scraped: bool = False
    watched: bool = False

    @property
    def name(self) -> str:
        """Return it in words."""
        on = ["scraped every 5 s"] * self.scraped + [f"{VIEWERS} pages watched"] * self.watched
        return f"{self.rate}/s" + (f", {' and '.join(on)}" if on else "")


CASES = (
    Case(10),
    Case(10, scraped=True, watched=True),
    Case(100),
    Case(100, scraped=True),
    Case(100, watched=True),
    Case(100, scraped=True, watched=True),
    Case(300),
    Case(300, scraped=True, watched=True),
)
_QUICK = (Case(100), Case(100, scraped=True))


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return the errors of the network's share, and what scrapes make of them."""
    port, figures, alone = free_port(), [], 0.0
    command = [sys.executable, "-m", "tests.benchmarks.timed_server", str(port)]
    with running(command, directory / "target.log", port):
        for case in _QUICK if quick else CASES:
            errors = errors_of(directory / case.name, f"http://127.0.0.1:{port}", case, quick)
            figure = _figure(case, errors)
            figures.append(figure)
            if case == Case(100):
                alone = figure.measured
                figures.append(_of_bare_socket(port, case.rate, quick))
            if case == Case(100, scraped=True) and alone:
                ratio = figure.measured / alone
                name = f"network error p99 at {case.name}, beside that without"
                figures.append(Figure(GROUP, name, ratio, "x", _MOST_RATIO_SCRAPED))
    return figures


def errors_of(directory: Path, url: str, case: Case, quick: bool) -> Sequence[Sequence[float]]:
    """Return rows of (moment, server error, network error, doubt), in seconds."""
    load = Load(url, probes=PROBES, interval=f"{PROBES * 1000 // case.rate}ms")
    with (
        recorded_daemon(directory, load) as recorded,
        onlookers(
            recorded.daemon.url, scraper=case.scraped, viewers=VIEWERS if case.watched else 0
        ),
    ):
        time.sleep(_WARM_UP_SECONDS)
        began = time.time()
        time.sleep(_seconds(quick))
        ended = time.time()
    return [row for row in recorded.rows["errors"] if began <= row[0] <= ended]


def _of_bare_socket(port: int, rate: int, quick: bool) -> Figure:
    """Return what is left when nothing but two loops and the system stand in between."""
    module = [sys.executable, "-m", "tests.benchmarks.raw_client"]
    number = rate * round(_seconds(quick))
    command = [*module, str(port), "--rate", str(rate), "--number", str(number)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = [abs(error) * 1e3 for error in json.loads(out)]
    remark = f"{len(errors)} runs; {_spread(errors)}"
    name = f"network error p99 at {rate}/s of a bare socket, the least that this machine allows"
    return Figure(GROUP, name, quantile(errors, 0.99), "ms", remark=remark)


def _seconds(quick: bool) -> float:
    return 6.0 if quick else 15.0


def _spread(errors_milliseconds: Sequence[float]) -> str:
    middle, most = quantile(errors_milliseconds, 0.5), max(errors_milliseconds)
    return f"p50 {told(middle, 'ms')}, max {told(most, 'ms')}"


def _figure(case: Case, errors: Sequence[Sequence[float]]) -> Figure:
    network = [abs(row[2]) * 1e3 for row in errors]
    p99 = quantile(network, 0.99)
    over = sum(abs(row[2]) > row[3] + 0.001 for row in errors)
    server = max(abs(row[1]) for row in errors) * 1e3
    remark = (
        f"{len(errors)} runs; {_spread(network)}; server error max {told(server, 'ms')};"
        f" {over} past their own bound by 1 ms"
    )
    target = _MOST_P99_SECONDS * 1e3 if case == Case(100) else None
    return Figure(GROUP, f"network error p99 at {case.name}", p99, "ms", target, remark)
