"""Where every tenant's token stands in its life: tables for people, documents for programs.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from prober.credential import TokenStatus, foretold_by, shared_with
from prober.outcomes import TokenState
from prober.views.marks import in_ascii, token_sign, token_style

_NOTHING = "-"
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class TokenTable:
    """A rich renderable: a line for each tenant, then what is to be done about those in trouble.

    `statuses` has all tenants, for who shares a token with whom; `shown` names those to show.
    """

    statuses: Mapping[str, TokenStatus]
    shown: Sequence[str]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield how each token stands, where it comes from, and what is to be done."""
        table = _table("tenant", "state", "fingerprint")
        for title in ("first accepted", "last accepted", "expires"):
            table.add_column(title, min_width=10, overflow="fold")
        origins = _table("tenant", "rotations", "shared with", "source")
        for name in self.shown:
            table.add_row(*self._cells(self.statuses[name], ascii_only=options.ascii_only))
            origins.add_row(*self._origin(self.statuses[name]))
        yield table
        yield Text()
        yield origins
        yield Text()
        for name in self.shown:
            remark = remark_on(self.statuses, name)
            if remark is not None:
                yield Text(f"{name}: {remark}")

    def _cells(self, status: TokenStatus, *, ascii_only: bool) -> tuple[Text, ...]:
        state = f"{token_sign(status.state)} {_state(status)}"
        return (
            Text(status.tenant, "bold"),
            Text(in_ascii(state) if ascii_only else state, token_style(status.state)),
            Text(status.fingerprint or _NOTHING),
            Text(_moment(status.first_accepted_at)),
            Text(_moment(status.last_accepted_at)),
            Text(_moment(status.expires_at)),
        )

    def _origin(self, status: TokenStatus) -> tuple[Text, ...]:
        return (
            Text(status.tenant, "bold"),
            Text(str(status.rotations)),
            Text(", ".join(shared_with(self.statuses, status.tenant)) or _NOTHING),
            Text(str(status.source)),
        )


def remark_on(statuses: Mapping[str, TokenStatus], tenant: str) -> str | None:
    """Return what is to be done about a tenant's token, None if it is well."""
    status = statuses[tenant]
    if status.state is TokenState.MISSING:
        return f"there is no token: {status.problem or 'its source has not been read'}"
    if status.state is TokenState.REJECTED:
        return (
            f"rejected since {_moment(status.rejected_since)}; put the user's present token into"
            f" {status.source}, it is picked up without a restart"
        )
    other = foretold_by(statuses, tenant)
    if other is not None:
        return f"holds the token that is already rejected for {other}: its next run will tell"
    return None


def token_document(statuses: Mapping[str, TokenStatus], tenant: str) -> dict[str, object]:
    """Return a tenant's token in the form of `prober token --json`; moments in epoch seconds."""
    status = statuses[tenant]
    return {
        "schema_version": _SCHEMA_VERSION,
        "tenant": tenant,
        "source": str(status.source),
        "fingerprint": status.fingerprint,
        "state": status.state.value,
        "cause": None if status.cause is None else status.cause.value,
        "problem": status.problem,
        "loaded_at_timestamp_seconds": status.loaded_at,
        "first_accepted_at_timestamp_seconds": status.first_accepted_at,
        "last_accepted_at_timestamp_seconds": status.last_accepted_at,
        "rejected_since_timestamp_seconds": status.rejected_since,
        "expires_at_timestamp_seconds": status.expires_at,
        "rotations": status.rotations,
        "shared_with": list(shared_with(statuses, tenant)),
    }


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _state(status: TokenStatus) -> str:
    return status.state if status.cause is None else f"{status.state}: {status.cause}"


def _moment(timestamp: float | None) -> str:
    if timestamp is None:
        return _NOTHING
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%SZ}"
