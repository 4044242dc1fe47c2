"""A month in which everything flapped: as large a history as readers may ask about."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from prober.history.codec import pack_aggregate, pack_minutes
from prober.history.schema import FILE_NAME
from prober.history.writer import HOUR_SECONDS, HistoryWriter
from prober.stats.aggregates import Aggregate, RunSummary, add_run, merge_aggregates

DAY = 86_400.0


def write_month(
    directory: Path,
    now: float,
    *,
    tenants: int = 200,
    probes: int = 7,
    streaks: int = 432_000,
    token_events: int = 10_000,
    run: RunSummary,
) -> None:
    """Write tenants `t0`..., each with probes `p0`...; `t0` has every hour and an eighth of all."""
    directory.mkdir(exist_ok=True)
    HistoryWriter.open(directory, lambda _path, _why: None).close()
    with sqlite3.connect(directory / FILE_NAME) as connection:
        every = [(f"t{t}", f"p{p}") for t in range(tenants) for p in range(probes)]
        connection.executemany("INSERT INTO probe (tenant, name) VALUES (?, ?)", every)
        connection.executemany(
            "INSERT INTO failure_streak (probe, reason, rule, evidence, started_at, last_failed_at,"
            " ended_at, failures, in_maintenance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _streaks(now, len(every), probes, streaks),
        )
        connection.executemany(
            "INSERT INTO token_event (tenant, at, kind) VALUES (?, ?, 'token_accepted')",
            ((f"t{n % 3}", now - n * 30.0) for n in range(token_events)),
        )
        connection.executemany(
            "INSERT INTO verdict_change (probe, at, before, reason) VALUES (?, ?, 'ok', 'dns')",
            ((1 + n % len(every), now - n * 6.0) for n in range(streaks)),
        )
        aggregate = add_run(Aggregate(), run)
        hour, minutes = (
            pack_aggregate(merge_aggregates([aggregate] * 60)),
            pack_minutes(dict.fromkeys(range(60), aggregate)),
        )
        hours = [
            (p, int(now // HOUR_SECONDS) - h) for p in range(1, probes + 1) for h in range(1, 720)
        ]
        connection.executemany(
            "INSERT INTO hour (probe, hour, aggregate) VALUES (?, ?, ?)",
            ((*h, hour) for h in hours),
        )
        connection.executemany(
            "INSERT INTO hour_detail (probe, hour, minutes) VALUES (?, ?, ?)",
            ((*h, minutes) for h in hours),
        )
    connection.close()


def _streaks(now: float, every: int, of_first: int, count: int) -> Iterator[tuple[object, ...]]:
    for n in range(count):
        at = now - 29 * DAY + n * (29 * DAY / count)
        number = 1 + (n % of_first if n % 8 == 0 else n % every)
        evidence = f"HTTP 500 with an error envelope: the platform failed; number {n} {'x' * 80}"
        yield number, "server_error", "11", evidence, at, at, at + 1, 1, n % 2
