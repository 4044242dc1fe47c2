"""Moments of one attempt, marked by hooks of aiohttp, asyncio and ssl, and their arithmetic.

The hooks are public: the connector's `connect` and its `socket_factory`, the session's
`request_class`, and `wrap_bio` of an `ssl.SSLContext` subclass. (`aiohttp.TraceConfig` knows as
much, and costs a sixth of a request on a kept connection.) They find the attempt through a context
variable, since connecting may run in tasks of its own (RFC 8305).

How late the event loop is: the doubt that every measurement carries.

A stalled loop reads the clock late, so the loop's lag during an attempt is an upper bound of the
error of its durations. A stall is seen by the sample that it delays: all of it but what passed
before that sample was due, less than `SAMPLE_INTERVAL_SECONDS`.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from prober.models import Phases


@dataclass(slots=True)
class RequestTimings:
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


_current: ContextVar[RequestTimings | None] = ContextVar("moments", default=None)


def start_timing() -> RequestTimings:
    """Start the clock of an attempt; the hooks of this task mark its moments."""
    moments = RequestTimings(resolve=time.perf_counter())
    _current.set(moments)
    return moments


def current_attempt() -> RequestTimings | None:
    """Return the moments of the attempt that this task, or the one that began it, makes."""
    return _current.get()


def phases_until(moments: RequestTimings, end: float) -> Phases:
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


class TimingSSLContext(ssl.SSLContext):
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


SAMPLE_INTERVAL_SECONDS = 0.02  # a sample costs a sixth of a probe, in a loop that sleeps more


@dataclass(slots=True)
class LagWindow:
    """The greatest lag seen while this watch was open; a stall before it was is not its own."""

    opened_at: float
    max_seconds: float = 0.0

    def observe(self, due: float, now: float) -> None:
        """Take note that the loop was due at `due` and came at `now`."""
        self.max_seconds = max(self.max_seconds, now - max(due, self.opened_at))


class EventLoopLagMonitor:
    """Samples the running loop's lag continuously and tells it to all open watches."""

    def __init__(self, on_sample: Callable[[float], None] = lambda _: None) -> None:
        self._on_sample = on_sample
        self._open: dict[int, LagWindow] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to sample; must be called in a running loop."""
        self._due = time.perf_counter() + SAMPLE_INTERVAL_SECONDS
        self._handle = asyncio.get_running_loop().call_later(SAMPLE_INTERVAL_SECONDS, self._tick)

    def stop(self) -> None:
        """Stop sampling; open watches keep what they have seen."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def open(self) -> LagWindow:
        """Return a watch that sees all until it is closed."""
        watch = LagWindow(time.perf_counter())
        self._open[id(watch)] = watch
        return watch

    def close(self, watch: LagWindow) -> None:
        """Let a watch see no more; of a tick that is overdue right now it takes note."""
        del self._open[id(watch)]
        if self._handle is not None:
            watch.observe(self._due, time.perf_counter())

    def _tick(self) -> None:
        now = time.perf_counter()
        for watch in self._open.values():
            watch.observe(self._due, now)
        self._on_sample(max(0.0, now - self._due))
        self.start()
