"""Moments of one attempt, marked by hooks of aiohttp, asyncio and ssl, and their arithmetic.

The hooks are public: the connector's `connect` and its `socket_factory`, the session's
`request_class`, and `wrap_bio` of an `ssl.SSLContext` subclass. (`aiohttp.TraceConfig` knows as
much, and costs a sixth of a request on a kept connection.) They find the attempt through a context
variable, since connecting may run in tasks of its own (RFC 8305).
"""

import socket
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from prober.model import Phases


@dataclass(slots=True)
class Moments:
    """When each phase began, on the monotonic clock, and what was met on the way.

    `connect`, `tls`, `send`, `wait`, `transfer` are None until their phase begins; `resolve`
    begins with the attempt. `arrived` is when the last bytes came, before anybody looked at them.
    """

    resolve: float
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    transfer: float | None = None
    arrived: float | None = None
    reused: bool = False
    tcp_socket: socket.socket | None = None
    tls_object: ssl.SSLObject | None = None
    remote_address: str | None = None

    @property
    def phase(self) -> str:
        """Return the name of the phase that is under way."""
        for name in ("transfer", "wait", "send", "tls", "connect"):
            if getattr(self, name) is not None:
                return name
        return "resolve"


_current: ContextVar[Moments | None] = ContextVar("moments", default=None)


def begin_attempt() -> Moments:
    """Start the clock of an attempt; the hooks of this task mark its moments."""
    moments = Moments(resolve=time.perf_counter())
    _current.set(moments)
    return moments


def current_attempt() -> Moments | None:
    """Return the moments of the attempt that this task, or the one that began it, makes."""
    return _current.get()


def phases_until(moments: Moments, end: float) -> Phases:
    """Return the phases up to `end`; they add up to `end - moments.resolve`. Pure.

    A phase ends where the next one that took place begins; the last one ends with the attempt. A
    reused connection has no resolve, connect and tls: its attempt begins with sending.
    """
    if moments.reused:
        resolve = connect = tls = None
        send: float | None = moments.resolve
    else:
        resolve, connect, tls, send = moments.resolve, moments.connect, moments.tls, moments.send
    begun = [resolve, connect, tls, send, moments.wait, moments.transfer]
    took: list[float | None] = [None] * len(begun)
    until = end
    for index in range(len(begun) - 1, -1, -1):
        at = begun[index]
        if at is not None:
            took[index] = max(0.0, until - at)
            until = at
    return Phases(*took)


def timed_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Create the socket that aiohttp asks for, and mark where TCP begins."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    moments = _current.get()
    if moments is not None:
        moments.tcp_socket = made
        if moments.connect is None:
            moments.connect = time.perf_counter()
    return made


class TimedTlsContext(ssl.SSLContext):
    """A TLS context that marks where the handshake begins."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 -- the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        moments = _current.get()
        if moments is not None:
            moments.tls_object = made
            if moments.tls is None:
                moments.tls = time.perf_counter()
        return made


class TimedConnector(aiohttp.TCPConnector):
    """A connector that marks where connecting, TLS included, is over."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- aiohttp's signature
    ) -> Connection:
        """See `aiohttp.BaseConnector.connect`."""
        moments = _current.get()
        if moments is not None and moments.send is None:
            moments.resolve = time.perf_counter()  # what aiohttp took until here is no network
        connection = await super().connect(req, traces, timeout)
        if moments is not None:
            moments.send = time.perf_counter()
            if moments.tcp_socket is None:
                moments.reused = True
            else:
                moments.remote_address = _peer(moments.tcp_socket)
        return connection


class TimedRequest(aiohttp.ClientRequest):
    """A request that marks where it has been handed to the system, its body included."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientRequest.send`."""
        response = await super().send(conn)
        _mark_sent()
        return response

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """See `aiohttp.ClientRequest.write_bytes`; runs beside the wait for an answer."""
        await super().write_bytes(writer, conn, content_length)
        _mark_sent()


def _mark_sent() -> None:
    moments = _current.get()
    if moments is not None and moments.transfer is None:
        moments.wait = time.perf_counter()


def _peer(connected: socket.socket | None) -> str | None:
    if connected is None:
        return None
    try:
        host, port = connected.getpeername()[:2]
    except OSError:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
