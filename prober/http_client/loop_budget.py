"""Limit the CPU time of reading responses in one iteration of the event loop.

Each step is short. But when the responses of many tenants arrive at once, all of their steps would
run in one iteration, and everything else that is due would wait for the last of them.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
MAX_STEPS_SECONDS = 0.02
"""The CPU time for steps in one iteration of the event loop; further steps wait for the next."""


class LoopBudget:
    """Runs steps one after another, so that the event loop can do other work in between."""

    def __init__(self) -> None:
        self._spent_seconds = 0.0

    async def run(self, step: Callable[[], _T]) -> _T:
        """Run a step when the budget allows; return its result, raise its exception."""
        while self._spent_seconds >= MAX_STEPS_SECONDS:  # noqa: ASYNC110 -- reset by the loop
            await asyncio.sleep(0)
        if not self._spent_seconds:
            asyncio.get_running_loop().call_soon(self._reset)
        began = time.thread_time()
        try:
            return step()
        finally:
            self._spent_seconds += max(time.thread_time() - began, 1e-9)

    def _reset(self) -> None:
        self._spent_seconds = 0.0
