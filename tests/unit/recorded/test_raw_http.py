"""Responses as `curl --include` or the wire has them: missing parts do not blame the platform."""

import gzip
import json
import zlib
from functools import partial

import pytest

from prober.classifier.rules import classify
from prober.models import Response
from prober.outcomes import Culprit, FailureKind, Reason
from prober.recorded import raw_http
from prober.recorded.models import RecordedExchange, RecordedExchangeError
from prober.recorded.parse import parse_recorded

zipped = partial(gzip.compress, mtime=0)  # the time would be part of the tests' names
ENVELOPE = b'{"status": "ok", "datasets": []}'
TIMED = b"HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(ENVELOPE)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def saved(coding: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode() + body


def only(content: bytes) -> RecordedExchange:
    (recorded,) = parse_recorded(content)
    return recorded


def response_of(content: bytes) -> Response:
    response = only(content).exchange.response
    assert response is not None
    return response


def reason_of(recorded: RecordedExchange) -> Reason:
    return classify(recorded.exchange, recorded.expectations).reason


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
    response = response_of(saved(coding, body))
    assert (response.body, response.unreadable_coding) == (ENVELOPE, "")


@pytest.mark.parametrize("coding", ["br", "gzip, br", "br, gzip"])
def test_a_coding_that_cannot_be_decoded_is_named(coding: str) -> None:
    assert response_of(saved(coding, b"\x8b\x03\x80\xff\x00")).unreadable_coding == "br"


def test_a_decompression_bomb_is_cut() -> None:
    response = response_of(saved("gzip", zipped(bytes(40_000_000))))
    assert response.body_over_limit
    assert len(response.body) <= 16 * 1024 * 1024


def test_a_compressed_body_that_ends_early_is_truncated() -> None:
    content = json.dumps({"status": "ok", "names": list(range(500))}).encode()
    recorded = only(saved("gzip", zipped(content)[:100]))
    assert reason_of(recorded) is Reason.TRUNCATED
    assert "ends early" in recorded.notes[0]


def test_a_compressed_body_that_is_damaged_is_no_fault_of_the_platform() -> None:
    damaged = bytearray(zipped(ENVELOPE))
    damaged[12] ^= 0xFF
    damaged[-6] ^= 0xFF
    assert reason_of(only(saved("gzip", bytes(damaged)))) is Reason.PROTOCOL_ERROR


def test_a_compressed_body_that_was_saved_as_text_is_refused() -> None:
    text = zipped(ENVELOPE).decode("utf-8", "replace").encode()
    with pytest.raises(RecordedExchangeError, match="--compressed"):
        parse_recorded(saved("gzip", text))


@pytest.mark.parametrize(
    "body",
    [
        b"20\r\n" + ENVELOPE + b"\r\n0\r\n\r\n",
        b"5\r\n" + ENVELOPE[:5] + b"\r\n1b;ext=1\r\n" + ENVELOPE[5:] + b"\r\n0\r\n\r\n",
        b"020\r\n" + ENVELOPE + b"\r\n000\r\nChecksum: 1\r\n\r\n",
        b"20\n" + ENVELOPE + b"\n0\n\n",
        b"20\r\n" + ENVELOPE + b"\r\n0\r\n",
        ENVELOPE,
        ENVELOPE + b"\n",
    ],
)
def test_a_chunked_body_is_read_framed_or_not(body: bytes) -> None:
    recorded = only(TIMED + CHUNKED + body)
    assert recorded.exchange.response is not None
    assert recorded.exchange.response.body.strip() == ENVELOPE
    assert reason_of(recorded) is Reason.OK


@pytest.mark.parametrize("kept", [4, 10, 35, 36, 37, 38])
def test_a_chunked_body_that_is_cut_is_truncated(kept: int) -> None:
    framed = b"20\r\n" + ENVELOPE + b"\r\n40\r\n" + ENVELOPE
    recorded = only(TIMED + CHUNKED + framed[:kept])
    assert reason_of(recorded) is Reason.TRUNCATED
    assert any("cut" in note for note in recorded.notes)


def test_chunks_of_a_compressed_body_are_put_together_first() -> None:
    body = zipped(ENVELOPE)
    framed = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    head = TIMED + b"Content-Encoding: gzip\r\n" + CHUNKED
    assert response_of(head + framed).body == ENVELOPE


def test_html_that_is_named_chunked_but_is_not_is_left_as_it_is() -> None:
    body = b"<html>5\r\nabcde\r\n0\r\n\r\n</html>"
    assert response_of(b"HTTP/1.1 502 Bad\r\n" + CHUNKED + body).body == body


@pytest.mark.parametrize(
    ("length", "body", "reason"),
    [
        (32, ENVELOPE, Reason.OK),
        (32, ENVELOPE + b"\n", Reason.OK),
        (33, ENVELOPE, Reason.OK),  # an editor took the last line end
        (9, ENVELOPE, Reason.OK),  # of the compressed body, perhaps
        (999, ENVELOPE, Reason.OK),
        (32, ENVELOPE[:20], Reason.TRUNCATED),
        (40, b"<html>nothing like it</html>", Reason.TRUNCATED),
        (30, b"<html>nothing like it</html>\n", Reason.MALFORMED_ENVELOPE),
    ],
)
def test_a_wrong_length_is_noted_and_does_not_blame_the_platform(
    length: int, body: bytes, reason: Reason
) -> None:
    recorded = only(TIMED + b"Content-Length: %d\r\n\r\n" % length + body)
    assert reason_of(recorded) is reason
    verdict = classify(recorded.exchange, recorded.expectations)
    assert reason is Reason.MALFORMED_ENVELOPE or verdict.culprit is not Culprit.PLATFORM
    assert bool(recorded.notes) == (length != 32 or reason is Reason.TRUNCATED)


def test_of_a_body_only_what_was_announced_counts() -> None:
    garbage = ENVELOPE[:-1] + b",}"
    recorded = only(TIMED + b"Content-Length: %d\r\n\r\n" % len(garbage) + garbage + b"0.123 200\n")
    assert recorded.exchange.response is not None
    assert recorded.exchange.response.body == garbage
    assert "0.123 200" in recorded.notes[0]


@pytest.mark.parametrize(
    "lengths", [b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -1"]
)
def test_a_length_that_is_none_is_a_protocol_error(lengths: bytes) -> None:
    recorded = only(TIMED + lengths + b"\r\n\r\n" + ENVELOPE)
    assert reason_of(recorded) is Reason.PROTOCOL_ERROR


def test_a_head_without_its_body_is_refused() -> None:
    with pytest.raises(RecordedExchangeError, match="without the body of 32 bytes"):
        parse_recorded(TIMED + LENGTH)


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 304 Not Modified\r\n"])
def test_some_responses_have_no_body(head: bytes) -> None:
    first, second = parse_recorded(head + b"Content-Length: 9\r\n\r\n" + TIMED + LENGTH + ENVELOPE)
    assert first.exchange.response is not None
    assert first.exchange.response.body == b""
    assert reason_of(second) is Reason.OK


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (LENGTH, ENVELOPE),
        (LENGTH, ENVELOPE + b"\n"),
        (CHUNKED, b"20\r\n" + ENVELOPE + b"\r\n0\r\n\r\n"),
        (CHUNKED, ENVELOPE),
        (b"\r\n", ENVELOPE),
        (b"\r\n", b"\n" + ENVELOPE + b"\n\n"),
        (b"\r\n", ENVELOPE + b"0.123 200\n"),
    ],
)
def test_several_responses_are_read_one_by_one(framing: bytes, body: bytes) -> None:
    denied = b"HTTP/1.1 401 Unauthorized\r\nServer-Timing: total;dur=1\r\nContent-Length: 18"
    denied += b'\r\n\r\n{"status":"error"}'
    every = parse_recorded(TIMED + framing + body + denied + TIMED + framing + body)
    assert [reason_of(each) for each in every] == [Reason.OK, Reason.TOKEN_REJECTED, Reason.OK]
    assert every[1].notes[0] == "response 2 of 3 in the file"


def test_a_page_of_html_ends_where_the_next_head_begins() -> None:
    page = b"<html><title>502 Bad Gateway</title></html>"
    first, second = parse_recorded(
        b"HTTP/1.1 502 Bad\r\nServer: nginx\r\n\r\n" + page + TIMED + LENGTH + ENVELOPE
    )
    assert first.exchange.response is not None
    assert first.exchange.response.body == page
    assert reason_of(second) is Reason.OK


def test_json_that_ends_early_is_truncated() -> None:
    for kept in range(1, len(ENVELOPE)):
        recorded = only(TIMED + b"\r\n" + ENVELOPE[:kept])
        assert reason_of(recorded) is Reason.TRUNCATED, kept


@pytest.mark.parametrize("body", [b'{"status": ok}', b"{'status': 'ok'}", b'{"a": 1,}', b"[1 2]"])
def test_json_that_is_wrong_is_not(body: bytes) -> None:
    assert reason_of(only(TIMED + b"\r\n" + body)) is Reason.MALFORMED_ENVELOPE


def test_the_number_of_responses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_http, "MAX_RESPONSES", 2)
    with pytest.raises(RecordedExchangeError, match="more than 2 responses"):
        parse_recorded((TIMED + LENGTH + ENVELOPE) * 3)


def test_interim_heads_redirects_and_tunnels_are_part_of_a_response() -> None:
    heads = b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\n\r\n"
    recorded = only(heads + moved + TIMED + LENGTH + ENVELOPE)
    assert "4 heads were saved" in recorded.notes[0]
    assert "elsewhere.test" in recorded.notes[1]


def test_colours_of_a_terminal_are_taken_out_of_heads() -> None:
    head = b"HTTP/2 200 \r\n\x1b[1mserver-timing\x1b[0m: total;dur=1\r\n\r\n"
    assert reason_of(only(head + ENVELOPE)) is Reason.OK


def test_tokens_that_a_server_echoes_are_not_shown() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
    body = json.dumps({"status": "error", "message": f"you sent {token}"}).encode()
    recorded = only(b"HTTP/1.1 400 Bad\r\nServer-Timing: total;dur=1\r\n\r\n" + body)
    assert token not in classify(recorded.exchange, recorded.expectations).evidence


def test_a_kind_of_failure_is_kept() -> None:
    recorded = only(TIMED + LENGTH + ENVELOPE[:9])
    assert recorded.exchange.failure is not None
    assert recorded.exchange.failure.kind is FailureKind.TRUNCATED
