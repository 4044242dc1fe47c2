import socket
import struct

import pytest

from prober.http_client.kernel_timing import (
    ClockReading,
    StampingEnabled,
    monotonic_of,
    prepare_keepalive,
    read_clocks,
    set_keepalive,
    stamp_of,
)
from prober.outcomes import TimingFallback

_KIND = 37


def _message(seconds: int, nanoseconds: int) -> bytes:
    return struct.pack("@ll", seconds, nanoseconds) + bytes(32)


@pytest.mark.parametrize(
    ("ancillary", "stamp"),
    [
        ([(socket.SOL_SOCKET, _KIND, _message(3, 7))], 3_000_000_007),
        ([(0, 8, b"ttl"), (socket.SOL_SOCKET, _KIND, _message(1, 0))], 1_000_000_000),
        ([], None),
        ([(socket.SOL_SOCKET, _KIND, _message(0, 0))], None),
        ([(socket.SOL_SOCKET, _KIND, b"short")], None),
        ([(socket.SOL_SOCKET, 29, _message(3, 7))], None),
        ([(socket.IPPROTO_TCP, _KIND, _message(3, 7))], None),
    ],
)
def test_the_stamp_of_a_read(ancillary: list[tuple[int, int, bytes]], stamp: int | None) -> None:
    assert stamp_of(ancillary) == stamp


_MS = 1_000_000
_SENT = ClockReading(1_000 * _MS, 9_000 * _MS)


@pytest.mark.parametrize(
    ("stamp", "clocks", "expected"),
    [
        pytest.param(9_050 * _MS, ClockReading(1_060 * _MS, 9_060 * _MS), 1_050 * _MS, id="read"),
        pytest.param(9_060 * _MS, ClockReading(1_060 * _MS, 9_060 * _MS), 1_060 * _MS, id="now"),
        pytest.param(
            9_060 * _MS + 300, ClockReading(1_060 * _MS, 9_060 * _MS, 400), 1_060 * _MS,
            id="later-by-less-than-reading-took",
        ),
        pytest.param(
            9_061 * _MS, ClockReading(1_060 * _MS, 9_060 * _MS), TimingFallback.FUTURE_STAMP,
            id="future",
        ),
        pytest.param(
            None, ClockReading(1_060 * _MS, 9_060 * _MS), TimingFallback.MISSING_STAMP, id="none"
        ),
        pytest.param(
            9_050 * _MS, ClockReading(1_060 * _MS, 9_061 * _MS), TimingFallback.CLOCK_STEPPED,
            id="set-forward",
        ),
        pytest.param(
            9_050 * _MS, ClockReading(1_060 * _MS, 8_000 * _MS), TimingFallback.CLOCK_STEPPED,
            id="set-back",
        ),
        pytest.param(
            9_050 * _MS, ClockReading(1_060 * _MS, 9_060 * _MS + 90_000), 1_049_910_000,
            id="within-the-tolerance",
        ),
    ],
)  # fmt: skip
def test_a_stamp_on_the_monotonic_clock(
    stamp: int | None, clocks: ClockReading, expected: int | TimingFallback
) -> None:
    assert monotonic_of(stamp, clocks, _SENT) == expected


def test_both_clocks_are_read_at_about_the_same_moment() -> None:
    first, second = read_clocks(), read_clocks()
    assert first.monotonic < second.monotonic
    assert first.width >= 0


def test_keepalive_asks_each_second_and_leaves_giving_up_to_the_probe() -> None:
    with socket.socket() as sock:
        prepare_keepalive(sock)
        set_keepalive(sock, on=True)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 127
        set_keepalive(sock, on=False)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_this_kernel_stamps() -> None:
    stamping = StampingEnabled()
    assert stamping.supported
    stamping.close()
