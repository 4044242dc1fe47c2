"""What `prober explain` says of a saved result that took a second exchange to know."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.classifier.rules import classify, route_unauthorized
from prober.cli.explain import explain
from prober.models import Expectations, HttpExchange, ProbeResult, Response
from prober.outcomes import Culprit
from prober.render.documents import result_document
from prober.render.text import CULPRIT_LABELS
from tests.unit.classifier.factories import SERVER_TIMING
from tools.docs.specimens import SPECIMENS as DOCUMENTED


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


FIXTURES = Path(__file__).parents[2] / "fixtures"
SPECIMENS = {
    "answers/redirect-unregistered.http": ("unknown_tenant", "request", 11, "unregistered"),
    "answers/cloudflare-522.http": ("edge_error", "platform", 11, "origin"),
    "answers/edge-502-html.http": ("edge_error", "platform", 11, "origin"),
    "answers/edge-504-gateway-json.http": ("edge_error", "platform", 11, "origin"),
    "answers/cloudflare-1010.http": ("edge_refused", "request", 11, "1010"),
    "answers/cloudflare-challenge.http": ("edge_refused", "request", 11, "challenge"),
    "answers/quota-exceeded-403.http": ("quota_exceeded", "tenant", 11, "uota"),
    "answers/payment-required-402.http": ("quota_exceeded", "tenant", 11, "402"),
    "answers/permission-denied.http": ("permission_denied", "credential", 10, "403"),
    "answers/captive-portal.http": ("foreign_response", "network", 12, "HTML"),
    "results/route-unauthorized.json": ("route_unauthorized", "credential", 10, "another route"),
    "results/certificate-expired.json": (
        "certificate_expired",
        "platform",
        12,
        "not after 2026-02-01",
    ),
    "results/certificate-not-yet-valid.json": (
        "certificate_expired",
        "platform",
        12,
        "not before 2026-04-01",
    ),
    "results/certificate-of-an-inspecting-proxy.json": (
        "tls_certificate",
        "network",
        12,
        "CN=Acme Web Security",
    ),
    "results/certificate-of-another-host.json": (
        "certificate_name_mismatch",
        "undecided",
        12,
        "CN=*.other.example",
    ),
}


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_specimen_is_explained_with_the_responsible_party(name: str) -> None:
    reason, culprit, exit_code, words = SPECIMENS[name]
    path = str(FIXTURES / name)

    shown = CliRunner().invoke(explain, [path])
    saved = CliRunner().invoke(explain, ["--json", path])

    assert (shown.exit_code, saved.exit_code) == (exit_code, exit_code)
    assert f"reason {reason}, culprit {culprit}" in shown.output
    assert CULPRIT_LABELS[Culprit(culprit)] in shown.output
    verdict = json.loads(saved.output)["verdict"]
    assert (verdict["reason"], verdict["culprit"]) == (reason, culprit)
    assert words in verdict["evidence"]


def test_the_documents_show_these_specimens() -> None:
    assert {*DOCUMENTED} <= {*SPECIMENS}
