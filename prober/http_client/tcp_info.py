"""Parse the kernel's `struct tcp_info` of a TCP connection. Pure."""

import struct
from typing import NamedTuple

TCP_INFO_BYTES = 256
"""The number of bytes to request; the kernel returns as many as its version has."""

# unacked, last_data_recv, last_ack_recv, rtt, rttvar, total_retrans: these exist since Linux 2.6.
_FIRST = struct.Struct("=24xI24xII8xII24xI")
# The same, and bytes_acked, notsent_bytes, rcv_ooopack.
_WHOLE = struct.Struct(_FIRST.format + "16xQ16xI76xI")
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")
_MICROSECONDS_PER_SECOND = 1_000_000
_MILLISECONDS_PER_SECOND = 1_000


class TcpInfo(NamedTuple):
    """A snapshot of one connection. Durations are seconds.

    `unacknowledged_segments`: sent, not acknowledged. `unsent_bytes`: handed to the kernel, not yet
    sent once. `retransmissions` counts segments sent again since the connection began, the SYN
    included. `since_*` is how long ago the last segment of that kind was received.
    `out_of_order_segments` were received before one that precedes them. Fields that this kernel
    does not have are None.
    """

    unacknowledged_segments: int
    retransmissions: int
    since_data_received_seconds: float
    since_ack_received_seconds: float
    rtt_seconds: float
    rtt_variation_seconds: float
    bytes_acknowledged: int | None = None
    unsent_bytes: int | None = None
    out_of_order_segments: int | None = None


def parse_tcp_info(raw: bytes) -> TcpInfo | None:
    """Return the fields that count of `struct tcp_info` (linux/tcp.h); None if it is too short.

    The structure only ever grows at its end: `total_retrans`, the last field that is needed, ends
    at byte 104 (Linux 2.6). Later fields are None where the kernel returns fewer bytes.
    """
    if len(raw) < _FIRST.size:
        return None
    unacknowledged, data, ack, rtt, variation, retransmissions = _FIRST.unpack_from(raw)
    if len(raw) >= _WHOLE.size:
        *_, acknowledged, unsent, out_of_order = _WHOLE.unpack_from(raw)
    else:
        acknowledged, unsent, out_of_order = _u64(raw, 120), _u32(raw, 144), None
    return TcpInfo(
        unacknowledged_segments=unacknowledged,
        retransmissions=retransmissions,
        since_data_received_seconds=data / _MILLISECONDS_PER_SECOND,
        since_ack_received_seconds=ack / _MILLISECONDS_PER_SECOND,
        rtt_seconds=rtt / _MICROSECONDS_PER_SECOND,
        rtt_variation_seconds=variation / _MICROSECONDS_PER_SECOND,
        bytes_acknowledged=acknowledged,
        unsent_bytes=unsent,
        out_of_order_segments=out_of_order,
    )


def _u32(raw: bytes, offset: int) -> int | None:
    return _U32.unpack_from(raw, offset)[0] if len(raw) >= offset + _U32.size else None


def _u64(raw: bytes, offset: int) -> int | None:
    return _U64.unpack_from(raw, offset)[0] if len(raw) >= offset + _U64.size else None
