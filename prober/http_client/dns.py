"""Names to addresses, by the system's own resolver, in threads that nobody need wait for.

A lookup cannot be called off: one that hangs holds its thread until the system gives up, which may
be half a minute. So no name gets more than its share of threads, and no thread holds up the end of
the process.
"""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp.abc import AbstractResolver, ResolveResult

from prober.http_client.timing import current_attempt

MAX_LOOKUPS = 64
"""So many lookups at a time; further ones wait for their turn."""
MAX_LOOKUPS_PER_NAME = 4
"""So many of them for one name; further ones share what the youngest finds."""

_Name = tuple[str, int, socket.AddressFamily]
_Addresses = list[tuple[socket.AddressFamily, int, int, str, tuple[str | int, ...]]]
_Found = tuple[_Addresses, int, int]  # with the nanoseconds at which the lookup began and ended
Lookup = Callable[[str, int, socket.AddressFamily], _Addresses]


def _system_lookup(host: str, port: int, family: socket.AddressFamily) -> _Addresses:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))  # type: ignore[arg-type]


class ThreadResolver(AbstractResolver):
    """Resolves names in threads of its own, so that a hanging lookup starves nothing else."""

    def __init__(self, lookup: Lookup = _system_lookup) -> None:
        self._lookup = lookup
        self._turns = asyncio.Semaphore(MAX_LOOKUPS)
        self._going_on: dict[_Name, list[asyncio.Task[_Found]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; raises OSError (socket.gaierror)."""
        asked = time.perf_counter_ns()
        found, began, ended = await asyncio.shield(self._pending((host, port, family)))
        attempt = current_attempt()
        if attempt is not None:  # of a lookup that it shares, it waited for a part alone
            attempt.timing.looked_up(max(asked, began), max(asked, ended))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Forget what is going on; a thread that hangs ends with the process."""
        tasks = [task for tasks in self._going_on.values() for task in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pending(self, name: _Name) -> asyncio.Task[_Found]:
        going_on = self._going_on.setdefault(name, [])
        if len(going_on) >= MAX_LOOKUPS_PER_NAME:
            return going_on[-1]
        task = asyncio.create_task(self._queued(name), name=f"look up {name[0]}")
        going_on.append(task)
        task.add_done_callback(lambda done: self._on_done(name, done))
        return task

    def _on_done(self, name: _Name, task: asyncio.Task[_Found]) -> None:
        self._going_on[name].remove(task)
        if not self._going_on[name]:
            del self._going_on[name]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    async def _queued(self, name: _Name) -> _Found:
        async with self._turns:
            return await self._in_thread(name)

    async def _in_thread(self, name: _Name) -> _Found:
        """Look up in a daemon thread: an executor's threads are waited for at the very end."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Found] = loop.create_future()

        def tell(found: _Found | OSError) -> None:
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            found: _Found | OSError
            began = time.perf_counter_ns()
            try:
                found = self._lookup(*name), began, time.perf_counter_ns()
            except OSError as error:
                found = error
            except UnicodeError as error:  # a name that no name server can be asked for
                found = socket.gaierror(socket.EAI_NONAME, str(error))
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(tell, found)

        try:
            threading.Thread(target=work, name=f"look up {name[0]}", daemon=True).start()
        except RuntimeError as error:  # the machine's want, or a limit such as TasksMax
            raise OSError(errno.EAGAIN, f"no thread to look up the name: {error}") from error
        return await answer
