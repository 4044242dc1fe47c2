"""How long each part of an attempt took on the wire, and how long the prober itself took. Pure.

An attempt alternates between waiting for the network and working. What the socket saw is enough to
tell them apart: from a send to the arrival of a segment, and from one arrival to the next, time
passes on the wire; from an arrival to the next send, and from the last arrival to the moment at
which the attempt ends, it is the prober's own.

All moments are nanoseconds of the monotonic clock and passed in. Arrivals are the kernel's stamps
where they can be trusted, and else the moment of the read.
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
    """Collects the moments of one attempt.

    `wire_nanoseconds` holds each phase that has begun. `bound_nanoseconds` is the greatest possible
    error of their sum: what the system calls that began them took, and the reading of two clocks.
    `late_nanoseconds` is how late the latest read came after the arrival of what it read. `whole`:
    the response is complete, so nothing that the socket sees belongs to it any more.
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
        """Take note of a name's lookup, timed in the thread that did it."""
        self.wire_nanoseconds[Phase.RESOLVE] = ended - began

    def connecting(self, now: int) -> None:
        """Take note that the first of possibly several sockets connects."""
        if self.phase is Phase.RESOLVE:
            self.wire_nanoseconds.setdefault(Phase.RESOLVE, 0)
            self._enter(Phase.CONNECT)
            self._since = now

    def connected(self, at: int, bound: int = 0) -> None:
        """Take note that the TCP handshake's answer arrived at `at`."""
        if at > self._since:
            self.wire_nanoseconds[Phase.CONNECT] += at - self._since
            self._since = at
        self._was_send = False
        self.bound_nanoseconds += bound

    def tls_began(self) -> None:
        """Take note that TLS to the API begins; with a proxy that has opened its tunnel."""
        if not self.tunnel_pending:
            self._enter(Phase.TLS)

    def tls_done(self) -> None:
        """Take note that the request could be sent from now on, as far as TLS is concerned."""
        if self.phase is Phase.TLS:
            self._ready = True

    def tunnel_opened(self) -> None:
        """Take note that the proxy has answered CONNECT."""
        self.tunnel_pending = False

    def request_begins(self) -> None:
        """Take note that what is sent from now on is the request."""
        if self.tunnel_pending:
            return
        self._ready, self._request_begun = True, True
        if self.phase is Phase.RESOLVE:
            self.reused = True
        self._enter(Phase.SEND)

    def sent(self, before: int, after: int, count: int, *, blocked: bool) -> None:
        """Take note of a system call that sent `count` bytes, or fewer than it was to: `blocked`.

        `before` counts as the moment of sending: a process that gives way to another does so
        mostly when the call is over, since sending wakes whoever waits for the data.
        """
        if self.whole or (self._ready and not self._request_begun):
            return  # the end of a handshake: nobody waits for an answer to it
        if self._was_send and self._blocked:
            self._wire_until(before)
        if self._request_begun:
            if self.request_sent is None:
                self.wire_nanoseconds[Phase.SEND] = 0
            self.request_bytes += count
            if self.phase in {Phase.SEND, Phase.WAIT}:
                self.request_sent = before
                self._enter(Phase.SEND if blocked else Phase.WAIT)
        self._since = before
        self._was_send, self._blocked, self._arrived_after_send = True, blocked, False
        self.bound_nanoseconds += after - before

    def arrived(self, at: int, read: int, bound: int = 0) -> None:
        """Take note of data that arrived at `at` and was read at `read`."""
        if self.whole or (self._ready and self.request_sent is None):
            return  # session tickets, or whatever nobody asked for
        self._last_read = read
        self.late_nanoseconds = max(self.late_nanoseconds, read - at)
        if at < self._since:
            return  # it was here before the last send, as tickets are
        self._wire_until(at)
        self._was_send = False
        self._arrived_after_send = True
        self.bound_nanoseconds += bound

    def stream_ended(self, read: int) -> None:
        """Take note that the far end has closed, which ends a response without a length."""
        if self._request_begun and not self.whole:
            self.fall_back(TimingFallback.END_OF_STREAM)
            self.arrived(read, read)

    def head_arrived(self) -> None:
        """Take note that the last arrival held the end of the response's head."""
        if self._request_begun:
            self._enter(Phase.TRANSFER)

    def fall_back(self, why: TimingFallback) -> None:
        """Take note that a moment could not be had from the kernel; the first reason stays."""
        if self.fallback is None:
            self.fallback = why

    def finished(self, *, out_of_order: bool = False) -> None:
        """End with a whole response."""
        if not self._arrived_after_send:
            self.fall_back(TimingFallback.STAMP_BEFORE_SEND)
        elif out_of_order:
            self.fall_back(TimingFallback.OUT_OF_ORDER)
        if self.fallback is not None:
            self._wire_until(self._last_read)

    def failed(self, at: int) -> None:
        """End at `at`, having waited until then for what did not come."""
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
        """Count the time since the last event to the wire."""
        if at > self._since:
            phase = self.phase
            self.wire_nanoseconds[phase] = self.wire_nanoseconds.get(phase, 0) + at - self._since
            self._since = at
