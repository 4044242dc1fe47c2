from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from prober.models import ProbeResult, without_large_body
from prober.outcomes import CLASSIFICATION, Culprit, Reason
from prober.render.documents import (
    FailureRecord,
    FailureSummary,
    IncidentDocument,
    failed_request,
    request_ids,
    result_document,
)
from prober.report.samples import (
    MAX_ALIKE,
    MAX_OTHER_FAILURES,
    MAX_PLATFORM_FAILURES,
    MaintenanceFailures,
    incident_number,
    select_samples,
)
from prober.stats.incidents import FailureStreak
from tests.unit.report.factories import results
from tests.unit.stats.factories import NOW

BAD, DNS = Reason.SERVER_ERROR, Reason.DNS
A_STREAK = FailureStreak(
    "acme",
    "datasets",
    Culprit.PLATFORM,
    BAD,
    "11",
    "",
    NOW + 60,
    NOW + 120,
    in_maintenance=True,
)


def a_head(at: float, reason: Reason = BAD, probe: str = "datasets") -> FailureSummary:
    culprit = CLASSIFICATION[reason].culprit
    return FailureSummary(int(at), "acme", probe, NOW + at, reason, culprit)


def an_incident(number: int, began: float, ended: float | None, **more: object) -> IncidentDocument:
    facts = {
        "tenant": "acme",
        "environment": "production",
        "id": f"acme.{number}.platform",
        "culprit": Culprit.PLATFORM,
        "duration_seconds": 60.0,
        "failures": 1,
        "probes": ("datasets",),
        "reasons": (BAD,),
        "evidence": "",
        "in_maintenance": False,
        **more,
    }
    end = None if ended is None else NOW + ended
    return IncidentDocument(number=number, started_at=NOW + began, ended_at=end, **facts)  # type: ignore[arg-type]


def test_the_platforms_come_first_and_of_what_is_alike_the_first_few() -> None:
    heads = [a_head(n, DNS) for n in range(100)] + [a_head(n) for n in range(100, 200)]
    chosen = select_samples(heads)
    assert [head.number for head in chosen] == [100, 101, 102, 0, 1, 2]
    assert len(chosen) == 2 * MAX_ALIKE


def test_every_incident_is_seen_however_long_one_of_them_is() -> None:
    long = [a_head(60.0 * n) for n in range(3000)]
    short = [a_head(200_000.0), a_head(200_001.0, probe="sources")]
    chosen = select_samples([*long, *short])
    assert len(chosen) == MAX_PLATFORM_FAILURES
    assert {200_000, 200_001} & {head.number for head in chosen} == set()
    hours = {head.at // 3600 for head in chosen}
    assert len(hours) == MAX_PLATFORM_FAILURES
    few = select_samples([*long[:1200], *short])
    assert {200_000, 200_001} <= {head.number for head in few}


def test_of_all_others_there_are_few() -> None:
    heads = [a_head(3600.0 * n, reason) for n in range(50) for reason in (DNS, Reason.TRUNCATED)]
    reasons = [head.reason for head in select_samples(heads)]
    assert reasons == [Reason.TRUNCATED] * MAX_OTHER_FAILURES + [DNS] * MAX_OTHER_FAILURES


def test_what_failed_in_maintenance_is_left_out() -> None:
    maintenance = MaintenanceFailures()
    maintenance.add(A_STREAK)
    heads = [a_head(0), a_head(60), a_head(120), a_head(121), a_head(60, probe="sources")]
    assert [maintenance.has(head) for head in heads] == [False, True, True, False, False]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=20),
    st.integers(-1, 75),
)
def test_a_failure_is_in_maintenance_if_any_streak_around_it_is(
    spans: list[tuple[int, int]], at: int
) -> None:
    maintenance = MaintenanceFailures()
    for start, length in sorted(spans):
        maintenance.add(
            replace(A_STREAK, started_at=NOW + start, last_failed_at=NOW + start + length)
        )
    expected = any(start <= at <= start + length for start, length in spans)
    assert maintenance.has(a_head(at)) is expected


def a_failure(result: ProbeResult, reason: Reason) -> FailureRecord:
    document = result_document(without_large_body(result))
    culprit = CLASSIFICATION[reason].culprit
    return FailureRecord(7, "acme", "datasets", NOW + 60, reason, culprit, document)


def test_a_failure_belongs_to_the_incident_of_its_time_probe_and_culprit() -> None:
    failure = a_head(60)
    listed = [
        an_incident(1, 0, 59),
        an_incident(2, 0, None, probes=("sources",)),
        an_incident(3, 0, None, in_maintenance=True),
        an_incident(4, 0, 60),
    ]
    assert incident_number(failure, listed) == 4
    assert incident_number(failure, listed[:3]) is None


def test_a_failed_request_has_what_proves_it() -> None:
    result = next(each for each in results([540]) if each.probe == "datasets")
    found = failed_request(a_failure(result, BAD), 4)
    assert (found.incident, found.http_status, found.envelope_status) == (4, 500, "error")
    assert found.message == "Upstream | failed: `ledger` <b>down</b>"
    assert found.request_ids == {"x-correlation-id": "corr-1080", "cf-ray": "ray-1080"}
    assert (found.rule, found.rule_text) == ("11", "platform: 5xx with an error envelope")
    assert found.url == "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"


def test_a_request_without_a_response_has_no_response() -> None:
    result = next(each for each in results([13 * 60]) if each.probe == "datasets")
    found = failed_request(a_failure(result, DNS), None)
    assert (found.http_status, found.envelope_status, found.message) == (None, None, None)
    assert (found.request_ids, found.server_seconds) == ({}, None)


def test_foreign_text_is_one_bounded_line() -> None:
    hostile = {"cf_ray": "a\nb\u202e" + "x" * 9999, "http_status": "200"}
    found = request_ids(hostile)
    assert found["cf-ray"].startswith("a b x")
    assert len(found["cf-ray"]) == 500
