"""What is fuzzed: each target takes any bytes, and fails only by a bug of ours.

`make fuzz` runs them under atheris (libFuzzer), which follows the branches that its inputs take.
Each holds what it is given to more than "does not raise": what comes out must be what is promised.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from prober.classifier.observation import EXCERPT_CHARACTERS, MESSAGE_CHARACTERS, excerpt, read_body
from prober.classifier.rules import classify
from prober.classifier.server_timing import ABSURD_SECONDS, parse, server_total_seconds
from prober.cli.explain import classify_recorded
from prober.models import Expectations, HttpExchange, Response
from prober.outcomes import CLASSIFICATION, ServerTimingAnomaly
from prober.recorded.models import RecordedExchangeError
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document
from prober.render.terminal import deciding_rule

MOST_BYTES = 4096


def server_timing(content: bytes) -> None:
    """Any header lines: a sane time, or a named anomaly."""
    values = content.decode("latin-1").split("\n")
    for value in values:
        for metric in parse(value):
            assert metric.name
            duration = metric.duration_milliseconds
            assert duration is None or math.isfinite(duration)
    total = server_total_seconds(values)
    if not isinstance(total, ServerTimingAnomaly):
        assert 0.0 <= total <= ABSURD_SECONDS


def envelope(content: bytes) -> None:
    """Any body under any of the usual status codes: one verdict, of the table, and bounded."""
    body = read_body(content)
    assert (body.status is None) == (body.intermediary is not None)
    assert len(body.message) <= MESSAGE_CHARACTERS
    assert len(excerpt(content)) <= EXCERPT_CHARACTERS
    for status in (200, 204, 302, 401, 403, 404, 429, 500, 502):
        for headers in ((), (("Server-Timing", "total;dur=5"),)):
            exchange = HttpExchange("GET", "", 0.1, response=Response(status, headers, content))
            verdict = classify(exchange, Expectations())
            assert CLASSIFICATION[verdict.reason].outcome is verdict.outcome
            latency = verdict.latency
            assert latency.network_seconds is None or latency.network_seconds >= 0.0


def explain(content: bytes) -> None:
    """Any file: what `prober explain` would say of it, or why it is none."""
    try:
        every = parse_recorded(content)
    except RecordedExchangeError:
        return
    for saved in every:
        verdict = classify_recorded(saved.exchange, saved.expectations)
        deciding_rule(saved.exchange, saved.expectations)
        explanation_document(saved.exchange, verdict, saved.expectations, saved.tenant, saved.probe)


TARGETS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {"server-timing": server_timing, "envelope": envelope, "explain": explain}
)
SEEDS: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "server-timing": (
            b"total;dur=37.7",
            b'db;dur=53, app;dur=47.2;desc="a, b; c", total;dur=123',
            b'cache;desc="Cache \\" Read";dur=23.2\ntotal',
            b"total;dur=-0\ntotal;dur=1e3;dur=2",
        ),
        "envelope": (
            b'{"status": "ok", "datasets": []}',
            b'{"status": "error", "message": "404 Not Found", "path": "/api"}',
            b'{"type": "about:blank", "title": "x", "status": 404}',
            b"\xef\xbb\xbf<html><title>Just a moment...</title>",
            b"[" * 3000,
            b'{"a":' * 700 + b"9" * 500,
        ),
        "explain": (
            b'HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1\r\n\r\n{"status":"ok"}',
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/2 502\r\nServer: nginx\r\n\r\n<html>",
            b'{"request": {"method": "GET", "url": "https://a/"}, "exchange": {}}',
            b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 3000,
            b'{"a":' * 700,
            b"* Trying a\n> GET / HTTP/1.1\n> Authorization: Bearer x\n>\n< HTTP/1.1 200\n<\n{}",
            b"HTTP/2 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/2 204\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n\x1f\x8b",
            b"curl: (28) Operation timed out",
            b'{"log": {"entries": [{"request": {}, "response": {"status": 200, "_error": null}}]}}',
        ),
    }
)
_HEADER_WORDS = (
    "total",
    ";dur=",
    ";desc=",
    '"',
    '\\"',
    ",",
    "e999",
    "E-9",
    "1e308",
    "nan",
    "-0",
    "\n",
)
_JSON_WORDS = (
    *("[[[[[[[[", "{", '"status"', ":", '"ok"', '"error"', '"message"', '"path"', "null"),
    *("NaN", "-Infinity", "1e999", "99999999", "\\ud800", '"title"', '"type"', '"__abp"', "true"),
    *("<html", "<title>", "error code: 1020", "Just a moment", "cloudflare", "\xff\xfe"),
)
_SAVED_WORDS = (
    *("HTTP/1.1 ", "HTTP/2 ", "200", "100", "407", "\r\n", "\r\n\r\n", "Server-Timing: "),
    *('"request"', '"method"', '"url"', '"exchange"', '"response"', '"headers"', '"phases"'),
    *("\n< ", "\n> ", "\n* ", "curl: (18) ", "chunked", "gzip", "0\r\n\r\n", '"log"', '"entries"'),
    *('"verdict"', '"expectations"', '"failure"', '"kind"', '"probe"', '"tenant"'),
)
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "server-timing": _HEADER_WORDS,
        "envelope": (*_JSON_WORDS, *_HEADER_WORDS),
        "explain": (*_SAVED_WORDS, *_JSON_WORDS, *_HEADER_WORDS),
    }
)
"""What inputs are put together from, beside single bytes: what branches look for."""
