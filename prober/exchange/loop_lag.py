"""How late the event loop is.

Where the kernel stamps arrivals, each read tells how late it came, and nothing more is needed.
Elsewhere the loop is sampled: one that is stalled reads the clock late, so its lag during an
attempt is an upper bound of the error of that attempt's durations. A stall is seen by the sample
that it delays: all of it but what passed before that sample was due, less than
`SAMPLE_INTERVAL_SECONDS`.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

SAMPLE_INTERVAL_SECONDS = 0.02  # a sample costs a sixth of a probe, in a loop that sleeps more


@dataclass(slots=True)
class LagWatch:
    """The greatest lag seen while this watch was open; a stall before it was is not its own."""

    opened_at: float
    greatest_seconds: float = 0.0

    def see(self, due: float, now: float) -> None:
        """Take note that the loop was due at `due` and came at `now`."""
        self.greatest_seconds = max(self.greatest_seconds, now - max(due, self.opened_at))


class LoopLag:
    """Samples the running loop's lag continuously and tells it to all open watches."""

    def __init__(self, on_sample: Callable[[float], None] = lambda _: None) -> None:
        self._on_sample = on_sample
        self._open: dict[int, LagWatch] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to sample; must be called in a running loop."""
        self._due = time.perf_counter() + SAMPLE_INTERVAL_SECONDS
        self._handle = asyncio.get_running_loop().call_later(SAMPLE_INTERVAL_SECONDS, self._tick)

    def stop(self) -> None:
        """Stop sampling; open watches keep what they have seen."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def saw(self, lag_seconds: float) -> None:
        """Take note of a lag that a read has shown; samples, if there are any, tell themselves."""
        if self._handle is None:
            self._on_sample(lag_seconds)

    def open(self) -> LagWatch:
        """Return a watch that sees all until it is closed."""
        watch = LagWatch(time.perf_counter())
        self._open[id(watch)] = watch
        return watch

    def close(self, watch: LagWatch) -> None:
        """Let a watch see no more; of a tick that is overdue right now it takes note."""
        del self._open[id(watch)]
        if self._handle is not None:
            watch.see(self._due, time.perf_counter())

    def _tick(self) -> None:
        now = time.perf_counter()
        for watch in self._open.values():
            watch.see(self._due, now)
        self._on_sample(max(0.0, now - self._due))
        self.start()
