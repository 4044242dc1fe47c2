from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from prober.metrics.definitions import MetricDefinition, MetricType
from prober.metrics.registry import (
    NO_LABELS,
    Dirty,
    LabelledSamples,
    MetricFamily,
    format_labels,
    format_value,
)

GAUGE = MetricDefinition("g", MetricType.GAUGE, "A gauge.", ("tenant", "side"))
HISTOGRAM = MetricDefinition("h", MetricType.HISTOGRAM, "A histogram.", ("tenant",), (0.5, 1.0))
SIDES = {"a": ("a",), "b": ("b",)}


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60))
def test_a_number_is_written_as_the_client_writes_it(value: float) -> None:
    assert format_value(value) == floatToGoString(value)


@pytest.mark.parametrize("value", [0, 1, 999_999, 1_000_000, 1_000_001, 999_999.9, 1e16, 1e-7])
def test_a_number_at_the_edge_of_exponents_is_written_as_the_client_writes_it(value: float) -> None:
    assert format_value(value) == floatToGoString(value)


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ((), ""),
        ((("tenant", "t"), ("probe", "p")), '{probe="p",tenant="t"}'),
        ((("a", 'say "no"\\\n'),), r'{a="say \"no\"\\\n"}'),
    ],
    ids=["none", "sorted", "escaped"],
)
def test_labels_are_sorted_and_escaped(pairs: tuple[tuple[str, str], ...], text: str) -> None:
    assert format_labels(pairs) == text


def fresh_texts(family: MetricFamily) -> dict[tuple[str, ...], str]:
    while family.dirty:
        for samples in family.dirty.popitem()[1]:
            samples.refresh()
    return family.text_by_owner


def some_samples(family: MetricFamily, value: float | None = 0.0) -> LabelledSamples:
    return family.samples(("t",), SIDES, value)


def test_some_samples_begins_with_every_series_at_its_value() -> None:
    family = MetricFamily(GAUGE, OrderedDict())

    some_samples(family)

    assert fresh_texts(family) == {
        ("t",): 'g{side="a",tenant="t"} 0.0\ng{side="b",tenant="t"} 0.0\n'
    }


def test_some_samples_without_a_value_has_no_lines_yet() -> None:
    family = MetricFamily(GAUGE, OrderedDict())

    samples = some_samples(family, None)

    assert (fresh_texts(family), samples.series_count) == ({("t",): ""}, 0)


def test_a_change_renews_its_line_and_leaves_the_others() -> None:
    family = MetricFamily(GAUGE, OrderedDict())

    some_samples(family).add(2.5, "b")

    assert fresh_texts(family) == {
        ("t",): 'g{side="a",tenant="t"} 0.0\ng{side="b",tenant="t"} 2.5\n'
    }


def test_replacing_makes_what_is_not_named_absent() -> None:
    family = MetricFamily(GAUGE, OrderedDict())

    some_samples(family).replace({"b": 1.0})

    assert fresh_texts(family) == {("t",): 'g{side="b",tenant="t"} 1.0\n'}
    assert family.series_count == 1


def test_a_series_may_be_declared_later() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    samples = some_samples(family, None)

    samples.declare("c", ("c",))
    samples.set(3.0, "c")

    assert fresh_texts(family) == {("t",): 'g{side="c",tenant="t"} 3.0\n'}


def test_some_samples_that_is_redefined_forgets_what_it_had() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    samples = some_samples(family)

    samples.redefine({NO_LABELS: ("z",)}, 1.0)

    assert fresh_texts(family) == {("t",): 'g{side="z",tenant="t"} 1.0\n'}
    assert samples.suffixes == {NO_LABELS: ("z",)}


def test_asking_twice_for_an_owners_block_keeps_its_numbers() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    some_samples(family).set(7.0, "a")

    assert some_samples(family).values["a"] == 7.0


def test_a_dropped_owner_leaves_nothing() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    some_samples(family)

    family.drop(("t",))
    family.drop(("never there",))

    assert (fresh_texts(family), family.samples_by_owner) == ({}, {})


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (0.4, [1, 1, 1]),
        (0.5, [1, 1, 1]),
        (0.6, [0, 1, 1]),
        (1.0, [0, 1, 1]),
        (1.1, [0, 0, 1]),
    ],
)
def test_a_bucket_holds_all_up_to_its_bound(value: float, counts: list[int]) -> None:
    histogram = MetricFamily(HISTOGRAM, OrderedDict()).histogram(("t",))

    histogram.observe(value)

    assert (histogram.counts, histogram.total) == (tuple(counts), value)


def test_a_histogram_is_written_with_buckets_count_and_sum() -> None:
    family = MetricFamily(HISTOGRAM, OrderedDict())
    histogram = family.histogram(("t",))

    histogram.observe(0.75)
    family.histogram(("t",)).observe(0.25)

    assert fresh_texts(family)[("t",)] == (
        'h_bucket{le="0.5",tenant="t"} 1.0\nh_bucket{le="1.0",tenant="t"} 2.0\n'
        'h_bucket{le="+Inf",tenant="t"} 2.0\nh_count{tenant="t"} 2.0\nh_sum{tenant="t"} 1.0\n'
    )
    assert family.series_count == 5


def test_a_text_is_made_once_however_many_changes_there_were() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    samples = some_samples(family)
    fresh_texts(family)
    for value in (1.0, 2.0, 3.0):
        samples.set(value, "a")
    assert family.dirty == {("t",): [samples]}
    assert fresh_texts(family)["t",].startswith('g{side="a",tenant="t"} 3.0')


def test_some_samples_that_is_gone_puts_no_text_in_the_place_of_its_heir() -> None:
    family = MetricFamily(GAUGE, OrderedDict())
    some_samples(family).set(1.0, "a")
    family.drop(("t",))
    some_samples(family).set(2.0, "a")
    assert fresh_texts(family)["t",].startswith('g{side="a",tenant="t"} 2.0')


def test_what_is_gone_is_not_kept_to_be_written() -> None:
    dirty: Dirty = OrderedDict()
    family, other = MetricFamily(GAUGE, dirty), MetricFamily(GAUGE, dirty)
    some_samples(family)
    stays = some_samples(other)
    family.drop(("t",))
    assert dirty == {("t",): [stays]}
    other.drop(("t",))
    assert dirty == {}
