"""Many due times with one timer of the event loop.

asyncio compares its timers by a method in Python, some thirty times for each of several hundred
timers; tuples are compared without one.
"""

import asyncio
import math
from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_ROUNDING_SECONDS = 1e-6  # the loop may call a timer earlier by the resolution of its clock


class DueTimers(Generic[_Key]):
    """Calls `on_due(key, name, due_at)` at each time that was added. Lives on the event loop.

    `due_at` is as of `loop.time()`.
    """

    def __init__(self, on_due: Callable[[_Key, str, float], None]) -> None:
        self._on_due = on_due
        # The number keeps the order of equal times, and keys from being compared.
        self._heap: list[tuple[float, int, _Key, str]] = []
        self._numbers = count()
        self._handle: asyncio.TimerHandle | None = None
        self._set_for = math.inf

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due_at: float, key: _Key, name: str) -> None:
        """Add a time; one that has passed is due at once."""
        heappush(self._heap, (due_at, next(self._numbers), key, name))
        self._set_timer()

    def drop(self, key: _Key) -> None:
        """Remove all times of a key."""
        self._heap = [each for each in self._heap if each[2] != key]
        heapify(self._heap)
        self._set_timer()

    def clear(self) -> None:
        """Remove all times."""
        self._heap.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        due_at = self._heap[0][0] if self._heap else math.inf
        if due_at == self._set_for:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._set_for, self._handle = due_at, None
        if self._heap:
            self._handle = asyncio.get_running_loop().call_at(due_at, self._call)

    def _call(self) -> None:
        until = asyncio.get_running_loop().time() + _ROUNDING_SECONDS
        self._set_for, self._handle = math.inf, None
        try:
            while self._heap and self._heap[0][0] <= until:
                due_at, _, key, name = heappop(self._heap)
                self._on_due(key, name, due_at)
        finally:  # also if a call raises: the others are due all the same
            self._set_timer()
