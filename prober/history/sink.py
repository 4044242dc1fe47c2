"""Records results in the history: a bounded queue, and one thread that writes it to the file.

Probing never waits for the disk: when the queue is full, the oldest entries are dropped and
counted. A file that cannot be written is tried again, with everything that it has missed.
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
from prober.status_page import PublishedStatus

BATCH_SECONDS = 0.8  # a crash loses a second at most
"""What happens within this time is written in one transaction."""
_TIDY_SECONDS = 10.0  # how often to look for what is old, where nothing is to be written
QUEUE_ENTRIES = 20_000
_BATCH_ENTRIES = 5000
_RETRY_SECONDS = 2.0
# A whole hour of every probe ends at once: its hours are packed over many steps.
_HOURS_PER_STEP = 25
_OPEN_HOUR_SECONDS = 300.0  # by then no run that started in the hour can still be in flight


@dataclass(frozen=True, slots=True)
class HistoryCallbacks:
    """Called in the history's own thread.

    `on_written(epoch seconds, size of the file in bytes)` after each step; `on_dropped(reason,
    entries)`; `on_error(message)` each time that the file cannot be used; `on_quarantine(new
    path, why)` for a file that is corrupt.
    """

    on_written: Callable[[float, int], None]
    on_dropped: Callable[[HistoryDropReason, int], None]
    on_error: Callable[[str], None]
    on_quarantine: Callable[[Path, str], None]


_BROKEN_SCHEMA = ("no such table", "no such column", "has no column named", "malformed database")


class HistorySink(EventSink):
    """Queues results, skipped runs and token events for the history.

    `probes` are those that are configured; `now` returns epoch seconds.
    """

    def __init__(
        self,
        directory: Path,
        probes: Collection[ProbeKey],
        retention: Retention,
        callbacks: HistoryCallbacks,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._probes = probes
        # The probes whose absence was last checked; None after the file was opened.
        self._streaks_checked_for: Collection[ProbeKey] | None = None
        self._retention = retention
        self._callbacks = callbacks
        self._now = now
        # Only `append`, `popleft` and `extendleft` are used: they are atomic, so that the event
        # loop never waits for a lock that the writing thread holds.
        self._queue: deque[Entry] = deque()
        self._file: HistoryWriter | None = None
        self._stopping = threading.Event()
        self._has_work = threading.Event()
        # A daemon thread: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._has_work.set()
        self._thread.start()

    def close(self, timeout_seconds: float) -> None:
        """Write what is queued and close the file, for at most so long; count what is left."""
        self._stopping.set()
        self._has_work.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive() or self._queue:
            self._callbacks.on_dropped(HistoryDropReason.QUEUE_FULL, len(self._queue))

    def apply(self, probes: Collection[ProbeKey], retention_seconds: float, max_bytes: int) -> None:
        """Apply a new configuration; failure streaks of probes that are gone are ended."""
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
                result.verdict.checks or (),
            )
        )

    def on_skip(self, skip: SkippedRun) -> None:
        """Queue a skipped run."""
        self._add(skip)

    def on_token_event(self, event: TokenEvent) -> None:
        """Queue a token event."""
        self._add(event)

    def on_published_status(self, read: PublishedStatus) -> None:
        """Queue a read of the supplier's status page."""
        self._add(read)

    def _add(self, entry: Entry) -> None:
        if len(self._queue) >= QUEUE_ENTRIES:
            self._queue.popleft()
            self._callbacks.on_dropped(HistoryDropReason.QUEUE_FULL, 1)
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
        """Write a batch and do a step of maintenance; return whether the file could be used."""
        batch = self._take_batch()
        try:
            file = self._open_file()
            file.write(batch)
            batch = []  # saved: an error of the maintenance must not put it back
            self._maintain(file)
        except (OSError, sqlite3.OperationalError) as error:  # full, slow, gone: try again
            self._put_back(batch)
            self._on_error(error)
            return False
        except Exception as error:  # noqa: BLE001 -- a bad batch must not stop the following ones
            self._callbacks.on_dropped(HistoryDropReason.INTERNAL_ERROR, len(batch))
            self._on_error(error)
            return False
        return True

    def _maintain(self, file: HistoryWriter) -> None:
        now = self._now()
        if self._streaks_checked_for is not self._probes:
            self._streaks_checked_for = self._probes
            file.end_streaks_of_other_probes(self._probes)
        file.pack_hours(now - _OPEN_HOUR_SECONDS, _HOURS_PER_STEP)
        self._retention.enforce(file, now)
        self._callbacks.on_written(now, size_bytes(file.connection))

    def _open_file(self) -> HistoryWriter:
        # SQLite would go on writing into a file that has no name any more.
        if self._file is not None and self._file.is_lost:
            self._callbacks.on_dropped(HistoryDropReason.FILE_LOST, 1)
            self._callbacks.on_error("the file was removed or replaced")
            self._discard_file()
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = HistoryWriter.open(self._directory, self._callbacks.on_quarantine)
            self._streaks_checked_for = None
        return self._file

    def _on_error(self, error: Exception) -> None:
        # What the writer caches may be ahead of the file after an error: it is opened again.
        self._discard_file()
        # Of exactly this class, and none of its subclasses, are SQLITE_CORRUPT and SQLITE_NOTADB. A
        # missing table or column does not come back either.
        is_broken = type(error) is sqlite3.DatabaseError or any(
            text in str(error) for text in _BROKEN_SCHEMA
        )
        if is_broken:
            self._callbacks.on_dropped(HistoryDropReason.FILE_LOST, 1)
            new_path = quarantine(self._directory / FILE_NAME)
            self._callbacks.on_quarantine(new_path, f"it is corrupt: {error}")
        self._callbacks.on_error(getattr(error, "strerror", None) or str(error))

    def _discard_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _take_batch(self) -> list[Entry]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_ENTRIES))]

    def _put_back(self, batch: list[Entry]) -> None:
        room = max(0, QUEUE_ENTRIES - len(self._queue))
        dropped = max(0, len(batch) - room)
        if dropped:
            self._callbacks.on_dropped(HistoryDropReason.QUEUE_FULL, dropped)
        self._queue.extendleft(reversed(batch[dropped:]))
