"""Percentile lines over time: half and nearly all of the answers, of server and network. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from markupsafe import Markup, escape

from prober.outcomes import Side
from prober.timeline.tally import Tally
from prober.views.quantities import latency

RANGES: Mapping[str, tuple[int, int]] = {
    "1h": (3600, 60),
    "24h": (86_400, 900),
    "7d": (7 * 86_400, 3600),
    "30d": (30 * 86_400, 4 * 3600),
}
"""Seconds that each range covers, and seconds of each step."""

_WIDTH, _HEIGHT = 760, 150
_LEFT, _BOTTOM = 64, 18
_X_TICKS = 6
_A_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in one step: percentiles in seconds, None where nothing was measured."""

    start: float
    runs: int
    failures: int
    held_back: int
    in_maintenance: int
    server_p50_seconds: float | None
    server_p95_seconds: float | None
    network_p50_seconds: float | None
    network_p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Series:
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


def series(tallies: Mapping[float, Tally], since: float, until: float, step: int) -> Series:
    """Return what tallies (by the beginning of their step) tell over time."""
    points = tuple(_point(at, tally) for at, tally in sorted(tallies.items()) if since <= at)
    return Series(since, until, step, points)


def chart_svg(shown: Series, label: str, zone: tzinfo = UTC) -> Markup:
    """Return the lines; where there are none, a word says why."""
    most = max((value for point in shown.points for value in _values(point)), default=0.0)
    if most <= 0:
        return _picture(_why_empty(shown), f"{label}: {_why_empty(shown)}")
    top = nice_ceiling(most)
    shapes = [_grid(shown, top, zone)]
    shapes += [_hatched(shown, point) for point in shown.points if _is_maintenance(point)]
    for side in (Side.NETWORK, Side.SERVER):
        for share in ("p95", "p50"):
            line = _line(shown, f"{side}_{share}_seconds", top)
            shapes.append(f'<path class="line {side} {share}" d="{line}"/>')
    return _picture("".join(shapes), f"{label}: {_said(shown)}")


def nice_ceiling(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is no less than a positive value."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= value * 0.999)


def _point(at: float, tally: Tally) -> Point:
    return Point(
        start=at,
        runs=tally.runs,
        failures=tally.runs - tally.count("ok"),
        held_back=tally.held_back,
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


def _why_empty(shown: Series) -> str:
    if not shown.points:
        return "no run in this time"
    if all(point.in_maintenance and not point.runs for point in shown.points):
        return "in maintenance"
    if all(point.held_back and not point.runs for point in shown.points):
        return "held back, since the token is rejected"
    return "no answer could be measured"


def _said(shown: Series) -> str:
    last = next(point for point in reversed(shown.points) if _values(point))
    return (
        f"last: server half {latency(last.server_p50_seconds)},"
        f" 95 % {latency(last.server_p95_seconds)};"
        f" network half {latency(last.network_p50_seconds)},"
        f" 95 % {latency(last.network_p95_seconds)}"
    )


def _x(shown: Series, at: float) -> float:
    return _LEFT + (at - shown.since) / (shown.until - shown.since) * (_WIDTH - _LEFT)


def _y(value: float, top: float) -> float:
    return (_HEIGHT - _BOTTOM) * (1 - value / top)


def _line(shown: Series, name: str, top: float) -> str:
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


def _hatched(shown: Series, point: Point) -> str:
    left = _x(shown, point.start)
    wide = _x(shown, point.start + shown.step_seconds) - left
    return (
        f'<rect class="maintenance" x="{left:.1f}" y="0" width="{wide:.1f}"'
        f' height="{_HEIGHT - _BOTTOM}"/>'
    )


def _grid(shown: Series, top: float, zone: tzinfo) -> str:
    shapes = []
    for part in (0.0, 0.5, 1.0):
        y = _y(part * top, top)
        shapes.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH}"/>')
        shapes.append(
            f'<text x="{_LEFT - 6}" y="{max(y + 4, 11):.1f}" text-anchor="end">'
            f"{latency(part * top) if part else '0'}</text>"
        )
    written = _tick_format(shown.until - shown.since)
    for number in range(_X_TICKS):
        at = shown.since + (shown.until - shown.since) * (number + 0.5) / _X_TICKS
        text = datetime.fromtimestamp(at, zone).strftime(written)
        shapes.append(
            f'<text x="{_x(shown, at):.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{text}</text>'
        )
    return "".join(shapes)


def _tick_format(span_seconds: float) -> str:
    if span_seconds <= 1.5 * _A_DAY_SECONDS:
        return "%H:%M"
    return "%d %b" if span_seconds > _X_TICKS * _A_DAY_SECONDS else "%d %b %H:%M"


def _picture(content: str, label: str) -> Markup:
    inside = content
    if not content.startswith("<"):
        inside = f'<text class="empty" x="{_LEFT}" y="{_HEIGHT / 2:.0f}">{escape(content)}</text>'
    return Markup(  # noqa: S704 -- what is foreign in it was escaped
        f'<svg class="chart" role="img" aria-label="{escape(label)}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}">{inside}</svg>'
    )
