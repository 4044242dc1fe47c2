"""What thirty days of 1,400 probes cost: the file, the pages that read it, and who waits for them.

The past is written as the daemon would have packed it, from a few dozen different hours.
"""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from prober.history.codec import pack_aggregate, pack_minutes
from prober.history.schema import FILE_NAME
from prober.history.writer import HOUR_SECONDS, UPSERT_BUCKET, HistoryWriter
from prober.stats.aggregates import (
    BUCKET_SECONDS,
    Aggregate,
    TimeBucket,
    bucket_start,
    bucket_values,
    coarse_bucket_index,
    merge_aggregates,
)
from tests.benchmarks.background_load import onlookers
from tests.benchmarks.daemon import PROBES_PER_TENANT, Load, recorded_daemon
from tests.benchmarks.nginx import static_platform
from tests.benchmarks.results import Figure, formatted, quantile
from tests.unit.stats.factories import histogram_of

GROUP = "thirty days"
PROBES, DAYS = 1400, 30
VIEWERS = 20
_MIB = 1024 * 1024
_HOURS_OF_A_KIND = 48
_MOST_OVERVIEW_SECONDS, _MOST_TENANT_SECONDS, _MOST_MIB = 1.0, 0.3, 512.0
_MOST_LATENESS_RATIO = 1.2
_ASKED = 5


def measure(directory: Path, quick: bool) -> list[Figure]:
    """Return sizes and times; the first pages are cold."""
    probes, days, seconds = (140, 3, 5.0) if quick else (PROBES, DAYS, 20.0)
    home = directory / "prober"
    began = time.monotonic()
    file_bytes = write_past(home / "state", probes, days)
    writing = time.monotonic() - began
    sections = {"web": {"listen": "127.0.0.1:0"}, "metrics": {"max_series": 10_000_000}}
    with static_platform(directory) as platform:
        load = Load(platform.plain_url, probes, interval="60s", sections=sections)
        with recorded_daemon(home, load) as recorded:
            url = recorded.daemon.url
            time.sleep(3.0)
            first, overview = _asked(f"{url}/")
            cold, tenant = _asked(f"{url}/tenants/tenant-0000")
            alone_from = time.time()
            time.sleep(seconds)
            watched_from = time.time()
            with onlookers(url, viewers=VIEWERS):
                time.sleep(seconds)
                watched_until = time.time()
    late = recorded.rows["latenesses"]
    alone = [row[1] for row in late if alone_from <= row[0] < watched_from]
    watched = [row[1] for row in late if watched_from <= row[0] < watched_until]
    p99, p99_alone = quantile(watched, 0.99), quantile(alone, 0.99)
    size = f"{probes:,} probes, {days} days"
    return [
        Figure(
            GROUP,
            f"database, {size}",
            file_bytes / _MIB,
            "MiB",
            _MOST_MIB,
            f"written in {formatted(writing, 's')}",
        ),
        Figure(
            GROUP,
            "first page",
            overview,
            "s",
            _MOST_OVERVIEW_SECONDS,
            f"median; the first took {formatted(first, 's')}",
        ),
        Figure(
            GROUP,
            "a tenant's page",
            tenant,
            "s",
            _MOST_TENANT_SECONDS,
            f"median; the first took {formatted(cold, 's')}",
        ),
        Figure(
            GROUP,
            f"lateness p99 while {VIEWERS} pages are watched, beside that without",
            p99 / p99_alone,
            "x",
            _MOST_LATENESS_RATIO,
            f"{formatted(p99 * 1e3, 'ms')} to {formatted(p99_alone * 1e3, 'ms')}",
        ),
    ]


def _asked(url: str) -> tuple[float, float]:
    """Return how long the first answer took, and the median of some more."""
    took = []
    for _ in range(_ASKED + 1):
        began = time.monotonic()
        with urlopen(url, timeout=30) as answer:
            answer.read()
        took.append(time.monotonic() - began)
    return took[0], median(took[1:])


def write_past(directory: Path, probes: int, days: int) -> int:
    """Write a past that ended with the last full hour; return the file's bytes."""
    directory.mkdir(mode=0o700, parents=True)
    HistoryWriter.open(directory, lambda _path, _why: None).close()
    kinds = [_hour(random.Random(seed)) for seed in range(_HOURS_OF_A_KIND)]  # noqa: S311
    last_hour = int(time.time() // HOUR_SECONDS) - 1
    hours = range(last_hour - days * 24, last_hour)
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection, connection:
        connection.execute("PRAGMA synchronous = off")
        names = [
            (number, f"tenant-{number // PROBES_PER_TENANT:04}", f"probe-{number % 10}")
            for number in range(probes)
        ]
        connection.executemany("INSERT INTO probe (id, tenant, name) VALUES (?, ?, ?)", names)
        for table, column in (("hour", 0), ("hour_detail", 1)):
            rows = (
                (probe, hour, kinds[(probe * 7 + hour) % _HOURS_OF_A_KIND][column])
                for probe in range(probes)
                for hour in hours
            )
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608
        _write_buckets(
            connection, probes // PROBES_PER_TENANT, bucket_start(hours[0] * HOUR_SECONDS)
        )
    return (directory / FILE_NAME).stat().st_size


def _hour(chance: random.Random) -> tuple[bytes, bytes]:
    """Return an hour of a run each minute, packed: its sum, and its minutes."""
    minutes = {
        minute: Aggregate(
            {"ok": 1} if chance.random() > 1e-3 else {"server_error": 1},
            histogram_of([chance.lognormvariate(-2.5, 0.3)]),
            histogram_of([chance.lognormvariate(-3.0, 0.2)]),
            histogram_of([chance.lognormvariate(-7.0, 0.4)], coarse_bucket_index),
        )
        for minute in range(60)
    }
    return pack_aggregate(merge_aggregates(minutes.values())), pack_minutes(minutes)


def _write_buckets(connection: sqlite3.Connection, tenants: int, since: int) -> None:
    runs = PROBES_PER_TENANT * BUCKET_SECONDS // 60
    bucket = TimeBucket(
        none=runs,
        splits=runs,
        server_seconds=runs * 0.09,
        network_seconds=runs * 0.05,
        own_seconds=runs * 0.001,
    )
    rows = (
        (f"tenant-{tenant:04}", at, *bucket_values(bucket))
        for tenant in range(tenants)
        for at in range(since, int(time.time()) - HOUR_SECONDS, BUCKET_SECONDS)
    )
    connection.executemany(UPSERT_BUCKET, rows)
