"""The supplier's status page, as Atlassian Statuspage serves it (`/api/v2/summary.json`). Pure.

What the supplier says of itself is shown beside the verdicts and never changes one. The content is
from another party: counts and texts are bounded, texts are made one line, and a page that shows
them has to escape them. Keys and values are those of Statuspage's public API; unknown values are
kept out of labels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from prober.formatting import one_line, parse_iso_timestamp

SUMMARY_PATH = "/api/v2/summary.json"
MAX_BODY_BYTES = 1024 * 1024
MAX_INCIDENTS = 20
KEPT_SECONDS = 600.0
"""How long incidents count after the page was last read."""
_MAX_COMPONENTS = 20
_MAX_READ = 1000
_MAX_TEXT_CHARACTERS = 200
_MAX_WORD_CHARACTERS = 40
_ENDED = frozenset({"resolved", "postmortem", "completed", "scheduled"})


IMPACTS = ("none", "minor", "major", "critical", "maintenance", "unknown")
"""How much an incident affects, by the supplier's own account; label values."""


@dataclass(frozen=True, slots=True)
class SupplierIncident:
    """An incident that the supplier reports. Texts are bounded, in one line, and not escaped.

    `impact` is one of IMPACTS. `started_at` is in epoch seconds. `url` is an https link, or None.
    """

    id: str
    name: str
    impact: str
    status: str
    started_at: float
    url: str | None
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SupplierStatus:
    """What the status page said last. `problem` says why it cannot be read now.

    `read_at` is when `incidents` were read, None if they never were; in epoch seconds.
    """

    url: str
    read_at: float | None = None
    problem: str | None = None
    incidents: tuple[SupplierIncident, ...] = ()


class StatusPageError(ValueError):
    """A summary is not in the form that Statuspage documents; the message says what is wrong."""


def parse_summary(
    body: bytes, components: Sequence[str], now: float
) -> tuple[SupplierIncident, ...]:
    """Return the open incidents of a summary, the oldest first. Raises StatusPageError.

    With `components`, only incidents that affect one with one of these words in its name, in any
    case, or that name none. `now` replaces a start that is missing or in the future.
    """
    try:
        summary = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise StatusPageError("is not JSON") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("incidents"), list):
        raise StatusPageError("has no list of incidents")
    given = [*summary["incidents"], *_list(summary.get("scheduled_maintenances"))]
    read = (_incident(each, now) for each in islice(given, _MAX_READ) if isinstance(each, dict))
    wanted = [each for each in read if each is not None and _concerns(each, components)]
    return tuple(sorted(wanted, key=lambda each: (each.started_at, each.id))[:MAX_INCIDENTS])


def confirmation(status: SupplierStatus | None) -> str | None:
    """Return a sentence if the supplier confirms an incident now, else None."""
    if status is None or not status.incidents:
        return None
    first = status.incidents[0]
    since = datetime.fromtimestamp(first.started_at, UTC)
    more = f", and {len(status.incidents) - 1} more" if len(status.incidents) > 1 else ""
    return (
        f"supplier confirms since {since:%Y-%m-%d %H:%M} UTC: {first.name} ({first.impact}){more}"
    )


def _incident(given: Mapping[str, Any], now: float) -> SupplierIncident | None:
    """Return an open incident, None if it has ended or not begun."""
    status = _text(given.get("status"), _MAX_WORD_CHARACTERS)
    if status in _ENDED:
        return None
    components = [
        _text(each.get("name"), _MAX_TEXT_CHARACTERS)
        for each in islice(_list(given.get("components")), _MAX_COMPONENTS)
        if isinstance(each, dict)
    ]
    begins = ("started_at", "scheduled_for", "created_at")
    started_at = next((at for key in begins if (at := _time(given.get(key))) is not None), now)
    return SupplierIncident(
        id=_text(given.get("id"), _MAX_WORD_CHARACTERS),
        name=_text(given.get("name"), _MAX_TEXT_CHARACTERS) or "unnamed incident",
        impact=_impact(given.get("impact")),
        status=status,
        started_at=min(started_at, now),
        url=_link(given.get("shortlink")),
        components=tuple(name for name in components if name),
    )


def _concerns(incident: SupplierIncident, components: Sequence[str]) -> bool:
    if not components or not incident.components:
        return True
    words = [word.lower() for word in components]
    return any(word in name.lower() for name in incident.components for word in words)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object, limit_characters: int) -> str:
    return one_line(value, limit_characters) if isinstance(value, str) else ""


def _impact(value: object) -> str:
    return value if isinstance(value, str) and value in IMPACTS else "unknown"


def _time(value: object) -> float | None:
    """Return a time from 1970 on; what is before cannot be shown in each zone, or is no start."""
    at = parse_iso_timestamp(value) if isinstance(value, str) else None
    return None if at is None or at < 0 else at


def _link(value: object) -> str | None:
    """Return a link that a page may show: https only, printable, without spaces."""
    if not isinstance(value, str) or not value.startswith("https://"):
        return None
    is_plain = value.isascii() and value.isprintable() and not set(value) & set(" \"'<>`\\")
    return value if is_plain and len(value) <= _MAX_TEXT_CHARACTERS else None
