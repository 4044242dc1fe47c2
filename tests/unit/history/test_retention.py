from collections import Counter
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader, RetentionHorizon
from prober.history.retention import Retention, size_bytes
from prober.history.writer import HOUR_SECONDS, HistoryWriter
from prober.outcomes import HistoryDropReason, Reason
from tests.unit.history.test_writer import a_file, ran
from tests.unit.stats.factories import NOW

DAY = 86_400.0


def enforced(file: HistoryWriter, retention: Retention, days: float, times: int = 1) -> None:
    for minutes in range(60, 0, -1):  # an hour of plausible clock
        retention.enforce(file, NOW + days * DAY - minutes * 60)
    for _ in range(times):
        retention.enforce(file, NOW + days * DAY)


def never(cause: HistoryDropReason, number: int) -> None:
    pytest.fail(f"{number} lost: {cause}")


def test_what_is_too_old_goes_and_the_rest_stays(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    for day in (0.0, 2.0, 4.0):
        file.write([ran(day * DAY, Reason.SERVER_ERROR), ran(day * DAY + 60, server=0.1)])
    file.pack_hours(NOW + 3 * DAY, 99)
    enforced(file, Retention(2.5 * DAY, 2**23, never), days=4.1)
    file.close()
    archive = HistoryReader(tmp_path)
    assert [failure.at for failure in archive.failures("acme", 0.0, limit=9)] == [
        NOW + 4 * DAY,
        NOW + 2 * DAY,
    ]
    tallies = archive.aggregates("acme", NOW, NOW + 5 * DAY, HOUR_SECONDS)["datasets"]
    assert list(tallies) == [NOW + 2 * DAY, NOW + 4 * DAY]
    assert archive.oldest() == NOW + 2 * DAY
    assert len(archive.streaks(0.0, NOW + 5 * DAY)) == 2
    assert len(archive.verdict_changes("acme", 0.0, limit=9)) == 4
    assert len(HistoryReader(tmp_path).slow_requests("acme", 0.0, NOW + 9 * DAY, limit=9)) == 2
    assert HistoryReader(tmp_path).retention_horizon() == RetentionHorizon()


def test_failures_over_their_share_go_first_the_oldest_before_all(tmp_path: Path) -> None:
    lost: Counter[HistoryDropReason] = Counter()
    file = a_file(tmp_path)
    file.write([ran(float(n), Reason.SERVER_ERROR) for n in range(6000)])
    before = size_bytes(file.connection)
    retention = Retention(30 * DAY, before // 2, lambda cause, number: lost.update({cause: number}))
    enforced(file, retention, days=0.1, times=9)
    assert size_bytes(file.connection) < before * 0.55
    file.close()
    archive = HistoryReader(tmp_path)
    kept = archive.failures("acme", 0.0, limit=9999)
    assert lost[HistoryDropReason.OVER_SIZE] == 6000 - len(kept) > 0
    assert kept[0].at == NOW + 5999
    assert HistoryReader(tmp_path).retention_horizon() == RetentionHorizon(failures=kept[-1].at)
    assert archive.totals("acme", NOW, NOW + 6000)["datasets"].runs == 6000


def test_without_room_the_oldest_day_goes(tmp_path: Path) -> None:
    lost: Counter[HistoryDropReason] = Counter()
    file = a_file(tmp_path)
    for day in range(4):
        file.write([ran(day * DAY + 60 * n, server=0.1, network=0.1) for n in range(1440)])
    file.pack_hours(NOW + 9 * DAY, 999)
    size = size_bytes(file.connection)
    limit = int(size / 0.95) - 1  # where it starts to make room
    retention = Retention(30 * DAY, limit, lambda cause, number: lost.update({cause: number}))
    enforced(file, retention, days=4, times=3)
    file.close()
    assert HistoryReader(tmp_path).oldest() == NOW + DAY
    assert HistoryReader(tmp_path).retention_horizon() == RetentionHorizon(everything=NOW + DAY)
    assert lost == {HistoryDropReason.OVER_SIZE: 1}


def test_the_last_hour_is_never_let_go(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([ran(0.0)])
    enforced(file, Retention(30 * DAY, 1, never), days=0.01, times=3)
    file.close()
    assert HistoryReader(tmp_path).oldest() == NOW


def a_month(directory: Path) -> HistoryWriter:
    file = a_file(directory)
    file.write([ran(day * DAY, Reason.SERVER_ERROR) for day in range(30)])
    return file


def oldest_of(file: HistoryWriter) -> float:
    return float(file.connection.execute("SELECT min(start) FROM time_bucket").fetchone()[0]) - NOW


def test_a_clock_that_jumps_ahead_takes_nothing_until_it_has_run_evenly(tmp_path: Path) -> None:
    held: list[tuple[float, float]] = []
    file = a_month(tmp_path)
    retention = Retention(30 * DAY, 2**30, never, lambda *what: held.append(what))
    now = NOW + 29.5 * DAY
    for second in range(0, 3600, 30):
        retention.enforce(file, now + second)
    jumped = now + 60 * DAY
    for second in range(0, 3500, 5):
        file.write([ran(jumped + second - NOW, Reason.SERVER_ERROR)])
        retention.enforce(file, jumped + second)
    assert oldest_of(file) == 0
    assert held == [(jumped - 30 * DAY, NOW)]
    for second in range(3600, 7200, 30):  # set back in time: nothing is lost
        retention.enforce(file, now + second)
    assert oldest_of(file) == 0
    for second in range(0, 3700, 30):  # or it was right all along
        retention.enforce(file, jumped + second)
    assert oldest_of(file) > 0
    file.close()


def test_a_clock_that_jumps_to_and_fro_is_never_believed(tmp_path: Path) -> None:
    file = a_month(tmp_path)
    retention = Retention(30 * DAY, 2**30, never)
    for turn in range(400):
        retention.enforce(file, NOW + (90 if turn % 20 == 0 else 91) * DAY + turn * 30)
    assert oldest_of(file) == 0
    file.close()


def test_what_grows_old_day_by_day_goes_at_once(tmp_path: Path) -> None:
    file = a_month(tmp_path)
    Retention(28 * DAY, 2**30, never).enforce(file, NOW + 29.5 * DAY)
    assert oldest_of(file) == 2 * DAY
    file.close()


def test_making_room_never_reaches_into_the_last_hour(tmp_path: Path) -> None:
    lost: Counter[HistoryDropReason] = Counter()
    file = a_file(tmp_path)
    file.write([ran(60.0 * n, server=0.1) for n in range(180)])  # three hours
    retention = Retention(30 * DAY, 1, lambda cause, number: lost.update({cause: number}))
    now = NOW + 3 * HOUR_SECONDS
    retention.enforce(file, now)
    assert oldest_of(file) == 2 * HOUR_SECONDS
    assert lost == {HistoryDropReason.OVER_SIZE: 1}
    retention.enforce(file, now)  # the rest is of the last hour
    assert lost == {HistoryDropReason.OVER_SIZE: 1}
    retention.enforce(file, now + 1)
    assert lost == {HistoryDropReason.OVER_SIZE: 2}
    file.close()


def is_deleted(directory: Path, steps: list[float], *, days: float = 29.5) -> bool:
    """Return whether a month's first days go, after these steps of the clock."""
    directory.mkdir()
    file = a_month(directory)
    retention = Retention(10 * DAY, 2**30, never)
    now = NOW + days * DAY
    retention.enforce(file, now)
    for step in steps:
        now += step
        retention.enforce(file, now)
    oldest = oldest_of(file)
    file.close()
    return oldest > 0


@pytest.mark.parametrize(
    ("steps", "is_trusted"),
    [
        ([60.0] * 60, True),
        ([60.0] * 59 + [59.0], False),
        ([59.0] * 62, True),
        ([61.0] * 100, False),  # not steadily watched
        ([60.0] * 59 + [60.1] + [60.0] * 59, False),
        ([60.0] * 30 + [0.0] + [60.0] * 30, True),
        ([60.0] * 59 + [-1.0] + [60.0] * 59, False),
        ([60.0] * 59 + [-1.0] + [60.0] * 60, True),
    ],
)
def test_much_is_deleted_after_an_hour_of_an_even_clock(
    tmp_path: Path, steps: list[float], *, is_trusted: bool
) -> None:
    assert is_deleted(tmp_path / "a", steps) is is_trusted


@pytest.mark.parametrize(("share", "is_much"), [(0.0999, False), (0.1001, True)])
def test_a_tenth_of_the_history_is_much(tmp_path: Path, share: float, *, is_much: bool) -> None:
    held: list[tuple[float, float]] = []
    file = a_month(tmp_path)
    newest = 29 * DAY
    retention = Retention(newest, 2**30, never, lambda *what: held.append(what))
    now = NOW + newest + share * newest
    retention.enforce(file, now)
    assert bool(held) is is_much
    assert (oldest_of(file) == 0) is is_much
    retention.enforce(file, now)
    assert len(held) == is_much  # said once
    file.close()


def test_without_any_failure_left_the_horizon_is_now(tmp_path: Path) -> None:
    lost: Counter[HistoryDropReason] = Counter()
    file = a_file(tmp_path)
    file.write([ran(float(n), Reason.SERVER_ERROR) for n in range(3)])
    retention = Retention(30 * DAY, 1, lambda cause, number: lost.update({cause: number}))
    retention.enforce(file, NOW + 60)
    file.close()
    assert lost == {HistoryDropReason.OVER_SIZE: 3}
    assert HistoryReader(tmp_path).retention_horizon() == RetentionHorizon(failures=NOW + 60)
