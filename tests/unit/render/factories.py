"""Exchanges with times, and how a view looks on a terminal of a given width."""

import io

from rich.console import Console, RenderableType

from prober.classifier.rules import classify
from prober.models import (
    Expectations,
    HttpExchange,
    Phases,
    ProbeResult,
    Response,
    TokenRef,
    TokenSource,
    TokenSourceKind,
)
from tests.unit.classifier.factories import URL

PHASES = Phases(0.0021, 0.0123, 0.0345, 0.0001, 0.1877, 0.0010)
TOTAL_SECONDS = 0.2377
TOKEN = TokenRef("1a2b3c4d", TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_TOKEN"))


def a_timed_answer(
    headers: tuple[tuple[str, str], ...] = (("Server-Timing", "total;dur=150"),),
    phases: Phases = PHASES,
    body: bytes = b'{"status": "ok"}',
) -> HttpExchange:
    return HttpExchange("GET", URL, TOTAL_SECONDS, phases, Response(200, headers, body))


def a_result(exchange: HttpExchange, expectations: Expectations | None = None) -> ProbeResult:
    verdict = classify(exchange, expectations or Expectations())
    return ProbeResult("acme", "datasets", 1.7e9, exchange, verdict, TOKEN)


def lines_of(view: RenderableType, width: int = 80, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    console.print(view)
    stream.seek(0)
    return [line.rstrip() for line in stream.read().splitlines()]
