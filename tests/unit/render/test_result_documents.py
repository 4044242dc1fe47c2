import json
from dataclasses import replace
from typing import Any

import pytest

from prober.classifier.checks import evaluate, with_failures
from prober.classifier.rules import classify
from prober.models import Check, CheckKind, Expectations, HttpExchange, Response
from prober.outcomes import Culprit, FailureKind
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document, result_document
from tests.unit.classifier.factories import SERVER_TIMING, URL, a_failure, an_answer, an_envelope
from tests.unit.render.factories import a_result, a_timed_answer

KEYS = [
    "schema_version",
    "tenant",
    "probe",
    "started_at_timestamp_seconds",
    "token",
    "endpoint",
    "steps",
    "verdict",
    "checks",
    "latency",
    "phase_seconds",
    "facts",
    "request",
    "response",
    "failure",
    "connection",
    "expectations",
]


def saved(exchange: HttpExchange) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(result_document(a_result(exchange))))
    return document


@pytest.mark.parametrize(
    "exchange", [a_timed_answer(), a_failure(FailureKind.DNS)], ids=["answer", "failure"]
)
def test_every_key_is_always_there(exchange: HttpExchange) -> None:
    assert list(saved(exchange)) == KEYS
    verdict = classify(exchange, Expectations())
    assert list(explanation_document(exchange, verdict, Expectations())) == KEYS


def test_a_result_is_told_whole() -> None:
    document = saved(a_timed_answer())
    assert document["latency"] == {
        "total_seconds": 0.2377,
        "server_seconds": 0.15,
        "network_seconds": pytest.approx(0.0877),
        "anomaly": None,
        "own_seconds": 0.0,
        "bound_seconds": 0.0,
        "timing_fallback": None,
        "loop_lag_seconds": 0.0,
    }
    assert document["phase_seconds"]["wait"] == 0.1877
    assert document["request"] == {"method": "GET", "url": URL}
    assert document["token"] == {"fingerprint": "1a2b3c4d", "source": "env ACME_TOKEN"}
    assert document["verdict"]["rule"] == "15"
    assert document["started_at_timestamp_seconds"] == 1.7e9


def test_a_request_that_was_sent_again_is_shown_and_read_back() -> None:
    exchange = replace(a_timed_answer(), stale_connection_retries=1)
    document = saved(exchange)
    assert document["connection"]["stale_retries"] == 1
    (recorded,) = parse_recorded(json.dumps(document).encode())
    assert recorded.exchange.stale_connection_retries == 1
    assert saved(a_timed_answer())["connection"]["stale_retries"] == 0


def test_customers_data_is_not_in_it() -> None:
    body = an_envelope(results=[{"text": "dear bank"}], message="dear me")
    document = saved(an_answer(body=body))
    assert document["response"]["envelope"] == {"status": "ok"}
    assert "dear" not in json.dumps(document)


def test_an_error_envelope_keeps_its_message_and_path() -> None:
    body = an_envelope("error", message="404 Not Found", path="/x", data="dear bank")
    document = saved(an_answer(404, body))
    assert document["response"]["envelope"] == {
        "status": "error",
        "message": "404 Not Found",
        "path": "/x",
    }
    assert "dear" not in json.dumps(document)


def test_of_a_malformed_platform_answer_no_body_is_kept() -> None:
    response = saved(an_answer(500, b"<html>dear bank</html>"))["response"]
    assert (response["envelope"], response["excerpt"]) == (None, None)


def test_a_body_over_the_limit_is_not_kept() -> None:
    response = saved(an_answer(body_over_limit=True))["response"]
    assert response["envelope"] is None
    assert response["body_over_limit"] is True


def test_a_strangers_body_is_kept_as_an_excerpt() -> None:
    response = saved(an_answer(502, b"<html>" + b"x" * 999, ()))["response"]
    assert response["excerpt"].startswith("<html>xxx")
    assert len(response["excerpt"]) == 200
    assert response["envelope"] is None


def test_an_excerpt_that_would_pass_for_an_envelope_is_not_kept() -> None:
    body = b'{"status": "error", "message": "two\nlines"}'  # a bare line end: no JSON
    assert saved(an_answer(502, body, ()))["response"]["excerpt"] is None


def test_cookies_are_dropped_and_all_other_headers_kept() -> None:
    headers = (SERVER_TIMING, ("Set-Cookie", "session=1"), ("X-A", "1"), ("X-A", "2"))
    response = saved(an_answer(headers=headers))["response"]
    assert response["headers"] == [list(SERVER_TIMING), ["X-A", "1"], ["X-A", "2"]]


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://me:secret@host/api", "https://host/api"), ("https://[broken", ""), (URL, URL)],
    ids=["credentials", "unreadable", "plain"],
)
def test_a_url_is_told_without_credentials(url: str, shown: str) -> None:
    assert saved(replace(an_answer(), url=url))["request"]["url"] == shown


def test_a_failure_is_told_by_kind_and_detail() -> None:
    document = saved(a_failure(FailureKind.TRUNCATED, "cut", Response(200, (), b"dear bank")))
    assert document["failure"] == {"kind": "truncated", "detail": "cut"}
    assert document["response"]["excerpt"] is None


def test_an_unknown_total_is_null() -> None:
    assert saved(an_answer(total_seconds=0.0))["latency"]["total_seconds"] is None


def test_expectations_go_along() -> None:
    wishes = Expectations(404, "x", 1.5, Culprit.PLATFORM)
    document = result_document(a_result(an_answer()), wishes)
    assert document["expectations"] == {
        "status": 404,
        "jmespath": "x",
        "max_server_seconds": 1.5,
        "culprit": "platform",
    }


def test_a_result_without_a_token_says_so() -> None:
    assert result_document(replace(a_result(an_answer()), token=None))["token"] is None


def test_the_results_of_checks_are_in_the_document() -> None:
    check = Check("rows", CheckKind.COUNT, "rows", min=1)
    exchange = a_timed_answer()
    verdict = with_failures(
        classify(exchange, Expectations()), evaluate((check,), {"rows": []}, 0.0)
    )
    result = replace(a_result(exchange), verdict=verdict)
    document = json.loads(json.dumps(result_document(result)))
    assert document["verdict"]["reason"] == "check_failed"
    assert document["checks"] == [
        {
            "check": "rows",
            "item": "",
            "kind": "count",
            "value": 0.0,
            "failed": True,
            "culprit": "tenant",
            "message": "rows is 0, must be at least 1",
        }
    ]
    assert saved(exchange)["checks"] is None
