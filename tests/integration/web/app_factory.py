"""A site to ask, with a past of its own: real routes on a real socket, and no daemon behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from prober.history.reader import HistoryReader
from prober.history.writer import HistoryWriter, RunEntry
from prober.maintenance import FOREVER, MaintenanceStatus
from prober.metrics.sink import PrometheusSink
from prober.models import ProbeResult, TokenEvent, TokenStatus
from prober.outcomes import FailureKind, Reason, TokenEventKind, TokenState
from prober.stats.aggregates import summarize
from prober.status_tracker import StatusTracker
from prober.version import Build
from prober.web.app import create_app
from prober.web.auth import AccessPolicy
from prober.web.context import WebContext
from prober.web.server import ConnectionManager, listen
from prober.web.tls import WebConfigReloader
from tests.unit.metrics.factories import a_failure, a_probe, a_tenant, an_answer

NOW = 1_763_942_400.0  # 2025-11-24T00:00:00Z
ACME = a_tenant("acme", a_probe(), a_probe("sources"))
BETA = a_tenant("beta")
OPEN = AccessPolicy(writes_are_open=True)
HOSTILE = "<script>alert(1)</script>"


class Installation:
    """What stands behind the site; a test may let things happen."""

    def __init__(self, directory: Path | None) -> None:
        tenants = (ACME, BETA)
        self.now = NOW
        self.tracker = StatusTracker(tenants, NOW - 60)
        self.statuses = {
            each.name: TokenStatus(each.name, each.token, TokenState.VALID, "0123abcd")
            for each in tenants
        }
        self.metrics = PrometheusSink(
            tenants,
            histograms="probe",
            max_loop_lag_seconds=0.05,
            started_at=NOW,
            build=Build("1.2.3"),
        )
        self.directory = directory
        self.asked: list[tuple[str, str]] = []
        self.is_ready = True
        self.stuck_reason: str | None = None
        self.exposition: bytes | None = None  # in place of the true one
        if directory is not None:
            self._write(directory)

    def site(self, *, ad_hoc: bool = False, hosts: tuple[str, ...] = ()) -> WebContext:
        return WebContext(
            tenants={"acme": ACME, "beta": BETA},
            status=lambda name: self.tracker.status(
                name, self.statuses, MaintenanceStatus(None, NOW, FOREVER), self.now
            ),
            changes=lambda name: self.tracker.changes[name],
            self_health=self.metrics.self_health,
            history=None if self.directory is None else HistoryReader(self.directory),
            render_metrics=lambda openmetrics: (
                [self.exposition] if self.exposition else self.metrics.exposition(openmetrics)
            ),
            is_ready=lambda: self.is_ready,
            now=lambda: self.now,
            stuck_reason=lambda: self.stuck_reason,
            run_once=self.run_once if ad_hoc else None,
            allowed_hosts=hosts,
        )

    def record(self, result: ProbeResult) -> None:
        self.tracker.on_result(result)
        self.metrics.on_result(result)

    async def run_once(self, tenant: str, probe: str) -> ProbeResult:
        self.asked.append((tenant, probe))
        return replace(an_answer(), tenant=tenant, probe=probe)

    def _write(self, directory: Path) -> None:
        file = HistoryWriter.open(directory, lambda _path, _why: None)
        bad = replace(a_failure(FailureKind.DNS), started_at=NOW - 600)
        worse = an_answer(Reason.SERVER_ERROR, status=500)
        hostile = replace(worse.verdict, evidence=HOSTILE, facts={"message": HOSTILE})
        worse = replace(worse, started_at=NOW - 300, verdict=hostile)
        well = replace(an_answer(), started_at=NOW - 60)
        event = TokenEvent(TokenEventKind.ACCEPTED, NOW - 900, self.statuses["acme"])
        file.write(
            [
                RunEntry(summarize(bad), bad),
                RunEntry(summarize(worse), worse),
                RunEntry(summarize(well)),
                event,
            ]
        )
        file.close()


@asynccontextmanager
async def served(
    site: WebContext, access: AccessPolicy = OPEN
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a site, and yield a client whose addresses begin with `/`."""
    web_config = WebConfigReloader(access)
    listening = await listen(
        create_app(site, web_config), "127.0.0.1", 0, ConnectionManager(web_config)
    )
    try:
        async with aiohttp.ClientSession(listening.url) as client:
            yield client
    finally:
        await listening.close()
