from collections import Counter
from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.models import Tenant
from prober.outcomes import SkipCause
from prober.scheduler.planner import (
    ConcurrencyLimits,
    InFlight,
    ScheduleGroup,
    due_times,
    schedule_groups,
    skip_reason,
)
from tests.builders import a_probe, a_tenant

LIMITS = ConcurrencyLimits(per_tenant=10, shared=200, max_start_delay_seconds=5.0)
names = st.text("abcdefghij-0123456789", min_size=1, max_size=12)
intervals = st.sampled_from([1.0, 1.1, 7.0, 30.0, 60.0, 3600.0])
anchors = st.floats(0, 1e7)


def a_tenant_with(count: int, interval_seconds: float = 60.0, name: str = "acme") -> Tenant:
    probes = tuple(a_probe(name=f"p{i}", interval_seconds=interval_seconds) for i in range(count))
    return a_tenant(name=name, probes=probes)


@st.composite
def some_beats(draw: st.DrawFn) -> ScheduleGroup:
    return schedule_groups([a_tenant_with(draw(st.integers(1, 30)), draw(intervals), draw(names))])[
        0
    ]


def runs(beat: ScheduleGroup, anchor: float, since: float, until: float) -> list[tuple[float, str]]:
    return list(due_times(beat, anchor, since, until))


@given(some_beats(), anchors, st.integers(0, 20))
def test_every_probe_is_due_once_in_every_interval(
    beat: ScheduleGroup, anchor: float, number: int
) -> None:
    since = anchor + number * beat.interval_seconds
    due = Counter(name for _, name in runs(beat, anchor, since, since + beat.interval_seconds))
    assert due == dict.fromkeys(beat.probes, 1)


@given(some_beats(), anchors, st.lists(st.floats(0.01, 3), min_size=1, max_size=8))
def test_windows_side_by_side_drop_and_double_nothing(
    beat: ScheduleGroup, anchor: float, lengths: list[float]
) -> None:
    edges = [anchor]
    for length in lengths:
        edges.append(edges[-1] + length * beat.interval_seconds)
    apart = [run for since, until in pairwise(edges) for run in runs(beat, anchor, since, until)]
    whole = runs(beat, anchor, edges[0], edges[-1])
    assert Counter(name for _, name in apart) == Counter(name for _, name in whole)
    for (one, _), (other, _) in zip(sorted(apart), sorted(whole), strict=True):
        assert isclose(one, other, abs_tol=1e-6)


@given(some_beats(), anchors, st.integers(0, 1_000_000))
def test_a_run_on_the_edge_of_a_window_belongs_to_the_later_one(
    beat: ScheduleGroup, anchor: float, number: int
) -> None:
    edge = anchor + beat.offsets[0] + number * beat.interval_seconds
    before = runs(beat, anchor, max(anchor, edge - beat.interval_seconds / 2), edge)
    after = runs(beat, anchor, edge, edge + beat.interval_seconds / 2)
    first = beat.probes[0]
    assert first not in [name for _, name in before]
    assert [name for _, name in after].count(first) == 1


@given(some_beats(), anchors, st.floats(0, 5))
def test_a_run_is_due_within_its_window(beat: ScheduleGroup, anchor: float, length: float) -> None:
    until = anchor + length * beat.interval_seconds
    rounding = beat.interval_seconds * 2e-6
    for moment, _ in runs(beat, anchor, anchor, until):
        assert anchor - rounding <= moment < until


@given(st.integers(1, 60), intervals, names)
def test_probes_are_spread_evenly(count: int, interval_seconds: float, name: str) -> None:
    beat = schedule_groups([a_tenant_with(count, interval_seconds, name)])[0]
    moments = sorted(beat.offsets)
    gaps = [after - before for before, after in pairwise([*moments, moments[0] + interval_seconds])]
    assert all(0 <= offset < interval_seconds for offset in beat.offsets)
    assert all(isclose(gap, interval_seconds / count, rel_tol=1e-6) for gap in gaps)


def test_tenants_are_set_off_against_each_other() -> None:
    every = schedule_groups([a_tenant_with(1, 60.0, f"tenant-{number}") for number in range(200)])
    slots = Counter(int(beat.phase_seconds // 6) for beat in every)
    assert len(slots) == 10
    assert max(slots.values()) < 40


def test_a_tenants_place_depends_on_its_name_alone() -> None:
    acme, beta = a_tenant_with(3, name="acme"), a_tenant_with(5, name="beta")
    assert schedule_groups([acme])[0] == schedule_groups([beta, acme])[1]
    assert schedule_groups([acme])[0].phase_seconds == pytest.approx(30.508, abs=1e-3)


def test_each_interval_of_a_tenant_is_a_beat_of_its_own() -> None:
    slow, fast = a_probe(name="slow"), a_probe(name="fast", interval_seconds=30.0)
    other = a_probe(name="other")
    tenant = a_tenant(probes=(slow, fast, other))
    assert [(beat.interval_seconds, beat.probes) for beat in schedule_groups([tenant])] == [
        (30.0, ("fast",)),
        (60.0, ("slow", "other")),
    ]


@given(some_beats(), st.floats(0, 1e6))
def test_the_next_beginning_is_less_than_an_interval_ahead(
    beat: ScheduleGroup, elapsed: float
) -> None:
    ahead = beat.seconds_until_next(elapsed)
    assert 0 <= ahead <= beat.interval_seconds
    beats_begun = (elapsed + ahead - beat.phase_seconds) / beat.interval_seconds
    assert isclose(beats_begun, round(beats_begun), abs_tol=1e-6)


def test_nothing_is_due_before_the_beginning() -> None:
    beat = schedule_groups([a_tenant_with(4)])[0]
    assert runs(beat, 1000.0, 0.0, 1000.0) == []


@pytest.mark.parametrize(
    ("lateness_seconds", "load", "cause"),
    [
        (0.0, InFlight(0, 0, 0), None),
        (5.0, InFlight(0, 9, 199), None),
        (0.0, InFlight(1, 1, 1), SkipCause.OVERLAP),
        (9.0, InFlight(1, 10, 200), SkipCause.OVERLAP),
        (5.001, InFlight(0, 0, 0), SkipCause.MISFIRE),
        (9.0, InFlight(0, 10, 200), SkipCause.MISFIRE),
        (0.0, InFlight(0, 10, 10), SkipCause.CONCURRENCY),
        (0.0, InFlight(0, 1, 200), SkipCause.CONCURRENCY),
        (0.0, InFlight(0, 0, 200), None),
    ],
    ids=[
        "free", "all-at-their-edge", "overlap", "overlap-before-all", "late", "late-before-full",
        "tenant-full", "all-full", "the-first-of-a-tenant",
    ],
)  # fmt: skip
def test_a_run_is_skipped_for_the_first_cause_that_holds(
    lateness_seconds: float, load: InFlight, cause: SkipCause | None
) -> None:
    assert skip_reason(lateness_seconds, load, LIMITS) is cause


def test_a_tenant_that_is_rate_limited_is_not_probed_but_a_rejected_token_comes_first() -> None:
    load = InFlight(1, 10, 200)
    assert skip_reason(9.0, load, LIMITS, is_rate_limited=True) is SkipCause.RATE_LIMITED
    both = skip_reason(0.0, load, LIMITS, may_use_token=False, is_rate_limited=True)
    assert both is SkipCause.TOKEN_REJECTED
