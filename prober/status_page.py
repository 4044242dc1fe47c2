"""The supplier's status page, as Atlassian Statuspage serves it (`/api/v2/summary.json`). Pure.

What the supplier says of itself is shown beside the verdicts and never changes one. The content is
from another party: counts and texts are bounded, texts are made one line, and a page that shows
them has to escape them. Keys and values are those of Statuspage's public API; unknown values are
kept out of labels.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from prober.formatting import format_exact_duration, one_line, parse_iso_timestamp
from prober.redaction import Redactor

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
_LINKED_ID = re.compile("[A-Za-z0-9_-]{1,40}")
_TOKEN_SHAPED = Redactor((), token_shaped=True)
READ_VALID_SECONDS = 150.0
"""For how long a read of the page is taken to hold: it is read once a minute."""


IMPACTS = ("none", "minor", "major", "critical", "maintenance", "unknown")
"""How much an incident affects, by the supplier's own account; label values."""


@dataclass(frozen=True, slots=True)
class SupplierIncident:
    """An incident that the supplier reports. Texts are bounded, in one line, and not escaped.

    `impact` is one of IMPACTS. `started_at` is in epoch seconds. `url` is the incident's page on
    the configured status page, or None: links to anywhere else are not taken over.
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


@dataclass(frozen=True, slots=True)
class PublishedStatus:
    """What the status page at `url` said from `since` to `until`, the same each time it was read.

    `problem` says why it could not be read; then there are no incidents. Times are in epoch
    seconds. A single read has the same `since` and `until`.
    """

    since: float
    until: float
    url: str
    problem: str | None = None
    incidents: tuple[SupplierIncident, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedIncident(SupplierIncident):
    """An incident as the supplier published it last.

    `seen_at` is when it was first read, `ended_at` when it was no longer on the page, None if it
    still was when the page was last read; in epoch seconds.
    """

    seen_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class SupplierAccount:
    """What the supplier published during a period, which lasts `seconds`.

    The page could be read for `known_seconds` of it. `statuses` are in the order of time and cut to
    the period. `published_after_seconds` is how long after its start the first incident was seen,
    0 if it was there before, None without any. `finding` says all that in one sentence.
    """

    seconds: float
    known_seconds: float
    published_after_seconds: float | None
    finding: str
    statuses: tuple[PublishedStatus, ...]
    incidents: tuple[PublishedIncident, ...]

    @property
    def is_known_whole(self) -> bool:
        """Whether the page could be read all the time."""
        return not describe_coverage(self.seconds, self.known_seconds)


def parse_summary(
    body: bytes, components: Sequence[str], now: float, page_url: str
) -> tuple[SupplierIncident, ...]:
    """Return the open incidents of a summary, the oldest first. Raises StatusPageError.

    With `components`, only incidents that affect one with one of these words in its name, in any
    case, or that name none. `now` replaces a start that is missing or in the future. `page_url` is
    the address of the status page, to which incidents link.
    """
    try:
        summary = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise StatusPageError("is not JSON") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("incidents"), list):
        raise StatusPageError("has no list of incidents")
    given = [*summary["incidents"], *_list(summary.get("scheduled_maintenances"))]
    read = (
        _incident(each, now, page_url)
        for each in islice(given, _MAX_READ)
        if isinstance(each, dict)
    )
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


def next_published(last: PublishedStatus | None, read: PublishedStatus) -> PublishedStatus:
    """Return `last` up to a new read that says the same soon after it, else the new read.

    What lies between two reads that are far apart is unknown, whatever they say.
    """
    is_same = last is not None and _content(last) == _content(read)
    if last is None or not is_same or not 0 <= read.since - last.until <= READ_VALID_SECONDS:
        return read
    return replace(last, until=read.until)


def supplier_account(
    published: Iterable[PublishedStatus], since: float, until: float
) -> SupplierAccount | None:
    """Return what was published from `since` to `until`; None if the page was never read then.

    `published` may reach beyond that.
    """
    overlapping = _overlapping(published, since, until)
    if not overlapping:
        return None
    # An incident that was there before was first seen then, and not when this period began.
    incidents = _published_incidents([each for each in overlapping if each.problem is None])
    statuses = tuple(
        replace(each, since=max(each.since, since), until=min(each.until, until))
        for each in overlapping
    )
    readable = [each for each in statuses if each.problem is None]
    known_seconds = sum(each.until - each.since for each in readable)
    seconds = until - since
    if readable:
        finding = _finding(seconds, known_seconds, incidents, since)
    else:
        finding = "The supplier's status page could not be read during this time."
    after = None if not incidents else max(0.0, incidents[0].seen_at - since)
    return SupplierAccount(seconds, known_seconds, after, finding, statuses, incidents)


def _overlapping(
    published: Iterable[PublishedStatus], since: float, until: float
) -> list[PublishedStatus]:
    """Return the statuses of a period, each up to the next read, or as long as a read is valid."""
    ordered = sorted(published, key=lambda each: each.since)  # the clock may have been set back
    found = []
    for at, each in enumerate(ordered):
        next_since = ordered[at + 1].since if at + 1 < len(ordered) else math.inf
        end = min(next_since, each.until + READ_VALID_SECONDS)
        if each.since <= until and end > since:
            found.append(replace(each, until=end))
    return found


def _published_incidents(readable: Sequence[PublishedStatus]) -> tuple[PublishedIncident, ...]:
    """Return the incidents of some statuses, in the order in which they were first seen."""
    found: dict[str, PublishedIncident] = {}
    for status in readable:
        present = {each.id or each.name: each for each in status.incidents}
        for key, known in found.items():
            if key not in present and known.ended_at is None:
                found[key] = replace(known, ended_at=status.since)
        for key, each in present.items():
            values = {field.name: getattr(each, field.name) for field in fields(SupplierIncident)}
            seen_at = found[key].seen_at if key in found else status.since
            found[key] = PublishedIncident(**values, seen_at=seen_at)
    return tuple(found.values())


def describe_coverage(seconds: float, known_seconds: float) -> str:
    """Return how much of a time is known, as the end of a sentence; "" if all is."""
    if seconds - known_seconds <= 1:
        return ""
    total, known = (format_exact_duration(each) for each in (seconds, known_seconds))
    return f"; its status page could be read for {known} of {total}"


def _finding(
    seconds: float, known_seconds: float, incidents: Sequence[PublishedIncident], since: float
) -> str:
    coverage = describe_coverage(seconds, known_seconds)
    if not incidents:
        return f"The supplier published no incident during this time{coverage}."
    first = incidents[0]
    after = first.seen_at - since
    when = (
        f"{format_exact_duration(after)} after this began"
        if after >= 1
        else "already when this began"
    )
    more = f", and {len(incidents) - 1} more" if len(incidents) > 1 else ""
    what = f"{first.name} (impact {first.impact}){more}"
    return f"The supplier's status page had an incident {when}: {what}{coverage}."


def _content(status: PublishedStatus) -> tuple[object, ...]:
    """Return what must be equal: not a start, which is that of the read where it is missing."""
    incidents = tuple(
        (each.id, each.name, each.impact, each.status, each.components) for each in status.incidents
    )
    return status.url, status.problem, incidents


def _incident(given: Mapping[str, Any], now: float, page_url: str) -> SupplierIncident | None:
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
    incident_id = _text(given.get("id"), _MAX_WORD_CHARACTERS)
    return SupplierIncident(
        id=incident_id,
        name=_text(given.get("name"), _MAX_TEXT_CHARACTERS) or "unnamed incident",
        impact=_impact(given.get("impact")),
        status=status,
        started_at=min(started_at, now),
        url=_link(page_url, incident_id),
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
    return one_line(value, limit_characters, _TOKEN_SHAPED) if isinstance(value, str) else ""


def _impact(value: object) -> str:
    return value if isinstance(value, str) and value in IMPACTS else "unknown"


def _time(value: object) -> float | None:
    """Return a time from 1970 on; what is before cannot be shown in each zone, or is no start."""
    at = parse_iso_timestamp(value) if isinstance(value, str) else None
    return None if at is None or at < 0 else at


def _link(page_url: str, incident_id: str) -> str | None:
    """Return the page of an incident, which Statuspage has at `/incidents/ID`."""
    return f"{page_url}/incidents/{incident_id}" if _LINKED_ID.fullmatch(incident_id) else None
