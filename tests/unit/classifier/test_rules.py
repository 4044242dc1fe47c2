from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.observation import observe
from prober.classifier.rules import RULES, classify, describe_rules
from prober.config.builtin_probes import CATALOGUE, BuiltinProbe
from prober.models import Expectations, HttpExchange, Latency, Response, Verdict
from prober.outcomes import (
    CLASSIFICATION,
    Culprit,
    FailureKind,
    Outcome,
    Reason,
    Responder,
    ServerTimingAnomaly,
)
from tests.unit.classifier.factories import (
    HTML,
    SERVER_TIMING,
    SILENCES,
    Specimen,
    a_failure,
    an_answer,
    an_envelope,
    specimens,
)

OK, ERROR = an_envelope("ok"), an_envelope("error", message="it broke")
BEARER = (("WWW-Authenticate", "Bearer"),)
NOBODY, INTERMEDIARY = Responder.NOBODY, Responder.INTERMEDIARY
CULPRITS_OF_FAILURES = {
    "1": Culprit.PROBER,
    "4a": Culprit.PLATFORM,
    "4b": Culprit.UNDECIDED,
    "6": Culprit.UNDECIDED,
}
ROWS_OF_FAILURES = {
    "1": "token_missing resource_exhausted tls_configuration internal_error",
    "2": "dns",
    "3": "connection_refused unreachable connect_timeout",
    "4": "tls_certificate tls_handshake",
    "4a": "certificate_expired",
    "4b": "certificate_name_mismatch",
    "5": "proxy",
    "6": "connection_reset response_timeout truncated",
    "6a": "protocol_error",
}
SPECIMENS = specimens()


def _judged(exchange: HttpExchange, wishes: Expectations | None = None) -> Verdict:
    return classify(exchange, wishes or Expectations())


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_a_specimen_is_judged_as_written_beside_it(specimen: Specimen) -> None:
    verdict = _judged(specimen.exchange, specimen.expectations)
    expected = dict(specimen.expected)

    assert expected.pop("evidence") in verdict.evidence
    found = {
        "rule": verdict.rule,
        "reason": verdict.reason,
        "culprit": verdict.culprit,
        "responder": verdict.responder,
        **verdict.facts,
    }
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wishes", "culprit"),
    [
        pytest.param(Expectations(status=201), Culprit.TENANT, id="status"),
        pytest.param(Expectations(jmespath="nothing"), Culprit.TENANT, id="body"),
        pytest.param(Expectations(max_server_seconds=1e-6), Culprit.PLATFORM, id="server-time"),
        pytest.param(
            Expectations(jmespath="nothing", culprit=Culprit.PLATFORM), Culprit.PLATFORM, id="given"
        ),
        pytest.param(
            Expectations(max_server_seconds=1e-6, culprit=Culprit.REQUEST),
            Culprit.REQUEST,
            id="given-for-time",
        ),
    ],
)
def test_an_expectation_decides_who_is_responsible(wishes: Expectations, culprit: Culprit) -> None:
    verdict = _judged(an_answer(200, OK, (SERVER_TIMING,), total_seconds=9.0), wishes)

    assert (verdict.reason, verdict.outcome) == (Reason.EXPECTATION_FAILED, Outcome.API_ERROR)
    assert verdict.culprit is culprit


@pytest.mark.parametrize("probe", CATALOGUE.values(), ids=CATALOGUE)
def test_the_contract_of_a_builtin_probe_is_the_platforms(probe: BuiltinProbe) -> None:
    assert probe.expectations.culprits <= {Culprit.PLATFORM}


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("partial", [None, Response(200, (SERVER_TIMING,), OK)], ids=["no", "part"])
def test_a_failure_is_judged_by_its_kind_whatever_had_come(
    kind: FailureKind, partial: Response | None
) -> None:
    verdict = _judged(a_failure(kind, "why", response=partial))
    row = next(row for row, kinds in ROWS_OF_FAILURES.items() if kind.value in kinds.split())

    assert (verdict.rule, verdict.reason) == (row, Reason(kind.value))
    assert verdict.culprit is CULPRITS_OF_FAILURES.get(verdict.rule, Culprit.NETWORK)
    assert "(why)" in verdict.evidence
    assert verdict.latency == Latency(10.0)


@pytest.mark.parametrize(
    ("reason", "culprit"),
    [
        ("response_timeout_unacknowledged", Culprit.NETWORK),
        ("response_timeout_far_end_silent", Culprit.PLATFORM),
        ("response_timeout_path_lost", Culprit.NETWORK),
        ("response_timeout", Culprit.UNDECIDED),
    ],
)
def test_a_silence_is_judged_by_what_the_kernel_knew(reason: str, culprit: Culprit) -> None:
    verdict = _judged(SILENCES[reason])
    assert (verdict.rule, verdict.reason, verdict.culprit) == ("6", reason, culprit)
    assert verdict.responder is NOBODY
    assert "round-trip time 41.0 ms" in verdict.facts["tcp"]


@pytest.mark.parametrize(
    ("kind", "partial", "provenance"),
    [
        pytest.param(FailureKind.DNS, None, NOBODY, id="nobody-was-reached"),
        pytest.param(FailureKind.TRUNCATED, Response(200, (), b""), NOBODY, id="cut-short"),
        pytest.param(FailureKind.PROXY, None, NOBODY, id="the-proxy-was-not-reached"),
        pytest.param(FailureKind.PROXY, Response(407, (), b""), INTERMEDIARY, id="a-proxys-407"),
        pytest.param(FailureKind.PROTOCOL_ERROR, None, INTERMEDIARY, id="something-not-http"),
    ],
)
def test_who_answered_when_there_was_no_whole_answer(
    kind: FailureKind, partial: Response | None, provenance: Responder
) -> None:
    assert _judged(a_failure(kind, response=partial)).responder is provenance


@pytest.mark.parametrize(
    ("exchange", "rule", "reason"),
    [
        pytest.param(an_answer(401, b""), "8", Reason.TOKEN_REJECTED, id="401-over-malformed"),
        pytest.param(an_answer(401, OK), "8", Reason.TOKEN_REJECTED, id="401-over-inconsistent"),
        pytest.param(an_answer(403, HTML), "9", Reason.PERMISSION_DENIED, id="403-over-malformed"),
        pytest.param(
            an_answer(401, b"{", body_over_limit=True),
            "8",
            Reason.TOKEN_REJECTED,
            id="401-over-too-large",
        ),
        pytest.param(
            an_answer(500, b"{", body_over_limit=True),
            "14",
            Reason.RESPONSE_TOO_LARGE,
            id="too-large-over-malformed",
        ),
        pytest.param(
            an_answer(200, OK, (), body_over_limit=True),
            "7",
            Reason.FOREIGN_RESPONSE,
            id="too-large-without-server-time-is-nobodys",
        ),
        pytest.param(
            an_answer(401, ERROR, BEARER), "8", Reason.TOKEN_REJECTED, id="platforms-own-challenge"
        ),
        pytest.param(an_answer(401, b"", BEARER), "7a", Reason.TOKEN_REJECTED, id="challenge"),
        pytest.param(
            an_answer(401, b"", (*BEARER, ("Server-Timing", "total;dur=-1"))),
            "7a",
            Reason.TOKEN_REJECTED,
            id="an-unreadable-total-is-no-proof",
        ),
        pytest.param(
            an_answer(403, b"", BEARER), "7", Reason.FOREIGN_RESPONSE, id="a-403-with-a-challenge"
        ),
        pytest.param(an_answer(401, b"", ()), "7", Reason.FOREIGN_RESPONSE, id="no-challenge"),
        pytest.param(an_answer(302, b"", BEARER), "7", Reason.REDIRECTED, id="3xx"),
        pytest.param(an_answer(302, OK), "12", Reason.INCONSISTENT_ENVELOPE, id="3xx-ok"),
        pytest.param(an_answer(302, ERROR), "12", Reason.INCONSISTENT_ENVELOPE, id="3xx-error"),
        pytest.param(an_answer(302, b""), "12", Reason.MALFORMED_ENVELOPE, id="3xx-server-time"),
        pytest.param(an_answer(204, b""), "12", Reason.MALFORMED_ENVELOPE, id="204"),
        pytest.param(an_answer(500, OK), "12", Reason.INCONSISTENT_ENVELOPE, id="5xx-ok"),
        pytest.param(an_answer(200, ERROR), "12", Reason.INCONSISTENT_ENVELOPE, id="2xx-error"),
        pytest.param(an_answer(429, OK), "12", Reason.INCONSISTENT_ENVELOPE, id="429-ok"),
        pytest.param(an_answer(429, ERROR), "10", Reason.RATE_LIMITED, id="429"),
        pytest.param(an_answer(418, ERROR), "10", Reason.CLIENT_ERROR, id="4xx"),
        pytest.param(an_answer(599, ERROR), "11", Reason.SERVER_ERROR, id="5xx"),
        pytest.param(an_answer(600, ERROR), "12", Reason.INCONSISTENT_ENVELOPE, id="6xx"),
        pytest.param(an_answer(299, OK), "15", Reason.OK, id="2xx"),
    ],
)
def test_the_order_of_the_rules_is_law(exchange: HttpExchange, rule: str, reason: Reason) -> None:
    verdict = _judged(exchange)

    assert (verdict.rule, verdict.reason) == (rule, reason)


@pytest.mark.parametrize(
    ("exchange", "wishes", "rule"),
    [
        pytest.param(an_answer(404, ERROR), Expectations(404), "15", id="as-asked"),
        pytest.param(an_answer(429, ERROR), Expectations(429), "15", id="even-a-429"),
        pytest.param(an_answer(400, ERROR), Expectations(404), "10", id="another-4xx"),
        pytest.param(an_answer(404, HTML, ()), Expectations(404), "7", id="a-gateways-404"),
        pytest.param(an_answer(404, HTML), Expectations(404), "12", id="no-envelope"),
        pytest.param(an_answer(404, OK), Expectations(404), "12", id="an-ok-envelope"),
        pytest.param(an_answer(200, OK), Expectations(404), "13", id="a-success"),
        pytest.param(an_answer(401, ERROR), Expectations(401), "8", id="401-stays-a-401"),
        pytest.param(an_answer(403, ERROR), Expectations(403), "9", id="403-stays-a-403"),
        pytest.param(an_answer(500, ERROR), Expectations(500), "11", id="5xx-is-never-good"),
        pytest.param(an_answer(404, ERROR), Expectations(404, "nothing"), "13", id="more-asked"),
    ],
)
def test_a_negative_check_wants_the_platforms_own_4xx(
    exchange: HttpExchange, wishes: Expectations, rule: str
) -> None:
    assert _judged(exchange, wishes).rule == rule


def test_a_verdict_carries_the_split_of_the_platforms_answer() -> None:
    latency = _judged(an_answer(500, ERROR)).latency

    assert latency.server_seconds == pytest.approx(0.0377)
    assert _judged(an_answer(headers=())).latency.anomaly is ServerTimingAnomaly.MISSING
    assert _judged(an_answer(502, HTML, ())).latency.anomaly is None


STATUSES = (100, 200, 204, 302, 400, 401, 402, 403, 404, 407, 429, 500, 502, 522, 600)
BODIES = (OK, ERROR, HTML, b"", b'{"status": 404, "title": "x"}', b"{", b"[]", b"error code: 1010")
TIMINGS = (
    (),
    (SERVER_TIMING,),
    (("Server-Timing", "total"),),
    (("Server-Timing", "total;dur=9e9"),),
)
UNREGISTERED = (("Location", "/portal_/unregistered?organizationName=acme"),)
EDGE = (("CF-RAY", "8f2c1d0e5a7b9c31-CDG"),)
CHALLENGES: tuple[tuple[tuple[str, str], ...], ...] = ((), BEARER, UNREGISTERED, EDGE)
WISHES = (Expectations(), Expectations(404), Expectations(jmespath="x"), Expectations(404, "x"))
EVERY_ANSWER = [
    (an_answer(status, body, timing + challenge, body_over_limit=over), wishes)
    for status, body, timing, challenge, over, wishes in product(
        STATUSES, BODIES, TIMINGS, CHALLENGES, (False, True), WISHES
    )
]
EVERY_FAILURE = [
    (a_failure(kind, response=partial), Expectations())
    for kind, partial in product(FailureKind, (None, Response(407, (), b"")))
] + [(silence, Expectations()) for silence in SILENCES.values()]


def test_combinations_of_all_factors_obey_the_constitution() -> None:
    for exchange, wishes in EVERY_ANSWER:
        verdict, seen = classify(exchange, wishes), observe(exchange, wishes)
        proven = seen.by_platform

        assert (verdict.responder is Responder.PLATFORM) is proven
        blames_network = verdict.reason in {Reason.REDIRECTED, Reason.FOREIGN_RESPONSE}
        assert (verdict.culprit is Culprit.NETWORK) is blames_network
        assert not (proven and blames_network)
        assert proven or verdict.latency == Latency(exchange.total_seconds)
        assert not verdict.succeeded or seen.is_ok or seen.is_expected_error
        assert verdict.evidence.startswith(f"HTTP {seen.status} ")


def test_every_rule_is_reached() -> None:
    everything = [observe(*each) for each in EVERY_ANSWER + EVERY_FAILURE]
    reached = {next(r.when for r in RULES if r.applies(seen)) for seen in everything}

    assert reached == {rule.when for rule in RULES}


def test_every_reason_is_reached() -> None:
    reached = {classify(*each).reason for each in EVERY_ANSWER + EVERY_FAILURE}

    # It takes a second request to know, or the time; see `prober.probe`.
    assert reached == set(Reason) - {Reason.ROUTE_UNAUTHORIZED, Reason.CHECK_FAILED}


def test_every_rule_on_an_answer_has_a_specimen() -> None:
    shown = {(s.expected["rule"], s.expected["reason"]) for s in SPECIMENS}
    answers = {(rule.number, rule.reason.value) for rule in RULES if rule.reason not in FAILURES}

    assert shown == answers


FAILURES = {Reason(kind.value) for kind in FailureKind} | {Reason(name) for name in SILENCES}
HEADER_VALUES = st.text(alphabet=st.characters(codec=None), max_size=60)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Server-Timing", "WWW-Authenticate", "Location", "Server", "cf-ray", "Retry-After"]
        ),
        HEADER_VALUES | st.sampled_from(["total;dur=1", "total;dur=x", "Bearer", "cloudflare"]),
    ),
    max_size=5,
)


ANSWERS = st.builds(
    Response,
    st.integers(0, 999),
    HEADERS.map(tuple),
    st.binary() | st.sampled_from(BODIES),
    st.booleans(),
)


@given(ANSWERS, st.sampled_from(WISHES))
def test_every_answer_has_a_verdict_in_one_printable_line(
    answer: Response, wishes: Expectations
) -> None:
    verdict = classify(HttpExchange("GET", "", 0.5, response=answer), wishes)

    assert verdict.evidence.isprintable()
    assert len(verdict.evidence) <= 600


@given(st.sampled_from(FailureKind), HEADER_VALUES, HEADER_VALUES, HEADERS)
def test_every_failure_has_a_verdict_in_one_printable_line(
    kind: FailureKind, detail: str, url: str, headers: list[tuple[str, str]]
) -> None:
    partial = Response(200, tuple(headers), b"")
    verdict = _judged(a_failure(kind, detail, response=partial, url=url))

    assert verdict.evidence.isprintable()
    assert len(verdict.evidence) <= 600


def test_the_table_shows_every_rule_with_its_classification() -> None:
    rows = describe_rules()

    of_more = {"8a": Reason.ROUTE_UNAUTHORIZED, "13a": Reason.CHECK_FAILED}
    assert [(row.number, row.when, row.reason) for row in rows if row.number not in of_more] == [
        (rule.number, rule.when, rule.reason) for rule in RULES
    ]
    # No rules on one exchange, so they are not among RULES.
    assert {row.number: row.reason for row in rows if row.number in of_more} == of_more
    assert all(
        (row.outcome, row.culprit)
        == (CLASSIFICATION[row.reason].outcome, CLASSIFICATION[row.reason].culprit)
        for row in rows
    )
    assert {row.reason for row in rows if row.outcome is Outcome.SUCCESS} == {Reason.OK}


def test_no_two_rules_say_the_same() -> None:
    assert max(Counter((rule.number, rule.when) for rule in RULES).values()) == 1


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_trying_only_what_may_apply_finds_what_the_whole_table_says(specimen: Specimen) -> None:
    seen = observe(specimen.exchange, specimen.expectations)
    first = next(rule for rule in RULES if rule.applies(seen))
    verdict = _judged(specimen.exchange, specimen.expectations)
    assert (verdict.rule, verdict.reason) == (first.number, first.reason)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.OK),
        (204, Reason.OK),
        (302, Reason.INCONSISTENT_ENVELOPE),
        (401, Reason.TOKEN_REJECTED),
        (403, Reason.PERMISSION_DENIED),
        (404, Reason.CLIENT_ERROR),
        (429, Reason.RATE_LIMITED),
        (500, Reason.SERVER_ERROR),
    ],
)
def test_a_response_to_head_is_judged_by_its_status(status: int, reason: Reason) -> None:
    exchange = replace(an_answer(status, b"", (SERVER_TIMING,)), method="HEAD")
    assert _judged(exchange).reason is reason


def test_a_response_to_head_without_server_timing_is_not_the_platforms() -> None:
    exchange = replace(an_answer(200, b"", ()), method="HEAD")
    assert _judged(exchange).reason is Reason.FOREIGN_RESPONSE
