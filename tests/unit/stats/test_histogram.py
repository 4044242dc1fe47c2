import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.stats.aggregates import (
    RELATIVE_ERROR,
    DurationHistogram,
    bucket_index,
    merge_histograms,
)
from tests.unit.stats.factories import histogram_of

DURATIONS = st.lists(st.floats(1e-6, 86_400.0), min_size=1, max_size=200)


@given(DURATIONS, st.floats(0, 1))
def test_a_quantile_is_within_one_per_cent(durations: list[float], share: float) -> None:
    exact = sorted(durations)[math.floor(share * (len(durations) - 1))]
    found = histogram_of(durations).quantile(share)
    assert found == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001)


@given(DURATIONS, DURATIONS)
def test_merging_loses_nothing(one: list[float], other: list[float]) -> None:
    assert merge_histograms([histogram_of(one), histogram_of(other)]) == histogram_of(one + other)


def test_nothing_has_no_quantile() -> None:
    assert DurationHistogram().quantile(0.5) is None
    assert DurationHistogram().count == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e-6])
def test_what_is_too_short_to_tell_is_in_the_first_bucket(seconds: float) -> None:
    assert bucket_index(seconds) == 0


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_longer_is_never_in_an_earlier_bucket(one: float, other: float) -> None:
    order: Callable[[float, float], tuple[float, float]] = lambda a, b: (min(a, b), max(a, b))  # noqa: E731
    shorter, longer = order(one, other)
    assert bucket_index(shorter) <= bucket_index(longer)
