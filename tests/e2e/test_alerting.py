"""The full run: simulator, daemon, the real Prometheus and Alertmanager, and who is told what.

All durations of the shipped rules and routes are divided by 60: a minute is a second here.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import LIMIT_SECONDS, call, seconds_until, started
from tests.prometheus import (
    CONFIG,
    READY,
    free_port,
    prometheus,
    running,
    scaled,
)

pytestmark = pytest.mark.prometheus

CALM_SECONDS = 4
ENVIRONMENTS = {"acme-prod": "production", "acme-dev": "development", "legacy": "production"}


class Told:
    """What arrived at the receivers, in order."""

    def __init__(self) -> None:
        self.every: list[tuple[str, dict[str, Any]]] = []
        told = self.every

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.append((self.path.strip("/"), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def notifications(self, receiver: str, status: str) -> list[dict[str, Any]]:
        return [
            note for path, note in list(self.every) if path == receiver and note["status"] == status
        ]

    def alerts(self, receiver: str, status: str = "firing") -> list[dict[str, str]]:
        notes = self.notifications(receiver, status)
        return [alert["labels"] for note in notes for alert in note["alerts"]]

    def said(self) -> list[str]:
        return [
            note["attachments"][0]["title"] for path, note in list(self.every) if path == "chat"
        ]


class House:
    """The control of the simulator, and what was told."""

    def __init__(self, control: str, told: Told) -> None:
        self.control, self.told = control, told

    def network(self, *, cut: bool) -> None:
        for name in ENVIRONMENTS:
            call("PUT", f"{self.control}/tenants/{name}/network", {"cut": cut})

    def calm(self) -> None:
        """Wait until nothing more is told, and see that all is resolved."""
        known = -1
        while known != len(self.told.every):
            known = len(self.told.every)
            time.sleep(CALM_SECONDS)


def settings(directory: Path, control: str) -> Path:
    tenants = call("GET", f"{control}/tenants")
    written = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "tokens": {"retry_initial": "1s", "retry_max": "15s"},
        "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "400ms"},
        "tenants": [
            {
                "name": name,
                "environment": environment,
                "base_url": tenants[name]["base_url"],
                "token": {"file": f"{name}.token"},
                "probes": ["datasets", "current-user"],
            }
            for name, environment in ENVIRONMENTS.items()
        ],
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(written))
    return file


def alertmanager(directory: Path, port: int, told: Told) -> list[str]:
    text = (CONFIG / "alertmanager" / "alertmanager.yml").read_text()
    content = yaml.safe_load(scaled(text.replace("9095", str(told.port))))
    for route in content["route"]["routes"]:
        route.pop("mute_time_intervals", None)  # the hour of the test must not matter
    for receiver in content["receivers"]:
        if receiver["name"] == "pager":
            receiver["slack_configs"] = [
                {
                    "api_url": f"http://127.0.0.1:{told.port}/chat",
                    "send_resolved": True,
                    "title": '{{ template "prober.title" . }}',
                    "text": '{{ template "prober.text" . }}',
                }
            ]
    file = directory / "alertmanager.yml"
    file.write_text(yaml.safe_dump(content))
    template = (CONFIG / "alertmanager" / "prober.tmpl").read_text()
    (directory / "prober.tmpl").write_text(template)
    return [
        "prometheus-alertmanager",
        f"--config.file={file}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("alerting")
    told, port = Told(), free_port()
    with ExitStack() as resources:
        resources.callback(told.close)
        simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
        more = ("--token-directory", str(directory), "--networks")
        log = directory / "simulator.log"
        simulator = started(*simulate, *more, until=r"control: (\S+)", log=log)
        _, control = resources.enter_context(simulator)
        run = ("run", "--config", str(settings(directory, control)))
        log = directory / "prober.log"
        daemon = started(*run, until=r'"listening": "http://([^"]+)"', log=log)
        _, target = resources.enter_context(daemon)
        command = alertmanager(directory, port, told)
        resources.enter_context(running(command, directory / "alertmanager.log", "Listening on"))
        command = prometheus(directory, [target], free_port(), port)
        resources.enter_context(running(command, directory / "prometheus.log", READY))
        house = House(control, told)
        house.calm()
        assert told.every == []
        yield house


def test_a_regenerated_token_is_told_once_and_that_it_is_over(house: House) -> None:
    house.told.every.clear()
    call("POST", f"{house.control}/tenants/acme-prod/regenerate")
    waited = seconds_until(lambda: bool(house.told.alerts("pager")))
    house.calm()

    assert waited < LIMIT_SECONDS
    (labels,) = house.told.alerts("pager")
    assert labels["alertname"] == "ProberTokenRejected"
    assert (labels["tenant"], labels["culprit"]) == ("acme-prod", "credential")
    assert (labels["cause"], labels["environment"]) == ("superseded", "production")
    assert house.told.alerts("tickets") == house.told.alerts("development") == []
    assert house.told.said() == ["credential: the token of acme-prod is rejected (superseded)"]

    call("POST", f"{house.control}/tenants/acme-prod/deliver")
    seconds_until(lambda: bool(house.told.notifications("pager", "resolved")))
    house.calm()
    assert len(house.told.alerts("pager")) == 1


def test_a_dead_network_of_our_own_is_one_alert_and_not_one_for_each_tenant(house: House) -> None:
    house.told.every.clear()
    house.network(cut=True)
    seconds_until(lambda: bool(house.told.alerts("pager")))
    house.calm()

    (labels,) = house.told.alerts("pager")
    assert (labels["alertname"], labels["culprit"]) == ("ProberVantagePointOffline", "network")
    assert house.told.alerts("tickets") == house.told.alerts("development") == []

    house.network(cut=False)
    seconds_until(lambda: bool(house.told.notifications("pager", "resolved")))
    house.calm()
    assert len(house.told.alerts("pager")) == 1


def test_errors_of_the_platform_on_one_tenant_are_one_page(house: House) -> None:
    house.told.every.clear()
    call("PUT", f"{house.control}/faults", {"fault": "server_error", "tenant": "legacy"})
    seconds_until(lambda: bool(house.told.alerts("pager")))
    call("DELETE", f"{house.control}/faults")

    seconds_until(lambda: bool(house.told.notifications("pager", "resolved")), 120)
    (labels,) = house.told.alerts("pager")
    assert (labels["alertname"], labels["culprit"]) == ("ProberErrorBudgetBurnsFast", "platform")
    assert (labels["tenant"], labels["environment"]) == ("legacy", "production")
    assert house.told.alerts("development") == []


def test_one_tenants_network_is_that_tenants_alert_and_development_pages_nobody(
    house: House,
) -> None:
    house.told.every.clear()
    call("PUT", f"{house.control}/tenants/acme-dev/network", {"cut": True})
    seconds_until(lambda: bool(house.told.alerts("development")))
    house.calm()

    (labels,) = house.told.alerts("development")
    assert (labels["alertname"], labels["tenant"]) == ("ProberTenantUnreachable", "acme-dev")
    assert house.told.alerts("pager") == []
    call("PUT", f"{house.control}/tenants/acme-dev/network", {"cut": False})
    seconds_until(lambda: bool(house.told.notifications("development", "resolved")))
