"""The adapter to APScheduler, and the only module that imports it. It reports due runs, no more.

APScheduler cancels running jobs at shutdown and swallows their exceptions, so its jobs must not be
the probe runs themselves; starting and draining those is up to the runner. A job costs several
hundred microseconds and a timer of the event loop a few. So there is one job for each group (a
tenant and an interval), and it sets timers for all probes of the group.

Due times are monotonic. APScheduler's jobs follow the wall clock, which may be set at any time:
that is detected, and the jobs are moved.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from prober.models import Tenant
from prober.scheduler.due_timers import DueTimers
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
_MIN_PLAN_SECONDS = (
    10.0  # a job costs about as much as a probe, so it plans several short intervals
)
_CLOCK_CHECK_SECONDS = 2.0  # less than `_ahead` of the shortest plan
_CLOCK_STEP_SECONDS = 0.5  # NTP slews by far less meanwhile

_HEARTBEAT_ID = "heartbeat"  # job IDs of groups contain a slash

OnDue = Callable[[str, str, float], None]
_Key = tuple[str, float]
_NO_RUNS: Mapping[ProbeKey, float] = MappingProxyType({})


class Scheduler:
    """Calls `on_due(tenant, probe, due_at)` when a run is due; `due_at` is as of `loop.time()`.

    `wall_clock` returns epoch seconds. `on_heartbeat` is called every `heartbeat_seconds`, and
    `on_clock_step` when the wall clock was set, with by how much (in seconds).
    """

    def __init__(
        self,
        on_due: OnDue,
        on_heartbeat: Callable[[], None],
        wall_clock: Callable[[], float] = time.time,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        on_clock_step: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._on_due = on_due
        self._on_heartbeat = on_heartbeat
        self._wall_clock = wall_clock
        self._heartbeat_seconds = heartbeat_seconds
        self._on_clock_step = on_clock_step
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": AsyncIOExecutor()},
            # A late job runs once (coalesce), however late it is (no misfire limit).
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._groups: dict[_Key, ScheduleGroup] = {}
        self._timers = DueTimers(self._on_timer)
        self._planned_until: dict[_Key, float] = {}
        self._started_at = 0.0
        self._started_at_epoch = 0.0
        self._catching_up: dict[ProbeKey, asyncio.TimerHandle] = {}
        self._scheduled: set[ProbeKey] = set()
        self._wall_ahead_seconds = 0.0
        self._clock_check: asyncio.TimerHandle | None = None

    def start(
        self, tenants: Sequence[Tenant], last_runs: Mapping[ProbeKey, float] = _NO_RUNS
    ) -> None:
        """Start: every probe is due for the first time within one interval.

        A probe that missed a run is also due within the first minute: `last_runs` has the start
        times (epoch seconds) of the last runs that are known.
        """
        self._started_at = asyncio.get_running_loop().time()
        self._started_at_epoch = self._wall_clock()
        self._wall_ahead_seconds = self._started_at_epoch - self._started_at
        self._apply(tenants, last_runs)
        self._scheduler.add_job(
            self._heartbeat,
            IntervalTrigger(seconds=self._heartbeat_seconds, timezone=UTC),
            id=_HEARTBEAT_ID,
        )
        self._on_heartbeat()
        self._scheduler.start()
        self._schedule_clock_check()

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Apply a configuration; unchanged groups keep their timers.

        A new probe with a long interval is due within a minute as well.
        """
        self._apply(tenants, _NO_RUNS)

    def _apply(self, tenants: Sequence[Tenant], last_runs: Mapping[ProbeKey, float]) -> None:
        wanted = {group.key: group for group in schedule_groups(tenants)}
        for key in [key for key, group in self._groups.items() if wanted.get(key) != group]:
            self._remove_group(key)
        for key in wanted.keys() - self._groups.keys():
            self._add_group(wanted[key])
        missed = missed_probes(wanted.values(), last_runs, self._wall_clock())
        delays = catch_up_delays([key for key in missed if key not in self._scheduled])
        for probe, delay_seconds in delays.items():
            self._catch_up(probe, delay_seconds)
        self._scheduled = {
            (tenant.name, probe.name) for tenant in tenants for probe in tenant.probes
        }

    def stop(self) -> None:
        """Report no more due runs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._clock_check is not None:
            self._clock_check.cancel()
        self._timers.clear()
        for timer in self._catching_up.values():
            timer.cancel()
        self._catching_up.clear()

    def _add_group(self, group: ScheduleGroup) -> None:
        now = asyncio.get_running_loop().time()
        self._groups[group.key] = group
        self._planned_until[group.key] = now
        next_seconds = group.seconds_until_next(now - self._anchor_of(group))
        self._plan(group, now + next_seconds + _ahead(group))
        self._scheduler.add_job(
            self._on_group_due,
            IntervalTrigger(seconds=_plan_seconds(group), timezone=UTC),
            # Explicit: if the trigger computed it, a time that passes while the daemon starts would
            # be postponed by one plan.
            next_run_time=self._wall(next_seconds),
            args=[group],
            id=_job_id(group.key),
        )

    def _remove_group(self, key: _Key) -> None:
        self._scheduler.remove_job(_job_id(key))
        self._timers.drop(key)
        group = self._groups.pop(key)
        del self._planned_until[key]
        for probe in group.probes:
            missed = self._catching_up.pop((group.tenant, probe), None)
            if missed is not None:  # it has not run yet, so it counts as new
                missed.cancel()
                self._scheduled.discard((group.tenant, probe))

    def _catch_up(self, key: ProbeKey, delay_seconds: float) -> None:
        due_at = asyncio.get_running_loop().time() + delay_seconds

        def on_due() -> None:
            del self._catching_up[key]
            self._on_due(*key, due_at)

        self._catching_up[key] = asyncio.get_running_loop().call_at(due_at, on_due)

    def _anchor_of(self, group: ScheduleGroup) -> float:
        """Return from when the due times of a group are counted; constant for the process."""
        return epoch_anchor(group.interval_seconds, self._started_at, self._started_at_epoch)

    async def _on_group_due(self, group: ScheduleGroup) -> None:
        if self._groups.get(group.key) is group:  # else a reload has removed it since
            now = asyncio.get_running_loop().time()
            self._plan(group, now + _plan_seconds(group) + _ahead(group))

    async def _heartbeat(self) -> None:
        self._on_heartbeat()

    def _plan(self, group: ScheduleGroup, until: float) -> None:
        """Set timers for all runs from the end of the last plan up to `until`."""
        since = self._planned_until[group.key]
        if until <= since:
            return
        self._planned_until[group.key] = until
        for due_at, probe in due_times(group, self._anchor_of(group), since, until):
            self._timers.add(due_at, group.key, probe)

    def _on_timer(self, key: _Key, probe: str, due_at: float) -> None:
        tenant, _ = key
        self._on_due(tenant, probe, due_at)

    def _schedule_clock_check(self) -> None:
        loop = asyncio.get_running_loop()
        self._clock_check = loop.call_later(_CLOCK_CHECK_SECONDS, self._check_wall_clock)

    def _check_wall_clock(self) -> None:
        """Move all jobs if the wall clock was set."""
        now = asyncio.get_running_loop().time()
        # The difference of the two clocks changes only when the wall clock is set or slewed.
        ahead_seconds = self._wall_clock() - now
        if abs(ahead_seconds - self._wall_ahead_seconds) > _CLOCK_STEP_SECONDS:
            self._on_clock_step(ahead_seconds - self._wall_ahead_seconds)
            # If the clock was set back by an hour, all jobs would wait for that hour.
            self._scheduler.modify_job(_HEARTBEAT_ID, next_run_time=self._wall(0.0))
            for key, group in self._groups.items():
                next_seconds = group.seconds_until_next(now - self._anchor_of(group))
                # The job may already be late by now, so plan up to its new time at once.
                self._plan(group, now + next_seconds + _ahead(group))
                self._scheduler.modify_job(_job_id(key), next_run_time=self._wall(next_seconds))
        self._wall_ahead_seconds = ahead_seconds
        self._schedule_clock_check()

    def _wall(self, in_seconds: float) -> datetime:
        return datetime.fromtimestamp(self._wall_clock(), UTC) + timedelta(seconds=in_seconds)


def _plan_seconds(group: ScheduleGroup) -> float:
    """Return how often the job of a group runs: each interval, or after several short ones."""
    return group.interval_seconds * max(1, round(_MIN_PLAN_SECONDS / group.interval_seconds))


def _ahead(group: ScheduleGroup) -> float:
    """Return how far a plan reaches beyond the next job, so that a late job delays no run."""
    return _plan_seconds(group) / 4


def _job_id(key: _Key) -> str:
    tenant, interval_seconds = key
    return f"{tenant}/{interval_seconds!r}s"
