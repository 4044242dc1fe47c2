import pytest

from prober.classifier.observation import EMPTY, OVER_LIMIT, IntermediaryKind, observe
from prober.models import Expectations, HttpExchange, Latency, Response
from prober.outcomes import FailureKind, ServerTimingAnomaly
from tests.unit.classifier.factories import HTML, SERVER_TIMING, a_failure, an_answer, an_envelope

NO_WISHES = Expectations()
ERROR = an_envelope("error")
MISSING = ServerTimingAnomaly.MISSING


@pytest.mark.parametrize(
    ("exchange", "by_platform"),
    [
        pytest.param(an_answer(headers=()), True, id="an-ok-envelope"),
        pytest.param(an_answer(500, ERROR, ()), True, id="an-error-envelope"),
        pytest.param(an_answer(502, HTML), True, id="a-readable-total"),
        pytest.param(an_answer(502, HTML, total_seconds=0.001), True, id="a-total-too-large"),
        pytest.param(an_answer(502, HTML, ()), False, id="neither"),
        pytest.param(an_answer(502, HTML, (("Server-Timing", "total"),)), False, id="unreadable"),
        pytest.param(an_answer(200, HTML, (("Server-Timing", "a;dur=1"),)), False, id="no-total"),
        pytest.param(an_answer(200, HTML, (("CF-RAY", "x"),)), False, id="cf-ray-is-no-proof"),
        pytest.param(an_answer(headers=(), body_over_limit=True), False, id="over-the-limit"),
        pytest.param(a_failure(FailureKind.DNS), False, id="a-failure"),
    ],
)
def test_the_platform_is_known_by_envelope_or_server_time(
    exchange: HttpExchange, *, by_platform: bool
) -> None:
    assert observe(exchange, NO_WISHES).by_platform is by_platform


@pytest.mark.parametrize(
    ("exchange", "latency"),
    [
        pytest.param(an_answer(), Latency(0.5, 0.0377, 0.5 - 0.0377), id="split"),
        pytest.param(an_answer(headers=()), Latency(0.5, anomaly=MISSING), id="missing"),
        pytest.param(an_answer(502, HTML, ()), Latency(0.5), id="no-anomaly-of-an-intermediary"),
        pytest.param(a_failure(FailureKind.DNS), Latency(10.0), id="nor-of-a-failure"),
        pytest.param(
            an_answer(total_seconds=0.01),
            Latency(0.01, anomaly=ServerTimingAnomaly.EXCEEDS_TOTAL),
            id="exceeds-total",
        ),
    ],
)
def test_only_the_platforms_answers_are_split(exchange: HttpExchange, latency: Latency) -> None:
    seen = observe(exchange, NO_WISHES).latency

    assert (seen.total_seconds, seen.anomaly) == (latency.total_seconds, latency.anomaly)
    assert (seen.server_seconds, seen.network_seconds) == pytest.approx(
        (latency.server_seconds, latency.network_seconds)
    )


def test_a_cut_body_is_not_read_even_when_it_is_json() -> None:
    seen = observe(an_answer(body=b'{"status": "ok"}', body_over_limit=True), NO_WISHES)

    assert seen.is_over_limit
    assert (seen.body.status, seen.body.intermediary) == (None, OVER_LIMIT)


def test_a_body_in_an_unknown_coding_is_said_to_be_that() -> None:
    seen = observe(an_answer(200, b"\x28\xb5\x2f", coding="br"), NO_WISHES)
    assert seen.body.intermediary is not None
    assert seen.body.intermediary.kind is IntermediaryKind.UNREADABLE_CODING
    assert (
        seen.body.intermediary.description
        == "a body in a content coding that was not requested (br)"
    )
    hostile = observe(an_answer(200, b"\x28", coding="br\x1b[2J" + "x" * 999), NO_WISHES)
    assert hostile.body.intermediary is not None
    assert hostile.body.intermediary.description.isprintable()
    assert len(hostile.body.intermediary.description) < 100


def test_an_envelope_that_can_be_read_counts_whatever_coding_is_named() -> None:
    assert observe(an_answer(200, an_envelope(), coding="utf-8"), NO_WISHES).is_ok
    assert observe(an_answer(200, b"", coding="br"), NO_WISHES).body.intermediary == EMPTY


def test_the_partial_answer_of_a_failure_is_not_read() -> None:
    partial = Response(200, (SERVER_TIMING,), b'{"status": "ok"}')
    seen = observe(a_failure(FailureKind.TRUNCATED, response=partial), NO_WISHES)

    assert (seen.status, seen.body.status, seen.server) == (200, None, MISSING)


@pytest.mark.parametrize(
    ("exchange", "wishes", "expected"),
    [
        pytest.param(an_answer(), Expectations(), False, id="not-asked-for"),
        pytest.param(an_answer(404, ERROR), Expectations(404), True, id="as-asked"),
        pytest.param(an_answer(400, ERROR), Expectations(404), False, id="another-4xx"),
        pytest.param(an_answer(404), Expectations(404), False, id="an-ok-envelope"),
        pytest.param(an_answer(404, HTML), Expectations(404), False, id="no-envelope"),
        pytest.param(an_answer(500, ERROR), Expectations(500), False, id="a-5xx-is-never-good"),
    ],
)
def test_a_negative_check_asks_for_a_4xx_with_an_error_envelope(
    exchange: HttpExchange, wishes: Expectations, *, expected: bool
) -> None:
    assert observe(exchange, wishes).is_expected_error is expected


@pytest.mark.parametrize(
    ("exchange", "weighed"),
    [
        pytest.param(an_answer(), True, id="2xx-ok"),
        pytest.param(an_answer(404, an_envelope("ok")), False, id="4xx-ok"),
        pytest.param(an_answer(500, ERROR), False, id="5xx-error"),
        pytest.param(an_answer(200, HTML, ()), False, id="foreign"),
        pytest.param(a_failure(FailureKind.DNS), False, id="failure"),
    ],
)
def test_expectations_are_weighed_only_on_answers_in_good_form(
    exchange: HttpExchange, *, weighed: bool
) -> None:
    assert (
        observe(exchange, Expectations(jmespath="nothing")).unmet_expectation is not None
    ) is weighed


def test_an_impossible_server_time_is_not_held_against_the_platform() -> None:
    wishes = Expectations(max_server_seconds=0.02)

    assert observe(an_answer(total_seconds=0.01), wishes).unmet_expectation is None
    assert observe(an_answer(total_seconds=0.05), wishes).unmet_expectation is not None


@pytest.mark.parametrize(
    ("status", "hundreds"), [(199, 1), (200, 2), (299, 2), (300, 3), (499, 4), (599, 5), (600, 6)]
)
def test_a_class_is_the_first_digit(status: int, hundreds: int) -> None:
    seen = observe(an_answer(status), NO_WISHES)

    assert [n for n in range(10) if seen.has_class(n)] == [hundreds]


def test_a_failure_without_an_answer_has_no_status_and_no_headers() -> None:
    seen = observe(a_failure(FailureKind.DNS), NO_WISHES)

    assert (seen.status, seen.header_values("server"), seen.is_over_limit) == (0, (), False)
    assert (seen.asks_for_bearer, seen.is_ok) == (False, False)


def test_a_challenge_is_read_from_the_header() -> None:
    assert observe(
        an_answer(401, b"", (("www-authenticate", "Bearer"),)), NO_WISHES
    ).asks_for_bearer


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://cloud.uipath.com/acme/prod", "cloud.uipath.com"),
        ("http://user:password@127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://[::1", "the host"),
        ("", "the host"),
    ],
)
def test_the_host_is_named_without_credentials(url: str, host: str) -> None:
    assert observe(a_failure(FailureKind.DNS, url=url), NO_WISHES).host == host
