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

from prober.credential import TokenEvent, TokenStatus
from prober.history.archive import Archive
from prober.history.recorder import History, Listeners
from prober.history.retention import Retention
from prober.history.schema import bring_up_to_date
from prober.outcomes import HistoryLoss, SkipCause
from prober.recorders.board import DAY_SECONDS, Board
from prober.recorders.metrics import Metrics
from prober.recorders.recorder import Recorder
from prober.settings.resolve import Configuration
from prober.timeline.objectives import BUDGET_SECONDS
from prober.timeline.slots import SLOT_SECONDS, Slot, slot_at
from prober.timeline.spells import Spell

_READING_SECONDS = 10.0  # at the start; a disk that takes longer must not hold up probing
_REFRESH_SECONDS = 900.0
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Past:
    """What there was before the start: a day in slots, the days before in sums, open spells."""

    slots: Mapping[str, Mapping[int, Slot]]
    earlier: Mapping[str, Slot]
    spells: Sequence[Spell]
    since: float | None


class Memory:
    """See the module; hears of skips and tokens beside what its `recorders` hear."""

    def __init__(
        self,
        configuration: Configuration,
        metrics: Metrics,
        logger: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.board = Board(configuration.tenants, time.time())
        self.archive: Archive | None = None
        self._metrics = metrics
        self._logger = logger
        self._directory = configuration.state_directory
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._is_in_trouble = False
        self._history: History | None = None
        if configuration.history.enabled:
            self.archive = Archive(self._directory)
            self._history = self._made(configuration)

    @property
    def recorders(self) -> tuple[Recorder, ...]:
        """Who is to hear of results."""
        return (self.board,) if self._history is None else (self.board, self._history)

    async def start(self) -> None:
        """Remember, and begin to write."""
        self._loop = asyncio.get_running_loop()
        if self._history is None or self.archive is None:
            return
        try:
            async with asyncio.timeout(_READING_SECONDS):
                hear = self._on_loop(self._on_set_aside)
                await asyncio.to_thread(bring_up_to_date, self._directory, hear)
                past = await asyncio.to_thread(_read, self.archive, time.time())
            self.board.remember(past.slots, past.spells, past.since)
            self.board.remember_earlier(past.earlier)
        except TimeoutError:
            self._on_trouble("the past could not be read: it took too long")
        except OSError as error:
            self._on_trouble(f"the past could not be read: {error.strerror or error}")
        self._history.start()
        self._refreshing = asyncio.create_task(self._refresh(), name="history refresh")

    async def close(self) -> None:
        """Write what there is; a disk that hangs is waited for only so long."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
            assert self._history is not None  # noqa: S101 -- it was started with the task
            await asyncio.to_thread(self._history.close, _CLOSING_SECONDS)

    def apply(self, configuration: Configuration) -> None:
        """Take over settings: of what is gone, the past stays in the history until it is old."""
        self.board.apply(configuration.tenants)
        if self._history is not None:
            settings = configuration.history
            self._history.apply(
                _probes(configuration), settings.retention_seconds, settings.max_bytes
            )

    def skipped(self, tenant: str, probe: str, cause: SkipCause) -> None:
        """Take note of a due run that was not started."""
        now = time.time()
        self.board.skipped(tenant, probe, cause, now)
        if self._history is not None:
            self._history.skipped(tenant, probe, cause, now)

    def token_changed(self, status: TokenStatus) -> None:
        """See `Listener`."""
        self.board.touch(status.tenant)

    def token_event(self, event: TokenEvent) -> None:
        """See `Listener`."""
        if self._history is not None:
            self._history.token_event(event)

    def _made(self, configuration: Configuration) -> History:
        settings = configuration.history
        lost = self._on_loop(self._metrics.history_lost)
        return History(
            self._directory,
            _probes(configuration),
            Retention(
                settings.retention_seconds, settings.max_bytes, lost, self._on_loop(self._on_held)
            ),
            Listeners(
                written=self._on_loop(self._on_written),
                lost=lost,
                trouble=self._on_loop(self._on_trouble),
                set_aside=self._on_loop(self._on_set_aside),
            ),
        )

    def _on_loop(self, hear: Callable[..., None]) -> Callable[..., None]:
        """Return a function for any thread that lets `hear` be called on the event loop."""

        def tell(*what: Path | str | float | HistoryLoss) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(hear, *what)

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
                self.board.remember_earlier(earlier)
            except OSError as error:
                self._on_trouble(str(error))

    def _on_written(self, at: float, size_bytes: int) -> None:
        self._metrics.history_written(at, size_bytes)
        if self._is_in_trouble:
            self._logger.info("history.written_again", directory=str(self._directory))
        self._is_in_trouble = False

    def _on_trouble(self, what: str) -> None:
        self._metrics.state_write_failed()
        if not self._is_in_trouble:
            self._logger.error(
                "history.not_written",
                directory=str(self._directory),
                error=what,
                message="probing goes on; what happens now waits in memory, and is let go and"
                " counted in prober_history_dropped_total when there is too much of it",
            )
        self._is_in_trouble = True

    def _on_set_aside(self, path: Path, why: str) -> None:
        self._logger.error(
            "history.set_aside",
            file=str(path),
            why=why,
            message="the past is no longer shown; a new history is begun",
        )


def _probes(configuration: Configuration) -> frozenset[tuple[str, str]]:
    return frozenset((t.name, probe.name) for t in configuration.tenants for probe in t.probes)


def _read(archive: Archive, now: float) -> _Past:
    since = slot_at(now) - DAY_SECONDS + SLOT_SECONDS
    going_on = archive.spells(now, now)
    return _Past(archive.slots(since), _read_earlier(archive, now), going_on, archive.oldest())


def _read_earlier(archive: Archive, now: float) -> Mapping[str, Slot]:
    since = slot_at(now) - DAY_SECONDS + SLOT_SECONDS
    return archive.slot_totals(now - BUDGET_SECONDS, since)
