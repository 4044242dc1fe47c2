"""The open file, to be written by one thread: a batch is saved as a whole or not at all.

What SQLite raises is let out: who owns the thread decides. After an error the file is to be opened
anew, since what is remembered between batches (`_last`, `_recent`, `_going_on`) may be ahead of it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prober.credential import TokenEvent
from prober.history.rows import SpellRow, pack_document, spell_of
from prober.history.schema import FILE_NAME, FORMAT
from prober.history.slowest import Slowest
from prober.model import Result
from prober.outcomes import SkipCause
from prober.sqlite_file import open_to_write
from prober.timeline.packing import pack_minutes, pack_tally, unpack_minutes, unpack_tally
from prober.timeline.slots import FIELDS, Slot, slot_at, slot_of, total, values
from prober.timeline.spells import Spell, follow
from prober.timeline.tally import Run, Tally, added, with_run, with_skip

MINUTE, HOUR = 60, 3600
_WAL_BYTES = 16 * 1024 * 1024
_ADD = ", ".join(f"{name} = {name} + excluded.{name}" for name in FIELDS)
_SLOT = (
    f"INSERT INTO slot VALUES ({', '.join('?' * (len(FIELDS) + 2))})"  # noqa: S608 -- our columns
    f" ON CONFLICT DO UPDATE SET {_ADD}"
)
SPELL_COLUMNS = (
    "probe.tenant, probe.name, reason, rule, evidence, started_at, last_failed_at, ended_at,"
    " failures, in_maintenance"
)

ProbeKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, its whole result if it failed, and the facts about its answer."""

    run: Run
    failure: Result | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A due run that was not started."""

    tenant: str
    probe: str
    at: float
    cause: SkipCause


Entry = Ran | Skipped | TokenEvent


class HistoryFile:
    """See the module; methods block, and raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.connection = connection
        self.identity = _identity(path)
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        rows = connection.execute("SELECT tenant, name, id FROM probe")
        self._ids: dict[ProbeKey, int] = {(tenant, name): id_ for tenant, name, id_ in rows}
        self._last: dict[ProbeKey, str] = {}
        self._recent: dict[int, tuple[int, Tally]] = {}  # the minute that was last written
        self._going_on = dict(self._read_going_on())
        hours = connection.execute("SELECT DISTINCT probe, minute / ? FROM minute", (MINUTE,))
        self._unpacked: set[tuple[int, int]] = set(hours)
        self._slowest = Slowest(connection)

    @classmethod
    def open(cls, directory: Path, on_set_aside: Callable[[Path, str], None]) -> "HistoryFile":
        """Open the file in a directory that exists; raises OSError and sqlite3.Error."""
        path = directory / FILE_NAME
        connection = open_to_write(path, FORMAT, on_set_aside)
        try:
            return cls(connection, path)
        except sqlite3.Error:
            connection.close()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether somebody took the file away, or put another in its place."""
        return _identity(self.path) != self.identity

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def write(self, entries: Sequence[Entry]) -> None:
        """Save entries, all or none."""
        runs = [entry for entry in entries if isinstance(entry, Ran)]
        skips = [entry for entry in entries if isinstance(entry, Skipped)]
        with self.connection:
            self._add_tallies(runs, skips)
            self._add_slots(runs, skips)
            self._slowest.add((ran.run, ran.facts) for ran in runs)
            for ran in runs:
                self._note_change(ran.run)
                self._follow(ran.run)
                if ran.failure is not None:
                    self._keep_failure(ran.run, ran.failure)
            self._add_token_events(e for e in entries if isinstance(e, TokenEvent))

    def end_spells_of_others(self, probes: Collection[ProbeKey]) -> None:
        """End what went on for probes that there are no longer."""
        gone = [key for key in self._going_on if key not in probes]
        with self.connection:
            for key in gone:
                row, spell = self._going_on.pop(key)
                self.connection.execute(
                    "UPDATE spell SET ended_at = ? WHERE id = ?", (spell.last_failed_at, row)
                )

    def pack_hours(self, before: float, most: int) -> int:
        """Pack at most so many hours that were over before a moment; return how many."""
        over = sorted(each for each in self._unpacked if (each[1] + 1) * HOUR <= before)[:most]
        with self.connection:
            for probe, hour in over:
                self._pack_hour(probe, hour)
        self._unpacked.difference_update(over)
        return len(over)

    def _id(self, key: ProbeKey) -> int:
        found = self._ids.get(key)
        if found is None:
            cursor = self.connection.execute("INSERT INTO probe (tenant, name) VALUES (?, ?)", key)
            found = self._ids[key] = int(cursor.lastrowid or 0)
        return found

    def _add_tallies(self, runs: Iterable[Ran], skips: Iterable[Skipped]) -> None:
        fresh: dict[tuple[int, int], Tally] = {}
        for ran in runs:
            key = self._id((ran.run.tenant, ran.run.probe)), int(ran.run.at // MINUTE)
            fresh[key] = with_run(fresh.get(key) or self._known_tally(*key), ran.run)
        for skip in skips:
            key = self._id((skip.tenant, skip.probe)), int(skip.at // MINUTE)
            fresh[key] = with_skip(fresh.get(key) or self._known_tally(*key), skip.cause)
        rows = []
        for (probe, minute), whole in fresh.items():
            self._recent[probe] = minute, whole
            rows.append((probe, minute, pack_tally(whole)))
            self._unpacked.add((probe, minute // MINUTE))
        self.connection.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?, ?)", rows)

    def _known_tally(self, probe: int, minute: int) -> Tally:
        recent = self._recent.get(probe)
        if recent is not None and recent[0] == minute:
            return recent[1]
        found = self.connection.execute(
            "SELECT tally FROM minute WHERE probe = ? AND minute = ?", (probe, minute)
        ).fetchone()
        return unpack_tally(found[0]) if found else Tally()

    def _add_slots(self, runs: Iterable[Ran], skips: Iterable[Skipped]) -> None:
        fresh: dict[tuple[str, int], list[Slot]] = defaultdict(list)
        for ran in runs:
            fresh[(ran.run.tenant, slot_at(ran.run.at))].append(slot_of(ran.run))
        for skip in skips:
            if skip.cause is SkipCause.TOKEN_REJECTED:
                fresh[(skip.tenant, slot_at(skip.at))].append(Slot(held_back=1))
        rows = [(*key, *values(total(slots))) for key, slots in fresh.items()]
        self.connection.executemany(_SLOT, rows)

    def _note_change(self, run: Run) -> None:
        key, reason = (run.tenant, run.probe), run.reason.value
        before = self._last.get(key)
        if before != reason:
            self._last[key] = reason
            self.connection.execute(
                "INSERT INTO verdict_change (probe, at, before, reason) VALUES (?, ?, ?, ?)",
                (self._id(key), run.at, before, reason),
            )

    def _follow(self, run: Run) -> None:
        key = (run.tenant, run.probe)
        row, spell = self._going_on.pop(key, (0, None))
        ended, going_on = follow(spell, run)
        if ended is not None:
            self._update(row, ended)
        if going_on is None:
            return
        if spell is not None and ended is None:
            self._update(row, going_on)
        else:
            row = self._insert(key, going_on)
        self._going_on[key] = (row, going_on)

    def _update(self, row: int, spell: Spell) -> None:
        self.connection.execute(
            "UPDATE spell SET last_failed_at = ?, ended_at = ?, failures = ? WHERE id = ?",
            (spell.last_failed_at, spell.ended_at, spell.failures, row),
        )

    def _insert(self, key: ProbeKey, spell: Spell) -> int:
        cursor = self.connection.execute(
            "INSERT INTO spell (probe, reason, rule, evidence, started_at, last_failed_at,"
            " ended_at, failures, in_maintenance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._id(key),
                spell.reason.value,
                spell.rule,
                spell.evidence,
                spell.started_at,
                spell.last_failed_at,
                spell.ended_at,
                spell.failures,
                int(spell.in_maintenance),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _keep_failure(self, run: Run, result: Result) -> None:
        row = (self._id((run.tenant, run.probe)), run.at, run.reason.value, pack_document(result))
        self.connection.execute(
            "INSERT INTO failure (probe, at, reason, document) VALUES (?, ?, ?, ?)", row
        )

    def _add_token_events(self, events: Iterable[TokenEvent]) -> None:
        rows = [
            (
                event.status.tenant,
                event.at,
                event.kind.value,
                event.status.fingerprint,
                None if event.status.cause is None else event.status.cause.value,
                event.status.problem,
            )
            for event in events
        ]
        self.connection.executemany(
            "INSERT INTO token_event (tenant, at, kind, fingerprint, cause, problem)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _pack_hour(self, probe: int, hour: int) -> None:
        span = (probe, hour * MINUTE, (hour + 1) * MINUTE)
        execute = self.connection.execute
        rows = execute(
            "SELECT minute, tally FROM minute WHERE probe = ? AND minute >= ? AND minute < ?", span
        )
        minutes = {minute % MINUTE: unpack_tally(tally) for minute, tally in rows}
        packed = execute(
            "SELECT minutes FROM hour_detail WHERE probe = ? AND hour = ?", (probe, hour)
        ).fetchone()
        for number, tally in unpack_minutes(packed[0]).items() if packed else ():
            minutes[number] = added((tally, minutes.get(number, Tally())))
        whole = pack_tally(added(minutes.values()))
        execute("INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", (probe, hour, whole))
        execute(
            "INSERT OR REPLACE INTO hour_detail VALUES (?, ?, ?)",
            (probe, hour, pack_minutes(minutes)),
        )
        self._recent.pop(probe, None)
        execute("DELETE FROM minute WHERE probe = ? AND minute >= ? AND minute < ?", span)

    def _read_going_on(self) -> Iterable[tuple[ProbeKey, tuple[int, Spell]]]:
        rows: Iterable[tuple[int, *SpellRow]] = self.connection.execute(
            f"SELECT spell.id, {SPELL_COLUMNS}"  # noqa: S608 -- our columns
            " FROM spell JOIN probe ON probe.id = spell.probe WHERE ended_at IS NULL"
        )
        for row, *columns in rows:
            spell = spell_of(tuple(columns))  # type: ignore[arg-type]
            yield (spell.tenant, spell.probe), (row, spell)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
