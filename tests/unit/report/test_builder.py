import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from prober.history.reader import RetentionHorizon
from prober.outcomes import Culprit, Reason, SkipCause
from prober.report import builder
from prober.report.builder import ReportContext, build_report
from prober.report.models import GapCause
from prober.report.query import MAX_INCIDENTS, HistoryExtract, read_history
from prober.report.time_range import TimeRange
from prober.stats.aggregates import Aggregate
from prober.stats.incidents import FailureStreak, digest_incidents
from prober.stats.slo import availability_from_aggregate
from prober.status_page import PublishedStatus, SupplierIncident
from tests.unit.report.factories import DAY, TENANT, write_the_day
from tests.unit.report.report_factory import NOW, VANTAGE, a_report

MADE = ReportContext(NOW, "UTC", VANTAGE, 30 * 86_400.0)
SUPPLIER_INCIDENT = SupplierIncident("a", "Errors", "major", "monitoring", DAY, None, ())
MORNING = TimeRange(DAY + 9 * 3600, DAY + 10 * 3600)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("state")
    write_the_day(directory, range(9 * 60 - 30, 10 * 60))
    return directory


@pytest.fixture(scope="module")
def past(state: Path) -> HistoryExtract:
    return read_history(state, TENANT.name, MORNING, NOW)


def test_all_of_it_is_json(state: Path) -> None:
    made = a_report(state, MORNING.since, MORNING.until)
    assert json.loads(json.dumps(asdict(made), allow_nan=False))["incidents"][0]["number"] == 1


def test_what_began_before_is_whole_and_counts_only_within(state: Path) -> None:
    made = a_report(state, DAY + 9 * 3600 + 1800, DAY + 9 * 3600 + 3600)
    [incident] = made.incidents
    assert (incident.started_at, incident.duration_seconds) == (DAY + 32_410, 42 * 60 + 15)
    [share] = made.shares
    assert (share.seconds, share.failures) == (12 * 60 + 25, 24)
    assert made.availability.platform_failures == 24


def test_what_the_supplier_published_stands_beside_each_incident(past: HistoryExtract) -> None:
    statuses = (
        PublishedStatus(MORNING.since - 9000, MORNING.since + 1800, "https://status.example"),
        PublishedStatus(
            MORNING.since + 1860, NOW, "https://status.example", None, (SUPPLIER_INCIDENT,)
        ),
    )
    made = build_report(TENANT, replace(past, published=statuses), MORNING, MADE)
    assert made.supplier is not None
    assert made.supplier.published_after_seconds == 1860
    assert made.supplier.seconds == MORNING.seconds
    by_number = {each.number: each for each in made.incidents}
    platform = {n for n, each in by_number.items() if each.culprit is Culprit.PLATFORM}
    assert platform <= {each.incident for each in made.supplier_findings}
    for each in made.supplier_findings:
        incident = by_number[each.incident]
        assert incident.culprit in {Culprit.PLATFORM, Culprit.NETWORK, Culprit.UNDECIDED}
        late = MORNING.since + 1860 - incident.started_at
        assert each.published_after_seconds == late
        assert "had an incident" in each.finding
    assert json.loads(json.dumps(asdict(made), allow_nan=False))["supplier"]["known_seconds"]


def test_a_supplier_that_published_nothing_stands_in_the_summary(past: HistoryExtract) -> None:
    sentence = "The supplier's status page had no incident during 1 of 1 platform incident."
    page = "https://status.example"
    silent = PublishedStatus(MORNING.since - 90_000, NOW, page)
    made = build_report(TENANT, replace(past, published=(silent,)), MORNING, MADE)
    assert sentence in made.summary
    for other in (
        replace(silent, incidents=(SUPPLIER_INCIDENT,)),
        replace(silent, problem="HTTP 502"),
        replace(silent, until=MORNING.since + 600),
    ):
        made = build_report(TENANT, replace(past, published=(other,)), MORNING, MADE)
        assert not any("status page" in each for each in made.summary)


def test_without_a_status_page_there_is_no_finding(past: HistoryExtract) -> None:
    made = build_report(TENANT, past, MORNING, MADE)
    assert (made.supplier, made.supplier_findings) == (None, ())


A_STREAK = FailureStreak(
    TENANT.name,
    "datasets",
    Culprit.PLATFORM,
    Reason.SERVER_ERROR,
    "11",
    "HTTP 500",
    started_at=MORNING.since + 10,
    last_failed_at=MORNING.since + 3000,
    ended_at=MORNING.since + 3060,
)


def with_streaks(past: HistoryExtract, *streaks: FailureStreak) -> HistoryExtract:
    digest = digest_incidents(streaks, MORNING.since, MORNING.until, MAX_INCIDENTS)
    return replace(past, incidents=digest)


def test_what_goes_on_lasted_until_the_end_of_the_span_or_now(past: HistoryExtract) -> None:
    open_end = with_streaks(past, replace(A_STREAK, ended_at=None, last_failed_at=MORNING.until))
    [incident] = build_report(TENANT, open_end, MORNING, MADE).incidents
    assert (incident.ended_at, incident.duration_seconds) == (None, 3590)
    early = replace(MADE, now=MORNING.until - 30)
    assert build_report(TENANT, open_end, MORNING, early).incidents[0].duration_seconds == 3560


def test_of_too_many_incidents_the_longest_are_listed_in_order(past: HistoryExtract) -> None:
    streaks = [
        replace(
            A_STREAK,
            started_at=DAY + n * 1000,
            last_failed_at=DAY + n * 1000,
            ended_at=DAY + n * 1000 + n % 250,
        )
        for n in range(250)
    ]
    made = build_report(TENANT, with_streaks(past, *streaks), MORNING, MADE)
    assert (made.incident_count, len(made.incidents)) == (250, MAX_INCIDENTS)
    assert made.incidents[0].started_at == DAY + 50_000
    assert [each.number for each in made.incidents] == list(range(1, 201))


def test_each_culprit_has_one_share(past: HistoryExtract) -> None:
    streaks = [
        replace(A_STREAK, culprit=culprit, started_at=MORNING.since + number)
        for number, culprit in enumerate(set(Culprit) - {Culprit.NONE})
    ]
    made = build_report(TENANT, with_streaks(past, *streaks), MORNING, MADE)
    assert sorted(each.culprit for each in made.shares) == sorted(set(Culprit) - {Culprit.NONE})


def test_of_many_probes_only_all_together_are_drawn(past: HistoryExtract) -> None:
    tally = past.aggregates["datasets"]
    many = {f"probe-{n}": tally for n in range(builder.MAX_CHARTS + 1)}
    made = build_report(TENANT, replace(past, aggregates=many), MORNING, MADE)
    assert made.series_by_probe == {}
    assert made.series.points[0].runs == 13


def test_without_a_run_nothing_is_claimed(past: HistoryExtract) -> None:
    totals = {"datasets": Aggregate({"skipped:overlap": 3})}
    empty = replace(with_streaks(past), totals=totals, aggregates={})
    made = build_report(TENANT, empty, MORNING, MADE)
    assert made.availability.objective_met is None
    assert made.summary == ("No data for this period.",)
    assert made.skipped == {SkipCause.OVERLAP: 3}
    assert made.figures[0].server is None


@pytest.mark.parametrize(("failures", "is_kept"), [(5, True), (6, False)])
def test_an_objective_is_kept_up_to_its_last_allowed_failure(failures: int, is_kept: bool) -> None:
    kept = availability_from_aggregate(
        Aggregate({"ok": 1000 - failures, "server_error": failures}), 0.995
    )
    assert kept.objective_met is is_kept
    assert kept.allowed_failures == pytest.approx(5)


def test_maintenance_and_the_probers_own_faults_count_in_neither_indicator() -> None:
    counts = {"ok": 8, "dns": 2, "internal_error": 5, "maintenance:server_error": 7}
    kept = availability_from_aggregate(Aggregate({**counts, "skipped:token_rejected": 10}), 0.995)
    assert (kept.runs, kept.prober_faults, kept.in_maintenance, kept.paused) == (20, 5, 7, 10)
    assert (kept.platform_ratio, kept.end_to_end_ratio) == (1.0, 0.4)


def test_what_had_to_make_room_is_said(past: HistoryExtract) -> None:
    forgotten = RetentionHorizon(failures=MORNING.since + 60, everything=MORNING.since)
    made = build_report(TENANT, replace(past, horizon=forgotten), MORNING, MADE)
    assert made.failures_known_since == MORNING.since + 60
    later = TimeRange(MORNING.since + 60, MORNING.until)
    known = build_report(TENANT, replace(past, horizon=forgotten), later, MADE)
    assert known.failures_known_since is None
    earlier = TimeRange(MORNING.since - 3600, MORNING.until)
    gap, _ = build_report(TENANT, replace(past, horizon=forgotten), earlier, MADE).gaps
    assert (gap.started_at, gap.ended_at) == (MORNING.since - 3600, MORNING.since - 1800)
    assert gap.cause is GapCause.NO_ROOM


def test_a_streak_that_nobody_watched_since_has_ended(state: Path) -> None:
    write_the_day(state / "cut", range(9 * 60, 9 * 60 + 10))
    made = a_report(state / "cut", MORNING.since, MORNING.until)
    [incident] = made.incidents
    assert incident.ended_at == DAY + 9 * 3600 + 9 * 60 + 25
    assert made.shares[0].culprit is Culprit.PLATFORM
