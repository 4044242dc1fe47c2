"""A stall of the loop during a real exchange is our own time, and nobody else's.

Where the kernel's stamps are refused its durations are not believed, its outcome is.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

from prober.classifier.rules import classify
from prober.http_client import kernel_timing
from prober.http_client.client import ProbeHttpClient
from prober.http_client.protocol import LimitedResponseHandler
from prober.http_client.timing import EventLoopLagMonitor
from prober.metrics.sink import PrometheusSink
from prober.models import ProbeResult
from prober.probe import build_request
from prober.version import Build
from tests.builders import a_probe, a_tenant

SERVER_SECONDS = 0.2
STALL_SECONDS = 0.2
OF_PROBE = 'probe="datasets",tenant="acme-prod"'


class _Platform(BaseHTTPRequestHandler):
    asked, may_respond, responded = threading.Event(), threading.Event(), threading.Event()

    def do_GET(self) -> None:
        began = time.perf_counter()
        self.asked.set()
        self.may_respond.wait()
        time.sleep(SERVER_SECONDS)
        body = b'{"status": "ok", "datasets": [{}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        taken_ms = (time.perf_counter() - began) * 1000
        self.send_header("Server-Timing", f"total;dur={taken_ms:.3f}")
        self.end_headers()
        self.wfile.write(body)
        self.responded.set()

    @classmethod
    def forget(cls) -> None:
        for event in (cls.asked, cls.may_respond, cls.responded):
            event.clear()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def platform() -> Iterator[str]:
    """A platform in a thread of its own, which a stall of the loop does not stall."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Platform) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def run_with_a_stall(
    base_url: str, stall_seconds: float, threshold: float = 0.05
) -> tuple[str, ProbeResult]:
    """Run a probe; block the loop until the response has come, and `stall_seconds` longer.

    0 does not block it.
    """
    probe = a_probe(timeout_seconds=60.0)
    tenant = a_tenant(base_url=base_url, probes=(probe,))
    metrics = PrometheusSink(
        [tenant],
        histograms="probe",
        max_loop_lag_seconds=threshold,
        started_at=0.0,
        build=Build("1", ""),
    )
    request = build_request(tenant, probe, SecretStr("a-token"), version="1")
    _Platform.forget()
    async with ProbeHttpClient(EventLoopLagMonitor(metrics.loop_lag)) as client:
        asking = asyncio.create_task(client.exchange(request, probe, tenant.transport))
        await asyncio.to_thread(_Platform.asked.wait)
        _Platform.may_respond.set()
        if stall_seconds:
            _Platform.responded.wait()
            time.sleep(stall_seconds)  # noqa: ASYNC251 -- the stall is the subject
        exchange = await asking
    result = ProbeResult(
        tenant.name, probe.name, 1.0, exchange, classify(exchange, probe.expectations)
    )
    metrics.on_result(result)
    return metrics.render(False).decode(), result


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system know nothing of the option."""
    monkeypatch.setattr(kernel_timing, "enable_receive_stamps", lambda _: False)


async def test_a_stall_is_our_own_time(platform: str) -> None:
    text, result = await run_with_a_stall(platform, STALL_SECONDS)

    latency = result.verdict.latency
    assert result.exchange.timing_fallback is None
    assert latency.own_seconds > STALL_SECONDS / 2
    assert latency.network_seconds is not None
    assert latency.server_seconds is not None
    assert latency.total_seconds == pytest.approx(
        latency.server_seconds + latency.network_seconds + latency.own_seconds
    )
    assert sum(seconds for _, seconds in result.exchange.phases.as_pairs()) == pytest.approx(
        result.exchange.total_seconds
    )
    assert f'discarded_total{{cause="loop_lag",{OF_PROBE}}} 0.0' in text
    assert "prober_event_loop_lag_seconds_count 1.0" in text


@pytest.mark.usefixtures("refusing")
async def test_over_the_threshold_durations_are_left_out_and_the_outcome_counts(
    platform: str,
) -> None:
    text, result = await run_with_a_stall(platform, STALL_SECONDS, threshold=STALL_SECONDS / 4)

    assert result.verdict.succeeded
    assert result.exchange.loop_lag_seconds >= STALL_SECONDS * 0.8
    assert f'discarded_total{{cause="loop_lag",{OF_PROBE}}} 1.0' in text
    assert f"prober_probe_duration_seconds_count{{{OF_PROBE}}} 0.0" in text
    assert f'prober_probe_runs_total{{culprit="none",outcome="success",{OF_PROBE[:16]}' in text
    assert f"prober_probe_success{{{OF_PROBE}}} 1.0" in text


@pytest.mark.usefixtures("refusing")
async def test_below_the_threshold_durations_count_and_bear_their_bound(platform: str) -> None:
    text, result = await run_with_a_stall(platform, STALL_SECONDS, threshold=60.0)

    assert result.exchange.loop_lag_seconds >= STALL_SECONDS * 0.8
    assert f'discarded_total{{cause="loop_lag",{OF_PROBE}}} 0.0' in text
    assert f"prober_probe_duration_seconds_count{{{OF_PROBE}}} 1.0" in text


@pytest.mark.usefixtures("refusing")
async def test_the_bound_is_one_indeed(platform: str) -> None:
    """The stall makes the answer late by no more than the bound that the result carries."""
    _, result = await run_with_a_stall(platform, STALL_SECONDS, threshold=60.0)

    latency = result.verdict.latency
    assert latency.network_seconds is not None
    assert 0.1 < latency.network_seconds <= result.exchange.loop_lag_seconds + 0.1


async def test_what_aiohttp_takes_before_and_after_is_our_own(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow to make a request of, slow to look at what came: neither is told as the network's."""
    parse, make = LimitedResponseHandler.data_received, aiohttp.ClientRequest.update_host

    def parse_slowly(handler: LimitedResponseHandler, data: bytes) -> None:
        time.sleep(STALL_SECONDS)
        parse(handler, data)

    def make_slowly(request: aiohttp.ClientRequest, url: URL) -> None:
        time.sleep(STALL_SECONDS)
        make(request, url)

    monkeypatch.setattr(LimitedResponseHandler, "data_received", parse_slowly)
    monkeypatch.setattr(aiohttp.ClientRequest, "update_host", make_slowly)
    _, result = await run_with_a_stall(platform, 0.0)
    assert result.verdict.latency.own_seconds >= 2 * STALL_SECONDS
