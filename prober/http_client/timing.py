"""The attempt that a task makes, and what of its connection is timed.

aiohttp and asyncio know nothing of an attempt: the sockets that they make, the TLS objects, and the
protocol of a connection find it through a context variable, since connecting may run in tasks of
its own (RFC 8305).

How late the event loop is: where the kernel stamps arrivals, each read tells how late it came, and
nothing more is needed. Elsewhere the loop is sampled: one that is stalled reads the clock late, so
its lag during an attempt is an upper bound of the error of that attempt's durations. A stall is
seen by the sample that it delays: all of it but what passed before that sample was due, less than
`SAMPLE_INTERVAL_SECONDS`.
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
    """One attempt: its moments, the sockets that it made, and the connection that it uses.

    `sockets` are those that it connected, several where a name has several addresses; none on a
    connection that was there before. `connection` is the one that carries the request.
    `needs_new_connection`: the request must not be sent on a kept connection. `has_response_bytes`:
    something was received after the request was begun, even if it is no complete head.
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
        """Send the request on this connection: one of our own sockets, or one that is kept."""
        self.connection = connection
        if connection is None:
            return
        self.remote_address = connection.address
        if connection not in self.sockets:
            connection.use_for(self.timing)
            self._before = connection.last_info
        self.timing.request_begins()

    def let_go(self, *, closing: bool = False) -> None:
        """Take down what the kernel knows of the connection, before anything else is sent on it."""
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
            connection.timing = None
        else:
            connection.use_for(None)

    def end(self, *, failed: bool) -> float:
        """End the attempt; return how long it took, in seconds."""
        now = time.perf_counter_ns()
        self.let_go()
        if failed:
            self.timing.failed(now)
        else:
            self.timing.finished(out_of_order=self._out_of_order)
        return (now - self.timing.began) * _SECONDS_PER_NANOSECOND

    @property
    def late_seconds(self) -> float:
        """How late the event loop read what had arrived, at worst."""
        return self.timing.late_nanoseconds * _SECONDS_PER_NANOSECOND

    def _lost_addresses(self, winner: TimedSocket) -> tuple[str, ...]:
        return tuple(each.address for each in self.sockets if each is not winner)


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def start_attempt(*, through_tunnel: bool = False, needs_new_connection: bool = False) -> Attempt:
    """Start an attempt; what this task, and the tasks that it begins, do belongs to it.

    `through_tunnel`: a proxy is asked by CONNECT first, which is part of connecting.
    """
    attempt = Attempt(
        AttemptTiming(time.perf_counter_ns(), tunnel_pending=through_tunnel),
        needs_new_connection=needs_new_connection,
    )
    _current.set(attempt)
    return attempt


def current_attempt() -> Attempt | None:
    """Return the attempt that this task, or the one that began it, makes."""
    return _current.get()


def phases_of(timing: AttemptTiming, total_seconds: float) -> Phases:
    """Return what each phase took on the wire, and as `own` all the rest of the total. Pure.

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
        own=max(0.0, total_seconds - sum(took.values()) * _SECONDS_PER_NANOSECOND),
    )


def timed_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Create the socket that aiohttp asks for."""
    family, kind, protocol, _, _ = address
    attempt = _current.get()
    made = TimedSocket(family, kind, protocol, None if attempt is None else attempt.timing)
    if attempt is not None:
        attempt.sockets.append(made)
    return made


class TimingSSLObject(ssl.SSLObject):
    """TLS on one connection, which tells where its handshake ends."""

    timing: AttemptTiming | None = None

    def do_handshake(self) -> None:
        """See `ssl.SSLObject.do_handshake`: it raises until the handshake is over."""
        super().do_handshake()
        if self.timing is not None:
            self.timing.tls_done()
            self.timing = None


class TimingSSLContext(ssl.SSLContext):
    """A TLS context that tells where handshakes begin."""

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
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        attempt = _current.get()
        if attempt is not None and isinstance(made, TimingSSLObject):
            attempt.tls_object = made
            attempt.timing.tls_began()
            made.timing = attempt.timing
        return made


def _evidence(before: TcpInfo | None, after: TcpInfo, lost: tuple[str, ...]) -> TcpEvidence:
    unsent = _count(after.unsent_bytes)
    return TcpEvidence(
        rtt_seconds=after.rtt_seconds,
        retransmissions=after.retransmissions - (0 if before is None else before.retransmissions),
        acknowledged=after.unacknowledged_segments == 0 and unsent == 0,
        since_heard_seconds=min(
            after.since_ack_received_seconds, after.since_data_received_seconds
        ),
        since_data_seconds=after.since_data_received_seconds,
        lost_addresses=lost,
    )


def _count(number: int | None) -> int:
    return number or 0


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

    def observe(self, lag_seconds: float) -> None:
        """Pass on a lag that a read has shown, unless the loop is sampled."""
        if self._handle is None:
            self._on_sample(lag_seconds)

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
