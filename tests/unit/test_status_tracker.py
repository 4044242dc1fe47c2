from dataclasses import replace

from prober.maintenance import FOREVER, MaintenanceStatus
from prober.models import Response, SkippedRun, TokenStatus
from prober.outcomes import Reason, SkipCause, TokenState
from prober.stats.aggregates import TimeBucket, bucket_start, summarize
from prober.stats.incidents import FailureStreak, advance
from prober.stats.status import TenantStatus
from prober.status_tracker import StatusTracker
from tests.unit.metrics.factories import NOW, a_tenant, an_answer

TENANT = a_tenant()
STATUSES = {"acme": TokenStatus("acme", TENANT.token, TokenState.VALID, "0123abcd")}
SLOT = bucket_start(NOW)


def a_board() -> StatusTracker:
    return StatusTracker((TENANT,), NOW - 5)


def seen(tracker: StatusTracker, after: float = 0.0) -> TenantStatus:
    return tracker.status("acme", STATUSES, MaintenanceStatus(None, NOW, FOREVER), NOW + after)


def a_streak(since: float) -> FailureStreak:
    _, spell = advance(None, summarize(replace(an_answer(Reason.SERVER_ERROR), started_at=since)))
    assert spell is not None
    return spell


def test_before_anything_ran_nothing_is_known() -> None:
    standing = seen(a_board())
    assert standing.probes[0].result is None
    assert (standing.buckets, standing.month, standing.known_since) == ({}, TimeBucket(), NOW - 5)


def test_the_last_result_stands_and_slots_add_up() -> None:
    tracker = a_board()
    for reason in (Reason.OK, Reason.SERVER_ERROR, Reason.SERVER_ERROR):
        tracker.on_result(an_answer(reason))
    [probe] = seen(tracker).probes
    assert probe.reason is Reason.SERVER_ERROR
    assert probe.streak is not None
    assert probe.streak.failures == 2
    slot = seen(tracker).buckets[SLOT]
    assert (slot.none, slot.platform, slot.splits) == (1, 2, 3)
    assert tracker.changes["acme"] == 3


def test_a_run_that_was_skipped_says_why_until_the_next_one() -> None:
    tracker = a_board()
    tracker.on_result(an_answer())
    tracker.on_skip(SkippedRun("acme", "datasets", NOW, SkipCause.TOKEN_REJECTED))
    assert seen(tracker).probes[0].skipped is SkipCause.TOKEN_REJECTED
    assert seen(tracker).buckets[SLOT].paused == 1
    tracker.on_result(an_answer())
    assert seen(tracker).probes[0].skipped is None


def test_what_is_older_than_a_day_is_forgotten() -> None:
    tracker = a_board()
    tracker.on_result(an_answer())
    assert SLOT in seen(tracker, after=86_000 - NOW % 900).buckets
    assert seen(tracker, after=86_401).buckets == {}


def test_the_past_is_added_to_what_was_recorded_since_the_start() -> None:
    tracker = a_board()
    tracker.on_result(an_answer())
    tracker.restore({"acme": {SLOT: TimeBucket(none=5)}}, (), NOW - 1000)
    tracker.restore_monthly_totals({"acme": TimeBucket(none=100, platform=3)})
    standing = seen(tracker)
    assert standing.buckets[SLOT].none == 6
    assert (standing.month.none, standing.month.platform) == (106, 3)
    assert standing.known_since == NOW - 1000


def test_a_streak_that_went_on_over_a_restart_has_its_first_beginning() -> None:
    fresh, failing = a_board(), a_board()
    failing.on_result(an_answer(Reason.SERVER_ERROR))
    for tracker in (fresh, failing):
        tracker.restore({}, (a_streak(NOW - 600), replace(a_streak(0.0), probe="gone")), None)
        spell = seen(tracker).probes[0].streak
        assert spell is not None
        assert spell.started_at == NOW - 600


def test_a_streak_of_the_past_is_over_when_the_first_run_was_well() -> None:
    tracker = a_board()
    tracker.on_result(an_answer())
    tracker.restore({}, (a_streak(NOW - 600),), None)
    assert seen(tracker).probes[0].streak is None


def test_large_bodies_are_not_kept() -> None:
    result = an_answer(certificate_expiry=NOW + 99)
    large = Response(200, (), b"x" * 100_000)
    tracker = a_board()
    tracker.on_result(replace(result, exchange=replace(result.exchange, response=large)))
    kept = seen(tracker).probes[0].result
    assert kept is not None
    assert kept.exchange.response is not None
    assert kept.exchange.response.body == b""
    assert seen(tracker).certificate_expiry == NOW + 99


def test_settings_taken_over_keep_what_is_known_of_what_stays() -> None:
    tracker = a_board()
    tracker.on_result(an_answer(certificate_expiry=NOW + 5))
    [probe] = TENANT.probes
    slower = replace(probe, interval_seconds=7.0)
    tracker.apply((replace(TENANT, probes=(slower,)), a_tenant("beta")))
    [standing] = seen(tracker).probes
    assert (standing.probe, standing.result is not None) == (slower, True)
    assert seen(tracker).certificate_expiry == NOW + 5
    assert tracker.changes["acme"] == 2


def test_of_a_tenant_that_was_taken_out_nothing_is_kept() -> None:
    tracker = a_board()
    tracker.on_result(an_answer(certificate_expiry=NOW + 5))
    tracker.apply((a_tenant("beta"),))
    tracker.apply((TENANT,))
    standing = seen(tracker)
    assert (standing.probes[0].result, standing.buckets) == (None, {})
    assert standing.certificate_expiry is None
