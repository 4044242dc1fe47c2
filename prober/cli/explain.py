"""`prober explain`: classifies a saved exchange, without network access."""

from dataclasses import replace
from typing import BinaryIO

import click

from prober.classifier.rules import classify, route_unauthorized
from prober.classifier.server_timing import server_total_seconds
from prober.cli import options
from prober.cli.options import console, print_json
from prober.models import Expectations, HttpExchange, Latency, Verdict
from prober.outcomes import Reason, Responder
from prober.recorded.models import RecordedExchange, RecordedExchangeError
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document
from prober.render.terminal import VerdictView, deciding_rule

_LIMIT_BYTES = 64 * 1024 * 1024


@click.command(epilog=options.HELP)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--expect-status",
    type=click.IntRange(100, 599),
    help="The expected status; 404 for the `not-found` probe.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
def explain(file: BinaryIO, expect_status: int | None, *, as_json: bool) -> None:
    """Classify the saved exchange in FILE (`-` for standard input), without network access.

    FILE is the output of `curl --include` or `curl --verbose`, a HAR file of a browser, or the JSON
    of `prober probe --json`. The format is detected. Bodies may be chunked or compressed, and
    several responses may follow one another.

    \b
    Examples:
      curl --silent --include -H "Authorization: Bearer $TOKEN" \\
        https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets | prober explain -
      prober probe acme-prod datasets --config config/prober.yaml --json | prober explain -

    Shows the verdict, and the rule that decided it.
    """
    text = file.read(_LIMIT_BYTES + 1)
    if len(text) > _LIMIT_BYTES:
        raise click.UsageError(f"{file.name}: more than {_LIMIT_BYTES} bytes is too large")
    try:
        every = parse_recorded(text)
    except RecordedExchangeError as error:
        raise click.UsageError(f"{file.name}: {error}") from error
    outcomes = [_explain(saved, expect_status, as_json=as_json).outcome for saved in every]
    click.get_current_context().exit(options.exit_code_for(outcomes))


def _explain(saved: RecordedExchange, expect_status: int | None, *, as_json: bool) -> Verdict:
    wishes = saved.expectations
    if expect_status is not None:
        wishes = replace(wishes, status=expect_status)
    verdict = classify_recorded(saved.exchange, wishes)
    if (saved.reason, verdict.reason) == (Reason.ROUTE_UNAUTHORIZED, Reason.TOKEN_REJECTED):
        # The exchange with the other route is not saved, so its outcome is taken on trust.
        verdict = route_unauthorized(verdict, "another route")
    if as_json:
        print_json(explanation_document(saved.exchange, verdict, wishes, saved.tenant, saved.probe))
    else:
        _print(saved, wishes, verdict)
    return verdict


def classify_recorded(exchange: HttpExchange, expectations: Expectations) -> Verdict:
    """Classify a saved exchange; without saved durations only the server's time is kept.

    For the rules an unknown total is 0, which is less than any server time. That anomaly is one of
    the file, not of the platform, so it is removed.
    """
    verdict = classify(exchange, expectations)
    if exchange.total_seconds > 0 or exchange.response is None:
        return verdict
    if verdict.responder is not Responder.PLATFORM:
        return verdict
    server = server_total_seconds(exchange.response.header_values("server-timing"))
    if isinstance(server, float):
        return replace(verdict, latency=Latency(0.0, server_seconds=server))
    return verdict


def _print(saved: RecordedExchange, expectations: Expectations, verdict: Verdict) -> None:
    out, exchange = console(), saved.exchange
    known = [name for name in (saved.tenant, saved.probe) if name is not None]
    out.print(
        VerdictView(
            " / ".join([*known, "saved exchange"]),
            exchange,
            verdict,
            deciding_rule(exchange, expectations, reason=verdict.reason),
            notes=(*saved.notes, *_change(saved, verdict)),
        )
    )


def _change(saved: RecordedExchange, verdict: Verdict) -> tuple[str, ...]:
    if saved.reason is None or saved.reason is verdict.reason:
        return ()
    if saved.reason is Reason.CHECK_FAILED:
        why = "checks are not repeated, since they read the body, which is not saved"
        return (f"when it was saved, the reason was {saved.reason}; {why}",)
    return (f"when it was saved, the reason was {saved.reason}",)
