import gzip
import os
import zlib
from functools import partial
from typing import Any, cast

import pytest

from prober.http_client import protocol
from prober.http_client.protocol import (
    MAX_CODINGS,
    MAX_EMPTY_BYTES,
    MAX_MEMBERS,
    BodyCorruptError,
    LimitedBodyReader,
    content_codings,
)

zipped = partial(gzip.compress, mtime=0)  # the time would be part of the tests' names
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
        ("gzip", zipped(TEXT)),
        ("gzip", zipped(TEXT[:100]) + zipped(TEXT[100:])),
        ("gzip", zipped(TEXT) + b"junk after the end"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW),
        ("gzip, gzip", zipped(zipped(TEXT))),
        ("identity, gzip", zipped(TEXT)),
        ("X-GZip , Identity,", zipped(TEXT)),
        ("deflate, gzip", zipped(RAW)),
        ("gzip, deflate", zlib.compress(zipped(TEXT))),
        ("br, gzip", TEXT),
        (", ".join(["gzip"] * (MAX_CODINGS + 1)), TEXT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_body_is_read_whole_however_it_is_cut(encoding: str, wire: bytes, step: int) -> None:
    assert read(encoding, wire, step=step) == (TEXT, True)


@pytest.mark.parametrize("wire", [TEXT, zipped(TEXT)], ids=["plain", "gzip"])
def test_a_body_stops_at_its_limit_counted_after_decompression(wire: bytes) -> None:
    body = LimitedBodyReader(("gzip",) if wire != TEXT else (), 100)
    assert not body.feed(wire)
    assert body.over_limit
    assert body.finish() == (TEXT[:100], True)


def test_a_body_of_exactly_the_limit_is_not_over_it() -> None:
    assert read("gzip", zipped(TEXT), limit=len(TEXT)) == (TEXT, True)


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
    bomb = zipped(zipped(zipped(bytes(50_000_000))))
    assert len(bomb) < 1000
    body = LimitedBodyReader(("gzip", "gzip", "gzip"), 1000)
    assert not body.feed(bomb)
    assert len(body.finish()[0]) == 1000


def test_a_stack_that_ends_early_is_not_whole() -> None:
    assert read("gzip, gzip", zipped(zipped(TEXT)[:-12]))[1] is False
    assert read("gzip, gzip", zipped(zipped(TEXT))[:-12])[1] is False
    assert read("gzip, gzip", b"") == (b"", True)


def test_zstd_is_undone_where_there_is_a_library_for_it() -> None:
    zstd = cast("Any", protocol).zstd  # one of two libraries, or none
    wire = zstd.compress(TEXT[:100]) + zstd.compress(TEXT[100:])
    for step in (1, 7, 10_000):
        assert read("zstd", wire, step=step) == (TEXT, True)
        assert read("zstd, gzip", zipped(wire), step=step) == (TEXT, True)
    assert read("zstd", wire[:-3])[1] is False
    assert read("zstd", zstd.compress(TEXT), limit=100) == (TEXT[:100], True)
    bomb = zstd.compress(bytes(50_000_000))
    assert read("zstd", bomb, limit=1000, step=len(bomb)) == (bytes(1000), True)
    with pytest.raises(BodyCorruptError):
        read("zstd", TEXT)


def test_a_bomb_behind_a_small_member_stops_too() -> None:
    body = LimitedBodyReader(("gzip",), 1000)
    assert not body.feed(zipped(b"x") + zipped(bytes(10_000_000)))
    assert len(body.finish()[0]) == 1000


def test_a_compressed_body_that_ends_early_is_not_whole() -> None:
    assert read("gzip", zipped(TEXT)[:-12])[1] is False


def test_what_is_no_gzip_is_told() -> None:
    with pytest.raises(BodyCorruptError):
        read("gzip", TEXT)


@pytest.mark.parametrize("member", [zipped(b""), zipped(b"x")])
@pytest.mark.parametrize("step", [1, 1000, 10_000_000])
def test_a_body_of_very_many_members_is_not_decoded_to_its_end(
    monkeypatch: pytest.MonkeyPatch, member: bytes, step: int
) -> None:
    made = 0
    make = zlib.decompressobj

    def counted(*arguments: Any) -> object:  # noqa: ANN401 -- zlib's own
        nonlocal made
        made += 1
        return make(*arguments)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    wire = member * 5_000
    body = LimitedBodyReader(("gzip",), 1024 * 1024)
    for start in range(0, len(wire), step):
        if not body.feed(wire[start : start + step]):
            break
    assert body.over_limit
    assert made <= MAX_MEMBERS


def test_as_many_members_as_are_allowed_are_decoded() -> None:
    assert read("gzip", zipped(b"x") * MAX_MEMBERS) == (b"x" * MAX_MEMBERS, True)


@pytest.mark.parametrize("limit", [0, 1000])
def test_members_that_hold_nothing_do_not_go_on_for_ever(limit: int) -> None:
    body, nothing = LimitedBodyReader(("gzip",), limit), zipped(b"")
    fed = 0
    while body.feed(nothing) and fed < 10 * MAX_EMPTY_BYTES:
        fed += len(nothing)
    assert body.over_limit
    assert fed < limit * 1.02 + 2 * MAX_EMPTY_BYTES


def test_what_cannot_be_compressed_is_within_the_limit() -> None:
    noise = os.urandom(1_000_000)
    assert read("gzip", zipped(noise), limit=len(noise), step=65_536) == (noise, True)
