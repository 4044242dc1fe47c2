"""How true the parts of a duration are, against what they really took.

`timed_server` knows the truth by the kernel's stamps. The daemon and blackbox_exporter are asked at
the same pace in the same run, one after the other, under the same load. A thousand probes are
configured at every rate, so that the page that is scraped is the same.

The network's part is that of the time between request and response; set-up of the connection is
left out on both sides. The prober's own time is all that neither the target nor its side of a TLS
handshake took; the way over loopback, TCP's handshake included, counts as an error of it.
"""

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import trustme

from tests.benchmarks.background_load import onlookers
from tests.benchmarks.blackbox import blackbox, blackbox_version
from tests.benchmarks.daemon import Load, recorded_daemon
from tests.benchmarks.processes import running
from tests.benchmarks.results import Figure, formatted, quantile
from tests.programs import free_port

GROUP = "truth of the network part"
PROBES = 1000
VIEWERS = 20
_WARM_UP_SECONDS = 3.0
_MOST_P99_MILLISECONDS = 0.25
_MOST_OWN_P99_MILLISECONDS = 0.5
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
    tls: bool = False

    @property
    def name(self) -> str:
        """Return it in words."""
        also = ["TLS"] * self.tls + ["scraped every 5 s"] * self.scraped
        also += [f"{VIEWERS} pages watched"] * self.watched
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
    Case(100, tls=True),
    Case(100, tls=True, burnt=True),
    Case(100, tls=True, blocked=True),
)
_QUICK = (Case(100), Case(100, tls=True, blocked=True))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One response: what was measured less the truth, and how much of that is accounted for.

    `bound_seconds` is what the result states, `truth_bound_seconds` what the target's own sending
    took. `own_error_seconds` is the error of the prober's own time; 0 where there is none.
    """

    error_seconds: float
    own_error_seconds: float = 0.0
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
        figures += _figures(case, ours, theirs)
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
    ca_file, flags = _certificate(directory) if case.tls else (None, ())
    command = [sys.executable, "-m", "tests.benchmarks.timed_server", str(port), *flags]
    with running(command, directory / "target.log", port), _burning(2 if case.burnt else 0):
        target = Target(f"{'https' if case.tls else 'http'}://127.0.0.1:{port}", ca_file)
        rows = _of_daemon(directory / "daemon", target, case, seconds)
        measured = _of_blackbox(directory, target, case, seconds)
        truth = target.truth()
    by_path = {path: seconds for path, seconds, *_ in truth}
    ours = [_measurement(row, truth[int(row[1])]) for row in rows]
    theirs = [Measurement(took - by_path[path]) for path, (took, _) in measured.items()]
    return ours, theirs


@dataclass(frozen=True, slots=True)
class Target:
    """Where `timed_server` listens, and who certifies it."""

    url: str
    ca_file: Path | None = None

    def truth(self) -> Sequence[tuple[str, float, float, float]]:
        """Return what the target knows, by the number of the request."""
        context = None
        if self.ca_file is not None:
            context = ssl.create_default_context(cafile=str(self.ca_file))
        with urlopen(f"{self.url}/truth", timeout=30, context=context) as response:
            rows: Sequence[tuple[str, float, float, float]] = json.load(response)
        return rows


def _certificate(directory: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the file of an authority, and the flags by which the target serves TLS."""
    authority, ca_file, file = trustme.CA(), directory / "ca.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(file))
    return ca_file, ("--certificate", str(file))


def _measurement(row: Sequence[float], truth: tuple[str, float, float, float]) -> Measurement:
    _, _, took, bound, own, whole = row
    _, true_seconds, truth_bound, handshake = truth
    own_error = own - (whole - true_seconds - handshake)
    return Measurement(took - true_seconds, own_error, bound, truth_bound)


def _of_daemon(
    directory: Path, target: Target, case: Case, seconds: float
) -> Sequence[Sequence[float]]:
    """Return rows as `recorded_daemon` writes them."""
    load = Load(
        target.url,
        probes=PROBES,
        interval=f"{PROBES * 1000 // case.rate}ms",
        ca_file=target.ca_file,
    )
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
    directory: Path, target: Target, case: Case, seconds: float
) -> dict[str, tuple[float, float]]:
    with blackbox(directory, target.ca_file) as exporter:
        command = [sys.executable, "-m", "tests.benchmarks.blackbox_load", exporter.url, target.url]
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


def _figures(
    case: Case, ours: Sequence[Measurement], theirs: Sequence[Measurement]
) -> list[Figure]:
    over = [each for each in ours if each.is_past_its_bound]
    remark = (
        f"{len(ours)} runs: {_spread(ours)};"
        f" blackbox_exporter {_spread(theirs)}; load {os.getloadavg()[0]:.1f}"
    )
    own = [Measurement(each.own_error_seconds) for each in ours]
    p99, own_p99 = (_p99(each) * 1e3 for each in (ours, own))
    at, most = f"at {case.name}", _MOST_OWN_P99_MILLISECONDS
    return [
        Figure(GROUP, f"error p99 {at}", p99, "ms", _MOST_P99_MILLISECONDS, remark),
        Figure(GROUP, f"past the bound that they state {at}", len(over), "runs", 0.0),
        Figure(GROUP, f"error p99 of own time {at}", own_p99, "ms", most, _spread(own)),
    ]
