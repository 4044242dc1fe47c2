"""Which single calls a report shows, and what it tells of each. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prober.formatting import one_line
from prober.history.reader import FailureSummary, SlowRequestRow
from prober.outcomes import CLASSIFICATION, Culprit, Endpoint
from prober.render.documents import rule_text
from prober.report.models import FailedRequest, ReportedIncident, SlowRequest
from prober.stats.incidents import FailureStreak

MOST_FAILED, MOST_SLOW = 40, 20
MOST_ALIKE, MOST_OF_OTHERS = 3, 8
_HOUR_SECONDS = 3600
CULPRIT_PRIORITY = (
    Culprit.PLATFORM,
    Culprit.UNDECIDED,
    Culprit.REQUEST,
    Culprit.TENANT,
    Culprit.CREDENTIAL,
    Culprit.NETWORK,
    Culprit.PROBER,
)
_IDS = ("x_correlation_id", "x_uipath_correlation_id", "x_request_id", "cf_ray", "request_context")
_MOST_CHARACTERS = 500


def outside_maintenance(
    heads: Iterable[FailureSummary], spells: Iterable[FailureStreak]
) -> tuple[FailureSummary, ...]:
    """Return the failures that were not in maintenance."""
    planned = [spell for spell in spells if spell.in_maintenance]
    return tuple(head for head in heads if not any(_is_of(head, spell) for spell in planned))


def select_samples(heads: Iterable[FailureSummary]) -> tuple[FailureSummary, ...]:
    """Return the failures to show, the platform's first, and few of all others.

    Of each hour, probe and reason these are the first few: what comes next tells no more, and
    every incident is to be seen.
    """
    turns: Counter[tuple[object, ...]] = Counter()
    ranked: dict[Culprit, list[tuple[int, float, int, FailureSummary]]] = {
        each: [] for each in CULPRIT_PRIORITY
    }
    for head in heads:
        kind = (head.probe, head.reason, head.at // _HOUR_SECONDS)
        turns[kind] += 1
        if turns[kind] <= MOST_ALIKE:
            rank = (turns[kind], head.at, head.number, head)
            ranked[CLASSIFICATION[head.reason].culprit].append(rank)
    chosen: list[FailureSummary] = []
    for culprit, each in ranked.items():
        most = MOST_FAILED if culprit is Culprit.PLATFORM else MOST_OF_OTHERS
        first = [head for *_, head in sorted(each)[:most]]
        chosen += sorted(first, key=lambda head: (head.at, head.number))
    return tuple(chosen)


def failed_request(
    head: FailureSummary, document: Mapping[str, Any], incidents: Sequence[ReportedIncident]
) -> FailedRequest:
    """Return a failure with what its document tells, bounded and each text in one line."""
    verdict, latency = document["verdict"], document["latency"]
    response = document["response"] or {}
    envelope = response.get("envelope") or {}
    kind = CLASSIFICATION[head.reason]
    facts = document["facts"]
    return FailedRequest(
        at=head.at,
        probe=head.probe,
        outcome=kind.outcome,
        reason=head.reason,
        culprit=kind.culprit,
        incident=_incident_of(head, incidents),
        method=_text(document["request"]["method"]),
        url=_text(document["request"]["url"]),
        http_status=response.get("status"),
        request_ids=_request_ids(facts),
        envelope_status=envelope.get("status"),
        message=_text(envelope["message"]) if envelope.get("message") else None,
        evidence=_text(verdict["evidence"]),
        rule=verdict["rule"],
        rule_text=rule_text(verdict["rule"], head.reason, Endpoint(document["endpoint"])),
        total_seconds=latency["total_seconds"],
        server_seconds=latency["server_seconds"],
        network_seconds=latency["network_seconds"],
    )


def slow_request(response: SlowRequestRow) -> SlowRequest:
    """Return a slow answer, with what it bore."""
    return SlowRequest(
        response.at,
        response.probe,
        response.reason,
        response.server_seconds,
        response.network_seconds,
        response.facts.get("http_status"),
        _request_ids(response.facts),
    )


def _is_of(head: FailureSummary, spell: FailureStreak) -> bool:
    return head.probe == spell.probe and spell.started_at <= head.at <= spell.last_failed_at


def _incident_of(head: FailureSummary, incidents: Sequence[ReportedIncident]) -> int | None:
    culprit = CLASSIFICATION[head.reason].culprit
    for each in incidents:
        ended = float("inf") if each.ended_at is None else each.ended_at
        held = each.started_at <= head.at <= ended and head.probe in each.probes
        if held and each.culprit is culprit and not each.in_maintenance:
            return each.number
    return None


def _request_ids(facts: Mapping[str, str]) -> dict[str, str]:
    """Return what the supplier finds a call by, named as the headers are."""
    return {name.replace("_", "-"): _text(facts[name]) for name in _IDS if name in facts}


def _text(value: str) -> str:
    return one_line(value, _MOST_CHARACTERS)
