"""Whether a 401 concerns the token or one route alone: a pure decision over values.

A platform may answer 401 for a route that an identity may not read. So before a token counts as
rejected, another route is requested once with the same token, at most about once a minute:

1.  A probe whose route is known to answer 401, and whose token another probe was accepted with
    since that 401, is refused by its route: no check is needed.
2.  Else, if the last check was a minute ago or more, check.
3.  Else the conclusion of the last check holds, whether it was accepted or not.

An acceptance by a check itself does not count for 1: otherwise a token that dies right after a
check would be noticed one run later than it could be. Times are epoch seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import MappingProxyType

CHECK_INTERVAL_SECONDS = 59.0
"""A second less than a minute: runs that are due each minute start some milliseconds early or late,
and must not wait a whole interval more for that."""

ROUTE_CHECK = "(route check)"
"""What a check's responses are observed under: no probe can have this name."""

_NO_TIMES: Mapping[str, float] = MappingProxyType({})


class RouteDecision(Enum):
    """What a 401 means, or that another route must be requested to know."""

    CHECK = auto()
    ROUTE_UNAUTHORIZED = auto()
    TOKEN_REJECTED = auto()


@dataclass(frozen=True, slots=True)
class RouteCheckState:
    """What is known of the 401s of one tenant's credential.

    `refused_at` has the time of each probe's last 401 until it is accepted, `accepted_at` when
    each probe last started a request that was accepted. `accepted_route` is the route that
    accepted the token in the last check; None if it was refused, or if the check failed otherwise.
    """

    credential: str
    refused_at: Mapping[str, float] = field(default_factory=lambda: _NO_TIMES)
    accepted_at: Mapping[str, float] = field(default_factory=lambda: _NO_TIMES)
    checked_at: float | None = None
    accepted_route: str | None = None


@dataclass(frozen=True, slots=True)
class RouteConclusion:
    """A decision; `accepted_route` names what accepted the token, for the evidence."""

    decision: RouteDecision
    accepted_route: str | None = None


def conclude(state: RouteCheckState, probe: str, now: float) -> RouteConclusion:
    """Return what a 401 of `probe` means now; `state` does not know of this 401 yet."""
    refused_at = state.refused_at.get(probe)
    if refused_at is not None:
        other = _accepted_since(state, probe, refused_at)
        if other is not None:
            return RouteConclusion(RouteDecision.ROUTE_UNAUTHORIZED, other)
    # A check in the future means that the clock was set back.
    if state.checked_at is None or not 0 <= now - state.checked_at < CHECK_INTERVAL_SECONDS:
        return RouteConclusion(RouteDecision.CHECK)
    # What a probe was accepted with after a check that was refused is as good as another check.
    accepted = state.accepted_route or _accepted_since(state, probe, state.checked_at)
    if accepted is None:
        return RouteConclusion(RouteDecision.TOKEN_REJECTED)
    return RouteConclusion(RouteDecision.ROUTE_UNAUTHORIZED, accepted)


def on_refused(state: RouteCheckState, probe: str, at: float) -> RouteCheckState:
    """Return the state after a 401."""
    return replace(state, refused_at={**state.refused_at, probe: at})


def on_accepted(state: RouteCheckState, probe: str, started_at: float) -> RouteCheckState:
    """Return the state after a request that was started at `started_at` and accepted."""
    refused = {name: at for name, at in state.refused_at.items() if name != probe}
    return replace(state, refused_at=refused, accepted_at={**state.accepted_at, probe: started_at})


def on_checked(state: RouteCheckState, accepted_route: str | None, at: float) -> RouteCheckState:
    """Return the state after a check that was begun at `at`."""
    return replace(state, checked_at=at, accepted_route=accepted_route)


def _accepted_since(state: RouteCheckState, probe: str, since: float) -> str | None:
    """Return another probe whose accepted request began after `since`, the latest one."""
    others = [(at, name) for name, at in state.accepted_at.items() if name != probe and at >= since]
    return max(others)[1] if others else None
