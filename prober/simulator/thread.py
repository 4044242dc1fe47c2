"""A simulator in a thread of its own: what blocks the caller's event loop does not slow it down."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from prober.simulator.simulator import Simulator, SimulatorConfig

_T = TypeVar("_T")


class SimulatorThread:
    """Serves while it is open, an asynchronous context manager of the caller's event loop.

    All that awaits something of `simulator` must go through `run`.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.simulator = Simulator(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="simulator", daemon=True
        )

    async def __aenter__(self) -> Self:
        """Start the thread and all servers. Raises OSError."""
        self._thread.start()
        try:
            await self.run(self.simulator.__aenter__())
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all servers and the thread."""
        try:
            await self.run(self.simulator.__aexit__(None, None, None))
        finally:
            await self._end()

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the simulator's event loop and return its result."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _end(self) -> None:
        await self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


async def _cancel_others() -> None:
    """Cancel what still runs on this loop, such as connections of clients that went away."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
