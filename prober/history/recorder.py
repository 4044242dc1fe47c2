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

from prober.credential import TokenEvent
from prober.history.file import Entry, HistoryFile, ProbeKey, Ran, Skipped
from prober.history.retention import Retention, size_bytes
from prober.history.schema import FILE_NAME
from prober.model import Result
from prober.outcomes import HistoryLoss, SkipCause
from prober.sqlite_file import set_aside
from prober.timeline.light import light
from prober.timeline.tally import run_of

BATCH_SECONDS = 2.0
"""What happens within this time is written in one transaction."""
_TIDY_SECONDS = 30.0  # how often to look for what is old, where nothing is to be written
QUEUE_ENTRIES = 20_000
_BATCH_ENTRIES = 5000
_RETRY_SECONDS = 2.0
_HOURS_AT_A_TIME = 25
_STILL_OPEN_SECONDS = 300.0  # an hour is packed when no run of it can still be under way


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of it, in the history's own thread.

    `written(epoch seconds, file's bytes)`; `lost(why, how many)`; `trouble(what was said)` for
    each time that the file could not be used; `set_aside(new name, why)`.
    """

    written: Callable[[float, int], None]
    lost: Callable[[HistoryLoss, int], None]
    trouble: Callable[[str], None]
    set_aside: Callable[[Path, str], None]


class History:
    """A recorder. `probes` are those that there are; `now` tells epoch seconds."""

    def __init__(
        self,
        directory: Path,
        probes: Collection[ProbeKey],
        retention: Retention,
        listeners: Listeners,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._probes = probes
        self._swept_of: Collection[ProbeKey] | None = None
        self._retention = retention
        self._listeners = listeners
        self._now = now
        self._queue: deque[Entry] = deque()
        self._file: HistoryFile | None = None
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
            self._listeners.lost(HistoryLoss.QUEUE_FULL, len(self._queue))

    def apply(self, probes: Collection[ProbeKey], retention_seconds: float, max_bytes: int) -> None:
        """Take over settings; what went on for probes that are gone is ended."""
        self._probes = probes
        self._retention.limit(retention_seconds, max_bytes)

    def record(self, result: Result) -> None:
        """See `Recorder`."""
        failed = not result.verdict.succeeded
        self._add(Ran(run_of(result), light(result) if failed else None, result.verdict.facts))

    def skipped(self, tenant: str, probe: str, cause: SkipCause, at: float) -> None:
        """Take note of a due run that was not started."""
        self._add(Skipped(tenant, probe, at, cause))

    def token_event(self, event: TokenEvent) -> None:
        """Take note of what happened to a token."""
        self._add(event)

    def _add(self, entry: Entry) -> None:
        if len(self._queue) >= QUEUE_ENTRIES:
            self._queue.popleft()
            self._listeners.lost(HistoryLoss.QUEUE_FULL, 1)
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
        while self._queue and self._step():
            pass
        self._give_up_file()

    def _step(self) -> bool:
        """Write a batch and tidy a little; tell whether the file could be used."""
        batch = self._take()
        try:
            file = self._opened()
            file.write(batch)
            batch = []
            self._tidy(file)
        except (OSError, sqlite3.OperationalError) as error:  # full, slow, gone: try again
            self._put_back(batch)
            self._on_trouble(error)
            return False
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next batch gets its chance
            self._listeners.lost(HistoryLoss.INTERNAL_ERROR, len(batch))
            self._on_trouble(error)
            return False
        return True

    def _tidy(self, file: HistoryFile) -> None:
        now = self._now()
        if self._swept_of is not self._probes:
            self._swept_of = self._probes
            file.end_spells_of_others(self._swept_of)
        file.pack_hours(now - _STILL_OPEN_SECONDS, _HOURS_AT_A_TIME)
        self._retention.enforce(file, now)
        self._listeners.written(now, size_bytes(file.connection))

    def _opened(self) -> HistoryFile:
        if self._file is not None and self._file.is_lost:
            self._listeners.lost(HistoryLoss.FILE_LOST, 1)
            self._listeners.trouble("somebody removed or replaced the file")
            self._give_up_file()
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = HistoryFile.open(self._directory, self._listeners.set_aside)
            self._swept_of = None
        return self._file

    def _on_trouble(self, error: Exception) -> None:
        self._give_up_file()
        if type(error) is sqlite3.DatabaseError:  # none of its kinds: the file itself is broken
            self._listeners.lost(HistoryLoss.FILE_LOST, 1)
            aside = set_aside(self._directory / FILE_NAME)
            self._listeners.set_aside(aside, f"it is corrupt: {error}")
        self._listeners.trouble(getattr(error, "strerror", None) or str(error))

    def _give_up_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _take(self) -> list[Entry]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_ENTRIES))]

    def _put_back(self, batch: list[Entry]) -> None:
        room = max(0, QUEUE_ENTRIES - len(self._queue))
        lost = max(0, len(batch) - room)
        if lost:
            self._listeners.lost(HistoryLoss.QUEUE_FULL, lost)
        self._queue.extendleft(reversed(batch[lost:]))
