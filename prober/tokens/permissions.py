"""Which permissions each tenant's user has: what is missing for each probe, and what was lost.

It is known from the responses of `/auth/user`, which the probe `current-user` reads. If a probe is
refused with 403, it is read once more, at most about once a minute, so that the evidence can name
the missing permission. A permission counts as missing for a probe if it was there before, or if it
is not there and the probe is refused: which permissions a route needs is assumed in part, so that a
permission that never was there is no reason to worry while the probe succeeds.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from prober.models import HttpExchange, Probe, ProbeResult, Tenant, TokenEvent, TokenStatus
from prober.models import shared_with as tenants_with_the_same
from prober.outcomes import Endpoint, Reason, TokenEventKind
from prober.permissions import Grants, Permission, missing, missing_message, parse_grants
from prober.sinks import EventSink

CURRENT_USER_PATH = "/auth/user"
MAX_DOCUMENT_BYTES = 256 * 1024
"""A larger body is not parsed: that would delay other probes."""
REREAD_SECONDS = 59.0
_NO_STATUSES: Mapping[str, TokenStatus] = MappingProxyType({})

MissingByProbe = Mapping[str, Mapping[str, bool]]
"""Of each probe: for each permission that it needs, whether it is missing; by API names."""


@dataclass(slots=True)
class _Known:
    """What is known of one tenant's user.

    `held` and `lost` are permissions with their project: those that were there at some time, and
    those of them that are not there any more. `refused` has the probes that were refused in their
    last run.
    `read_at` is when `grants` were read, `asked_at` when they were last read because of a refusal.
    """

    grants: Grants | None = None
    read_at: float = -math.inf
    asked_at: float = -math.inf
    held: set[tuple[str, str | None]] = field(default_factory=set)
    lost: set[tuple[str, str | None]] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


def grants_in(exchange: HttpExchange) -> Grants | None:
    """Return the permissions in a response of `/auth/user`, None if it has none that are known."""
    response = exchange.response
    if response is None or not 0 < len(response.body) <= MAX_DOCUMENT_BYTES:
        return None
    try:
        return parse_grants(json.loads(response.body))
    except (ValueError, RecursionError):
        return None


class PermissionTracker(EventSink):
    """Follows the permissions of all tenants' users. Lives on the event loop.

    `on_change` is called with what is missing for a tenant's probes whenever that changes; `sink`
    gets an event when permissions are lost.
    """

    def __init__(
        self,
        tenants: Iterable[Tenant],
        now: Callable[[], float],
        on_change: Callable[[str, MissingByProbe], None] = lambda _tenant, _missing: None,
        sink: EventSink | None = None,
        statuses: Callable[[], Mapping[str, TokenStatus]] = lambda: _NO_STATUSES,
    ) -> None:
        self._now = now
        self._on_change = on_change
        self._sink = EventSink() if sink is None else sink
        self._statuses = statuses
        self._tenants: dict[str, Tenant] = {}
        self._probes: dict[tuple[str, str], Probe] = {}
        self._known: dict[str, _Known] = {}
        self._reported: dict[str, MissingByProbe] = {}
        self.apply(tenants)

    def apply(self, tenants: Iterable[Tenant]) -> None:
        """Apply a configuration; what is known of tenants stays."""
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._probes = {
            (name, probe.name): probe
            for name, tenant in self._tenants.items()
            for probe in tenant.probes
        }
        self._known = {name: self._known.get(name, _Known()) for name in self._tenants}
        self._reported.clear()
        for name in self._tenants:
            self._report(name)

    def on_result(self, result: ProbeResult) -> None:
        """Read a response of `/auth/user`, and note whether a probe was refused."""
        probe = self._probes.get((result.tenant, result.probe))
        if probe is None or result.endpoint is not Endpoint.API:
            return
        known = self._known[result.tenant]
        if result.verdict.reason is Reason.PERMISSION_DENIED:
            known.refused.add(probe.name)
        elif not result.verdict.succeeded:
            return
        elif probe.shown_path == CURRENT_USER_PATH:
            known.refused.discard(probe.name)
            self._observe(result.tenant, grants_in(result.exchange))
        elif probe.name in known.refused:
            known.refused.discard(probe.name)
        else:  # nearly all results say nothing new
            return
        self._report(result.tenant)

    async def missing_for(
        self, tenant: Tenant, probe: Probe, read: Callable[[], Awaitable[HttpExchange | None]]
    ) -> tuple[Permission, ...] | None:
        """Return what a refused probe lacks; None if that is not known.

        `read` requests `/auth/user`. It is called if what is known does not explain the refusal or
        is a minute old, at most once a minute.
        """
        known = self._known.get(tenant.name)
        if known is None or probe.needs is None:
            return None
        async with known.reading:
            lacking = known.grants and missing(known.grants, probe.needs, probe.project)
            is_explained = bool(lacking) and self._is_recent(known.read_at)
            if not is_explained and not self._is_recent(known.asked_at):
                known.asked_at = self._now()
                exchange = await read()
                if exchange is not None:
                    self._observe(tenant.name, grants_in(exchange))
        if known.grants is None:
            return None
        return missing(known.grants, probe.needs, probe.project)

    def _is_recent(self, at: float) -> bool:
        return 0 <= self._now() - at < REREAD_SECONDS

    def _observe(self, tenant: str, grants: Grants | None) -> None:
        """Note the permissions of a user, and send an event if some were there before."""
        known = self._known.get(tenant)
        if known is None or grants is None:  # removed by a reload, or not readable
            return
        known.grants, known.read_at = grants, self._now()
        newly_lost: dict[str | None, dict[str, Permission]] = {}
        for probe in self._tenants[tenant].probes:
            lacking = {each.name: each for each in missing(grants, probe.needs, probe.project)}
            for need in probe.needs or ():
                key = (need.permission.name, probe.project)
                if need.permission.name not in lacking:
                    known.held.add(key)
                    known.lost.discard(key)
                elif key in known.held and key not in known.lost:
                    known.lost.add(key)
                    newly_lost.setdefault(probe.project, {})[key[0]] = need.permission
        self._report(tenant)
        if newly_lost:
            self._emit(tenant, newly_lost)

    def _emit(self, tenant: str, lost: Mapping[str | None, Mapping[str, Permission]]) -> None:
        statuses = self._statuses()
        if tenant not in statuses:
            return
        parts = [missing_message(each.values(), project) for project, each in lost.items()]
        status = replace(statuses[tenant], problem="; ".join(parts))
        others = tenants_with_the_same(statuses, tenant)
        self._sink.on_token_event(
            TokenEvent(TokenEventKind.PERMISSION_LOST, self._now(), status, others)
        )

    def _report(self, tenant: str) -> None:
        found = {
            probe.name: self._missing_of(self._known[tenant], probe)
            for probe in self._tenants[tenant].probes
        }
        if found != self._reported.get(tenant):
            self._reported[tenant] = found
            self._on_change(tenant, found)

    def _missing_of(self, known: _Known, probe: Probe) -> dict[str, bool]:
        lacking: set[str] = set()
        if known.grants is not None and probe.name in known.refused:
            lacking = {each.name for each in missing(known.grants, probe.needs, probe.project)}
        names = [need.permission.name for need in probe.needs or ()]
        return {name: name in lacking or (name, probe.project) in known.lost for name in names}
