"""Timelines, latency bars, percentile charts and badges as SVG. Pure.

Colours and patterns come from the style sheet, by class; only the badge, which is shown on other
sites, has its own. Everything that is shown in colour is in a label or a title, too. Coordinates
are rounded to a tenth of a unit, to keep pages small.
"""

import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from prober.formatting import format_hour_minute, format_latency, format_timestamp
from prober.outcomes import Culprit, SkipCause, TokenState
from prober.render.text import CULPRIT_LABELS, SKIPS
from prober.stats.aggregates import BUCKET_SECONDS, Aggregate

if TYPE_CHECKING:  # commands draw the steps of a request without any documents
    from prober.render.documents import TenantStatusDocument, TimeBucketDocument

STRIP_WIDTH, STRIP_HEIGHT = 960, 28
LATENCY_PARTS = ("server", "network", "own")
_DAY_SECONDS = 86_400
_NO_LATENCY = "latency: no response was measured"
_MIN_SHARE = 0.2  # one failure among a thousand runs must still be visible
_ROW_MIN_SHARE = 0.6  # also where a step is two pixels wide and a row is low
_FAILURE_CULPRITS = tuple(culprit for culprit in Culprit if culprit is not Culprit.NONE)


@dataclass(frozen=True, slots=True)
class _Cell:
    """How one time bucket is drawn: classes from the top, with their shares of the height."""

    parts: tuple[tuple[str, float], ...]
    title: str


def strip_svg(
    buckets: "Sequence[TimeBucketDocument]",
    label: str,
    step_seconds: int = BUCKET_SECONDS,
    zone: tzinfo = UTC,
) -> Markup:
    """Return a timeline: the share of failures is drawn from the top, by culprit."""
    is_one_day = len(buckets) * step_seconds <= _DAY_SECONDS
    format_time = format_hour_minute if is_one_day else format_timestamp
    columns = _columns(buckets, map(_cell, buckets), step_seconds, lambda at: format_time(at, zone))
    return _picture("strip", STRIP_WIDTH, STRIP_HEIGHT, strip_label(buckets, label), columns)


def row_strip_svg(buckets: "Sequence[TimeBucketDocument]", name: str) -> Markup:
    """Return a timeline for a row of a table, without the number of runs, which always changes."""
    cells = (_cell(bucket, _ROW_MIN_SHARE) for bucket in buckets)
    columns = _columns(buckets, cells, BUCKET_SECONDS, format_hour_minute)
    texts = _failure_texts(buckets)
    label = f"last 24 hours of {name}, failures: {', '.join(texts) or 'none'}"
    return _picture("strip", STRIP_WIDTH, STRIP_HEIGHT, label, columns)


def strip_label(buckets: "Iterable[TimeBucketDocument]", label: str) -> str:
    """Return in words what a timeline shows."""
    known = [each for each in buckets if each.runs or each.paused or each.in_maintenance]
    if not known:
        return f"{label}: no data"
    runs = sum(each.runs for each in known)
    return f"{label}: {runs} runs, failures: {', '.join(_failure_texts(known)) or 'none'}"


def latency_svg(buckets: "Sequence[TimeBucketDocument]", height: int = STRIP_HEIGHT) -> Markup:
    """Return the mean response time over time: own on top of network on top of server time."""
    max_seconds = max_latency(buckets)
    if max_seconds is None:
        return _picture("latency", STRIP_WIDTH, height, _NO_LATENCY, ())
    width, scale = STRIP_WIDTH / len(buckets), height / max_seconds
    bars: dict[str, list[str]] = {part: [] for part in LATENCY_PARTS}
    for number, bucket in enumerate(buckets):
        top = float(height)
        for part, seconds in _parts_seconds(bucket):
            part_height = (seconds or 0.0) * scale
            top -= part_height
            if part_height:
                bars[part].append(_bar(number * width, top, width, part_height))
    shapes = [f'<path class="{part}" d="{"".join(each)}"/>' for part, each in bars.items() if each]
    return _picture("latency", STRIP_WIDTH, height, latency_label(buckets), shapes)


def latency_label(buckets: "Iterable[TimeBucketDocument]") -> str:
    """Return in words what the latency bars show: the last bucket with data."""
    for bucket in reversed(list(buckets)):
        parts = [
            f"{part} {format_latency(seconds)}"
            for part, seconds in _parts_seconds(bucket)
            if seconds is not None
        ]
        if parts:
            return f"mean latency of the last 15 minutes: {', '.join(parts)}"
    return _NO_LATENCY


def max_latency(buckets: "Iterable[TimeBucketDocument]") -> float | None:
    """Return the seconds that the full height of the latency bars shows; None without data."""
    return max((_total_seconds(bucket) for bucket in buckets), default=0.0) or None


def _cell(bucket: "TimeBucketDocument", min_share: float = _MIN_SHARE) -> _Cell:
    if bucket.in_maintenance and not bucket.runs:
        return _Cell((("maintenance", 1.0),), "in maintenance")
    due = bucket.runs + bucket.paused
    if due == 0:
        return _Cell((("nothing", 1.0),), "no run")
    failures = [(culprit, bucket.by_culprit.get(culprit, 0)) for culprit in _FAILURE_CULPRITS]
    parts = [(culprit.value, count / due) for culprit, count in failures if count]
    texts = _failure_texts([bucket])
    if bucket.paused:
        parts.append(("paused", bucket.paused / due))
        texts.append(f"{bucket.paused} paused")
    # Shares are rounded, so that neighbours with nearly the same are drawn as one; where the
    # minimum shares add up to more than the whole, all are scaled down.
    shares = [(name, round(max(share, min_share), 1)) for name, share in parts]
    total = sum(share for _, share in shares)
    shares = [(name, share / max(total, 1.0)) for name, share in shares]
    rest = 1.0 - sum(share for _, share in shares)
    if rest > 0:
        shares.append(("good", rest))
    if bucket.in_maintenance:
        texts.append("partly in maintenance")
    return _Cell(tuple(shares), ", ".join(texts) or "all OK")


def _failure_texts(buckets: "Sequence[TimeBucketDocument]") -> list[str]:
    """Return how many runs failed because of each culprit: `5 platform`."""
    failures = {
        culprit: sum(each.by_culprit.get(culprit, 0) for each in buckets)
        for culprit in _FAILURE_CULPRITS
    }
    return [f"{count} {CULPRIT_LABELS[culprit]}" for culprit, count in failures.items() if count]


def _columns(
    buckets: "Sequence[TimeBucketDocument]",
    cells: Iterable[_Cell],
    step_seconds: int,
    format_time: Callable[[float], str],
) -> Iterator[str]:
    """Yield the columns of a timeline; equal neighbours become one: most of a day is one."""
    width = STRIP_WIDTH / max(len(buckets), 1)
    position = 0
    for cell, group in groupby(cells):
        count = len(list(group))
        start, end = buckets[position].start, buckets[position + count - 1].start + step_seconds
        title = f"{format_time(start)} to {format_time(end)}: {cell.title}"
        yield _column(cell, position * width, count * width, title)
        position += count


def _column(cell: _Cell, left: float, width: float, title: str) -> str:
    top, shapes = 0.0, []
    for name, share in cell.parts:
        shapes.append(_rect(name, left, top * STRIP_HEIGHT, width, share * STRIP_HEIGHT))
        top += share
    return f"<g><title>{escape(title)}</title>{''.join(shapes)}</g>"


def _total_seconds(bucket: "TimeBucketDocument") -> float:
    return sum(seconds or 0.0 for _, seconds in _parts_seconds(bucket))


def _parts_seconds(bucket: "TimeBucketDocument") -> tuple[tuple[str, float | None], ...]:
    seconds = (bucket.server_seconds, bucket.network_seconds, bucket.own_seconds)
    return tuple(zip(LATENCY_PARTS, seconds, strict=True))


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
    return Markup(  # noqa: S704 -- foreign text in it was escaped
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


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a chart: percentiles in seconds, None where nothing was measured."""

    start: float
    runs: int
    failures: int
    paused: int
    in_maintenance: int
    server_p50_seconds: float | None
    server_p95_seconds: float | None
    network_p50_seconds: float | None
    network_p95_seconds: float | None
    own_p50_seconds: float | None
    own_p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """The steps with data, in order of time; steps without data are left out."""

    since: float
    until: float
    step_seconds: int
    points: tuple[Point, ...]


def span(name: str, now: float) -> tuple[float, float, int]:
    """Return (since, until, step) of a range by name, in whole steps that include `now`."""
    seconds, step = RANGES[name]
    until = math.floor(now / step) * step + step
    return until - seconds, until, step


def series(
    aggregates: Mapping[float, Aggregate], since: float, until: float, step: int
) -> TimeSeries:
    """Return the time series of aggregates, which are by the start of their step."""
    points = tuple(
        _point(at, aggregate) for at, aggregate in sorted(aggregates.items()) if since <= at
    )
    return TimeSeries(since, until, step, points)


def chart_svg(shown: TimeSeries, label: str, zone: tzinfo = UTC) -> Markup:
    """Return p50 and p95 of server, network and own time as lines; without data, the reason."""
    max_seconds = max_measured_seconds(shown)
    if max_seconds <= 0:
        return _chart_picture(why_empty(shown), f"{label}: {why_empty(shown)}")
    top = nice_ceiling(max_seconds)
    shapes = [_grid(shown, top, zone)]
    shapes += [_hatched(shown, point) for point in shown.points if point.in_maintenance]
    for part in reversed(LATENCY_PARTS):
        for share in ("p95", "p50"):
            line = line_path(
                shown,
                f"{part}_{share}_seconds",
                lambda at: _x(shown, at),
                lambda value: _y(value, top),
            )
            if line:
                shapes.append(f'<path class="line {part} {share}" d="{line}"/>')
    return _chart_picture("".join(shapes), f"{label}: {chart_description(shown)}")


def nice_ceiling(value: float) -> float:
    """Return the lowest of 1, 2 or 5 times a power of ten that is not below a positive value."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= value * 0.999)


def _point(at: float, aggregate: Aggregate) -> Point:
    return Point(
        start=at,
        runs=aggregate.runs,
        failures=aggregate.runs - aggregate.count("ok"),
        paused=aggregate.paused,
        in_maintenance=aggregate.in_maintenance,
        server_p50_seconds=aggregate.server.quantile(0.5),
        server_p95_seconds=aggregate.server.quantile(0.95),
        network_p50_seconds=aggregate.network.quantile(0.5),
        network_p95_seconds=aggregate.network.quantile(0.95),
        own_p50_seconds=aggregate.own.quantile(0.5),
        own_p95_seconds=aggregate.own.quantile(0.95),
    )


def measured_seconds(point: Point) -> Sequence[float]:
    """Return the 95th percentiles that a step has."""
    found = (point.server_p95_seconds, point.network_p95_seconds, point.own_p95_seconds)
    return [value for value in found if value is not None]


def max_measured_seconds(shown: TimeSeries) -> float:
    """Return the greatest 95th percentile of a chart, 0 without any."""
    return max((value for point in shown.points for value in measured_seconds(point)), default=0.0)


def why_empty(shown: TimeSeries) -> str:
    """Return why a chart has no line."""
    if not shown.points:
        return "no run in this time"
    if all(point.in_maintenance and not point.runs for point in shown.points):
        return "in maintenance"
    if all(point.paused and not point.runs for point in shown.points):
        return SKIPS[SkipCause.TOKEN_REJECTED]
    return "no response could be measured"


def chart_description(shown: TimeSeries) -> str:
    """Return the last values of a chart in words."""
    last = next(point for point in reversed(shown.points) if measured_seconds(point))
    parts = (
        (last.server_p50_seconds, last.server_p95_seconds),
        (last.network_p50_seconds, last.network_p95_seconds),
        (last.own_p50_seconds, last.own_p95_seconds),
    )
    texts = [
        f"{part} half {format_latency(p50)}, 95 % {format_latency(p95)}"
        for part, (p50, p95) in zip(LATENCY_PARTS, parts, strict=True)
        if p50 is not None
    ]
    return f"last: {'; '.join(texts)}"


def _x(shown: TimeSeries, at: float) -> float:
    return _LEFT + (at - shown.since) / (shown.until - shown.since) * (_WIDTH - _LEFT)


def _y(value: float, top: float) -> float:
    return (_CHART_HEIGHT - _BOTTOM) * (1 - value / top)


def line_path(
    shown: TimeSeries, name: str, x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    """Return the path of a value of `Point`, with a gap where a step has none.

    `x` and `y` return the coordinates of a time and of a value.
    """
    path, last = [], -math.inf
    for point in shown.points:
        value = getattr(point, name)
        if value is None:
            continue
        joined = point.start - last <= shown.step_seconds * 1.5
        middle = point.start + shown.step_seconds / 2
        path.append(f"{'L' if joined else 'M'}{x(middle):.1f} {y(value):.1f}")
        if not joined:
            path.append("h.1")  # a step without neighbours is drawn as a dot
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
    time_format = _tick_format(shown.until - shown.since)
    for number in range(_X_TICKS):
        at = shown.since + (shown.until - shown.since) * (number + 0.5) / _X_TICKS
        text = datetime.fromtimestamp(at, zone).strftime(time_format)
        place = f'x="{_x(shown, at):.1f}" y="{_CHART_HEIGHT - 4}"'
        shapes.append(f'<text {place} text-anchor="middle">{text}</text>')
    return "".join(shapes)


def _tick_format(span_seconds: float) -> str:
    if span_seconds <= 1.5 * _DAY_SECONDS:
        return "%H:%M"
    return "%d %b" if span_seconds > _X_TICKS * _DAY_SECONDS else "%d %b %H:%M"


def _chart_picture(content: str, label: str) -> Markup:
    body = content
    if not content.startswith("<"):
        body = (
            f'<text class="empty" x="{_LEFT}" y="{_CHART_HEIGHT / 2:.0f}">{escape(content)}</text>'
        )
    return Markup(  # noqa: S704 -- foreign text in it was escaped
        f'<svg class="chart" role="img" aria-label="{escape(label)}"'
        f' viewBox="0 0 {_WIDTH} {_CHART_HEIGHT}">{body}</svg>'
    )


_CHARACTER_WIDTH, _PADDING, _BADGE_HEIGHT = 6.7, 8, 20
_LABEL_COLOUR = "#3d444d"
_OK, _SLOW, _FAILING, _UNKNOWN = "#1a7f37", "#8a5a00", "#b3261e", "#57606a"


def badge_svg(tenant: "TenantStatusDocument") -> str:
    """Return a tenant's badge as a complete SVG document, with colours of its own."""
    text, colour = _badge_text(tenant)
    left, right = _width(tenant.name), _width(text)
    name, status = html.escape(tenant.name), escape(text)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_BADGE_HEIGHT}"'
        f' role="img" aria-label="{name}: {status}">'
        f"<title>{name}: {html.escape(tenant.verdict)}</title>"
        f'<rect width="{left}" height="{_BADGE_HEIGHT}" fill="{_LABEL_COLOUR}"/>'
        f'<rect x="{left}" width="{right}" height="{_BADGE_HEIGHT}" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-size="11"'
        ' font-family="DejaVu Sans,Verdana,sans-serif">'
        f'<text x="{left / 2}" y="14">{name}</text>'
        f'<text x="{left + right / 2}" y="14">{status}</text></g></svg>'
    )


_FAVICON_COLOURS: Mapping[Culprit, str] = {
    Culprit.PLATFORM: "#cf222e",
    Culprit.NETWORK: "#0969da",
    Culprit.CREDENTIAL: "#9a6700",
    Culprit.UNDECIDED: "#8250df",
    Culprit.REQUEST: "#953800",
    Culprit.TENANT: "#0f6e84",
}
_FAVICON_MAX = 99


def favicon_svg(count: int, culprit: Culprit) -> str:
    """Return the page's icon: the number of tenants in trouble in the colour of the culprit."""
    if not count:
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
            '<rect width="16" height="16" rx="3" fill="#1a7f37"/><path d="M4 8.5l3 3 5-6.5"'
            ' fill="none" stroke="#fff" stroke-width="2" stroke-linejoin="round"/></svg>'
        )
    text = str(count) if count <= _FAVICON_MAX else f"{_FAVICON_MAX}+"
    size = 12 - 2.5 * (len(text) - 1)
    colour = _FAVICON_COLOURS.get(culprit, _UNKNOWN)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16"'
        f' rx="3" fill="{colour}"/><text x="8" y="{8 + size / 3:.1f}"'
        f' text-anchor="middle" font-size="{size}" font-weight="700" fill="#fff"'
        f' font-family="DejaVu Sans,Verdana,sans-serif">{text}</text></svg>'
    )


def _badge_text(tenant: "TenantStatusDocument") -> tuple[str, str]:
    if tenant.maintenance is not None:
        return "maintenance", _UNKNOWN
    if not tenant.is_known:
        return "waiting", _UNKNOWN
    if tenant.is_ok:
        return "OK", _OK
    if tenant.is_slow:
        return f"{CULPRIT_LABELS[tenant.culprit]} slow", _SLOW
    if tenant.token.state is TokenState.REJECTED:
        return "token rejected", _FAILING
    return CULPRIT_LABELS[tenant.culprit], _FAILING


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER_WIDTH) + 2 * _PADDING
