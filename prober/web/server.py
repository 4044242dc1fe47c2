"""The web server's listening sockets and connections, with limits on their number and on time.

Sockets are accepted here and not by asyncio's own server. TLS handshakes then count as connections,
and each connection uses the certificate that is current when it is made.
"""

import asyncio
import errno
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
"""How much a client may send before it gets a response: heads, bodies, and what has no content,
such as chunk extensions (RFC 9112, 7.1.1)."""
RESERVED_CONNECTIONS = 16
"""Reserved for addresses without any connection, so that health checks and scrapes get through."""
# What reading a request raises when the client breaks the protocol.
_CLIENT_ERRORS = (
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
    """Limits on the number of connections, and timeouts of each.

    One address has at most `share_of_address` of them.

    `header_timeout_seconds` is for the TLS handshake, and then for each request's head;
    `write_timeout_seconds` for a client that reads slowly, from when sending has to wait until
    nearly everything is sent. Over TLS, asyncio reports a wait only at the next write: the last
    response of a connection has `idle_timeout_seconds` to be read.
    """

    connections: int = 512
    share_of_address: float = 0.5
    header_timeout_seconds: float = 10.0
    idle_timeout_seconds: float = 75.0
    write_timeout_seconds: float = 60.0


class ConnectionManager:
    """All connections of one server."""

    def __init__(
        self, web_config: WebConfigReloader | None = None, limits: ConnectionLimits | None = None
    ) -> None:
        self.web_config = web_config or WebConfigReloader()
        self.limits = limits or ConnectionLimits()
        self._open: dict[LimitedRequestHandler, str] = {}
        self._of_address: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    async def accept_loop(self, listener: socket.socket, server: web.Server) -> None:
        """Accept connections until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener)
            except OSError:  # out of file descriptors, or the client has disconnected
                await asyncio.sleep(_AFTER_AN_ERROR_SECONDS)
                continue
            address = client_network(str(peer[0]))
            if not self._has_room_for(address):
                self._reject(accepted)
                continue
            connection = LimitedRequestHandler(self, server, loop)
            self._open[connection] = address
            self._of_address[address] += 1
            task = loop.create_task(self._handshake(accepted, connection), name="new connection")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def on_closed(self, connection: "LimitedRequestHandler") -> None:
        """Remove a connection that was closed."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _has_room_for(self, address: str) -> bool:
        """Return whether an address may have one more connection.

        An address without any connection may use the last free one; others must leave the reserved
        ones, and stay within the share of one address.
        """
        limit, own = self.limits.connections, self._of_address[address]
        if own == 0:
            return self.count < limit
        reserved = min(RESERVED_CONNECTIONS, limit // 4)
        share = max(1, int(limit * self.limits.share_of_address))
        return self.count < limit - reserved and own < share

    def close(self) -> None:
        """Cancel handshakes; connections with requests are closed by the server."""
        for task in list(self._handshakes):
            task.cancel()

    async def _handshake(
        self, accepted: socket.socket, connection: "LimitedRequestHandler"
    ) -> None:
        loop, context = asyncio.get_running_loop(), self.web_config.context
        limit = None if context is None else self.limits.header_timeout_seconds
        try:
            await loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=context, ssl_handshake_timeout=limit
            )
        except OSError:  # the client's mistake: no certificate, or no TLS at all
            self.on_closed(connection)
        except asyncio.CancelledError:
            self.on_closed(connection)
            raise

    def _reject(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            if self.web_config.context is None:
                accepted.send(_FULL)


class LimitedRequestHandler(web.RequestHandler):
    """One connection."""

    def __init__(
        self, manager: ConnectionManager, server: web.Server, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as the library's own runner takes it
            keepalive_timeout=manager.limits.idle_timeout_seconds,
            lingering_time=0,  # what was refused is not read to its end
        )
        self._connection_manager = manager
        self._reads_head = False
        self._requests = 0
        self._unanswered_bytes = 0
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._write_timeout_handle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, after the TLS handshake if there is one."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if san_allowed(self._connection_manager.web_config.access.tls, certificate):
            self._set_timeout(self._connection_manager.limits.header_timeout_seconds)
        else:
            self._on_timeout()

    def data_received(self, data: bytes) -> None:
        """Receive data; from its first byte on, a request's head must arrive within the timeout."""
        self._unanswered_bytes += len(data)
        if self._unanswered_bytes > MAX_UNANSWERED_BYTES:
            self._on_timeout()
            return
        if not (self._reads_head or self._requests):
            self._reads_head = True
            self._set_timeout(self._connection_manager.limits.header_timeout_seconds)
        super().data_received(data)

    @contextmanager
    def responding(self) -> Iterator[None]:
        """Suspend the timeout while a response is produced."""
        self._requests += 1
        self._reads_head = False
        self._clear_timeout()
        try:
            yield
        finally:
            self._requests -= 1
            self._unanswered_bytes = 0
            self._set_timeout(self._connection_manager.limits.idle_timeout_seconds)

    def pause_writing(self) -> None:
        """Wait for a slow reader, but not forever: unsent data is held in memory."""
        super().pause_writing()
        self._write_timeout_handle = self._loop.call_later(
            self._connection_manager.limits.write_timeout_seconds, self._on_timeout
        )

    def resume_writing(self) -> None:
        """Continue to send."""
        super().resume_writing()
        if self._write_timeout_handle is not None:
            self._write_timeout_handle.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Clear the timeouts and remove the connection."""
        self._clear_timeout()
        if self._write_timeout_handle is not None:
            self._write_timeout_handle.cancel()
        self._connection_manager.on_closed(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to invalid HTTP without a log line, with the headers of all responses."""
        if status == web.HTTPBadRequest.status_code or isinstance(exc, _CLIENT_ERRORS):
            response: web.StreamResponse = web.Response(status=400, text="invalid HTTP request\n")
            response.force_close()
        else:
            response = super().handle_error(request, status, exc, message)
        headers = response_headers(
            self._connection_manager.web_config.access.headers, is_tls=request.secure
        )
        response.headers.update(headers)
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- the library's
        """Log errors of the server, not those of clients."""
        if not isinstance(kwargs.get("exc_info"), _CLIENT_ERRORS):
            super().log_exception(*args, **kwargs)

    def _set_timeout(self, seconds: float) -> None:
        self._clear_timeout()
        self._timeout_handle = self._loop.call_later(seconds, self._on_timeout)

    def _clear_timeout(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()

    def _on_timeout(self) -> None:
        if self.transport is not None:
            self.transport.abort()


_SHUTDOWN_SECONDS = 2.0  # a scraper that keeps its connection open must not delay the exit
_BACKLOG = 128
_PORT_ATTEMPTS = 8
_FAMILY_IS_MISSING = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True)
class WebServer:
    """A running server. `port` is the bound port, also if 0 was requested.

    `local_host` is the address at which the same machine reaches it.
    """

    host: str
    port: int
    scheme: str
    local_host: str
    _runner: web.AppRunner = field(repr=False)
    _connections: ConnectionManager = field(repr=False)

    @property
    def url(self) -> str:
        """The address of the server; the one on this machine if it has all."""
        return f"{self.scheme}://{_in_url(self.host or self.local_host)}:{self.port}"

    @property
    def local_url(self) -> str:
        """The address at which the same machine reaches the server."""
        return f"{self.scheme}://{_in_url(self.local_host)}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._connections.count

    async def close(self) -> None:
        """Stop listening and cancel the requests that are in progress."""
        await self._runner.cleanup()


class _LimitedSite(web.BaseSite):
    """A listening TCP port whose connections are `LimitedRequestHandler`s."""

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, connections: ConnectionManager
    ) -> None:
        super().__init__(runner)
        self._where = host, port
        self._connection_manager = connections
        self._listeners: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        return f"{self._where[0]}:{self._where[1]}"

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._listeners[0].getsockname()[1])

    @property
    def local_host(self) -> str:
        """The address at which the same machine reaches the server."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- as configured
        bound = str(self._listeners[0].getsockname()[0])
        return loopback.get(bound, bound)

    async def start(self) -> None:
        await super().start()
        loop, served = asyncio.get_running_loop(), self._runner.server
        assert served is not None  # noqa: S101 -- the runner has been set up
        host, port = self._where
        if host:
            found = await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in dict.fromkeys(found):
                self._listeners.append(_bound(family, address))
        else:
            self._listeners = _bound_to_all(port)
        self._tasks = [
            loop.create_task(
                self._connection_manager.accept_loop(each, served), name="accept connections"
            )
            for each in self._listeners
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._connection_manager.close()
        await super().stop()


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Return a listening socket; raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 gets a socket of its own
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _bound_to_all(port: int) -> list[socket.socket]:
    """Return listening sockets for all addresses of IPv4 and IPv6; raises OSError.

    A kernel may lack one of the two. With port 0 both get the same one, which is free for both.
    """
    for attempts_left in reversed(range(_PORT_ATTEMPTS)):
        listeners: list[socket.socket] = []
        wanted = port
        try:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
                try:
                    listeners.append(_bound(family, (host, wanted)))
                except OSError as error:
                    if error.errno not in _FAMILY_IS_MISSING:
                        raise
                else:
                    wanted = listeners[0].getsockname()[1]
        except OSError:
            for listener in listeners:
                listener.close()
            if port == 0 and attempts_left:
                continue
            raise
        if listeners:
            return listeners
    raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))


async def listen(
    app: web.Application,
    host: str,
    port: int,
    connections: ConnectionManager | None = None,
    *,
    setting: str = "web.listen",
) -> WebServer:
    """Serve `app` at an address; port 0 means any free one. Raises ListenError.

    An empty host means every address. `setting` is what sets the address, for the error.
    """
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
            f" stop what uses this address, or set {setting} to another"
        ) from error
    scheme = "http" if connections.web_config.context is None else "https"
    return WebServer(host, site.port, scheme, site.local_host, runner, connections)


@web.middleware
async def _handle(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    connection = request.protocol
    assert isinstance(connection, LimitedRequestHandler)  # noqa: S101 -- as `_LimitedSite` makes them
    with connection.responding():
        return await handler(request)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _describe_error(error: OSError) -> str:
    """Return the text of a system error, or of name resolution, whose numbers are negative."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
