"""Binding the web server's address, and letting it go."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from prober.errors import ListenError
from prober.web.doors import Door, Doors

_SHUTDOWN_SECONDS = 2.0  # a scraper that holds its connection must not hold up the daemon's end
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that is bound and answers. `port` is the one bound, also where 0 was asked for."""

    host: str
    port: int
    scheme: str
    _runner: web.AppRunner = field(repr=False)
    _doors: Doors = field(repr=False)

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"{self.scheme}://{_in_url(self.host)}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._doors.number

    async def close(self) -> None:
        """Free the address and end what is still being answered."""
        await self._runner.cleanup()


class _Site(web.BaseSite):
    """Connections of a TCP port, each of which is a `Door`."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, doors: Doors) -> None:
        super().__init__(runner)
        self._where = host, port
        self._doors = doors
        self._listeners: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        return f"{self._where[0]}:{self._where[1]}"

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._listeners[0].getsockname()[1])

    async def start(self) -> None:
        await super().start()
        loop, served = asyncio.get_running_loop(), self._runner.server
        assert served is not None  # noqa: S101 -- the runner has been set up
        host, port = self._where
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            self._listeners.append(_bound(family, address))
        self._tasks = [
            loop.create_task(self._doors.take_in(each, served), name="accept connections")
            for each in self._listeners
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._doors.close()
        await super().stop()


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Return a listening socket; raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def listen(
    app: web.Application, host: str, port: int, doors: Doors | None = None
) -> Listening:
    """Serve `app` at an address; port 0 takes a free one. Raises ListenError."""
    doors = Doors() if doors is None else doors
    app.middlewares.insert(0, _answered)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    site = _Site(runner, host, port, doors)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(
            f"cannot listen on {_in_url(host)}:{port}: {_why(error)};"
            " stop what uses this address, or set web.listen to another"
        ) from error
    scheme = "http" if doors.keeper.context is None else "https"
    return Listening(host, site.port, scheme, runner, doors)


@web.middleware
async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    door = request.protocol
    assert isinstance(door, Door)  # noqa: S101 -- made by the site above
    with door.answering():
        return await handler(request)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: OSError) -> str:
    """Return the system's own words, or those of name resolution, whose numbers are negative."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
