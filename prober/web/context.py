"""What pages and API need from the rest of the daemon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from prober.errors import ConfigProblem
from prober.history.annotations import AnnotationStore, StartedMaintenance
from prober.history.reader import HistoryReader
from prober.metrics.self_health import SelfHealth
from prober.models import ProbeResult, Tenant
from prober.references import ReferenceStatus
from prober.stats.status import TenantStatus
from prober.status_page import SupplierStatus

_T = TypeVar("_T")
MAX_READERS = 2

RunOnce = Callable[[str, str], Awaitable[ProbeResult]]
"""Runs a tenant's probe once, now; the result is not recorded."""


Reload = Callable[[], Awaitable[tuple[ConfigProblem, ...]]]
"""Reloads the configuration; returns why it is invalid, () if it is in use now."""


@dataclass(frozen=True, slots=True)
class WebContext:
    """The data and actions of the daemon; `now` returns epoch seconds.

    `status` and `changes` must be called on the event loop. `changes` counts the changes of a
    tenant's status. `history` is None if it is disabled, `run_once` and `reload` if they are not
    allowed. `allowed_hosts` are the host names that browsers may use for these two.
    """

    tenants: Mapping[str, Tenant]
    status: Callable[[str], TenantStatus]
    changes: Callable[[str], int]
    self_health: Callable[[], SelfHealth]
    history: HistoryReader | None
    render_metrics: Callable[[bool], Iterable[bytes]]
    is_ready: Callable[[], bool]
    now: Callable[[], float]
    stuck_reason: Callable[[], str | None] = lambda: None
    """Returns why probing is stuck, None if it is not; without names or secrets, since anybody may
    read it."""
    supplier: Callable[[], SupplierStatus | None] = lambda: None
    """What the supplier's status page says; None without one."""
    references: Callable[[], tuple[ReferenceStatus, ...]] = lambda: ()
    run_once: RunOnce | None = None
    reload: Reload | None = None
    allowed_hosts: tuple[str, ...] = ()
    is_loopback: bool = False
    """Whether only this machine can reach the server."""
    annotations: AnnotationStore | None = None
    """Notes and maintenance that clients may add; None if that is not allowed."""
    start_maintenance: Callable[[StartedMaintenance], None] = lambda _started: None
    report: Callable[[str, float], str] | None = None
    """Makes the HTML report of the last seconds of a tenant, in a thread; may raise OSError."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Addresses of other pages on a tenant by their names; `{tenant}` and `{environment}` are
    replaced by its name and environment."""
    runbooks: str | None = None
    """The address of the runbooks, without a slash at its end; None if they are not served."""
    route_prefix: str = ""
    """The path before all addresses, such as `/prober`; "" for none."""
    refresh_metrics: Callable[[], int] = lambda: 0
    """Does one step of the preparation of `render_metrics`, on the event loop; returns how many
    steps remain."""
    readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_READERS))

    async def in_thread(self, read: Callable[[], _T]) -> _T:
        """Read the history in a thread; only a few requests read at the same time.

        Each reader takes memory, a thread that others need, and its share of the interpreter.
        """
        async with self.readers:
            return await asyncio.to_thread(read)


async def iter_tenant_status(site: WebContext, names: Iterable[str]) -> AsyncIterator[TenantStatus]:
    """Yield the status of tenants; the event loop can do other work after each one.

    Tenants that a reload removes meanwhile are left out.
    """
    for name in tuple(names):
        if name in site.tenants:
            yield site.status(name)
            await asyncio.sleep(0)


SITE: web.AppKey[WebContext] = web.AppKey("site", WebContext)
