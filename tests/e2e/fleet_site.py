"""The pages over many tenants with a known day behind them, in the test's own process.

A `Fleet` has real routes, templates and live updates, and no daemon: a test records what happens.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prober.history.annotations import AnnotationStore
from prober.history.reader import HistoryReader
from prober.history.writer import HistoryWriter, RunEntry
from prober.maintenance import FOREVER, MaintenanceStatus
from prober.metrics.sink import PrometheusSink
from prober.models import ProbeResult, Tenant, TokenStatus
from prober.outcomes import FailureKind, Reason, RejectionCause, TokenState
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_start, summarize
from prober.status_tracker import StatusTracker
from prober.version import Build
from prober.web.app import create_app
from prober.web.context import WebContext
from prober.web.server import listen
from tests.unit.metrics.factories import a_failure, a_probe, a_tenant, an_answer

PROBES = ("current-user", "datasets", "sources", "stream-fetch", "triggers")
ENVIRONMENTS = ("production", "production", "staging", "development")
TEAMS = ("payments", "claims", "service-desk")
DAY_BUCKETS = 96
TROUBLE = {
    # number of the tenant: what fails, and on how many probes
    3: (Reason.SERVER_ERROR, 3),
    120: (Reason.TOKEN_REJECTED, 5),
    212: (Reason.CONNECTION_REFUSED, 5),
    255: (Reason.ROUTE_UNAUTHORIZED, 1),
}


def tenant_name(number: int) -> str:
    return f"cust-{number:03}"


class Fleet:
    """Some tenants that have run for a day; `record` changes their state."""

    def __init__(
        self,
        size: int,
        directory: Path | None = None,
        *,
        probes: int = 5,
        names: tuple[str, ...] = (),
    ) -> None:
        probe_names, tenant_names = PROBES[:probes], names or tuple(map(tenant_name, range(size)))
        self.tenants: dict[str, Tenant] = {
            tenant_names[number]: replace(
                a_tenant(tenant_names[number], *map(a_probe, probe_names)),
                environment=ENVIRONMENTS[number % len(ENVIRONMENTS)],
                labels={"team": TEAMS[number % len(TEAMS)]},
            )
            for number in range(size)
        }
        self.probes = probe_names
        every = tuple(self.tenants.values())
        self.now: Callable[[], float] = time.time
        self.directory = directory
        self.annotations = AnnotationStore(directory or Path())
        self.tracker = StatusTracker(every, self.now() - 60)
        self.statuses = {
            each.name: TokenStatus(
                each.name,
                each.token,
                TokenState.VALID,
                f"{number:08x}",
                expires_at=self.now() + 86_400 * (20 + number % 30) if number % 3 else None,
            )
            for number, each in enumerate(every)
        }
        self.metrics = PrometheusSink(
            every,
            histograms="tenant",
            max_loop_lag_seconds=0.05,
            started_at=self.now() - 3600,
            build=Build("1.2.3"),
        )
        self.metrics.heartbeat(self.now(), 20)
        self.metrics.configuration_loaded(self.now() - 3600, "0123abcd")
        self._restore_a_day()
        for number, name in enumerate(self.tenants):
            for at in range(len(self.probes)):
                self.succeed(name, at, server=0.08 + (number * 37 % 90) / 400)

    def succeed(self, tenant: str, probe: int = 0, server: float = 0.1) -> None:
        well = an_answer(server=server, network=0.02, certificate_expiry=self.now() + 56 * 86_400)
        self.record(tenant, probe, well)

    def fail(self, tenant: str, reason: Reason, probes: int = 1) -> None:
        kinds = {kind.value: kind for kind in FailureKind}
        for at in range(probes):
            kind = kinds.get(reason.value)
            self.record(tenant, at, a_failure(kind) if kind else an_answer(reason, status=500))
        if reason is Reason.TOKEN_REJECTED:
            self.statuses[tenant] = replace(
                self.statuses[tenant],
                state=TokenState.REJECTED,
                cause=RejectionCause.SUPERSEDED,
                rejected_since=self.now() - 360,
            )

    def record(self, tenant: str, probe: int, result: ProbeResult) -> None:
        known = replace(result, tenant=tenant, probe=self.probes[probe], started_at=self.now() - 1)
        self.tracker.on_result(known)
        self.metrics.on_result(known)
        if self.directory is not None:
            file = HistoryWriter.open(self.directory, lambda _path, _why: None)
            failure = None if known.verdict.succeeded else known
            file.write([RunEntry(summarize(known), failure, known.verdict.facts)])
            file.close()

    def with_trouble(self) -> "Fleet":
        """Make a few tenants fail, if there are so many."""
        names = list(self.tenants)
        for number, (reason, probes) in TROUBLE.items():
            self.fail(names[number % len(names)], reason, min(probes, len(self.probes)))
        return self

    def add(self, tenant: str, environment: str) -> None:
        """Do what a reload does."""
        added = replace(a_tenant(tenant, *map(a_probe, self.probes)), environment=environment)
        self.tenants[tenant] = added
        self.statuses[tenant] = TokenStatus(tenant, added.token, TokenState.VALID, "fedcba98")
        self.tracker.apply(tuple(self.tenants.values()))

    def remove(self, tenant: str) -> None:
        """Do what a reload does."""
        del self.tenants[tenant]
        self.tracker.apply(tuple(self.tenants.values()))

    def site(self) -> WebContext:
        return WebContext(
            tenants=self.tenants,
            status=lambda name: self.tracker.status(
                name, self.statuses, MaintenanceStatus(None, self.now(), FOREVER), self.now()
            ),
            changes=lambda name: self.tracker.changes[name],
            self_health=self.metrics.self_health,
            history=None if self.directory is None else HistoryReader(self.directory),
            render_metrics=self.metrics.exposition,
            is_ready=lambda: True,
            now=self.now,
            annotations=None if self.directory is None else self.annotations,
        )

    def _restore_a_day(self) -> None:
        last = bucket_start(self.now())
        starts = [last - BUCKET_SECONDS * ago for ago in range(1, DAY_BUCKETS)]
        runs = 15 * len(self.probes)
        buckets: dict[str, dict[int, TimeBucket]] = {}
        for number, name in enumerate(self.tenants):
            well = TimeBucket(
                none=runs, splits=runs, server_seconds=runs * 0.1, network_seconds=1.0
            )
            buckets[name] = dict.fromkeys(starts, well)
            if number % 5 == 0:  # something once failed
                buckets[name][starts[number % 90]] = replace(well, none=runs - 3, platform=3)
        self.tracker.restore(buckets, (), self.now() - 86_400)


class LiveSite:
    """A served fleet; its methods may be called from the test's thread."""

    def __init__(self, fleet: Fleet, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.fleet = fleet
        self.url = url
        self._loop = loop
        self._resumed = threading.Event()

    def do(self, change: Callable[[], None]) -> None:
        """Run an action on the site's event loop."""

        async def run() -> None:
            change()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def wait_for(self, change: Coroutine[object, object, None]) -> None:
        """Run a coroutine on the site's event loop."""
        asyncio.run_coroutine_threadsafe(change, self._loop).result(30)

    def hang(self) -> None:
        """Stop the event loop, as SIGSTOP would; connections stay open."""
        self._resumed.clear()
        self._loop.call_soon_threadsafe(self._resumed.wait)

    def resume(self) -> None:
        self._resumed.set()


@contextmanager
def served(fleet: Fleet) -> Iterator[LiveSite]:
    """Serve a fleet beside a test that does not know asyncio."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="site")
    thread.start()
    serving = listen(create_app(fleet.site()), "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(serving, loop).result(30)
    site = LiveSite(fleet, server.url, loop)
    try:
        yield site
    finally:
        site.resume()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(30)
        loop.run_in_executor(None, int)
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
