"""The daemon under measurement: its settings by size and rate, and what its /metrics say."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.processes import cpu_seconds, running
from tests.programs import get, started, wait_for_line

PROBES_PER_TENANT = 10
ROOT = Path(__file__).parents[2]
_Samples = dict[str, list[tuple[dict[str, str], float]]]


@dataclass(frozen=True, slots=True)
class Load:
    """What a daemon is to do: tenants of ten probes each, every one at `interval`."""

    base_url: str
    probes: int
    interval: str = "1s"
    connection: str = "fresh"
    ca_file: Path | None = None
    timeout: str = "900ms"
    sections: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, directory: Path) -> dict[str, Any]:
        """Return the configuration; tokens are files in `directory`."""
        defaults = {
            "interval": self.interval,
            "timeout": self.timeout,
            "connect_timeout": "500ms",
            "connection": self.connection,
        }
        if self.ca_file is not None:
            defaults["ca_file"] = str(self.ca_file)
        names = [f"probe-{number}" for number in range(min(PROBES_PER_TENANT, self.probes))]
        tenants = [
            {
                "name": f"tenant-{number:04}",
                "base_url": self.base_url,
                "token": {"file": str(_token(directory, number))},
                "probes": [{"use": "datasets", "name": name} for name in names],
            }
            for number in range(max(1, self.probes // PROBES_PER_TENANT))
        ]
        return {
            "web": {"listen": "127.0.0.1:0"},
            "metrics": {"max_series": 10_000_000},
            "shutdown_timeout": "1s",
            "state": {"directory": str(directory / "state")},
            "defaults": defaults,
            "tenants": tenants,
            **self.sections,
        }


def _token(directory: Path, number: int) -> Path:
    """Write a token: no two tenants share one, of which each would be warned."""
    file = directory / f"{number}.token"
    file.write_text(f"a-token-of-the-benchmark-{number:06}\n")
    return file


class MeasuredDaemon:
    """A running daemon."""

    def __init__(self, pid: int, url: str) -> None:
        self.pid = pid
        self.url = url

    @property
    def cpu_seconds(self) -> float:
        """How much CPU time it has used."""
        return cpu_seconds(self.pid)

    def metrics(self) -> "Samples":
        """Scrape it once."""
        return Samples(get(f"{self.url}/metrics"))


class Samples:
    """What one scrape brought."""

    def __init__(self, text: str) -> None:
        self._samples: _Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels."""
        return sum(
            value
            for found, value in self._samples.get(name, [])
            if all(found.get(label) == wanted for label, wanted in labels.items())
        )

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """Return (upper bound, cumulative count) of a histogram that has one series of buckets."""
        return sorted((float(labels["le"]), n) for labels, n in self._samples[f"{name}_bucket"])

    def bound_since(self, before: "Samples", name: str, share: float) -> float:
        """Return the least bucket's bound that a share of what came since does not exceed."""
        earlier = dict(before.buckets(name))
        fresh = [(bound, count - earlier[bound]) for bound, count in self.buckets(name)]
        wanted = fresh[-1][1] * share
        return next(bound for bound, count in fresh if count >= wanted)


@contextmanager
def measured_daemon(
    directory: Path, load: Load, python: str | None = None
) -> Iterator[MeasuredDaemon]:
    """Start `prober run` under a load, with another Python if one is given."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / "prober.yaml"
    # JSON is YAML, and ten thousand probes are written in no time.
    settings.write_text(json.dumps(load.settings(directory)))
    arguments = ("run", "--config", str(settings))
    log, until = directory / "log", r'"listening": "([^"]+)"'
    if python is None:
        with started(*arguments, until=until, log=log) as daemon:
            yield MeasuredDaemon(daemon[0].pid, daemon[1])
        return
    command = [python, "-c", "from prober.cli.main import main; main()", *arguments]
    with running(command, log, cwd=ROOT) as process:
        yield MeasuredDaemon(process.pid, wait_for_line(process, log, until))


@dataclass(slots=True)
class Recorded:
    """What `recorded_daemon` wrote down, once it has ended."""

    daemon: MeasuredDaemon
    settings: Path
    ready_after_seconds: float
    rows: dict[str, list[list[float]]] = field(default_factory=dict)


@contextmanager
def recorded_daemon(directory: Path, load: Load, *flags: str) -> Iterator[Recorded]:
    """Start `recorded_daemon` under a load; its rows are there when the context is left."""
    directory.mkdir(parents=True, exist_ok=True)
    settings, out, log = directory / "prober.yaml", directory / "out.json", directory / "log"
    settings.write_text(json.dumps(load.settings(directory)))
    module = [sys.executable, "-m", "tests.benchmarks.recorded_daemon"]
    command = [*module, str(settings), str(out), *flags]
    began = time.monotonic()
    with running(command, log) as process:
        url = wait_for_line(process, log, r'"listening": "([^"]+)"')
        ready_after_seconds = time.monotonic() - began
        recorded = Recorded(MeasuredDaemon(process.pid, url), settings, ready_after_seconds)
        yield recorded
    recorded.rows = json.loads(out.read_text())
