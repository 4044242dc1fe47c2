"""The steps of a canary's run as bars over time: for a terminal and for pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from prober.formatting import format_latency
from prober.models import CanaryStep

_TEXT_WIDTH = 40
_WIDTH = 600


def step_lines(steps: Sequence[CanaryStep]) -> tuple[str, ...]:
    """Return one line for each step: name, a bar from its start to its end, time and requests.

    The first step is the write; the others are counted from its end.
    """
    offsets = _offsets(steps)
    whole = max((start + seconds for start, seconds in offsets), default=0.0)
    if whole <= 0:
        return ()
    longest = max(len(step.name) for step in steps)
    lines = []
    for step, (start, seconds) in zip(steps, offsets, strict=True):
        left = min(int(start / whole * _TEXT_WIDTH), _TEXT_WIDTH - 1)
        wide = min(max(1, round(seconds / whole * _TEXT_WIDTH)), _TEXT_WIDTH - left)
        bar = f"{' ' * left}{'#' * wide}".ljust(_TEXT_WIDTH)
        requests = "1 request" if step.requests == 1 else f"{step.requests} requests"
        missed = "" if step.succeeded else ", not reached"
        took = f"{format_latency(step.seconds)} ({requests}{missed})"
        lines.append(f"{step.name.ljust(longest)}  {bar}  {took}")
    return tuple(lines)


def steps_element(steps: Iterable[Mapping[str, Any]]) -> Markup:
    """Return the steps of a result's document as bars; nothing without steps."""
    read = [CanaryStep(**step) for step in steps]
    offsets = _offsets(read)
    whole = max((start + seconds for start, seconds in offsets), default=0.0)
    if whole <= 0:
        return Markup("")
    scale = _WIDTH / whole
    rows = "".join(
        f'<div><span>{escape(step.name)}</span><svg viewBox="0 0 {_WIDTH} 14"'
        f' preserveAspectRatio="none"><rect class="{"network" if step.succeeded else "failed"}"'
        f' x="{start * scale:.1f}" y="2" width="{max(seconds * scale, 1.0):.1f}"'
        ' height="10"/></svg>'
        f"<span>{format_latency(step.seconds)}{'' if step.succeeded else ' ✗'}</span></div>"
        for step, (start, seconds) in zip(read, offsets, strict=True)
    )
    texts = ", ".join(
        f"{step.name} {format_latency(step.seconds)}{'' if step.succeeded else ' (not reached)'}"
        for step in read
    )
    label = escape(f"steps of the canary: {texts}")
    return Markup(  # noqa: S704 -- foreign text in it was escaped
        f'<div class="waterfall" role="img" aria-label="{label}">{rows}</div>'
    )


def _offsets(steps: Sequence[CanaryStep]) -> list[tuple[float, float]]:
    """Return start and length of each step, from the start of the first."""
    write = steps[0].seconds if steps else 0.0
    return [
        (0.0 if place == 0 else write + step.started_after_seconds, step.seconds)
        for place, step in enumerate(steps)
    ]
