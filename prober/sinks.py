"""The one method of all who listen to results, and the fence round them.

A recorder is called on the event loop and must return at once; whatever is slow belongs in a
thread or a queue of its own.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

from prober.models import ProbeResult


class ResultSink(Protocol):
    """Who listens to results."""

    def record(self, result: ProbeResult) -> None:
        """Take note of a result, at once."""
        ...


OnFailure = Callable[[ResultSink, Exception], None]
"""Called with the recorder and what it raised, once for each recorder and type of exception."""


class FanOutSink:
    """Tells every recorder; one that fails neither stops the others nor reaches the probe."""

    def __init__(self, recorders: Sequence[ResultSink], on_failure: OnFailure) -> None:
        self._recorders = tuple(recorders)
        self._on_failure = on_failure
        self._failures: Counter[tuple[int, type[Exception]]] = Counter()

    def record(self, result: ProbeResult) -> None:
        """Pass a result on; raises nothing."""
        for index, recorder in enumerate(self._recorders):
            try:
                recorder.record(result)
            except Exception as error:  # noqa: BLE001 -- a recorder's bug must not end probing
                self._count_failure(index, error)

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each recorder has failed, by its class's name."""
        counted: Counter[str] = Counter()
        for (index, _), times in self._failures.items():
            counted[type(self._recorders[index]).__name__] += times
        return MappingProxyType(counted)

    def _count_failure(self, index: int, error: Exception) -> None:
        kind = (index, type(error))
        self._failures[kind] += 1
        if self._failures[kind] == 1:
            with suppress(Exception):  # who is told may fail like who listens
                self._on_failure(self._recorders[index], error)
