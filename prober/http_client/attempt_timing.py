"""Split an attempt's time into time on the wire and the prober's own time. Pure.

An attempt alternates between waiting for the network and working. The socket's events separate the
two. Wire time runs from a send to the arrival of a segment, and from one arrival to the next. Own
time runs from an arrival to the next send, and from the last arrival to the end of the attempt.

All times are nanoseconds of the monotonic clock and are passed in. The time of an arrival is the
kernel's timestamp if it can be trusted, otherwise the time of the read.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from prober.outcomes import TimingFallback

_NANOSECONDS = 1e-9


class Phase(StrEnum):
    """The parts of an attempt, in order."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    SEND = "send"
    WAIT = "wait"
    TRANSFER = "transfer"


@dataclass(slots=True)
class AttemptTiming:
    """The timing of one attempt, updated by the events of its socket.

    `began` is when the attempt started. `wire_nanoseconds` has an entry for each phase that has
    started. `bound_nanoseconds` is the largest possible error of their sum: the duration of the
    system calls that started them, and of reading two clocks. `late_nanoseconds` is the longest
    time between the arrival of data and the read that returned it. `whole` is set when the response
    is complete: later events of the socket do not belong to this attempt.
    """

    began: int
    tunnel_pending: bool = False
    phase: Phase = Phase.RESOLVE
    wire_nanoseconds: dict[Phase, int] = field(default_factory=dict)
    bound_nanoseconds: int = 0
    late_nanoseconds: int = 0
    fallback: TimingFallback | None = None
    request_sent: int | None = None
    request_bytes: int = 0
    reused: bool = False
    whole: bool = False
    _since: int = 0
    _was_send: bool = False
    _blocked: bool = False
    _ready: bool = False
    _request_begun: bool = False
    _arrived_after_send: bool = False
    _last_read: int = 0

    def looked_up(self, began: int, ended: int) -> None:
        """Record a name lookup, timed in the thread that did it."""
        self.wire_nanoseconds[Phase.RESOLVE] = ended - began

    def connecting(self, now: int) -> None:
        """Record that a socket starts to connect; only the first of several counts."""
        if self.phase is Phase.RESOLVE:
            # Zero without a lookup: the host is an IP address.
            self.wire_nanoseconds.setdefault(Phase.RESOLVE, 0)
            self._enter(Phase.CONNECT)
            self._since = now

    def connected(self, at: int, bound: int = 0) -> None:
        """Record that the SYN-ACK arrived at `at`."""
        if at > self._since:
            self.wire_nanoseconds[Phase.CONNECT] += at - self._since
            self._since = at
        self._was_send = False
        self.bound_nanoseconds += bound

    def tls_began(self) -> None:
        """Record the start of TLS to the API. TLS to a proxy, before its tunnel, is no phase."""
        if not self.tunnel_pending:
            self._enter(Phase.TLS)

    def tls_done(self) -> None:
        """Record the end of the TLS handshake: the request can be sent."""
        if self.phase is Phase.TLS:
            self._ready = True

    def tunnel_opened(self) -> None:
        """Record that the proxy has accepted CONNECT."""
        self.tunnel_pending = False

    def request_begins(self) -> None:
        """Record that all later sends belong to the request."""
        if self.tunnel_pending:
            return  # this is CONNECT, a part of connecting
        self._ready, self._request_begun = True, True
        if self.phase is Phase.RESOLVE:  # nothing was connected
            self.reused = True
        self._enter(Phase.SEND)

    def sent(self, before: int, after: int, count: int, *, blocked: bool) -> None:
        """Record a system call that sent `count` bytes; `blocked` if that is not all of it.

        `before` and `after` are the times around the call. `before` counts as the send time: a
        preempted process mostly loses its time at the end of the call, which wakes the receiver.
        """
        if self.whole or (self._ready and not self._request_begun):
            return  # the end of the TLS handshake, to which no response follows
        # The last send filled the kernel's buffer: the peer, and not the prober, was waited for.
        if self._was_send and self._blocked:
            self._wire_until(before)
        if self._request_begun:
            if self.request_sent is None:
                self.wire_nanoseconds[Phase.SEND] = 0
            self.request_bytes += count
            # Not in TRANSFER: a server may respond before it has read all of the request.
            if self.phase in {Phase.SEND, Phase.WAIT}:
                self.request_sent = before
                self._enter(Phase.SEND if blocked else Phase.WAIT)
        self._since = before
        self._was_send, self._blocked, self._arrived_after_send = True, blocked, False
        self.bound_nanoseconds += after - before

    def arrived(self, at: int, read: int, bound: int = 0) -> None:
        """Record data that arrived at `at` and was read at `read`; `bound` is the error of `at`."""
        if self.whole or (self._ready and self.request_sent is None):
            return  # TLS session tickets, or other data that is not a response
        self._last_read = read
        self.late_nanoseconds = max(self.late_nanoseconds, read - at)
        if at < self._since:
            return  # it had arrived before the last send, as session tickets do
        self._wire_until(at)
        self._was_send = False
        self._arrived_after_send = True
        self.bound_nanoseconds += bound

    def stream_ended(self, read: int) -> None:
        """Record that the server closed the connection, which ends a response without a length."""
        if self._request_begun and not self.whole:
            self.fall_back(TimingFallback.END_OF_STREAM)
            self.arrived(read, read)

    def head_arrived(self) -> None:
        """Record that the last arrival contained the end of the response head."""
        if self._request_begun:
            self._enter(Phase.TRANSFER)

    def fall_back(self, why: TimingFallback) -> None:
        """Record why a kernel timestamp is missing or not trusted; the first reason is kept."""
        if self.fallback is None:
            self.fallback = why

    def finished(self, *, out_of_order: bool = False) -> None:
        """Record that the response is complete."""
        # A response that arrived before the whole request was sent: its wait cannot be stated.
        if not self._arrived_after_send:
            self.fall_back(TimingFallback.STAMP_BEFORE_SEND)
        elif out_of_order:
            self.fall_back(TimingFallback.OUT_OF_ORDER)
        # Without a trusted timestamp, the last read is the latest time at which it had arrived.
        if self.fallback is not None:
            self._wire_until(self._last_read)

    def failed(self, at: int) -> None:
        """Record a failure at `at`; the time until then was spent waiting."""
        if self.phase is Phase.RESOLVE:
            self.wire_nanoseconds.setdefault(Phase.RESOLVE, at - self.began)
        else:
            self._wire_until(at)

    def waited_seconds(self, now: int) -> float:
        """Return how long ago the request was sent; 0.0 if it was not."""
        return 0.0 if self.request_sent is None else (now - self.request_sent) * _NANOSECONDS

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.wire_nanoseconds.setdefault(phase, 0)

    def _wire_until(self, at: int) -> None:
        """Add the time since the last event to the wire time of the current phase."""
        if at > self._since:
            phase = self.phase
            self.wire_nanoseconds[phase] = self.wire_nanoseconds.get(phase, 0) + at - self._since
            self._since = at
