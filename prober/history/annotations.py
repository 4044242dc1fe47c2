"""What people add to the history: notes on incidents, and maintenance that they start.

They are in a small file of the state directory, beside the history: they outlive a restart, and
reports read them. Times are in epoch seconds.
"""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

FILE_NAME = "annotations.json"
MAX_NOTES = 1000
MAX_NOTE_CHARACTERS = 2000
_MAX_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class IncidentNote:
    """A note on an incident (by its id), or its acknowledgement; the text may be empty then."""

    incident: str
    at: float
    author: str
    text: str
    acknowledges: bool = False


@dataclass(frozen=True, slots=True)
class StartedMaintenance:
    """Maintenance of a tenant that somebody started."""

    tenant: str
    started_at: float
    ends_at: float
    author: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """All notes, the oldest first, and the last maintenance that was started of each tenant."""

    notes: tuple[IncidentNote, ...] = ()
    maintenance: tuple[StartedMaintenance, ...] = ()

    def with_note(self, note: IncidentNote) -> "Annotations":
        """Return this with one more note; of too many, the oldest are left out."""
        return replace(self, notes=(*self.notes, note)[-MAX_NOTES:])

    def with_maintenance(self, started: StartedMaintenance) -> "Annotations":
        """Return this with other maintenance of one tenant."""
        others = (each for each in self.maintenance if each.tenant != started.tenant)
        return replace(self, maintenance=(*others, started))

    def of(self, incident: str) -> tuple[IncidentNote, ...]:
        """Return the notes on an incident."""
        return tuple(note for note in self.notes if note.incident == incident)


_ADAPTER = TypeAdapter(Annotations)

OnDamaged = Callable[[Path, str], None]
"""Called with a file that cannot be used, and why."""


def read_annotations(directory: Path, on_damaged: OnDamaged | None = None) -> Annotations:
    """Return what the file has; nothing if it is missing or cannot be used. Raises OSError."""
    file = directory / FILE_NAME
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Annotations()
    with os.fdopen(descriptor, "rb", buffering=0) as opened:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = opened.read(_MAX_FILE_BYTES + 1) if is_regular else b""
    if not is_regular:
        reason = "it is not a regular file"
    elif len(content) > _MAX_FILE_BYTES:
        reason = f"it is longer than {_MAX_FILE_BYTES} bytes"
    else:
        try:
            return _ADAPTER.validate_json(content)
        except ValidationError as error:
            reason = f"it is corrupt: {error.errors(include_url=False)[0]['msg']}"
    if on_damaged is not None:
        on_damaged(file, reason)
    return Annotations()


def write_annotations(directory: Path, annotations: Annotations) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / FILE_NAME
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        # Not escaped: a note of rare characters would take three times as much room as it may.
        opened.write(json.dumps(asdict(annotations), ensure_ascii=False).encode())
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)


class AnnotationStore:
    """The annotations of a running daemon; changes are written before they are known.

    A file that cannot be used is passed to `on_damaged`, in a thread. One that could not be read is
    read again before the first change: a change never replaces what was not read.
    """

    def __init__(self, directory: Path, on_damaged: OnDamaged | None = None) -> None:
        self._directory = directory
        self._on_damaged = on_damaged
        self._lock = asyncio.Lock()
        self._is_loaded = False
        self.current = Annotations()

    async def load(self) -> Annotations:
        """Read the file. Raises OSError."""
        self.current = await asyncio.to_thread(read_annotations, self._directory, self._on_damaged)
        self._is_loaded = True
        return self.current

    async def add_note(self, note: IncidentNote) -> None:
        """Add a note. Raises OSError."""
        async with self._lock:
            await self._write((await self._read()).with_note(note))

    async def set_maintenance(self, started: StartedMaintenance) -> None:
        """Set the maintenance of a tenant. Raises OSError."""
        async with self._lock:
            await self._write((await self._read()).with_maintenance(started))

    async def _read(self) -> Annotations:
        return self.current if self._is_loaded else await self.load()

    async def _write(self, annotations: Annotations) -> None:
        await asyncio.to_thread(write_annotations, self._directory, annotations)
        self.current = annotations
