"""Small pictures of the values that checks found: one line over time. Pure."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from prober.formatting import format_duration
from prober.models import CheckKind
from prober.render.checks import ValueSeries

WIDTH, HEIGHT = 240, 28
_MARGIN = 2.0
_MAX_GAP_STEPS = 2.5
"""A line is broken where more steps than this have no value."""

SeriesKey = tuple[str, str, str]
"""Probe, check and item."""


def by_key(series: Sequence[ValueSeries]) -> Mapping[SeriesKey, ValueSeries]:
    """Return series by probe, check and item."""
    return {(each.probe, each.check, each.item): each for each in series}


def value_line_svg(series: ValueSeries | None, since: float, until: float, step: int) -> Markup:
    """Return a line of the values from `since` to `until`; nothing without two values.

    Of a timestamp, its age is drawn: the line rises while nothing happens.
    """
    points = () if series is None else _drawn(series)
    shown = [(at, value) for at, value in points if since <= at <= until]
    if series is None or len(shown) < 2:  # noqa: PLR2004 -- a line has two ends
        return Markup("")
    values = [value for _, value in shown]
    low, high = min(values), max(values)
    subject = f"{series.check} {series.item}".strip()
    label = f"{subject}: from {_words(series.kind, low)} to {_words(series.kind, high)}"
    commands: list[str] = []
    last_at = -math.inf
    for at, value in shown:
        x = (at - since) / max(until - since, 1.0) * WIDTH
        is_new = at - last_at > _MAX_GAP_STEPS * step
        commands.append(f"{'M' if is_new else 'L'}{x:.1f} {_y(value, low, high):.1f}")
        last_at = at
    return Markup(  # noqa: S704 -- foreign text in it was escaped
        f'<svg class="value" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' preserveAspectRatio="none"><path class="line" d="{"".join(commands)}"/></svg>'
    )


def _drawn(series: ValueSeries) -> Sequence[tuple[float, float]]:
    if series.kind is not CheckKind.TIMESTAMP:
        return series.points
    return [(at, max(0.0, at - value)) for at, value in series.points]


def _y(value: float, low: float, high: float) -> float:
    # Halved first: the difference of two large numbers may be infinite. Half of the least number
    # above zero is zero, so different numbers may have no difference.
    half_range = high / 2 - low / 2
    if half_range <= 0:
        return HEIGHT / 2
    share = (value / 2 - low / 2) / half_range
    return HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN)


def _words(kind: CheckKind, value: float) -> str:
    return format_duration(value) if kind is CheckKind.TIMESTAMP else f"{value:.6g}"
