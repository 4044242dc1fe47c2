"""Single calls of the past, for who has to choose among them; methods block, and raise OSError."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.history.reader import Reader
from prober.history.rows import unpack_document
from prober.outcomes import Reason

_AT_A_TIME = 500  # SQLite binds no more than 999 values everywhere


@dataclass(frozen=True, slots=True)
class FailureHead:
    """A failure without its document."""

    number: int
    probe: str
    at: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class SlowAnswer:
    """One of the slowest answers of a day, by the platform's own time."""

    probe: str
    at: float
    reason: Reason
    server_seconds: float
    network_seconds: float | None
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Before which moments (epoch seconds) failures, or everything, had to make room."""

    failures: float | None = None
    everything: float | None = None


class Calls:
    """The single calls in a state directory."""

    def __init__(self, directory: Path) -> None:
        self._reader = Reader(directory)

    def failures(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[FailureHead, ...]:
        """Return a tenant's failures from `since` to before `until`, the oldest first."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.name, at, reason FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN (SELECT id FROM probe WHERE tenant = ?)"
            " AND at >= ? AND at < ? ORDER BY at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(FailureHead(n, probe, at, Reason(reason)) for n, probe, at, reason in rows)

    def documents(self, numbers: Iterable[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return the documents of failures by their numbers, as far as they are still there."""
        wanted, found = list(numbers), {}
        for first in range(0, len(wanted), _AT_A_TIME):
            some = wanted[first : first + _AT_A_TIME]
            marks = ", ".join("?" * len(some))
            query = f"SELECT id, document FROM failure WHERE id IN ({marks})"  # noqa: S608 -- marks
            for number, document in self._reader.rows(query, tuple(some)):
                found[number] = unpack_document(document)
        return found

    def slowest(
        self, tenant: str, since: float, until: float, *, limit: int
    ) -> tuple[SlowAnswer, ...]:
        """Return the slowest answers that are kept, the slowest first."""
        rows = self._reader.rows(
            "SELECT probe, at, reason, server_seconds, network_seconds, facts FROM slow_answer"
            " WHERE tenant = ? AND at >= ? AND at < ? ORDER BY server_seconds DESC, at LIMIT ?",
            (tenant, since, until, limit),
        )
        return tuple(
            SlowAnswer(probe, at, Reason(reason), server, network, json.loads(facts))
            for probe, at, reason, server, network, facts in rows
        )

    def watched(self, since: float, until: float) -> frozenset[int]:
        """Return the beginnings of the slots in which anything is known of any tenant."""
        rows = self._reader.rows(
            "SELECT DISTINCT slot FROM slot WHERE slot >= ? AND slot < ?", (since, until)
        )
        return frozenset(slot for (slot,) in rows)

    def forgotten(self) -> Forgotten:
        """Return what had to make room."""
        before = dict(self._reader.rows("SELECT what, before FROM forgotten", ()))
        return Forgotten(before.get("failure"), before.get("everything"))
