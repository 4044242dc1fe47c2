"""The service manager's watchdog is fed for as long as probing goes on, and not for turning alone.

A daemon that is stuck is restarted by whoever waits for a sign of life; see `schedule/progress.py`
for what stuck means.
"""

import structlog

from prober.outcomes import SkipCause
from prober.recorders.own_health import OwnHealth
from prober.schedule.progress import Progress, is_stuck, progress
from prober.sdnotify import ServiceManager

_BEATS = 2  # in a watchdog's patience, as sd_watchdog_enabled(3) recommends


class Watchdog:
    """Tells a service manager that all goes well, at every heartbeat of the scheduler."""

    def __init__(
        self, service: ServiceManager, logger: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._service = service
        self._logger = logger
        self._progress: Progress | None = None
        self._was_stuck = False

    def heartbeat_seconds(self, usual: float) -> float:
        """Return how often to beat: as usual, or oftener where the watchdog waits for less."""
        patience = self._service.watchdog_seconds
        return usual if patience is None else min(usual, patience / _BEATS)

    def beat(self, seen: OwnHealth, patience_seconds: float, now: float) -> None:
        """Feed it, unless probing has rested for longer; `now` is in monotonic seconds."""
        counts = (seen.runs, seen.probes_in_flight, seen.skipped[SkipCause.TOKEN_REJECTED])
        self._progress = progress(self._progress, counts, patience_seconds, now)
        stuck = is_stuck(self._progress, now)
        if stuck and not self._was_stuck:
            self._logger.error(
                "probing.stuck",
                idle_seconds=round(now - self._progress.moved_at, 1),
                in_flight=seen.probes_in_flight,
                message="no run has begun or ended though some must have been due; the watchdog is"
                " not fed, so that systemd restarts the prober",
            )
        self._was_stuck = stuck
        if not stuck:
            self._service.alive()
