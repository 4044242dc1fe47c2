"""Binding the web server's address, and letting it go.

One connection of a client: TLS, and bounds on how many there are and how long each may dawdle.

Sockets are accepted here and not by the loop's own server, so that handshakes count as connections,
and each connection takes the certificate that is in force when it is made.
"""

import asyncio
import os
import socket
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from prober.errors import ListenError
from prober.web.auth import client_network, san_allowed
from prober.web.middleware import response_headers
from prober.web.tls import WebConfigReloader

_AFTER_AN_ERROR_SECONDS = 0.2
MAX_UNANSWERED_BYTES = 256 * 1024
"""So much may come over a connection before a request on it is answered: heads, bodies, and what
holds nothing, such as the extensions of chunks (RFC 9112, 7.1.1)."""
RESERVED_CONNECTIONS = 16
"""So many are kept for addresses that have none yet: for health and metrics."""
# What reading a request raises when it is not what its head says.
_CLIENTS_MISTAKES = (
    web.RequestPayloadError,
    HttpProcessingError,
    ClientPayloadError,
    ConnectionError,
    zlib.error,
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 46\r\n\r\ntoo many connections: see web.max_connections\n"
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, and how long each may dawdle.

    One address has at most `share_of_address` of them.

    `head_seconds` is for TLS, then for a request's head; `stalled_seconds` for who reads slowly,
    from the moment that sending has to wait until nearly all is sent.
    """

    connections: int = 512
    share_of_address: float = 0.5
    header_timeout_seconds: float = 10.0
    idle_timeout_seconds: float = 75.0
    write_timeout_seconds: float = 60.0


class ConnectionManager:
    """All connections of one server."""

    def __init__(
        self, keeper: WebConfigReloader | None = None, bounds: ConnectionLimits | None = None
    ) -> None:
        self.keeper = keeper or WebConfigReloader()
        self.bounds = bounds or ConnectionLimits()
        self._open: dict[LimitedRequestHandler, str] = {}
        self._of_address: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    async def accept_loop(self, listener: socket.socket, server: web.Server) -> None:
        """Take in whoever connects, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener)
            except OSError:  # out of descriptors, or whoever it was has left
                await asyncio.sleep(_AFTER_AN_ERROR_SECONDS)
                continue
            address = client_network(str(peer[0]))
            if not self._has_room_for(address):
                self._reject(accepted)
                continue
            door = LimitedRequestHandler(self, server, loop)
            self._open[door] = address
            self._of_address[address] += 1
            task = loop.create_task(self._handshake(accepted, door), name="new connection")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def on_closed(self, door: "LimitedRequestHandler") -> None:
        """Count a connection no longer."""
        address = self._open.pop(door, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _has_room_for(self, address: str) -> bool:
        """Tell whether an address may have one more connection.

        One that has none yet may have it while there is any; others leave a few for such ones.
        """
        most, mine = self.bounds.connections, self._of_address[address]
        if mine == 0:
            return self.count < most
        reserved = min(RESERVED_CONNECTIONS, most // 4)
        share = max(1, int(most * self.bounds.share_of_address))
        return self.count < most - reserved and mine < share

    def close(self) -> None:
        """End what has not got as far as a request; the rest ends with its server."""
        for task in list(self._handshakes):
            task.cancel()

    async def _handshake(self, accepted: socket.socket, door: "LimitedRequestHandler") -> None:
        loop, context = asyncio.get_running_loop(), self.keeper.context
        limit = None if context is None else self.bounds.header_timeout_seconds
        try:
            await loop.connect_accepted_socket(
                lambda: door, accepted, ssl=context, ssl_handshake_timeout=limit
            )
        except OSError:  # a stranger's mistake: no certificate, no TLS at all
            self.on_closed(door)
        except asyncio.CancelledError:
            self.on_closed(door)
            raise

    def _reject(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            if self.keeper.context is None:
                accepted.send(_FULL)


class LimitedRequestHandler(web.RequestHandler):
    """One connection."""

    def __init__(
        self, doors: ConnectionManager, server: web.Server, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as the library's own runner takes it
            keepalive_timeout=doors.bounds.idle_timeout_seconds,
            lingering_time=0,  # what was refused is not read to its end
        )
        self._doors = doors
        self._reads_head = False
        self._requests = 0
        self._unanswered_bytes = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request, after TLS if there is any."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if san_allowed(self._doors.keeper.access.tls, certificate):
            self._set_timeout(self._doors.bounds.header_timeout_seconds)
        else:
            self._on_timeout()

    def data_received(self, data: bytes) -> None:
        """Read on; from the first byte of a request on, its head has to come in time."""
        self._unanswered_bytes += len(data)
        if self._unanswered_bytes > MAX_UNANSWERED_BYTES:
            self._on_timeout()
            return
        if not (self._reads_head or self._requests):
            self._reads_head = True
            self._set_timeout(self._doors.bounds.header_timeout_seconds)
        super().data_received(data)

    @contextmanager
    def responding(self) -> Iterator[None]:
        """Wait as long as an answer takes."""
        self._requests += 1
        self._reads_head = False
        self._clear_timeout()
        try:
            yield
        finally:
            self._requests -= 1
            self._unanswered_bytes = 0
            self._set_timeout(self._doors.bounds.idle_timeout_seconds)

    def pause_writing(self) -> None:
        """Wait for who reads slowly, but not for ever: what is unread is held in memory."""
        super().pause_writing()
        self._stall = self._loop.call_later(
            self._doors.bounds.write_timeout_seconds, self._on_timeout
        )

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._clear_timeout()
        if self._stall is not None:
            self._stall.cancel()
        self._doors.on_closed(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP without a word in the log, and with the headers of all answers."""
        if status == web.HTTPBadRequest.status_code or isinstance(exc, _CLIENTS_MISTAKES):
            answer: web.StreamResponse = web.Response(status=400, text="this is no HTTP\n")
            answer.force_close()
        else:
            answer = super().handle_error(request, status, exc, message)
        headers = response_headers(self._doors.keeper.access.headers, is_tls=request.secure)
        answer.headers.update(headers)
        return answer

    def log_exception(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- the library's
        """Log a fault of ours; what a client does wrong is none."""
        if not isinstance(kwargs.get("exc_info"), _CLIENTS_MISTAKES):
            super().log_exception(*args, **kwargs)

    def _set_timeout(self, seconds: float) -> None:
        self._clear_timeout()
        self._alarm = self._loop.call_later(seconds, self._on_timeout)

    def _clear_timeout(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _on_timeout(self) -> None:
        if self.transport is not None:
            self.transport.abort()


_SHUTDOWN_SECONDS = 2.0  # a scraper that holds its connection must not hold up the daemon's end
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class WebServer:
    """A server that is bound and answers. `port` is the one bound, also where 0 was asked for."""

    host: str
    port: int
    scheme: str
    _runner: web.AppRunner = field(repr=False)
    _connections: ConnectionManager = field(repr=False)

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"{self.scheme}://{_in_url(self.host)}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._connections.count

    async def close(self) -> None:
        """Free the address and end what is still being answered."""
        await self._runner.cleanup()


class _LimitedSite(web.BaseSite):
    """Connections of a TCP port, each of which is a `Door`."""

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, connections: ConnectionManager
    ) -> None:
        super().__init__(runner)
        self._where = host, port
        self._doors = connections
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
            loop.create_task(self._doors.accept_loop(each, served), name="accept connections")
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
    app: web.Application, host: str, port: int, connections: ConnectionManager | None = None
) -> WebServer:
    """Serve `app` at an address; port 0 takes a free one. Raises ListenError."""
    connections = ConnectionManager() if connections is None else connections
    app.middlewares.insert(0, _handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    site = _LimitedSite(runner, host, port, connections)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(
            f"cannot listen on {_in_url(host)}:{port}: {_describe_error(error)};"
            " stop what uses this address, or set web.listen to another"
        ) from error
    scheme = "http" if connections.keeper.context is None else "https"
    return WebServer(host, site.port, scheme, runner, connections)


@web.middleware
async def _handle(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    door = request.protocol
    assert isinstance(door, LimitedRequestHandler)  # noqa: S101 -- made by the site above
    with door.responding():
        return await handler(request)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _describe_error(error: OSError) -> str:
    """Return the system's own words, or those of name resolution, whose numbers are negative."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
