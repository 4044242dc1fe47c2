"""The one file that knows APScheduler: it says "due now", and does nothing itself.

APScheduler cancels running jobs when it shuts down and catches what they raise, so its jobs only
hand over; draining is not its business. One job for each beat (tenant and interval) sets the timers
of its probes, since a job run costs several hundred microseconds and a timer a few.

Runs fall due by the monotonic clock alone. APScheduler's jobs go by the wall clock, which may be
set: that is looked for, and the jobs are put back in their places.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from prober.models import Tenant
from prober.scheduler.planner import (
    ProbeKey,
    ScheduleGroup,
    catch_up_delays,
    due_times,
    epoch_anchor,
    missed_probes,
    schedule_groups,
)

HEARTBEAT_SECONDS = 15.0
_MIN_PLAN_SECONDS = 10.0  # a job run costs as much as a probe
_CLOCK_CHECK_SECONDS = 2.0  # less than `_ahead` of the shortest plan
_STEP_SECONDS = 0.5  # what NTP slews meanwhile is far less

OnDue = Callable[[str, str, float], None]
_Key = tuple[str, float]
_NO_RUNS: Mapping[ProbeKey, float] = MappingProxyType({})


class Scheduler:
    """Calls `on_due(tenant, probe, moment)` when runs fall due; moments are on `loop.time()`.

    `wall_clock` tells epoch seconds; `on_heartbeat` is called every `heartbeat_seconds`.
    """

    def __init__(
        self,
        on_due: OnDue,
        on_heartbeat: Callable[[], None],
        wall_clock: Callable[[], float] = time.time,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._on_due = on_due
        self._on_heartbeat = on_heartbeat
        self._wall_clock = wall_clock
        self._heartbeat_seconds = heartbeat_seconds
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": AsyncIOExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._beats: dict[_Key, ScheduleGroup] = {}
        self._timers: defaultdict[_Key, set[asyncio.TimerHandle]] = defaultdict(set)
        self._planned_until: dict[_Key, float] = {}
        self._started_at = 0.0
        self._started_at_epoch = 0.0
        self._catching_up: dict[ProbeKey, asyncio.TimerHandle] = {}
        self._scheduled: set[ProbeKey] = set()
        self._wall_ahead_seconds = 0.0
        self._looking: asyncio.TimerHandle | None = None

    def start(
        self, tenants: Sequence[Tenant], last_runs: Mapping[ProbeKey, float] = _NO_RUNS
    ) -> None:
        """Begin: every probe falls due once within its first interval.

        One that has missed a run falls due within the first minute as well: `last_runs` says when
        (epoch seconds) those that are known to have run did so.
        """
        self._started_at = asyncio.get_running_loop().time()
        self._started_at_epoch = self._wall_clock()
        self._wall_ahead_seconds = self._started_at_epoch - self._started_at
        self._apply(tenants, last_runs)
        self._scheduler.add_job(
            self._heartbeat,
            IntervalTrigger(seconds=self._heartbeat_seconds, timezone=UTC),
            id="heart",
        )
        self._on_heartbeat()
        self._scheduler.start()
        self._schedule_clock_check()

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Take over other tenants: a beat that stays as it was does not notice.

        A new probe with a long interval falls due within a minute as well.
        """
        self._apply(tenants, _NO_RUNS)

    def _apply(self, tenants: Sequence[Tenant], last_runs: Mapping[ProbeKey, float]) -> None:
        wanted = {beat.key: beat for beat in schedule_groups(tenants)}
        for key in [key for key, beat in self._beats.items() if wanted.get(key) != beat]:
            self._remove_group(key)
        for key in wanted.keys() - self._beats.keys():
            self._add_group(wanted[key])
        missed = missed_probes(tenants, last_runs, self._wall_clock())
        delays = catch_up_delays([key for key in missed if key not in self._scheduled])
        for probe, delay_seconds in delays.items():
            self._catch_up(probe, delay_seconds)
        self._scheduled = {
            (tenant.name, probe.name) for tenant in tenants for probe in tenant.probes
        }

    def stop(self) -> None:
        """Let nothing more fall due."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._looking is not None:
            self._looking.cancel()
        for timers in self._timers.values():
            for timer in timers:
                timer.cancel()
        self._timers.clear()
        for timer in self._catching_up.values():
            timer.cancel()
        self._catching_up.clear()

    def _add_group(self, beat: ScheduleGroup) -> None:
        now = asyncio.get_running_loop().time()
        self._beats[beat.key] = beat
        self._planned_until[beat.key] = now
        next_seconds = beat.seconds_until_next(now - self._anchor_of(beat))
        self._plan(beat, now + next_seconds + _ahead(beat))
        self._scheduler.add_job(
            self._on_group_due,
            IntervalTrigger(seconds=_plan_seconds(beat), timezone=UTC),
            # Said outright: what has passed when the scheduler looks would be put off a turn.
            next_run_time=self._wall(next_seconds),
            args=[beat],
            id=_job_id(beat.key),
        )

    def _remove_group(self, key: _Key) -> None:
        self._scheduler.remove_job(_job_id(key))
        for timer in self._timers.pop(key, ()):
            timer.cancel()
        beat = self._beats.pop(key)
        del self._planned_until[key]
        for probe in beat.probes:
            missed = self._catching_up.pop((beat.tenant, probe), None)
            if missed is not None:  # it has not run yet, so it is as good as new
                missed.cancel()
                self._scheduled.discard((beat.tenant, probe))

    def _catch_up(self, key: ProbeKey, delay_seconds: float) -> None:
        moment = asyncio.get_running_loop().time() + delay_seconds

        def fall_due() -> None:
            del self._catching_up[key]
            self._on_due(*key, moment)

        timer = asyncio.get_running_loop().call_at(moment, fall_due)
        self._catching_up[key] = timer

    def _anchor_of(self, beat: ScheduleGroup) -> float:
        """Return where the slots of a beat are counted from; the same for the whole process."""
        return epoch_anchor(beat.interval_seconds, self._started_at, self._started_at_epoch)

    async def _on_group_due(self, beat: ScheduleGroup) -> None:
        if self._beats.get(beat.key) is beat:  # it may have ended since the job was submitted
            now = asyncio.get_running_loop().time()
            self._plan(beat, now + _plan_seconds(beat) + _ahead(beat))

    async def _heartbeat(self) -> None:
        self._on_heartbeat()

    def _plan(self, beat: ScheduleGroup, until: float) -> None:
        """Set the timers of all runs from where this beat was last planned to `until`."""
        since = self._planned_until[beat.key]
        if until <= since:
            return
        self._planned_until[beat.key] = until
        for moment, probe in due_times(beat, self._anchor_of(beat), since, until):
            self._arm(moment, beat, probe)

    def _arm(self, moment: float, beat: ScheduleGroup, probe: str) -> None:
        timers = self._timers[beat.key]

        def fall_due() -> None:
            timers.discard(timer)
            self._on_due(beat.tenant, probe, moment)

        timer = asyncio.get_running_loop().call_at(moment, fall_due)
        timers.add(timer)

    def _schedule_clock_check(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(_CLOCK_CHECK_SECONDS, self._check_wall_clock)

    def _check_wall_clock(self) -> None:
        """Put all jobs back in their places if the wall clock was set."""
        now = asyncio.get_running_loop().time()
        ahead_seconds = self._wall_clock() - now
        if abs(ahead_seconds - self._wall_ahead_seconds) > _STEP_SECONDS:
            self._scheduler.modify_job("heart", next_run_time=self._wall(0.0))
            for key, beat in self._beats.items():
                next_seconds = beat.seconds_until_next(now - self._anchor_of(beat))
                self._plan(beat, now + next_seconds + _ahead(beat))
                self._scheduler.modify_job(_job_id(key), next_run_time=self._wall(next_seconds))
        self._wall_ahead_seconds = ahead_seconds
        self._schedule_clock_check()

    def _wall(self, in_seconds: float) -> datetime:
        return datetime.fromtimestamp(self._wall_clock(), UTC) + timedelta(seconds=in_seconds)


def _plan_seconds(beat: ScheduleGroup) -> float:
    """Return how often a beat's job runs: each interval, or after several that are short."""
    return beat.interval_seconds * max(1, round(_MIN_PLAN_SECONDS / beat.interval_seconds))


def _ahead(beat: ScheduleGroup) -> float:
    """Return how far a turn plans into the next, so that a job that runs late makes none late."""
    return _plan_seconds(beat) / 4


def _job_id(key: _Key) -> str:
    tenant, interval_seconds = key
    return f"{tenant}/{interval_seconds!r}s"
