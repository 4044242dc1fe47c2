"""Parts of pages as HTML: times, charts with labels, and waterfalls. Pure.

Drawings are SVG that is stretched to the width of the page; all text is HTML beside it, so that it
has the same size on every screen. A script reads the `data-` attributes for hover and zoom; without
it, everything can be read.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from markupsafe import Markup, escape

from prober.formatting import format_hour_minute, format_latency, format_timestamp
from prober.render.svg import (
    LATENCY_PARTS,
    Point,
    TimeSeries,
    chart_description,
    line_path,
    max_measured_seconds,
    nice_ceiling,
    why_empty,
)

_WIDTH, _HEIGHT = 1000, 130
_TICKS = 6
WATERFALL_WIDTH = 560
_DAY_SECONDS = 86_400
_SHARES = ("p95", "p50")


def time_element(timestamp: float | None, form: str = "stamp", zone: tzinfo = UTC) -> Markup:
    """Return a `time` element; `form` is `stamp` (date and time) or `clock` (time of day).

    Its text is in UTC; a script shows it in the reader's own time zone.
    """
    if timestamp is None:
        return Markup("-")
    shown = format_hour_minute if form == "clock" else format_timestamp
    return _time(timestamp, form, shown(timestamp, zone))


def chart_element(shown: TimeSeries, label: str, zone: tzinfo = UTC) -> Markup:
    """Return a chart of p50 and p95 of server and network time; without data, the reason."""
    max_seconds = max_measured_seconds(shown)
    if max_seconds <= 0:
        why = why_empty(shown)
        return Markup('<div class="chart empty"><p>{}</p></div>').format(why)
    top = nice_ceiling(max_seconds)
    levels = "".join(
        f"<span>{format_latency(part * top) if part else '0'}</span>" for part in (1.0, 0.5, 0.0)
    )
    ticks = "".join(_tick(shown, number, zone) for number in range(_TICKS))
    return Markup(  # noqa: S704 -- foreign text in it was escaped
        f'<div class="chart" data-since="{shown.since:.0f}" data-until="{shown.until:.0f}"'
        f' data-step="{shown.step_seconds}" data-points="{escape(_points(shown))}">'
        f'<div class="levels" aria-hidden="true">{levels}</div>'
        f'<svg class="plot" role="img" aria-label="{escape(label)}: {chart_description(shown)}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{_plot(shown, top)}</svg>'
        f'<div class="ticks" aria-hidden="true">{ticks}</div></div>'
    )


def waterfall_element(
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
    left, rows, scale = 0.0, [], WATERFALL_WIDTH / whole
    last = max((at for at, (name, _) in enumerate(known) if name != "own"), default=-1)
    for number, (name, seconds) in enumerate(known):
        start, wide = left * scale, max(seconds * scale, 1.0)
        ends = failed and number == last
        kind = "failed" if ends else "own" if name == "own" else "network"
        bars = waterfall_bar(kind, start, wide)
        if name == "wait" and server_seconds is not None:
            bars += waterfall_bar("server", start, min(server_seconds * scale, wide))
        rows.append(waterfall_row(name, seconds, bars, failed=ends))
        left += seconds
    texts = ", ".join(f"{name} {format_latency(seconds)}" for name, seconds in known)
    server = "" if server_seconds is None else f"; server time {format_latency(server_seconds)}"
    label = f"time by phase: {texts}{server}; total {format_latency(total_seconds)}"
    return waterfall(label, rows)


def waterfall(label: str, rows: Iterable[str]) -> Markup:
    """Return rows (of `waterfall_row`) as one picture."""
    return Markup(  # noqa: S704 -- foreign text in it was escaped
        f'<div class="waterfall" role="img" aria-label="{escape(label)}">{"".join(rows)}</div>'
    )


def waterfall_row(name: str, seconds: float, bars: str, *, failed: bool) -> str:
    """Return a row: its name, bars (of `waterfall_bar`), and how long it took."""
    return (
        f'<div><span>{escape(name)}</span><svg viewBox="0 0 {WATERFALL_WIDTH} 14"'
        f' preserveAspectRatio="none">{bars}</svg>'
        f"<span>{format_latency(seconds)}{' ✗' if failed else ''}</span></div>"
    )


def waterfall_bar(name: str, left: float, width: float) -> str:
    """Return a bar of a class, `name`; `left` and `width` are parts of `WATERFALL_WIDTH`."""
    return f'<rect class="{name}" x="{left:.1f}" y="2" width="{width:.1f}" height="10"/>'


def curl_command(document: Mapping[str, Any]) -> str:
    """Return a request as a command of curl; the token is a variable, and stays a secret."""
    request = document["request"]
    method = str(request["method"])
    parts = ["curl", "--include"]
    if method != "GET":
        parts += ["--request", shlex.quote(method)]
    header = '"Authorization: Bearer $TOKEN"'  # in double quotes: the shell fills it in
    return " ".join([*parts, "--header", header, shlex.quote(str(request["url"]))])


def _time(timestamp: float, form: str, text: str) -> Markup:
    utc = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}" data-form="{}" title="{}">{}</time>').format(
        utc, form, format_timestamp(timestamp), text
    )


def _tick(shown: TimeSeries, number: int, zone: tzinfo) -> Markup:
    span = shown.until - shown.since
    at = shown.since + span * (number + 0.5) / _TICKS
    local = datetime.fromtimestamp(at, zone)
    if span <= 1.5 * _DAY_SECONDS:
        return _time(at, "tick", f"{local:%H:%M}")
    return _time(at, "day", f"{local:%m-%d}")


def _points(shown: TimeSeries) -> str:
    """Return the values that hovering shows: start, then percentiles in ms, runs and failures."""
    return json.dumps([_values(point) for point in shown.points], separators=(",", ":"))


def _values(point: Point) -> list[float | None]:
    seconds = (
        point.server_p50_seconds,
        point.server_p95_seconds,
        point.network_p50_seconds,
        point.network_p95_seconds,
        point.own_p50_seconds,
        point.own_p95_seconds,
    )
    return [
        point.start,
        *(None if value is None else round(value * 1000, 1) for value in seconds),
        point.runs,
        point.failures,
    ]


def _plot(shown: TimeSeries, top: float) -> str:
    grid = "".join(f"M0 {_HEIGHT * part:.0f}H{_WIDTH}" for part in (0.0, 0.5, 1.0))
    shapes = [f'<path class="grid" d="{grid}"/>']
    shapes += [_hatched(shown, point) for point in shown.points if point.in_maintenance]
    for part in reversed(LATENCY_PARTS):
        for share in _SHARES:
            line = line_path(
                shown,
                f"{part}_{share}_seconds",
                lambda at: _x(shown, at),
                lambda value: _HEIGHT * (1 - value / top),
            )
            shapes.append(f'<path class="line {part} {share}" d="{line}"/>')
    shapes.append('<rect class="zoom" y="0" width="0" height="130"/><path class="cross"/>')
    return "".join(shapes)


def _x(shown: TimeSeries, at: float) -> float:
    return (at - shown.since) / (shown.until - shown.since) * _WIDTH


def _hatched(shown: TimeSeries, point: Point) -> str:
    left = _x(shown, point.start)
    wide = _x(shown, point.start + shown.step_seconds) - left
    return f'<rect class="maintenance" x="{left:.1f}" y="0" width="{wide:.1f}" height="{_HEIGHT}"/>'
