"""The fan-out: every sink gets every event, and a sink that raises harms nobody else."""

import asyncio
from collections.abc import Callable

import pytest

from prober.models import SkippedRun, TokenEvent, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import SkipCause, TokenEventKind
from prober.sinks import EventSink, FanOutSink
from tests.unit.metrics.factories import NOW, an_answer

RESULT = an_answer()
SKIP = SkippedRun("acme", "datasets", NOW, SkipCause.OVERLAP)
STATUS = TokenStatus("acme", TokenSource(TokenSourceKind.ENVIRONMENT, "TOKEN"))
EVENT = TokenEvent(TokenEventKind.LOADED, NOW, STATUS)

Emit = Callable[[EventSink], None]
EMIT: dict[str, Emit] = {
    "on_result": lambda sink: sink.on_result(RESULT),
    "on_skip": lambda sink: sink.on_skip(SKIP),
    "on_token_event": lambda sink: sink.on_token_event(EVENT),
    "on_token_status": lambda sink: sink.on_token_status(STATUS),
}
every_event = pytest.mark.parametrize("method", EMIT)


class RecordingSink(EventSink):
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.calls: list[tuple[str, object]] = []

    def _note(self, method: str, event: object) -> None:
        self.calls.append((method, event))
        if self.error is not None:
            raise self.error

    def on_result(self, result: object) -> None:
        self._note("on_result", result)

    def on_skip(self, skip: object) -> None:
        self._note("on_skip", skip)

    def on_token_event(self, event: object) -> None:
        self._note("on_token_event", event)

    def on_token_status(self, status: object) -> None:
        self._note("on_token_status", status)


class Failures:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, bool]] = []

    def __call__(self, sink: str, method: str, error: Exception, *, is_new: bool) -> None:
        self.seen.append((sink, method, type(error).__name__, is_new))


@every_event
def test_every_sink_gets_every_event_in_order(method: str) -> None:
    first, second, failures = RecordingSink(), RecordingSink(), Failures()
    fan_out = FanOutSink({"first": first}, failures)
    fan_out.add("second", second)
    EMIT[method](fan_out)
    event = {"on_result": RESULT, "on_skip": SKIP, "on_token_event": EVENT}.get(method, STATUS)
    assert first.calls == second.calls == [(method, event)]
    assert failures.seen == []


@every_event
def test_a_sink_that_raises_stops_neither_the_others_nor_the_caller(method: str) -> None:
    broken, good, failures = RecordingSink(ValueError("no")), RecordingSink(), Failures()
    fan_out = FanOutSink({"broken": broken, "good": good}, failures)
    for _ in range(3):
        EMIT[method](fan_out)
    assert len(good.calls) == 3
    assert failures.seen == [
        ("broken", method, "ValueError", True),
        ("broken", method, "ValueError", False),
        ("broken", method, "ValueError", False),
    ]


def test_a_failure_is_new_once_for_each_sink_method_and_type() -> None:
    broken, other, failures = RecordingSink(ValueError()), RecordingSink(KeyError()), Failures()
    fan_out = FanOutSink({"broken": broken, "other": other}, failures)
    for _ in range(2):
        for emit in EMIT.values():
            emit(fan_out)
    broken.error = OSError()
    EMIT["on_skip"](fan_out)
    new = [failure[:3] for failure in failures.seen if failure[3]]
    assert sorted(new) == sorted(
        [("broken", method, "ValueError") for method in EMIT]
        + [("other", method, "KeyError") for method in EMIT]
        + [("broken", "on_skip", "OSError")]
    )


@every_event
def test_a_failure_handler_that_raises_harms_nobody(method: str) -> None:
    def handler(sink: str, method: str, error: Exception, *, is_new: bool) -> None:
        raise RuntimeError(sink, method, error, is_new)

    good = RecordingSink()
    EMIT[method](FanOutSink({"broken": RecordingSink(ValueError()), "good": good}, handler))
    assert len(good.calls) == 1


@every_event
def test_an_exception_whose_text_cannot_be_made_harms_nobody(method: str) -> None:
    class Unprintable(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    good, failures = RecordingSink(), Failures()
    EMIT[method](FanOutSink({"broken": RecordingSink(Unprintable()), "good": good}, failures))
    assert len(good.calls) == 1
    assert len(failures.seen) == 1


@every_event
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_what_ends_a_task_or_the_process_is_passed_on(method: str, error: BaseException) -> None:
    fan_out = FanOutSink({"cancelled": RecordingSink(error)}, Failures())
    with pytest.raises(type(error)):
        EMIT[method](fan_out)


@every_event
def test_a_sink_ignores_what_it_does_not_override(method: str) -> None:
    EMIT[method](EventSink())


def test_two_sinks_of_one_name_are_refused() -> None:
    fan_out = FanOutSink({"one": EventSink()}, Failures())
    with pytest.raises(ValueError, match="one"):
        fan_out.add("one", EventSink())
