import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.schema import FILE_NAME
from prober.history.writer import HOUR_SECONDS, Entry, HistoryWriter, RunEntry
from prober.models import SkippedRun, TokenEvent, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import Culprit, Reason, SkipCause, TokenEventKind
from prober.stats.aggregates import Aggregate, TimeBucket, add_run, merge_aggregates
from tests.unit.metrics.factories import an_answer
from tests.unit.stats.factories import NOW, a_run, incidents_from_streaks

BAD = Reason.SERVER_ERROR


def a_file(directory: Path) -> HistoryWriter:
    return HistoryWriter.open(directory, lambda aside, why: pytest.fail(f"{aside}: {why}"))


def ran(at: float = 0.0, reason: Reason = Reason.OK, **overrides: object) -> RunEntry:
    failure = None if reason is Reason.OK else an_answer(reason, status=500)
    return RunEntry(a_run(at, reason, **overrides), failure)  # type: ignore[arg-type]


def written(directory: Path, *batches: Sequence[Entry]) -> HistoryReader:
    file = a_file(directory)
    for batch in batches:
        file.write(batch)
    file.close()
    return HistoryReader(directory)


def test_runs_of_a_minute_are_one_tally_also_over_batches_and_restarts(tmp_path: Path) -> None:
    runs = [ran(at, server=0.1 * (at + 1), network=0.01) for at in range(3)]
    written(tmp_path, [runs[0]], [runs[1]])
    archive = written(tmp_path, [runs[2]])
    tallies = archive.aggregates("acme", NOW, NOW + 60, 60)
    assert tallies == {
        "datasets": {NOW: merge_aggregates(add_run(Aggregate(), each.run) for each in runs)}
    }


def test_a_packed_hour_tells_the_same_as_its_minutes(tmp_path: Path) -> None:
    runs: list[Entry] = [
        ran(60 * n, BAD if n % 7 == 0 else Reason.OK, server=0.1, network=0.01) for n in range(90)
    ]
    archive = written(tmp_path, runs)
    before = [
        archive.aggregates("acme", NOW, NOW + 2 * HOUR_SECONDS, step) for step in (60, 900, 3600)
    ]
    file = a_file(tmp_path)
    assert file.pack_hours(NOW + 2 * HOUR_SECONDS - 1, 9) == 1
    assert file.pack_hours(NOW + 2 * HOUR_SECONDS, 9) == 1
    assert file.pack_hours(NOW + 9 * HOUR_SECONDS, 9) == 0
    file.close()
    after = [
        archive.aggregates("acme", NOW, NOW + 2 * HOUR_SECONDS, step) for step in (60, 900, 3600)
    ]
    assert after == before


def test_what_comes_late_is_added_to_a_packed_hour(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    for _ in range(2):
        file.write([ran(30.0)])
        file.pack_hours(NOW + HOUR_SECONDS, 9)
    file.close()
    tallies = HistoryReader(tmp_path).aggregates("acme", NOW, NOW + HOUR_SECONDS, 3600)
    assert tallies == {"datasets": {NOW: Aggregate({"ok": 2})}}


def test_a_span_is_counted_to_the_minute_whether_packed_or_not(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([ran(60 * n) for n in range(180)])
    file.pack_hours(NOW + 2 * HOUR_SECONDS, 9)
    file.close()
    totals = HistoryReader(tmp_path).totals("acme", NOW + 600, NOW + 600 + 2 * HOUR_SECONDS)
    assert totals["datasets"].runs == 120


def test_slots_hold_a_tenants_runs_by_culprit(tmp_path: Path) -> None:
    held_back = SkippedRun("acme", "datasets", NOW + 901, SkipCause.TOKEN_REJECTED)
    other = SkippedRun("acme", "datasets", NOW + 901, SkipCause.OVERLAP)
    archive = written(tmp_path, [ran(0.0), ran(1.0, BAD)], [ran(2.0), held_back, other])
    assert archive.buckets(NOW) == {
        "acme": {NOW: TimeBucket(none=2, platform=1), NOW + 900: TimeBucket(paused=1)}
    }
    assert archive.buckets(NOW, NOW + 900, "acme") == {
        "acme": {NOW: TimeBucket(none=2, platform=1)}
    }
    assert archive.buckets(NOW, tenant="other") == {}
    assert archive.bucket_totals(NOW + 900, NOW + 901) == {"acme": TimeBucket(paused=1)}


def test_a_failure_is_kept_with_its_evidence(tmp_path: Path) -> None:
    archive = written(tmp_path, [ran(0.0), ran(60.0, BAD), ran(120.0, BAD, probe="sources")])
    newest, older = archive.failures("acme", NOW, limit=9)
    assert (newest.probe, newest.at, newest.reason) == ("sources", NOW + 120, BAD)
    assert older.document["verdict"]["evidence"] == "seen by a test"
    assert archive.failures("acme", NOW, limit=9, probe="datasets") == (older,)
    assert archive.failures("acme", NOW, limit=1) == (newest,)
    assert archive.failures("other", NOW, limit=9) == ()


def test_the_culprit_of_a_failure_is_kept_also_where_its_reason_has_several(
    tmp_path: Path,
) -> None:
    by_tenant, by_platform = (
        [ran(at, Reason.EXPECTATION_FAILED, culprit=culprit) for at in times]
        for culprit, times in (
            (Culprit.TENANT, (0.0, 60.0)),
            (Culprit.PLATFORM, (120.0, 180.0, 240.0)),
        )
    )
    # The file is opened again in between, and the hour is packed at the end.
    written(tmp_path, by_tenant, by_platform[:1])
    writer = a_file(tmp_path)
    writer.write(by_platform[1:])
    writer.pack_hours(NOW + 2 * HOUR_SECONDS, 9)
    writer.close()

    history = HistoryReader(tmp_path)
    failures = history.failure_summaries("acme", NOW, NOW + 999, limit=9)
    streaks = history.streaks(NOW, NOW + 999)
    totals = history.totals("acme", NOW, NOW + HOUR_SECONDS)["datasets"]
    bucket = history.bucket_totals(NOW, NOW + 999)["acme"]
    assert [each.culprit for each in failures] == [Culprit.TENANT] * 2 + [Culprit.PLATFORM] * 3
    [newest] = history.failures("acme", NOW, limit=1)
    assert newest.culprit is Culprit.PLATFORM
    assert [(each.culprit, each.failures) for each in streaks] == [
        (Culprit.TENANT, 2),
        (Culprit.PLATFORM, 3),
    ]
    assert totals.by_culprit == {Culprit.TENANT: 2, Culprit.PLATFORM: 3}
    assert (bucket.tenant, bucket.platform) == (2, 3)


def test_spells_go_on_over_batches_and_restarts(tmp_path: Path) -> None:
    written(tmp_path, [ran(0.0, BAD)], [ran(60.0, BAD)])
    archive = written(tmp_path, [ran(120.0, BAD), ran(180.0)])
    [streak] = archive.streaks(NOW, NOW + 999)
    assert (streak.started_at, streak.ended_at, streak.failures) == (NOW, NOW + 180, 3)


@pytest.mark.parametrize(
    ("since", "until", "found"), [(0, 59, 0), (0, 60, 1), (119, 500, 1), (120.5, 500, 0)]
)
def test_spells_that_touch_a_span_are_found(
    tmp_path: Path, since: float, until: float, found: int
) -> None:
    archive = written(tmp_path, [ran(60.0, BAD), ran(120.0)])
    assert len(incidents_from_streaks(archive.streaks(NOW + since, NOW + until))) == found


def test_what_went_on_for_a_probe_that_is_gone_has_ended(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([ran(0.0, BAD), ran(0.0, BAD, probe="sources")])
    file.end_streaks_of_other_probes({("acme", "sources")})
    file.close()
    ends = {
        streak.probe: streak.ended_at for streak in HistoryReader(tmp_path).streaks(NOW, NOW + 9)
    }
    assert ends == {"datasets": NOW, "sources": None}


def test_each_change_of_a_verdict_is_kept(tmp_path: Path) -> None:
    reasons = (Reason.OK, Reason.OK, BAD, BAD, Reason.DNS, Reason.OK)
    archive = written(tmp_path, [ran(60.0 * n, each) for n, each in enumerate(reasons)])
    reported = [
        (each.before, each.reason) for each in archive.verdict_changes("acme", NOW, limit=9)
    ]
    assert reported == [
        (Reason.DNS, Reason.OK),
        (BAD, Reason.DNS),
        (Reason.OK, BAD),
        (None, Reason.OK),
    ]


def test_token_events_are_kept(tmp_path: Path) -> None:
    source = TokenSource(TokenSourceKind.ENVIRONMENT, "TOKEN")
    status = TokenStatus("acme", source, fingerprint="0123abcd")
    event = TokenEvent(TokenEventKind.ROTATED, NOW, status)
    [found] = written(tmp_path, [event]).token_events("acme", limit=9)
    assert (found.kind, found.at, found.fingerprint) == (TokenEventKind.ROTATED, NOW, "0123abcd")


def test_a_batch_is_saved_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.connection.execute("DROP TABLE verdict_change")
    with pytest.raises(sqlite3.OperationalError):
        file.write([ran(0.0, BAD)])
    file.close()
    assert HistoryReader(tmp_path).aggregates("acme", NOW, NOW + 60, 60) == {}


def test_a_file_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    assert not file.is_lost
    (tmp_path / FILE_NAME).unlink()
    assert file.is_lost
    file.close()


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    archive = HistoryReader(tmp_path)
    assert archive.aggregates("acme", NOW, NOW + 60, 60) == {}
    assert archive.buckets(NOW) == {}
    assert archive.streaks(NOW, NOW + 1) == ()


LAST = {("acme", "datasets"): NOW - 999_999.0}


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_last_run_is_known_to_the_minute(tmp_path: Path, *, is_packed: bool) -> None:
    file = a_file(tmp_path)
    in_maintenance = ran(4000.0, BAD, in_maintenance=True)
    skipped = SkippedRun("acme", "datasets", NOW + 4100, SkipCause.TOKEN_REJECTED)
    file.write([ran(0.0), ran(130.0), ran(5000.0, tenant="other"), in_maintenance, skipped])
    if is_packed:
        file.pack_hours(NOW + 9 * HOUR_SECONDS, 9)
    file.close()
    archive = HistoryReader(tmp_path)
    assert archive.last_runs(LAST) == {("acme", "datasets"): NOW + 3960}
    assert archive.last_runs({("acme", "datasets"): NOW + 4019}) == {
        ("acme", "datasets"): NOW + 3960
    }
    assert archive.last_runs({("acme", "datasets"): NOW + 4020}) == {}
    assert archive.last_runs({("acme", "sources"): 0.0, ("gone", "datasets"): 0.0}) == {}


def test_without_a_file_no_run_is_known(tmp_path: Path) -> None:
    assert HistoryReader(tmp_path).last_runs(LAST) == {}
