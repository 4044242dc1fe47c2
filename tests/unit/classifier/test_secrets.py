"""Whatever a server echoes in whatever form: nothing that a verdict says holds a secret."""

import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from prober.classifier.oauth_rules import classify_token_response
from prober.classifier.rules import classify
from prober.models import Expectations, HttpExchange
from prober.redaction import REDACTED, Redactor
from prober.render.documents import explanation_document
from tests.unit.classifier.factories import SERVER_TIMING, an_answer, an_envelope
from tests.unit.test_redaction import ENCODINGS

TOKEN = "Sk-A1b2/C3d4+E5f6g7H8i9j0"
REDACTOR = Redactor([SecretStr(TOKEN)])
NO_WISHES = Expectations()


def echoes(echo: str) -> dict[str, HttpExchange]:
    message = an_envelope("error", message=f"you sent {echo}", path=f"/{echo}")
    long = an_envelope("error", message=f"{'x' * 480}{echo}", path=f"{'/' * 290}{echo}")
    return {
        "message": an_answer(400, message),
        "cut message": an_answer(400, long),
        "title": an_answer(502, f"<html><title>{echo}</title>".encode(), ()),
        "text": an_answer(502, f"you sent {echo}".encode(errors="replace"), ()),
        "cut text": an_answer(502, f"{'x' * 180} {echo}".encode(errors="replace"), ()),
        "json": an_answer(502, json.dumps({"errorCode": echo}).encode(), ()),
        "platform": an_answer(500, f"<title>{echo}".encode(errors="replace"), (SERVER_TIMING,)),
        "identity": an_answer(
            400, json.dumps({"error": echo, "error_description": f"client {echo}"}).encode(), ()
        ),
    }


def raw_json_echoes(echo: str) -> dict[str, HttpExchange]:
    body = f'{{"status": "error", "message": "you sent {echo}", "path": "{echo}"}}'.encode()
    return {"raw": an_answer(400, body), "raw text": an_answer(502, b"!" + body, ())}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("before", ["as it is", "base64", "percent", "json of all", "json of some"])
def test_nothing_that_is_said_holds_a_secret(before: str, encoding: str) -> None:
    echo = ENCODINGS[encoding](ENCODINGS[before](TOKEN, min), min)
    for name, exchange in (echoes(echo) | raw_json_echoes(echo)).items():
        seen = replace(exchange, redactor=REDACTOR)
        judge_it = (
            classify_token_response if name == "identity" else lambda e: classify(e, NO_WISHES)
        )
        verdict = judge_it(seen)
        said = [verdict.evidence, *verdict.facts.values()]
        document = explanation_document(seen, verdict, NO_WISHES)
        document["request"] = None
        said.append(json.dumps(document, ensure_ascii=False))
        for text in said:
            assert REDACTOR.text(text) == text, name
            assert TOKEN.lower() not in text.lower(), name
        if name in {"message", "title", "identity"}:
            assert any(REDACTED in text for text in said), name
