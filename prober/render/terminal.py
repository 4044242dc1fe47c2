"""What the command line prints: statuses, tokens, verdicts, and where a request's time went. Pure.

Tables are for terminals; where output is not a terminal, lines of plain text take their place. A
tenant's token is shown once, in the tenant's heading: it is the same for all of its probes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, groupby
from types import MappingProxyType

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from prober.classifier.oauth_rules import IDENTITY_RULES
from prober.classifier.observation import observe
from prober.classifier.rules import (
    CHECK_FAILED_RULE,
    ROUTE_UNAUTHORIZED_RULE,
    RULES,
    RuleDescription,
    describe_rule,
)
from prober.formatting import one_line
from prober.models import (
    CanaryStep,
    Expectations,
    HttpExchange,
    Latency,
    TokenRef,
    TokenSource,
    TokenSourceKind,
    TokenStatus,
    Verdict,
    shared_token_rejected_for,
    shared_with,
)
from prober.outcomes import (
    Culprit,
    Endpoint,
    LatencyComponent,
    Reason,
    Responder,
    ServerTimingAnomaly,
    TokenState,
)
from prober.render.steps import step_lines
from prober.render.text import (
    CAUSES,
    CULPRIT_LABELS,
    headline,
    in_ascii,
    milliseconds,
    style,
    symbol,
    to_terminal_line,
    token_style,
    token_symbol,
)

_NOTHING = "-"
_WAITING = "waiting"
_PAUSED = "paused (token rejected)"
_INDENT = _GAP = "  "
_TITLES = ("tenant, probe", "verdict", "responsible", "server ms", "network", "own")
# verdict, responsible, server, network, own; the first column takes what its names need.
_WIDTHS = (19, 13, -9, -8, -7)
_MIN_NAME_WIDTH = 13
# "platform or network" is too wide for a column.
_SHORT_LABELS = MappingProxyType(
    {**CULPRIT_LABELS, Culprit.NONE: "-", Culprit.UNDECIDED: "undecided"}
)
_CULPRIT_OF = MappingProxyType(
    {LatencyComponent.SERVER: Culprit.PLATFORM, LatencyComponent.NETWORK: Culprit.NETWORK}
)


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One probe. `verdict` is of its last run, None before the first.

    `slow` is the latency component that exceeds its objective, if there is one.
    """

    tenant: str
    environment: str
    probe: str
    token_state: TokenState
    verdict: Verdict | None = None
    token_fingerprint: str | None = None
    slow: LatencyComponent | None = None

    @property
    def is_paused(self) -> bool:
        """Whether the probe is not run because the token was rejected in another probe."""
        if self.token_state is not TokenState.REJECTED or self.verdict is None:
            return False
        return self.verdict.reason is not Reason.TOKEN_REJECTED


@dataclass(frozen=True, slots=True)
class StatusTable:
    """A rich renderable. Rows of one tenant must follow each other."""

    rows: Sequence[StatusRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield a heading and the probes for each tenant, with the same columns for all."""
        names = [name for row in self.rows for name in (f"{_INDENT}{row.probe}", _title(row))]
        room = options.max_width - sum(map(abs, _WIDTHS)) - len(_GAP) * len(_WIDTHS)
        widths = (max(min(max(map(cell_len, names), default=0), room), _MIN_NAME_WIDTH), *_WIDTHS)
        yield to_terminal_line(
            _columns(tuple(Text(title, "dim") for title in _TITLES), widths), options
        )
        for _, group in groupby(self.rows, key=lambda row: (row.tenant, row.environment)):
            members = list(group)
            yield Text()
            yield to_terminal_line(_heading(members[0], widths[0]), options)
            for row in members:
                yield to_terminal_line(_columns(_cells(row), widths), options)


def status_lines(rows: Sequence[StatusRow]) -> tuple[str, ...]:
    """Return one line of plain text for each row."""
    return tuple(map(_line, rows))


def _heading(row: StatusRow, name_width: int) -> Text:
    name = Text(_title(row))
    name.stylize("bold", 0, len(row.tenant))
    gap = max(name_width - name.cell_len, 0)
    state = Text(
        f"{token_symbol(row.token_state)} token {_token(row)}", token_style(row.token_state)
    )
    return name + Text(" " * gap + _GAP) + state


def _title(row: StatusRow) -> str:
    return f"{row.tenant}{_GAP}{row.environment}"


def _cells(row: StatusRow) -> tuple[Text, ...]:
    name, verdict = Text(f"{_INDENT}{row.probe}"), row.verdict
    if verdict is None:
        return name, Text(f"· {_WAITING}", "dim")
    if row.is_paused:
        return name, Text(f"· {_PAUSED}", "dim")
    colour = style(_CULPRIT_OF[row.slow] if row.slow else verdict.culprit)
    return (
        name,
        Text(f"{symbol(verdict.culprit)} {verdict.reason}{_slow_text(row)}", colour),
        Text(_SHORT_LABELS[_CULPRIT_OF[row.slow] if row.slow else verdict.culprit], colour),
        Text(_milliseconds(verdict.latency.server_seconds)),
        Text(_milliseconds(verdict.latency.network_seconds)),
        Text(_milliseconds(verdict.latency.own_seconds)),
    )


def _columns(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Join cells; a negative width aligns to the right.

    Where there are fewer cells than columns, the last cell may be wider than its column.
    """
    line = Text()
    for at, (cell, width) in enumerate(zip(cells, widths, strict=False)):
        if at + 1 < len(cells) or len(cells) == len(widths):
            cell.truncate(abs(width), overflow="ellipsis")
        gap = Text(" " * max(abs(width) - cell.cell_len, 0))
        line += Text(_GAP if at else "") + (gap + cell if width < 0 else cell + gap)
    return line


def _line(row: StatusRow) -> str:
    parts = [f"{row.tenant} ({row.environment}) {row.probe}: "]
    verdict = row.verdict
    if row.is_paused:
        return f"{parts[0]}{_PAUSED}; token {_token(row)}"
    parts.append(_WAITING if verdict is None else f"{headline(verdict)}{_slow_text(row)}")
    if verdict is not None and verdict.latency.server_seconds is not None:
        parts.append(
            f"; server {_milliseconds(verdict.latency.server_seconds)} ms,"
            f" network {_milliseconds(verdict.latency.network_seconds)} ms,"
            f" own {_milliseconds(verdict.latency.own_seconds)} ms"
        )
    return "".join([*parts, f"; token {_token(row)}"])


def _slow_text(row: StatusRow) -> str:
    return f", slow {row.slow}" if row.slow else ""


def _token(row: StatusRow) -> str:
    if row.token_fingerprint is None:
        return row.token_state.value
    return f"{row.token_state} {row.token_fingerprint}"


def _milliseconds(seconds: float | None) -> str:
    return _NOTHING if seconds is None else milliseconds(seconds)


_CREDENTIALS = "/run/credentials/"
_NO_VALUE = "-"


@dataclass(frozen=True, slots=True)
class TokenTable:
    """A rich renderable: a line for each tenant, then what to do about failing tokens.

    `statuses` has all tenants, to find shared tokens; `shown` names those to show.
    """

    statuses: Mapping[str, TokenStatus]
    shown: Sequence[str]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the state of each token, where it comes from, and what to do."""
        table = _table("tenant", "state", "fingerprint")
        for title in ("first accepted", "last accepted", "expires"):
            table.add_column(title, min_width=10, overflow="fold")
        sources = _table("tenant", "rotations", "shared with", "source")
        for name in self.shown:
            table.add_row(*self._cells(self.statuses[name], ascii_only=options.ascii_only))
            sources.add_row(*self._source_cells(self.statuses[name]))
        yield table
        yield Text()
        yield sources
        yield Text()
        for name in self.shown:
            remark = token_remark(self.statuses, name)
            if remark is not None:
                yield Text(f"{name}: {remark}")

    def _cells(self, status: TokenStatus, *, ascii_only: bool) -> tuple[Text, ...]:
        state = f"{token_symbol(status.state)} {_state(status)}"
        return (
            Text(status.tenant, "bold"),
            Text(in_ascii(state) if ascii_only else state, token_style(status.state)),
            Text(status.fingerprint or _NO_VALUE),
            Text(_timestamp(status.first_accepted_at)),
            Text(_timestamp(status.last_accepted_at)),
            Text(_timestamp(status.expires_at)),
        )

    def _source_cells(self, status: TokenStatus) -> tuple[Text, ...]:
        return (
            Text(status.tenant, "bold"),
            Text(str(status.rotations)),
            Text(", ".join(shared_with(self.statuses, status.tenant)) or _NO_VALUE),
            Text(str(status.source)),
        )


def token_remark(statuses: Mapping[str, TokenStatus], tenant: str) -> str | None:
    """Return what to do about a tenant's token, None if nothing is wrong."""
    status = statuses[tenant]
    if status.state is TokenState.MISSING:
        return f"no token: {status.problem or 'its source has not been read'}"
    if status.state is TokenState.REJECTED:
        return f"rejected since {_timestamp(status.rejected_since)}; {token_remedy(status.source)}"
    other = shared_token_rejected_for(statuses, tenant)
    if other is not None:
        return f"uses the same token as {other}, where it is rejected"
    return None


def token_remedy(source: TokenSource) -> str:
    """Return what to do about a rejected token, which depends on where it comes from."""
    if source.client is not None:
        secret = source.client.secret
        return (
            f"check the rights and the scope of the OAuth client {source.client.client_id}, and"
            f" put its current secret into {_place(secret)}"
        )
    return f"put the user's current token into {_place(source)}"


def _place(source: TokenSource) -> str:
    """Return where a secret is to be put, and what has to be done for the prober to use it."""
    if source.kind is TokenSourceKind.ENVIRONMENT:
        return (
            f"{source}, and restart the prober: a running process does not see a changed"
            " environment"
        )
    if source.location.startswith(_CREDENTIALS):
        name = source.location.rpartition("/")[2]
        return (
            f"the file that the unit loads the credential {name} from, and restart the service:"
            " systemd copies credentials at the start"
        )
    return f"{source}, no restart is needed"


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _state(status: TokenStatus) -> str:
    return status.state if status.cause is None else f"{status.state}: {CAUSES[status.cause]}"


def _timestamp(timestamp: float | None) -> str:
    if timestamp is None:
        return _NO_VALUE
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%SZ}"


_NAME_CELLS = 8  # "transfer"
_MAX_WIDTH = 120
_UNIT = " ms"
_WATERFALL_INDENT = "  "
_SERVER, _NETWORK, _UNKNOWN, _OWN = "█", "░", "▒", "·"
_STYLES = {_SERVER: "cyan", _NETWORK: "blue", _UNKNOWN: "dim", _OWN: "magenta"}
_NO_SPLIT = {
    ServerTimingAnomaly.MISSING: "no Server-Timing total",
    ServerTimingAnomaly.UNPARSABLE: "an unreadable Server-Timing total",
    ServerTimingAnomaly.EXCEEDS_TOTAL: "a Server-Timing total above the whole",
}
_TENTHS_PER_SECOND = 10_000  # tenths of a millisecond: what is printed
_MIN_SHOWN_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A rich renderable, at most 120 cells wide; nothing when the exchange has no phases.

    The server time is drawn from the start of `wait`: the server cannot start before the request
    was sent, and Server-Timing does not say when it did. Each share has a fill of its own, so that
    the bars can be read without colours.
    """

    exchange: HttpExchange
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
        fixed_cells = 2 * len(_WATERFALL_INDENT) + _NAME_CELLS + 1 + number_cells + len(_UNIT)
        bar_cells = max(min(options.max_width, _MAX_WIDTH) - fixed_cells, 1)
        for (name, _), bar, number in zip(pairs, self._bars(bar_cells), numbers, strict=True):
            failed = self.exchange.failure is not None and name == _last_on_the_wire(pairs)
            yield to_terminal_line(
                Text("✗ " if failed else _WATERFALL_INDENT)
                + Text(f"{name:<{_NAME_CELLS}} ", "bold" if failed else "")
                + bar
                + Text(f"{_WATERFALL_INDENT}{number:>{number_cells}}{_UNIT}"),
                options,
            )
        gap = " " * (bar_cells + 1 + len(_WATERFALL_INDENT))
        yield to_terminal_line(
            Text(
                f"{_WATERFALL_INDENT}{'total':<{_NAME_CELLS}}{gap}{total:>{number_cells}}{_UNIT}",
                "bold",
            ),
            options,
        )
        yield to_terminal_line(self._legend(), options)

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
        """Return which part (0 to 1) of a phase is the server's; None if it is unknown."""
        if name not in {"wait", "transfer"}:
            return 0.0
        server = self.latency.server_seconds
        if server is None or seconds <= 0:
            return None if name == "wait" else 0.0
        before = (self.exchange.phases.wait or 0.0) if name == "transfer" else 0.0
        return min(max(server - before, 0.0) / seconds, 1.0)

    def _legend(self) -> Text:
        latency, legend = self.latency, Text(_WATERFALL_INDENT)
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
        if bound >= _MIN_SHOWN_SECONDS:
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


_SHOWN_CHARACTERS = 300
_RESPONDERS = {
    Responder.PLATFORM: "the platform",
    Responder.INTERMEDIARY: "an intermediary, not the platform",
    Responder.NOBODY: "nobody",
}
NEXT_STEPS: Mapping[Culprit, str] = MappingProxyType(
    {
        Culprit.CREDENTIAL: "check the tenant's token and its permissions",
        Culprit.REQUEST: "check the probe's request: the platform works and rejects it",
        Culprit.TENANT: "check the tenant's set-up and use: quotas, licences, integrations",
        Culprit.PLATFORM: "open a ticket with the platform's support, with the facts below",
        Culprit.NETWORK: "check the path to the platform: DNS, routing, TLS, proxy, gateway",
        Culprit.UNDECIDED: "compare with a second location: if it fails there too, the "
        "platform is responsible",
        Culprit.PROBER: "check the prober's configuration and host: this says nothing "
        "about the platform",
    }
)


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A rich renderable. `subject` names what was classified; `rule` is the rule that matched."""

    subject: str
    exchange: HttpExchange
    verdict: Verdict
    rule: RuleDescription
    token: TokenRef | None = None
    notes: tuple[str, ...] = ()
    steps: tuple[CanaryStep, ...] = ()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the headline, the evidence, the facts, and where the time went."""
        culprit = self.verdict.culprit
        mark = symbol(culprit)
        heading = Table.grid(expand=True, padding=(0, 2, 0, 0))
        heading.add_column(ratio=1)
        heading.add_column(justify="right", overflow="ellipsis", no_wrap=True)
        heading.add_row(
            Text(
                f"{in_ascii(mark) if options.ascii_only else mark} {headline(self.verdict)}",
                f"bold {style(culprit)}",
            ),
            _safe(self.subject, "dim"),
        )
        yield heading
        yield Padding(Text(self.verdict.evidence), (0, 2), expand=False)
        for note in self.notes:
            yield Padding(_safe(f"note: {note}", "italic"), (0, 2), expand=False)
        yield Text()
        yield Padding(self._details(), (0, 2), expand=False)
        if self.verdict.checks:
            yield Text()
            yield Padding(self._checks(ascii_only=options.ascii_only), (0, 2), expand=False)
        if self.steps:
            yield Text()
            yield Padding(Text("\n".join(step_lines(self.steps))), (0, 2), expand=False)
        if self.exchange.phases.as_pairs():
            yield Text()
            yield Waterfall(self.exchange, self.verdict.latency)

    def _details(self) -> Table:
        details = Table.grid(padding=(0, 2, 0, 0))
        details.add_column(style="dim", no_wrap=True)
        details.add_column(overflow="fold")
        for name, value in self._pairs():
            details.add_row(name, _safe(value))
        if self.verdict.facts:
            details.add_row()
        for name, value in self.verdict.facts.items():
            details.add_row(name.replace("_", " "), _safe(value))
        return details

    def _checks(self, *, ascii_only: bool) -> Table:
        """Return the results of checks, the failed ones first."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for each in sorted(self.verdict.checks or (), key=lambda result: not result.failed):
            culprit = each.check.culprit if each.failed else Culprit.NONE
            mark = symbol(culprit)
            table.add_row(
                Text(in_ascii(mark) if ascii_only else mark, style(culprit)),
                each.check.name,
                _safe(each.message),
            )
        return table

    def _pairs(self) -> Iterator[tuple[str, str]]:
        verdict, exchange = self.verdict, self.exchange
        if verdict.culprit in NEXT_STEPS:
            yield "next step", NEXT_STEPS[verdict.culprit]
        yield "outcome", f"{verdict.outcome}, reason {verdict.reason}, culprit {verdict.culprit}"
        yield "rule", f"{self.rule.number}: {self.rule.when}"
        yield "response from", _RESPONDERS[verdict.responder]
        if exchange.url:
            yield "request", f"{exchange.method} {exchange.url}"
        if self.token is not None:
            yield "token", f"{self.token.fingerprint} from {self.token.source}"
        if exchange.remote_address is not None:
            reused = " (connection reused)" if exchange.connection_reused else ""
            yield "connected to", exchange.remote_address + reused
        if verdict.latency.server_seconds is not None and exchange.total_seconds == 0:
            server = milliseconds(verdict.latency.server_seconds)
            yield "server time", f"{server} ms; not split, since the recording has no total"


def _safe(text: str, of_style: str = "") -> Text:
    """Return foreign text as a bounded line without control characters."""
    return Text(one_line(text, _SHOWN_CHARACTERS), of_style)


def deciding_rule(
    exchange: HttpExchange,
    expectations: Expectations,
    endpoint: Endpoint = Endpoint.API,
    reason: Reason | None = None,
) -> RuleDescription:
    """Return the rule of the outcome table, or of the identity server's table, that matches.

    `reason` is the verdict's: some take more than this exchange to know.
    """
    if reason is Reason.ROUTE_UNAUTHORIZED:
        return ROUTE_UNAUTHORIZED_RULE
    if reason is Reason.CHECK_FAILED:
        return CHECK_FAILED_RULE
    seen = observe(exchange, expectations)
    rules = RULES if endpoint is Endpoint.API else IDENTITY_RULES
    return describe_rule(next(rule for rule in rules if rule.applies(seen)))
