"""The report as Markdown that reads well as plain text, in a mail. Pure.

What is foreign stands in code spans, outside of tables: there nothing in it means anything.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from prober.formatting import (
    NOTHING,
    format_exact_duration,
    format_latency,
    format_percent,
    format_timestamp,
    one_line,
)
from prober.render.text import CULPRIT_LABELS, REASONS, SKIPS
from prober.report.models import FailedRequest, Percentiles, Report, ReportedIncident, SlowRequest
from prober.report.text import (
    GAPS,
    INDICATORS,
    describe_incident,
    describe_listed_failures,
    describe_token_event,
    format_probes,
    notes,
)
from prober.report.time_range import parse_time_zone

_MOST_CHARACTERS = 600
_NUMBER = re.compile(r"(?:-|[0-9][0-9.,]*(?: (?:%|ms|s))?)")


def render_markdown(report: Report) -> str:
    """Return the whole document."""
    zone = parse_time_zone(report.time_zone)
    parts = (
        _heading(report, zone),
        _availability(report),
        _incidents(report, zone),
        _outcomes(report),
        _latency(report),
        _failed(report, zone),
        _slow(report, zone),
        _data_gaps(report, zone),
        _token(report, zone),
        _method(report),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def code(text: str) -> str:
    """Return foreign text as one code span that nothing in it can end."""
    line = one_line(text, _MOST_CHARACTERS) or " "
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    gap = " " if line[0] == "`" or line[-1] == "`" else ""
    fence = "`" * (longest + 1)
    return f"{fence}{gap}{line}{gap}{fence}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table whose columns are aligned as text; those of numbers to the right."""
    cells = [[_cell(text) for text in row] for row in (titles, *rows)]
    widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(titles))]
    right = [
        bool(rows) and all(_NUMBER.fullmatch(row[at]) for row in rows) for at in range(len(titles))
    ]
    rule = ["-" * (width - 1) + (":" if r else "-") for width, r in zip(widths, right, strict=True)]
    for row in (cells[0], rule, *cells[1:]):
        aligned = [
            cell.rjust(width) if r else cell.ljust(width)
            for cell, width, r in zip(row, widths, right, strict=True)
        ]
        yield f"| {' | '.join(aligned)} |"


def _cell(text: str) -> str:
    return one_line(text, _MOST_CHARACTERS).replace("\\", "\\\\").replace("|", "\\|")


def _heading(report: Report, zone: tzinfo) -> Iterator[str]:
    yield f"# {report.tenant} ({report.environment})"
    yield ""
    yield f"- API: {code(report.base_url)}"
    yield (
        f"- From {format_timestamp(report.since, zone)} to {format_timestamp(report.until, zone)}"
        f" ({format_exact_duration(report.until - report.since)})"
    )
    generated_at = format_timestamp(report.generated_at, zone)
    yield f"- Reported by prober {report.prober_version} on {generated_at}"
    yield ""
    for sentence in report.summary:
        yield f"- {sentence}"


def _availability(report: Report) -> Iterator[str]:
    kept = report.availability
    yield from ("", "## Availability", "")
    objective = "-" if kept.objective_met is None else "kept" if kept.objective_met else "not kept"
    yield from table(
        ("indicator", "availability", "failed runs", "of", "objective"),
        [
            (
                "platform",
                format_percent(kept.platform_ratio),
                f"{kept.platform_failures:,}",
                f"{kept.runs:,}",
                f"{format_percent(kept.objective_ratio)}: {objective}",
            ),
            (
                "end-to-end",
                format_percent(kept.end_to_end_ratio),
                f"{kept.end_to_end_failures:,}",
                f"{kept.runs:,}",
                "none",
            ),
        ],
    )
    yield ""
    yield from (f"- {sentence}" for sentence in (*INDICATORS, *notes(report)))


def _incidents(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Incidents", "")
    if not report.incidents:
        yield "None."
        return
    yield from table(
        ("#", "began", "ended", "lasted", "whose", "what", "probes", "failed runs"),
        [_incident(each, zone) for each in report.incidents],
    )
    if report.incident_count > len(report.incidents):
        yield from ("", f"The longest {len(report.incidents)} of {report.incident_count:,}.")
    yield from ("", "What was seen first in each:", "")
    yield from (f"{each.number}. {code(each.evidence)}" for each in report.incidents)


def _incident(each: ReportedIncident, zone: tzinfo) -> tuple[str, ...]:
    return (
        str(each.number),
        format_timestamp(each.started_at, zone),
        "goes on" if each.ended_at is None else format_timestamp(each.ended_at, zone),
        format_exact_duration(each.duration_seconds),
        CULPRIT_LABELS[each.culprit],
        describe_incident(each),
        format_probes(each.probes),
        f"{each.failures:,}",
    )


def _outcomes(report: Report) -> Iterator[str]:
    yield from ("", "## Outcomes", "")
    yield from table(
        ("whose", "outcome", "reason", "in words", "runs", "share"),
        [
            (
                CULPRIT_LABELS[each.culprit],
                each.outcome,
                each.reason,
                REASONS[each.reason],
                f"{each.runs:,}",
                format_percent(each.ratio),
            )
            for each in report.outcomes
        ],
    )
    if report.skipped:
        yield ""
        yield from (f"- Not run, {n:,}: {SKIPS[cause]}." for cause, n in report.skipped.items())


def _latency(report: Report) -> Iterator[str]:
    yield from ("", "## Server and network", "")
    shares = ("p50", "p90", "p95", "p99")
    yield from table(
        (
            "probe",
            "answers",
            *(f"server {each}" for each in shares),
            *(f"network {each}" for each in shares),
        ),
        [
            (
                each.probe or "all probes",
                f"{each.responses:,}",
                *_percentiles(each.server),
                *_percentiles(each.network),
            )
            for each in report.figures
        ],
    )
    yield ""
    yield from table(
        ("probe", "runs", "platform", "end-to-end"),
        [
            (
                each.probe or "all probes",
                f"{each.runs:,}",
                format_percent(each.platform_ratio),
                format_percent(each.end_to_end_ratio),
            )
            for each in report.figures
        ],
    )


def _percentiles(side: Percentiles | None) -> tuple[str, ...]:
    if side is None:
        return (NOTHING,) * 4
    seconds = (side.p50_seconds, side.p90_seconds, side.p95_seconds, side.p99_seconds)
    return tuple(map(format_latency, seconds))


def _failed(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Failed calls", "")
    if not report.failed_requests:
        yield "None."
        return
    yield describe_listed_failures(report)
    for number, call in enumerate(report.failed_requests, 1):
        yield ""
        yield from _failed_request(number, call, zone)


def _failed_request(number: int, call: FailedRequest, zone: tzinfo) -> Iterator[str]:
    status = "" if call.http_status is None else f", HTTP {call.http_status}"
    of = "" if call.incident is None else f" (incident {call.incident})"
    yield (
        f"{number}. {format_timestamp(call.at, zone)}, {call.probe}{status},"
        f" {CULPRIT_LABELS[call.culprit]}: {REASONS[call.reason]}{of}"
    )
    yield f"   - request: {code(f'{call.method} {call.url}')}"
    yield from (f"   - {name}: {code(value)}" for name, value in call.request_ids.items())
    if call.envelope_status is not None:
        message = "" if call.message is None else f", message {code(call.message)}"
        yield f"   - envelope: {code(call.envelope_status)}{message}"
    if call.server_seconds is not None:
        server, network = format_latency(call.server_seconds), format_latency(call.network_seconds)
        times = f"server {server}, network {network}"
        yield f"   - time: {times}, total {format_latency(call.total_seconds)}"
    elif call.total_seconds is not None:
        yield f"   - time: total {format_latency(call.total_seconds)}"
    yield f"   - seen: {code(call.evidence)}"
    yield f"   - decided by row {call.rule}: {call.rule_text}"


def _slow(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Slowest answers", "")
    if not report.slow_requests:
        yield "None is known."
        return
    yield "By the platform's own time; a few are kept of each day."
    yield ""
    yield from (
        _slow_request(number, each, zone) for number, each in enumerate(report.slow_requests, 1)
    )


def _slow_request(number: int, call: SlowRequest, zone: tzinfo) -> str:
    ids = "".join(f", {name} {code(value)}" for name, value in call.request_ids.items())
    return (
        f"{number}. {format_timestamp(call.at, zone)}, {call.probe},"
        f" server {format_latency(call.server_seconds)},"
        f" network {format_latency(call.network_seconds)}, {REASONS[call.reason]}{ids}"
    )


def _data_gaps(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## What is not known", "")
    for gap in report.gaps:
        since, until = (format_timestamp(at, zone) for at in (gap.started_at, gap.ended_at))
        yield f"- From {since} to {until}: {GAPS[gap.cause]}."
    if report.failures_known_since is not None:
        since = format_timestamp(report.failures_known_since, zone)
        yield f"- Single failures from before {since} had to make room (history.max_size)."
    if not report.gaps and report.failures_known_since is None:
        yield "Nothing is missing for a quarter of an hour or more."


def _token(report: Report, zone: tzinfo) -> Iterator[str]:
    if not report.token_events:
        return
    yield from ("", "## Token", "")
    for event in report.token_events:
        by = "" if event.fingerprint is None else f", fingerprint {event.fingerprint}"
        problem = "" if event.problem is None else f", {code(event.problem)}"
        yield f"- {format_timestamp(event.at, zone)}: {describe_token_event(event)}{by}{problem}"


def _method(report: Report) -> Iterator[str]:
    yield from ("", "## Method", "")
    yield from report.method
