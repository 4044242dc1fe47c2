"""Current status and history for the daemon: restores both at start, and keeps them up to date.

A thread of its own writes the history. Its callbacks run on the event loop, like all else here.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from prober.config.resolve import Config
from prober.history.annotations import AnnotationStore
from prober.history.reader import HistoryReader
from prober.history.retention import Retention
from prober.history.schema import migrate
from prober.history.sink import HistoryCallbacks, HistorySink
from prober.metrics.sink import PrometheusSink
from prober.outcomes import HistoryDropReason
from prober.scheduler.planner import CATCH_UP_SECONDS, ProbeKey
from prober.sinks import EventSink
from prober.sqlite import quarantine
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_start
from prober.stats.incidents import FailureStreak
from prober.stats.slo import BUDGET_SECONDS
from prober.status_page import PublishedStatus
from prober.status_tracker import DAY_SECONDS, StatusTracker

_RESTORE_TIMEOUT_SECONDS = 10.0  # at start; a slow disk must not delay probing for longer
_REFRESH_SECONDS = 900.0
_CLOSE_TIMEOUT_SECONDS = 5.0
_STORE = "history"


@dataclass(frozen=True, slots=True)
class _RestoredState:
    """What the history knows at start: one day of buckets, totals of 30 days, open streaks.

    `last_runs` are those of probes with a long interval that ran within it.
    """

    buckets: Mapping[str, Mapping[int, TimeBucket]]
    monthly_totals: Mapping[str, TimeBucket]
    last_runs: Mapping[ProbeKey, float]
    streaks: Sequence[FailureStreak]
    since: float | None


class StatusService:
    """The current status of all tenants (`tracker`) and the history (`history`).

    After `start`, `last_runs` has the last runs before the start of probes with a long interval,
    if they ran within it.
    """

    def __init__(
        self,
        configuration: Config,
        metrics: PrometheusSink,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.tracker = StatusTracker(configuration.tenants, time.time())
        self.history: HistoryReader | None = None
        self.last_runs: Mapping[ProbeKey, float] = {}
        self.annotations = AnnotationStore(
            configuration.state_directory, self._on_damaged_annotations
        )
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
        self._refresh_task: asyncio.Task[None] | None = None
        self._is_failing = False
        self._history_sink: HistorySink | None = None
        if configuration.history.enabled:
            self.history = HistoryReader(self._directory)
            self._history_sink = self._create_history(configuration)

    @property
    def sinks(self) -> Mapping[str, EventSink]:
        """The sinks that keep status and history up to date, by name."""
        sinks: dict[str, EventSink] = {"status": self.tracker}
        if self._history_sink is not None:
            sinks["history"] = self._history_sink
        return sinks

    async def start(self) -> None:
        """Restore what the history knows, and start to write it; never fails for the disk."""
        self._loop = asyncio.get_running_loop()
        if self._history_sink is None or self.history is None:
            return
        try:
            async with asyncio.timeout(_RESTORE_TIMEOUT_SECONDS):
                on_quarantine = self._on_loop(self._on_quarantine)
                await asyncio.to_thread(migrate, self._directory, on_quarantine)
                restored = await asyncio.to_thread(
                    _read, self.history, time.time(), self._intervals_seconds
                )
            self.last_runs = restored.last_runs
            self.tracker.restore(restored.buckets, restored.streaks, restored.since)
            self.tracker.restore_monthly_totals(restored.monthly_totals)
        except TimeoutError:
            self._on_error("the history could not be read in time")
        except OSError as error:
            self._on_error(f"the history could not be read: {error.strerror or error}")
        self._history_sink.start()
        self._refresh_task = asyncio.create_task(self._refresh(), name="history refresh")

    async def close(self) -> None:
        """Write what is queued; a disk that hangs is waited for only a limited time."""
        if self._refresh_task is not None:
            self._refresh_task.cancel()
            await asyncio.gather(self._refresh_task, return_exceptions=True)
            assert self._history_sink is not None  # noqa: S101 -- it was started with the task
            await asyncio.to_thread(self._history_sink.close, _CLOSE_TIMEOUT_SECONDS)

    def apply(self, configuration: Config) -> None:
        """Apply a configuration; the history of removed tenants stays until its retention ends."""
        self.tracker.apply(configuration.tenants)
        if self._history_sink is not None:
            options = configuration.history
            self._history_sink.apply(
                _probes(configuration), options.retention_seconds, options.max_bytes
            )

    def record_published(self, read: PublishedStatus) -> None:
        """Record a read of the supplier's status page, if there is a history."""
        if self._history_sink is not None:
            self._history_sink.on_published_status(read)

    def _create_history(self, configuration: Config) -> HistorySink:
        options = configuration.history
        on_dropped = self._on_loop(self._metrics.history_dropped)
        return HistorySink(
            self._directory,
            _probes(configuration),
            Retention(
                options.retention_seconds,
                options.max_bytes,
                on_dropped,
                self._on_loop(self._on_deletion_paused),
            ),
            HistoryCallbacks(
                on_written=self._on_loop(self._on_written),
                on_dropped=on_dropped,
                on_error=self._on_loop(self._on_error),
                on_quarantine=self._on_loop(self._on_quarantine),
            ),
        )

    def _on_loop(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a function for any thread that calls `callback` on the event loop."""

        def schedule(*arguments: Path | str | float | HistoryDropReason) -> None:
            # A thread may outlive the loop if its disk hangs; then there is nothing to report to.
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)

        return schedule

    def _on_deletion_paused(self, cutoff: float, oldest: float) -> None:
        self._logger.warning(
            "history.deletion_paused",
            would_delete_days=round((cutoff - oldest) / 86_400, 1),
            message="the clock may have jumped ahead: nothing is deleted until it has been steady"
            " for an hour",
        )

    async def _refresh(self) -> None:
        """Keep the totals of 30 days current while the daemon runs."""
        assert self.history is not None  # noqa: S101 -- started only with one
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                totals = await asyncio.to_thread(_read_totals, self.history, time.time())
                self.tracker.restore_monthly_totals(totals)
            except OSError as error:
                self._on_error(str(error))

    def _on_written(self, at: float, size_bytes: int) -> None:
        self._metrics.history_written(at, size_bytes)
        self._metrics.state_written(_STORE)
        if self._is_failing:
            self._logger.info("history.write_recovered", directory=str(self._directory))
        self._is_failing = False

    def _on_error(self, error: str) -> None:
        self._metrics.state_write_failed(_STORE)
        # Logged once until a write succeeds: a full disk fails every few seconds.
        if not self._is_failing:
            self._logger.error(
                "history.write_failed",
                directory=str(self._directory),
                error=error,
                message="probing continues; history is buffered in memory, and dropped and counted"
                " in prober_history_dropped_total when the buffer is full",
            )
        self._is_failing = True

    def _on_quarantine(self, path: Path, reason: str) -> None:
        self._logger.error(
            "history.quarantined",
            file=str(path),
            reason=reason,
            message="the file cannot be used; it was renamed, and a new history was started",
        )

    def _on_damaged_annotations(self, file: Path, reason: str) -> None:
        self._logger.error(
            "annotations.quarantined",
            file=str(quarantine(file)),
            reason=reason,
            message="the file cannot be used; it was renamed, and notes start empty",
        )


def _probes(configuration: Config) -> frozenset[tuple[str, str]]:
    return frozenset((t.name, probe.name) for t in configuration.tenants for probe in t.probes)


def _read(
    history: HistoryReader, now: float, intervals_seconds: Mapping[ProbeKey, float]
) -> _RestoredState:
    streaks = history.streaks(now, now)
    last_runs = history.last_runs(
        {key: now - interval_seconds for key, interval_seconds in intervals_seconds.items()}
    )
    return _RestoredState(
        history.buckets(_day_start(now)),
        _read_totals(history, now),
        last_runs,
        streaks,
        history.oldest(),
    )


def _read_totals(history: HistoryReader, now: float) -> Mapping[str, TimeBucket]:
    return history.bucket_totals(now - BUDGET_SECONDS, _day_start(now))


def _day_start(now: float) -> int:
    """Return the start of the first bucket that the tracker holds itself; it holds one day."""
    return bucket_start(now) - DAY_SECONDS + BUCKET_SECONDS
