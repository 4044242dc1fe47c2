"""What a report says in sentences. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from prober.formatting import format_exact_duration, format_percent
from prober.outcomes import Culprit
from prober.render.text import CAUSES, CULPRIT_LABELS, REASONS
from prober.report.models import (
    AvailabilityReport,
    CulpritShare,
    GapCause,
    Report,
    ReportedIncident,
    ReportedTokenEvent,
)
from prober.report.samples import MOST_ALIKE

_NAMED_PROBES = 6

_OUTCOMES = (
    "Each probe calls the API as any client would, again and again, and the first matching row of"
    " a fixed table judges each run: a failure is the platform's only where the answer bears the"
    " platform's own marks (its JSON envelope, or its Server-Timing header) and is its own error;"
    " what came from elsewhere, or not at all, is told apart."
)
_TIMES = (
    "Server time is what the platform itself states in Server-Timing, network time is all the rest"
    " as measured by the prober, and percentiles of them, over all answers with both outside"
    " maintenance, are right to 1 %."
)
METHOD = (_OUTCOMES, _TIMES)
_END_TO_END = (
    "End-to-end availability: the share of runs in which a caller would have got what was asked"
    " for; runs held back because the token was rejected count as failed."
)
INDICATORS = (
    "Platform availability: the share of runs that did not fail by the platform's own fault.",
    _END_TO_END,
    "Runs in maintenance and the prober's own faults count in neither.",
)
GAPS: Mapping[GapCause, str] = MappingProxyType(
    {
        GapCause.BEFORE_HISTORY: "the history begins later",
        GapCause.TOO_OLD: "it is older than the history keeps (history.retention)",
        GapCause.NO_ROOM: "the history had to let it go to make room (history.max_size)",
        GapCause.NOT_RUNNING: "no prober was running, or it could not write its history",
        GapCause.NOT_WATCHED: "this tenant was not watched, others were",
    }
)


def summary(
    kept: AvailabilityReport, shares: Sequence[CulpritShare], unknown_seconds: float
) -> tuple[str, ...]:
    """Return in sentences how the platform did, whose the rest was, and what is not known."""
    if kept.platform_ratio is None or kept.end_to_end_ratio is None:
        return ("No run counts in this time: the platform can be neither blamed nor cleared.",)
    verdict = "kept" if kept.objective_met else "did not keep"
    first = (
        f"The platform {verdict} its objective of {format_percent(kept.objective_ratio)}:"
        " it was available"
        f" in {format_percent(kept.platform_ratio)} of {format_runs(kept.runs)}"
        f" ({kept.platform_failures:,} failed by its own fault, {kept.allowed_failures:,.1f}"
        " allowed)."
    )
    end_to_end = f"End-to-end availability was {format_percent(kept.end_to_end_ratio)}."
    lacking = f"Nothing is known of {format_exact_duration(unknown_seconds)} of this time."
    return (first, end_to_end, *map(_share, shares), *([lacking] if unknown_seconds else ()))


def notes(report: Report) -> tuple[str, ...]:
    """Return what stands apart from the indicators, or is counted in them."""
    kept = report.availability
    told = (
        (kept.in_maintenance, "in maintenance, kept out"),
        (kept.prober_faults, "failed by the prober's own fault, kept out"),
        (kept.paused, "held back since the token was rejected, counted as failed"),
    )
    return tuple(f"{pluralize(number, 'run')} {what}." for number, what in told if number)


def describe_incident(incident: ReportedIncident) -> str:
    """Return what an incident was: `server errors, no answer in time`."""
    words = ", ".join(REASONS[reason] for reason in incident.reasons)
    return f"{words} (in maintenance)" if incident.in_maintenance else words


def format_probes(names: Sequence[str]) -> str:
    """Return the names of probes; of many, how many more there are."""
    named = ", ".join(names[:_NAMED_PROBES])
    more = len(names) - _NAMED_PROBES
    return named if more <= 0 else f"{named} and {more} more"


def describe_token_event(event: ReportedTokenEvent) -> str:
    """Return what happened to a token: `rejected: superseded`."""
    kind = event.kind.removeprefix("token_")
    return kind if event.cause is None else f"{kind}: {CAUSES[event.cause]}"


def describe_listed_failures(report: Report) -> str:
    """Return how many single failures are listed, and which."""
    listed = len(report.failed_requests)
    if listed == report.failure_count:
        return "All of them, the platform's first."
    return (
        f"{listed} of {report.failure_count:,}, the platform's first; of each hour, probe and"
        f" reason at most {MOST_ALIKE}, and few of all others."
    )


def format_runs(number: int) -> str:
    """Return a number of runs: `1 run`."""
    return pluralize(number, "run")


def pluralize(number: int, noun: str) -> str:
    """Return how many there are of something that takes an s: `2 incidents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _share(told: CulpritShare) -> str:
    whose = CULPRIT_LABELS[told.culprit]
    name = f"{whose[0].upper()}{whose[1:]}"
    if told.culprit is Culprit.PROBER:
        name = "The prober itself"
    lasted = f" of {format_exact_duration(told.seconds)} in all" if told.incidents else ""
    failed = f"{pluralize(told.failures, 'failed run')}"
    return f"{name}: {pluralize(told.incidents, 'incident')}{lasted}, {failed}."
