"""Where the time of one exchange went: a bar for each phase, the server's share marked. Pure.

The server's own time is drawn from the start of `wait`, since it cannot begin before the request
was sent; what the header does not say is where within the wait it lies. Each share has a fill of
its own, so that the picture needs no colour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.console import Console, ConsoleOptions
from rich.text import Text

from prober.model import Exchange, Latency
from prober.outcomes import ServerTimingAnomaly
from prober.views.marks import fit

_NAME_CELLS = 8  # "transfer"
_WIDEST = 120
_UNIT = " ms"
_INDENT = "  "
_SERVER, _NETWORK, _UNKNOWN, _OWN = "█", "░", "▒", "·"
_STYLES = {_SERVER: "cyan", _NETWORK: "blue", _UNKNOWN: "dim", _OWN: "magenta"}
_NO_SPLIT = {
    ServerTimingAnomaly.MISSING: "no Server-Timing total",
    ServerTimingAnomaly.UNPARSABLE: "an unreadable Server-Timing total",
    ServerTimingAnomaly.EXCEEDS_TOTAL: "a Server-Timing total above the whole",
}
_TENTHS_PER_SECOND = 10_000  # tenths of a millisecond: what is printed
_WORTH_TELLING_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A rich renderable, at most 120 cells wide; nothing when the exchange has no phases."""

    exchange: Exchange
    latency: Latency

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield one line a phase, the total, and what the fills mean."""
        pairs = self.exchange.phases.as_pairs()
        if not pairs:
            return
        tenths = printed_tenths([seconds for _, seconds in pairs], self.exchange.total_seconds)
        numbers = [_number(each) for each in tenths]
        total = _number(round(self.exchange.total_seconds * _TENTHS_PER_SECOND))
        number_cells = max(map(len, (*numbers, total)))
        fixed_cells = 2 * len(_INDENT) + _NAME_CELLS + 1 + number_cells + len(_UNIT)
        bar_cells = max(min(options.max_width, _WIDEST) - fixed_cells, 1)
        for (name, _), bar, number in zip(pairs, self._bars(bar_cells), numbers, strict=True):
            failed = self.exchange.failure is not None and name == _last_on_the_wire(pairs)
            yield fit(
                Text("✗ " if failed else _INDENT)
                + Text(f"{name:<{_NAME_CELLS}} ", "bold" if failed else "")
                + bar
                + Text(f"{_INDENT}{number:>{number_cells}}{_UNIT}"),
                options,
            )
        gap = " " * (bar_cells + 1 + len(_INDENT))
        yield fit(
            Text(f"{_INDENT}{'total':<{_NAME_CELLS}}{gap}{total:>{number_cells}}{_UNIT}", "bold"),
            options,
        )
        yield fit(self._legend(), options)

    def _bars(self, bar_cells: int) -> Iterator[Text]:
        pairs = self.exchange.phases.as_pairs()
        ends = list(accumulate(seconds for _, seconds in pairs))
        whole = max(ends[-1], self.exchange.total_seconds) or 1.0
        for (name, seconds), end in zip(pairs, ends, strict=True):
            start = end - seconds
            first = min(round(start / whole * bar_cells), bar_cells - 1)
            last = max(round(end / whole * bar_cells), first + 1)
            share = self._server_share(name, seconds)
            filled = _filled(last - first, share, name)
            yield Text(" " * first) + filled + Text(" " * (bar_cells - last))

    def _server_share(self, name: str, seconds: float) -> float | None:
        """Return which part (0 to 1) of a phase is the server's; None where nobody knows."""
        if name not in {"wait", "transfer"}:
            return 0.0
        server = self.latency.server_seconds
        if server is None or seconds <= 0:
            return None if name == "wait" else 0.0
        before = (self.exchange.phases.wait or 0.0) if name == "transfer" else 0.0
        return min(max(server - before, 0.0) / seconds, 1.0)

    def _legend(self) -> Text:
        latency, legend = self.latency, Text(_INDENT)
        if latency.server_seconds is not None and latency.network_seconds is not None:
            parts = [latency.server_seconds, latency.network_seconds, latency.own_seconds]
            server, network, own = printed_tenths(parts, latency.total_seconds)
            legend += Text(_SERVER, _STYLES[_SERVER]) + Text(f" server {_number(server)} ms   ")
            legend += Text(_NETWORK, _STYLES[_NETWORK])
            legend += Text(f" network {_number(network)} ms")
            if own:
                legend += Text("   ") + Text(_OWN, _STYLES[_OWN]) + Text(f" own {_number(own)} ms")
        elif self.exchange.failure is not None:
            legend += Text("✗ failed in this phase", "dim")
        else:
            why = "" if latency.anomaly is None else f": {_NO_SPLIT[latency.anomaly]}"
            legend += Text(_UNKNOWN, _STYLES[_UNKNOWN]) + Text(f" not split{why}", "dim")
        exchange = self.exchange
        timed_by_kernel = exchange.timing_fallback is None
        bound = exchange.timing_bound_seconds if timed_by_kernel else exchange.loop_lag_seconds
        if bound >= _WORTH_TELLING_SECONDS:
            doubt = _number(round(bound * _TENTHS_PER_SECOND))
            legend += Text(f"   measured to within {doubt} ms", "dim")
        return legend


def printed_tenths(parts_seconds: Sequence[float], total_seconds: float) -> list[int]:
    """Return the parts in tenths of a millisecond, rounded so that they add up to the total.

    Parts that do not add up to it before rounding are rounded each for itself.
    """
    exact = [seconds * _TENTHS_PER_SECOND for seconds in parts_seconds]
    rest = round(total_seconds * _TENTHS_PER_SECOND) - sum(map(int, exact))
    if not 0 <= rest <= len(exact):
        return [round(each) for each in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: int(exact[at]) - exact[at])
    raised = set(by_remainder[:rest])
    return [int(each) + (at in raised) for at, each in enumerate(exact)]


def _last_on_the_wire(pairs: Sequence[tuple[str, float]]) -> str:
    """Return the phase in which a failure happened: our own time is none."""
    return next((name for name, _ in reversed(pairs) if name != "own"), "")


def _filled(cells: int, share: float | None, name: str) -> Text:
    if name == "own":
        return Text(_OWN * cells, _STYLES[_OWN])
    if share is None:
        return Text(_UNKNOWN * cells, _STYLES[_UNKNOWN])
    server = round(cells * share)
    if name == "wait" and share > 0:
        server = max(server, 1)
    return Text(_SERVER * server, _STYLES[_SERVER]) + Text(
        _NETWORK * (cells - server), _STYLES[_NETWORK]
    )


def _number(tenths: int) -> str:
    return f"{tenths / 10:,.1f}"
