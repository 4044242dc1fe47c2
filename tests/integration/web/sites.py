"""A site to ask, with a past of its own: real routes on a real socket, and no daemon behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from prober.access.keeper import AccessKeeper
from prober.access.rules import Access
from prober.build import Build
from prober.credential import TokenEvent, TokenStatus
from prober.history.archive import Archive
from prober.history.file import HistoryFile, Ran
from prober.maintenance import FOREVER, Maintenance
from prober.model import Result
from prober.outcomes import FailureKind, Reason, TokenEventKind, TokenState
from prober.recorders.board import Board
from prober.recorders.metrics import Metrics
from prober.timeline.tally import run_of
from prober.web.app import create_app
from prober.web.doors import Doors
from prober.web.server import listen
from prober.web.site import Site
from tests.unit.recorders.results import a_failure, a_probe, a_tenant, an_answer

NOW = 1_763_942_400.0  # 2025-11-24T00:00:00Z
ACME = a_tenant("acme", a_probe(), a_probe("sources"))
BETA = a_tenant("beta")
OPEN = Access(writes_are_open=True)
HOSTILE = "<script>alert(1)</script>"


class House:
    """What stands behind the site; a test may let things happen."""

    def __init__(self, directory: Path | None) -> None:
        tenants = (ACME, BETA)
        self.now = NOW
        self.board = Board(tenants, NOW - 60)
        self.statuses = {
            each.name: TokenStatus(each.name, each.token, TokenState.VALID, "0123abcd")
            for each in tenants
        }
        self.metrics = Metrics(
            tenants,
            histograms="probe",
            max_loop_lag_seconds=0.05,
            started_at=NOW,
            build=Build("1.2.3"),
        )
        self.directory = directory
        self.asked: list[tuple[str, str]] = []
        self.is_ready = True
        self.exposition: bytes | None = None  # in place of the true one
        if directory is not None:
            self._write(directory)

    def site(self, *, ad_hoc: bool = False, hosts: tuple[str, ...] = ()) -> Site:
        return Site(
            tenants={"acme": ACME, "beta": BETA},
            standing=lambda name: self.board.standing(
                name, self.statuses, Maintenance(None, NOW, FOREVER), self.now
            ),
            changes=lambda name: self.board.changes[name],
            own_health=self.metrics.own_health,
            archive=None if self.directory is None else Archive(self.directory),
            render_metrics=lambda openmetrics: (
                [self.exposition] if self.exposition else self.metrics.exposition(openmetrics)
            ),
            is_ready=lambda: self.is_ready,
            now=lambda: self.now,
            run_once=self.run_once if ad_hoc else None,
            hosts=hosts,
        )

    def record(self, result: Result) -> None:
        self.board.record(result)
        self.metrics.record(result)

    async def run_once(self, tenant: str, probe: str) -> Result:
        self.asked.append((tenant, probe))
        return replace(an_answer(), tenant=tenant, probe=probe)

    def _write(self, directory: Path) -> None:
        file = HistoryFile.open(directory, lambda _path, _why: None)
        bad = replace(a_failure(FailureKind.DNS), started_at=NOW - 600)
        worse = an_answer(Reason.SERVER_ERROR, status=500)
        hostile = replace(worse.verdict, evidence=HOSTILE, facts={"message": HOSTILE})
        worse = replace(worse, started_at=NOW - 300, verdict=hostile)
        well = replace(an_answer(), started_at=NOW - 60)
        event = TokenEvent(TokenEventKind.ACCEPTED, NOW - 900, self.statuses["acme"])
        file.write([Ran(run_of(bad), bad), Ran(run_of(worse), worse), Ran(run_of(well)), event])
        file.close()


@asynccontextmanager
async def served(site: Site, access: Access = OPEN) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a site, and yield a client whose addresses begin with `/`."""
    keeper = AccessKeeper(access)
    listening = await listen(create_app(site, keeper), "127.0.0.1", 0, Doors(keeper))
    try:
        async with aiohttp.ClientSession(listening.url) as client:
            yield client
    finally:
        await listening.close()
