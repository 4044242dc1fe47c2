import gzip
import os
import zlib
from typing import Any, cast

import pytest

from prober.http_client import protocol
from prober.http_client.protocol import (
    DECODERS,
    MAX_CODINGS,
    MAX_EMPTY_BYTES,
    BodyCorruptError,
    LimitedBodyReader,
    content_codings,
)

TEXT = b'{"status": "ok"}' * 50
RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
RAW = RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()


def read(encoding: str, wire: bytes, limit: int = 10_000, step: int = 7) -> tuple[bytes, bool]:
    body = LimitedBodyReader(content_codings([encoding]), limit)
    for start in range(0, len(wire), step):
        if not body.feed(wire[start : start + step]):
            break
    return body.finish()


@pytest.mark.parametrize(
    ("encoding", "wire"),
    [
        ("", TEXT),
        ("br", TEXT),
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0)),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"junk after the end"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0)),
        ("identity, gzip", gzip.compress(TEXT, mtime=0)),
        ("X-GZip , Identity,", gzip.compress(TEXT, mtime=0)),
        ("deflate, gzip", gzip.compress(RAW, mtime=0)),
        ("gzip, deflate", zlib.compress(gzip.compress(TEXT, mtime=0))),
        ("br, gzip", TEXT),
        (", ".join(["gzip"] * (MAX_CODINGS + 1)), TEXT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_body_is_read_whole_however_it_is_cut(encoding: str, wire: bytes, step: int) -> None:
    assert read(encoding, wire, step=step) == (TEXT, True)


@pytest.mark.parametrize("wire", [TEXT, gzip.compress(TEXT, mtime=0)], ids=["plain", "gzip"])
def test_a_body_stops_at_its_limit_counted_after_decompression(wire: bytes) -> None:
    body = LimitedBodyReader(("gzip",) if wire != TEXT else (), 100)
    assert not body.feed(wire)
    assert body.over_limit
    assert body.finish() == (TEXT[:100], True)


def test_a_body_of_exactly_the_limit_is_not_over_it() -> None:
    assert read("gzip", gzip.compress(TEXT), limit=len(TEXT)) == (TEXT, True)


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], ()),
        ([""], ()),
        (["identity"], ()),
        (["gzip"], ("gzip",)),
        ([" GZIP "], ("gzip",)),
        (["x-gzip"], ("gzip",)),
        (["deflate,gzip"], ("deflate", "gzip")),
        (["deflate", "gzip"], ("deflate", "gzip")),
        (["identity, br"], ("br",)),
        ([", ,gzip,,"], ("gzip",)),
        (["gzip," * 10_000], ("gzip",) * (MAX_CODINGS + 1)),
    ],
)
def test_codings_are_those_of_all_fields_in_order(
    values: list[str], codings: tuple[str, ...]
) -> None:
    assert content_codings(values) == codings


@pytest.mark.parametrize(
    ("encoding", "unreadable"),
    [
        ("gzip, gzip", ""),
        ("br", "br"),
        ("gzip, br", "br"),
        ("br, gzip", "br"),
        ("compress, br, gzip", "br"),
        (", ".join(["gzip"] * MAX_CODINGS), ""),
        (", ".join(["gzip"] * 99), ", ".join(["gzip"] * (MAX_CODINGS + 1))),
    ],
)
def test_what_cannot_be_decoded_is_named(encoding: str, unreadable: str) -> None:
    assert LimitedBodyReader(content_codings([encoding]), 100).unreadable_coding == unreadable


def test_each_of_stacked_codings_is_bounded() -> None:
    bomb = gzip.compress(gzip.compress(gzip.compress(bytes(50_000_000))))
    assert len(bomb) < 1000
    body = LimitedBodyReader(("gzip", "gzip", "gzip"), 1000)
    assert not body.feed(bomb)
    assert len(body.finish()[0]) == 1000


def test_a_stack_that_ends_early_is_not_whole() -> None:
    assert read("gzip, gzip", gzip.compress(gzip.compress(TEXT)[:-12]))[1] is False
    assert read("gzip, gzip", gzip.compress(gzip.compress(TEXT))[:-12])[1] is False
    assert read("gzip, gzip", b"") == (b"", True)


@pytest.mark.skipif("zstd" not in DECODERS, reason="needs Python 3.14 or backports.zstd")
def test_zstd_is_undone_where_there_is_a_library_for_it() -> None:
    zstd = cast("Any", protocol).zstd  # one of two libraries, or none
    wire = zstd.compress(TEXT[:100]) + zstd.compress(TEXT[100:])
    for step in (1, 7, 10_000):
        assert read("zstd", wire, step=step) == (TEXT, True)
        assert read("zstd, gzip", gzip.compress(wire), step=step) == (TEXT, True)
    assert read("zstd", wire[:-3])[1] is False
    assert read("zstd", zstd.compress(TEXT), limit=100) == (TEXT[:100], True)
    bomb = zstd.compress(bytes(50_000_000))
    assert read("zstd", bomb, limit=1000, step=len(bomb)) == (bytes(1000), True)
    with pytest.raises(BodyCorruptError):
        read("zstd", TEXT)


def test_a_bomb_behind_a_small_member_stops_too() -> None:
    body = LimitedBodyReader(("gzip",), 1000)
    assert not body.feed(gzip.compress(b"x") + gzip.compress(bytes(10_000_000)))
    assert len(body.finish()[0]) == 1000


def test_a_compressed_body_that_ends_early_is_not_whole() -> None:
    assert read("gzip", gzip.compress(TEXT)[:-12])[1] is False


def test_what_is_no_gzip_is_told() -> None:
    with pytest.raises(BodyCorruptError):
        read("gzip", TEXT)


@pytest.mark.parametrize("limit", [0, 1000])
def test_members_that_hold_nothing_do_not_go_on_for_ever(limit: int) -> None:
    body, nothing = LimitedBodyReader(("gzip",), limit), gzip.compress(b"")
    fed = 0
    while body.feed(nothing) and fed < 10 * MAX_EMPTY_BYTES:
        fed += len(nothing)
    assert body.over_limit
    assert fed < limit * 1.02 + 2 * MAX_EMPTY_BYTES


def test_what_cannot_be_compressed_is_within_the_limit() -> None:
    noise = os.urandom(1_000_000)
    assert read("gzip", gzip.compress(noise), limit=len(noise), step=65_536) == (noise, True)
