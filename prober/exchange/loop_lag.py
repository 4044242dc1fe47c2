"""How late the event loop is: the doubt that every measurement carries.

A stalled loop reads the clock late, so the loop's lag during an attempt is an upper bound of the
error of its durations.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SAMPLE_INTERVAL_SECONDS = 0.01


@dataclass(slots=True)
class LagWatch:
    """The greatest lag seen while this watch was open, in seconds."""

    greatest_seconds: float = 0.0


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

    @contextmanager
    def watch(self) -> Iterator[LagWatch]:
        """Open a watch for the length of an attempt."""
        watch = LagWatch()
        key = id(watch)
        self._open[key] = watch
        try:
            yield watch
        finally:
            del self._open[key]
            if self._handle is not None:  # a tick that is overdue right now counts as well
                overdue = time.perf_counter() - self._due
                watch.greatest_seconds = max(watch.greatest_seconds, overdue)

    def _tick(self) -> None:
        lag_seconds = max(0.0, time.perf_counter() - self._due)
        for watch in self._open.values():
            watch.greatest_seconds = max(watch.greatest_seconds, lag_seconds)
        self._on_sample(lag_seconds)
        self.start()
