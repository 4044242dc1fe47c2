import struct

import pytest

from prober.http_client.tcp_info import TcpInfo, parse_tcp_info


def _raw(size: int, **fields: int) -> bytes:
    offsets = {
        "unacked": 24,
        "data": 52,
        "ack": 56,
        "rtt": 68,
        "rttvar": 72,
        "retrans": 100,
        "unsent": 144,
        "ooo": 224,
    }
    raw = bytearray(256)
    for name, value in fields.items():
        struct.pack_into("=I", raw, offsets[name], value)
    struct.pack_into("=Q", raw, 120, 2**40)
    return bytes(raw[:size])


_FIELDS = {"unacked": 3, "data": 1500, "ack": 916, "rtt": 41_000, "rttvar": 250, "retrans": 2}


def test_all_fields_of_a_new_kernel() -> None:
    assert parse_tcp_info(_raw(248, **_FIELDS, unsent=17, ooo=4)) == TcpInfo(
        3, 2, 1.5, 0.916, 0.041, 0.00025, 2**40, 17, 4
    )


@pytest.mark.parametrize(
    ("size", "acknowledged", "unsent", "out_of_order"),
    [
        (104, None, None, None),
        (127, None, None, None),
        (128, 2**40, None, None),
        (147, 2**40, None, None),
        (148, 2**40, 17, None),
        (228, 2**40, 17, 4),
    ],
)
def test_fields_that_an_older_kernel_lacks_are_none(
    size: int, acknowledged: int | None, unsent: int | None, out_of_order: int | None
) -> None:
    info = parse_tcp_info(_raw(size, **_FIELDS, unsent=17, ooo=4))
    assert info is not None
    assert info.retransmissions == 2
    assert info.bytes_acknowledged == acknowledged
    assert info.unsent_bytes == unsent
    assert info.out_of_order_segments == out_of_order


@pytest.mark.parametrize("size", [0, 1, 24, 60, 103])
def test_a_structure_that_is_too_short_tells_nothing(size: int) -> None:
    assert parse_tcp_info(_raw(size, **_FIELDS)) is None
