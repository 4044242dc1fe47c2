import string
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.server_timing import (
    MAX_VALUE_CHARACTERS,
    MAX_VALUES,
    Metric,
    parse,
    server_total_seconds,
)
from prober.outcomes import ServerTimingAnomaly

MISSING, UNPARSABLE = ServerTimingAnomaly.MISSING, ServerTimingAnomaly.UNPARSABLE


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        ("total;dur=37.7", [Metric("total", 37.7)]),
        ("miss", [Metric("miss")]),
        ("a;dur=1,b;dur=2", [Metric("a", 1.0), Metric("b", 2.0)]),
        ("\ta ;\tdur = 1 ; desc = x , b", [Metric("a", 1.0, "x"), Metric("b")]),
        ("a;desc=x;dur=1", [Metric("a", 1.0, "x")]),
        ('a;dur="12.5"', [Metric("a", 12.5)]),
        ('a;desc="x;,=\\"y\\\\";dur=1', [Metric("a", 1.0, 'x;,="y\\')]),
        ('a;desc=""junk;dur=1', [Metric("a", 1.0)]),
        ("a;DuR=1;DeSc=x", [Metric("a", 1.0, "x")]),
        ("a;dur=1;dur=2;desc=x;desc=y", [Metric("a", 1.0, "x")]),
        ("a;dur;dur=2", [Metric("a")]),
        ("a;dur=;dur=2", [Metric("a")]),
        ("a;dur=foo;dur=2", [Metric("a")]),
        ("a;other=1;dur=2;other", [Metric("a", 2.0)]),
        ("a;;=;dur=2;", [Metric("a", 2.0)]),
        ("a b;desc=c d;dur x=3", [Metric("a", None, "c")]),
        ('a==""x;dur=3', [Metric("a", 3.0)]),
        ("a,,b", [Metric("a"), Metric("b")]),
        ("=,;,[,;dur=1", []),
        ('a;desc="open;dur=1, b', [Metric("a")]),
        ("a;dur=1e3", [Metric("a", 1000.0)]),
        ("a;dur=.5", [Metric("a", 0.5)]),
        ("a;dur=5.", [Metric("a", 5.0)]),
        ("a;dur=-1", [Metric("a", -1.0)]),
        ("a;dur=1e999", [Metric("a")]),
        ("a;dur=37.7ms", [Metric("a")]),
        ("a;dur=NaN", [Metric("a")]),
        ("a;dur=1_0", [Metric("a")]),
        ("a;dur=\u0661", [Metric("a")]),
    ],
)
def test_a_value_is_read_as_browsers_read_it(value: str, metrics: list[Metric]) -> None:
    assert list(parse(value)) == metrics


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        pytest.param(["total;dur=37.5"], 0.0375, id="milliseconds-become-seconds"),
        pytest.param(["db;dur=5", "cache, total;dur=10"], 0.01, id="in-the-second-header"),
        pytest.param(["total;dur=1, total;dur=2"], 0.001, id="the-first-total-counts"),
        pytest.param(["total;dur=0"], 0.0, id="zero"),
        pytest.param(["total;dur=86400000"], 86_400.0, id="a-day"),
        pytest.param([], MISSING, id="no-header"),
        pytest.param([""], MISSING, id="an-empty-header"),
        pytest.param(["db;dur=5"], MISSING, id="no-total"),
        pytest.param(["Total;dur=5"], MISSING, id="names-have-case"),
        pytest.param(["total"], UNPARSABLE, id="no-duration"),
        pytest.param(["total=5"], UNPARSABLE, id="the-old-syntax"),
        pytest.param(["total, total;dur=2"], UNPARSABLE, id="the-first-counts-though-invalid"),
        pytest.param(["total;dur=-0.1"], UNPARSABLE, id="negative"),
        pytest.param(["total;dur=nan"], UNPARSABLE, id="not-a-number"),
        pytest.param(["total;dur=inf"], UNPARSABLE, id="infinite"),
        pytest.param(["total;dur=1e400"], UNPARSABLE, id="overflows"),
        pytest.param(["total;dur=86400000.1"], UNPARSABLE, id="more-than-a-day"),
        pytest.param(["total;dur=12,5"], 0.012, id="a-comma-ends-the-metric"),
    ],
)
def test_the_server_time_is_the_first_total_or_an_anomaly(
    values: list[str], seconds: float | ServerTimingAnomaly
) -> None:
    assert server_total_seconds(values) == seconds


def test_minus_zero_is_zero() -> None:
    assert str(server_total_seconds(["total;dur=-0"])) == "0.0"


@given(st.lists(st.text() | st.text(alphabet='total;dur=,"\\ 1.e-\t')))
def test_no_header_raises_and_a_time_is_never_odd(values: list[str]) -> None:
    seconds = server_total_seconds(values)

    if isinstance(seconds, ServerTimingAnomaly):
        assert seconds in {MISSING, UNPARSABLE}
    else:
        assert 0 <= seconds <= 86_400


def render(metrics: Iterable[Metric]) -> str:
    """Write metrics as a careful server does."""
    return ", ".join(map(_render, metrics))


def _render(metric: Metric) -> str:
    described = metric.description.replace("\\", "\\\\").replace('"', '\\"')
    duration = metric.duration_milliseconds
    return (
        metric.name
        + ("" if duration is None else f";dur={duration!r}")
        + (f';desc="{described}"' if described else "")
    )


TOKENS = st.text(alphabet=string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1)
DURATIONS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
METRICS = st.builds(Metric, TOKENS, DURATIONS, st.text())


@given(st.lists(METRICS))
def test_what_is_written_is_read_back(metrics: list[Metric]) -> None:
    assert list(parse(render(metrics))) == metrics


@pytest.mark.parametrize("hostile", ['"', '\\"', ",", ";", "a;", "total;dur=", '";dur="', " ,"])
def test_hostile_headers_take_linear_time(hostile: str) -> None:
    # Half a megabyte: a fraction of a second in linear time. In quadratic time it takes a quarter
    # of an hour and more, and the time limit of every test ends it.
    value = hostile * (512 * 1024 // len(hostile))
    assert isinstance(server_total_seconds(['total;desc="' + value, value]), ServerTimingAnomaly)


def test_no_more_is_read_than_a_bound() -> None:
    far = [*["a;dur=1"] * MAX_VALUES, "total;dur=5"]
    assert server_total_seconds(far) is ServerTimingAnomaly.MISSING
    assert server_total_seconds(far[1:]) == 0.005
    long = "a, " * MAX_VALUE_CHARACTERS + "total;dur=5"
    assert server_total_seconds([long]) is ServerTimingAnomaly.MISSING
