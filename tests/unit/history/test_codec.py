import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.history.codec import pack_aggregate, pack_minutes, unpack_aggregate, unpack_minutes
from prober.outcomes import Culprit
from prober.stats.aggregates import Aggregate, DurationHistogram, coarse_bucket_index
from tests.unit.stats.factories import histogram_of

SKETCHES = st.dictionaries(st.integers(0, 2000), st.integers(1, 99), max_size=4).map(
    DurationHistogram
)
COUNTS = st.dictionaries(
    st.sampled_from(["ok", "dns", "maintenance:ok", "expectation_failed@tenant"]),
    st.integers(1, 99),
)
TALLIES = st.builds(Aggregate, COUNTS, SKETCHES, SKETCHES, SKETCHES)


@given(TALLIES)
def test_a_tally_comes_back_as_it_was(tally: Aggregate) -> None:
    assert unpack_aggregate(pack_aggregate(tally)) == tally


@given(st.dictionaries(st.integers(0, 59), TALLIES))
def test_an_hour_comes_back_as_it_was(minutes: dict[int, Aggregate]) -> None:
    assert unpack_minutes(pack_minutes(minutes)) == minutes


def test_failed_expectations_of_earlier_versions_stay_the_platforms() -> None:
    earlier = Aggregate({"ok": 3, "expectation_failed": 2, "maintenance:expectation_failed": 1})
    both = Aggregate({"expectation_failed": 2, "expectation_failed@platform": 1})

    assert unpack_aggregate(pack_aggregate(earlier)).by_culprit == {
        Culprit.NONE: 3,
        Culprit.PLATFORM: 2,
    }
    assert unpack_aggregate(pack_aggregate(both)).by_culprit == {Culprit.PLATFORM: 3}
    [minute] = unpack_minutes(pack_minutes({7: earlier})).values()
    assert minute.by_culprit == {Culprit.NONE: 3, Culprit.PLATFORM: 2}


@pytest.mark.parametrize("content", [b"", b"\x00", b"garbage", pack_aggregate(Aggregate())[:-1]])
def test_what_is_no_tally_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack_aggregate(content)
    with pytest.raises(ValueError, match=r"."):
        unpack_minutes(content)


def test_an_hour_of_a_run_each_minute_takes_less_than_two_hundred_and_fifty_bytes() -> None:
    draw = random.Random(1)  # noqa: S311 -- not for secrets
    minutes = {
        number: Aggregate(
            {"ok": 1},
            histogram_of([draw.lognormvariate(-2, 0.4)]),
            histogram_of([draw.lognormvariate(-3, 0.3)]),
            histogram_of([draw.lognormvariate(-7, 0.3)], coarse_bucket_index),
        )
        for number in range(60)
    }
    assert len(pack_minutes(minutes)) < 250


def packed(*content: object) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12, 4)
    return compressor.compress(json.dumps(content).encode()) + compressor.flush()


def test_what_was_packed_before_own_time_was_kept_is_read_without_it() -> None:
    aggregate = Aggregate({"ok": 1}, DurationHistogram({600: 1}), DurationHistogram({550: 1}))
    assert unpack_aggregate(packed({"ok": 1}, 600, 550)) == aggregate
    hour = packed([7], 2, [[2, {"ok": 1}]], [600, "##"], [550, "##"])
    assert unpack_minutes(hour) == {7: aggregate, 8: aggregate}
