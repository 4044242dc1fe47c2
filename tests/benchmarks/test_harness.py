"""The machinery of the benchmarks, with tiny counts, without the programs of `make bench`."""

import json
import sys
import time
from pathlib import Path

from tests.benchmarks.background_load import Scrapes, onlookers, scrape
from tests.benchmarks.daemon import Load, Samples, recorded_daemon
from tests.benchmarks.history_size import write_past
from tests.benchmarks.processes import cpu_seconds, rss_bytes, running
from tests.benchmarks.results import (
    Figure,
    Surroundings,
    document,
    formatted,
    from_document,
    markdown,
    quantile,
)
from tests.programs import free_port

AROUND = Surroundings("two cores", "Python 3.11", "2026-11-24")
FIGURES = [
    Figure("CPU", "fresh, beside another", 0.8126, "x", 0.8, "1 to 2"),
    Figure("size", "memory", 276.4, "MiB", 400.0),
    Figure("size", "start", 1234.5, "s"),
]


def test_a_figure_is_told_beside_its_target() -> None:
    assert markdown(AROUND, FIGURES).splitlines()[-3:] == [
        "| CPU | fresh, beside another | 0.813 x | ≤ 0.8 x, **missed** | 1 to 2 |",
        "| size | memory | 276 MiB | ≤ 400 MiB, met |  |",
        "| size | start | 1,234 s |  |  |",
    ]


def test_figures_come_back_from_json_as_they_are_told() -> None:
    around, figures = from_document(json.loads(json.dumps(document(AROUND, FIGURES))))
    assert markdown(around, figures) == markdown(AROUND, FIGURES)
    assert document(AROUND, FIGURES)["figures"][0]["is_met"] is False


def test_numbers_have_three_digits_that_count() -> None:
    assert [formatted(value, "s") for value in (0.00123456, 12.345, 98765.4)] == [
        "0.00123 s",
        "12.3 s",
        "98,765 s",
    ]
    assert quantile(list(range(100)), 0.99) == 99


def test_a_quantile_since_another_scrape_is_a_buckets_bound() -> None:
    before, after = (
        Samples(f'# TYPE h histogram\nh_bucket{{le="1.0"}} {a}\nh_bucket{{le="+Inf"}} {b}\n')
        for a, b in ((5, 9), (104, 110))
    )
    assert after.bound_since(before, "h", 0.5) == 1.0


def test_a_daemon_under_measurement_writes_down_what_it_did(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.timed_server", str(port)]
    scrapes = Scrapes()
    with running(command, tmp_path / "log", port):
        load = Load(f"http://127.0.0.1:{port}", probes=20)
        with recorded_daemon(tmp_path / "prober", load, "--holds") as recorded:
            daemon = recorded.daemon
            with onlookers(daemon.url, viewers=2):
                time.sleep(1.5)  # each probe is due once a second
            scrape(daemon.url, scrapes)
            runs = daemon.metrics().total("prober_probe_runs_total", outcome="success")
            assert cpu_seconds(daemon.pid) > 0
            assert rss_bytes(daemon.pid) > 2**20
    assert runs > 0
    assert len(recorded.rows["measured"]) >= runs
    assert recorded.rows["latenesses"]
    numbers = [number for _, number, *_ in recorded.rows["measured"]]
    assert len(set(numbers)) == len(numbers)
    assert scrapes.sent_bytes > 1000


def test_a_past_is_written_that_the_daemon_could_have_written(tmp_path: Path) -> None:
    assert write_past(tmp_path / "state", probes=20, days=1) > 2**15
