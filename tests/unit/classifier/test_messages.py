from collections.abc import Callable
from dataclasses import replace

import pytest

from prober.classifier import messages
from prober.classifier.observation import Observation, observe
from prober.classifier.rules import classify
from prober.models import Expectations, HttpExchange, Response, TcpEvidence
from prober.outcomes import FailureKind
from tests.unit.classifier.factories import (
    HTML,
    SERVER_TIMING,
    SILENCES,
    a_failure,
    a_silence,
    an_answer,
    an_envelope,
)

NOT_FOUND = an_envelope("error", message="404 Not Found")
UNREGISTERED = "/portal_/unregistered?serviceType=x&organizationName=acme&tenantName=prod"


def _header(name: str, value: str) -> tuple[tuple[str, str], ...]:
    return ((name, value),)


@pytest.mark.parametrize(
    ("exchange", "sentence"),
    [
        (
            a_failure(FailureKind.DNS, "no such\nhost"),
            "No response from cloud.uipath.com: the host name could not be resolved (no such host)",
        ),
        (
            a_failure(FailureKind.TOKEN_MISSING),
            "No request was sent to cloud.uipath.com: the prober has no usable token",
        ),
        (
            a_failure(FailureKind.TRUNCATED, response=Response(200, (), b"")),
            (
                "The request was sent to cloud.uipath.com, but the response is incomplete: "
                "it was truncated; the status was HTTP 200"
            ),
        ),
    ],
)
def test_a_failure_says_who_was_asked_and_what_went_wrong(
    exchange: HttpExchange, sentence: str
) -> None:
    assert messages.failure_message(observe(exchange, Expectations())) == sentence


def test_there_is_nothing_to_say_of_a_failure_that_was_none() -> None:
    assert messages.failure_message(observe(an_answer(), Expectations())) == ""


def test_every_kind_of_failure_has_words() -> None:
    assert set(messages.FAILURE_MESSAGES) == set(FailureKind)


@pytest.mark.parametrize(
    ("word", "exchange", "sentence"),
    [
        (
            messages.gateway_rejection_message,
            an_answer(401, b"", ()),
            (
                "HTTP 401 with an empty body, no envelope, no Server-Timing, but with a "
                "Bearer challenge: a gateway in front of the platform rejected the token"
            ),
        ),
        (
            messages.redirect_message,
            an_answer(302, b"", _header("Location", UNREGISTERED)),
            (
                f"HTTP 302 to {UNREGISTERED}: the gateway does not know this organisation, "
                "tenant or service; check the tenant's address"
            ),
        ),
        (
            messages.redirect_message,
            an_answer(302, b"", _header("Location", "/login?next=/portal_/unregistered")),
            (
                "HTTP 302 to /login?next=/portal_/unregistered: redirected by an intermediary, "
                "not by the platform"
            ),
        ),
        (
            messages.redirect_message,
            an_answer(304, b"", ()),
            "HTTP 304 without a Location: redirected by an intermediary, not by the platform",
        ),
        (
            messages.intermediary_message,
            an_answer(502, HTML, ()),
            (
                'HTTP 502 with an HTML page titled "502 Bad Gateway", no envelope, '
                "no Server-Timing: sent by an intermediary, not by the platform"
            ),
        ),
        (
            messages.intermediary_message,
            an_answer(502, b"[]", _header("Server-Timing", "edge;dur=3")),
            (
                "HTTP 502 with JSON of an unknown format, no envelope, no Server-Timing total: "
                "sent by an intermediary, not by the platform"
            ),
        ),
        (
            messages.intermediary_message,
            an_answer(524, b"x", _header("Server", "Cloudflare")),
            (
                "HTTP 524 with plain text, no envelope, no Server-Timing: "
                "sent by an intermediary, not by the platform "
                "(Cloudflare timed out waiting for its origin)"
            ),
        ),
        (
            messages.intermediary_message,
            an_answer(524, b"x", _header("Server", "nginx")),
            (
                "HTTP 524 with plain text, no envelope, no Server-Timing: "
                "sent by an intermediary, not by the platform"
            ),
        ),
        (
            messages.intermediary_message,
            an_answer(407, b"x", _header("Server", "cloudflare")),
            (
                "HTTP 407 with plain text, no envelope, no Server-Timing: "
                "sent by an intermediary, not by the platform (the proxy requires authentication)"
            ),
        ),
        (
            messages.token_rejected_message,
            an_answer(401, b"Unauthorized"),
            (
                "HTTP 401 with Server-Timing and plain text, no envelope: "
                "the platform rejected the token"
            ),
        ),
        (
            messages.permission_denied_message,
            an_answer(403, an_envelope("error", message="403 Forbidden")),
            (
                "HTTP 403 with an error envelope: the token has no permission for this request; "
                'message: "403 Forbidden"'
            ),
        ),
        (
            messages.response_too_large_message,
            an_answer(200, b"{", body_over_limit=True),
            (
                "HTTP 200 with Server-Timing and a body over the probe's limit, no envelope: "
                "the body was not read; request less data, or raise the probe's limit"
            ),
        ),
        (
            messages.malformed_envelope_message,
            an_answer(200, b""),
            (
                "HTTP 200 with Server-Timing and an empty body, no envelope: "
                "sent by the platform, but not in its own format"
            ),
        ),
        (
            messages.rate_limited_message,
            an_answer(429, an_envelope("error"), _header("Retry-After", "30")),
            (
                "HTTP 429 with an error envelope: the platform limits the request rate "
                "(Retry-After: 30)"
            ),
        ),
        (
            messages.rate_limited_message,
            an_answer(429, an_envelope("error")),
            "HTTP 429 with an error envelope: the platform limits the request rate",
        ),
        (
            messages.client_error_message,
            an_answer(404, NOT_FOUND),
            (
                "HTTP 404 with an error envelope: the platform rejected the request as invalid; "
                'message: "404 Not Found"'
            ),
        ),
        (
            messages.server_error_message,
            an_answer(500, an_envelope("error")),
            "HTTP 500 with an error envelope: the platform failed",
        ),
        (
            messages.inconsistent_envelope_message,
            an_answer(404, an_envelope("ok")),
            "HTTP 404 with an ok envelope: status code and envelope contradict each other",
        ),
        (
            messages.success_message,
            an_answer(headers=()),
            "HTTP 200 with an ok envelope",
        ),
        (
            messages.success_message,
            an_answer(),
            "HTTP 200 with an ok envelope; server 0.038 s, network 0.462 s",
        ),
    ],
)
def test_an_answer_says_what_was_seen_and_what_it_means(
    word: Callable[[Observation], str], exchange: HttpExchange, sentence: str
) -> None:
    assert word(observe(exchange, Expectations())) == sentence


def test_an_unmet_expectation_stands_in_the_sentence() -> None:
    seen = observe(an_answer(), Expectations(status=201))

    assert messages.expectation_failed_message(seen) == (
        "HTTP 200 with an ok envelope, but HTTP 201 was expected"
    )


def test_a_negative_checks_success_says_that_it_was_wanted() -> None:
    seen = observe(an_answer(404, NOT_FOUND, (SERVER_TIMING,)), Expectations(status=404))

    assert messages.expected_error_message(seen) == (
        "HTTP 404 with an error envelope, as the probe expects; server 0.038 s, network 0.462 s"
    )


LOST = "The request to cloud.uipath.com was lost in the network: "
SILENT = (
    "No response from cloud.uipath.com: the far end (192.0.2.7:443) acknowledged the request and"
    " was still reachable 0.9 s before the timeout."
)


@pytest.mark.parametrize(
    ("exchange", "words"),
    [
        (
            SILENCES["response_timeout_unacknowledged"],
            LOST + "the far end (192.0.2.7:443) never acknowledged it after 3 retransmission(s)."
            " TCP: round-trip time 41.0 ms, 3 segment(s) retransmitted, last packet received 5.0 s"
            " before the end",
        ),
        (
            SILENCES["response_timeout_far_end_silent"],
            SILENT + " TCP: round-trip time 41.0 ms, no retransmissions, last packet received 0.9 s"
            " before the end",
        ),
        (
            SILENCES["response_timeout_path_lost"],
            (
                "The network path to cloud.uipath.com failed after the request: the far end"
                " (192.0.2.7:443) acknowledged it, and answered no keep-alive probe in the last"
                " 4.5 s. TCP: round-trip time 41.0 ms, no retransmissions, last packet received"
                " 4.5 s before the end"
            ),
        ),
        (
            a_silence(response=Response(200, (), b"")),
            SILENT + " The status was HTTP 200. TCP: round-trip time 41.0 ms, no retransmissions,"
            " last packet received 0.9 s before the end",
        ),
        (
            a_silence(
                via_proxy=True, acknowledged=False, retransmissions=2, since_received_seconds=5.0
            ),
            LOST + "the proxy (192.0.2.7:443) never acknowledged it after 2 retransmission(s)."
            " TCP: round-trip time 41.0 ms, 2 segment(s) retransmitted, last packet received 5.0 s"
            " before the end",
        ),
    ],
)
def test_a_silence_names_the_far_end_and_claims_no_more(exchange: HttpExchange, words: str) -> None:
    assert classify(exchange, Expectations()).evidence == words


@pytest.mark.parametrize(
    ("total", "rtt", "retransmissions", "words"),
    [
        (
            0.92,
            0.041,
            2,
            "network 0.882 s (packet loss: 2 segment(s) retransmitted, round-trip time 41 ms)",
        ),
        (
            0.62,
            0.180,
            0,
            "network 0.582 s (distance: no retransmissions, round-trip time 180 ms)",
        ),
        (
            0.62,
            0.005,
            0,
            (
                "network 0.582 s (neither loss on our side nor distance explains it:"
                " no retransmissions, round-trip time 5 ms)"
            ),
        ),
        (0.10, 0.005, 0, "network 0.062 s"),
    ],
)
def test_a_slow_network_part_names_loss_or_distance(
    total: float, rtt: float, retransmissions: int, words: str
) -> None:
    tcp = TcpEvidence(rtt, retransmissions, True, 0.0, 0.0)
    exchange = replace(an_answer(total_seconds=total), tcp=tcp)
    assert classify(exchange, Expectations()).evidence.endswith(words)


def test_a_request_that_was_sent_again_is_named_in_evidence_and_facts() -> None:
    failed = replace(a_failure(FailureKind.CONNECTION_RESET), stale_connection_retries=1)
    for exchange in (failed, replace(a_silence(), stale_connection_retries=1)):
        assert classify(exchange, Expectations()).evidence.endswith(messages.STALE_CONNECTION)
    retried = replace(an_answer(), stale_connection_retries=1)
    assert classify(retried, Expectations()).facts["stale_connection"]
    assert "stale_connection" not in classify(an_answer(), Expectations()).facts
