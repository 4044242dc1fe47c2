"""What lies in every tenant's source, as far as it is to be believed."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from prober.credential import TokenSource
from prober.tokens.sources import SETTLE_SECONDS, Sighting, Source, is_settled, open_source

_LOOKS_AT_A_TIME = 25
_MOST_LOOKS = 12
"""So often a source that keeps changing is looked at in one go: three seconds."""


class SourceWatch:
    """Sources by tenant. `now` tells epoch seconds; `on_news(tenant, sighting)` hears what is new.

    Files are read in a thread. Those who want a source read at the same time share one reading.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        now: Callable[[], float],
        on_news: Callable[[str, Sighting], None],
    ) -> None:
        self._environ = environ
        self._now = now
        self._on_news = on_news
        self._sources: dict[str, Source] = {}
        self._believed: dict[str, Sighting] = {}
        self._seen_since: dict[str, tuple[Sighting, float]] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def add(self, tenant: str, source: TokenSource) -> None:
        """Watch a source, in place of the tenant's last one."""
        self.drop(tenant)
        self._sources[tenant] = open_source(source, self._environ)

    def drop(self, tenant: str) -> None:
        """Watch a tenant's source no longer."""
        for known in (self._sources, self._believed, self._seen_since):
            known.pop(tenant, None)

    async def believed(self, tenant: str) -> Sighting:
        """Return what is in a source; only one that was never read yet makes one wait."""
        if tenant not in self._believed and tenant in self._sources:
            await self.read(tenant)
        return self._believed.get(tenant, Sighting(problem="it has not been read yet"))

    async def load(self) -> None:
        """Read every source, so that each is believed; of one that keeps changing, what it has."""
        for _ in range(_MOST_LOOKS):
            await self.look()
            if self._believed.keys() == self._sources.keys():
                return
            await asyncio.sleep(SETTLE_SECONDS)
        for tenant in self._sources.keys() - self._believed.keys():
            self._believe(tenant, self._seen_since[tenant][0])

    async def look(self, tenants: Iterable[str] | None = None) -> None:
        """Look at these sources once, or at all."""
        names = list(self._sources if tenants is None else tenants)
        asked = [
            (name, self._sources[name], self._believed.get(name))
            for name in names
            if name in self._sources
        ]
        sightings = await asyncio.to_thread(
            lambda: [source.look(known) for _, source, known in asked]
        )
        for (name, source, _), sighting in zip(asked, sightings, strict=True):
            if self._sources.get(name) is source:  # else a reload has taken it away meanwhile
                self._see(name, sighting)

    async def look_around(self, seconds: float) -> None:
        """Look at all sources, a few at a time, so that it takes about so long.

        All at once would hold the event loop: a thread that looks has the interpreter, too.
        """
        names = list(self._sources)
        slices = max(1, -(-len(names) // _LOOKS_AT_A_TIME))
        for number in range(slices):
            await asyncio.sleep(seconds / slices)
            await self.look(names[number::slices])

    async def read(self, tenant: str) -> None:
        """Look at a source until it is believed as it is now."""
        task = self._reading.get(tenant)
        if task is None:
            task = asyncio.create_task(self._read(tenant), name=f"read token of {tenant}")
            self._reading[tenant] = task
            task.add_done_callback(lambda _: self._reading.pop(tenant))
        await asyncio.shield(task)

    async def _read(self, tenant: str) -> None:
        for _ in range(_MOST_LOOKS):
            await self.look([tenant])
            seen = self._seen_since.get(tenant)
            if seen is None or seen[0] == self._believed.get(tenant):
                return
            await asyncio.sleep(SETTLE_SECONDS)

    def _see(self, tenant: str, sighting: Sighting) -> None:
        now = self._now()
        last, since = self._seen_since.get(tenant, (sighting, now))
        if sighting is last and sighting is self._believed.get(tenant):
            return  # as nearly always
        since = since if last == sighting else now
        self._seen_since[tenant] = sighting, since
        if is_settled(sighting, since, now):
            self._believe(tenant, sighting)

    def _believe(self, tenant: str, sighting: Sighting) -> None:
        before = self._believed.get(tenant)
        self._believed[tenant] = sighting
        if before is None or not before.same_content(sighting):
            self._on_news(tenant, sighting)
