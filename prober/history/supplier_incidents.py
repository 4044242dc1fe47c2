"""The supplier's incidents that were seen, in a file of the state directory; for reports.

A status page shows only what is open now, so the daemon records what it read. The file is small:
it has the last incidents alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from pathlib import Path

from pydantic import TypeAdapter

from prober.history.state_file import read_state_file, write_state_file
from prober.status_page import SupplierIncident

FILE_NAME = "supplier-incidents.json"
MAX_RECORDS = 200
_MAX_FILE_BYTES = 1024 * 1024
_SEPARATOR = ", "
_MAX_TIMESTAMP = 253_402_214_400.0  # a day before the year 10000, in each time zone


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedIncident(SupplierIncident):
    """An incident as it was seen last.

    `ended_at` is when it was no longer on the status page, None while it is; in epoch seconds.
    """

    ended_at: float | None = None


_RECORDS = TypeAdapter(tuple[RecordedIncident, ...])


def merge(
    records: Sequence[RecordedIncident], open_now: Iterable[SupplierIncident], now: float
) -> tuple[RecordedIncident, ...]:
    """Return the records after a read of the status page at `now`, the oldest first."""
    present = {incident.id: incident for incident in open_now}
    kept = [
        record if record.ended_at is not None else replace(record, ended_at=now)
        for record in records
        if record.id not in present
    ]
    seen = [
        RecordedIncident(
            **{each.name: getattr(incident, each.name) for each in fields(SupplierIncident)}
        )
        for incident in present.values()
    ]
    merged = sorted([*kept, *seen], key=lambda record: (record.started_at, record.id))
    return tuple(merged[-MAX_RECORDS:])


def overlapping(
    records: Iterable[RecordedIncident], since: float, until: float
) -> tuple[RecordedIncident, ...]:
    """Return the incidents that were open at some time in a period."""
    return tuple(
        record
        for record in records
        if record.started_at < until and (record.ended_at is None or record.ended_at > since)
    )


def read_records(directory: Path) -> tuple[RecordedIncident, ...]:
    """Return the recorded incidents; none if the file is missing or damaged. Raises OSError.

    A record with an impossible time is left out: a report could not show it.
    """
    records = read_state_file(directory / FILE_NAME, _RECORDS, _MAX_FILE_BYTES) or ()
    return tuple(filter(_has_possible_times, records))


def _has_possible_times(record: RecordedIncident) -> bool:
    ends_at = record.started_at if record.ended_at is None else record.ended_at
    return 0 <= record.started_at <= _MAX_TIMESTAMP and 0 <= ends_at <= _MAX_TIMESTAMP


def write_records(directory: Path, records: Sequence[RecordedIncident]) -> None:
    """Write the records, whole or not at all. Raises OSError.

    The oldest are left out if the file would be too long to be read again.
    """
    written = [json.dumps(asdict(record)) for record in records]
    sizes = accumulate(len(each) + len(_SEPARATOR) for each in reversed(written))
    kept = sum(size <= _MAX_FILE_BYTES - len(_SEPARATOR) for size in sizes)
    content = _SEPARATOR.join(written[len(written) - kept :])
    write_state_file(directory / FILE_NAME, f"[{content}]".encode())
