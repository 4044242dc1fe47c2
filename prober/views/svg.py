"""Pictures for pages and reports, as SVG without styles of its own. Pure.

Colours and patterns are the style sheet's, by class; what a picture says in colour it says in a
label and in titles as well. Numbers are rounded to a tenth of a unit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import groupby

from markupsafe import Markup, escape

from prober.outcomes import Culprit
from prober.timeline.slots import SLOT_SECONDS
from prober.views.quantities import hour_and_minute, latency, moment
from prober.views.standing import SlotDocument
from prober.views.words import WHOSE

STRIP_WIDTH, STRIP_HEIGHT = 960, 28
_A_DAY_SECONDS = 86_400
_LEAST_SHARE = 0.2  # a failure among a thousand runs must still be seen
_BAD = tuple(culprit for culprit in Culprit if culprit is not Culprit.NONE)


@dataclass(frozen=True, slots=True)
class _Cell:
    """How one slot is drawn: the classes from the top, with their shares of the height."""

    parts: tuple[tuple[str, float], ...]
    says: str


def strip_svg(
    slots: Sequence[SlotDocument],
    label: str,
    step_seconds: int = SLOT_SECONDS,
    zone: tzinfo = UTC,
) -> Markup:
    """Return a strip: full of good, failures hanging from the top by their share."""
    told = hour_and_minute if len(slots) * step_seconds <= _A_DAY_SECONDS else moment
    width = STRIP_WIDTH / max(len(slots), 1)
    shapes: list[str] = []
    cells = [(_cell(slot), slot) for slot in slots]
    position = 0
    for cell, group in groupby(cells, key=lambda pair: pair[0]):
        members = [slot for _, slot in group]
        began, ended = members[0].start, members[-1].start + step_seconds
        says = f"{told(began, zone)} to {told(ended, zone)}: {cell.says}"
        shapes.append(_column(cell, position * width, len(members) * width, says))
        position += len(members)
    return _picture("strip", STRIP_WIDTH, STRIP_HEIGHT, strip_label(slots, label), shapes)


def strip_label(slots: Iterable[SlotDocument], label: str) -> str:
    """Return in words what a strip shows."""
    known = [slot for slot in slots if slot.runs or slot.held_back or slot.in_maintenance]
    if not known:
        return f"{label}: nothing is known"
    runs = sum(slot.runs for slot in known)
    failures = {culprit: sum(slot.by_culprit.get(culprit, 0) for slot in known) for culprit in _BAD}
    told = [f"{number} {WHOSE[culprit]}" for culprit, number in failures.items() if number]
    return f"{label}: {runs} runs, failures: {', '.join(told) or 'none'}"


def latency_svg(slots: Sequence[SlotDocument], height: int = STRIP_HEIGHT) -> Markup:
    """Return the mean time of answers, the network's on top of the server's."""
    most = most_latency(slots)
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


def latency_label(slots: Iterable[SlotDocument]) -> str:
    """Return in words what a picture of latency shows: its last quarter of an hour."""
    for slot in reversed(list(slots)):
        if slot.server_seconds is not None:
            server, network = latency(slot.server_seconds), latency(slot.network_seconds)
            return (
                f"mean latency of the last quarter of an hour: server {server}, network {network}"
            )
    return "latency: no answer was measured"


def most_latency(slots: Iterable[SlotDocument]) -> float | None:
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
        took = f"{latency(seconds)}{' ✗' if ends else ''}"
        shapes.append(f'<text x="{min(start + wide + 6, 670):.1f}" y="{top + 13}">{took}</text>')
        left += seconds
    told = ", ".join(f"{name} {latency(seconds)}" for name, seconds in known)
    server = "" if server_seconds is None else f"; of these the server {latency(server_seconds)}"
    label = f"where the time went: {told}{server}; total {latency(total_seconds)}"
    return _picture("waterfall", 760, len(known) * row, label, shapes, stretch=False)


def _cell(slot: SlotDocument) -> _Cell:
    if slot.in_maintenance and not slot.runs:
        return _Cell((("maintenance", 1.0),), "in maintenance")
    asked = slot.runs + slot.held_back
    if asked == 0:
        return _Cell((("nothing", 1.0),), "no run")
    bad = [(culprit, slot.by_culprit.get(culprit, 0)) for culprit in _BAD]
    parts = [(culprit.value, number / asked) for culprit, number in bad if number]
    says = [f"{number} {WHOSE[culprit]}" for culprit, number in bad if number]
    if slot.held_back:
        parts.append(("held-back", slot.held_back / asked))
        says.append(f"{slot.held_back} held back")
    shown = [(name, round(max(share, _LEAST_SHARE), 1)) for name, share in parts]
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


def _both(slot: SlotDocument) -> float:
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
