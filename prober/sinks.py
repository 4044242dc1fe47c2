"""Event sinks: who receives results, skipped runs and token events, and one guarded fan-out.

Sinks are called on the event loop and must return at once. Slow work belongs in a thread or a
queue of the sink's own.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from prober.models import ProbeResult, SkippedRun, TokenEvent, TokenStatus


class EventSink:
    """Receives events. A subclass overrides the methods that it needs; the others do nothing."""

    def on_result(self, result: ProbeResult) -> None:
        """Process the result of a run."""

    def on_skip(self, skip: SkippedRun) -> None:
        """Process a run that was due and was not started."""

    def on_token_event(self, event: TokenEvent) -> None:
        """Process something that happened to a token, such as a rejection or a rotation."""

    def on_token_status(self, status: TokenStatus) -> None:
        """Process the new status of a tenant's token; comes before the events of that change."""


class OnSinkFailure(Protocol):
    """Called for every exception that a sink raises.

    `is_new` is True the first time that this method of this sink raises this type of exception.
    """

    def __call__(self, sink: str, method: str, error: Exception, *, is_new: bool) -> None:
        """Log or count the failure."""
        ...


class FanOutSink(EventSink):
    """Passes every event to all sinks in order. Never raises an Exception itself.

    A sink that raises affects neither the other sinks nor the caller: a probe run, the scheduler,
    the start of the daemon, or a reload. `sinks` is keyed by the name used in logs and metrics.
    """

    def __init__(self, sinks: Mapping[str, EventSink], on_failure: OnSinkFailure) -> None:
        self._sinks = dict(sinks)
        self._on_failure = on_failure
        self._known_failures: set[tuple[str, str, type[Exception]]] = set()

    def add(self, name: str, sink: EventSink) -> None:
        """Add a sink after the others; raises ValueError if the name is taken."""
        if name in self._sinks:
            raise ValueError(f"there is already a sink named {name}")
        self._sinks[name] = sink

    def on_result(self, result: ProbeResult) -> None:
        """Pass a result on."""
        self._send("on_result", lambda sink: sink.on_result(result))

    def on_skip(self, skip: SkippedRun) -> None:
        """Pass a skipped run on."""
        self._send("on_skip", lambda sink: sink.on_skip(skip))

    def on_token_event(self, event: TokenEvent) -> None:
        """Pass a token event on."""
        self._send("on_token_event", lambda sink: sink.on_token_event(event))

    def on_token_status(self, status: TokenStatus) -> None:
        """Pass a token status on."""
        self._send("on_token_status", lambda sink: sink.on_token_status(status))

    def _send(self, method: str, call: Callable[[EventSink], None]) -> None:
        for name, sink in self._sinks.items():
            try:
                call(sink)
            except Exception as error:  # noqa: BLE001 -- a bug in a sink must not stop probing
                failure = name, method, type(error)
                is_new = failure not in self._known_failures
                self._known_failures.add(failure)
                # The handler writes to the log and to the metrics, which may be what is broken.
                with suppress(Exception):
                    self._on_failure(name, method, error, is_new=is_new)
