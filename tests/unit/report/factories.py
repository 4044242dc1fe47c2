"""A day with known faults, written as the daemon would have: two probes, a run each minute."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from prober.classifier.rules import classify
from prober.history.writer import Entry, HistoryWriter, RunEntry
from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Phases,
    ProbeResult,
    Response,
    SkippedRun,
    TokenEvent,
    TokenSource,
    TokenSourceKind,
    TokenStatus,
    without_large_body,
)
from prober.outcomes import (
    Culprit,
    FailureKind,
    Reason,
    RejectionCause,
    SkipCause,
    TokenEventKind,
    TokenState,
)
from prober.stats.aggregates import summarize
from tests.builders import a_probe, a_tenant

DAY = datetime(2025, 3, 5, tzinfo=UTC).timestamp()
DAY_SECONDS = 86_400.0
URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/"
PROBES = {"datasets": 10.0, "sources": 25.0}  # seconds after each full minute
SOURCE = TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_TOKEN")
TENANT = a_tenant(
    token=SOURCE, probes=tuple(a_probe(name=name, sent_path=f"/api/v1/{name}") for name in PROBES)
)
MESSAGE = "Upstream | failed: `ledger` <b>down</b>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to some probes from one minute of the day to before another."""

    first: int
    last: int
    probes: tuple[str, ...]
    what: Reason
    in_maintenance: bool = False


BOTH = ("datasets", "sources")
FAULTS = (
    Fault(9 * 60, 9 * 60 + 42, ("datasets",), Reason.SERVER_ERROR),
    Fault(9 * 60 + 5, 9 * 60 + 42, ("sources",), Reason.SERVER_ERROR),
    Fault(13 * 60, 13 * 60 + 30, BOTH, Reason.DNS),
    Fault(15 * 60, 15 * 60 + 10, ("datasets",), Reason.RESPONSE_TIMEOUT),
    Fault(17 * 60, 17 * 60 + 20, ("datasets",), Reason.TOKEN_REJECTED),
    Fault(20 * 60, 21 * 60, BOTH, Reason.SERVER_ERROR, in_maintenance=True),
    Fault(22 * 60, 22 * 60 + 1, ("datasets",), Reason.SERVER_ERROR),
)
SILENT = range(2 * 60, 3 * 60)  # nobody was probing
HELD_BACK = range(17 * 60, 17 * 60 + 20)  # `sources`, for the token of `datasets`
INCIDENTS = [
    # culprit, began, lasted (both in seconds), failed runs, probes, in maintenance
    (Culprit.PLATFORM, 9 * 3600 + 10, 42 * 60 + 15, 79, ["datasets", "sources"], False),
    (Culprit.NETWORK, 13 * 3600 + 10, 30 * 60 + 15, 60, ["datasets", "sources"], False),
    (Culprit.UNDECIDED, 15 * 3600 + 10, 10 * 60, 10, ["datasets"], False),
    (Culprit.CREDENTIAL, 17 * 3600 + 10, 20 * 60, 20, ["datasets"], False),
    (Culprit.PLATFORM, 20 * 3600 + 10, 60 * 60 + 15, 120, ["datasets", "sources"], True),
    (Culprit.PLATFORM, 22 * 3600 + 10, 60, 1, ["datasets"], False),
]


def results(minutes: Sequence[int] = range(1440)) -> Iterator[ProbeResult]:
    """Yield what ran."""
    for minute in minutes:
        for probe, second in PROBES.items():
            held_back = probe == "sources" and minute in HELD_BACK
            if minute not in SILENT and not held_back:
                yield _result(minute, probe, DAY + minute * 60 + second)


def write_the_day(directory: Path, minutes: Sequence[int] = range(1440)) -> None:
    """Write the history of the day to a directory."""
    directory.mkdir(mode=0o700, exist_ok=True)
    entries: list[Entry] = [
        RunEntry(
            summarize(each),
            None if each.verdict.succeeded else without_large_body(each),
            each.verdict.facts,
        )
        for each in results(minutes)
    ]
    entries += [
        SkippedRun("acme-prod", "sources", DAY + minute * 60 + 25, SkipCause.TOKEN_REJECTED)
        for minute in HELD_BACK
        if minute in minutes
    ]
    if 17 * 60 in minutes:
        entries.append(_rejection(DAY + 17 * 3600 + 11))
    file = HistoryWriter.open(directory, lambda _path, _why: None)
    file.write(entries)
    while file.pack_hours(DAY + DAY_SECONDS, 500):
        pass
    file.close()


def _result(minute: int, probe: str, at: float) -> ProbeResult:
    fault = next(
        (f for f in FAULTS if f.first <= minute < f.last and probe in f.probes),
        Fault(0, 0, (), Reason.OK),
    )
    number = minute * 2 + (probe == "sources")
    exchange = _exchange(fault.what, probe, number)
    verdict = classify(exchange, Expectations())
    assert verdict.reason is fault.what
    in_maintenance = 20 * 60 <= minute < 21 * 60
    return replace(
        ProbeResult("acme-prod", probe, at, exchange, verdict), in_maintenance=in_maintenance
    )


def _exchange(what: Reason, probe: str, number: int) -> HttpExchange:
    if what in {Reason.DNS, Reason.RESPONSE_TIMEOUT}:
        failure = Failure(FailureKind(what.value), "as scripted")
        return HttpExchange("GET", URL + probe, 10.0, Phases(resolve=0.5), failure=failure)
    share = number * 0.618_033_988_75 % 1
    server = 0.08 / (1.001 - share) ** 0.5
    network = 0.03 + 0.04 * (number * 0.754_877_666 % 1)
    status, body = 200, b'{"status": "ok"}'
    if what is Reason.SERVER_ERROR:
        status, body = 500, b'{"status": "error", "message": "%s"}' % MESSAGE.encode()
    if what is Reason.TOKEN_REJECTED:
        status, body = 401, b'{"status": "error", "message": "bad token"}'
    headers = (
        ("Server-Timing", f"total;dur={server * 1000:.3f}"),
        ("X-Correlation-Id", f"corr-{number}"),
        ("CF-Ray", f"ray-{number}"),
    )
    own = 0.0006 + 0.0004 * (number * 0.569_840_29 % 1)
    phases = Phases(wait=server + network, own=own)
    response = Response(status, headers, body)
    return HttpExchange("GET", URL + probe, round(server, 6) + network + own, phases, response)


def _rejection(at: float) -> TokenEvent:
    status = TokenStatus(
        "acme-prod",
        SOURCE,
        TokenState.REJECTED,
        "0123abcd",
        cause=RejectionCause.SUPERSEDED,
    )
    return TokenEvent(TokenEventKind.REJECTED, at, status)
