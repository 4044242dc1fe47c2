"""What `curl` writes beside a response, alone or mixed with it."""

import json

import pytest

from prober.classifier.rules import classify
from prober.cli.explain import classify_recorded
from prober.outcomes import Reason
from prober.recorded.models import RecordedExchange, RecordedExchangeError
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document

ENVELOPE = '{"status": "ok", "datasets": []}'
HEADING = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed\n"
)
BEGUN = "\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0"
ENDED = "\r100    32  100    32    0     0  45331      0 --:--:--  0:00:01 --:--:-- 4785k"
HEAD = "HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1\r\nContent-Length: 32\r\n\r\n"
MARKED = "".join(f"< {line}\r\n" for line in HEAD.split("\r\n")[:-1])
REQUEST = (
    "* Connected to cloud.uipath.com (203.0.113.7) port 443 (#0)\n"
    "> GET /acme/prod/reinfer_/api/v1/datasets HTTP/1.1\r\n> Host: cloud.uipath.com\r\n"
    "> Authorization: Bearer Sk-A1b2/C3d4+E5f6\r\n> Accept: */*\r\n> \r\n"
)
DATA = "{ [32 bytes data]\n"
LEFT = "* Connection #0 to host cloud.uipath.com left intact\n"


def only(text: str) -> RecordedExchange:
    (recorded,) = parse_recorded(text.encode())
    return recorded


def reason_of(recorded: RecordedExchange) -> Reason:
    return classify(recorded.exchange, recorded.expectations).reason


@pytest.mark.parametrize(
    "text",
    [
        MARKED + ENVELOPE,
        REQUEST + MARKED + DATA + LEFT + ENVELOPE,
        REQUEST + MARKED + DATA + ENVELOPE + LEFT,
        REQUEST + MARKED + ENVELOPE + "\n" + LEFT,
        f"{HEADING}{BEGUN}{REQUEST}{MARKED}{DATA}{ENDED}\n* Closing connection 0\n{ENVELOPE}",
        f"{HEADING}{BEGUN}{REQUEST}{MARKED}{DATA}{BEGUN}{ENDED}\n{LEFT}{ENVELOPE}\n200 0.123\n",
        REQUEST + MARKED + DATA + LEFT + HEAD + ENVELOPE,
        HEADING + BEGUN + ENDED + "\n" + HEAD + ENVELOPE,
        HEADING + BEGUN + ENDED + HEAD + ENVELOPE,
        HEAD + ENVELOPE + "\n" + HEADING + BEGUN + ENDED + "\n",
        HEAD + ENVELOPE + LEFT,
        f"######## 100.0%\n{HEAD}{ENVELOPE}",
        (REQUEST + MARKED + ENVELOPE + "\n" + LEFT).replace("\r\n", "\n"),
        f"$ curl --include https://cloud.uipath.com/x\n{HEAD}{ENVELOPE}\n$ ",
        f"GET / HTTP/1.1\nHost: a\n\n\n{HEAD}{ENVELOPE}",
    ],
)
def test_a_response_is_found_in_all_that_curl_writes(text: str) -> None:
    recorded = only(text)
    assert reason_of(recorded) is Reason.OK
    assert recorded.exchange.response is not None
    assert recorded.exchange.response.header_values("server-timing") == ("total;dur=1",)


def test_what_write_out_adds_is_left_out_and_said() -> None:
    for framing in ("Content-Length: 32\r\n", "Transfer-Encoding: chunked\r\n", ""):
        head = f"HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1\r\n{framing}\r\n"
        for trailer in ("200", "\ntime_total: 0.123\nhttp_code: 200\n", '{"time_total": 0.1}'):
            recorded = only(head + ENVELOPE + trailer)
            assert reason_of(recorded) is Reason.OK
            assert trailer.split()[0][:4] in recorded.notes[0]


def test_the_request_of_a_log_is_known_and_its_token_is_not_shown() -> None:
    body = json.dumps({"status": "error", "message": "you sent Sk-A1b2/C3d4+E5f6"})
    head = "< HTTP/1.1 400 Bad\r\n< Server-Timing: total;dur=1\r\n< \r\n"
    recorded = only(REQUEST + head + body)
    assert recorded.exchange.method == "GET"
    assert recorded.exchange.url == "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
    verdict = classify_recorded(recorded.exchange, recorded.expectations)
    document = explanation_document(recorded.exchange, verdict, recorded.expectations)
    assert "[redacted]" in verdict.evidence
    assert "Sk-A1b2" not in json.dumps(document) + repr(recorded)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("(5) Could not resolve proxy: proxy.test", Reason.PROXY),
        ("(6) Could not resolve host: cloud.uipath.com", Reason.DNS),
        ("(7) Failed to connect to a port 443 after 2 ms: Connection refused", "refused"),
        ("(7) Failed to connect to a port 443 after 0 ms: Couldn't connect to server", "refused"),
        ("(7) Failed to connect to a port 443: No route to host", Reason.UNREACHABLE),
        ("(28) Failed to connect to a port 443 after 5 ms: Connection timed out", "time-out"),
        ("(28) Connection timeout after 5001 ms", "time-out"),
        ("(28) Resolving timed out after 5000 milliseconds", Reason.DNS),
        ("(28) SSL connection timeout", Reason.TLS_HANDSHAKE),
        ("(28) Operation timed out after 5001 milliseconds with 0 bytes received", "silence"),
        ("(35) OpenSSL SSL_connect: Connection reset by peer", Reason.TLS_HANDSHAKE),
        ("(52) Empty reply from server", Reason.CONNECTION_RESET),
        ("(56) Recv failure: Connection reset by peer", Reason.CONNECTION_RESET),
        ("(56) CONNECT tunnel failed, response 407", Reason.PROXY),
        ("(60) SSL certificate problem: certificate has expired", Reason.CERTIFICATE_EXPIRED),
        ("(60) SSL certificate problem: self-signed certificate", Reason.TLS_CERTIFICATE),
        ("(60) SSL: no alternative certificate subject name matches", "name"),
        ("(1) Received HTTP/0.9 when not allowed", Reason.PROTOCOL_ERROR),
        ("(77) error setting certificate verify locations", Reason.TLS_CONFIGURATION),
    ],
)
def test_an_error_of_curl_is_classified(error: str, reason: str) -> None:
    expected = {
        "refused": Reason.CONNECTION_REFUSED,
        "time-out": Reason.CONNECT_TIMEOUT,
        "silence": Reason.RESPONSE_TIMEOUT,
        "name": Reason.CERTIFICATE_NAME_MISMATCH,
    }.get(reason, reason)
    for text in (f"curl: {error}\n", f"{HEADING}{BEGUN}\ncurl: {error}", f"{REQUEST}curl: {error}"):
        assert reason_of(only(text)) is expected


def test_an_error_within_the_body_is_one_of_the_way() -> None:
    cut = HEAD + ENVELOPE[:9]
    error = "\ncurl: (18) transfer closed with 23 bytes remaining to read\n"
    recorded = only(cut + error)
    assert reason_of(recorded) is Reason.TRUNCATED
    assert recorded.exchange.failure is not None
    assert recorded.exchange.failure.detail.startswith("curl: (18)")
    reset = only(REQUEST + MARKED + "curl: (56) Recv failure: Connection reset by peer\n" + "{")
    assert reason_of(reset) is Reason.CONNECTION_RESET


def test_a_silent_log_says_why_as_well() -> None:
    refused = (
        "*   Trying 127.0.0.1:1...\n* connect to 127.0.0.1 port 1 failed: Connection refused\n"
    )
    assert reason_of(only(refused)) is Reason.CONNECTION_REFUSED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REQUEST, "neither a response nor an error"),
        ("curl: (22) The requested URL returned error: 401\n", "without --fail"),
        (MARKED + "curl: (22) The requested URL returned error: 401", "without --fail"),
        ("curl: (3) URL using bad/illegal format or missing URL", r"curl: \(3\)"),
        ("== Info:   Trying 127.0.0.1\n=> Send header, 81 bytes\n", "--trace-ascii"),
        ("curl 'https://cloud.uipath.com/x' -H 'authorization: Bearer x'", "curl command"),
        ("--2026-11-26 18:08:09--  https://a/\nResolving a\n", "wget --save-headers"),
        ("StatusCode        : 200\nStatusDescription : OK\n", "curl.exe"),
        ("<html>502</html>", "a body alone"),
        ("\x1f", "neither the output"),
        ("hello", "neither the output"),
        (MARKED, "without the body of 32 bytes"),
        (HEADING + BEGUN + ENDED + "\n", "progress meter of curl alone"),
    ],
)
def test_other_text_is_refused_and_what_to_save_is_said(text: str, message: str) -> None:
    with pytest.raises(RecordedExchangeError, match=message):
        parse_recorded(text.encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "compressed with gzip"),
        (b"PK\x03\x04...", "zip archive"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "packet capture"),
        (b"\x0a\x0d\x0d\x0a\x1c", "packet capture"),
        (b"\n \n", "nothing in it"),
        (b"\xff\xfe", "nothing in it"),
    ],
)
def test_other_files_are_refused_by_what_they_are(content: bytes, message: str) -> None:
    with pytest.raises(RecordedExchangeError, match=message):
        parse_recorded(content)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_of_windows_are_read(encoding: str) -> None:
    (recorded,) = parse_recorded((HEAD + ENVELOPE).encode(encoding))
    assert reason_of(recorded) is Reason.OK


def test_responses_that_wget_shows_indented_are_read() -> None:
    indented = "".join(f"  {line}\n" for line in HEAD.splitlines() if line)
    assert reason_of(only(f"{indented}\n{ENVELOPE}")) is Reason.OK
    assert reason_of(only(f"{indented}{ENVELOPE}")) is Reason.OK


def test_a_meter_that_follows_other_text_ends_its_line() -> None:
    (recorded,) = parse_recorded(f"{HEADING}text{BEGUN}{HEAD}{ENVELOPE}".encode())
    assert reason_of(recorded) is Reason.OK
    assert recorded.notes == ("text before the response is left out: text",)


def test_a_failure_without_a_response_took_no_known_time() -> None:
    recorded = only(f"{REQUEST}curl: (52) Empty reply from server")
    assert recorded.exchange.total_seconds == 0.0
    assert recorded.exchange.method == "GET"


@pytest.mark.parametrize("token", ["Sk-A1b2/C3d4+E5f6", "Sk1A1b2C3d4E5f6G7h8I9j0K1l2M3n4"])
def test_a_token_that_a_header_echoes_is_not_shown(token: str) -> None:
    head = (
        f"HTTP/1.1 302 Found\r\n< Location: /x?t={token}\r\n< Server: {token}\r\n< {token}: x\r\n"
    )
    text = f"> GET / HTTP/1.1\r\n> Authorization: Bearer {token}\r\n> \r\n< {head}< \r\n<html>"
    (recorded,) = parse_recorded(text.encode())
    assert token not in repr(recorded)
    verdict = classify(recorded.exchange, recorded.expectations)
    assert token not in repr(verdict)
    assert "[redacted]" in verdict.evidence
    followed = parse_recorded(f"{text}\n< HTTP/1.1 200 OK\r\n< A: b\r\n< \r\n{{}}".encode())
    assert token not in repr(followed)


def test_a_token_in_a_redirect_that_curl_followed_is_not_shown() -> None:
    token = "Sk-A1b2/C3d4+E5f6"
    (recorded,) = parse_recorded(
        f"> GET / HTTP/1.1\r\n> Authorization: Bearer {token}\r\n> \r\n"
        f"< HTTP/1.1 302 Found\r\n< Location: /x?t={token}\x1b[2J\r\n< \r\n"
        "< HTTP/1.1 200 OK\r\n< Content-Type: text/html\r\n< \r\n<html>".encode()
    )
    assert "curl followed a redirect to /x?t=[redacted] [2J, the prober never" in str(
        recorded.notes
    )
    assert token not in repr(recorded)
