import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from prober.models import Tenant
from prober.scheduler.planner import schedule_groups
from prober.scheduler.scheduler import Scheduler
from tests.builders import a_probe, a_tenant

INTERVAL_SECONDS = 0.1
ROUNDS = 6
PATIENCE_SECONDS = 20.0


class Diary:
    """Writes down what falls due, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.moments: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.heartbeats = 0
        self._changed = asyncio.Event()

    def on_due(self, tenant: str, probe: str, moment: float) -> None:
        assert asyncio.get_running_loop().time() >= moment - 0.001
        self.moments[tenant, probe].append(moment)
        self._changed.set()

    def on_heartbeat(self) -> None:
        self.heartbeats += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
async def clock(diary: Diary) -> AsyncIterator[Scheduler]:
    clock = Scheduler(diary.on_due, diary.on_heartbeat)
    yield clock
    clock.stop()


def tenants(count: int = 2, probes: int = 3) -> list[Tenant]:
    made = tuple(
        a_probe(name=f"p{number}", interval_seconds=INTERVAL_SECONDS) for number in range(probes)
    )
    return [a_tenant(name=f"t{number}", probes=made) for number in range(count)]


async def test_every_probe_falls_due_once_in_every_interval(clock: Scheduler, diary: Diary) -> None:
    started_at = asyncio.get_running_loop().time()
    clock.start(tenants())
    await diary.until(
        lambda: len(diary.moments) == 6 and min(map(len, diary.moments.values())) >= ROUNDS
    )
    for moments in diary.moments.values():
        gaps = [after - before for before, after in pairwise(moments)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)
        assert moments[0] < started_at + INTERVAL_SECONDS + 0.05


async def test_a_beat_that_begins_before_the_scheduler_does_is_not_late(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first job was put off by a whole turn, and with it all that it would have planned."""
    monkeypatch.setattr("prober.scheduler.scheduler._MIN_PLAN_SECONDS", 2.0)
    probes = tuple(a_probe(name=f"p{number}", interval_seconds=2.0) for number in range(2))
    every = (a_tenant(name=f"t{number}", probes=probes) for number in itertools.count())
    tenant = next(each for each in every if 0 < schedule_groups([each])[0].phase_seconds < 0.1)
    lateness: list[float] = []

    def on_due(name: str, probe: str, moment: float) -> None:
        lateness.append(asyncio.get_running_loop().time() - moment)
        diary.on_due(name, probe, moment)

    clock = Scheduler(on_due, lambda: time.sleep(0.2))
    clock.start([tenant])
    await diary.until(lambda: len(diary.moments) == 2)
    clock.stop()
    assert max(lateness) < 0.7


async def test_after_stop_nothing_falls_due(clock: Scheduler, diary: Diary) -> None:
    clock.start(tenants())
    await diary.until(lambda: len(diary.moments) == 6)
    clock.stop()
    before = Counter({name: len(moments) for name, moments in diary.moments.items()})
    await asyncio.sleep(3 * INTERVAL_SECONDS)  # nothing can be waited for: nothing is to happen
    assert Counter({name: len(moments) for name, moments in diary.moments.items()}) == before


async def test_a_beat_that_stays_as_it_was_does_not_notice_a_reload(
    clock: Scheduler, diary: Diary
) -> None:
    stays, goes = tenants()
    comes = replace(goes, name="t2")
    clock.start([stays, goes])
    await diary.until(lambda: len(diary.moments) == 6)
    before = asyncio.get_running_loop().time()
    clock.apply([replace(stays, environment="another"), comes])
    after = asyncio.get_running_loop().time()
    gone = Counter({key: len(found) for key, found in diary.moments.items() if key[0] == "t1"})
    await diary.until(
        lambda: min(len(diary.moments[name, "p0"]) for name in ("t0", "t2")) >= ROUNDS
    )
    for probe in ("p0", "p1", "p2"):
        moments = diary.moments["t0", probe]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)
        assert before <= diary.moments["t2", probe][0] < after + INTERVAL_SECONDS + 0.05
    assert Counter({key: len(found) for key, found in diary.moments.items() if key[0] == "t1"}) == (
        gone
    )


async def test_another_interval_begins_another_beat(clock: Scheduler, diary: Diary) -> None:
    [tenant] = tenants(1, 1)
    clock.start([tenant])
    await diary.until(lambda: len(diary.moments) == 1)
    faster = a_probe(name="p0", interval_seconds=0.02)
    clock.apply([replace(tenant, probes=(faster,))])
    diary.moments.clear()
    await diary.until(lambda: len(diary.moments["t0", "p0"]) >= ROUNDS)
    gaps = [after - before for before, after in pairwise(diary.moments["t0", "p0"])]
    assert gaps == pytest.approx([0.02] * len(gaps), abs=1e-6)


@pytest.mark.parametrize("step_seconds", [3600.0, -3600.0], ids=["back", "forth"])
async def test_a_wall_clock_that_is_set_stops_nothing_and_doubles_nothing(
    diary: Diary, step_seconds: float
) -> None:
    """For the scheduler's jobs the wall clock goes back when it was ahead at the beginning."""
    ahead = step_seconds
    clock = Scheduler(diary.on_due, diary.on_heartbeat, lambda: time.time() + ahead)
    clock.start(tenants())
    ahead = 0.0
    await diary.until(
        lambda: (
            len(diary.moments) == 6
            and min(map(len, diary.moments.values())) >= 3 * ROUNDS
            and diary.heartbeats >= 2
        )
    )
    clock.stop()
    for moments in diary.moments.values():
        gaps = [after - before for before, after in pairwise(moments)]
        assert gaps == pytest.approx([INTERVAL_SECONDS] * len(gaps), abs=1e-6)


async def test_the_heart_beats_at_once(clock: Scheduler, diary: Diary) -> None:
    clock.start(tenants())
    assert diary.heartbeats == 1


async def test_the_heart_beats_by_a_scheduled_job(clock: Scheduler, diary: Diary) -> None:
    await clock._heartbeat()
    assert diary.heartbeats == 1


async def test_a_clock_that_never_started_can_be_stopped(clock: Scheduler, diary: Diary) -> None:
    clock.stop()
    assert diary.moments == {}
