"""One verdict for a human: whose it is, why, what that rests on, and what to do. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from prober.credential import TokenView
from prober.model import Exchange, Expectations, Verdict
from prober.outcomes import Counterpart, Culprit, Provenance
from prober.verdict.identity import IDENTITY_RULES
from prober.verdict.one_line import one_line
from prober.verdict.rules import RULES, Row, row_of
from prober.verdict.seen import see
from prober.views.marks import headline, in_ascii, milliseconds, sign, style
from prober.views.waterfall import Waterfall

_SHOWN_CHARACTERS = 300
_ANSWERED = {
    Provenance.PLATFORM: "the platform",
    Provenance.INTERMEDIARY: "an intermediary, not the platform",
    Provenance.NOBODY: "nobody",
}
NEXT_STEPS: Mapping[Culprit, str] = MappingProxyType(
    {
        Culprit.CREDENTIAL: "look at the tenant's token and its permissions",
        Culprit.REQUEST: "look at what the probe asks: the platform is well and refuses it",
        Culprit.PLATFORM: "raise it with the platform's support, with the facts below",
        Culprit.NETWORK: "look between prober and platform: name, route, TLS, proxy, gateway",
        Culprit.UNDECIDED: "compare with a second location: if it fails there too, it is the "
        "platform's",
        Culprit.PROBER: "look at the prober's own settings and machine: nothing was learned "
        "about the platform",
    }
)


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A rich renderable. `subject` says what was judged; `row` is the rule that decided."""

    subject: str
    exchange: Exchange
    verdict: Verdict
    row: Row
    token: TokenView | None = None
    notes: tuple[str, ...] = ()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the headline, the evidence, the facts, and where the time went."""
        culprit = self.verdict.culprit
        mark = sign(culprit)
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

    def _pairs(self) -> Iterator[tuple[str, str]]:
        verdict, exchange = self.verdict, self.exchange
        if verdict.culprit in NEXT_STEPS:
            yield "next", NEXT_STEPS[verdict.culprit]
        yield "outcome", f"{verdict.outcome}, reason {verdict.reason}, culprit {verdict.culprit}"
        yield "decided by", f"row {self.row.row}: {self.row.when}"
        yield "answered by", _ANSWERED[verdict.provenance]
        if exchange.url:
            yield "request", f"{exchange.method} {exchange.url}"
        if self.token is not None:
            yield "token", f"{self.token.fingerprint} from {self.token.source}"
        if exchange.remote_address is not None:
            reused = " (connection reused)" if exchange.connection_reused else ""
            yield "connected to", exchange.remote_address + reused
        if verdict.latency.server_seconds is not None and exchange.total_seconds == 0:
            server = milliseconds(verdict.latency.server_seconds)
            yield "server time", f"{server} ms; no split, since the total was not saved"


def _safe(text: str, of_style: str = "") -> Text:
    """Keep foreign text a bounded line without control characters."""
    return Text(one_line(text, _SHOWN_CHARACTERS), of_style)


def deciding_row(
    exchange: Exchange, expectations: Expectations, counterpart: Counterpart = Counterpart.API
) -> Row:
    """Return the line of the outcome table, or of the identity server's, that decides."""
    seen = see(exchange, expectations)
    rules = RULES if counterpart is Counterpart.API else IDENTITY_RULES
    return row_of(next(rule for rule in rules if rule.applies(seen)))
