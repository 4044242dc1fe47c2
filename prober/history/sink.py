"""The recorder that remembers: a bounded queue, and one thread that empties it into the file.

Probing never waits for it: what does not fit into the queue is let go and counted, and a file that
cannot be written is tried again, with what it has missed, until the queue is full.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from prober.history.retention import Retention, size_bytes
from prober.history.schema import FILE_NAME
from prober.history.writer import Entry, HistoryWriter, ProbeKey, RunEntry
from prober.models import ProbeResult, SkippedRun, TokenEvent, without_large_body
from prober.outcomes import HistoryDropReason
from prober.sinks import EventSink
from prober.sqlite import quarantine
from prober.stats.aggregates import summarize

BATCH_SECONDS = 0.8  # a crash loses a second at most
"""What happens within this time is written in one transaction."""
_TIDY_SECONDS = 10.0  # how often to look for what is old, where nothing is to be written
QUEUE_ENTRIES = 20_000
_BATCH_ENTRIES = 5000
_RETRY_SECONDS = 2.0
_HOURS_PER_STEP = 25
_OPEN_HOUR_SECONDS = 300.0  # an hour is packed when no run of it can still be under way


@dataclass(frozen=True, slots=True)
class HistoryCallbacks:
    """Who hears of it, in the history's own thread.

    `written(epoch seconds, file's bytes)`; `lost(why, how many)`; `trouble(what was said)` for
    each time that the file could not be used; `set_aside(new name, why)`.
    """

    on_written: Callable[[float, int], None]
    on_dropped: Callable[[HistoryDropReason, int], None]
    on_error: Callable[[str], None]
    on_quarantine: Callable[[Path, str], None]


_BROKEN_SCHEMA = ("no such table", "no such column", "has no column named", "malformed database")


class HistorySink(EventSink):
    """A recorder. `probes` are those that there are; `now` tells epoch seconds."""

    def __init__(
        self,
        directory: Path,
        probes: Collection[ProbeKey],
        retention: Retention,
        listeners: HistoryCallbacks,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._probes = probes
        self._swept_of: Collection[ProbeKey] | None = None
        self._retention = retention
        self._listeners = listeners
        self._now = now
        self._queue: deque[Entry] = deque()
        self._file: HistoryWriter | None = None
        self._stopping = threading.Event()
        self._has_work = threading.Event()
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._has_work.set()
        self._thread.start()

    def close(self, timeout_seconds: float) -> None:
        """Write what there is and close the file; a disk that hangs is not waited for longer."""
        self._stopping.set()
        self._has_work.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive() or self._queue:
            self._listeners.on_dropped(HistoryDropReason.QUEUE_FULL, len(self._queue))

    def apply(self, probes: Collection[ProbeKey], retention_seconds: float, max_bytes: int) -> None:
        """Take over settings; what went on for probes that are gone is ended."""
        self._probes = probes
        self._retention.limit(retention_seconds, max_bytes)
        self._has_work.set()

    def on_result(self, result: ProbeResult) -> None:
        """Queue a result."""
        failed = not result.verdict.succeeded
        self._add(
            RunEntry(
                summarize(result),
                without_large_body(result) if failed else None,
                result.verdict.facts,
            )
        )

    def on_skip(self, skip: SkippedRun) -> None:
        """Queue a skipped run."""
        self._add(skip)

    def on_token_event(self, event: TokenEvent) -> None:
        """Queue a token event."""
        self._add(event)

    def _add(self, entry: Entry) -> None:
        if len(self._queue) >= QUEUE_ENTRIES:
            self._queue.popleft()
            self._listeners.on_dropped(HistoryDropReason.QUEUE_FULL, 1)
        self._queue.append(entry)
        if not self._has_work.is_set():
            self._has_work.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            if self._has_work.wait(_TIDY_SECONDS) and self._stopping.wait(BATCH_SECONDS):
                break
            self._has_work.clear()
            if not self._step():
                self._has_work.set()
                self._stopping.wait(_RETRY_SECONDS)
            elif self._queue:  # a batch is bounded
                self._has_work.set()
        while self._queue and self._step():
            pass
        self._discard_file()

    def _step(self) -> bool:
        """Write a batch and tidy a little; tell whether the file could be used."""
        batch = self._take_batch()
        try:
            file = self._open_file()
            file.write(batch)
            batch = []
            self._maintain(file)
        except (OSError, sqlite3.OperationalError) as error:  # full, slow, gone: try again
            self._put_back(batch)
            self._on_error(error)
            return False
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next batch gets its chance
            self._listeners.on_dropped(HistoryDropReason.INTERNAL_ERROR, len(batch))
            self._on_error(error)
            return False
        return True

    def _maintain(self, file: HistoryWriter) -> None:
        now = self._now()
        if self._swept_of is not self._probes:
            self._swept_of = self._probes
            file.end_streaks_of_other_probes(self._swept_of)
        file.pack_hours(now - _OPEN_HOUR_SECONDS, _HOURS_PER_STEP)
        self._retention.enforce(file, now)
        self._listeners.on_written(now, size_bytes(file.connection))

    def _open_file(self) -> HistoryWriter:
        if self._file is not None and self._file.is_lost:
            self._listeners.on_dropped(HistoryDropReason.FILE_LOST, 1)
            self._listeners.on_error("somebody removed or replaced the file")
            self._discard_file()
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = HistoryWriter.open(self._directory, self._listeners.on_quarantine)
            self._swept_of = None
        return self._file

    def _on_error(self, error: Exception) -> None:
        self._discard_file()
        # None of its kinds: the file itself is broken. A table that is not there never comes back.
        is_broken = type(error) is sqlite3.DatabaseError or any(
            sign in str(error) for sign in _BROKEN_SCHEMA
        )
        if is_broken:
            self._listeners.on_dropped(HistoryDropReason.FILE_LOST, 1)
            aside = quarantine(self._directory / FILE_NAME)
            self._listeners.on_quarantine(aside, f"it is corrupt: {error}")
        self._listeners.on_error(getattr(error, "strerror", None) or str(error))

    def _discard_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _take_batch(self) -> list[Entry]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_ENTRIES))]

    def _put_back(self, batch: list[Entry]) -> None:
        room = max(0, QUEUE_ENTRIES - len(self._queue))
        lost = max(0, len(batch) - room)
        if lost:
            self._listeners.on_dropped(HistoryDropReason.QUEUE_FULL, lost)
        self._queue.extendleft(reversed(batch[lost:]))
