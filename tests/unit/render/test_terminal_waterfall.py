import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.models import Failure, HttpExchange, Latency, Phases
from prober.outcomes import FailureKind, TimingFallback
from prober.render.terminal import Waterfall, printed_tenths
from tests.unit.classifier.factories import URL, a_failure
from tests.unit.render.factories import PHASES, TOTAL_SECONDS, a_result, a_timed_answer, lines_of

SPLIT = """\
  resolve  ░                                                              2.1 ms
  connect   ░░░                                                          12.3 ms
  tls          ░░░░░░░░                                                  34.5 ms
  send                 ░                                                  0.1 ms
  wait                 ██████████████████████████████████████░░░░░░░░░  187.7 ms
  transfer                                                           ░    1.0 ms
  total                                                                 237.7 ms
  █ server 150.0 ms   ░ network 87.7 ms"""


def drawn(exchange: HttpExchange, width: int = 80, encoding: str = "utf-8") -> list[str]:
    return lines_of(Waterfall(exchange, a_result(exchange).verdict.latency), width, encoding)


def line_of(name: str, lines: list[str]) -> str:
    return next(line for line in lines if line[2:].startswith(name))


def test_the_servers_share_is_marked_within_the_wait() -> None:
    assert "\n".join(drawn(a_timed_answer())) == SPLIT


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_picture_is_as_wide_as_the_console(width: int) -> None:
    lines = drawn(a_timed_answer(), width)[:-1]
    assert {len(line) for line in lines} == {width}


def test_a_very_wide_console_is_not_filled() -> None:
    assert max(map(len, drawn(a_timed_answer(), 300))) == 120


def test_a_console_too_narrow_for_a_picture_still_gets_a_line_a_phase() -> None:
    assert len(drawn(a_timed_answer(), 12)) == 8


def test_the_numbers_add_up_to_the_total() -> None:
    phases = Phases(resolve=0.00004, connect=0.00004, tls=0.00004, wait=0.1)
    exchange = replace(a_timed_answer(phases=phases), total_seconds=0.10012)
    numbers = [float(re.findall(r"([\d.]+) ms", line)[0]) for line in drawn(exchange)[:-1]]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=1e-6)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_printed_parts_always_add_up_to_the_printed_total(parts: list[float]) -> None:
    assert sum(printed_tenths(parts, sum(parts))) == round(sum(parts) * 10_000)


def test_parts_that_do_not_add_up_are_not_bent() -> None:
    assert printed_tenths([0.1, 0.2], 5.0) == [1000, 2000]


def test_a_server_time_beyond_the_wait_reaches_into_the_transfer() -> None:
    phases = Phases(send=0.0002, wait=0.1, transfer=0.1375)
    lines = drawn(a_timed_answer(phases=phases))
    assert "░" not in line_of("wait", lines)
    assert re.search("█+░+", line_of("transfer", lines))


def test_a_server_time_of_next_to_nothing_is_still_seen() -> None:
    lines = drawn(a_timed_answer((("Server-Timing", "total;dur=0.01"),)))
    assert line_of("wait", lines).count("█") == 1


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ((), "no Server-Timing total"),
        ((("Server-Timing", "total;dur=x"),), "an unreadable Server-Timing total"),
        ((("Server-Timing", "total;dur=900"),), "a Server-Timing total above the whole"),
    ],
    ids=["missing", "unparsable", "exceeds-total"],
)
def test_a_wait_that_cannot_be_split_is_given_to_nobody(
    header: tuple[tuple[str, str], ...], why: str
) -> None:
    lines = drawn(a_timed_answer(header))
    assert "▒" in line_of("wait", lines)
    assert "█" not in "".join(lines)
    assert lines[-1] == f"  ▒ not split: {why}"


def test_the_answer_of_an_intermediary_has_no_split_and_no_anomaly() -> None:
    lines = drawn(a_timed_answer((), body=b"<html>"))
    assert lines[-1] == "  ▒ not split"


def test_the_phase_that_failed_bears_a_sign() -> None:
    failure = Failure(FailureKind.CONNECT_TIMEOUT, "")
    lines = drawn(HttpExchange("GET", URL, 5.0, Phases(0.002, 4.998), failure=failure))
    assert lines[1].startswith("✗ connect  ░")
    assert lines[1].endswith("4,998.0 ms")
    assert lines[-1] == "  ✗ failed in this phase"


def test_a_reused_connection_begins_with_sending() -> None:
    lines = drawn(a_timed_answer(phases=Phases(send=0.0002, wait=0.2375)))
    assert [line.split()[0] for line in lines[:3]] == ["send", "wait", "total"]


def test_the_doubt_of_a_measurement_is_told() -> None:
    exchange = replace(a_timed_answer(), timing_bound_seconds=0.0004, loop_lag_seconds=0.9)
    assert drawn(exchange)[-1].endswith("measured to within 0.4 ms")
    by_the_loop = replace(exchange, timing_fallback=TimingFallback.UNSUPPORTED)
    assert drawn(by_the_loop)[-1].endswith("measured to within 900.0 ms")


def test_our_own_time_has_a_row_and_a_fill_of_its_own() -> None:
    answer = a_timed_answer()
    own = replace(
        answer, total_seconds=answer.total_seconds + 0.05, phases=replace(answer.phases, own=0.05)
    )
    lines = drawn(own)
    assert lines[-3].startswith("  own ")
    assert "\u00b7" in lines[-3]
    assert lines[-3].endswith("50.0 ms")
    assert lines[-1].endswith("own 50.0 ms")


def test_without_phases_there_is_no_picture() -> None:
    assert drawn(a_failure(FailureKind.TOKEN_MISSING)) in ([], [""])


def test_phases_of_no_length_are_drawn_all_the_same() -> None:
    exchange = HttpExchange(
        "GET", URL, 0.0, Phases(send=0.0, wait=0.0, transfer=0.0), a_timed_answer().response
    )
    assert len(lines_of(Waterfall(exchange, Latency(0.0, 0.0, 0.0)))) == 5


def test_a_terminal_without_unicode_gets_other_fills() -> None:
    lines = drawn(a_timed_answer(), encoding="ascii")
    assert "".join(lines).isascii()
    assert re.search(r"#+\.+", line_of("wait", lines))


@given(
    st.builds(Phases, *[st.none() | st.floats(0, 60)] * 6),
    st.floats(0, 60),
    st.none() | st.floats(0, 60),
    st.integers(1, 140),
)
def test_no_measurement_breaks_the_picture(
    phases: Phases, total: float, server: float | None, width: int
) -> None:
    exchange = HttpExchange("GET", URL, total, phases, a_timed_answer().response)
    lines = lines_of(Waterfall(exchange, Latency(total, server, total)), width)
    assert all(len(line) <= width for line in lines)


def test_the_specimen_adds_up() -> None:
    assert sum(seconds for _, seconds in PHASES.as_pairs()) == pytest.approx(TOTAL_SECONDS)
