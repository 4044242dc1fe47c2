"""`make soak`: an hour of 50 tenants x 8 probes at 2 s with random faults; nothing may grow.

The daemon and the simulator are processes of their own. The daemon's resident memory, descriptors,
threads and tasks are looked at every few seconds; after a warm-up, a line is fitted to each. Prints
a table, writes a picture and the samples beside it, and ends with 1 if something grew.
"""

import argparse
import csv
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.programs import call, get, started
from tests.soak.picture import picture

TENANTS, PROBES, INTERVAL_SECONDS = 50, 8, 2
SAMPLE_SECONDS = 5.0
WARM_UP_RATIO = 0.2
FAULTS_AT_ONCE = 10
_OF_ONE_TENANT = ("answer", "wire")  # what happens before a request hits everybody


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon used at one moment."""

    seconds: float
    resident_mib: float
    descriptors: float
    threads: float
    tasks: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line fitted to what was seen after the warm-up: its slope an hour, and what is allowed."""

    name: str
    mean: float
    slope_per_hour: float
    allowed_per_hour: float

    @property
    def is_flat(self) -> bool:
        return self.slope_per_hour <= self.allowed_per_hour


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("soak.svg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prober-soak-") as directory, ExitStack() as stack:
        installation = Installation(Path(directory), stack, random.Random(options.seed))  # noqa: S311
        samples = list(installation.samples(options.seconds))
        counted = installation.counted()
    verdicts = judged(samples)
    table(verdicts, counted, options.seconds)
    options.picture.write_text(picture(samples), encoding="utf-8")
    with options.picture.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Sample))
        writer.writerows(map(astuple, samples))
    return 0 if all(verdict.is_flat for verdict in verdicts) else 1


class Installation:
    """The simulated platform, the daemon on it, and who breaks things at random."""

    def __init__(self, directory: Path, stack: ExitStack, chance: random.Random) -> None:
        self._chance = chance
        self._names = [f"tenant-{number:02}" for number in range(TENANTS)]
        named = [word for name in self._names for word in ("--tenant", f"{name}={name}/prod")]
        simulate = ("simulate", "--port", "0", "--control-port", "0", *named)
        _, self._control = stack.enter_context(
            started(
                *simulate,
                "--token-directory",
                str(directory),
                until=r"control: (http://\S+)",
                log=directory / "simulator.log",
            )
        )
        every = call("GET", f"{self._control}/tenants")
        file = directory / "prober.yaml"
        file.write_text(
            yaml.safe_dump(settings({n: each["base_url"] for n, each in every.items()}))
        )
        process, self._url = stack.enter_context(
            started(
                "run",
                "--config",
                str(file),
                until=r'"listening": "([^"]+)"',
                log=directory / "prober.log",
            )
        )
        self._process = Path("/proc", str(process.pid))
        known = call("GET", f"{self._control}/faults")["faults"]
        self._faults = [each["name"] for each in known if each["stage"] in _OF_ONE_TENANT]

    def samples(self, seconds: int) -> Iterator[Sample]:
        """Look again and again, and break something each time."""
        began = time.monotonic()
        for number in track(range(int(seconds / SAMPLE_SECONDS)), description="soaking"):
            time.sleep(max(0.0, began + number * SAMPLE_SECONDS - time.monotonic()))
            self._break_something()
            yield self._sample(time.monotonic() - began)

    def counted(self) -> dict[str, float]:
        """Return runs by outcome, and what was skipped or lost."""
        text = get(f"{self._url}/metrics")
        found: dict[str, float] = {}
        for name, label in (
            ("prober_probe_runs_total", "outcome"),
            ("prober_probe_skipped_total", "cause"),
            ("prober_history_dropped_total", "cause"),
        ):
            lines = re.findall(rf'^{name}\{{.*?{label}="(\w+)".*\}} (\S+)$', text, re.MULTILINE)
            for word, value in lines:
                found[f"{name} {word}"] = found.get(f"{name} {word}", 0.0) + float(value)
        return {name: value for name, value in found.items() if value}

    def _sample(self, seconds: float) -> Sample:
        status = (self._process / "status").read_text()
        resident, threads = (
            float(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]
            for name in ("VmRSS", "Threads")
        )
        tasks = re.search(
            r"^prober_asyncio_tasks (\S+)$", get(f"{self._url}/metrics"), re.MULTILINE
        )
        assert tasks is not None
        descriptors = len(list((self._process / "fd").iterdir()))
        return Sample(seconds, resident / 1024, descriptors, threads, float(tasks[1]))

    def _break_something(self) -> None:
        tenant = self._chance.choice(self._names)
        call("DELETE", f"{self._control}/faults?tenant={tenant}")
        if self._chance.random() < FAULTS_AT_ONCE / TENANTS:
            call("POST", f"{self._control}/tenants/{tenant}/regenerate")
            call("POST", f"{self._control}/tenants/{tenant}/deliver")
        else:
            fault = {"fault": self._chance.choice(self._faults), "tenant": tenant}
            call("PUT", f"{self._control}/faults", fault)


def settings(base_urls: dict[str, str]) -> dict[str, object]:
    return {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "defaults": {"interval": f"{INTERVAL_SECONDS}s", "timeout": "1s", "proxy": "none"},
        "tenants": [
            {
                "name": name,
                "base_url": base_url,
                "token": {"file": f"{name}.token"},
                "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(PROBES)],
            }
            for name, base_url in base_urls.items()
        ],
    }


def judged(samples: list[Sample]) -> list[Verdict]:
    """Fit a line to each figure after the warm-up; a hundredth of the mean an hour is noise."""
    warm = samples[int(len(samples) * WARM_UP_RATIO) :]
    allowed = {"resident_mib": 0.02, "descriptors": 0.05, "threads": 0.02, "tasks": 0.05}
    verdicts = []
    for name, share in allowed.items():
        values = [(sample.seconds / 3600, getattr(sample, name)) for sample in warm]
        mean = sum(value for _, value in values) / len(values)
        hours = max(1.0, 1 / (values[-1][0] - values[0][0]))  # shorter runs tell less
        verdicts.append(Verdict(name, mean, slope(values), max(1.0, share * mean) * hours))
    return verdicts


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def table(verdicts: list[Verdict], counted: dict[str, float], seconds: int) -> None:
    out = Console()
    shown = Table(title=f"{TENANTS} tenants x {PROBES} probes at {INTERVAL_SECONDS} s, {seconds} s")
    for column in ("figure", "mean", "slope an hour", "allowed", ""):
        shown.add_column(column, justify="left" if column == "figure" else "right")
    for verdict in verdicts:
        shown.add_row(
            verdict.name,
            f"{verdict.mean:.1f}",
            f"{verdict.slope_per_hour:+.2f}",
            f"{verdict.allowed_per_hour:.2f}",
            "flat" if verdict.is_flat else "GROWS",
        )
    out.print(shown)
    for name, value in counted.items():
        out.print(f"{name}: {value:.0f}")


if __name__ == "__main__":
    sys.exit(main())
