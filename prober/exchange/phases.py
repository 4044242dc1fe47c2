"""The attempt that a task makes, and what of its connection is timed.

aiohttp and asyncio know nothing of an attempt: the sockets that they make, the TLS objects, and the
protocol of a connection find it through a context variable, since connecting may run in tasks of
its own (RFC 8305).
"""

import socket
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from prober.http_client.attempt_timing import AttemptTiming, Phase
from prober.http_client.kernel_timing import TimedSocket, read_tcp_info
from prober.http_client.tcp_info import TcpInfo
from prober.model import Phases, TcpEvidence

_SECONDS_PER_NANOSECOND = 1e-9


@dataclass(slots=True)
class Attempt:
    """One attempt: its moments, the sockets that it made, and the connection that it uses.

    `sockets` are those that it connected, several where a name has several addresses; none on a
    connection that was there before. `connection` is the one that carries the request.
    """

    timing: AttemptTiming
    sockets: list[TimedSocket] = field(default_factory=list)
    connection: TimedSocket | None = None
    tls_object: ssl.SSLObject | None = None
    remote_address: str | None = None
    evidence: TcpEvidence | None = None
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

    def let_go(self) -> None:
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
        if connection.fileno() >= 0:
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

    def _lost_addresses(self, winner: TimedSocket) -> tuple[str, ...]:
        return tuple(each.address for each in self.sockets if each is not winner)


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def begin_attempt(*, through_tunnel: bool = False) -> Attempt:
    """Begin an attempt; what this task, and the tasks that it begins, do belongs to it.

    `through_tunnel`: a proxy is asked by CONNECT first, which is part of connecting.
    """
    attempt = Attempt(AttemptTiming(time.perf_counter_ns(), tunnel_pending=through_tunnel))
    _current.set(attempt)
    return attempt


def current_attempt() -> Attempt | None:
    """Return the attempt that this task, or the one that began it, makes."""
    return _current.get()


def phases_of(timing: AttemptTiming, total_seconds: float) -> Phases:
    """Return what each phase took on the wire, and as `own` all the rest of the total. Pure.

    A reused connection has no `resolve`, `connect` and `tls`.
    """
    took = {
        phase: nanoseconds * _SECONDS_PER_NANOSECOND
        for phase, nanoseconds in timing.wire_nanoseconds.items()
    }
    own = max(0.0, total_seconds - sum(took.values()))
    return Phases(**{phase.value: took.get(phase) for phase in Phase}, own=own)


def timed_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Create the socket that aiohttp asks for."""
    family, kind, protocol, _, _ = address
    attempt = _current.get()
    made = TimedSocket(family, kind, protocol, None if attempt is None else attempt.timing)
    if attempt is not None:
        attempt.sockets.append(made)
    return made


class TimedTlsObject(ssl.SSLObject):
    """TLS on one connection, which tells where its handshake ends."""

    timing: AttemptTiming | None = None

    def do_handshake(self) -> None:
        """See `ssl.SSLObject.do_handshake`: it raises until the handshake is over."""
        super().do_handshake()
        if self.timing is not None:
            self.timing.tls_done()
            self.timing = None


class TimedTlsContext(ssl.SSLContext):
    """A TLS context that tells where handshakes begin."""

    sslobject_class = TimedTlsObject

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
        if attempt is not None and isinstance(made, TimedTlsObject):
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
