"""How punctual the daemon is under load, measured from outside through its own /metrics.

Starts the simulator and the daemon as processes of their own, lets them run for a bounded time,
and prints a table. Run it with `make bench`.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import yaml
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

PROBER = str(Path(sys.executable).with_name("prober"))
PROBES_PER_TENANT = 8
START_LIMIT_SECONDS = 30


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
    platform, base_url = _start_simulator(directory, tenants)
    try:
        daemon, url = _start_daemon(directory, tenants, base_url)
        try:
            time.sleep(2)
            text_before, cpu_before = _scrape(url), _cpu_seconds(daemon.pid)
            time.sleep(seconds)
            text_after, cpu_after = _scrape(url), _cpu_seconds(daemon.pid)
        finally:
            _end(daemon)
    finally:
        _end(platform)
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


def _start_simulator(directory: Path, tenants: list[str]) -> tuple[subprocess.Popen[str], str]:
    named = [word for name in tenants for word in ("--tenant", f"{name}={name}/prod")]
    process = subprocess.Popen(
        [
            PROBER,
            "simulate",
            "--port",
            "0",
            "--control-port",
            "0",
            *named,
            "--token-directory",
            str(directory),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "300"},
    )
    line = _line_with(process, r"(http://127\.0\.0\.1:\d+)/tenant-000/prod/reinfer_")
    return process, line


def _start_daemon(
    directory: Path, tenants: list[str], base_url: str
) -> tuple[subprocess.Popen[str], str]:
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
    process = subprocess.Popen(
        [PROBER, "run", "--config", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, _line_with(process, r'"listening": ?"(http://[^"]+)"')


def _line_with(process: subprocess.Popen[str], pattern: str) -> str:
    stream = process.stdout or process.stderr
    assert stream is not None
    until = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < until:
        line = stream.readline()
        if not line and process.poll() is not None:
            break
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} did not say where it listens")


def _scrape(url: str) -> str:
    with urlopen(f"{url.rstrip('/')}/metrics", timeout=10) as answer:
        return answer.read().decode()


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


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
