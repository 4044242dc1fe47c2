"""How punctual the daemon is: lateness and skipped runs at several rates, on one core."""

import os
import time
from pathlib import Path

from tests.benchmarks.daemon import Load, recorded_daemon
from tests.benchmarks.nginx import static_platform
from tests.benchmarks.results import Figure, formatted, quantile

GROUP = "punctuality"
_WARM_UP_SECONDS = 2.0
_MOST_P99_MS = 50.0
_RATE_TO_SUSTAIN = 400
_TLS_RATES = (200, 400)  # with a handshake for each: what one core does lies between


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return lateness, skipped runs and CPU at each rate; TLS as far as one core goes."""
    plain = (100, _RATE_TO_SUSTAIN) if quick else (100, _RATE_TO_SUSTAIN, 1000)
    seconds = 5.0 if quick else 60.0
    figures: list[Figure] = []
    with static_platform(directory) as platform:
        for rate in plain:
            load = Load(platform.plain_url, rate)
            figures += _at(directory / f"plain-{rate}", load, seconds)
        for rate in () if quick else _TLS_RATES:
            load = Load(platform.tls_url, rate, ca_file=platform.ca_file)
            figures += _at(directory / f"tls-{rate}", load, seconds / 2)
    return figures


def _at(directory: Path, load: Load, seconds: float) -> list[Figure]:
    with recorded_daemon(directory, load) as recorded:
        daemon = recorded.daemon
        os.sched_setaffinity(daemon.pid, {0})
        time.sleep(_WARM_UP_SECONDS)
        # An over-full daemon takes its time for a scrape: both spans end with one.
        before, cpu, began = daemon.metrics(), daemon.cpu_seconds, time.time()
        time.sleep(seconds)
        after, cpu, ended = daemon.metrics(), daemon.cpu_seconds - cpu, time.time()
    late = [row[1] * 1e3 for row in recorded.rows["latenesses"] if began <= row[0] <= ended]
    runs, skips = "prober_probe_runs_total", "prober_probe_skipped_total"
    good = after.total(runs, outcome="success") - before.total(runs, outcome="success")
    skipped = after.total(skips) - before.total(skips)
    is_promised = load.probes == _RATE_TO_SUSTAIN and load.ca_file is None
    name = f"{load.probes}/s, {'plain' if load.ca_file is None else 'TLS'}, one core"
    remark = (
        f"{len(late)} runs, {good:.0f} good; p50 {formatted(quantile(late, 0.5), 'ms')},"
        f" max {formatted(max(late), 'ms')}; CPU {cpu / (ended - began):.0%} of a core"
    )
    target = _MOST_P99_MS if is_promised else None
    p99 = Figure(GROUP, f"lateness p99 at {name}", quantile(late, 0.99), "ms", target, remark)
    none = 0.0 if is_promised else None
    return [p99, Figure(GROUP, f"skipped at {name}", skipped, "runs", none)]
