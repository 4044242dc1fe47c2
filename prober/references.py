"""References: URLs outside, which show a fault of the own network apart from the supplier's edge.

While tenants cannot be reached and all references can, the fault is on the path to the supplier or
at its edge. While no reference can be reached either, it is in the prober's own network. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from prober.formatting import format_duration, one_line
from prober.models import HttpExchange, Verdict
from prober.outcomes import Culprit

CHECK_SECONDS = 60.0
"""References are servers of other parties: each gets one request a minute, and no more."""
_STALE_SECONDS = 3 * CHECK_SECONDS
_MAX_PROBLEM_CHARACTERS = 200
_UNCERTAIN = frozenset({Culprit.NETWORK, Culprit.UNDECIDED})


@dataclass(frozen=True, slots=True)
class ReferenceStatus:
    """The last check of a reference. `problem` is None if it was reached; times in epoch seconds.

    `since` is when the present state began.
    """

    url: str
    checked_at: float
    problem: str | None
    since: float

    @property
    def is_reachable(self) -> bool:
        """Whether the reference was reached."""
        return self.problem is None


def reference_problem(url: str, exchange: HttpExchange) -> str | None:
    """Return why a reference was not reached, None if it was.

    Every response of its own proves that it was. A redirect to another host does not: a captive
    portal and many a proxy respond like that. Nor does a 5xx, with which proxies say that they
    cannot reach it.
    """
    if exchange.failure is not None or exchange.response is None:
        detail = "no response" if exchange.failure is None else exchange.failure.detail
        return one_line(detail, _MAX_PROBLEM_CHARACTERS)
    response = exchange.response
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"HTTP {response.status}"
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        return _redirect_problem(url, response.header_values("Location"))
    return None


def _redirect_problem(url: str, locations: Sequence[str]) -> str | None:
    host = urlsplit(url).hostname
    try:
        targets = [urlsplit(urljoin(url, location)).hostname for location in locations]
    except ValueError:
        return "redirects to a Location that is not a URL"
    elsewhere = [target for target in targets if target != host]
    if not elsewhere:
        return None
    return one_line(f"redirects to another host, {elsewhere[0]}", _MAX_PROBLEM_CHARACTERS)


def next_status(
    url: str, before: ReferenceStatus | None, problem: str | None, now: float
) -> ReferenceStatus:
    """Return the status after a check at `now`."""
    is_same = before is not None and before.is_reachable == (problem is None)
    since = before.since if before is not None and is_same else now
    return ReferenceStatus(url, now, problem, since)


def fresh(statuses: Sequence[ReferenceStatus], now: float) -> tuple[ReferenceStatus, ...]:
    """Return the statuses that are not too old to say anything about `now`."""
    return tuple(each for each in statuses if now - each.checked_at <= _STALE_SECONDS)


def with_references(verdict: Verdict, statuses: Sequence[ReferenceStatus], now: float) -> Verdict:
    """Add to a verdict on the network what the references say of it. The culprit stays."""
    known = fresh(statuses, now)
    if verdict.culprit not in _UNCERTAIN or not known:
        return verdict
    reached = sum(each.is_reachable for each in known)
    age = format_duration(now - min(each.checked_at for each in known))
    count = f"{reached} of {len(known)}"
    facts = {**verdict.facts, "references": f"{count} reachable, {age} ago"}
    conclusion = ""
    if reached == 0:
        conclusion = f"; no reference is reachable ({count}): so it is the prober's own network"
    elif reached == len(known):
        conclusion = (
            f"; all references were reachable {age} ago ({count}): the fault is on the path to"
            " the supplier or at its edge, not in the prober's own network"
        )
    return replace(verdict, evidence=verdict.evidence + conclusion, facts=facts)
