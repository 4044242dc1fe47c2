"""A day that was, written as the daemon would have: runs each minute, with known faults."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from prober.history.writer import Entry, HistoryWriter, RunEntry
from prober.models import ProbeResult
from prober.outcomes import FailureKind, Reason
from prober.stats.aggregates import summarize
from prober.status_page import PublishedStatus, SupplierIncident
from tests.unit.metrics.factories import a_failure, an_answer

PROBES = ("current-user", "datasets", "stream-fetch")


def write_a_day(directory: Path, now: float, hours: float = 24.0) -> None:
    """Write what happened until five minutes ago to the demo's three tenants."""
    directory.mkdir(mode=0o700, exist_ok=True)
    file = HistoryWriter.open(directory, lambda _path, _why: None)
    entries: list[Entry] = [
        RunEntry(summarize(result), None if result.verdict.succeeded else result)
        for minute in range(round(hours * 60), 5, -1)
        for result in _minute(now - minute * 60, minute)
    ]
    file.write(entries)
    while file.pack_hours(now - 600, 500):
        pass
    file.close()


def write_published(directory: Path, now: float) -> None:
    """Write what the supplier's status page said: an incident of half an hour, five hours ago."""
    url = "https://status.example"
    investigating = SupplierIncident(
        "a1",
        "Errors in the European region",
        "major",
        "investigating",
        now - 331 * 60,
        f"{url}/incidents/a1",
        ("Communications Mining",),
    )
    monitoring = replace(investigating, status="monitoring")
    file = HistoryWriter.open(directory, lambda _path, _why: None)
    file.write(
        [
            PublishedStatus(now - 86_400, now - 331 * 60, url),
            PublishedStatus(now - 330 * 60, now - 311 * 60, url, None, (investigating,)),
            PublishedStatus(now - 310 * 60, now - 301 * 60, url, None, (monitoring,)),
            PublishedStatus(now - 300 * 60, now, url),
        ]
    )
    file.close()


def _minute(at: float, ago: int) -> Iterator[ProbeResult]:
    wave = 1 + 0.4 * math.sin(at / 7000) + 0.2 * math.sin(at / 900)
    for number, probe in enumerate(PROBES):
        for tenant in ("acme-prod", "acme-dev", "legacy"):
            well = an_answer(server=0.09 * wave * (1 + number / 3), network=0.04 + 0.02 * wave)
            result = _fault(tenant, number, ago) or well
            yield replace(result, tenant=tenant, probe=probe, started_at=at + number * 5)


def _fault(tenant: str, number: int, ago: int) -> ProbeResult | None:
    if tenant == "acme-prod" and 300 <= ago < 342 and number < 2:
        return an_answer(Reason.SERVER_ERROR, status=500)
    if tenant == "acme-prod" and 800 <= ago < 870:
        return an_answer(server=0.2, network=0.9)
    if tenant == "acme-dev" and 600 <= ago < 690:
        return a_failure(FailureKind.DNS)
    if tenant == "legacy" and 1000 <= ago < 1020:
        return a_failure(FailureKind.RESPONSE_TIMEOUT)
    if tenant == "legacy" and 420 <= ago < 500:
        return an_answer(Reason.TOKEN_REJECTED, status=401)
    return None
