"""What the supplier's status page said is kept: in periods, within bounds, and over upgrades."""

from dataclasses import replace
from pathlib import Path

import pytest

from prober.history import published_statuses, reader
from prober.history.reader import HistoryReader
from prober.history.retention import Retention
from prober.history.schema import migrate
from prober.status_page import PublishedStatus, SupplierIncident
from tests.unit.history.test_retention import DAY, enforced, never
from tests.unit.history.test_schema import never as not_set_aside
from tests.unit.history.test_schema import written_by_version
from tests.unit.history.test_writer import a_file, ran, written
from tests.unit.stats.factories import NOW

PAGE = "https://status.example"
INCIDENT = SupplierIncident(
    "a1", "Errors", "major", "investigating", NOW, f"{PAGE}/incidents/a1", ("Mining",)
)


def read_at(at: float, *incidents: SupplierIncident, problem: str | None = None) -> PublishedStatus:
    return PublishedStatus(NOW + at, NOW + at, PAGE, problem, incidents)


def test_reads_are_kept_as_periods(tmp_path: Path) -> None:
    history = written(
        tmp_path,
        [read_at(0), read_at(60)],
        [read_at(120, INCIDENT)],
        [read_at(180, problem="HTTP 502")],
    )
    assert history.published_statuses(NOW, NOW + 999) == (
        PublishedStatus(NOW, NOW + 60, PAGE),
        read_at(120, INCIDENT),
        read_at(180, problem="HTTP 502"),
    )
    assert history.published_statuses(NOW + 500, NOW + 999) == ()
    assert history.published_statuses(NOW - 99, NOW - 9) == ()


def test_a_restart_continues_a_period(tmp_path: Path) -> None:
    written(tmp_path, [read_at(0, INCIDENT)])
    history = written(tmp_path, [read_at(60, INCIDENT)])
    [status] = history.published_statuses(NOW, NOW + 999)
    assert (status.since, status.until) == (NOW, NOW + 60)


@pytest.mark.parametrize("change", ["since = -1", "until = 1e300", "until = 9e999", "since = 'x'"])
def test_a_row_with_an_impossible_time_is_left_out(tmp_path: Path, change: str) -> None:
    written(tmp_path, [read_at(0, INCIDENT)])
    file = a_file(tmp_path)
    with file.connection:
        file.connection.execute(f"UPDATE published_status SET {change}")  # noqa: S608 -- ours
    file.close()
    history = written(tmp_path, [read_at(120)])
    assert history.published_statuses(0, 1e11) == (read_at(120),)


def test_a_damaged_row_is_left_out(tmp_path: Path) -> None:
    written(tmp_path, [read_at(0, INCIDENT), read_at(60)])
    file = a_file(tmp_path)
    with file.connection:
        file.connection.execute("UPDATE published_status SET incidents = '[{}]' WHERE id = 1")
        file.connection.execute("UPDATE published_status SET incidents = x'ff' WHERE id = 2")
    file.close()
    history = written(tmp_path, [read_at(120)])
    assert history.published_statuses(NOW, NOW + 999) == (read_at(120),)


def test_a_page_that_says_something_else_each_time_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_statuses, "MAX_BYTES", 20_000)
    reads = [read_at(60.0 * n, replace(INCIDENT, name=f"{n}" + "x" * 190)) for n in range(200)]
    history = written(tmp_path, reads)
    kept = history.published_statuses(NOW, NOW + 99_999)
    assert 10 < len(kept) < 100
    assert kept[-1] == reads[-1]
    written(tmp_path, [read_at(60.0 * n, problem=f"HTTP {n}") for n in range(400, 800)])
    assert 10 < len(history.published_statuses(NOW, NOW + 99_999)) <= 100


def test_of_too_many_statuses_the_last_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = written(tmp_path, [read_at(60.0 * n, problem=f"HTTP {n}") for n in range(9)])
    monkeypatch.setattr(reader, "MAX_READ_ROWS", 3)
    found = history.published_statuses(0, NOW + 999)
    assert [each.problem for each in found] == ["HTTP 6", "HTTP 7", "HTTP 8"]


def test_what_is_too_old_is_deleted(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([ran(0.0), read_at(0, INCIDENT), read_at(4 * DAY), ran(4 * DAY)])
    enforced(file, Retention(2.5 * DAY, 2**23, never), days=4.1)
    file.close()
    history = HistoryReader(tmp_path)
    assert history.published_statuses(0, NOW + 9 * DAY) == (read_at(4 * DAY),)


@pytest.mark.parametrize("version", range(1, 7))
def test_a_file_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    with written_by_version(version, tmp_path) as connection:
        connection.execute("INSERT INTO probe VALUES (1, 'acme', 'datasets')")
    migrate(tmp_path, not_set_aside)
    assert HistoryReader(tmp_path).published_statuses(0, NOW) == ()
    assert written(tmp_path, [read_at(0)]).published_statuses(0, NOW) == (read_at(0),)
