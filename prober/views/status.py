"""How all tenants stand: a table for terminals, lines for everything else. Pure.

A tenant's token is its own affair and not a probe's: it stands once, in the tenant's heading,
beside the environment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from prober.model import Verdict
from prober.outcomes import Culprit, Reason, Side, TokenState
from prober.views.marks import (
    fit,
    headline,
    milliseconds,
    sign,
    style,
    token_sign,
    token_style,
)

_NOTHING = "-"
_WAITING = "waiting"
_HELD_BACK = "held back"
_INDENT = _GAP = "  "
_TITLES = ("tenant, probe", "verdict", "culprit", "server ms", "network ms")
# verdict, culprit, server, network; the first column takes what its names need.
_WIDTHS = (23, 10, -10, -10)
_NARROWEST = 13
_CULPRIT_OF = MappingProxyType({Side.SERVER: Culprit.PLATFORM, Side.NETWORK: Culprit.NETWORK})


@dataclass(frozen=True, slots=True)
class StatusRow:
    """How one probe stands. `verdict` is the last one, None before the first.

    `slow` is the side over its objective, where there is one.
    """

    tenant: str
    environment: str
    probe: str
    token_state: TokenState
    verdict: Verdict | None = None
    token_fingerprint: str | None = None
    slow: Side | None = None

    @property
    def is_held_back(self) -> bool:
        """Whether the probe is not run, since the tenant's token is rejected for another."""
        if self.token_state is not TokenState.REJECTED or self.verdict is None:
            return False
        return self.verdict.reason is not Reason.TOKEN_REJECTED


@dataclass(frozen=True, slots=True)
class StatusTable:
    """A rich renderable; rows of one tenant stand together in the order given."""

    rows: Sequence[StatusRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield a heading and the probes for each tenant, columns aligned over all."""
        names = [name for row in self.rows for name in (f"{_INDENT}{row.probe}", _title(row))]
        room = options.max_width - sum(map(abs, _WIDTHS)) - len(_GAP) * len(_WIDTHS)
        widths = (max(min(max(map(cell_len, names), default=0), room), _NARROWEST), *_WIDTHS)
        yield fit(_columns(tuple(Text(title, "dim") for title in _TITLES), widths), options)
        for _, group in groupby(self.rows, key=lambda row: (row.tenant, row.environment)):
            members = list(group)
            yield Text()
            yield fit(_heading(members[0], widths[0]), options)
            for row in members:
                yield fit(_columns(_cells(row), widths), options)


def status_lines(rows: Sequence[StatusRow]) -> tuple[str, ...]:
    """Return one line of plain text for each row."""
    return tuple(map(_line, rows))


def _heading(row: StatusRow, name_width: int) -> Text:
    name = Text(_title(row))
    name.stylize("bold", 0, len(row.tenant))
    gap = max(name_width - name.cell_len, 0)
    state = Text(f"{token_sign(row.token_state)} token {_token(row)}", token_style(row.token_state))
    return name + Text(" " * gap + _GAP) + state


def _title(row: StatusRow) -> str:
    return f"{row.tenant}{_GAP}{row.environment}"


def _cells(row: StatusRow) -> tuple[Text, ...]:
    name, verdict = Text(f"{_INDENT}{row.probe}"), row.verdict
    if verdict is None:
        return name, Text(f"· {_WAITING}", "dim")
    if row.is_held_back:
        return name, Text(f"· {_HELD_BACK}", "dim")
    colour = style(_CULPRIT_OF[row.slow] if row.slow else verdict.culprit)
    return (
        name,
        Text(f"{sign(verdict.culprit)} {verdict.reason}{_slowness(row)}", colour),
        Text(_CULPRIT_OF[row.slow] if row.slow else verdict.culprit, colour),
        Text(_milliseconds(verdict.latency.server_seconds)),
        Text(_milliseconds(verdict.latency.network_seconds)),
    )


def _columns(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Join cells; a negative width aligns to the right."""
    line = Text()
    for at, (cell, width) in enumerate(zip(cells, widths, strict=False)):
        cell.truncate(abs(width), overflow="ellipsis")
        gap = Text(" " * (abs(width) - cell.cell_len))
        line += Text(_GAP if at else "") + (gap + cell if width < 0 else cell + gap)
    return line


def _line(row: StatusRow) -> str:
    parts = [f"{row.tenant} ({row.environment}) {row.probe}: "]
    verdict = row.verdict
    if row.is_held_back:
        return f"{parts[0]}{_HELD_BACK}; token {_token(row)}"
    parts.append(_WAITING if verdict is None else f"{headline(verdict)}{_slowness(row)}")
    if verdict is not None and verdict.latency.server_seconds is not None:
        parts.append(
            f"; server {_milliseconds(verdict.latency.server_seconds)} ms,"
            f" network {_milliseconds(verdict.latency.network_seconds)} ms"
        )
    return "".join([*parts, f"; token {_token(row)}"])


def _slowness(row: StatusRow) -> str:
    return f", slow {row.slow}" if row.slow else ""


def _token(row: StatusRow) -> str:
    if row.token_fingerprint is None:
        return row.token_state.value
    return f"{row.token_state} {row.token_fingerprint}"


def _milliseconds(seconds: float | None) -> str:
    return _NOTHING if seconds is None else milliseconds(seconds)
