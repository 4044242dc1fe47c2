"""Resolve names by the system's resolver, in daemon threads.

A lookup cannot be cancelled: one that hangs keeps its thread until the system gives up, which may
take half a minute. So the number of threads is limited, in total and for each name, and the threads
are daemon threads, for which the process does not wait at its end.
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
"""The limit of concurrent lookups; further ones wait."""
MAX_LOOKUPS_PER_NAME = 4
"""The limit for one name; further ones share the result of the latest lookup."""

_Name = tuple[str, int, socket.AddressFamily]
_Addresses = list[tuple[socket.AddressFamily, int, int, str, tuple[str | int, ...]]]
_Found = tuple[_Addresses, int, int]  # addresses; start and end in nanoseconds
Lookup = Callable[[str, int, socket.AddressFamily], _Addresses]


def _system_lookup(host: str, port: int, family: socket.AddressFamily) -> _Addresses:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))  # type: ignore[arg-type]


class ThreadResolver(AbstractResolver):
    """Resolves names in threads of its own, so that a hanging lookup blocks nothing else."""

    def __init__(self, lookup: Lookup = _system_lookup) -> None:
        self._lookup = lookup
        self._semaphore = asyncio.Semaphore(MAX_LOOKUPS)
        self._pending_lookups: dict[_Name, list[asyncio.Task[_Found]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; raises OSError (socket.gaierror)."""
        called = time.perf_counter_ns()
        found, began, ended = await asyncio.shield(self._pending((host, port, family)))
        attempt = current_attempt()
        if attempt is not None:  # a shared lookup may have started before this call
            attempt.timing.looked_up(max(called, began), max(called, ended))
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
        """Cancel the waiting tasks; a thread that hangs ends with the process."""
        tasks = [task for tasks in self._pending_lookups.values() for task in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pending(self, name: _Name) -> asyncio.Task[_Found]:
        pending = self._pending_lookups.setdefault(name, [])
        if len(pending) >= MAX_LOOKUPS_PER_NAME:
            return pending[-1]
        task = asyncio.create_task(self._queued(name), name=f"look up {name[0]}")
        pending.append(task)
        task.add_done_callback(lambda done: self._on_done(name, done))
        return task

    def _on_done(self, name: _Name, task: asyncio.Task[_Found]) -> None:
        self._pending_lookups[name].remove(task)
        if not self._pending_lookups[name]:
            del self._pending_lookups[name]
        if not task.cancelled():
            task.exception()  # the caller may have been cancelled: no "never retrieved" warning

    async def _queued(self, name: _Name) -> _Found:
        async with self._semaphore:
            return await self._in_thread(name)

    async def _in_thread(self, name: _Name) -> _Found:
        """Look up in a daemon thread: at exit, Python waits for the threads of an executor."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_Found] = loop.create_future()

        def set_result(found: _Found | OSError) -> None:
            if result.done():
                return
            if isinstance(found, OSError):
                result.set_exception(found)
            else:
                result.set_result(found)

        def work() -> None:
            found: _Found | OSError
            began = time.perf_counter_ns()
            try:
                found = self._lookup(*name), began, time.perf_counter_ns()
            except OSError as error:
                found = error
            except UnicodeError as error:  # not encodable as a DNS name
                found = socket.gaierror(socket.EAI_NONAME, str(error))
            with suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(set_result, found)

        try:
            threading.Thread(target=work, name=f"look up {name[0]}", daemon=True).start()
        except RuntimeError as error:  # out of memory, or a limit such as TasksMax
            raise OSError(errno.EAGAIN, f"no thread to look up the name: {error}") from error
        return await result
