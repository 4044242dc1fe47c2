import pytest

from prober.outcomes import Culprit, TokenState
from prober.render.text import (
    headline,
    in_ascii,
    milliseconds,
    style,
    symbol,
    token_style,
    token_symbol,
)
from tests.unit.classifier.factories import an_answer
from tests.unit.render.factories import a_result, a_timed_answer


@pytest.mark.parametrize("culprit", Culprit)
def test_every_culprit_has_a_sign_and_a_colour(culprit: Culprit) -> None:
    assert len(symbol(culprit)) == 1
    assert style(culprit)


@pytest.mark.parametrize("state", TokenState)
def test_every_token_state_has_a_sign_and_a_colour(state: TokenState) -> None:
    assert len(token_symbol(state)) == 1
    assert token_style(state)


def test_success_and_failure_differ_in_sign_and_not_in_colour_alone() -> None:
    assert len({symbol(Culprit.NONE), symbol(Culprit.PLATFORM), symbol(Culprit.UNDECIDED)}) == 3


def test_every_sign_of_ours_has_a_form_in_ascii() -> None:
    signs = [*map(symbol, Culprit), *map(token_symbol, TokenState)]
    assert in_ascii("".join(signs)).isascii()


def test_a_headline_begins_with_the_culprit() -> None:
    assert headline(a_result(an_answer(status=502, body=b"<html>", headers=())).verdict) == (
        "network path: foreign_response"
    )


def test_the_headline_of_a_success_says_so() -> None:
    assert headline(a_result(a_timed_answer()).verdict) == "success: ok"


def test_a_duration_is_told_in_milliseconds() -> None:
    assert milliseconds(1.23456) == "1,234.6"
