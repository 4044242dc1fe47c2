import gzip
import os
import zlib

import pytest

from prober.exchange.body import MAX_EMPTY_BYTES, BodyCorruptError, BoundedBody

TEXT = b'{"status": "ok"}' * 50
RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
RAW = RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()


def read(encoding: str, wire: bytes, limit: int = 10_000, step: int = 7) -> tuple[bytes, bool]:
    body = BoundedBody(encoding, limit)
    for start in range(0, len(wire), step):
        if not body.feed(wire[start : start + step]):
            break
    return body.finish()


@pytest.mark.parametrize(
    ("encoding", "wire"),
    [
        ("", TEXT),
        ("br", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        ("gzip", gzip.compress(TEXT) + b"junk after the end"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW),
    ],
    ids=["plain", "unasked", "gzip", "two members", "junk after", "zlib", "raw deflate"],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_body_is_read_whole_however_it_is_cut(encoding: str, wire: bytes, step: int) -> None:
    assert read(encoding, wire, step=step) == (TEXT, True)


@pytest.mark.parametrize("wire", [TEXT, gzip.compress(TEXT)], ids=["plain", "gzip"])
def test_a_body_stops_at_its_limit_counted_after_decompression(wire: bytes) -> None:
    body = BoundedBody("gzip" if wire != TEXT else "", 100)
    assert not body.feed(wire)
    assert body.over_limit
    assert body.finish() == (TEXT[:100], True)


def test_a_body_of_exactly_the_limit_is_not_over_it() -> None:
    assert read("gzip", gzip.compress(TEXT), limit=len(TEXT)) == (TEXT, True)


def test_a_bomb_behind_a_small_member_stops_too() -> None:
    body = BoundedBody("gzip", 1000)
    assert not body.feed(gzip.compress(b"x") + gzip.compress(bytes(10_000_000)))
    assert len(body.finish()[0]) == 1000


def test_a_compressed_body_that_ends_early_is_not_whole() -> None:
    assert read("gzip", gzip.compress(TEXT)[:-12])[1] is False


def test_what_is_no_gzip_is_told() -> None:
    with pytest.raises(BodyCorruptError):
        read("gzip", TEXT)


@pytest.mark.parametrize("limit", [0, 1000])
def test_members_that_hold_nothing_do_not_go_on_for_ever(limit: int) -> None:
    body, nothing = BoundedBody("gzip", limit), gzip.compress(b"")
    fed = 0
    while body.feed(nothing) and fed < 10 * MAX_EMPTY_BYTES:
        fed += len(nothing)
    assert body.over_limit
    assert fed < limit * 1.02 + 2 * MAX_EMPTY_BYTES


def test_what_cannot_be_compressed_is_within_the_limit() -> None:
    noise = os.urandom(1_000_000)
    assert read("gzip", gzip.compress(noise), limit=len(noise), step=65_536) == (noise, True)
