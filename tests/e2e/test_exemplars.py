"""From a latency histogram to the id of a request, on a real Prometheus.

The platform here sends an id with each response, as the real one does behind its edge.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.programs import free_port, get, seconds_until, started
from tests.prometheus import READY, prometheus, running
from tools.grafana.queries import RATE, quantile

pytestmark = pytest.mark.prometheus

NO_ALERTMANAGER = 9
HISTOGRAM = "prober_probe_server_seconds"


@contextmanager
def platform() -> Iterator[tuple[str, list[str]]]:
    """Serve empty lists of datasets; yield the address, and the ids as they are sent."""
    sent: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "ok", "datasets": []}).encode()
            sent.append(f"{len(sent)}-FRA")
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Server-Timing", "total;dur=0.01")
            self.send_header("CF-Ray", sent[-1])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()


def settings(directory: Path, url: str) -> Path:
    tenant = {
        "name": "acme",
        "base_url": f"{url}/acme/prod/reinfer_",
        "token": {"env": "HOME"},
        "probes": ["datasets"],
    }
    written = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "defaults": {"interval": "1s", "timeout": "900ms"},
        "tenants": [tenant],
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(written))
    return file


def test_the_query_of_a_dashboard_leads_to_requests(tmp_path: Path) -> None:
    port, began = free_port(), time.time()

    def ask(path: str, **parameters: object) -> Any:  # noqa: ANN401
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urlencode(parameters)}"
        return json.loads(get(url))["data"]

    def exemplars() -> list[dict[str, Any]]:
        query = quantile(0.99, HISTOGRAM, 'tenant="acme"').replace(RATE, "5s")
        span = {"start": began, "end": time.time()}
        return [
            each
            for series in ask("query_exemplars", query=query, **span)
            for each in series["exemplars"]
        ]

    with platform() as (url, sent):
        run, log = ("run", "--config", str(settings(tmp_path, url))), tmp_path / "prober.log"
        with started(*run, until=r'"listening": "http://([^"]+)"', log=log) as (_, target):
            command = prometheus(tmp_path, [target], port, NO_ALERTMANAGER)
            command.append("--enable-feature=exemplar-storage")
            with running(command, tmp_path / "prometheus.log", READY):
                seconds_until(lambda: len(exemplars()) > 1)
                found = exemplars()
                (unit,) = ask("metadata", metric=HISTOGRAM)[HISTOGRAM]
    assert {each["labels"]["request_id"] for each in found} <= set(sent)
    assert all(began - 1 <= each["timestamp"] for each in found)
    assert unit["unit"] == "seconds"
