from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.models import Tenant
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


HOUR, DAY = 3600.0, 86_400.0
EPOCH = 1_800_000_000.0


@given(st.floats(0, 1e6), st.floats(1e9, 4e9), intervals, st.floats(0, 1e6))
def test_slots_are_those_of_the_epoch_whenever_the_process_starts(
    monotonic: float, epoch: float, interval_seconds: float, later: float
) -> None:
    first = epoch_anchor(interval_seconds, monotonic, epoch)
    second = epoch_anchor(interval_seconds, monotonic + later, epoch + later)
    assert monotonic - interval_seconds <= first <= monotonic
    intervals_between = (second - first) / interval_seconds
    assert abs(intervals_between - round(intervals_between)) * interval_seconds < 1e-5


def a_daily(offset_ahead: float) -> tuple[Tenant, float]:
    """Return a tenant with one daily probe, and an epoch time so long before its slot."""
    tenant = a_tenant_with(1, DAY)
    slot = schedule_groups([tenant])[0].offsets[0]
    return tenant, 20_000 * DAY + slot - offset_ahead


@pytest.mark.parametrize(
    ("last_run_ago", "slot_ahead", "missed"),
    [
        (None, 7 * HOUR, True),
        (None, 61.0, True),
        (None, 59.0, False),
        (DAY + 1, 7 * HOUR, True),
        (DAY - 1, 7 * HOUR, False),
        (10.0, 7 * HOUR, False),
        (-10.0, 7 * HOUR, True),
        (30 * DAY, 30.0, False),
    ],
    ids=[
        "never", "never, slot not quite soon", "never, slot soon", "overdue", "not overdue",
        "just now", "in the future", "overdue, slot soon",
    ],
)  # fmt: skip
def test_a_probe_that_missed_its_run_does_not_wait_for_its_slot(
    last_run_ago: float | None, slot_ahead: float, *, missed: bool
) -> None:
    tenant, now = a_daily(slot_ahead)
    last_runs = {} if last_run_ago is None else {("acme", "p0"): now - last_run_ago}
    assert missed_probes(schedule_groups([tenant]), last_runs, now) == (
        (("acme", "p0"),) if missed else ()
    )


@pytest.mark.parametrize(("interval_seconds", "missed"), [(1.0, 0), (60.0, 0), (60.5, 1)])
def test_a_probe_that_runs_every_minute_misses_nothing(
    interval_seconds: float, missed: int
) -> None:
    tenant = a_tenant_with(1, interval_seconds)
    slot = schedule_groups([tenant])[0].offsets[0]
    now = 10_000_000 * interval_seconds + slot + 0.25
    assert len(missed_probes(schedule_groups([tenant]), {}, now)) == missed


@given(st.sets(st.tuples(names, names), max_size=60))
def test_missed_runs_are_spread_evenly_over_a_minute(probes: set[tuple[str, str]]) -> None:
    delays = sorted(catch_up_delays(probes).values())
    assert len(delays) == len(probes)
    assert all(0 < delay < 60.0 for delay in delays)
    gaps = [after - before for before, after in pairwise(delays)]
    assert gaps == pytest.approx([60.0 / max(1, len(probes))] * len(gaps))


@given(
    st.sampled_from([300.0, HOUR, DAY]),
    st.lists(st.floats(30.0, 3 * DAY), min_size=1, max_size=12),
)
def test_restarts_neither_starve_a_probe_nor_let_it_run_more_often(
    interval_seconds: float, lives_seconds: list[float]
) -> None:
    """Each life of the process ends at any time; what it ran is remembered."""
    tenant = a_tenant_with(1, interval_seconds)
    [group] = schedule_groups([tenant])
    now, times = EPOCH, list[float]()
    for life_seconds in lives_seconds:
        last = {("acme", "p0"): times[-1]} if times else {}
        anchor = epoch_anchor(interval_seconds, now, now)
        due = [at for at, _ in due_times(group, anchor, now, now + life_seconds)]
        if missed_probes(schedule_groups([tenant]), last, now) and life_seconds >= 30.0:
            due.append(now + 30.0)
        times += sorted(due)[:20]
        now += life_seconds
        if len(due) > 20:  # enough of this life
            now = times[-1] + 1.0
    gaps = [after - before for before, after in pairwise([EPOCH, *times, now])]
    assert max(gaps) <= 2 * interval_seconds + 60.0
    slots = Counter(int(at // interval_seconds) for at in times)
    assert max(slots.values(), default=0) <= 2


def test_a_minute_is_soon_enough_and_more_is_not() -> None:
    minutely, longer = (schedule_groups([a_tenant_with(1, each)]) for each in (60.0, 3600.0))
    (offset,) = longer[0].offsets
    key = ("acme", "p0")
    far = 3600.0 * 400_000 + offset + 1.0  # the slot has just been
    assert missed_probes(minutely, {}, far + 30.0) == ()
    assert missed_probes(longer, {}, far) == (key,)
    # In binary fractions, so that the slot is ahead by this much exactly.
    slot = 4096.0 * 400_000 + 512.0
    (group,) = schedule_groups([a_tenant_with(1, 4096.0)])
    even = [replace(group, offsets=(512.0,))]
    assert missed_probes(even, {}, slot - CATCH_UP_SECONDS) == ()
    assert missed_probes(even, {}, slot - CATCH_UP_SECONDS - 0.5) == (key,)


@pytest.mark.parametrize(
    ("ago_seconds", "is_missed"), [(-1.0, True), (0.0, False), (3600.0, False), (3600.5, True)]
)
def test_a_run_counts_for_one_interval(ago_seconds: float, is_missed: bool) -> None:
    tenant = a_tenant_with(1, 3600.0)
    (offset,) = schedule_groups([tenant])[0].offsets
    now = float(round(3600.0 * 400_000 + offset + 100.0))
    last_runs = {("acme", "p0"): now - ago_seconds}
    assert bool(missed_probes(schedule_groups([tenant]), last_runs, now)) is is_missed


def test_missed_runs_are_made_up_for_in_mixed_order_within_a_minute() -> None:
    probes = [(f"t{t}", f"p{p}") for t in range(6) for p in range(6)]
    delays = catch_up_delays(probes)
    order = sorted(delays, key=lambda key: delays[key])
    assert order != sorted(probes)
    runs_of_one_tenant = max(len(list(run)) for _, run in groupby(order, key=lambda key: key[0]))
    assert runs_of_one_tenant <= 3
    assert catch_up_delays([("t", "p")]) == {("t", "p"): CATCH_UP_SECONDS / 2}


def test_what_is_due_at_the_end_of_a_window_belongs_to_the_next() -> None:
    group = ScheduleGroup("acme", 10.0, 0.0, ("p",), (0.0,))
    assert runs(group, 0.0, 0.0, 20.0) == [(0.0, "p"), (10.0, "p")]
    assert runs(group, 0.0, 20.0, 30.0) == [(20.0, "p")]
