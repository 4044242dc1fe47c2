"""How punctual the daemon is under load, measured from outside through its own /metrics.

Starts the simulator and the daemon as processes of their own, lets them run for a bounded time,
and prints a table. Run it with `make bench`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from tests.programs import get, started

PROBES_PER_TENANT = 8


def main() -> int:
    """Run the benchmark; exit 1 if a run was skipped or lateness p99 is not below 100 ms."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=int, default=200, help="probes per second")
    arguments.add_argument("--seconds", type=int, default=60)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = _measure(Path(directory), options.rate, options.seconds)
    table = Table(title=f"{options.rate} probes/s for {options.seconds} s")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)
    good = figures["skipped runs"] == 0 and figures["lateness p99 at most (s)"] <= 0.1
    return 0 if good else 1


def _measure(directory: Path, rate: int, seconds: int) -> dict[str, float]:
    tenants = [f"tenant-{number:03}" for number in range(rate // PROBES_PER_TENANT)]
    named = [word for name in tenants for word in ("--tenant", f"{name}={name}/prod")]
    simulate = ["simulate", "--port", "0", "--control-port", "0", *named]
    platform = started(
        *simulate,
        "--token-directory",
        str(directory),
        until=r"(http://127\.0\.0\.1:\d+)/tenant-000/prod/reinfer_",
        log=directory / "simulator.log",
    )
    with platform as (_, base_url):
        file = _settings(directory, tenants, base_url)
        daemon = started(
            "run",
            "--config",
            str(file),
            until=r'"listening": "([^"]+)"',
            log=directory / "prober.log",
        )
        with daemon as (process, url):
            time.sleep(2)
            text_before, cpu_before = get(f"{url}/metrics"), _cpu_seconds(process.pid)
            time.sleep(seconds)
            text_after, cpu_after = get(f"{url}/metrics"), _cpu_seconds(process.pid)
    before, after = _read(text_before), _read(text_after)
    runs = _total(after, "prober_probe_runs_total") - _total(before, "prober_probe_runs_total")
    good = _total(after, "prober_probe_runs_total", outcome="success") - _total(
        before, "prober_probe_runs_total", outcome="success"
    )
    return {
        "runs": runs,
        "successes": good,
        "runs/s": runs / seconds,
        "skipped runs": _total(after, "prober_schedule_skipped_total"),
        "lateness p99 at most (s)": _quantile(after, "prober_schedule_lateness_seconds", 0.99),
        "loop lag p99 at most (s)": _quantile(after, "prober_event_loop_lag_seconds", 0.99),
        "CPU per probe (us)": (cpu_after - cpu_before) / runs * 1e6,
    }


def _settings(directory: Path, tenants: list[str], base_url: str) -> Path:
    probes = [{"use": "datasets", "name": f"probe-{n}"} for n in range(PROBES_PER_TENANT)]
    configuration = {
        "web": {"listen": "127.0.0.1:0"},
        "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "500ms"},
        "tenants": [
            {
                "name": name,
                "base_url": f"{base_url}/{name}/prod/reinfer_",
                "token": {"file": str(directory / f"{name}.token")},
                "probes": probes,
            }
            for name in tenants
        ],
    }
    file = directory / "bench.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return file


def _read(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _total(
    samples: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str
) -> float:
    return sum(
        value
        for found, value in samples.get(name, [])
        if all(found.get(label) == wanted for label, wanted in labels.items())
    )


def _quantile(
    samples: dict[str, list[tuple[dict[str, str], float]]], name: str, quantile: float
) -> float:
    buckets = sorted((float(labels["le"]), value) for labels, value in samples[f"{name}_bucket"])
    wanted = buckets[-1][1] * quantile
    return next(bound for bound, value in buckets if value >= wanted)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
