"""Exchanges with good defaults, and the reader of the specimens; a test names what matters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prober.models import Expectations, Failure, HttpExchange, Phases, Response, TcpEvidence
from prober.outcomes import FailureKind

SPECIMENS = Path(__file__).parents[2] / "fixtures" / "answers"
URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
SERVER_TIMING = ("Server-Timing", "total;dur=37.7")
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"


def an_envelope(status: str = "ok", **more: object) -> bytes:
    return json.dumps({"status": status, **more}).encode()


def an_answer(
    status: int = 200,
    body: bytes = b'{"status": "ok"}',
    headers: tuple[tuple[str, str], ...] = (SERVER_TIMING,),
    *,
    body_over_limit: bool = False,
    total_seconds: float = 0.5,
    coding: str = "",
) -> HttpExchange:
    response = Response(status, headers, body, body_over_limit, coding)
    return HttpExchange("GET", URL, total_seconds, response=response)


def a_failure(
    kind: FailureKind, detail: str = "", response: Response | None = None, url: str = URL
) -> HttpExchange:
    return HttpExchange("GET", url, 10.0, response=response, failure=Failure(kind, detail))


def a_silence(
    *,
    waited_seconds: float = 5.0,
    retransmissions: int = 0,
    acknowledged: bool = True,
    since_received_seconds: float = 0.9,
    via_proxy: bool = False,
    response: Response | None = None,
) -> HttpExchange:
    """Return a time-out, and what the kernel knew of the connection."""
    tcp = TcpEvidence(0.041, retransmissions, acknowledged, since_received_seconds, waited_seconds)
    return HttpExchange(
        "GET",
        URL,
        waited_seconds,
        phases=Phases(send=0.0, wait=waited_seconds, transfer=None if response is None else 0.0),
        response=response,
        failure=Failure(FailureKind.RESPONSE_TIMEOUT, "no complete response in time"),
        remote_address="192.0.2.7:443",
        tcp=tcp,
        via_proxy=via_proxy,
    )


SILENCES = {
    "response_timeout_unacknowledged": a_silence(
        retransmissions=3, acknowledged=False, since_received_seconds=5.0
    ),
    "response_timeout_far_end_silent": a_silence(),
    "response_timeout_path_lost": a_silence(since_received_seconds=4.5),
    "response_timeout": a_silence(waited_seconds=2.0),
}


@dataclass(frozen=True)
class Specimen:
    name: str
    exchange: HttpExchange
    expectations: Expectations
    expected: Mapping[str, str] = field(default_factory=dict)


def specimens() -> list[Specimen]:
    return [_specimen(path) for path in sorted(SPECIMENS.glob("*.http"))]


def _specimen(path: Path) -> Specimen:
    expected = json.loads(path.with_suffix(".json").read_text())
    wishes = Expectations(**expected.pop("expectations", {}))
    over_limit = expected.pop("body_over_limit", False)
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = tuple((name, value.strip()) for name, _, value in (x.partition(":") for x in lines))
    exchange = an_answer(
        int(first.split()[1]), body, headers, body_over_limit=over_limit, total_seconds=1.0
    )
    return Specimen(path.stem, exchange, wishes, expected)
