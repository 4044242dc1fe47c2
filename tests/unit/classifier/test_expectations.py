from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.expectations import (
    UnmetExpectation,
    check_expression,
    first_unmet_expectation,
)
from prober.models import Expectations
from prober.outcomes import Culprit

DOCUMENT = {"status": "ok", "results": [{"text": "secret-of-a-customer"}], "more": False}


def message_of(unmet: UnmetExpectation | None) -> str | None:
    return None if unmet is None else unmet.message


def test_nothing_asked_is_always_met() -> None:
    assert first_unmet_expectation(Expectations(), 200, DOCUMENT, None) is None


@pytest.mark.parametrize(
    ("wishes", "server_seconds"),
    [
        pytest.param(Expectations(status=200), None, id="status"),
        pytest.param(Expectations(jmespath="length(results) > `0`"), None, id="jmespath"),
        pytest.param(Expectations(max_server_seconds=2.5), 2.5, id="just-in-time"),
        pytest.param(Expectations(max_server_seconds=2.5), None, id="server-time-unknown"),
        pytest.param(Expectations(200, "status == 'ok'", 1.0), 0.5, id="all"),
    ],
)
def test_what_holds_is_met(wishes: Expectations, server_seconds: float | None) -> None:
    assert first_unmet_expectation(wishes, 200, DOCUMENT, server_seconds) is None


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        pytest.param(Expectations(status=404), "HTTP 404 was expected", id="status"),
        pytest.param(
            Expectations(max_server_seconds=2.5),
            "the server took 3.000 s, over the limit of 2.5 s",
            id="too-slow",
        ),
        pytest.param(
            Expectations(jmespath="length(results) > `1`"),
            "the expectation length(results) > `1` does not hold",
            id="false",
        ),
        pytest.param(
            Expectations(jmespath="length(results)"),
            "the expectation length(results) returns a number instead of `true`",
            id="number",
        ),
        pytest.param(
            Expectations(jmespath="nothing"),
            "the expectation nothing returns null instead of `true`",
            id="null",
        ),
        pytest.param(
            Expectations(jmespath="results[0].text"),
            "the expectation results[0].text returns a string instead of `true`",
            id="string",
        ),
        pytest.param(
            Expectations(jmespath="sum(results)"),
            "the expectation sum(results) cannot be evaluated: sum() received a value of type dict",
            id="type-error",
        ),
        pytest.param(
            Expectations(jmespath="lenght(results)"),
            "the expectation lenght(results) cannot be evaluated: UnknownFunctionError",
            id="unknown-function",
        ),
        pytest.param(
            Expectations(jmespath="results["),
            "the expectation results[ cannot be evaluated: IncompleteExpressionError",
            id="syntax-error",
        ),
        pytest.param(Expectations(404, "nothing", 1.0), "HTTP 404 was expected", id="first-of-all"),
    ],
)
def test_what_does_not_hold_is_said(wishes: Expectations, sentence: str) -> None:
    assert message_of(first_unmet_expectation(wishes, 200, DOCUMENT, 3.0)) == sentence


@pytest.mark.parametrize(
    ("wishes", "culprit"),
    [
        pytest.param(Expectations(status=404), Culprit.TENANT, id="status"),
        pytest.param(Expectations(jmespath="more"), Culprit.TENANT, id="jmespath"),
        pytest.param(Expectations(jmespath="sum(results)"), Culprit.TENANT, id="cannot-evaluate"),
        pytest.param(Expectations(max_server_seconds=2.5), Culprit.PLATFORM, id="server-time"),
        pytest.param(Expectations(200, "more", 2.5), Culprit.TENANT, id="first-of-all"),
        pytest.param(Expectations(200, "!more", 2.5), Culprit.PLATFORM, id="data-as-expected"),
        *(
            pytest.param(replace(wishes, culprit=culprit), culprit, id=f"{culprit}-of-{name}")
            for culprit in (Culprit.REQUEST, Culprit.PLATFORM, Culprit.TENANT, Culprit.CREDENTIAL)
            for name, wishes in (
                ("status", Expectations(status=404)),
                ("jmespath", Expectations(jmespath="more")),
                ("server-time", Expectations(max_server_seconds=2.5)),
            )
        ),
    ],
)
def test_an_expectation_has_a_culprit(wishes: Expectations, culprit: Culprit) -> None:
    unmet = first_unmet_expectation(wishes, 200, DOCUMENT, 3.0)

    assert unmet is not None
    assert unmet.culprit is culprit
    assert culprit in wishes.culprits


@pytest.mark.parametrize(
    "expression", ["results[0].text", "sum(results[].text)", "sort_by(results, &more)", "results"]
)
def test_no_sentence_quotes_the_body(expression: str) -> None:
    unmet = first_unmet_expectation(Expectations(jmespath=expression), 200, DOCUMENT, None)

    sentence = message_of(unmet)
    assert sentence is not None
    assert "customer" not in sentence


@pytest.mark.parametrize("expression", ["a.b[?c == `1`] | length(@) > `0`", "contains(a, 'b')"])
def test_a_good_expression_has_no_complaint(expression: str) -> None:
    assert check_expression(expression) is None


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        pytest.param("", "cannot be empty", id="empty"),
        pytest.param("length(", "Incomplete expression", id="incomplete"),
        pytest.param("a ~ b", "Unknown token", id="unknown-token"),
        pytest.param("a && lenght(b)", "JMESPath has no function lenght()", id="unknown-function"),
        pytest.param("(" * 100_000, "recursion", id="too-deep"),
    ],
)
def test_a_bad_expression_is_complained_of_in_one_line(expression: str, complaint: str) -> None:
    said = check_expression(expression)

    assert said is not None
    assert complaint in said
    assert "\n" not in said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
)
EXPRESSIONS = st.text() | st.sampled_from(
    [
        "sum(a)",
        "a[::0]",
        "max_by(@, &a)",
        "a > b",
        "keys(@)",
        "join(a, b)",
        "sort(@)",
        "to_number(a)",
    ]
)


@given(EXPRESSIONS, JSON)
def test_no_expression_and_no_document_raise(expression: str, document: object) -> None:
    unmet = first_unmet_expectation(Expectations(jmespath=expression), 200, document, None)

    said = message_of(unmet)
    assert said is None or said.startswith("the expectation ")
    assert check_expression(expression) is None or said is not None
