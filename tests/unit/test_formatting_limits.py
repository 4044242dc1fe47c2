"""Formats at their limits: both sides of each."""

import time
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from prober.formatting import (
    duration_seconds,
    format_ago,
    format_budget,
    format_exact_duration,
    format_hour_minute,
    format_latency,
    format_percent,
    format_rounded_latency,
    format_size,
    format_timestamp,
    one_line,
    parse_iso_timestamp,
    size_bytes,
)
from prober.redaction import Redactor


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5.0, "just now"), (9.99, "just now"), (10.0, "10 s ago"), (7200.0, "2 h ago")],
)
def test_ago(seconds: float, text: str) -> None:
    assert format_ago(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.5, "0 s"),  # rounded half to even
        (0.51, "1 s"),
        (59.6, "1 min"),
        (3600.0, "1 h"),
        (86_400.0 + 3600 + 60 + 1, "1 d 1 h 1 min 1 s"),
        (3601.0, "1 h 1 s"),
    ],
)
def test_an_exact_duration(seconds: float, text: str) -> None:
    assert format_exact_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 ms"),
        (0.0999, "99.9 ms"),
        (0.1, "100 ms"),
        (0.9994, "999 ms"),
        (1.0, "1.00 s"),
        (9.994, "9.99 s"),
        (10.0, "10.0 s"),
    ],
)
def test_a_latency(seconds: float, text: str) -> None:
    assert format_latency(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0.0 ms"),
        (0.00123, "1.2 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.01, "10 ms"),
        (0.0844, "84 ms"),
        (0.1149, "110 ms"),
        (0.9949, "990 ms"),
        (0.996, "1.0 s"),
        (1.0, "1.0 s"),
        (1.249, "1.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (10.0, "10 s"),
        (123.4, "120 s"),
    ],
)
def test_a_rounded_latency(seconds: float | None, text: str) -> None:
    assert format_rounded_latency(seconds) == text


def test_times_in_other_zones() -> None:
    at = 1_763_996_645.0  # 2025-11-24T15:04:05Z
    assert format_timestamp(at) == "2025-11-24 15:04:05Z"
    assert format_hour_minute(at) == "15:04Z"
    assert format_hour_minute(at, ZoneInfo("America/St_Johns")) == "11:34-03:30"
    assert format_timestamp(at, ZoneInfo("Europe/Berlin")) == "2025-11-24 16:04:05+01:00"
    assert format_timestamp(-3e9, ZoneInfo("Europe/Berlin")) == "1874-12-07 19:33:28+00:53"
    assert format_timestamp(at, ZoneInfo("UTC")) == "2025-11-24 15:04:05+00:00"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10", 10.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01", 0.0),
        ("soon", None),
        ("", None),
        ("1970-13-01", None),
    ],
)
def test_an_iso_time(text: str, at: float | None) -> None:
    assert parse_iso_timestamp(text) == at


def test_a_time_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert parse_iso_timestamp("1970-01-01T00:00:10") == 10.0
        assert parse_iso_timestamp("1970-01-01T00:00:10Z") == 10.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("ratio", "percent", "budget"),
    [
        (0.0, "0.00 %", "0.0 %"),
        (0.9995, "99.95 %", "99.9 %"),
        (0.99999, "99.99 %", "99.9 %"),
        (1.0, "100.00 %", "100.0 %"),
        (0.5, "50.00 %", "50.0 %"),
        (0.999, "99.90 %", "99.9 %"),
        (0.998, "99.80 %", "99.8 %"),
        (-0.5, "-50.00 %", "-50.0 %"),
        (1.5, "150.00 %", "150.0 %"),
    ],
)
def test_ratios(ratio: float, percent: str, budget: str) -> None:
    assert (format_percent(ratio), format_budget(ratio)) == (percent, budget)


def test_a_size() -> None:
    assert [format_size(each) for each in (0, 2**20, 2**30)] == ["0.0 MiB", "1.0 MiB", "1024.0 MiB"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  ab  cd  ", "ab cd"),
        ("a" * 10, "a" * 10),
        ("a" * 11, "aaaaaaa..."),
        ("ab " * 20, "ab ab a..."),
        ("abcdef " * 20, "abcdef..."),  # no space before the dots
        ("a" + " " * 38 + "b", "a b"),
        ("a" + " " * 39 + "b", "a..."),  # of four characters for each kept one, the last is cut
        ("\n" * 99 + "ab", "ab"),
        ("ab" + "\n" * 99, "ab..."),
        (" " * 9 + "a", "a"),
        ("a" * 9 + " ", "a" * 9),
        ("a\tb", "a b"),
    ],
)
def test_a_line_of_ten_characters(text: str, line: str) -> None:
    assert one_line(text, 10) == line


def test_a_secret_is_removed_before_the_cut() -> None:
    redactor = Redactor((SecretStr("s3cr3t-s3cr3t"),))
    assert one_line("s3cr3t-s3cr3t", 20, redactor) == "[redacted]"
    assert one_line("a s3cr3t-s3cr3t b c d e", 20, redactor) == "a [redacted] b c d e"
    assert one_line("s3cr3t-s3cr3t", 13, redactor) == "[redacted]"
    assert one_line("ab s3cr3t", 9, Redactor((SecretStr("s3cr"),))) == "ab [re..."
    cut = one_line("x" * 70 + "s3cr3t-s3cr3t", 20, redactor)
    assert cut == "x" * 17 + "..."
    spread = one_line("\n" * 3 + "a" + " " * 55 + "s3cr3t-s" + "3cr3t" * 9, 16, redactor)
    assert "s3c" not in spread


@pytest.mark.parametrize(
    ("text", "seconds"), [("1ms", 0.001), ("1s", 1), ("1m", 60), ("1h", 3600), ("1d", 86_400)]
)
def test_units_of_time(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


def test_the_longest_duration() -> None:
    assert duration_seconds("10000d") == 864_000_000.0
    with pytest.raises(ValueError, match="is too long: write at most '10000d'"):
        duration_seconds("10000d1ms")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("1KiB", 1024), ("1MiB", 1024**2), ("1024MiB", 1024**3), ("1073741824B", 1024**3)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["0B", "0MiB", "1025MiB", "1073741825B", "00000000001B"])
def test_sizes_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="write a size from '1B' to '1024MiB'"):
        size_bytes(text)


@pytest.mark.parametrize("text", ["", "1", "1GiB", "1kb", "-1B", "1.5MiB", 1, None, True, "1B "])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="write a size such as '512KiB' or '1MiB'"):
        size_bytes(text)
