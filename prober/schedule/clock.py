"""The one file that knows APScheduler: it says "due now", and does nothing itself.

APScheduler cancels running jobs when it shuts down and catches what they raise, so its jobs only
hand over; draining is the daemon's. One job for each beat (tenant and interval) sets the timers of
its probes, since a job run costs several hundred microseconds and a timer a few.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from prober.model import Probe, Tenant
from prober.schedule.plan import Beat, beats, due_moments

HEARTBEAT_SECONDS = 15.0

OnDue = Callable[[Tenant, Probe, float], None]


class Clock:
    """Calls `on_due(tenant, probe, moment)` when runs fall due; moments are on `loop.time()`."""

    def __init__(self, on_due: OnDue, on_heartbeat: Callable[[], None]) -> None:
        self._on_due = on_due
        self._on_heartbeat = on_heartbeat
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": AsyncIOExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._timers: set[asyncio.TimerHandle] = set()
        self._planned_until: dict[tuple[str, float], float] = {}
        self._anchor = 0.0

    def start(self, tenants: Sequence[Tenant]) -> None:
        """Begin: every probe falls due once within its first interval."""
        loop = asyncio.get_running_loop()
        self._anchor = loop.time()
        wall = _wall_clock()
        for beat in beats(tenants):
            self._plan(beat, self._anchor + beat.phase_seconds + _ahead(beat))
            self._scheduler.add_job(
                self._on_beat,
                IntervalTrigger(
                    seconds=beat.interval_seconds,
                    start_date=wall + timedelta(seconds=beat.phase_seconds),
                    timezone=UTC,
                ),
                args=[beat],
                id=f"{beat.tenant.name}/{beat.interval_seconds:g}s",
            )
        self._scheduler.add_job(
            self._heartbeat,
            IntervalTrigger(seconds=HEARTBEAT_SECONDS, timezone=UTC),
            id="heartbeat",
        )
        self._on_heartbeat()
        self._scheduler.start()

    def stop(self) -> None:
        """Let nothing more fall due."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _on_beat(self, beat: Beat) -> None:
        now = asyncio.get_running_loop().time()
        self._plan(beat, now + beat.interval_seconds + _ahead(beat))

    async def _heartbeat(self) -> None:
        self._on_heartbeat()

    def _plan(self, beat: Beat, until: float) -> None:
        """Set the timers of all runs from where this beat was last planned to `until`."""
        key = (beat.tenant.name, beat.interval_seconds)
        since = self._planned_until.get(key, self._anchor)
        self._planned_until[key] = until
        for moment, probe in due_moments(beat, self._anchor, since, until):
            self._arm(moment, beat.tenant, probe)

    def _arm(self, moment: float, tenant: Tenant, probe: Probe) -> None:
        def fall_due() -> None:
            self._timers.discard(timer)
            self._on_due(tenant, probe, moment)

        timer = asyncio.get_running_loop().call_at(moment, fall_due)
        self._timers.add(timer)


def _ahead(beat: Beat) -> float:
    """Return how far a beat plans into the next, so that a job that runs late makes none late."""
    return beat.interval_seconds / 4


def _wall_clock() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
