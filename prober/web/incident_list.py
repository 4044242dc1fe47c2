"""The page of all incidents: its filter in the address, and what it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from multidict import MultiDict, MultiMapping

from prober.stats.incidents import IncidentKey
from prober.web import parameters, queries
from prober.web.context import WebContext
from prober.web.queries import IncidentFilter, IncidentsDocument

_PARAMETERS = (
    parameters.SINCE,
    parameters.CURSOR,
    parameters.TENANTS,
    parameters.CULPRITS,
    parameters.ENVIRONMENTS,
)
_INCIDENTS_ON_PAGE = 100


@dataclass(frozen=True, slots=True)
class IncidentList:
    """Which incidents the page shows. `pairs` are the parameters that it was asked for by."""

    since: str
    since_seconds: float
    wanted: IncidentFilter
    cursor: IncidentKey | None
    pairs: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        """The query of the page's address."""
        return urlencode(self.pairs)

    @property
    def link(self) -> Callable[..., str]:
        """Returns the query with other values of some parameters, from the newest incident on."""

        def with_changes(**changes: str) -> str:
            kept = [(k, v) for k, v in self.pairs if k not in changes and k != "cursor"]
            return urlencode([*kept, *changes.items()])

        return with_changes


def parse_list(query: MultiMapping[str]) -> IncidentList:
    """Return what a query asks for; raises BadParameterError. Empty values mean all."""
    pairs = tuple((name, value) for name, value in query.items() if value)
    values: dict[str, Any] = parameters.read(_PARAMETERS, {}, MultiDict(pairs))
    wanted = IncidentFilter(
        frozenset(values["tenant"]), frozenset(values["culprit"]), frozenset(values["environment"])
    )
    since = next((value for name, value in pairs if name == "since"), parameters.SINCE.default)
    return IncidentList(str(since), values["since"], wanted, values["cursor"], pairs)


async def read_list(site: WebContext, shown: IncidentList) -> IncidentsDocument:
    """Return the incidents that the page shows."""
    return await queries.incidents_since(
        site, shown.since_seconds, shown.wanted, limit=_INCIDENTS_ON_PAGE, cursor=shown.cursor
    )
