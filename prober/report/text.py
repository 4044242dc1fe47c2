"""The sentences of a report. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from types import MappingProxyType

from prober.formatting import (
    format_exact_duration,
    format_latency,
    format_percent,
    format_timestamp,
)
from prober.history.annotations import IncidentNote
from prober.models import CheckKind
from prober.outcomes import Culprit
from prober.render.documents import IncidentDocument, TokenEventRecord
from prober.render.text import CAUSES, CULPRIT_LABELS, REASONS
from prober.report.models import (
    ClockState,
    CulpritShare,
    GapCause,
    PeriodFigures,
    Report,
    SupplierFinding,
    Vantage,
)
from prober.report.samples import MAX_ALIKE
from prober.stats.incidents import Incident
from prober.stats.slo import Availability
from prober.status_page import SupplierAccount, describe_coverage

_NAMED_PROBES = 6

_OUTCOMES = (
    "Each probe sends a request to the API at a fixed interval, and the first matching rule of a"
    " fixed table classifies each run: the platform is responsible for a failure only if the"
    " response has its JSON envelope or its Server-Timing header and is its own error, or if its"
    " own CDN or certificate is at fault."
)
_TIMES = (
    "Server time is what the platform reports in its Server-Timing header, network time is the rest"
    " of what passed outside the prober, and own time is what the prober itself took;"
    " percentiles are over all responses outside maintenance with a server time, accurate to 1 %"
    " (own time: to 5 %)."
)
_KERNEL = (
    "Times are those of the operating system's kernel where it gives them: packets are stamped when"
    " they are sent and received (SO_TIMESTAMPING), so that a busy prober does not make a server or"
    " a network look slow; for a request without a response, the kernel's state of the connection"
    " (TCP_INFO) says whether the far end acknowledged it."
)
METHOD = (_OUTCOMES, _TIMES, _KERNEL)
_END_TO_END = (
    "End-to-end availability: the share of runs in which a caller would have got a correct"
    " response; runs that were paused because the token was rejected count as failed."
)
INDICATORS = (
    "Platform availability: the share of runs in which the platform was observed and did not fail.",
    _END_TO_END,
    "Neither counts runs in maintenance and errors of the prober itself.",
)
GAPS: Mapping[GapCause, str] = MappingProxyType(
    {
        GapCause.BEFORE_HISTORY: "the history starts later",
        GapCause.TOO_OLD: "older than the history keeps (history.retention)",
        GapCause.NO_ROOM: "deleted from the history for lack of room (history.max_size)",
        GapCause.NOT_RUNNING: "no prober was running, or it could not write the history",
        GapCause.NOT_WATCHED: "this tenant was not probed, others were",
        GapCause.NO_RUN: "no run is recorded: the prober did not run, or could not write",
    }
)


def summary(
    availability: Availability, shares: Sequence[CulpritShare], unknown_seconds: float
) -> tuple[str, ...]:
    """Return how available the platform was, who else was responsible, and what is unknown."""
    if availability.end_to_end_ratio is None:
        return ("No data for this period.",)
    due_runs = availability.runs + availability.prober_faults
    coverage = (
        f"{availability.observed_runs:,} of {format_runs(due_runs)}"
        f" ({format_percent(availability.coverage_ratio)})"
    )
    verdict = "met" if availability.objective_met else "missed"
    first = (
        f"No data about the platform: it was observed in none of {format_runs(due_runs)}."
        if availability.platform_ratio is None
        else f"The platform {verdict} its objective of"
        f" {format_percent(availability.objective_ratio)}: it was available in"
        f" {format_percent(availability.platform_ratio)} of the runs in which it was observed,"
        f" {coverage}; {availability.platform_failures:,} failed because of the platform,"
        f" {availability.allowed_failures:,.1f} allowed."
    )
    end_to_end = f"End-to-end availability was {format_percent(availability.end_to_end_ratio)}."
    unknown = f"There is no data for {format_exact_duration(unknown_seconds)} of this period."
    return (first, end_to_end, *map(_share, shares), *([unknown] if unknown_seconds else ()))


def summarize_supplier(
    findings: Sequence[SupplierFinding], listed: Sequence[IncidentDocument]
) -> tuple[str, ...]:
    """Return during how many incidents of the platform the supplier published none, if any.

    Only of those during which its status page could be read all the time.
    """
    of_platform = {
        each.number
        for each in listed
        if each.culprit is Culprit.PLATFORM and not each.in_maintenance
    }
    known = [each for each in findings if each.is_known_whole and each.incident in of_platform]
    silent = sum(each.published_after_seconds is None for each in known)
    if not silent:
        return ()
    of = pluralize(len(known), "platform incident")
    return (f"The supplier's status page had no incident during {silent:,} of {of}.",)


def notes(report: Report) -> tuple[str, ...]:
    """Return what the indicators leave out or count in a special way."""
    availability = report.availability
    texts = (
        (availability.in_maintenance, "in maintenance, not counted"),
        (availability.prober_faults, "failed because of the prober, not counted"),
        (availability.paused, "paused because the token was rejected, counted as failed"),
        (
            availability.runs - availability.observed_runs - availability.paused,
            "without a response of the platform, not counted in its availability",
        ),
    )
    return tuple(f"{pluralize(count, 'run')} {text}." for count, text in texts if count)


def describe_incident(incident: Incident) -> str:
    """Return the reasons of an incident: `server errors, response timeout`."""
    reasons = ", ".join(REASONS[reason] for reason in incident.reasons)
    return f"{reasons} (in maintenance)" if incident.in_maintenance else reasons


def format_probes(names: Sequence[str]) -> str:
    """Return the names of probes; of many, the first ones and how many more there are."""
    listed = ", ".join(names[:_NAMED_PROBES])
    more = len(names) - _NAMED_PROBES
    return listed if more <= 0 else f"{listed} and {more} more"


def describe_token_event(event: TokenEventRecord) -> str:
    """Return what happened to a token: `rejected: replaced elsewhere`."""
    kind = event.kind.removeprefix("token_")
    return kind if event.cause is None else f"{kind}: {CAUSES[event.cause]}"


def describe_listed_failures(report: Report) -> str:
    """Return how many failed requests are listed, and which ones."""
    listed = len(report.failed_requests)
    if listed == report.failure_count:
        return "All failed requests, those of the platform first."
    return (
        f"{listed} of {report.failure_count:,}, those of the platform first: at most"
        f" {MAX_ALIKE} for each hour, probe and reason, and only a few of those that the platform"
        " is not responsible for."
    )


def describe_note(report: Report, note: IncidentNote) -> str:
    """Return who noted what on which incident, without the note's text."""
    number = next((each.number for each in report.incidents if each.id == note.incident), None)
    verb = "acknowledged by" if note.acknowledges else "note by"
    return f"Incident {number}, {verb} {note.author}"


def describe_supplier(account: SupplierAccount) -> str:
    """Return how many incidents the supplier published in a report's period, without its texts."""
    if not account.incidents:
        return account.finding
    number = pluralize(len(account.incidents), "incident")
    known = describe_coverage(account.seconds, account.known_seconds)
    return f"The supplier published {number} during this time{known}."


def describe_vantage(vantage: Vantage) -> str:
    """Return where the measurements were made, by which build, and how right its clock is."""
    where = f" ({vantage.location})" if vantage.location else ""
    error = (
        ""
        if vantage.clock_error_seconds is None
        else f", off by {format_latency(vantage.clock_error_seconds)} at most"
    )
    clock = {
        ClockState.SYNCHRONIZED: f"synchronised{error}",
        ClockState.UNSYNCHRONIZED: "not synchronised",
        ClockState.UNKNOWN: "in an unknown state",
    }[vantage.clock]
    return (
        f"Measured on {vantage.host}{where} by prober {vantage.version}, commit"
        f" {vantage.revision[:12]}; when this report was made, the clock was {clock}."
    )


COMPARED_FIGURES: Mapping[str, Callable[[PeriodFigures], str]] = MappingProxyType(
    {
        "runs": lambda figures: f"{figures.runs:,}",
        "platform availability": lambda figures: format_percent(figures.platform_ratio),
        "end-to-end availability": lambda figures: format_percent(figures.end_to_end_ratio),
        "incidents": lambda figures: f"{figures.incidents:,}",
        "server time, p95": lambda figures: format_latency(figures.server_p95_seconds),
        "network time, p95": lambda figures: format_latency(figures.network_p95_seconds),
    }
)


def describe_comparison(report: Report) -> str:
    """Return that there is no earlier period to compare with, or how long it is."""
    if report.previous is None:
        return "Nothing is known of the period before this one."
    length = format_exact_duration(report.previous.until - report.previous.since)
    return f"This period beside the {length} before it."


def describe_gaps(report: Report) -> str:
    """Return how complete the data is, in one sentence."""
    shortest = format_exact_duration(report.min_gap_seconds)
    if not report.gap_count:
        return f"No gap of {shortest} or more."
    listed = (
        f"; the {len(report.gaps)} longest are listed"
        if len(report.gaps) < report.gap_count
        else ""
    )
    return (
        f"{pluralize(report.gap_count, 'gap')} of {shortest} or more,"
        f" {format_exact_duration(report.unknown_seconds)} in total{listed}."
    )


def format_runs(number: int) -> str:
    """Return a number of runs: `1 run`."""
    return pluralize(number, "run")


def pluralize(number: int, noun: str) -> str:
    """Return a count with its noun, whose plural takes an s: `2 incidents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _share(share: CulpritShare) -> str:
    label = CULPRIT_LABELS[share.culprit]
    duration = f" of {format_exact_duration(share.seconds)} in total" if share.incidents else ""
    incidents = pluralize(share.incidents, "incident")
    failures = pluralize(share.failures, "failed run")
    return f"{label[0].upper()}{label[1:]}: {incidents}{duration}, {failures}."


def format_check_value(kind: CheckKind, value: float, zone: tzinfo = UTC) -> str:
    """Return the value of a check for people."""
    if kind is CheckKind.TIMESTAMP:
        return format_timestamp(value, zone)
    if kind is CheckKind.BOOLEAN:
        return "true" if value else "false"
    return f"{value:.6g}"
