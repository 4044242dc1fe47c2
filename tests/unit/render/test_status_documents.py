from dataclasses import replace

import pytest

from prober.outcomes import Culprit, Endpoint, Reason, RejectionCause, TokenState
from prober.render.documents import day_buckets, rule_text, sort_by_severity, tenant_document
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket
from tests.unit.render.status_factory import NOW, VALID, a_standing, a_tenant_standing


def test_a_tenant_is_told_with_all_its_probes() -> None:
    failing = a_standing("sources", Reason.SERVER_ERROR, failing_for=60.0)
    document = tenant_document(a_tenant_standing(a_standing(), failing), NOW)
    first, second = document.probes
    assert first.last_run is not None
    assert (first.last_run.server_seconds, first.last_run.network_seconds) == (0.2, 0.1)
    assert first.last_run.own_seconds == 0.0
    assert (second.failing_since, second.failures) == (NOW - 60, 1)
    assert second.last_run is not None
    assert second.last_run.rule_text == "platform: 5xx with an error envelope"


def test_a_probe_of_a_dead_token_is_held_back_but_for_the_one_that_was_refused() -> None:
    token = replace(VALID, state=TokenState.REJECTED, cause=RejectionCause.SUPERSEDED)
    probes = (a_standing(), a_standing("sources", Reason.TOKEN_REJECTED))
    document = tenant_document(a_tenant_standing(*probes, token=token), NOW)
    assert [each.is_paused for each in document.probes] == [True, False]


def test_rows_of_one_number_are_told_apart_by_reason() -> None:
    assert rule_text("6", Reason.RESPONSE_TIMEOUT) == "incomplete response: timeout"
    assert rule_text("6", Reason.TRUNCATED) == "incomplete response: truncated"
    assert rule_text("5", Reason.PROXY).count("; or ") == 1
    assert rule_text("8i", Reason.TOKEN_REJECTED, Endpoint.IDENTITY) != ""
    assert rule_text("99", Reason.DNS) == ""


def test_the_strip_has_each_quarter_of_a_day_the_present_one_last() -> None:
    known = {
        int(NOW): TimeBucket(
            none=3, platform=1, splits=2, server_seconds=1.0, network_seconds=0.5, own_seconds=0.25
        )
    }
    shown = day_buckets(known, NOW + 60)
    assert len(shown) == 96
    assert shown[0].start == NOW - 95 * BUCKET_SECONDS
    assert shown[0].runs == 0
    assert shown[0].server_seconds is None
    assert (shown[-1].runs, shown[-1].by_culprit) == (4, {Culprit.NONE: 3, Culprit.PLATFORM: 1})
    assert (shown[-1].server_seconds, shown[-1].network_seconds) == (0.5, 0.25)
    assert (shown[-1].own_seconds, shown[0].own_seconds) == (0.125, None)


def test_availability_is_told_for_a_day_and_a_month() -> None:
    day = TimeBucket(none=9, platform=1)
    standing = a_tenant_standing(
        buckets={int(NOW): day}, month=day + TimeBucket(none=90, network=10)
    )
    kept = tenant_document(standing, NOW).availability
    assert (kept.day.platform_ratio, kept.day.end_to_end_ratio) == (0.9, 0.9)
    assert kept.month.platform_ratio == pytest.approx(99 / 100)
    assert kept.month.end_to_end_ratio == pytest.approx(99 / 110)
    assert kept.budget_left_ratio == pytest.approx(1 - 1 / (43_200 * 0.005))


def test_who_looks_first_sees_what_is_wrong_first() -> None:
    well = tenant_document(a_tenant_standing(), NOW)
    bad = tenant_document(a_tenant_standing(a_standing(reason=Reason.DNS)), NOW)
    slow = replace(bad, name="slow", is_slow=True)
    zeta = replace(well, name="zeta")
    assert sort_by_severity([zeta, well, slow, bad]) == (bad, slow, well, zeta)
