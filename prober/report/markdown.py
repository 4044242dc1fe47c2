"""The report as Markdown that can be read as plain text, in a mail. Pure.

Foreign text is in code spans, outside of tables: there it cannot be read as Markdown.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from urllib.parse import quote

from prober.formatting import (
    NOTHING,
    format_exact_duration,
    format_latency,
    format_percent,
    format_timestamp,
    one_line,
)
from prober.render.documents import FailedRequest, IncidentDocument, SlowRequest
from prober.render.text import CULPRIT_LABELS, REASONS, SKIPS
from prober.report.models import Percentiles, Report
from prober.report.text import (
    COMPARED_FIGURES,
    GAPS,
    INDICATORS,
    describe_comparison,
    describe_gaps,
    describe_incident,
    describe_listed_failures,
    describe_note,
    describe_supplier,
    describe_token_event,
    describe_vantage,
    format_check_value,
    format_probes,
    notes,
)
from prober.report.time_range import parse_time_zone

_MOST_CHARACTERS = 600
_MOST_UNREADABLE = 20
_NUMBER = re.compile(r"(?:-|[0-9][0-9.,]*(?: (?:%|ms|s))?)")


def render_markdown(report: Report, charts: Sequence[tuple[str, str]] = ()) -> str:
    """Return the whole document; `charts` are (title, file name) of the charts beside it."""
    zone = parse_time_zone(report.time_zone)
    parts = (
        _heading(report, zone),
        _availability(report),
        _comparison(report),
        _incidents(report, zone),
        _outcomes(report),
        _latency(report),
        _charts(charts),
        _failed(report, zone),
        _slow(report, zone),
        _data_gaps(report, zone),
        _token(report, zone),
        _supplier(report, zone),
        _values(report, zone),
        _method(report),
        _appendix(report),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def code(text: str) -> str:
    """Return foreign text as a code span that nothing in the text can end."""
    line = one_line(text, _MOST_CHARACTERS) or " "
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    gap = " " if line[0] == "`" or line[-1] == "`" else ""
    fence = "`" * (longest + 1)
    return f"{fence}{gap}{line}{gap}{fence}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table with aligned columns; numbers are aligned to the right."""
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
    yield f"- Reported on {format_timestamp(report.generated_at, zone)}"
    yield f"- {describe_vantage(report.vantage)}"
    yield f"- SHA-256 of the data: {code(report.data_sha256)}"
    yield ""
    for sentence in report.summary:
        yield f"- {sentence}"


def _availability(report: Report) -> Iterator[str]:
    availability = report.availability
    yield from ("", "## Availability", "")
    objective = (
        "-"
        if availability.objective_met is None
        else "met"
        if availability.objective_met
        else "missed"
    )
    yield from table(
        ("indicator", "availability", "failed runs", "of", "objective"),
        [
            (
                "platform",
                format_percent(availability.platform_ratio),
                f"{availability.platform_failures:,}",
                f"{availability.observed_runs:,}",
                f"{format_percent(availability.objective_ratio)}: {objective}",
            ),
            (
                "end-to-end",
                format_percent(availability.end_to_end_ratio),
                f"{availability.end_to_end_failures:,}",
                f"{availability.runs:,}",
                "none",
            ),
        ],
    )
    yield ""
    yield from (f"- {sentence}" for sentence in (*INDICATORS, *notes(report)))


def _comparison(report: Report) -> Iterator[str]:
    yield from ("", "## This period and the last", "", describe_comparison(report))
    if report.previous is None:
        return
    yield ""
    yield from table(
        ("figure", "this period", "the one before"),
        [
            (name, show(report.current), show(report.previous))
            for name, show in COMPARED_FIGURES.items()
        ],
    )


def _incidents(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Incidents", "")
    if not report.incidents:
        yield "None."
        return
    yield from table(
        (
            "#",
            "started",
            "ended",
            "duration",
            "responsible",
            "what failed",
            "probes",
            "failed runs",
        ),
        [_incident(each, zone) for each in report.incidents],
    )
    if report.incident_count > len(report.incidents):
        yield from ("", f"The {len(report.incidents)} longest of {report.incident_count:,}.")
    yield from ("", "First evidence of each:", "")
    yield from (f"{each.number}. {code(each.evidence)}" for each in report.incidents)
    if report.notes:
        yield from ("", "Notes:", "")
    for note in report.notes:
        text = f": {code(note.text)}" if note.text else ""
        about = one_line(describe_note(report, note), _MOST_CHARACTERS)
        yield f"- {format_timestamp(note.at, zone)}, {code(about)}{text}"


def _incident(each: IncidentDocument, zone: tzinfo) -> tuple[str, ...]:
    return (
        str(each.number),
        format_timestamp(each.started_at, zone),
        "ongoing" if each.ended_at is None else format_timestamp(each.ended_at, zone),
        format_exact_duration(each.duration_seconds),
        CULPRIT_LABELS[each.culprit],
        describe_incident(each),
        format_probes(each.probes),
        f"{each.failures:,}",
    )


def _outcomes(report: Report) -> Iterator[str]:
    yield from ("", "## Outcomes", "")
    yield from table(
        ("responsible", "outcome", "reason", "description", "runs", "share"),
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
        yield from (
            f"- Skipped runs, {n:,}: {SKIPS[cause]}." for cause, n in report.skipped.items()
        )


def _latency(report: Report) -> Iterator[str]:
    yield from ("", "## Server, network and own time", "")
    shares = ("p50", "p90", "p95", "p99")
    yield from table(
        (
            "probe",
            "responses",
            *(f"server {each}" for each in shares),
            *(f"network {each}" for each in shares),
            *(f"own {each}" for each in shares),
        ),
        [
            (
                each.probe or "all probes",
                f"{each.responses:,}",
                *_percentiles(each.server),
                *_percentiles(each.network),
                *_percentiles(each.own),
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


def _charts(charts: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not charts:
        return
    yield from ("", "## Charts")
    for title, name in charts:
        yield from ("", f"![{_cell(title)}]({quote(name)})")


def _percentiles(component: Percentiles | None) -> tuple[str, ...]:
    if component is None:
        return (NOTHING,) * 4
    seconds = (
        component.p50_seconds,
        component.p90_seconds,
        component.p95_seconds,
        component.p99_seconds,
    )
    return tuple(map(format_latency, seconds))


def _failed(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Failed requests", "")
    if not report.failed_requests:
        yield "None."
        return
    yield describe_listed_failures(report)
    for number, request in enumerate(report.failed_requests, 1):
        yield ""
        yield from _failed_request(number, request, zone)


def _failed_request(number: int, request: FailedRequest, zone: tzinfo) -> Iterator[str]:
    status = "" if request.http_status is None else f", HTTP {request.http_status}"
    of = "" if request.incident is None else f" (incident {request.incident})"
    yield (
        f"{number}. {format_timestamp(request.at, zone)}, {request.probe}{status},"
        f" {CULPRIT_LABELS[request.culprit]}: {REASONS[request.reason]}{of}"
    )
    # A nested list belongs to its item if it is indented by the width of the item's marker
    # (CommonMark 0.31.2, 5.2), which grows with the number.
    indent = " " * len(f"{number}. ")
    yield from (f"{indent}- {line}" for line in _facts_of_request(request))


def _facts_of_request(request: FailedRequest) -> Iterator[str]:
    yield f"request: {code(f'{request.method} {request.url}')}"
    yield from (f"{name}: {code(value)}" for name, value in request.request_ids.items())
    if request.envelope_status is not None:
        message = "" if request.message is None else f", message {code(request.message)}"
        yield f"envelope: {code(request.envelope_status)}{message}"
    if request.total_seconds is not None:
        parts = (
            ("server", request.server_seconds),
            ("network", request.network_seconds),
            ("own", request.own_seconds),
            ("total", request.total_seconds),
        )
        yield f"time: {_parts_text(parts)}"
    yield f"evidence: {code(request.evidence)}"
    yield f"rule: {request.rule_text}"


def _parts_text(parts: Sequence[tuple[str, float | None]]) -> str:
    return ", ".join(
        f"{name} {format_latency(seconds)}" for name, seconds in parts if seconds is not None
    )


def _slow(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Slowest requests", "")
    if not report.slow_requests:
        yield "None."
        return
    yield "By server time; the history keeps a few of each day."
    yield ""
    yield from (
        _slow_request(number, each, zone) for number, each in enumerate(report.slow_requests, 1)
    )


def _slow_request(number: int, request: SlowRequest, zone: tzinfo) -> str:
    ids = "".join(f", {name} {code(value)}" for name, value in request.request_ids.items())
    parts = (
        ("server", request.server_seconds),
        ("network", request.network_seconds),
        ("own", request.own_seconds),
    )
    return (
        f"{number}. {format_timestamp(request.at, zone)}, {request.probe},"
        f" {_parts_text(parts)}, {REASONS[request.reason]}{ids}"
    )


def _data_gaps(report: Report, zone: tzinfo) -> Iterator[str]:
    yield from ("", "## Missing data", "")
    yield describe_gaps(report)
    if report.gaps or report.failures_known_since is not None:
        yield ""
    for gap in report.gaps:
        since, until = (format_timestamp(at, zone) for at in (gap.started_at, gap.ended_at))
        yield f"- From {since} to {until}: {GAPS[gap.cause]}."
    if report.failures_known_since is not None:
        since = format_timestamp(report.failures_known_since, zone)
        yield f"- Failed requests from before {since}: deleted for lack of room (history.max_size)."


def _token(report: Report, zone: tzinfo) -> Iterator[str]:
    if not report.token_events:
        return
    yield from ("", "## Token", "")
    for event in report.token_events:
        by = "" if event.fingerprint is None else f", fingerprint {event.fingerprint}"
        problem = "" if event.problem is None else f", {code(event.problem)}"
        yield f"- {format_timestamp(event.at, zone)}: {describe_token_event(event)}{by}{problem}"


def _supplier(report: Report, zone: tzinfo) -> Iterator[str]:
    account = report.supplier
    if account is None:
        return
    yield from ("", "## The supplier's status page", "")
    yield describe_supplier(account)
    if account.incidents:
        yield ""
    for each in account.incidents:
        seen, ended = (
            "-" if at is None else format_timestamp(at, zone)
            for at in (each.seen_at, each.ended_at)
        )
        until = "still open when last read" if each.ended_at is None else f"until {ended}"
        words = f"impact {each.impact}, last {each.status}" if each.status else each.impact
        yield f"- Seen {seen}, {until}: {code(f'{each.name} ({words})')}"
    if report.supplier_findings:
        yield from ("", "During each incident:", "")
    for finding in report.supplier_findings:
        foreign = finding.published_after_seconds is not None
        said = code(finding.finding) if foreign else finding.finding
        yield f"- Incident {finding.incident}: {said}"
    unreadable = [each for each in account.statuses if each.problem is not None]
    if unreadable:
        yield from ("", "Not readable:", "")
    for status in unreadable[:_MOST_UNREADABLE]:
        since, until = (format_timestamp(at, zone) for at in (status.since, status.until))
        yield f"- From {since} to {until}: {code(status.problem or '')}"


def _values(report: Report, zone: tzinfo) -> Iterator[str]:
    if not report.values:
        return
    yield from ("", "## Values in responses", "")
    yield from table(
        ("probe", "check", "item", "least", "greatest", "last"),
        [
            (
                each.probe,
                each.check,
                code(each.item) if each.item else "-",
                *(
                    format_check_value(each.kind, value, zone)
                    for value in (each.least, each.greatest, each.last)
                ),
            )
            for each in report.values
        ],
    )


def _method(report: Report) -> Iterator[str]:
    yield from ("", "## Method", "")
    yield from report.method
    yield ""
    yield from table(
        ("probe", "request", "interval", "timeout"),
        [
            (
                each.probe,
                f"{each.method} {each.path}",
                format_exact_duration(each.interval_seconds),
                format_exact_duration(each.timeout_seconds),
            )
            for each in report.cadence
        ],
    )


def _appendix(report: Report) -> Iterator[str]:
    shown = [
        (number, each)
        for number, each in enumerate(report.failed_requests, 1)
        if each.response_headers
    ]
    if not shown:
        return
    yield from ("", "## Appendix: response headers", "")
    for number, request in shown:
        yield f"Failed request {number}:"
        yield ""
        yield from (f"- {code(f'{name}: {value}')}" for name, value in request.response_headers)
        yield ""
