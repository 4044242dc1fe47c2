"""What pages and API ask of the rest of the house."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from prober.errors import Problem
from prober.history.archive import Archive
from prober.model import Result, Tenant
from prober.recorders.own_health import OwnHealth
from prober.timeline.standing import TenantStanding

_T = TypeVar("_T")
MAX_READERS = 2

RunOnce = Callable[[str, str], Awaitable[Result]]
"""Runs a tenant's probe once, out of turn; its result counts for nothing."""


Reload = Callable[[], Awaitable[tuple[Problem, ...]]]
"""Reads the configuration anew; returns why it cannot be used."""


@dataclass(frozen=True, slots=True)
class Site:
    """`standing` and `changes` are asked on the event loop; `now` tells epoch seconds.

    `changes` counts what happened to a tenant; `archive` is None without a history, `run_once`
    and `reload` where they are not allowed. `hosts` are names that browsers may use for these.
    """

    tenants: Mapping[str, Tenant]
    standing: Callable[[str], TenantStanding]
    changes: Callable[[str], int]
    own_health: Callable[[], OwnHealth]
    archive: Archive | None
    render_metrics: Callable[[bool], Iterable[bytes]]
    is_ready: Callable[[], bool]
    now: Callable[[], float]
    run_once: RunOnce | None = None
    reload: Reload | None = None
    hosts: tuple[str, ...] = ()
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


async def standings(site: Site, names: Iterable[str]) -> AsyncIterator[TenantStanding]:
    """Yield how tenants stand; after each whoever waits for an answer has his turn.

    A reload may take some away meanwhile: these are passed over.
    """
    for name in tuple(names):
        if name in site.tenants:
            yield site.standing(name)
            await asyncio.sleep(0)


SITE: web.AppKey[Site] = web.AppKey("site", Site)
