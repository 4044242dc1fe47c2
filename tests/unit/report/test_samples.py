from prober.history.reader import FailureSummary, SlowRequestRow
from prober.models import without_large_body
from prober.outcomes import Culprit, Reason
from prober.render.documents import result_document
from prober.report.models import ReportedIncident
from prober.report.samples import (
    MOST_ALIKE,
    MOST_FAILED,
    MOST_OF_OTHERS,
    failed_request,
    outside_maintenance,
    select_samples,
    slow_request,
)
from prober.stats.incidents import FailureStreak
from tests.unit.report.factories import results
from tests.unit.stats.factories import NOW

BAD, DNS = Reason.SERVER_ERROR, Reason.DNS


def a_head(at: float, reason: Reason = BAD, probe: str = "datasets") -> FailureSummary:
    return FailureSummary(int(at), probe, NOW + at, reason)


def an_incident(number: int, began: float, ended: float | None, **more: object) -> ReportedIncident:
    facts = {
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
    return ReportedIncident(number=number, started_at=NOW + began, ended_at=end, **facts)  # type: ignore[arg-type]


def test_the_platforms_come_first_and_of_what_is_alike_the_first_few() -> None:
    heads = [a_head(n, DNS) for n in range(100)] + [a_head(n) for n in range(100, 200)]
    chosen = select_samples(heads)
    assert [head.number for head in chosen] == [100, 101, 102, 0, 1, 2]
    assert len(chosen) == 2 * MOST_ALIKE


def test_every_incident_is_seen_however_long_one_of_them_is() -> None:
    long = [a_head(60.0 * n) for n in range(3000)]
    short = [a_head(200_000.0), a_head(200_001.0, probe="sources")]
    chosen = select_samples([*long, *short])
    assert len(chosen) == MOST_FAILED
    assert {200_000, 200_001} & {head.number for head in chosen} == set()
    hours = {head.at // 3600 for head in chosen}
    assert len(hours) == MOST_FAILED
    few = select_samples([*long[:1200], *short])
    assert {200_000, 200_001} <= {head.number for head in few}


def test_of_all_others_there_are_few() -> None:
    heads = [a_head(3600.0 * n, reason) for n in range(50) for reason in (DNS, Reason.TRUNCATED)]
    reasons = [head.reason for head in select_samples(heads)]
    assert reasons == [Reason.TRUNCATED] * MOST_OF_OTHERS + [DNS] * MOST_OF_OTHERS


def test_what_failed_in_maintenance_is_left_out() -> None:
    planned = FailureStreak(
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
    heads = [a_head(0), a_head(60), a_head(120), a_head(121), a_head(60, probe="sources")]
    assert outside_maintenance(heads, [planned]) == (heads[0], heads[3], heads[4])


def test_a_failed_call_tells_what_proves_it() -> None:
    result = next(each for each in results([540]) if each.probe == "datasets")
    head = FailureSummary(7, "datasets", NOW + 60, BAD)
    listed = [
        an_incident(1, 0, 59),
        an_incident(2, 0, None, probes=("sources",)),
        an_incident(3, 0, None, in_maintenance=True),
        an_incident(4, 0, 60),
    ]
    call = failed_request(head, result_document(without_large_body(result)), listed)
    assert (call.incident, call.http_status, call.envelope_status) == (4, 500, "error")
    assert call.message == "Upstream | failed: `ledger` <b>down</b>"
    assert call.request_ids == {"x-correlation-id": "corr-1080", "cf-ray": "ray-1080"}
    assert (call.rule, call.rule_text) == ("11", "platform: 5xx with an error envelope")
    assert call.url == "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
    assert (
        failed_request(head, result_document(without_large_body(result)), listed[:3]).incident
        is None
    )


def test_a_call_without_an_answer_has_no_answer() -> None:
    result = next(each for each in results([13 * 60]) if each.probe == "datasets")
    call = failed_request(FailureSummary(7, "datasets", NOW, DNS), result_document(result), [])
    assert (call.http_status, call.envelope_status, call.message) == (None, None, None)
    assert (call.request_ids, call.server_seconds) == ({}, None)


def test_foreign_text_is_one_bounded_line() -> None:
    hostile = {"cf_ray": "a\nb\u202e" + "x" * 9999, "http_status": "200"}
    call = slow_request(SlowRequestRow("datasets", NOW, Reason.OK, 1.0, 0.1, hostile))
    assert call.request_ids["cf-ray"].startswith("a b x")
    assert len(call.request_ids["cf-ray"]) == 500
