"""What the daemon remembers: how everything stands (`board`), and the past (`archive`).

The history is written by a thread of its own, which hears nothing of probing but what it is told.
What that thread has to say is said on the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from prober.config.resolve import Config
from prober.history.reader import HistoryReader
from prober.history.retention import Retention
from prober.history.schema import migrate
from prober.history.sink import HistoryCallbacks, HistorySink
from prober.metrics.sink import PrometheusSink
from prober.outcomes import HistoryDropReason
from prober.scheduler.planner import CATCH_UP_SECONDS, ProbeKey
from prober.sinks import EventSink
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_start
from prober.stats.incidents import FailureStreak
from prober.stats.slo import BUDGET_SECONDS
from prober.status_tracker import DAY_SECONDS, StatusTracker

_READING_SECONDS = 10.0  # at the start; a disk that takes longer must not hold up probing
_REFRESH_SECONDS = 900.0
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _RestoredState:
    """What there was before the start: a day in slots, the days before in sums, open spells.

    `last_runs` are those of probes with a long interval that have run within it.
    """

    slots: Mapping[str, Mapping[int, TimeBucket]]
    earlier: Mapping[str, TimeBucket]
    last_runs: Mapping[ProbeKey, float]
    spells: Sequence[FailureStreak]
    since: float | None


class StatusService:
    """The current status of all tenants (`tracker`) and the history (`archive`).

    `last_runs` says when probes with a long interval last ran before the start, if they did so
    within their interval; known after `start`.
    """

    def __init__(
        self,
        configuration: Config,
        metrics: PrometheusSink,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.tracker = StatusTracker(configuration.tenants, time.time())
        self.archive: HistoryReader | None = None
        self.last_runs: Mapping[ProbeKey, float] = {}
        self._intervals_seconds = {
            (tenant.name, probe.name): probe.interval_seconds
            for tenant in configuration.tenants
            for probe in tenant.probes
            if probe.interval_seconds > CATCH_UP_SECONDS
        }
        self._metrics = metrics
        self._logger = logger
        self._directory = configuration.state_directory
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._is_in_trouble = False
        self._history: HistorySink | None = None
        if configuration.history.enabled:
            self.archive = HistoryReader(self._directory)
            self._history = self._create_history(configuration)

    @property
    def sinks(self) -> Mapping[str, EventSink]:
        """The sinks that keep status and history up to date, by name."""
        sinks: dict[str, EventSink] = {"status": self.tracker}
        if self._history is not None:
            sinks["history"] = self._history
        return sinks

    async def start(self) -> None:
        """Remember, and begin to write."""
        self._loop = asyncio.get_running_loop()
        if self._history is None or self.archive is None:
            return
        try:
            async with asyncio.timeout(_READING_SECONDS):
                hear = self._on_loop(self._on_quarantine)
                await asyncio.to_thread(migrate, self._directory, hear)
                past = await asyncio.to_thread(
                    _read, self.archive, time.time(), self._intervals_seconds
                )
            self.last_runs = past.last_runs
            self.tracker.restore(past.slots, past.spells, past.since)
            self.tracker.restore_monthly_totals(past.earlier)
        except TimeoutError:
            self._on_error("the past could not be read: it took too long")
        except OSError as error:
            self._on_error(f"the past could not be read: {error.strerror or error}")
        self._history.start()
        self._refreshing = asyncio.create_task(self._refresh(), name="history refresh")

    async def close(self) -> None:
        """Write what there is; a disk that hangs is waited for only so long."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
            assert self._history is not None  # noqa: S101 -- it was started with the task
            await asyncio.to_thread(self._history.close, _CLOSING_SECONDS)

    def apply(self, configuration: Config) -> None:
        """Take over settings: of what is gone, the past stays in the history until it is old."""
        self.tracker.apply(configuration.tenants)
        if self._history is not None:
            settings = configuration.history
            self._history.apply(
                _probes(configuration), settings.retention_seconds, settings.max_bytes
            )

    def _create_history(self, configuration: Config) -> HistorySink:
        settings = configuration.history
        lost = self._on_loop(self._metrics.history_dropped)
        return HistorySink(
            self._directory,
            _probes(configuration),
            Retention(
                settings.retention_seconds, settings.max_bytes, lost, self._on_loop(self._on_held)
            ),
            HistoryCallbacks(
                on_written=self._on_loop(self._on_written),
                on_dropped=lost,
                on_error=self._on_loop(self._on_error),
                on_quarantine=self._on_loop(self._on_quarantine),
            ),
        )

    def _on_loop(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a function for any thread that lets `hear` be called on the event loop."""

        def tell(*what: Path | str | float | HistoryDropReason) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *what)

        return tell

    def _on_held(self, cutoff: float, oldest: float) -> None:
        self._logger.warning(
            "history.sweep_held",
            would_forget_days=round((cutoff - oldest) / 86_400, 1),
            message="the clock may have jumped ahead: nothing is forgotten until it has run evenly"
            " for an hour",
        )

    async def _refresh(self) -> None:
        """Let the sums of 30 days follow the days."""
        assert self.archive is not None  # noqa: S101 -- started only with one
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                earlier = await asyncio.to_thread(_read_earlier, self.archive, time.time())
                self.tracker.restore_monthly_totals(earlier)
            except OSError as error:
                self._on_error(str(error))

    def _on_written(self, at: float, size_bytes: int) -> None:
        self._metrics.history_written(at, size_bytes)
        if self._is_in_trouble:
            self._logger.info("history.write_recovered", directory=str(self._directory))
        self._is_in_trouble = False

    def _on_error(self, what: str) -> None:
        self._metrics.state_write_failed()
        if not self._is_in_trouble:
            self._logger.error(
                "history.write_failed",
                directory=str(self._directory),
                error=what,
                message="probing goes on; what happens now waits in memory, and is let go and"
                " counted in prober_history_dropped_total when there is too much of it",
            )
        self._is_in_trouble = True

    def _on_quarantine(self, path: Path, why: str) -> None:
        self._logger.error(
            "history.quarantined",
            file=str(path),
            why=why,
            message="the past is no longer shown; a new history is begun",
        )


def _probes(configuration: Config) -> frozenset[tuple[str, str]]:
    return frozenset((t.name, probe.name) for t in configuration.tenants for probe in t.probes)


def _read(
    archive: HistoryReader, now: float, intervals_seconds: Mapping[ProbeKey, float]
) -> _RestoredState:
    since = bucket_start(now) - DAY_SECONDS + BUCKET_SECONDS
    going_on = archive.streaks(now, now)
    last_runs = archive.last_runs(
        {key: now - interval_seconds for key, interval_seconds in intervals_seconds.items()}
    )
    return _RestoredState(
        archive.buckets(since), _read_earlier(archive, now), last_runs, going_on, archive.oldest()
    )


def _read_earlier(archive: HistoryReader, now: float) -> Mapping[str, TimeBucket]:
    since = bucket_start(now) - DAY_SECONDS + BUCKET_SECONDS
    return archive.bucket_totals(now - BUDGET_SECONDS, since)
