import pytest

from prober.outcomes import Culprit, TokenState
from prober.views.marks import (
    headline,
    in_ascii,
    milliseconds,
    sign,
    style,
    token_sign,
    token_style,
)
from tests.unit.verdict.cases import an_answer
from tests.unit.views.cases import a_result, a_timed_answer


@pytest.mark.parametrize("culprit", Culprit)
def test_every_culprit_has_a_sign_and_a_colour(culprit: Culprit) -> None:
    assert len(sign(culprit)) == 1
    assert style(culprit)


@pytest.mark.parametrize("state", TokenState)
def test_every_token_state_has_a_sign_and_a_colour(state: TokenState) -> None:
    assert len(token_sign(state)) == 1
    assert token_style(state)


def test_success_and_failure_differ_in_sign_and_not_in_colour_alone() -> None:
    assert len({sign(Culprit.NONE), sign(Culprit.PLATFORM), sign(Culprit.UNDECIDED)}) == 3


def test_every_sign_of_ours_has_a_form_in_ascii() -> None:
    signs = [*map(sign, Culprit), *map(token_sign, TokenState)]
    assert in_ascii("".join(signs)).isascii()


def test_a_headline_begins_with_the_culprit() -> None:
    assert headline(a_result(an_answer(status=502, body=b"<html>", headers=())).verdict) == (
        "network: foreign_response"
    )


def test_the_headline_of_a_success_says_so() -> None:
    assert headline(a_result(a_timed_answer()).verdict) == "success: ok"


def test_a_duration_is_told_in_milliseconds() -> None:
    assert milliseconds(1.23456) == "1,234.6"
