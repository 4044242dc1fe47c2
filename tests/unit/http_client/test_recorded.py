import gzip
import zlib
from functools import partial

import pytest

from prober.http_client.recorded import parse_curl

zipped = partial(gzip.compress, mtime=0)  # the time would be part of the tests' names
ENVELOPE = b'{"status": "ok", "datasets": []}'


def saved(coding: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", zipped(ENVELOPE)),
        ("gzip, gzip", zipped(zipped(ENVELOPE))),
        ("identity, gzip", zipped(ENVELOPE)),
        ("deflate", zlib.compress(ENVELOPE)),
        ("gzip", ENVELOPE),
        ("gzip, gzip", ENVELOPE),
        ("deflate", ENVELOPE),
        ("br", ENVELOPE),
        ("identity", ENVELOPE),
    ],
)
def test_a_body_is_decoded_unless_curl_did_so(coding: str, body: bytes) -> None:
    response = parse_curl(saved(coding, body)).exchange.response
    assert response is not None
    assert (response.body, response.unreadable_coding) == (ENVELOPE, "")


@pytest.mark.parametrize("coding", ["br", "gzip, br", "br, gzip"])
def test_a_body_that_nobody_can_decode_is_said_to_be_that(coding: str) -> None:
    response = parse_curl(saved(coding, b"\x8b\x03\x80\xff\x00")).exchange.response
    assert response is not None
    assert response.unreadable_coding == "br"


def test_a_bomb_is_not_decoded_whole() -> None:
    bomb = saved("gzip", zipped(bytes(40_000_000)))
    response = parse_curl(bomb).exchange.response
    assert response is not None
    assert response.body_over_limit
    assert len(response.body) <= 16 * 1024 * 1024
