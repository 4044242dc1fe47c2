"""Silence, Retry-After and Server-Timing at their limits: both sides of each."""

import time
from datetime import UTC, datetime

import pytest

from prober.classifier.retry_after import parse_retry_after, retry_after_seconds
from prober.classifier.server_timing import (
    MAX_VALUE_CHARACTERS,
    MAX_VALUES,
    Metric,
    parse,
    server_total_seconds,
)
from prober.classifier.silence import attribute_silence
from prober.models import Response, TcpEvidence
from prober.outcomes import Reason, ServerTimingAnomaly

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
TIMEOUT = Reason.RESPONSE_TIMEOUT
SILENT = Reason.RESPONSE_TIMEOUT_FAR_END_SILENT
LOST = Reason.RESPONSE_TIMEOUT_PATH_LOST
UNACKNOWLEDGED = Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED


def tcp(
    *, received: float = 1.0, data: float = 99.0, acknowledged: bool = True, again: int = 0
) -> TcpEvidence:
    return TcpEvidence(
        rtt_seconds=0.01,
        retransmissions=again,
        acknowledged=acknowledged,
        since_received_seconds=received,
        since_data_seconds=data,
    )


@pytest.mark.parametrize(
    ("evidence", "waited", "begun", "proxy", "reason"),
    [
        (None, 9.0, False, False, TIMEOUT),
        (tcp(), 2.499, False, False, TIMEOUT),
        (tcp(), 2.5, False, False, SILENT),
        (tcp(acknowledged=False), 9.0, False, False, TIMEOUT),
        (tcp(acknowledged=False, again=1), 9.0, False, False, UNACKNOWLEDGED),
        (tcp(acknowledged=False, again=1), 2.499, False, False, TIMEOUT),
        (tcp(received=2.0), 9.0, False, False, SILENT),
        (tcp(received=2.001), 9.0, False, False, LOST),
        (tcp(received=2.001), 9.0, False, True, LOST),
        (tcp(received=1.0), 9.0, False, True, TIMEOUT),
        (tcp(data=2.0), 9.0, True, False, TIMEOUT),
        (tcp(data=2.001), 9.0, True, False, SILENT),
        (tcp(data=2.0), 9.0, False, False, SILENT),
        (tcp(received=1.75), 2.5, False, False, TIMEOUT),
        (tcp(received=1.59), 2.5, False, False, SILENT),  # 0.9 s after the request
        (tcp(received=1.5), 2.5, False, False, SILENT),
    ],
)
def test_what_explains_a_silence(
    evidence: TcpEvidence | None, waited: float, begun: bool, proxy: bool, reason: Reason
) -> None:
    found = attribute_silence(evidence, waited, response_begun=begun, via_proxy=proxy)
    assert found is reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("007", 7.0),
        ("299", 299.0),
        ("300", 300.0),
        ("301", 300.0),
        ("999999999", 300.0),
        ("9999999999", 300.0),
        ("0000000000001", 1.0),
        ("\t 5 ", 5.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:59:59 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:00:60 GMT", 60.0),
        ("Tue, 24 Nov 2026 12:00:99 GMT", 60.0),
        ("Tue, 24 Nov 2026 12:60:00 GMT", 0.0),
        ("Tue, 31 Feb 2026 12:00:00 GMT", 0.0),
        ("Tuesday, 24-Nov-26 12:01:00 GMT", 60.0),
        ("Tue Nov 24 12:00:09 2026", 9.0),
        ("Fri Jan  1 00:00:00 2027", 300.0),
        ("Tue, 24 Nov 2026 12:00:30 UTC", 0.0),
        ("Fri, 31 Dec 9999 23:59:60 GMT", 0.0),
        ("Tuesday, 24-Nov-76 12:00:00 GMT", 300.0),
        ("Tuesday, 24-Nov-77 12:00:00 GMT", 0.0),
        ("Thursday, 24-Nov-00 12:00:00 GMT", 0.0),
    ],
)
def test_how_long_a_response_asks_to_wait(value: str, seconds: float) -> None:
    assert parse_retry_after([value], NOW) == seconds


def test_the_longest_of_several_values_counts() -> None:
    assert parse_retry_after([], NOW) == 0.0
    assert parse_retry_after(["5", "x", "9", "7"], NOW) == 9.0


@pytest.mark.parametrize(
    "month", ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
)
def test_each_month_is_read(month: str) -> None:
    at = datetime.strptime(f"02 {month} 2026 03:04:05 +0000", "%d %b %Y %H:%M:%S %z").timestamp()
    assert parse_retry_after([f"Mon, 02 {month} 2026 03:04:05 GMT"], at - 10) == 10.0


def test_the_century_is_that_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # where the next year has begun
    time.tzset()
    try:
        now = datetime(2026, 12, 31, 12, tzinfo=UTC).timestamp()
        assert parse_retry_after(["Wednesday, 24-Nov-77 12:00:00 GMT"], now) == 0.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("status", [429, 503])
def test_only_two_statuses_ask_to_wait(status: int) -> None:
    headers = (("Retry-After", "5"),)
    assert retry_after_seconds(Response(status, headers, b""), NOW) == 5.0
    assert retry_after_seconds(Response(status + 1, headers, b""), NOW) == 0.0
    assert retry_after_seconds(Response(status, (), b""), NOW) == 0.0
    assert retry_after_seconds(None, NOW) == 0.0
    until = (("retry-after", "Tue, 24 Nov 2026 12:00:30 GMT"),)
    assert retry_after_seconds(Response(status, until, b""), NOW) == 30.0


MISSING, UNPARSABLE = ServerTimingAnomaly.MISSING, ServerTimingAnomaly.UNPARSABLE


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], MISSING),
        (["cdn;dur=1"], MISSING),
        (["TOTAL;dur=1"], MISSING),
        (["total"], UNPARSABLE),
        (["total;dur=0"], 0.0),
        (["total;dur=-0"], 0.0),
        (["total;dur=-0.001"], UNPARSABLE),
        (["total;dur=86400000"], 86_400.0),
        (["total;dur=86400000.1"], UNPARSABLE),
        (["total;dur=1e999"], UNPARSABLE),
        (["total;dur=1ms"], UNPARSABLE),
        (["total;dur=+1.5e1"], 0.015),
        (["total;dur=.5"], 0.0005),
        (["total;dur=5."], 0.005),
        (["cdn;dur=1, total;dur=2", "total;dur=3"], 0.002),
        (["total;dur=x", "total;dur=3"], UNPARSABLE),
        (["x"] * (MAX_VALUES - 1) + ["total;dur=3"], 0.003),
        (["x"] * MAX_VALUES + ["total;dur=3"], MISSING),
        (["total;dur=1" + "0" * MAX_VALUE_CHARACTERS], UNPARSABLE),
        ([" " * (MAX_VALUE_CHARACTERS - 11) + "total;dur=9"], 0.009),
        ([" " * (MAX_VALUE_CHARACTERS - 10) + "total;dur=9"], UNPARSABLE),
    ],
)
def test_the_time_of_the_server(values: list[str], found: float | ServerTimingAnomaly) -> None:
    assert server_total_seconds(values) == found
    if found == 0.0:
        assert str(server_total_seconds(values)) == "0.0"


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        ("a;dur=1;DUR=2", (Metric("a", 1.0),)),
        ("a;Desc=x;desc=y", (Metric("a", None, "x"),)),
        ('a;desc="x \\" y, z; w";dur=2', (Metric("a", 2.0, 'x " y, z; w'),)),
        ('a;desc="x', (Metric("a", None, ""),)),
        ("a;desc;dur=3", (Metric("a", 3.0, ""),)),
        ("a;dur;dur=3", (Metric("a", None, ""),)),
        ("a b;dur=3, ;dur=4, c", (Metric("a", 3.0), Metric("c"))),
        ("", ()),
        (",,", ()),
        ("a;=3;dur = 4", (Metric("a", 4.0),)),
    ],
)
def test_the_metrics_of_a_value(value: str, metrics: tuple[Metric, ...]) -> None:
    assert parse(value) == metrics
