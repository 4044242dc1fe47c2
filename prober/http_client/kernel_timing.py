"""A socket whose arrivals are timed by the kernel, so that a busy event loop falsifies nothing.

asyncio's selector transports call methods of the socket object, for TLS too, so a subclass sees
each system call of a connection. With SO_TIMESTAMPING (Linux, Documentation/networking/
timestamping.rst) every read also returns when the last segment that it took reached this machine.
No privilege is needed. Where the option is refused, the moment of the read takes its place.
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
_RX_SOFTWARE_AND_REPORT = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(3 * _TIMESPEC.size)
_SECOND = 1_000_000_000

KEEPALIVE_IDLE_SECONDS = 1
KEEPALIVE_INTERVAL_SECONDS = 1
_KEEPALIVE_PROBES = 127  # the most there are: it is the probe's time-out that gives up, not TCP
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
_CLOCK_WIDTH_NANOSECONDS = 5_000  # two clocks read within this time are read at once
_STEP_NANOSECONDS = 100_000
"""The system clock moves so much beside the monotonic one only when it is set."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The system clock beside the monotonic one. `width`: what reading both took. Nanoseconds."""

    monotonic: int
    realtime: int
    width: int = 0

    @property
    def offset(self) -> int:
        """Return what the system clock is ahead of the monotonic one."""
        return self.realtime - self.monotonic


def read_clocks() -> ClockReading:
    """Read both clocks as closely together as this machine allows just now."""
    best: ClockReading | None = None
    for _ in range(_CLOCK_TRIES):
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
    """Return the kernel's receive stamp in nanoseconds of the system clock, None without one.

    The message holds three `struct timespec`; the first is the software stamp. Zero means none.
    """
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return (seconds * _SECOND + nanoseconds) or None
    return None


def monotonic_of(
    stamp: int | None, clocks: ClockReading, reference: ClockReading
) -> int | TimingFallback:
    """Return when `stamp` was on the monotonic clock, or why it cannot be known. Pure.

    `clocks` were read just after the data, `reference` when the attempt began to send. Both clocks
    run at the same rate (adjusting the time smoothly moves both), so another offset means that the
    system clock was set in between, and which of the two offsets the stamp has is not known.
    """
    if stamp is None:
        return TimingFallback.MISSING_STAMP
    if abs(clocks.offset - reference.offset) > _STEP_NANOSECONDS + clocks.width + reference.width:
        return TimingFallback.CLOCK_STEPPED
    at = stamp - clocks.offset
    if at > clocks.monotonic + clocks.width:
        return TimingFallback.FUTURE_STAMP
    return min(at, clocks.monotonic)


def enable_receive_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what this socket receives; return whether it will.

    It is to be asked before the socket connects: later there may be bytes without a stamp.
    """
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE_AND_REPORT)
    except OSError:
        return False
    return True


def prepare_keepalive(sock: socket.socket) -> None:
    """Set how keep-alive probes are sent once they are on: one each second."""
    with suppress(OSError):
        for option, value in _KEEPALIVE_OPTIONS:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def set_keepalive(sock: socket.socket, *, on: bool) -> None:
    """Let the kernel ask the far end's kernel each second whether it is there, or stop that."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(on))


def read_tcp_info(sock: socket.socket) -> TcpInfo | None:
    """Return what the kernel knows of a connection; None where it does not say."""
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

    It reads nothing, so that unread data stays for the transport. On Linux `POLLRDHUP` reports a
    FIN even behind unread data, as with TLS (close_notify comes before it). Elsewhere only a FIN
    with nothing unread before it is found.
    """
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLIN | _PEER_CLOSED_EVENTS)
    events = sum(event for _, event in poller.poll(0))
    if events & (_PEER_CLOSED_EVENTS | select.POLLNVAL):
        return True
    if not events & select.POLLIN:
        return False
    try:
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


class StampingEnabled:
    """Keeps the kernel stamping while this exists.

    The kernel begins to stamp a moment after the first socket asks for it (it rewrites its own code
    to do so), and stops with the last one: without this, first segments come without a stamp.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.supported = enable_receive_stamps(self._socket) and _stamps_arrive(self._socket)

    def close(self) -> None:
        """Let the kernel stop."""
        self._socket.close()


def _stamps_arrive(sock: socket.socket) -> bool:
    """Send datagrams to ourselves until one is stamped; a system may take the option for a no-op.

    Where loopback is down nothing can be tried, and the kernel's word for the option counts.
    """
    sock.settimeout(_TRIAL_SECONDS)
    try:
        sock.bind(("127.0.0.1", 0))
        for _ in range(_TRIALS):
            sock.sendto(b"?", sock.getsockname())
            _, ancillary, _, _ = sock.recvmsg(1, _ANCILLARY_BYTES)
            if stamp_of(ancillary) is not None:
                return True
            time.sleep(_TRIAL_SECONDS)
    except OSError:
        return True
    return False


class TimedSocket(socket.socket):
    """A TCP socket that tells its attempt when it sends and when data arrived.

    `timing` is the attempt that uses the connection now; None between attempts. A connection that
    is used again gets the next attempt by `use_for`. `address` is where it was connected to, and
    `last_info` what the kernel knew of it when the last attempt ended.
    """

    __slots__ = (
        "_clocks",
        "_connect_after",
        "_connect_before",
        "_connected",
        "_sees",
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
        self._sees = enable_receive_stamps(self)
        prepare_keepalive(self)
        set_keepalive(self, on=True)

    @property
    def connected(self) -> bool:
        """Whether something was sent: of several sockets that connect, one is used."""
        return self._connected

    @property
    def stamps(self) -> bool:
        """Whether the kernel stamps what arrives here."""
        return self._sees

    def use_for(self, timing: AttemptTiming | None) -> None:
        """Let the next moments belong to `timing`; None while nobody uses the connection.

        An unused connection is not kept alive: one segment a second for each would be waste.
        """
        if (timing is None) != (self.timing is None):
            set_keepalive(self, on=timing is not None)
        self.timing, self._clocks = timing, None

    def connect(self, address: Any, /) -> None:  # noqa: ANN401 -- the standard library's signature
        """See `socket.socket.connect`. A socket that does not block is asked more than once."""
        before = time.perf_counter_ns()
        if self._connect_before == 0:
            self._connect_before = before
            host, port = address[:2]
            self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if self.timing is not None:
                self.timing.connecting(before)
        try:
            super().connect(address)
        finally:
            if self._connect_after == 0:
                self._connect_after = time.perf_counter_ns()

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ANN401 -- the standard library's
        """See `socket.socket.send`.

        A far end that has closed may have said why before (a TLS alert, or a response that did not
        wait for the whole request). asyncio would close the connection without reading it; so the
        data counts as sent, and what is read next, or its end, tells.
        """
        timing = self.timing
        if timing is None:
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
        gathered = list(buffers)
        whole = sum(memoryview(each).nbytes for each in gathered)
        before = time.perf_counter_ns()
        try:
            count = super().sendmsg(gathered, *arguments)
        except BlockingIOError:
            timing.sent(before, before, 0, blocked=True)
            raise
        except (ConnectionResetError, BrokenPipeError):
            return whole
        timing.sent(before, time.perf_counter_ns(), count, blocked=count < whole)
        return count

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """See `socket.socket.recv`."""
        timing = self.timing
        if timing is None:
            return super().recv(size, flags)
        data, ancillary, _, _ = super().recvmsg(size, _ANCILLARY_BYTES, flags)
        if data:
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
        """Before the first send the kernel's round trip is that of the TCP handshake alone.

        On loopback the answer may be here before `connect` returns. A handshake that was repeated
        has no round trip that begins with its first SYN: the moment at which it was noticed counts.
        """
        if self._clocks is None:
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
        answered = self._connect_before + round(info.rtt_seconds * _SECOND)
        timing.connected(answered, self._connect_after - self._connect_before)

    def _mark_arrival(self, timing: AttemptTiming, ancillary: list[tuple[int, int, bytes]]) -> None:
        clocks = read_clocks()
        if not self._sees:
            timing.fall_back(TimingFallback.UNSUPPORTED)
            timing.arrived(clocks.monotonic, clocks.monotonic)
            return
        at = monotonic_of(stamp_of(ancillary), clocks, self._clocks or clocks)
        if isinstance(at, TimingFallback):
            timing.fall_back(at)
            timing.arrived(clocks.monotonic, clocks.monotonic)
        else:
            timing.arrived(at, clocks.monotonic, clocks.width)
