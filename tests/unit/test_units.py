import contextlib
import re
from math import isclose, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.formatting import DURATION_PATTERN, SIZE_PATTERN, duration_seconds, size_bytes

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2}
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(),
    st.text(),
    st.text("0123456789.msdhMKiB +-e_\n٣", max_size=12),
    st.lists(st.text("5s")),
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1m1ms", 60.001),
        ("14d", 1_209_600.0),
        ("10000d", 864_000_000.0),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5 s", "-5s", "+5s", "5S", "1e3s", ".5s", "5.s", "5s\n", "٣s", "5w", "1h 30m"],
)  # fmt: skip
def test_a_text_that_is_no_duration_is_told_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"write a duration such as '500ms', '30s'"):
        duration_seconds(text)


@pytest.mark.parametrize(("number", "reported"), [(60, "write '60s'"), (0.5, "write '0.5s'")])
def test_a_bare_number_is_told_its_unit(number: float, reported: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reported)):
        duration_seconds(number)


@pytest.mark.parametrize("value", [None, True, [], {}, b"5s"])
def test_other_values_are_no_durations(value: object) -> None:
    with pytest.raises(ValueError, match="write a duration"):
        duration_seconds(value)


@pytest.mark.parametrize("text", ["10001d", "1" * 400 + "s", "10000d1ms"])
def test_a_duration_beyond_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too long: write at most '10000d'"):
        duration_seconds(text)


@given(st.lists(st.tuples(st.integers(0, 900), st.sampled_from(sorted(UNITS))), min_size=1))
def test_what_is_written_in_parts_is_their_sum(parts: list[tuple[int, str]]) -> None:
    total = sum(number * UNITS[unit] for number, unit in parts)
    text = "".join(f"{number}{unit}" for number, unit in parts)
    if total < 10_000 * UNITS["d"]:
        assert isclose(duration_seconds(text), total, abs_tol=1e-9)


@given(ANYTHING)
def test_nonsense_is_never_a_duration(value: object) -> None:
    with contextlib.suppress(ValueError):
        seconds = duration_seconds(value)
        assert isinstance(value, str)
        assert re.fullmatch(DURATION_PATTERN, value, re.ASCII)
        assert isfinite(seconds)
        assert 0 <= seconds <= 864_000_000


@given(st.integers(1, 1024), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert size_bytes(f"{number}{unit}") == number * BYTES[unit]


@given(ANYTHING)
def test_nonsense_is_never_a_size(value: object) -> None:
    with contextlib.suppress(ValueError):
        size = size_bytes(value)
        assert isinstance(value, str)
        assert re.fullmatch(SIZE_PATTERN, value)
        assert 1 <= size <= 1024**3


@pytest.mark.parametrize(
    "value", [None, 1024, "", "1MB", "1.5MiB", "1 MiB", "-1B", "MiB", "1MiB\n"]
)
def test_what_is_no_size_is_told_what_one_is(value: object) -> None:
    with pytest.raises(ValueError, match="write a size such as '512KiB' or '1MiB'"):
        size_bytes(value)


@pytest.mark.parametrize("text", ["0B", "0MiB", "1025MiB", "1073741825B", "9" * 5000 + "B"])
def test_no_size_and_too_great_a_size_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a size from '1B' to '1024MiB'"):
        size_bytes(text)
