from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.models import Failure, Latency
from prober.outcomes import (
    CLASSIFICATION,
    Culprit,
    Endpoint,
    FailureKind,
    Reason,
    ServerTimingAnomaly,
    SkipCause,
)
from prober.stats.aggregates import (
    Aggregate,
    DurationHistogram,
    add_duration,
    add_run,
    add_skip,
    bucket_for,
    coarse_bucket_index,
    merge_aggregates,
    parse_kind,
    run_kind,
    summarize,
)
from tests.unit.metrics.factories import a_failure, an_answer
from tests.unit.stats.factories import a_run, histogram_of


def test_a_tally_tells_runs_by_reason_and_by_culprit() -> None:
    reasons = (Reason.OK, Reason.OK, Reason.SERVER_ERROR, Reason.EXPECTATION_FAILED, Reason.DNS)
    tally = merge_aggregates(add_run(Aggregate(), a_run(reason=reason)) for reason in reasons)
    assert tally.runs == 5
    assert tally.by_reason_and_culprit[Reason.OK, Culprit.NONE] == 2
    assert tally.by_culprit == {
        Culprit.NONE: 2,
        Culprit.PLATFORM: 1,
        Culprit.TENANT: 1,
        Culprit.NETWORK: 1,
    }


def test_runs_with_the_same_reason_are_counted_by_culprit() -> None:
    culprits = (Culprit.TENANT, Culprit.TENANT, Culprit.PLATFORM, Culprit.REQUEST)
    aggregate = Aggregate()
    for culprit in culprits:
        aggregate = add_run(aggregate, a_run(reason=Reason.EXPECTATION_FAILED, culprit=culprit))
    assert aggregate.runs == 4
    assert aggregate.by_culprit == {Culprit.TENANT: 2, Culprit.PLATFORM: 1, Culprit.REQUEST: 1}
    assert aggregate.by_reason_and_culprit == {
        (Reason.EXPECTATION_FAILED, Culprit.TENANT): 2,
        (Reason.EXPECTATION_FAILED, Culprit.PLATFORM): 1,
        (Reason.EXPECTATION_FAILED, Culprit.REQUEST): 1,
    }


@pytest.mark.parametrize("reason", Reason)
def test_a_kind_holds_the_reason_and_the_culprit(reason: Reason) -> None:
    row = CLASSIFICATION[reason]
    culprits = tuple(Culprit) if row.culprit_varies else (row.culprit,)
    for culprit in culprits:
        assert parse_kind(run_kind(reason, culprit)) == (reason, culprit)
    assert parse_kind(reason.value) == (reason, row.culprit)


def test_the_summary_has_the_culprit_of_the_verdict() -> None:
    result = an_answer(Reason.EXPECTATION_FAILED)
    platform = replace(result, verdict=replace(result.verdict, culprit=Culprit.PLATFORM))
    assert summarize(result).culprit is Culprit.TENANT
    assert summarize(platform).culprit is Culprit.PLATFORM
    assert bucket_for(summarize(platform)).platform == 1


def test_what_was_in_maintenance_or_not_run_stands_apart() -> None:
    tally = merge_aggregates(
        (
            add_run(
                Aggregate(), a_run(reason=Reason.SERVER_ERROR, in_maintenance=True, server=9.0)
            ),
            add_skip(Aggregate(), SkipCause.TOKEN_REJECTED),
            add_skip(Aggregate(), SkipCause.OVERLAP),
        )
    )
    assert (tally.runs, tally.in_maintenance, tally.paused) == (0, 1, 1)
    assert tally.server.count == 0


def test_times_are_added_by_side() -> None:
    tally = merge_aggregates(
        add_run(Aggregate(), a_run(server=s, network=n, own=o))
        for s, n, o in ((0.1, 0.02, 0.001), (0.3, 0.04, 0.005))
    )
    assert tally == Aggregate(
        {"ok": 2},
        histogram_of((0.1, 0.3)),
        histogram_of((0.02, 0.04)),
        histogram_of((0.001, 0.005), coarse_bucket_index),
    )


@given(st.floats(2e-6, 1e3))
def test_own_time_is_kept_to_five_per_cent(seconds: float) -> None:
    kept = add_duration(DurationHistogram(), seconds, coarse_bucket_index).quantile(0.5)
    assert kept == pytest.approx(seconds, rel=0.055)


def test_a_result_is_told_in_brief() -> None:
    run = summarize(an_answer(server=0.25, network=0.0625, own=0.5))
    assert (run.tenant, run.probe, run.reason) == ("acme", "datasets", Reason.OK)
    assert (run.server_seconds, run.network_seconds, run.evidence) == (0.25, 0.0625, "")
    assert run.own_seconds == 0.5


def test_own_time_is_kept_with_the_other_parts_or_not_at_all() -> None:
    unsplit = summarize(an_answer(server=ServerTimingAnomaly.MISSING))
    assert (unsplit.server_seconds, unsplit.network_seconds, unsplit.own_seconds) == (None,) * 3


def test_a_failure_has_evidence_and_no_times() -> None:
    run = summarize(a_failure(FailureKind.DNS))
    assert (run.culprit, run.evidence, run.rule) == (Culprit.NETWORK, "seen by a test", "15")
    assert run.server_seconds is None


def test_the_identity_servers_time_is_not_the_apis() -> None:
    result = an_answer()
    object.__setattr__(result, "endpoint", Endpoint.IDENTITY)
    assert summarize(result).server_seconds is None


def test_two_durations_of_one_bucket_are_two() -> None:
    twice = add_duration(add_duration(DurationHistogram(), 0.5), 0.5)
    assert twice.count == 2
    assert len(twice.buckets) == 1
    assert add_duration(twice, None) is twice


LATENCY = Latency(0.875, 0.5, 0.25, 0.125)
FAILURE = Failure(FailureKind.TRUNCATED, "")


def test_what_is_not_measured_has_none_of_the_three_times() -> None:
    measured = replace(an_answer(), verdict=replace(an_answer().verdict, latency=LATENCY))
    found = summarize(measured)
    assert (found.server_seconds, found.network_seconds, found.own_seconds) == (0.5, 0.25, 0.125)
    failed = replace(measured, exchange=replace(measured.exchange, failure=FAILURE))
    elsewhere = replace(measured, endpoint=Endpoint.IDENTITY)
    unsplit = replace(LATENCY, server_seconds=None)
    without = replace(measured, verdict=replace(measured.verdict, latency=unsplit))
    for each in (failed, elsewhere, without):
        found = summarize(each)
        times = (found.server_seconds, found.network_seconds, found.own_seconds)
        assert times == (None, None, None)
