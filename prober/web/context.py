"""What pages and API ask of the rest of the house."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from prober.errors import ConfigProblem
from prober.history.reader import HistoryReader
from prober.metrics.sink import SelfHealth
from prober.models import ProbeResult, Tenant
from prober.stats.status import TenantStatus

_T = TypeVar("_T")
MAX_READERS = 2

RunOnce = Callable[[str, str], Awaitable[ProbeResult]]
"""Runs a tenant's probe once, out of turn; its result counts for nothing."""


Reload = Callable[[], Awaitable[tuple[ConfigProblem, ...]]]
"""Reads the configuration anew; returns why it cannot be used."""


@dataclass(frozen=True, slots=True)
class WebContext:
    """`standing` and `changes` are asked on the event loop; `now` tells epoch seconds.

    `changes` counts what happened to a tenant; `archive` is None without a history, `run_once`
    and `reload` where they are not allowed. `hosts` are names that browsers may use for these.
    """

    tenants: Mapping[str, Tenant]
    status: Callable[[str], TenantStatus]
    changes: Callable[[str], int]
    self_health: Callable[[], SelfHealth]
    history: HistoryReader | None
    render_metrics: Callable[[bool], Iterable[bytes]]
    is_ready: Callable[[], bool]
    now: Callable[[], float]
    run_once: RunOnce | None = None
    reload: Reload | None = None
    allowed_hosts: tuple[str, ...] = ()
    is_loopback: bool = False
    """Whether the server listens where only this machine can reach it."""
    refresh_metrics: Callable[[], int] = lambda: 0
    """Prepares `render_metrics` a little on the event loop; returns how many more steps there
    are."""
    readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_READERS))

    async def in_thread(self, read: Callable[[], _T]) -> _T:
        """Read the history in a thread; of those who ask at the same time, few read at once.

        Each reader takes memory, a thread that others need, and its share of the interpreter.
        """
        async with self.readers:
            return await asyncio.to_thread(read)


async def iter_tenant_status(site: WebContext, names: Iterable[str]) -> AsyncIterator[TenantStatus]:
    """Yield how tenants stand; after each whoever waits for an answer has his turn.

    A reload may take some away meanwhile: these are passed over.
    """
    for name in tuple(names):
        if name in site.tenants:
            yield site.status(name)
            await asyncio.sleep(0)


SITE: web.AppKey[WebContext] = web.AppKey("site", WebContext)
