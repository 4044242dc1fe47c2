"""An event loop with a clock of its own: what waits for time gets it at once.

The loop never sleeps. When nothing is ready it sets its clock to the next timer's time, so a test
of an hour takes milliseconds and does not depend on the machine's load. Only for code that waits
for timers: a thread or a socket would have no time to do anything.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _VirtualSelector(selectors.DefaultSelector):
    """A selector that tells how long it would have waited instead of waiting."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # None means that neither a timer nor a callback is left: only a file can wake the loop.
        ready = super().select(None if timeout is None else 0.0)
        if not ready and timeout:
            self._advance(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that begins at 1000 s on its own clock."""

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__(_VirtualSelector(self.advance))

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass as if the thread had been busy."""
        self._now += seconds


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def running_loop() -> VirtualTimeLoop:
    """Return the loop of virtual time that runs the caller."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop
