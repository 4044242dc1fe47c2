"""What is said of responses and failures, word for word: evidence and facts of many exchanges.

After a change of the words: `python -m tests.unit.classifier.test_sentences`, and read the diff.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prober.classifier.messages import extract_attributes
from prober.classifier.oauth_rules import classify_token_response
from prober.classifier.observation import observe
from prober.classifier.rules import classify
from prober.models import (
    Expectations,
    HttpExchange,
    Latency,
    PresentedCertificate,
    Response,
    TcpEvidence,
    Verdict,
)
from prober.outcomes import FailureKind
from tests.unit.classifier.factories import (
    HTML,
    SERVER_TIMING,
    SILENCES,
    a_failure,
    an_answer,
    an_envelope,
    specimens,
)

FILE = Path(__file__).parents[2] / "fixtures" / "sentences.json"
NONE = Expectations()
ERROR = an_envelope("error", message="no  such\nthing", path="/x")
BODIES = {
    "ok": an_envelope(),
    "error": ERROR,
    "html": HTML,
    "untitled": b"<html><body>",
    "challenge": b"<html><title>Just a moment...</title></html>",
    "cloudflare": b"error code: 1016",
    "empty": b"",
    "problem": b'{"status": 404, "title": "Not Found"}',
    "problem by type": b'{"status": 404, "type": "x"}',
    "problem by trace": b'{"status": 404, "traceId": "x"}',
    "problem without": b'{"status": 404, "detail": "x"}',
    "problem of text": b'{"status": "404", "title": "x"}',
    "half management": b'{"statusCode": 500}',
    "abp by keys": b'{"errorCode": 1, "result": 2}',
    "management": b'{"statusCode": 500, "message": "x"}',
    "gateway": b'{"errorCode": 1}',
    "abp": b'{"__abp": true}',
    "list": b"[1]",
    "text": b"upstream connect error",
    "broken": b'{"status": ',
    "oauth": b'{"error": "invalid_scope", "error_description": "no"}',
    "client": b'{"error": "invalid_client"}',
    "busy": b'{"error": "temporarily_unavailable"}',
    "token": b'{"access_token": "abc", "token_type": "Bearer"}',
    "no token": b'{"access_token": null}',
    "mac": b'{"access_token": "abc", "token_type": "mac"}',
    "numbers": b'{"access_token": 5}',
    "no text": b'{"access_token": ""}',
    "unprintable": b'{"access_token": "a b"}',
    "kind": b'{"access_token": "abc", "token_type": 5}',
    "long": b'{"access_token": "%s"}' % (b"x" * 16_385),
}
STATUSES = (101, 200, 204, 300, 302, 304, 400, 401, 402, 403, 404, 409, 429, 499, 500, 502, 503)
EDGE = (*range(519, 529), 530, 531)
TCP = TcpEvidence(0.041, 0, acknowledged=True, since_received_seconds=0.5, since_data_seconds=0.5)


def exchanges() -> Iterator[tuple[str, HttpExchange, Expectations]]:
    for each in specimens():
        yield each.name, each.exchange, each.expectations
    for name, body in BODIES.items():
        for status in (200, 401, 502):
            yield f"body {name} {status}", an_answer(status, body, ()), NONE
            yield f"body {name} {status} timed", an_answer(status, body), NONE
    for status in (*STATUSES, *EDGE):
        yield f"error {status} timed", an_answer(status, ERROR), NONE
        cloudflare = (("Server", "cloudflare"), ("CF-Ray", "ray"), ("Location", "/a\x1bb"))
        yield f"html {status} cloudflare", an_answer(status, HTML, cloudflare), NONE
        yield f"html {status}", an_answer(status, HTML, ()), NONE
    yield from _special()
    for kind in FailureKind:
        yield f"failure {kind}", a_failure(kind), NONE
        partial = a_failure(kind, "a\ndetail", Response(200, (SERVER_TIMING,), b"x"))
        yield f"failure {kind} partial", partial, NONE
    for name, silence in SILENCES.items():
        yield name, silence, NONE
        yield f"{name} partial", replace(silence, response=Response(206, (), b"")), NONE
        yield f"{name} proxy", replace(silence, via_proxy=True), NONE
        yield f"{name} stale", replace(silence, stale_connection_retries=2), NONE


def _special() -> Iterator[tuple[str, HttpExchange, Expectations]]:
    over = an_answer(200, b"{", body_over_limit=True)
    yield "over the limit", over, NONE
    yield "over the limit, not the platform", replace(over, response=_bare(over)), NONE
    coded = an_answer(200, b"\x00", coding="br")
    yield "coded", coded, NONE
    yield "coded, not the platform", replace(coded, response=_bare(coded)), NONE
    limited = (SERVER_TIMING, ("Retry-After", "7"), ("X-Request-Id", "r"))
    yield "limited", an_answer(429, ERROR, limited), NONE
    yield "quota", an_answer(403, an_envelope("error", message="quota exceeded")), NONE
    bearer = (("WWW-Authenticate", 'Bearer realm="x"'), ("Content-Type", "text/html"))
    yield "challenge of a gateway", an_answer(401, HTML, bearer), NONE
    patient = (SERVER_TIMING, ("Retry-After", "x" * 60))
    yield "limited for long", an_answer(429, ERROR, patient), NONE
    for path in ("/portal_/unregistered/", "/PORTAL_/Unregistered", "/portal_/unregisteredX"):
        yield f"redirected to {path}", an_answer(302, b"", (("Location", path),)), NONE
    unknown = (("Location", "/portal_/unregistered?a"),)
    yield "unknown tenant", an_answer(302, b"", unknown), NONE
    names = ("Location", "Server-Timing", "Retry-After", "Server", "CF-Ray", "X-Request-Id")
    twice = tuple((name, value) for name in names for value in ("a", "b"))
    for status in (302, 429, 500):
        yield f"twice {status}", an_answer(status, ERROR, twice), NONE
        yield f"twice {status}, not the platform", an_answer(status, HTML, twice), NONE
    yield "nowhere", an_answer(302, b"", ()), NONE
    yield "bad time", an_answer(200, HTML, (("Server-Timing", "total;dur=x"),)), NONE
    yield "expected", an_answer(404, ERROR), Expectations(status=404)
    yield "unmet", an_answer(200), Expectations(jmespath="datasets")
    yield "not expected", an_answer(200), Expectations(status=404)
    yield "slow server", an_answer(), Expectations(max_server_seconds=0.01)
    head = replace(an_answer(200, b""), method="HEAD")
    yield "head", head, NONE
    yield "head, not the platform", replace(head, response=_bare(head)), NONE
    for name, tcp in (
        ("near", replace(TCP, rtt_seconds=0.001)),
        ("far", replace(TCP, rtt_seconds=0.2)),
        ("lossy", replace(TCP, retransmissions=2)),
        ("lost", replace(TCP, lost_addresses=("192.0.2.1", "192.0.2.2"))),
    ):
        yield name, replace(an_answer(), tcp=tcp), NONE
        yield f"{name}, fast", replace(an_answer(total_seconds=0.1), tcp=tcp), NONE
    certificate = PresentedCertificate("CN=issuer", "", 0.0, 86_400.0)
    expired = a_failure(FailureKind.CERTIFICATE_EXPIRED, "expired")
    yield "certificate", replace(expired, presented_certificate=certificate), NONE
    anonymous = replace(certificate, subject="", issuer="CN=issuer")
    yield "certificate without a subject", replace(expired, presented_certificate=anonymous), NONE


def _bare(exchange: HttpExchange) -> Response:
    assert exchange.response is not None
    return replace(exchange.response, headers=())


def _said(verdict: Verdict) -> dict[str, object]:
    return {
        "rule": verdict.rule,
        "reason": verdict.reason,
        "culprit": verdict.culprit,
        "responder": verdict.responder,
        "evidence": verdict.evidence,
        "facts": dict(verdict.facts),
        "latency": _numbers(verdict.latency),
    }


def _numbers(latency: Latency) -> list[object]:
    parts = (
        latency.total_seconds,
        latency.server_seconds,
        latency.network_seconds,
        latency.own_seconds,
        latency.anomaly,
    )
    return [round(each, 6) if isinstance(each, float) else each for each in parts]


def sentences() -> dict[str, object]:
    """Return what is said now, by the name of the exchange; of `oauth`, as a token's response."""
    said: dict[str, object] = {}
    for name, exchange, expectations in exchanges():
        assert name not in said, name
        said[name] = _said(classify(exchange, expectations))
        token = _said(classify_token_response(exchange))
        del token["facts"]
        said[f"oauth: {name}"] = token
    return said


EXPECTED = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}


def test_there_is_a_sentence_for_each_exchange() -> None:
    assert sentences().keys() == EXPECTED.keys()


@pytest.mark.parametrize("form", ["", "oauth: "])
def test_each_sentence_is_as_it_is_written(form: str) -> None:
    found = json.loads(json.dumps(sentences()))
    changed = {
        name: (EXPECTED[name], said)
        for name, said in found.items()
        if name.startswith("oauth: ") is bool(form) and said != EXPECTED.get(name)
    }
    assert changed == {}


def test_a_token_s_response_has_the_facts_of_any_response() -> None:
    for _, exchange, _ in exchanges():
        facts = extract_attributes(observe(exchange, NONE))
        assert classify_token_response(exchange).facts == facts


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(said)}" for name, said in sentences().items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
