"""The steps of a canary's run as bars over time: for a terminal and for pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from prober.formatting import format_latency
from prober.models import CanaryStep
from prober.render.elements import (
    WATERFALL_WIDTH,
    waterfall,
    waterfall_bar,
    waterfall_row,
)

_TEXT_WIDTH = 40


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
    scale = WATERFALL_WIDTH / whole
    rows = [
        waterfall_row(
            step.name,
            step.seconds,
            waterfall_bar(
                "network" if step.succeeded else "failed",
                start * scale,
                max(seconds * scale, 1.0),
            ),
            failed=not step.succeeded,
        )
        for step, (start, seconds) in zip(read, offsets, strict=True)
    ]
    texts = ", ".join(
        f"{step.name} {format_latency(step.seconds)}{'' if step.succeeded else ' (not reached)'}"
        for step in read
    )
    return waterfall(f"steps of the canary: {texts}", rows)


def _offsets(steps: Sequence[CanaryStep]) -> list[tuple[float, float]]:
    """Return start and length of each step, from the start of the first."""
    write = steps[0].seconds if steps else 0.0
    return [
        (0.0 if place == 0 else write + step.started_after_seconds, step.seconds)
        for place, step in enumerate(steps)
    ]
