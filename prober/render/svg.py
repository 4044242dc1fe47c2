"""Pictures for pages and reports, as SVG without styles of its own. Pure.

Colours and patterns are the style sheet's, by class; what a picture says in colour it says in a
label and in titles as well. Numbers are rounded to a tenth of a unit.

Percentile lines over time: half and nearly all of the answers, of server and network. Pure.

A badge for other people's pages: a tenant's name, and how it stands in two words. Pure.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import groupby

from markupsafe import Markup, escape

from prober.formatting import format_hour_minute, format_latency, format_timestamp
from prober.outcomes import Culprit, LatencyComponent
from prober.render.documents import TenantStatusDocument, TimeBucketDocument
from prober.render.text import CULPRIT_LABELS
from prober.stats.aggregates import BUCKET_SECONDS, Aggregate

STRIP_WIDTH, STRIP_HEIGHT = 960, 28
_A_DAY_SECONDS = 86_400
_MIN_SHARE = 0.2  # a failure among a thousand runs must still be seen
_FAILURE_CULPRITS = tuple(culprit for culprit in Culprit if culprit is not Culprit.NONE)


@dataclass(frozen=True, slots=True)
class _Cell:
    """How one slot is drawn: the classes from the top, with their shares of the height."""

    parts: tuple[tuple[str, float], ...]
    title: str


def strip_svg(
    slots: Sequence[TimeBucketDocument],
    label: str,
    step_seconds: int = BUCKET_SECONDS,
    zone: tzinfo = UTC,
) -> Markup:
    """Return a strip: full of good, failures hanging from the top by their share."""
    told = format_hour_minute if len(slots) * step_seconds <= _A_DAY_SECONDS else format_timestamp
    width = STRIP_WIDTH / max(len(slots), 1)
    shapes: list[str] = []
    cells = [(_cell(slot), slot) for slot in slots]
    position = 0
    for cell, group in groupby(cells, key=lambda pair: pair[0]):
        members = [slot for _, slot in group]
        began, ended = members[0].start, members[-1].start + step_seconds
        says = f"{told(began, zone)} to {told(ended, zone)}: {cell.title}"
        shapes.append(_column(cell, position * width, len(members) * width, says))
        position += len(members)
    return _picture("strip", STRIP_WIDTH, STRIP_HEIGHT, strip_label(slots, label), shapes)


def strip_label(slots: Iterable[TimeBucketDocument], label: str) -> str:
    """Return in words what a strip shows."""
    known = [slot for slot in slots if slot.runs or slot.paused or slot.in_maintenance]
    if not known:
        return f"{label}: nothing is known"
    runs = sum(slot.runs for slot in known)
    failures = {
        culprit: sum(slot.by_culprit.get(culprit, 0) for slot in known)
        for culprit in _FAILURE_CULPRITS
    }
    told = [f"{number} {CULPRIT_LABELS[culprit]}" for culprit, number in failures.items() if number]
    return f"{label}: {runs} runs, failures: {', '.join(told) or 'none'}"


def latency_svg(slots: Sequence[TimeBucketDocument], height: int = STRIP_HEIGHT) -> Markup:
    """Return the mean time of answers, the network's on top of the server's."""
    most = max_latency(slots)
    if most is None:
        return _picture("latency", STRIP_WIDTH, height, "latency: no answer was measured", ())
    width, scale = STRIP_WIDTH / len(slots), height / most
    server, network = [], []
    for number, slot in enumerate(slots):
        if slot.server_seconds is None or slot.network_seconds is None:
            continue
        left, low = number * width, slot.server_seconds * scale
        server.append(_bar(left, height - low, width, low))
        high = slot.network_seconds * scale
        network.append(_bar(left, height - low - high, width, high))
    shapes = (
        f'<path class="server" d="{"".join(server)}"/>',
        f'<path class="network" d="{"".join(network)}"/>',
    )
    return _picture("latency", STRIP_WIDTH, height, latency_label(slots), shapes)


def latency_label(slots: Iterable[TimeBucketDocument]) -> str:
    """Return in words what a picture of latency shows: its last quarter of an hour."""
    for slot in reversed(list(slots)):
        if slot.server_seconds is not None:
            server, network = (
                format_latency(slot.server_seconds),
                format_latency(slot.network_seconds),
            )
            return (
                f"mean latency of the last quarter of an hour: server {server}, network {network}"
            )
    return "latency: no answer was measured"


def max_latency(slots: Iterable[TimeBucketDocument]) -> float | None:
    """Return the height of a picture of latency, in seconds; None where it is empty."""
    return max((_both(slot) for slot in slots), default=0.0) or None


def waterfall_svg(
    phases: Mapping[str, float | None],
    total_seconds: float,
    server_seconds: float | None,
    *,
    failed: bool,
) -> Markup:
    """Return a bar for each phase, the server's share of waiting and our own time marked."""
    known = [(name, seconds) for name, seconds in phases.items() if seconds is not None]
    whole = max(total_seconds, sum(seconds for _, seconds in known))
    if not known or whole <= 0:
        return Markup("")
    left, row, shapes = 0.0, 18, []
    scale = 560 / whole
    last = max((at for at, (name, _) in enumerate(known) if name != "own"), default=-1)
    for number, (name, seconds) in enumerate(known):
        top, start = number * row, 90 + left * scale
        wide = max(seconds * scale, 1.0)
        ends = failed and number == last
        kind = "failed" if ends else "own" if name == "own" else "network"
        shapes.append(f'<text x="0" y="{top + 13}">{escape(name)}</text>')
        shapes.append(_rect(kind, start, top + 2, wide, row - 4))
        if name == "wait" and server_seconds is not None:
            share = min(server_seconds * scale, wide)
            shapes.append(_rect("server", start, top + 2, share, row - 4))
        took = f"{format_latency(seconds)}{' ✗' if ends else ''}"
        shapes.append(f'<text x="{min(start + wide + 6, 670):.1f}" y="{top + 13}">{took}</text>')
        left += seconds
    told = ", ".join(f"{name} {format_latency(seconds)}" for name, seconds in known)
    server = (
        "" if server_seconds is None else f"; of these the server {format_latency(server_seconds)}"
    )
    label = f"where the time went: {told}{server}; total {format_latency(total_seconds)}"
    return _picture("waterfall", 760, len(known) * row, label, shapes, stretch=False)


def _cell(slot: TimeBucketDocument) -> _Cell:
    if slot.in_maintenance and not slot.runs:
        return _Cell((("maintenance", 1.0),), "in maintenance")
    asked = slot.runs + slot.paused
    if asked == 0:
        return _Cell((("nothing", 1.0),), "no run")
    bad = [(culprit, slot.by_culprit.get(culprit, 0)) for culprit in _FAILURE_CULPRITS]
    parts = [(culprit.value, number / asked) for culprit, number in bad if number]
    says = [f"{number} {CULPRIT_LABELS[culprit]}" for culprit, number in bad if number]
    if slot.paused:
        parts.append(("held-back", slot.paused / asked))
        says.append(f"{slot.paused} held back")
    shown = [(name, round(max(share, _MIN_SHARE), 1)) for name, share in parts]
    over = sum(share for _, share in shown)
    shown = [(name, share / max(over, 1.0)) for name, share in shown]
    rest = 1.0 - sum(share for _, share in shown)
    if rest > 0:
        shown.append(("good", rest))
    if slot.in_maintenance:
        says.append("in maintenance for a part")
    return _Cell(tuple(shown), ", ".join(says) or "all well")


def _column(cell: _Cell, left: float, width: float, title: str) -> str:
    top, shapes = 0.0, []
    for name, share in cell.parts:
        shapes.append(_rect(name, left, top * STRIP_HEIGHT, width, share * STRIP_HEIGHT))
        top += share
    return f"<g><title>{escape(title)}</title>{''.join(shapes)}</g>"


def _both(slot: TimeBucketDocument) -> float:
    return (slot.server_seconds or 0.0) + (slot.network_seconds or 0.0)


def _bar(left: float, top: float, width: float, height: float) -> str:
    return f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def _rect(name: str, left: float, top: float, width: float, height: float) -> str:
    return (
        f'<rect class="{name}" x="{left:.1f}" y="{top:.1f}"'
        f' width="{width:.1f}" height="{height:.1f}"/>'
    )


def _picture(
    name: str, width: int, height: int, label: str, shapes: Iterable[str], *, stretch: bool = True
) -> Markup:
    aspect = ' preserveAspectRatio="none"' if stretch else ""
    return Markup(  # noqa: S704 -- what is foreign in it was escaped
        f'<svg class="{name}" role="img" aria-label="{escape(label)}"'
        f' viewBox="0 0 {width} {height}"{aspect}>{"".join(shapes)}</svg>'
    )


RANGES: Mapping[str, tuple[int, int]] = {
    "1h": (3600, 60),
    "24h": (86_400, 900),
    "7d": (7 * 86_400, 3600),
    "30d": (30 * 86_400, 4 * 3600),
}
"""Seconds that each range covers, and seconds of each step."""

_WIDTH, _CHART_HEIGHT = 760, 150
_LEFT, _BOTTOM = 64, 18
_X_TICKS = 6
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in one step: percentiles in seconds, None where nothing was measured."""

    start: float
    runs: int
    failures: int
    paused: int
    in_maintenance: int
    server_p50_seconds: float | None
    server_p95_seconds: float | None
    network_p50_seconds: float | None
    network_p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """A probe's steps, one for each that there is, in order; `step_seconds` apart or more."""

    since: float
    until: float
    step_seconds: int
    points: tuple[Point, ...]


def span(name: str, now: float) -> tuple[float, float, int]:
    """Return (since, until, step) of a range by its name, whole steps that include `now`."""
    seconds, step = RANGES[name]
    until = math.floor(now / step) * step + step
    return until - seconds, until, step


def series(tallies: Mapping[float, Aggregate], since: float, until: float, step: int) -> TimeSeries:
    """Return what tallies (by the beginning of their step) tell over time."""
    points = tuple(_point(at, tally) for at, tally in sorted(tallies.items()) if since <= at)
    return TimeSeries(since, until, step, points)


def chart_svg(shown: TimeSeries, label: str, zone: tzinfo = UTC) -> Markup:
    """Return the lines; where there are none, a word says why."""
    most = max((value for point in shown.points for value in _values(point)), default=0.0)
    if most <= 0:
        return _chart_picture(_why_empty(shown), f"{label}: {_why_empty(shown)}")
    top = nice_ceiling(most)
    shapes = [_grid(shown, top, zone)]
    shapes += [_hatched(shown, point) for point in shown.points if _is_maintenance(point)]
    for side in (LatencyComponent.NETWORK, LatencyComponent.SERVER):
        for share in ("p95", "p50"):
            line = _line(shown, f"{side}_{share}_seconds", top)
            shapes.append(f'<path class="line {side} {share}" d="{line}"/>')
    return _chart_picture("".join(shapes), f"{label}: {_description(shown)}")


def nice_ceiling(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is no less than a positive value."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= value * 0.999)


def _point(at: float, tally: Aggregate) -> Point:
    return Point(
        start=at,
        runs=tally.runs,
        failures=tally.runs - tally.count("ok"),
        paused=tally.paused,
        in_maintenance=tally.in_maintenance,
        server_p50_seconds=tally.server.quantile(0.5),
        server_p95_seconds=tally.server.quantile(0.95),
        network_p50_seconds=tally.network.quantile(0.5),
        network_p95_seconds=tally.network.quantile(0.95),
    )


def _values(point: Point) -> Sequence[float]:
    found = (point.server_p95_seconds, point.network_p95_seconds)
    return [value for value in found if value is not None]


def _is_maintenance(point: Point) -> bool:
    return point.in_maintenance > 0


def _why_empty(shown: TimeSeries) -> str:
    if not shown.points:
        return "no run in this time"
    if all(point.in_maintenance and not point.runs for point in shown.points):
        return "in maintenance"
    if all(point.paused and not point.runs for point in shown.points):
        return "held back, since the token is rejected"
    return "no answer could be measured"


def _description(shown: TimeSeries) -> str:
    last = next(point for point in reversed(shown.points) if _values(point))
    return (
        f"last: server half {format_latency(last.server_p50_seconds)},"
        f" 95 % {format_latency(last.server_p95_seconds)};"
        f" network half {format_latency(last.network_p50_seconds)},"
        f" 95 % {format_latency(last.network_p95_seconds)}"
    )


def _x(shown: TimeSeries, at: float) -> float:
    return _LEFT + (at - shown.since) / (shown.until - shown.since) * (_WIDTH - _LEFT)


def _y(value: float, top: float) -> float:
    return (_CHART_HEIGHT - _BOTTOM) * (1 - value / top)


def _line(shown: TimeSeries, name: str, top: float) -> str:
    """Return a path that is interrupted where a step has no value."""
    path, last = [], -math.inf
    for point in shown.points:
        value = getattr(point, name)
        if value is None:
            continue
        joined = point.start - last <= shown.step_seconds * 1.5
        x = _x(shown, point.start + shown.step_seconds / 2)
        path.append(f"{'L' if joined else 'M'}{x:.1f} {_y(value, top):.1f}")
        if not joined:
            path.append("h.1")  # a step that stands alone is a dot
        last = point.start
    return "".join(path)


def _hatched(shown: TimeSeries, point: Point) -> str:
    left = _x(shown, point.start)
    wide = _x(shown, point.start + shown.step_seconds) - left
    return (
        f'<rect class="maintenance" x="{left:.1f}" y="0" width="{wide:.1f}"'
        f' height="{_CHART_HEIGHT - _BOTTOM}"/>'
    )


def _grid(shown: TimeSeries, top: float, zone: tzinfo) -> str:
    shapes = []
    for part in (0.0, 0.5, 1.0):
        y = _y(part * top, top)
        shapes.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH}"/>')
        shapes.append(
            f'<text x="{_LEFT - 6}" y="{max(y + 4, 11):.1f}" text-anchor="end">'
            f"{format_latency(part * top) if part else '0'}</text>"
        )
    written = _tick_format(shown.until - shown.since)
    for number in range(_X_TICKS):
        at = shown.since + (shown.until - shown.since) * (number + 0.5) / _X_TICKS
        text = datetime.fromtimestamp(at, zone).strftime(written)
        place = f'x="{_x(shown, at):.1f}" y="{_CHART_HEIGHT - 4}"'
        shapes.append(f'<text {place} text-anchor="middle">{text}</text>')
    return "".join(shapes)


def _tick_format(span_seconds: float) -> str:
    if span_seconds <= 1.5 * _DAY_SECONDS:
        return "%H:%M"
    return "%d %b" if span_seconds > _X_TICKS * _DAY_SECONDS else "%d %b %H:%M"


def _chart_picture(content: str, label: str) -> Markup:
    inside = content
    if not content.startswith("<"):
        inside = (
            f'<text class="empty" x="{_LEFT}" y="{_CHART_HEIGHT / 2:.0f}">{escape(content)}</text>'
        )
    return Markup(  # noqa: S704 -- what is foreign in it was escaped
        f'<svg class="chart" role="img" aria-label="{escape(label)}"'
        f' viewBox="0 0 {_WIDTH} {_CHART_HEIGHT}">{inside}</svg>'
    )


_CHARACTER_WIDTH, _PADDING, _BADGE_HEIGHT = 6.7, 8, 20
_LABEL_COLOUR = "#3d444d"
_WELL, _SLOW, _BAD, _UNKNOWN = "#1a7f37", "#8a5a00", "#b3261e", "#57606a"


def badge_svg(tenant: TenantStatusDocument) -> str:
    """Return a whole SVG document, all in it its own."""
    says, colour = _text(tenant)
    left, right = _width(tenant.name), _width(says)
    name, told = html.escape(tenant.name), escape(says)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_BADGE_HEIGHT}"'
        f' role="img" aria-label="{name}: {told}">'
        f"<title>{name}: {html.escape(tenant.verdict)}</title>"
        f'<rect width="{left}" height="{_BADGE_HEIGHT}" fill="{_LABEL_COLOUR}"/>'
        f'<rect x="{left}" width="{right}" height="{_BADGE_HEIGHT}" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-size="11"'
        ' font-family="DejaVu Sans,Verdana,sans-serif">'
        f'<text x="{left / 2}" y="14">{name}</text>'
        f'<text x="{left + right / 2}" y="14">{told}</text></g></svg>'
    )


def _text(tenant: TenantStatusDocument) -> tuple[str, str]:
    if tenant.maintenance is not None:
        return "maintenance", _UNKNOWN
    if not tenant.is_known:
        return "waiting", _UNKNOWN
    if tenant.is_ok:
        return "well", _WELL
    if tenant.is_slow:
        return f"{CULPRIT_LABELS[tenant.culprit]} slow", _SLOW
    whose = (
        "token rejected" if tenant.culprit is Culprit.CREDENTIAL else CULPRIT_LABELS[tenant.culprit]
    )
    return whose, _BAD


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER_WIDTH) + 2 * _PADDING
