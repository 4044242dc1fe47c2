import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.retention import Retention
from prober.history.schema import FILE_NAME
from prober.history.sink import BATCH_SECONDS, QUEUE_ENTRIES, HistoryCallbacks, HistorySink
from prober.models import SkippedRun
from prober.outcomes import HistoryDropReason, Reason, SkipCause
from tests.unit.metrics.factories import NOW, an_answer

PROBES = {("acme", "datasets")}
LIMIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer's thread works as in production, without its pauses between batches."""
    monkeypatch.setattr("prober.history.sink.BATCH_SECONDS", 0.002)
    monkeypatch.setattr("prober.history.sink._RETRY_SECONDS", 0.01)


class Calls:
    """Listeners that remember what they were told."""

    def __init__(self) -> None:
        self.writes = 0
        self.lost: Counter[HistoryDropReason] = Counter()
        self.troubles: list[str] = []
        self.aside: list[str] = []

    def listeners(self) -> HistoryCallbacks:
        return HistoryCallbacks(
            self._written,
            lambda cause, number: self.lost.update({cause: number}),
            self.troubles.append,
            lambda _path, why: self.aside.append(why),
        )

    def _written(self, _at: float, _size: int) -> None:
        self.writes += 1


@contextmanager
def a_history(directory: Path, calls: Calls) -> Iterator[HistorySink]:
    retention = Retention(86_400.0, 2**23, lambda _cause, _number: None)
    history = HistorySink(directory, PROBES, retention, calls.listeners(), lambda: NOW)
    history.start()
    yield history
    history.close(LIMIT_SECONDS)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)


def runs_in(directory: Path) -> int:
    totals = HistoryReader(directory).totals("acme", NOW - 120, NOW + 120)
    return sum(tally.runs for tally in totals.values())


def test_what_is_recorded_is_in_the_file_within_a_second(tmp_path: Path) -> None:
    calls = Calls()
    with a_history(tmp_path, calls) as history:
        until(lambda: calls.writes)
        history.on_result(an_answer())
        history.on_skip(SkippedRun("acme", "datasets", NOW, SkipCause.TOKEN_REJECTED))
        until(lambda: runs_in(tmp_path))
    assert BATCH_SECONDS < 1.0
    assert not calls.troubles
    assert not calls.lost


def test_what_is_in_the_queue_at_the_end_is_written(tmp_path: Path) -> None:
    with a_history(tmp_path, Calls()) as history:
        for _ in range(7000):
            history.on_result(an_answer())
    assert runs_in(tmp_path) == 7000


def test_without_a_directory_nothing_is_lost_until_there_is_one(tmp_path: Path) -> None:
    calls, obstacle = Calls(), tmp_path / "obstacle"
    obstacle.touch()
    directory = obstacle / "state"
    with a_history(directory, calls) as history:
        history.on_result(an_answer())
        until(lambda: calls.troubles)
        obstacle.unlink()
        until(lambda: calls.writes)
    assert runs_in(directory) == 1
    assert not calls.lost


def test_a_file_that_is_deleted_is_begun_anew_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prober.history.sink._TIDY_SECONDS", 0.05)
    calls = Calls()
    with a_history(tmp_path, calls) as history:
        until(lambda: calls.writes)
        (tmp_path / FILE_NAME).unlink()
        until(lambda: calls.lost[HistoryDropReason.FILE_LOST])
        history.on_result(an_answer())
        until(lambda: runs_in(tmp_path))
    assert calls.troubles == ["the file was removed or replaced"]


def test_a_file_that_breaks_is_set_aside(tmp_path: Path) -> None:
    calls = Calls()
    path = tmp_path / FILE_NAME
    with a_history(tmp_path, calls) as history:
        history.on_result(an_answer())
        until(lambda: runs_in(tmp_path))
        sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
        with path.open("r+b") as file:
            for page in range(1, path.stat().st_size // 4096):
                file.seek(page * 4096)
                file.write(b"\xff" * 4096)
        history.on_result(an_answer())
        until(lambda: calls.aside)
        writes = calls.writes
        until(lambda: calls.writes > writes)
    assert "corrupt" in calls.aside[0]
    assert calls.lost[HistoryDropReason.FILE_LOST] == 1
    assert path.with_name(f"{FILE_NAME}.aside-1").exists()


def test_a_disk_that_is_slow_delays_nobody_and_a_queue_that_is_full_is_counted(
    tmp_path: Path,
) -> None:
    calls = Calls()
    with a_history(tmp_path, calls) as history:
        until(lambda: calls.writes)
        blocker = sqlite3.connect(tmp_path / FILE_NAME)
        blocker.execute("BEGIN EXCLUSIVE")
        for _ in range(QUEUE_ENTRIES + 6000):  # whoever waited for this disk would never end
            history.on_result(an_answer())
        blocker.rollback()
        blocker.close()
        assert 0 < calls.lost[HistoryDropReason.QUEUE_FULL] <= 6000
    assert runs_in(tmp_path) == QUEUE_ENTRIES + 6000 - calls.lost[HistoryDropReason.QUEUE_FULL]


def test_a_full_disk_is_said_and_what_it_kept_out_is_written_later(tmp_path: Path) -> None:
    calls = Calls()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with a_history(tmp_path, calls) as history:
        until(lambda: calls.writes)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
            history.on_result(an_answer(Reason.SERVER_ERROR, status=500))
            until(lambda: calls.troubles)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        until(lambda: runs_in(tmp_path))
    assert not calls.lost


def test_what_went_on_for_a_probe_that_a_reload_took_out_is_ended(tmp_path: Path) -> None:
    calls = Calls()
    with a_history(tmp_path, calls) as history:
        history.on_result(an_answer(Reason.SERVER_ERROR, status=500))
        archive = HistoryReader(tmp_path)
        until(lambda: [each.ended_at for each in archive.streaks(0, NOW + 9)] == [None])
        history.apply({("acme", "sources")}, 86_400.0, 2**23)
        until(lambda: [each.ended_at for each in archive.streaks(0, NOW + 9)] == [NOW])
