import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, tzinfo
from itertools import pairwise

import pytest

from prober.models import Tenant
from prober.scheduler.planner import schedule_groups
from prober.scheduler.scheduler import HEARTBEAT_SECONDS, Scheduler
from tests.builders import a_probe, a_tenant
from tests.virtual_time import in_virtual_time, running_loop

INTERVAL_SECONDS = 60.0
ROUNDS = 6
LIMIT_SECONDS = 3600.0 * 24
EPOCH = 1_800_000_000.0


class Diary:
    """Writes down what falls due, and wakes what waits for it."""

    def __init__(self) -> None:
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.max_late_seconds = 0.0
        self.heartbeats = 0
        self._changed = asyncio.Event()

    def on_due(self, tenant: str, probe: str, due_at: float) -> None:
        late_seconds = running_loop().time() - due_at
        assert late_seconds >= -0.001
        self.max_late_seconds = max(self.max_late_seconds, late_seconds)
        self.times[tenant, probe].append(due_at)
        self._changed.set()

    def on_heartbeat(self) -> None:
        self.heartbeats += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def diary() -> Diary:
    return Diary()


def wall_clock() -> float:
    return EPOCH + running_loop().time()


class VirtualDatetime(datetime):
    """The wall clock that APScheduler reads by itself."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "VirtualDatetime":
        return cls.fromtimestamp(wall_clock(), tz)


@pytest.fixture(autouse=True)
def _virtual_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", VirtualDatetime)
    monkeypatch.setattr("apscheduler.triggers.interval.datetime", VirtualDatetime)


@contextmanager
def a_clock(diary: Diary) -> Iterator[Scheduler]:
    clock = Scheduler(diary.on_due, diary.on_heartbeat, wall_clock)
    try:
        yield clock
    finally:
        clock.stop()


def tenants(count: int = 2, probes: int = 3) -> list[Tenant]:
    made = tuple(
        a_probe(name=f"p{number}", interval_seconds=INTERVAL_SECONDS) for number in range(probes)
    )
    return [a_tenant(name=f"t{number}", probes=made) for number in range(count)]


@in_virtual_time
async def test_every_probe_falls_due_once_in_every_interval(diary: Diary) -> None:
    started_at = running_loop().time()
    with a_clock(diary) as clock:
        clock.start(tenants())
        await diary.until(
            lambda: len(diary.times) == 6 and min(map(len, diary.times.values())) >= ROUNDS
        )
    for times in diary.times.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)
        assert times[0] <= started_at + INTERVAL_SECONDS
    assert diary.max_late_seconds < 0.001


@in_virtual_time
async def test_a_beat_that_begins_before_the_scheduler_does_is_not_late(diary: Diary) -> None:
    """Its first job was put off by a whole turn, and with it all that it would have planned."""
    probes = tuple(a_probe(name=f"p{number}", interval_seconds=60.0) for number in range(2))
    every = (a_tenant(name=f"t{number}", probes=probes) for number in itertools.count())
    tenant = next(
        each
        for each in every
        if 0 < (schedule_groups([each])[0].phase_seconds - wall_clock()) % 60.0 < 0.1
    )
    clock = Scheduler(diary.on_due, lambda: running_loop().advance(0.2), wall_clock)
    clock.start([tenant])
    await diary.until(lambda: len(diary.times) == 2)
    clock.stop()
    assert diary.max_late_seconds < 0.5  # the heartbeat at the start keeps the loop busy for 0.2 s


@in_virtual_time
async def test_after_stop_nothing_falls_due(diary: Diary) -> None:
    with a_clock(diary) as clock:
        clock.start(tenants())
        await diary.until(lambda: len(diary.times) == 6)
    before = Counter({name: len(times) for name, times in diary.times.items()})
    await asyncio.sleep(10 * INTERVAL_SECONDS)
    assert Counter({name: len(times) for name, times in diary.times.items()}) == before


@in_virtual_time
async def test_a_beat_that_stays_as_it_was_does_not_notice_a_reload(diary: Diary) -> None:
    stays, goes = tenants()
    comes = replace(goes, name="t2")
    with a_clock(diary) as clock:
        clock.start([stays, goes])
        await diary.until(lambda: len(diary.times) == 6)
        reloaded_at = running_loop().time()
        clock.apply([replace(stays, environment="another"), comes])
        gone = Counter({key: len(found) for key, found in diary.times.items() if key[0] == "t1"})
        await diary.until(
            lambda: min(len(diary.times[name, "p0"]) for name in ("t0", "t2")) >= ROUNDS
        )
    for probe in ("p0", "p1", "p2"):
        times = diary.times["t0", probe]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)
        first = diary.times["t2", probe][0]
        assert reloaded_at <= first <= reloaded_at + INTERVAL_SECONDS
    assert Counter({key: len(found) for key, found in diary.times.items() if key[0] == "t1"}) == (
        gone
    )


@in_virtual_time
async def test_another_interval_begins_another_beat(diary: Diary) -> None:
    [tenant] = tenants(1, 1)
    with a_clock(diary) as clock:
        clock.start([tenant])
        await diary.until(lambda: len(diary.times) == 1)
        faster = a_probe(name="p0", interval_seconds=0.02)
        clock.apply([replace(tenant, probes=(faster,))])
        diary.times.clear()
        await diary.until(lambda: len(diary.times["t0", "p0"]) >= ROUNDS)
    gaps = [after - before for before, after in pairwise(diary.times["t0", "p0"])]
    assert gaps == pytest.approx([0.02] * len(gaps), abs=1e-6)


@pytest.mark.parametrize("step_seconds", [3600.0, -3600.0], ids=["back", "forth"])
@in_virtual_time
async def test_a_wall_clock_that_is_set_stops_nothing_and_doubles_nothing(
    diary: Diary, step_seconds: float
) -> None:
    """For the scheduler's jobs the wall clock goes back when it was ahead at the beginning."""
    ahead = step_seconds
    steps: list[float] = []
    clock = Scheduler(
        diary.on_due,
        diary.on_heartbeat,
        lambda: wall_clock() + ahead,
        on_clock_step=steps.append,
    )
    clock.start(tenants())
    ahead = 0.0
    await diary.until(lambda: len(diary.times) == 6 and min(map(len, diary.times.values())) >= 18)
    clock.stop()
    for times in diary.times.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)
    assert steps == pytest.approx([-step_seconds], abs=1e-3)
    assert diary.max_late_seconds < 0.001
    assert diary.heartbeats > 18 * INTERVAL_SECONDS / HEARTBEAT_SECONDS - 2


@in_virtual_time
async def test_the_heart_beats_at_once_and_by_a_scheduled_job(diary: Diary) -> None:
    with a_clock(diary) as clock:
        clock.start(tenants())
        assert diary.heartbeats == 1
        await asyncio.sleep(HEARTBEAT_SECONDS * 4 + 1)
    assert diary.heartbeats == 5


@in_virtual_time
async def test_a_clock_that_never_started_can_be_stopped(diary: Diary) -> None:
    with a_clock(diary):
        pass
    assert diary.times == {}


DAY_SECONDS = 86_400.0


def a_tenant_with_daily_probes(count: int = 2) -> Tenant:
    probes = tuple(a_probe(name=f"d{n}", interval_seconds=DAY_SECONDS) for n in range(count))
    return a_tenant(name="daily", probes=probes)


@in_virtual_time
async def test_a_restart_keeps_the_slots(diary: Diary) -> None:
    for _ in range(3):
        with a_clock(diary) as clock:
            clock.start(tenants())
            await asyncio.sleep(130.0)
        await asyncio.sleep(17.3)
    for times in diary.times.values():
        slots = {round(due_at % INTERVAL_SECONDS, 3) for due_at in times}
        assert len(slots) == 1


@in_virtual_time
async def test_a_daily_probe_that_never_ran_runs_soon_after_the_start_and_then_daily(
    diary: Diary,
) -> None:
    started_at = running_loop().time()
    with a_clock(diary) as clock:
        clock.start([a_tenant_with_daily_probes()])
        await asyncio.sleep(61.0)
        assert {key: len(found) for key, found in diary.times.items()} == {
            ("daily", "d0"): 1,
            ("daily", "d1"): 1,
        }
        firsts = sorted(found[0] - started_at for found in diary.times.values())
        assert firsts == pytest.approx([15.0, 45.0])
        await asyncio.sleep(3 * DAY_SECONDS)
    assert {len(found) for found in diary.times.values()} == {4}


@in_virtual_time
async def test_a_daily_probe_that_ran_today_waits_for_its_slot(diary: Diary) -> None:
    last_runs = {("daily", f"d{n}"): wall_clock() - 3600.0 for n in range(2)}
    with a_clock(diary) as clock:
        clock.start([a_tenant_with_daily_probes()], last_runs)
        await asyncio.sleep(61.0)
        assert not diary.times
        await asyncio.sleep(DAY_SECONDS)
    assert {len(found) for found in diary.times.values()} == {1}


@in_virtual_time
async def test_a_reload_lets_new_daily_probes_run_and_repeats_none(diary: Diary) -> None:
    ran = {("daily", "d0"): wall_clock() - 3600.0}
    with a_clock(diary) as clock:
        clock.start([a_tenant_with_daily_probes(1)], ran)
        clock.apply([a_tenant_with_daily_probes(2)])
        await asyncio.sleep(5.0)
        clock.apply([a_tenant_with_daily_probes(3)])  # what is pending is not lost
        await asyncio.sleep(100.0)
        clock.apply([replace(a_tenant_with_daily_probes(3), environment="test")])
        await asyncio.sleep(100.0)
    assert {key[1]: len(found) for key, found in diary.times.items()} == {"d1": 1, "d2": 1}


@in_virtual_time
async def test_a_removed_probe_does_not_catch_up(diary: Diary) -> None:
    with a_clock(diary) as clock:
        clock.start([a_tenant_with_daily_probes()])
        clock.apply([])
        await asyncio.sleep(100.0)
    assert not diary.times
