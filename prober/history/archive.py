"""What can be read of the past, beside the daemon that writes it; methods block.

Every question is answered from a connection of its own, which sees one moment. Without a usable
file all answers are empty. Raises OSError when the file may not be read.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.history.file import HOUR, MINUTE, SPELL_COLUMNS
from prober.history.reader import Reader
from prober.history.rows import spell_of, unpack_document
from prober.outcomes import Reason, RejectionCause, TokenEventKind
from prober.timeline.packing import unpack_minutes, unpack_tally
from prober.timeline.slots import FIELDS, Slot
from prober.timeline.spells import Incident, IncidentKey, Spell, newest_incidents
from prober.timeline.tally import Tally, added

Tallies = Mapping[str, Mapping[float, Tally]]
"""By probe, and by the beginning (epoch seconds) of each step."""

_SUMS = ", ".join(f"sum({name})" for name in FIELDS)


@dataclass(frozen=True, slots=True)
class PastFailure:
    """A failure with its document, in the form of `prober probe --json`."""

    number: int
    tenant: str
    probe: str
    at: float
    reason: Reason
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A probe came to another verdict than before; `before` is None for its first since a start."""

    probe: str
    at: float
    before: Reason | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class PastTokenEvent:
    """Something happened to a tenant's token."""

    tenant: str
    at: float
    kind: TokenEventKind
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None


class Archive:
    """The history in a state directory."""

    def __init__(self, directory: Path) -> None:
        self._reader = Reader(directory)

    def tallies(self, tenant: str, since: float, until: float, step_seconds: int) -> Tallies:
        """Return what happened from `since` to before `until`, in steps.

        Steps begin at multiples of themselves; an hour or more is told from hours, else minutes.
        """
        with self._reader.reading() as connection:
            if connection is None:
                return {}
            parts: dict[str, dict[float, list[Tally]]] = defaultdict(lambda: defaultdict(list))
            coarse = step_seconds % HOUR == 0
            read = _hours if coarse else _packed_minutes
            for each in (read, _loose_minutes):
                for probe, at, tally in each(connection, tenant, since, until):
                    parts[probe][float(at // step_seconds * step_seconds)].append(tally)
        return {
            probe: {at: added(steps[at]) for at in sorted(steps)} for probe, steps in parts.items()
        }

    def totals(self, tenant: str, since: float, until: float) -> Mapping[str, Tally]:
        """Return what happened to each probe from `since` to before `until`, to the minute."""
        first, last = -(-since // HOUR) * HOUR, until // HOUR * HOUR
        if first >= last:
            spans = [(since, until, MINUTE)]
        else:
            spans = [(since, first, MINUTE), (first, last, HOUR), (last, until, MINUTE)]
        parts: dict[str, list[Tally]] = defaultdict(list)
        for begin, end, step in spans:
            for probe, steps in self.tallies(tenant, begin, end, step).items():
                parts[probe] += steps.values()
        return {probe: added(each) for probe, each in parts.items()}

    def slots(
        self, since: float, until: float = float("inf"), tenant: str | None = None
    ) -> Mapping[str, Mapping[int, Slot]]:
        """Return the slots that begin from `since` to before `until`, by tenant and beginning."""
        found: dict[str, dict[int, Slot]] = defaultdict(dict)
        rows = self._reader.rows(
            "SELECT * FROM slot WHERE slot >= ? AND slot < ? AND (? IS NULL OR tenant = ?)",
            (since, until, tenant, tenant),
        )
        for name, slot, *numbers in rows:
            found[name][slot] = Slot(*numbers)
        return found

    def slot_totals(self, since: float, until: float) -> Mapping[str, Slot]:
        """Return the sum of each tenant's slots that begin from `since` to before `until`."""
        query = (
            f"SELECT tenant, {_SUMS} FROM slot"  # noqa: S608 -- our columns
            " WHERE slot >= ? AND slot < ? GROUP BY tenant"
        )
        return {tenant: Slot(*sums) for tenant, *sums in self._reader.rows(query, (since, until))}

    def spells(self, since: float, until: float, tenant: str | None = None) -> tuple[Spell, ...]:
        """Return the spells that were going on at some time in a span."""
        return tuple(self._spells(since, until, tenant))

    def incidents(
        self,
        since: float,
        until: float,
        tenant: str | None = None,
        *,
        limit: int,
        before: IncidentKey | None = None,
    ) -> tuple[Incident, ...]:
        """Return the newest incidents that were going on at some time in a span.

        `before`: only those that come after this one, since the newest come first. Spells are read
        one by one: what is held does not grow with their number.
        """
        with closing(self._spells(since, until, tenant)) as spells:
            return newest_incidents(spells, limit, before)

    def _spells(
        self, since: float, until: float, tenant: str | None
    ) -> Generator[Spell, None, None]:
        # The limit keeps the inner query apart, so that SQLite sorts numbers and not whole rows.
        rows = self._reader.stream(
            f"SELECT {SPELL_COLUMNS} FROM"  # noqa: S608 -- our columns
            " (SELECT spell.id AS number FROM spell JOIN probe ON probe.id = spell.probe"
            " WHERE (ended_at IS NULL OR ended_at >= ?) AND started_at <= ?"
            " AND (? IS NULL OR probe.tenant = ?) ORDER BY started_at LIMIT -1)"
            " CROSS JOIN spell ON spell.id = number CROSS JOIN probe ON probe.id = spell.probe",
            (since, until, tenant, tenant),
        )
        with closing(rows):
            for row in rows:
                yield spell_of(row)

    def failures(
        self, tenant: str, since: float, *, limit: int, probe: str | None = None
    ) -> tuple[PastFailure, ...]:
        """Return the last failures since a moment, the newest first."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe"
            " WHERE failure.probe IN"
            " (SELECT id FROM probe WHERE tenant = ? AND (? IS NULL OR name = ?))"
            " AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, probe, probe, since, limit),
        )
        return tuple(_failure(row) for row in rows)

    def failure(self, number: int) -> PastFailure | None:
        """Return one failure by its number."""
        rows = self._reader.rows(
            "SELECT failure.id, probe.tenant, probe.name, at, reason, document FROM failure"
            " JOIN probe ON probe.id = failure.probe WHERE failure.id = ?",
            (number,),
        )
        return next((_failure(row) for row in rows), None)

    def changes(self, tenant: str, since: float, *, limit: int) -> tuple[VerdictChange, ...]:
        """Return the last changes of verdicts since a moment, the newest first."""
        rows = self._reader.rows(
            "SELECT probe.name, at, before, reason FROM verdict_change"
            " JOIN probe ON probe.id = verdict_change.probe"
            " WHERE probe.tenant = ? AND at >= ? ORDER BY at DESC LIMIT ?",
            (tenant, since, limit),
        )
        return tuple(
            VerdictChange(probe, at, None if before is None else Reason(before), Reason(reason))
            for probe, at, before, reason in rows
        )

    def token_events(self, tenant: str, *, limit: int) -> tuple[PastTokenEvent, ...]:
        """Return what last happened to a tenant's token, the newest first."""
        rows = self._reader.rows(
            "SELECT tenant, at, kind, fingerprint, cause, problem FROM token_event"
            " WHERE tenant = ? ORDER BY at DESC LIMIT ?",
            (tenant, limit),
        )
        return tuple(
            PastTokenEvent(
                name,
                at,
                TokenEventKind(kind),
                fingerprint,
                None if cause is None else RejectionCause(cause),
                problem,
            )
            for name, at, kind, fingerprint, cause, problem in rows
        )

    def oldest(self) -> float | None:
        """Return since when there is anything, in epoch seconds."""
        row = next(iter(self._reader.rows("SELECT min(slot) FROM slot", ())), (None,))
        return None if row[0] is None else float(row[0])


def _hours(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Tally]]:
    rows = connection.execute(
        "SELECT name, hour, tally FROM probe JOIN hour ON hour.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR, until / HOUR),
    )
    for probe, hour, tally in rows:
        yield probe, hour * HOUR, unpack_tally(tally)


def _packed_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Tally]]:
    rows = connection.execute(
        "SELECT name, hour, minutes FROM probe JOIN hour_detail ON hour_detail.probe = probe.id"
        " WHERE tenant = ? AND hour >= ? AND hour < ?",
        (tenant, since // HOUR, until / HOUR),
    )
    for probe, hour, minutes in rows:
        for number, tally in unpack_minutes(minutes).items():
            at = hour * HOUR + number * MINUTE
            if since <= at < until:
                yield probe, at, tally


def _loose_minutes(
    connection: sqlite3.Connection, tenant: str, since: float, until: float
) -> Iterable[tuple[str, int, Tally]]:
    rows = connection.execute(
        "SELECT name, minute, tally FROM probe JOIN minute ON minute.probe = probe.id"
        " WHERE tenant = ? AND minute >= ? AND minute < ?",
        (tenant, -(-since // MINUTE), until / MINUTE),
    )
    for probe, minute, tally in rows:
        yield probe, minute * MINUTE, unpack_tally(tally)


def _failure(row: tuple[int, str, str, float, str, bytes]) -> PastFailure:
    number, tenant, probe, at, reason, document = row
    return PastFailure(number, tenant, probe, at, Reason(reason), unpack_document(document))
