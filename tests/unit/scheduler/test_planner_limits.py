"""The planner's limits, on both sides of each."""

import hashlib
from dataclasses import replace

import pytest

from prober.outcomes import SkipCause
from prober.scheduler.planner import (
    CATCH_UP_SECONDS,
    ConcurrencyLimits,
    InFlight,
    ScheduleGroup,
    catch_up_delays,
    due_times,
    epoch_anchor,
    missed_probes,
    schedule_groups,
    skip_reason,
)
from tests.builders import a_probe, a_tenant

LIMITS = ConcurrencyLimits(per_tenant=3, shared=5, max_start_delay_seconds=2.0)
NONE = InFlight(0, 0, 0)


@pytest.mark.parametrize(
    ("delay", "in_flight", "cause"),
    [
        (0.0, NONE, None),
        (2.0, NONE, None),
        (2.001, NONE, SkipCause.MISFIRE),
        (0.0, InFlight(1, 1, 0), SkipCause.OVERLAP),
        (9.0, InFlight(1, 9, 9), SkipCause.OVERLAP),
        (0.0, InFlight(0, 2, 0), None),
        (0.0, InFlight(0, 3, 0), SkipCause.CONCURRENCY),
        (0.0, InFlight(0, 1, 4), None),
        (0.0, InFlight(0, 1, 5), SkipCause.CONCURRENCY),
        (0.0, InFlight(0, 0, 5), None),  # the first run of a tenant
        (0.0, InFlight(0, 0, 99), None),
    ],
)
def test_why_a_run_is_skipped(delay: float, in_flight: InFlight, cause: SkipCause | None) -> None:
    assert skip_reason(delay, in_flight, LIMITS) is cause
    rejected = skip_reason(delay, in_flight, LIMITS, may_use_token=False, is_rate_limited=True)
    assert rejected is SkipCause.TOKEN_REJECTED
    limited = skip_reason(delay, in_flight, LIMITS, is_rate_limited=True)
    assert limited is SkipCause.RATE_LIMITED


@pytest.mark.parametrize(("name", "interval"), [("acme", 60.0), ("beta", 7.0)])
def test_the_place_of_a_tenant_is_a_hash_of_its_name(name: str, interval: float) -> None:
    probes = tuple(a_probe(name=f"p{i}", interval_seconds=interval) for i in range(4))
    [group] = schedule_groups([a_tenant(name=name, probes=probes)])
    digest = hashlib.sha256(name.encode()).digest()
    phase = int.from_bytes(digest[:8], "big") / 2**64 * interval
    assert group.phase_seconds == pytest.approx(phase)
    expected = [(phase + number * interval / 4) % interval for number in range(4)]
    assert group.offsets == pytest.approx(expected)
    assert group.probes == ("p0", "p1", "p2", "p3")
    assert group.key == (name, interval)
    assert group.seconds_until_next(phase) == 0.0
    assert group.seconds_until_next(phase - 1) == pytest.approx(1.0)
    assert group.seconds_until_next(phase + 1) == pytest.approx(interval - 1)


def a_group(offset: float = 10.0, interval: float = 100.0) -> ScheduleGroup:
    return ScheduleGroup("acme", interval, 0.0, ("p",), (offset,))


@pytest.mark.parametrize(
    ("since", "until", "times"),
    [
        (0.0, 1010.0, []),
        (0.0, 1010.1, [1010.0]),
        (1010.0, 1110.0, [1010.0]),
        (1010.1, 1110.0, []),
        (1010.1, 1110.1, [1110.0]),
        (1010.0, 1310.0, [1010.0, 1110.0, 1210.0]),
        (1010.000_05, 1110.0, [1010.0]),  # within the tolerance, which counts at both edges
        (1010.0, 1110.000_05, [1010.0]),
        (1010.000_2, 1110.0, []),
        (1010.0, 1110.000_2, [1010.0, 1110.0]),
    ],
)
def test_what_is_due_between_two_times(since: float, until: float, times: list[float]) -> None:
    found = list(due_times(a_group(), 1000.0, since, until))
    assert [at for at, _ in found] == times
    assert {name for _, name in found} <= {"p"}


def test_the_anchor_is_the_start_of_the_interval_that_contains_now() -> None:
    assert epoch_anchor(60.0, 1000.0, 120.0) == 1000.0
    assert epoch_anchor(60.0, 1000.0, 121.5) == 998.5
    assert epoch_anchor(60.0, 1000.0, 179.0) == 941.0


@pytest.mark.parametrize(
    ("interval", "ahead", "ago", "is_missed"),
    [
        (3600.0, 60.0, None, False),
        (3600.0, 60.001, None, True),
        (3600.0, 1800.0, 3600.0, False),
        (3600.0, 1800.0, 3600.001, True),
        (3600.0, 1800.0, 0.0, False),
        (3600.0, 1800.0, -0.001, True),  # in the future: the clock was set back
        (60.0, 59.0, None, False),
        (60.001, 60.0005, None, True),
    ],
)
def test_a_long_interval_makes_up_for_a_missed_run(
    interval: float, ahead: float, ago: float | None, *, is_missed: bool
) -> None:
    assert CATCH_UP_SECONDS == 60.0
    epoch = interval * 1000
    group = a_group(ahead % interval, interval)
    last_runs = {} if ago is None else {("acme", "p"): epoch - ago}
    assert missed_probes([group], last_runs, epoch) == ((("acme", "p"),) if is_missed else ())
    other = {("acme", "q"): epoch, ("beta", "p"): epoch}
    assert missed_probes([replace(group)], other, epoch) == missed_probes([group], {}, epoch)


def test_missed_runs_are_half_a_step_from_the_edges_of_a_minute() -> None:
    assert catch_up_delays([]) == {}
    assert catch_up_delays([("a", "p")]) == {("a", "p"): 30.0}
    found = catch_up_delays([("a", "p"), ("a", "q"), ("b", "p")])
    assert sorted(found.values()) == [10.0, 30.0, 50.0]

    def place(key: tuple[str, str]) -> bytes:
        return hashlib.sha256("/".join(key).encode()).digest()

    assert sorted(found, key=lambda key: found[key]) == sorted(found, key=place)
