"""A socket with kernel timestamps of arrivals, so that a busy event loop distorts no measurement.

asyncio's selector transports call the methods of the socket object, for TLS too, so a subclass sees
each system call of a connection. With SO_TIMESTAMPING (Linux, Documentation/networking/
timestamping.rst) each read also returns when the last segment that it consumed arrived at this
machine. No privilege is needed. Where the option is refused, the time of the read is used.
"""

import select
import socket
import struct
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prober.http_client.attempt_timing import AttemptTiming
from prober.http_client.tcp_info import TCP_INFO_BYTES, TcpInfo, parse_tcp_info
from prober.outcomes import TimingFallback

_SO_TIMESTAMPING = 37  # asm-generic/socket.h; Python has no name for it
# Of the kernel and not of the network card, which has a clock of its own.
_RX_SOFTWARE_AND_REPORT = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(3 * _TIMESPEC.size)
_SECOND = 1_000_000_000

KEEPALIVE_IDLE_SECONDS = 1
KEEPALIVE_INTERVAL_SECONDS = 1
_KEEPALIVE_PROBES = 127  # the maximum: the probe's timeout decides, not TCP
_KEEPALIVE_OPTIONS = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    )
    if hasattr(socket, name)
)

_TRIALS = 50
_TRIAL_SECONDS = 0.002

_CLOCK_TRIES = 3
_CLOCK_WIDTH_NANOSECONDS = 5_000  # close enough to count as the same time
_STEP_NANOSECONDS = 100_000
"""A larger change between system clock and monotonic clock means that the system clock was set."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at the same time, in nanoseconds. `width` is how long reading them took."""

    monotonic: int
    realtime: int
    width: int = 0

    @property
    def offset(self) -> int:
        """Return by how much the system clock is ahead of the monotonic one."""
        return self.realtime - self.monotonic


def read_clocks() -> ClockReading:
    """Return the narrowest of a few readings: the process may be preempted between the clocks."""
    best: ClockReading | None = None
    for _ in range(_CLOCK_TRIES):
        # The system clock between two readings of the other: its time is at their middle.
        before = time.perf_counter_ns()
        realtime = time.time_ns()
        after = time.perf_counter_ns()
        if best is None or after - before < best.width:
            best = ClockReading((before + after) // 2, realtime, after - before)
        if best.width <= _CLOCK_WIDTH_NANOSECONDS:
            break
    assert best is not None  # noqa: S101 -- the loop runs at least once
    return best


def stamp_of(ancillary: Iterable[tuple[int, int, bytes]]) -> int | None:
    """Return the kernel's receive timestamp in nanoseconds of the system clock, None without one.

    The message holds three `struct timespec`; the first is the software timestamp. Zero means none.
    """
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return (seconds * _SECOND + nanoseconds) or None
    return None


def monotonic_of(
    stamp: int | None, clocks: ClockReading, reference: ClockReading
) -> int | TimingFallback:
    """Convert a timestamp of the system clock to the monotonic clock, or return why not. Pure.

    `clocks` were read just after the data, `reference` when the attempt started to send. Both
    clocks run at the same rate (adjtime slews both), so a different offset means that the system
    clock was set in between, and it is not known which of the two offsets the timestamp has.
    """
    if stamp is None:
        return TimingFallback.MISSING_STAMP
    if abs(clocks.offset - reference.offset) > _STEP_NANOSECONDS + clocks.width + reference.width:
        return TimingFallback.CLOCK_STEPPED
    at = stamp - clocks.offset
    # Data cannot arrive after it was read. A difference within the error of the readings is none.
    if at > clocks.monotonic + clocks.width:
        return TimingFallback.FUTURE_STAMP
    return min(at, clocks.monotonic)


def enable_receive_stamps(sock: socket.socket) -> bool:
    """Request receive timestamps from the kernel; return whether it agrees.

    Call it before the socket connects: data that arrived earlier has no timestamp.
    """
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE_AND_REPORT)
    except OSError:
        return False
    return True


def prepare_keepalive(sock: socket.socket) -> None:
    """Configure keep-alive probes: one a second, once they are enabled."""
    with suppress(OSError):
        for option, value in _KEEPALIVE_OPTIONS:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def set_keepalive(sock: socket.socket, *, on: bool) -> None:
    """Enable or disable keep-alive: each second, the kernel checks that the peer is reachable."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(on))


def read_tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Return the kernel's TCP_INFO of a connection, None where it is not available."""
    if sys.platform != "linux":
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except OSError:
        return None
    return parse_tcp_info(raw)


_PEER_CLOSED_EVENTS = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def is_closed_by_peer(sock: socket.socket) -> bool:
    """Return whether a FIN or a reset has arrived on a non-blocking TCP socket.

    It consumes no data. On Linux `POLLRDHUP` reports a FIN even behind unread data, as with TLS
    (close_notify precedes it). Elsewhere a FIN is detected only if no unread data precedes it.
    """
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLIN | _PEER_CLOSED_EVENTS)
    events = sum(event for _, event in poller.poll(0))
    if events & (_PEER_CLOSED_EVENTS | select.POLLNVAL):
        return True
    if not events & select.POLLIN:
        return False
    # Readable is also a connection at its end: a read returns nothing then.
    try:
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


class StampingEnabled:
    """Keeps receive timestamps enabled in the kernel until it is closed.

    The kernel enables them shortly after the first socket requests them (it patches its own code to
    do so), and disables them with the last socket: without this one, the first segments of a
    connection would have no timestamp.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.supported = enable_receive_stamps(self._socket) and _stamps_arrive(self._socket)

    def close(self) -> None:
        """Release the socket, so that the kernel can disable timestamps."""
        self._socket.close()


def _stamps_arrive(sock: socket.socket) -> bool:
    """Send datagrams to this socket until one has a timestamp: some systems ignore the option.

    If the loopback interface is down, nothing can be sent, and the option is trusted.
    """
    sock.settimeout(_TRIAL_SECONDS)
    try:
        sock.bind(("127.0.0.1", 0))
        for _ in range(_TRIALS):
            sock.sendto(b"?", sock.getsockname())
            _, ancillary, _, _ = sock.recvmsg(1, _ANCILLARY_BYTES)
            if stamp_of(ancillary) is not None:
                return True
            # The kernel enables timestamps in the background, some milliseconds later.
            time.sleep(_TRIAL_SECONDS)
    except OSError:
        return True
    return False


class TimedSocket(socket.socket):
    """A TCP socket that reports its sends and arrivals to the timing of the current attempt.

    `timing` belongs to the attempt that uses the connection; it is None between attempts. A kept
    connection gets the next attempt's by `use_for`. `address` is the peer's, as `host:port`.
    `last_info` is the TCP_INFO at the end of the last attempt.
    """

    __slots__ = (
        "_clocks",
        "_connect_after",
        "_connect_before",
        "_connected",
        "_timestamps_enabled",
        "address",
        "last_info",
        "timing",
    )

    def __init__(self, family: int, kind: int, protocol: int, timing: AttemptTiming | None) -> None:
        super().__init__(family, kind, protocol)
        self.timing = timing
        self.address = ""
        self.last_info: TcpInfo | None = None
        self._connected = False
        self._connect_before = self._connect_after = 0
        self._clocks: ClockReading | None = None
        self._timestamps_enabled = enable_receive_stamps(self)
        prepare_keepalive(self)
        set_keepalive(self, on=True)

    @property
    def connected(self) -> bool:
        """Whether something was sent. Of several sockets that connect, only one is used."""
        return self._connected

    @property
    def stamps(self) -> bool:
        """Whether the kernel adds timestamps to what arrives here."""
        return self._timestamps_enabled

    def use_for(self, timing: AttemptTiming | None) -> None:
        """Report the next events to `timing`; None while no attempt uses the connection.

        Keep-alive is off for an unused connection: a segment a second for each would be wasteful.
        """
        if (timing is None) != (self.timing is None):
            set_keepalive(self, on=timing is not None)
        self.timing, self._clocks = timing, None

    def connect(self, address: Any, /) -> None:  # noqa: ANN401 -- the standard library's signature
        """See `socket.socket.connect`. asyncio may call it again for a non-blocking socket."""
        before = time.perf_counter_ns()
        if self._connect_before == 0:
            self._connect_before = before
            host, port = address[:2]
            self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if self.timing is not None:
                self.timing.connecting(before)
        try:
            super().connect(address)
        finally:  # a non-blocking socket raises, with its SYN on the way
            if self._connect_after == 0:
                self._connect_after = time.perf_counter_ns()

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ANN401 -- the standard library's
        """See `socket.socket.send`.

        A server that closed the connection may have sent the reason before (a TLS alert, or a
        response to an incomplete request). On an error here asyncio would close the connection
        without reading it. So the data counts as sent: the next read gets the reason, or the end.
        """
        timing = self.timing
        if timing is None:  # TLS also sends between attempts, as when it is closed
            self._connected = True
            return super().send(data, flags)
        self._mark_connected(timing)
        before = time.perf_counter_ns()
        try:
            count = super().send(data, flags)
        except BlockingIOError:
            timing.sent(before, before, 0, blocked=True)
            raise
        except (ConnectionResetError, BrokenPipeError):
            return len(data)
        timing.sent(before, time.perf_counter_ns(), count, blocked=count < len(data))
        return count

    def sendmsg(self, buffers: Any, *arguments: Any) -> int:  # noqa: ANN401 -- as above
        """See `socket.socket.sendmsg`; asyncio joins several writes with it since Python 3.12."""
        timing = self.timing
        if timing is None:
            self._connected = True
            return super().sendmsg(buffers, *arguments)
        self._mark_connected(timing)
        gathered = list(buffers)  # an iterator would be empty after it was counted
        total = sum(memoryview(each).nbytes for each in gathered)
        before = time.perf_counter_ns()
        try:
            count = super().sendmsg(gathered, *arguments)
        except BlockingIOError:
            timing.sent(before, before, 0, blocked=True)
            raise
        except (ConnectionResetError, BrokenPipeError):
            return total
        timing.sent(before, time.perf_counter_ns(), count, blocked=count < total)
        return count

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """See `socket.socket.recv`."""
        timing = self.timing
        if timing is None:
            return super().recv(size, flags)
        data, ancillary, _, _ = super().recvmsg(size, _ANCILLARY_BYTES, flags)
        if data:  # the end of a stream has no timestamp
            self._mark_arrival(timing, ancillary)
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0, /) -> int:  # noqa: ANN401
        """See `socket.socket.recv_into`."""
        timing = self.timing
        if timing is None:
            return super().recv_into(buffer, size, flags)
        view = memoryview(buffer)[:size] if size else buffer
        count, ancillary, _, _ = super().recvmsg_into([view], _ANCILLARY_BYTES, flags)
        if count:
            self._mark_arrival(timing, ancillary)
        return count

    def _mark_connected(self, timing: AttemptTiming) -> None:
        """Record the end of the TCP handshake; called before each send.

        Before the first send, the kernel's round-trip time is that of the handshake alone. On
        loopback the SYN-ACK may arrive before `connect` returns. After a retransmitted SYN the
        round-trip time does not start with the first SYN, so the current time is used.
        """
        if self._clocks is None:  # once an attempt: all arrivals are compared with its start
            self._clocks = read_clocks()
        if self._connected:
            return
        self._connected = True
        info = read_tcp_info(self)
        if info is None or info.retransmissions:
            timing.fall_back(
                TimingFallback.UNSUPPORTED if info is None else TimingFallback.SYN_RETRANSMITTED
            )
            timing.connected(time.perf_counter_ns())
            return
        # The SYN left at some time within the system call, which is the error of this time.
        answered = self._connect_before + round(info.rtt_seconds * _SECOND)
        timing.connected(answered, self._connect_after - self._connect_before)

    def _mark_arrival(self, timing: AttemptTiming, ancillary: list[tuple[int, int, bytes]]) -> None:
        clocks = read_clocks()  # after the data, so that a timestamp cannot be later
        if not self._timestamps_enabled:
            timing.fall_back(TimingFallback.UNSUPPORTED)
            timing.arrived(clocks.monotonic, clocks.monotonic)
            return
        at = monotonic_of(stamp_of(ancillary), clocks, self._clocks or clocks)
        if isinstance(at, TimingFallback):
            timing.fall_back(at)
            timing.arrived(clocks.monotonic, clocks.monotonic)
        else:
            timing.arrived(at, clocks.monotonic, clocks.width)
