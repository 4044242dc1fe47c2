"""What is written: at once, folded, capped and cut."""

import io
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from prober.log_limits import MAX_LINES_AT_ONCE, MAX_LINES_PER_SECOND, REPEAT_SECONDS
from prober.logs import (
    MAX_COUNTED_EVENTS,
    MAX_FACTS,
    MAX_REMEMBERED_PROBES,
    MAX_TRACEBACK_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    LogSink,
    RateLimitedHandler,
    configure_logging,
    is_journal,
)
from prober.models import TokenEvent, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import FailureKind, TokenEventKind
from tests.unit.metrics.factories import NOW, a_failure, an_answer


class Written(io.StringIO):
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    root, stream = logging.getLogger(), Written()
    before, level = root.handlers, root.level
    configure_logging(stream, "info", "json")
    yield stream
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("level", "prefix"), [("info", "<6>"), ("warning", "<4>"), ("error", "<3>"), ("debug", "")]
)
def test_in_the_journal_each_line_has_its_priority(level: str, prefix: str) -> None:
    root, stream = logging.getLogger(), Written()
    before, before_level = root.handlers, root.level
    configure_logging(stream, "info", "json", is_journal=True)
    try:
        getattr(structlog.get_logger("prober"), level)("x", line="a\nb", separator="\u2028")
        assert [each[:3] for each in stream.getvalue().split("\n")] == (
            [prefix, ""] if prefix else [""]
        )
        assert not prefix or json.loads(stream.getvalue()[3:])["separator"] == "\u2028"
    finally:
        root.handlers = before
        root.setLevel(before_level)
        structlog.reset_defaults()


def test_each_line_of_a_traceback_has_the_priority_of_its_event() -> None:
    root, stream = logging.getLogger(), Written()
    before, before_level = root.handlers, root.level
    configure_logging(stream, "info", "console", is_journal=True)
    try:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            structlog.get_logger("prober").exception("crashed")
        lines = stream.getvalue().splitlines()
        assert len(lines) > 3
        assert {each[:3] for each in lines} == {"<3>"}
        logging.getLogger("aiohttp").warning("of a library")
        assert stream.getvalue().splitlines()[-1].startswith("<4>")
    finally:
        root.handlers = before
        root.setLevel(before_level)
        structlog.reset_defaults()


def test_only_what_leads_to_the_journal_gets_priorities(tmp_path: Path) -> None:
    with (tmp_path / "one").open("w") as one, (tmp_path / "two").open("w") as two:
        status = os.fstat(one.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(one, environ)
        assert not is_journal(two, environ)
        assert not is_journal(one, {})
    assert not is_journal(one, environ)  # closed
    assert not is_journal(io.StringIO(), environ)


class Moments:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_recorder() -> tuple[LogSink, Moments]:
    moments = Moments()
    return LogSink(structlog.get_logger("prober"), moments), moments


def test_what_goes_well_is_not_logged(written: Written) -> None:
    recorder, _ = a_recorder()
    for _ in range(3):
        recorder.on_result(an_answer())
    assert written.events() == []


def test_a_failure_is_logged_at_once_then_folded_then_over(written: Written) -> None:
    recorder, moments = a_recorder()
    for moments.now in (0.0, 60.0, 120.0, REPEAT_SECONDS, REPEAT_SECONDS + 60):
        recorder.on_result(a_failure(FailureKind.DNS))
    recorder.on_result(an_answer())
    words = [
        (each["event"], each.get("repeated"), each.get("failures")) for each in written.events()
    ]
    assert words == [
        ("probe.failed", None, None),
        ("probe.failed", 3, None),
        ("verdict.changed", None, 5),
    ]


def test_another_probe_is_another_matter(written: Written) -> None:
    recorder, _ = a_recorder()
    for name in ("acme", "other", "acme", "other"):
        recorder.on_result(replace(a_failure(FailureKind.DNS), tenant=name))
    assert [each["tenant"] for each in written.events()] == ["acme", "other"]


@pytest.mark.parametrize("kind", TokenEventKind)
def test_a_token_event_is_logged_under_its_kind(written: Written, kind: TokenEventKind) -> None:
    status = TokenStatus("acme", TokenSource(TokenSourceKind.FILE, "/run/token"))
    a_recorder()[0].on_token_event(TokenEvent(kind, NOW, status, ("beta",)))
    (event,) = written.events()
    names = {"loaded", "rotated", "accepted", "rejected", "expiring", "missing", "permission_lost"}
    assert event["event"] in {f"token.{name}" for name in names}
    assert event["event"].removeprefix("token.") == kind.value.removeprefix("token_")
    is_bad = kind.value.removeprefix("token_") in {
        "rejected",
        "expiring",
        "missing",
        "permission_lost",
    }
    assert event["level"] == ("warning" if is_bad else "info")
    assert (event["tenant"], event["shared_with"]) == ("acme", ["beta"])


def test_lines_beyond_the_rate_are_left_out_and_it_is_said(written: Written) -> None:
    moments = Moments()
    handler = RateLimitedHandler(written, moments)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().handlers = [handler]
    logger = structlog.get_logger("prober")
    for number in range(int(MAX_LINES_AT_ONCE) + 25):
        logger.info("a.line", number=number)
    assert len(written.events()) == MAX_LINES_AT_ONCE
    moments.now = 10 / MAX_LINES_PER_SECOND
    logger.info("a.line", number="more")
    *_, said, last = written.events()
    assert (said["event"], said["lines"], said["level"]) == ("log.lines_dropped", 25, "warning")
    assert (said["of"], last["number"]) == ("a.line", "more")


def test_no_event_takes_the_place_of_another(written: Written) -> None:
    handler = RateLimitedHandler(written, Moments())
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().handlers = [handler]
    for number in range(int(MAX_LINES_AT_ONCE) + 25):
        logging.getLogger("aiohttp.server").error("Unhandled exception %s", number)
        structlog.get_logger("prober").warning("web.fault", number=number)
    recorder, _ = a_recorder()
    recorder.on_result(a_failure(FailureKind.DNS))
    structlog.get_logger("prober").warning("token_rejected")
    assert [each["event"] for each in written.events()][-2:] == ["probe.failed", "token_rejected"]


def test_kinds_of_lines_are_not_counted_without_bound(written: Written) -> None:
    handler = RateLimitedHandler(written, Moments())
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().handlers = [handler]
    for number in range(2 * MAX_COUNTED_EVENTS):
        structlog.get_logger("prober").warning(f"event.{number}")
    assert len(handler._buckets) <= MAX_COUNTED_EVENTS + 1


def test_long_values_are_cut_and_of_a_traceback_the_end_is_kept(written: Written) -> None:
    logger = structlog.get_logger("prober")
    logger.info("a.line", text="x" * 100_000, inner={"text": "y" * 100_000})
    logger.info("a.line", exception="z" * 100_000 + "end")
    first, second = written.events()
    assert len(first["text"]) < MAX_VALUE_CHARACTERS + 50
    assert len(first["inner"]["text"]) < MAX_VALUE_CHARACTERS + 50
    assert len(second["exception"]) < MAX_TRACEBACK_CHARACTERS + 10
    assert second["exception"].endswith("end")


def test_facts_are_few(written: Written) -> None:
    recorder, _ = a_recorder()
    failure = a_failure(FailureKind.DNS)
    facts = {f"fact_{number}": "x" for number in range(100)}
    recorder.on_result(replace(failure, verdict=replace(failure.verdict, facts=facts)))
    assert len(written.events()[0]["facts"]) == MAX_FACTS


def test_probes_that_come_and_go_are_not_remembered_for_ever() -> None:
    recorder, answer = LogSink(structlog.get_logger("prober")), an_answer()
    for number in range(MAX_REMEMBERED_PROBES + 10):
        recorder.on_result(replace(answer, probe=f"p{number}"))
    assert len(recorder._last_reason) == 10
