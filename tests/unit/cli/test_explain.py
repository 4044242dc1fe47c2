"""What `prober explain` says of a saved result that took a second exchange to know."""

import json

from click.testing import CliRunner

from prober.classifier.rules import classify, route_unauthorized
from prober.cli.explain import explain
from prober.models import Expectations, HttpExchange, ProbeResult, Response
from prober.render.documents import result_document
from tests.unit.classifier.factories import SERVER_TIMING


def test_a_saved_route_unauthorized_is_shown_with_its_row() -> None:
    response = Response(401, (SERVER_TIMING,), b'{"status":"error","message":"no"}')
    exchange = HttpExchange("GET", "https://platform.test/fetch", 0.5, response=response)
    verdict = route_unauthorized(classify(exchange, Expectations()), "current-user")
    saved = json.dumps(result_document(ProbeResult("acme", "fetch", 1.0, exchange, verdict)))

    shown = CliRunner().invoke(explain, ["-"], input=saved)
    assert "route_unauthorized" in shown.output
    assert "8a: 401 on this route" in shown.output

    document = json.loads(CliRunner().invoke(explain, ["--json", "-"], input=saved).output)
    assert (document["verdict"]["reason"], document["verdict"]["rule"]) == (
        "route_unauthorized",
        "8a",
    )
