"""The attempt of the current task, and how its connection is timed.

aiohttp and asyncio do not know about attempts. The sockets, TLS objects and protocols that they
create find the attempt through a context variable, because aiohttp may connect in separate tasks
(RFC 8305).

Event loop lag: with kernel timestamps, each read shows how late it is, and nothing more is needed.
Without them the loop is sampled. A stalled loop reads the clock late, so its lag during an attempt
is an upper bound of the error of that attempt's durations. A stall delays a sample, and is seen but
for the time before that sample was due, which is less than `SAMPLE_INTERVAL_SECONDS`.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from prober.http_client.attempt_timing import AttemptTiming, Phase
from prober.http_client.kernel_timing import TimedSocket, read_tcp_info
from prober.http_client.tcp_info import TcpInfo
from prober.models import Phases, TcpEvidence

_SECONDS_PER_NANOSECOND = 1e-9


@dataclass(slots=True)
class Attempt:
    """One attempt: its timing, the sockets that it created, and the connection that it uses.

    `sockets` are those that it connected: several if the name has several addresses, none if the
    connection was kept from an earlier attempt. `connection` is the one that carries the request.
    `needs_new_connection`: the request must not be sent on a kept connection. `has_response_bytes`:
    something was received after the start of the request, even if it is not a complete head.
    """

    timing: AttemptTiming
    sockets: list[TimedSocket] = field(default_factory=list)
    connection: TimedSocket | None = None
    tls_object: ssl.SSLObject | None = None
    remote_address: str | None = None
    evidence: TcpEvidence | None = None
    via_proxy: bool = False
    needs_new_connection: bool = False
    has_response_bytes: bool = False
    loop_lag_seconds: float = 0.0
    _before: TcpInfo | None = None
    _out_of_order: bool = False

    def use(self, connection: TimedSocket | None) -> None:
        """Use this connection for the request: one of `sockets`, or a kept one."""
        self.connection = connection
        if connection is None:
            return
        self.remote_address = connection.address
        if connection not in self.sockets:  # a kept connection
            connection.use_for(self.timing)
            # The kernel counts since the connection began; only what is added is this attempt's.
            self._before = connection.last_info
        self.timing.request_begins()

    def release(self, *, closing: bool = False) -> None:
        """Read TCP_INFO and detach from the connection, before anything else is sent on it."""
        # Closing a connection releases its attempt, and `end` does so again.
        connection, self.connection = self.connection, None
        if connection is None:
            return
        after = read_tcp_info(connection)
        if after is not None:
            self.evidence = _evidence(self._before, after, self._lost_addresses(connection))
            self._out_of_order = _count(after.out_of_order_segments) > _count(
                None if self._before is None else self._before.out_of_order_segments
            )
        connection.last_info = after
        if closing:
            # Not `use_for`: to switch off keep-alive would be a system call for nothing.
            connection.timing = None
        else:
            connection.use_for(None)

    def end(self, *, failed: bool) -> float:
        """End the attempt; return how long it took, in seconds."""
        now = time.perf_counter_ns()  # first, since reading TCP_INFO is no part of the attempt
        self.release()
        if failed:
            self.timing.failed(now)
        else:
            self.timing.finished(out_of_order=self._out_of_order)
        return (now - self.timing.began) * _SECONDS_PER_NANOSECOND

    @property
    def late_seconds(self) -> float:
        """The longest time between the arrival of data and its read."""
        return self.timing.late_nanoseconds * _SECONDS_PER_NANOSECOND

    def _lost_addresses(self, winner: TimedSocket) -> tuple[str, ...]:
        return tuple(each.address for each in self.sockets if each is not winner)


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def start_attempt(*, through_tunnel: bool = False, needs_new_connection: bool = False) -> Attempt:
    """Start an attempt for this task and the tasks that it creates.

    `through_tunnel`: a CONNECT request to a proxy comes first, as a part of connecting.
    """
    attempt = Attempt(
        AttemptTiming(time.perf_counter_ns(), tunnel_pending=through_tunnel),
        needs_new_connection=needs_new_connection,
    )
    # Never reset: each run has its own task, and a repeated request replaces it.
    _current.set(attempt)
    return attempt


def current_attempt() -> Attempt | None:
    """Return the attempt of this task, None outside of one."""
    return _current.get()


def phases_of(timing: AttemptTiming, total_seconds: float) -> Phases:
    """Return the wire time of each phase, and as `own` the rest of the total. Pure.

    A reused connection has no `resolve`, `connect` and `tls`.
    """
    took = timing.wire_nanoseconds

    def seconds(phase: Phase) -> float | None:
        nanoseconds = took.get(phase)
        return None if nanoseconds is None else nanoseconds * _SECONDS_PER_NANOSECOND

    return Phases(
        resolve=seconds(Phase.RESOLVE),
        connect=seconds(Phase.CONNECT),
        tls=seconds(Phase.TLS),
        send=seconds(Phase.SEND),
        wait=seconds(Phase.WAIT),
        transfer=seconds(Phase.TRANSFER),
        # Wire times come from two clocks: their sum may exceed the total by the error of both.
        own=max(0.0, total_seconds - sum(took.values()) * _SECONDS_PER_NANOSECOND),
    )


def timed_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Create a socket for aiohttp (`socket_factory` of its connector)."""
    family, kind, protocol, _, _ = address
    attempt = _current.get()
    sock = TimedSocket(family, kind, protocol, None if attempt is None else attempt.timing)
    if attempt is not None:
        attempt.sockets.append(sock)
    return sock


class TimingSSLObject(ssl.SSLObject):
    """A TLS object that records the end of its handshake."""

    timing: AttemptTiming | None = None

    def do_handshake(self) -> None:
        """See `ssl.SSLObject.do_handshake`, which raises until the handshake is complete."""
        super().do_handshake()
        if self.timing is not None:
            self.timing.tls_done()
            self.timing = None  # the connection may be kept for another attempt


class TimingSSLContext(ssl.SSLContext):
    """A TLS context that records the start of handshakes."""

    sslobject_class = TimingSSLObject

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 -- the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`."""
        tls_object = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        attempt = _current.get()
        if attempt is not None and isinstance(tls_object, TimingSSLObject):
            # An HTTPS proxy's TLS comes first; the API's, through its tunnel, replaces it.
            attempt.tls_object = tls_object
            attempt.timing.tls_began()
            tls_object.timing = attempt.timing
        return tls_object


def _evidence(before: TcpInfo | None, after: TcpInfo, lost: tuple[str, ...]) -> TcpEvidence:
    unsent = _count(after.unsent_bytes)
    return TcpEvidence(
        rtt_seconds=after.rtt_seconds,
        retransmissions=after.retransmissions - (0 if before is None else before.retransmissions),
        acknowledged=after.unacknowledged_segments == 0 and unsent == 0,
        # An acknowledgement proves as well as data that packets still come from there.
        since_received_seconds=min(
            after.since_ack_received_seconds, after.since_data_received_seconds
        ),
        since_data_seconds=after.since_data_received_seconds,
        lost_addresses=lost,
    )


def _count(number: int | None) -> int:
    return number or 0


SAMPLE_INTERVAL_SECONDS = 0.02  # a sample costs a sixth of a probe when the loop is mostly idle


@dataclass(slots=True)
class LagWindow:
    """The largest lag while this window was open, without stalls before it was opened."""

    opened_at: float
    max_seconds: float = 0.0

    def observe(self, due: float, now: float) -> None:
        """Record a callback that was due at `due` and ran at `now`."""
        self.max_seconds = max(self.max_seconds, now - max(due, self.opened_at))


class EventLoopLagMonitor:
    """Samples the lag of the running event loop and updates all open windows."""

    def __init__(self, on_sample: Callable[[float], None] = lambda _: None) -> None:
        self._on_sample = on_sample
        self._open: dict[int, LagWindow] = {}  # by identity: windows with equal values are equal
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Start sampling; must be called in a running loop."""
        self._due = time.perf_counter() + SAMPLE_INTERVAL_SECONDS
        self._handle = asyncio.get_running_loop().call_later(SAMPLE_INTERVAL_SECONDS, self._tick)

    def stop(self) -> None:
        """Stop sampling; open windows keep what they have seen."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def observe(self, lag_seconds: float) -> None:
        """Report a lag that a read has shown, unless the loop is sampled."""
        if self._handle is None:
            self._on_sample(lag_seconds)

    def open(self) -> LagWindow:
        """Return a window that sees all samples until it is closed."""
        window = LagWindow(time.perf_counter())
        self._open[id(window)] = window
        return window

    def close(self, window: LagWindow) -> None:
        """Close a window; a sample that is overdue now still counts."""
        del self._open[id(window)]
        if self._handle is not None:
            window.observe(self._due, time.perf_counter())

    def _tick(self) -> None:
        now = time.perf_counter()
        for window in self._open.values():
            window.observe(self._due, now)
        # A timer may run early, by as much as the resolution of the event loop's clock.
        self._on_sample(max(0.0, now - self._due))
        # From now on: samples that a stall has delayed are not made up for.
        self.start()
