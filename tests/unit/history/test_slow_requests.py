from pathlib import Path

from prober.history.reader import HistoryReader
from prober.history.writer import MAX_PER_DAY, Entry, RunEntry
from prober.outcomes import Reason
from tests.unit.history.test_writer import a_file, written
from tests.unit.stats.factories import NOW, a_run

DAY = 86_400.0


def slow(at: float, seconds: float, **overrides: object) -> RunEntry:
    run = a_run(at, server=seconds, network=0.01, own=0.001, **overrides)  # type: ignore[arg-type]
    return RunEntry(run, None, {"cf_ray": f"ray-{at:g}"})


def test_the_slowest_of_a_day_are_kept_over_batches_and_restarts(tmp_path: Path) -> None:
    seconds = [(n * 7919 % 997) / 100 for n in range(200)]
    for first in range(0, 200, 50):
        file = a_file(tmp_path)
        for at in range(first, first + 50, 25):
            file.write([slow(float(n), seconds[n]) for n in range(at, at + 25)])
        file.close()
    kept = HistoryReader(tmp_path).slow_requests("acme", NOW, NOW + DAY, limit=99)
    assert [each.server_seconds for each in kept] == sorted(seconds, reverse=True)[:MAX_PER_DAY]
    assert (kept[0].network_seconds, kept[0].own_seconds) == (0.01, 0.001)
    assert kept[0].request_ids == {"cf-ray": f"ray-{seconds.index(max(seconds))}"}


def test_each_day_and_tenant_has_its_own(tmp_path: Path) -> None:
    entries: list[Entry] = [
        slow(day * DAY + n, 1.0 + day + n / 100, tenant=tenant)
        for day in (0, 1)
        for tenant in ("acme", "other")
        for n in range(30)
    ]
    calls = [HistoryReader(tmp_path)]
    written(tmp_path, entries, [slow(30.0, 0.5), slow(31.0, 1.5)])
    days = [
        calls[0].slow_requests("acme", NOW + d * DAY, NOW + (d + 1) * DAY, limit=99) for d in (0, 1)
    ]
    assert [len(each) for each in days] == [MAX_PER_DAY, MAX_PER_DAY]
    assert days[0][0].server_seconds == 1.5
    assert len(calls[0].slow_requests("other", NOW, NOW + 2 * DAY, limit=13)) == 13


def test_what_was_not_measured_or_planned_is_no_slow_answer(tmp_path: Path) -> None:
    unmeasured = RunEntry(a_run(0.0, Reason.DNS))
    written(tmp_path, [unmeasured, slow(1.0, 9.0, in_maintenance=True)])
    assert HistoryReader(tmp_path).slow_requests("acme", NOW, NOW + DAY, limit=9) == ()
