import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.messages import extract_attributes
from prober.classifier.observation import MESSAGE_CHARACTERS, observe
from prober.models import Expectations, HttpExchange, Response
from prober.outcomes import FailureKind
from tests.unit.classifier.factories import HTML, SERVER_TIMING, a_failure, an_answer, an_envelope


def _facts(exchange: HttpExchange) -> dict[str, str]:
    return dict(extract_attributes(observe(exchange, Expectations())))


def test_no_answer_has_no_facts() -> None:
    assert _facts(a_failure(FailureKind.DNS)) == {}


def test_the_platforms_answer_shows_status_message_and_path_and_nothing_else_of_its_body() -> None:
    body = an_envelope("error", message="404 Not Found", path="/api/v1/x", comment="secret")

    assert _facts(an_answer(404, body)) == {
        "http_status": "404",
        "message": "404 Not Found",
        "path": "/api/v1/x",
    }


@pytest.mark.parametrize(
    "name",
    [
        "Server",
        "Content-Type",
        "Retry-After",
        "WWW-Authenticate",
        "CF-RAY",
        "X-Correlation-Id",
        "X-Request-Id",
        "X-UiPath-Correlation-Id",
        "Request-Context",
    ],
)
def test_the_ids_of_an_answer_are_facts(name: str) -> None:
    headers = ((name, "one"), (name.lower(), "two\tthree"))

    assert _facts(an_answer(headers=headers)) == {
        "http_status": "200",
        name.lower().replace("-", "_"): "one, two three",
    }


def test_other_headers_are_not_shown() -> None:
    assert _facts(an_answer(headers=(("Set-Cookie", "session=1"), ("Location", "/x")))) == {
        "http_status": "200"
    }


def test_nothing_is_shown_of_a_body_that_cannot_be_decoded() -> None:
    found = _facts(an_answer(502, b"\x28\xb5\x2f\xfdsomething", (), coding="zstd"))
    assert found == {"http_status": "502", "marker": "unreadable_coding"}


def test_a_location_is_shown_of_a_redirect_only() -> None:
    headers = (("Location", "/portal_/unregistered"),)

    assert _facts(an_answer(302, b"", headers))["location"] == "/portal_/unregistered"
    assert "location" not in _facts(an_answer(201, headers=headers))


@pytest.mark.parametrize(
    ("value", "shown"), [("total;dur=fast", True), ("edge;dur=1", True), ("total;dur=1", False)]
)
def test_a_server_timing_is_shown_when_it_cannot_be_used(value: str, *, shown: bool) -> None:
    assert ("server_timing" in _facts(an_answer(headers=(("Server-Timing", value),)))) is shown


def test_a_foreign_answer_shows_its_kind_and_an_excerpt() -> None:
    assert _facts(an_answer(502, HTML, ())) == {
        "http_status": "502",
        "marker": "html",
        "excerpt": HTML.decode(),
    }


@pytest.mark.parametrize(
    ("exchange", "shown"),
    [
        pytest.param(an_answer(502, b"upstream error", ()), True, id="text-of-an-error"),
        pytest.param(an_answer(404, b'{"a": 1}', ()), True, id="json-of-an-error"),
        pytest.param(an_answer(200, HTML, ()), True, id="a-page-on-200"),
        pytest.param(an_answer(200, b"an attachment", ()), False, id="text-on-200"),
        pytest.param(an_answer(200, b'{"comments": []}', ()), False, id="json-on-200"),
        pytest.param(an_answer(200, b'{"status": "ok",', ()), False, id="half-json-on-200"),
        pytest.param(an_answer(502, HTML), False, id="a-page-of-the-platform"),
        pytest.param(an_answer(500, b"x", (), body_over_limit=True), False, id="over-the-limit"),
        pytest.param(
            a_failure(FailureKind.TRUNCATED, response=Response(502, (), HTML)), False, id="failure"
        ),
    ],
)
def test_no_excerpt_is_shown_of_what_may_be_customers_data(
    exchange: HttpExchange, *, shown: bool
) -> None:
    assert ("excerpt" in _facts(exchange)) is shown


def test_a_platforms_page_is_still_named() -> None:
    assert _facts(an_answer(502, HTML))["marker"] == "html"


def test_a_failures_partial_answer_shows_its_head() -> None:
    partial = Response(200, (SERVER_TIMING, ("Server", "x")), b"{")

    assert _facts(a_failure(FailureKind.TRUNCATED, response=partial)) == {
        "http_status": "200",
        "server": "x",
        "server_timing": "total;dur=37.7",
    }


@given(
    st.integers(100, 599),
    st.binary(),
    st.lists(
        st.tuples(
            st.sampled_from(["Server", "Location", "Server-Timing", "cf-ray"]),
            st.text(alphabet=st.characters(codec=None), max_size=400),
        )
    ),
)
def test_every_fact_is_a_bounded_line(
    status: int, body: bytes, headers: list[tuple[str, str]]
) -> None:
    for value in _facts(an_answer(status, body, tuple(headers))).values():
        assert 0 < len(value) <= MESSAGE_CHARACTERS
        assert value.isprintable()


def test_facts_cannot_be_changed() -> None:
    shown = extract_attributes(observe(an_answer(), Expectations()))

    assert not hasattr(shown, "__setitem__")
