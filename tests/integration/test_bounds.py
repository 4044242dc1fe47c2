"""Bounds of docs/reference/limits.md that no other test reaches."""

import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from prober.config.limits import check_series_limit
from prober.config.loader import load
from prober.errors import SettingsError
from prober.history.codec import MAX_HEADERS, MAX_TEXT_CHARACTERS, pack_document, unpack_document
from prober.http_client.tls import MAX_REMEMBERED_CERTIFICATES, CertificateExpiry
from prober.metrics.sink import MAX_CODES
from prober.models import KEPT_BODY_BYTES, without_large_body
from prober.outcomes import Reason
from prober.web.app import MAX_REQUEST_BYTES
from prober.web.sse import MAX_SSE_CLIENTS
from tests.integration.web.app_factory import Installation, served
from tests.unit.metrics.factories import an_answer, some_metrics


def test_a_probe_has_series_for_so_many_codes() -> None:
    metrics = some_metrics()
    for status in range(200, 200 + 2 * MAX_CODES):
        metrics.on_result(an_answer(status=status))
    series = [
        line
        for line in metrics.render(openmetrics=False).decode().splitlines()
        if line.startswith("prober_probe_http_responses_total{")
    ]
    assert len(series) == MAX_CODES + 1
    assert f'{{code="other",probe="datasets",tenant="acme"}} {MAX_CODES}.0' in "".join(series)


def test_settings_with_too_many_series_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    tenant = "{name: a, domain: a, token: {env: A}}"
    file.write_text(f"metrics: {{max_series: 100}}\ntenants: [{tenant}]\n")
    with pytest.raises(SettingsError, match="more than the limit of 100"):
        check_series_limit(load(file))


def test_what_is_kept_of_a_failure_is_bounded() -> None:
    answer = an_answer(Reason.SERVER_ERROR, status=500)
    response = answer.exchange.response
    assert response is not None
    headers = tuple((f"x-{number}", "v" * 100_000) for number in range(1000))
    large = replace(response, headers=headers, body=b"b" * (KEPT_BODY_BYTES + 1))
    result = without_large_body(replace(answer, exchange=replace(answer.exchange, response=large)))
    assert result.exchange.response is not None
    assert result.exchange.response.body == b""
    kept = unpack_document(pack_document(result))["response"]["headers"]
    assert len(kept) == MAX_HEADERS
    assert max(len(text) for pair in kept for text in pair) == MAX_TEXT_CHARACTERS + 1


class Presented(ssl.SSLObject):
    """A TLS connection on which one certificate was shown."""

    def __new__(cls, _: bytes) -> Self:
        return object.__new__(cls)

    def __init__(self, certificate: bytes) -> None:
        self.certificate = certificate

    def getpeercert(self, binary_form: bool = False) -> bytes:  # type: ignore[override]  # noqa: ARG002, FBT002
        return self.certificate

    def get_unverified_chain(self) -> list[bytes]:  # of Python 3.13
        return [self.certificate]


def test_certificates_are_not_remembered_for_ever() -> None:
    expiry = CertificateExpiry(read=lambda certificate: float(len(certificate)))
    for number in range(MAX_REMEMBERED_CERTIFICATES + 5):
        assert expiry.of(Presented(b"%05d" % number)) == 5.0
    assert len(expiry._known) == 5


async def test_a_request_may_be_so_large() -> None:
    async with served(Installation(None).site(ad_hoc=True)) as client:
        form = {"csrf_token": "w" * MAX_REQUEST_BYTES}
        async with client.post("/tenants/acme/probes/datasets/run", data=form) as answer:
            assert answer.status == 413


async def test_so_many_pages_may_be_watched() -> None:
    async with AsyncExitStack() as feeds:
        site = await feeds.enter_async_context(served(Installation(None).site()))
        client = await feeds.enter_async_context(
            aiohttp.ClientSession(site._base_url, connector=aiohttp.TCPConnector(limit=0))
        )
        for _ in range(MAX_SSE_CLIENTS):
            feed = await client.get("/live")
            feeds.callback(feed.close)
            assert feed.status == 200
        async with client.get("/live") as answer:
            assert answer.status == 503
