"""One incident with all that belongs to it, for its page, its live updates and the API.

Durations are in seconds, times in epoch seconds; what is unknown is null.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from prober.history.annotations import IncidentNote
from prober.history.reader import HistoryReader
from prober.render.documents import (
    FailureSummary,
    IncidentDocument,
    TokenEventRecord,
    VerdictChange,
    incident_document,
)
from prober.stats.alerts import explained_alerts
from prober.stats.incidents import Incident, IncidentId, incident_id
from prober.status_page import PublishedStatus, SupplierAccount, supplier_account
from prober.web.context import WebContext
from prober.web.queries import MAX_EVENTS, MAX_FAILURES, NotFoundError

_LOOKBACK_SECONDS = 3 * 86_400.0
_AROUND_SECONDS = 60.0
_INCIDENT_FAILURES = 50
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ExplainedAlert:
    """An alert rule that the incident can fire; `runbook_url` is null without `web.runbooks`.

    `needs_many` if it fires only where many tenants, or all of a location, fail alike.
    """

    name: str
    runbook_url: str | None
    needs_many: bool


@dataclass(frozen=True, slots=True)
class IncidentDetail:
    """One incident with what happened to its tenant meanwhile, each the oldest first.

    Failures are those of its culprit, without those that are not listed. `supplier` is what the
    supplier's status page said meanwhile, in its own words; null if it was not read.
    """

    incident: IncidentDocument
    verdict_changes: tuple[VerdictChange, ...]
    failures: tuple[FailureSummary, ...]
    token_events: tuple[TokenEventRecord, ...]
    supplier: SupplierAccount | None = None
    alerts: tuple[ExplainedAlert, ...] = ()
    notes: tuple[IncidentNote, ...] = ()


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened at a time: exactly one of the others is given."""

    at: float
    verdict: VerdictChange | None = None
    token: TokenEventRecord | None = None
    supplier: PublishedStatus | None = None


async def incident(site: WebContext, wanted: IncidentId) -> IncidentDetail:
    """Return one incident; raises NotFoundError."""
    found = await _read(site, wanted, _read_detail)
    return with_notes(site, replace(found, alerts=_alerts(site, found.incident)))


async def existing_id(site: WebContext, wanted: IncidentId) -> str:
    """Return the id that an incident has now; raises NotFoundError."""
    return incident_id(await _read(site, wanted, _find))


def with_notes(site: WebContext, detail: IncidentDetail) -> IncidentDetail:
    """Return an incident with its present notes."""
    store = site.annotations
    notes = () if store is None else store.current.of(detail.incident.id)
    return replace(detail, notes=notes)


def timeline(detail: IncidentDetail) -> Sequence[TimelineEntry]:
    """Return what happened, in the order of time."""
    statuses = () if detail.supplier is None else detail.supplier.statuses[:MAX_EVENTS]
    entries = [
        *(TimelineEntry(each.at, verdict=each) for each in detail.verdict_changes),
        *(TimelineEntry(each.at, token=each) for each in detail.token_events),
        *(TimelineEntry(each.since, supplier=each) for each in statuses),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _alerts(site: WebContext, found: IncidentDocument) -> tuple[ExplainedAlert, ...]:
    alerts = explained_alerts(found.culprit, found.reasons, in_maintenance=found.in_maintenance)
    return tuple(
        ExplainedAlert(
            each.name,
            None if site.runbooks is None else f"{site.runbooks}/{each.runbook}/",
            each.needs_many,
        )
        for each in alerts
    )


async def _read(
    site: WebContext,
    wanted: IncidentId,
    read: Callable[[HistoryReader, IncidentId, float], _T | None],
) -> _T:
    """Return what `read` finds in the history; raises NotFoundError if that is None."""
    history, now = site.history, site.now()
    found = None
    if history is not None:
        found = await site.in_thread(lambda: read(history, wanted, now))
    if found is None:
        raise NotFoundError(f"there is no incident '{wanted}', or it was deleted")
    return found


def _find(history: HistoryReader, wanted: IncidentId, now: float) -> Incident | None:
    # From days before: what an id of a shorter list calls the start may be the middle.
    return history.incident(wanted, wanted.at - _LOOKBACK_SECONDS, now)


def _read_detail(history: HistoryReader, wanted: IncidentId, now: float) -> IncidentDetail | None:
    found = _find(history, wanted, now)
    if found is None:
        return None
    since = found.started_at
    ended_at = now if found.ended_at is None else found.ended_at
    until = now if found.ended_at is None else found.ended_at + 1.0
    changes = history.verdict_changes(
        found.tenant, since - _AROUND_SECONDS, until + _AROUND_SECONDS, limit=MAX_EVENTS
    )
    failures = history.failure_summaries(found.tenant, since, until, limit=MAX_FAILURES)
    events = history.token_events(found.tenant, limit=MAX_EVENTS)
    published = history.published_statuses(since, ended_at)
    return IncidentDetail(
        incident_document(found, None, now),
        tuple(reversed(changes)),
        tuple(each for each in failures if each.culprit is found.culprit)[:_INCIDENT_FAILURES],
        tuple(
            each
            for each in reversed(events)
            if since - _AROUND_SECONDS <= each.at <= until + _AROUND_SECONDS
        ),
        supplier_account(published, since, ended_at),
    )
