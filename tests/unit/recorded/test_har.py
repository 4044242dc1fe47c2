"""HTTP archives, as Chromium and Firefox export them."""

import base64
import json
from typing import Any

import pytest

from prober.classifier.rules import classify
from prober.cli.explain import classify_recorded
from prober.outcomes import FailureKind, Reason
from prober.recorded import har
from prober.recorded.models import RecordedExchangeError
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document

URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets?sig=x"
ENVELOPE = '{"status": "ok", "datasets": []}'
TOKEN = "Sk-A1b2/C3d4+E5f6"


def an_entry(status: int = 200, text: str | None = ENVELOPE, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    content = {"size": 32, "mimeType": "application/json"}
    return {
        "startedDateTime": "2026-11-26T18:00:00.000Z",
        "time": 132.5,
        "request": {
            "method": "GET",
            "url": more.pop("url", URL),
            "headers": [{"name": "authorization", "value": f"Bearer {TOKEN}"}],
        },
        "response": {
            "status": status,
            "headers": [
                {"name": ":status", "value": "200"},
                {"name": "server-timing", "value": "db;dur=1\ntotal;dur=20"},
                {"name": "content-encoding", "value": "br"},
            ],
            "content": content if text is None else content | {"text": text},
            **more,
        },
        "timings": {
            "blocked": 7.1, "dns": 10, "connect": 60, "ssl": 40, "send": 0.5, "wait": 50,
            "receive": 5,
        },
        "serverIPAddress": "203.0.113.7",
    }  # fmt: skip


def archive(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def test_an_entry_is_an_exchange_with_its_durations() -> None:
    (recorded,) = parse_recorded(archive(an_entry()))
    exchange = recorded.exchange
    assert classify(exchange, recorded.expectations).reason is Reason.OK
    assert (exchange.method, exchange.url, exchange.remote_address) == ("GET", URL, "203.0.113.7")
    phases = [(name, round(seconds, 6)) for name, seconds in exchange.phases.as_pairs()]
    assert phases == [
        ("resolve", 0.01), ("connect", 0.02), ("tls", 0.04), ("send", 0.0005), ("wait", 0.05),
        ("transfer", 0.005),
    ]  # fmt: skip
    assert exchange.total_seconds == pytest.approx(0.1255)
    verdict = classify_recorded(exchange, recorded.expectations)
    assert verdict.latency.server_seconds == pytest.approx(0.02)


def test_a_token_of_the_request_is_nowhere_in_what_is_shown() -> None:
    body = json.dumps({"status": "error", "message": f"you sent {TOKEN}"})
    echo = [{"name": "x-echo", "value": TOKEN}]
    (recorded,) = parse_recorded(archive(an_entry(400, body, headers=echo, url=f"{URL}&t={TOKEN}")))
    verdict = classify_recorded(recorded.exchange, recorded.expectations)
    document = explanation_document(recorded.exchange, verdict, recorded.expectations)
    assert TOKEN not in repr(recorded) + json.dumps(document) + verdict.evidence


def test_a_body_in_base64_is_decoded() -> None:
    text = base64.b64encode(ENVELOPE.encode()).decode()
    content = {"size": 32, "text": text, "encoding": "base64"}
    (recorded,) = parse_recorded(archive(an_entry(content=content)))
    assert recorded.exchange.response is not None
    assert recorded.exchange.response.body == ENVELOPE.encode()


def test_of_a_page_only_requests_to_the_api_are_read() -> None:
    page = an_entry(url="https://cloud.uipath.com/portal_/script.js", text="var x")
    recorded, other = parse_recorded(archive(page, an_entry(), page, an_entry(401)))
    assert recorded.notes == (
        "entry 2 of the archive",
        "of 4 entries the 2 with /api/ in their path are read",
    )
    assert classify(other.exchange, other.expectations).reason is not Reason.OK
    assert len(parse_recorded(archive(page))) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("net::ERR_NAME_NOT_RESOLVED", FailureKind.DNS),
        ("net::ERR_CONNECTION_REFUSED", FailureKind.CONNECTION_REFUSED),
        ("net::ERR_CONNECTION_TIMED_OUT", FailureKind.CONNECT_TIMEOUT),
        ("net::ERR_CERT_DATE_INVALID", FailureKind.CERTIFICATE_EXPIRED),
        ("net::ERR_CERT_AUTHORITY_INVALID", FailureKind.TLS_CERTIFICATE),
        ("net::ERR_PROXY_CONNECTION_FAILED", FailureKind.PROXY),
        ("net::ERR_EMPTY_RESPONSE", FailureKind.CONNECTION_RESET),
    ],
)
def test_why_there_was_no_response_is_known_from_the_browser(error: str, kind: FailureKind) -> None:
    entry = an_entry(0, "", _error=error)
    (recorded,) = parse_recorded(archive(entry))
    assert recorded.exchange.failure is not None
    assert recorded.exchange.failure.kind is kind


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "without entries"),
        ([an_entry(0, "")], "does not say why"),
        ([an_entry(0, "", _error="net::ERR_BLOCKED_BY_CLIENT")], "BLOCKED_BY_CLIENT"),
        ([an_entry(text=None)], "entry 1 of the archive has no body: export it with content"),
        ([an_entry(content={"text": "!", "encoding": "base64"})], "is not base64"),
        ([{"request": {}}], "response: Field required"),
        ([{"request": {}, "response": {}, "timings": {"wait": 1e300}}], "timings.wait"),
        ([5], "entries.0"),
    ],
)
def test_what_cannot_be_read_is_said_by_entry(entries: list[Any], message: str) -> None:
    with pytest.raises(RecordedExchangeError, match=message):
        parse_recorded(archive(*entries))


def test_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(har, "MAX_ENTRIES", 2)
    with pytest.raises(RecordedExchangeError, match="more than 2 entries"):
        parse_recorded(archive(*[an_entry()] * 3))


def test_a_part_that_took_no_time_is_one_that_there_was() -> None:
    entry = an_entry()
    entry["timings"] |= {"dns": 0, "connect": -1, "ssl": -1}
    (recorded,) = parse_recorded(archive(entry))
    names = [name for name, _ in recorded.exchange.phases.as_pairs()]
    assert names == ["resolve", "send", "wait", "transfer"]


def test_only_entries_without_any_response_are_refused() -> None:
    entry = an_entry(200, _error="net::ERR_UNKNOWN_TO_US")
    (recorded,) = parse_recorded(archive(entry))
    assert recorded.exchange.failure is None
