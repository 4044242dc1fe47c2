"""What commands read of a response has no secret in it, however it is echoed."""

import base64
import json

from pydantic import SecretStr

from prober.classifier.rules import classify
from prober.cli.session import document_of
from prober.models import Expectations, HttpExchange, ProbeResult, Response
from prober.redaction import Redactor
from tests.unit.classifier.factories import SERVER_TIMING

TOKEN = "Sk-A1b2-C3d4-E5f6"


def read(body: bytes) -> object:
    response = Response(200, (SERVER_TIMING,), body)
    redactor = Redactor([SecretStr(TOKEN)])
    exchange = HttpExchange("GET", "https://a.test", 0.5, response=response, redactor=redactor)
    verdict = classify(exchange, Expectations())
    return document_of(ProbeResult("acme", "datasets", 1.0, exchange, verdict))


def test_names_that_echo_a_token_are_redacted() -> None:
    echo = base64.b64encode(TOKEN.encode()).decode()
    item = {"name": f"a {TOKEN}", TOKEN: [echo, 1, None, True]}
    body = json.dumps({"status": "ok", "datasets": [item, {"name": "good"}]}).encode()
    document = read(body)
    assert document == {
        "status": "ok",
        "datasets": [
            {"name": "a [redacted]", "[redacted]": ["[redacted]", 1, None, True]},
            {"name": "good"},
        ],
    }


def test_only_a_successful_response_has_a_document() -> None:
    assert read(b'{"status": "error"}') is None
