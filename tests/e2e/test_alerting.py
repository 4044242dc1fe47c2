"""The full run: simulator, daemon, the real Prometheus and Alertmanager, and their notifications.

All durations of the shipped rules and routes are divided by 60: a minute is a second here.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import LIMIT_SECONDS, call, free_port, seconds_until, started
from tests.prometheus import (
    CONFIG,
    OVERLOAD,
    READY,
    prometheus,
    running,
    scaled,
)

pytestmark = pytest.mark.prometheus

CALM_SECONDS = 4
EVERY_CELL = bool(os.environ.get("E2E_EVERY_CELL"))
ENVIRONMENTS = {"acme-prod": "production", "acme-dev": "development", "legacy": "production"}


def is_overload(note: dict[str, Any]) -> bool:
    """Return whether a notification only says that this machine is busy."""
    names = {alert["labels"]["alertname"] for alert in note.get("alerts", ())}
    return bool(names) and names <= set(OVERLOAD)


class Notifications:
    """What arrived at the receivers, in order."""

    def __init__(self) -> None:
        self.every: list[tuple[str, dict[str, Any]]] = []
        self.watchdog: list[tuple[str, dict[str, Any]]] = []
        received, always = self.every, self.watchdog

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver, note = self.path.strip("/"), json.loads(body)
                if not is_overload(note):
                    (always if receiver == "deadman" else received).append((receiver, note))
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


class Deployment:
    """The control of the simulator, and what was received."""

    def __init__(self, control: str, received: Notifications) -> None:
        self.control, self.received = control, received

    def network(self, *, cut: bool) -> None:
        for name in ENVIRONMENTS:
            call("PUT", f"{self.control}/tenants/{name}/network", {"cut": cut})

    def calm(self) -> None:
        """Wait until nothing more is received, and see that all is resolved."""
        known = -1
        while known != len(self.received.every):
            known = len(self.received.every)
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


def alertmanager(directory: Path, port: int, received: Notifications) -> list[str]:
    text = (CONFIG / "alertmanager" / "alertmanager.yml").read_text()
    content = yaml.safe_load(scaled(text.replace("9095", str(received.port))))
    for route in content["route"]["routes"]:
        route.pop("mute_time_intervals", None)  # the hour of the test must not matter
    for receiver in content["receivers"]:
        if receiver["name"] == "pager":
            receiver["slack_configs"] = [
                {
                    "api_url": f"http://127.0.0.1:{received.port}/chat",
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
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("alerting")
    received, port = Notifications(), free_port()
    with ExitStack() as resources:
        resources.callback(received.close)
        simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
        more = ("--token-directory", str(directory), "--networks")
        log = directory / "simulator.log"
        simulator = started(*simulate, *more, until=r"control: (\S+)", log=log)
        _, control = resources.enter_context(simulator)
        run = ("run", "--config", str(settings(directory, control)))
        log = directory / "prober.log"
        daemon = started(*run, until=r'"listening": "http://([^"]+)"', log=log)
        _, target = resources.enter_context(daemon)
        command = alertmanager(directory, port, received)
        resources.enter_context(running(command, directory / "alertmanager.log", "Listening on"))
        command = prometheus(directory, [target], free_port(), port)
        resources.enter_context(running(command, directory / "prometheus.log", READY))
        deployment = Deployment(control, received)
        deployment.calm()
        assert received.every == []
        yield deployment


def test_a_regenerated_token_is_notified_once_and_that_it_is_over(deployment: Deployment) -> None:
    deployment.received.every.clear()
    call("POST", f"{deployment.control}/tenants/acme-prod/regenerate")
    waited = seconds_until(lambda: bool(deployment.received.alerts("pager")))
    deployment.calm()

    assert waited < LIMIT_SECONDS
    (labels,) = deployment.received.alerts("pager")
    assert labels["alertname"] == "ProberTokenRejected"
    assert (labels["tenant"], labels["culprit"]) == ("acme-prod", "credential")
    assert (labels["cause"], labels["environment"]) == ("superseded", "production")
    assert deployment.received.alerts("tickets") == deployment.received.alerts("development") == []
    assert deployment.received.said() == ["credential: token of acme-prod is rejected (superseded)"]

    call("POST", f"{deployment.control}/tenants/acme-prod/deliver")
    seconds_until(lambda: bool(deployment.received.notifications("pager", "resolved")))
    deployment.calm()
    assert len(deployment.received.alerts("pager")) == 1


def test_a_dead_network_path_is_one_alert_and_not_one_for_each_tenant(
    deployment: Deployment,
) -> None:
    deployment.received.every.clear()
    deployment.network(cut=True)
    seconds_until(lambda: bool(deployment.received.alerts("pager")))
    deployment.calm()

    (labels,) = deployment.received.alerts("pager")
    assert (labels["alertname"], labels["culprit"]) == ("ProberVantagePointOffline", "network")
    assert deployment.received.alerts("tickets") == deployment.received.alerts("development") == []

    deployment.network(cut=False)
    seconds_until(lambda: bool(deployment.received.notifications("pager", "resolved")))
    deployment.calm()
    assert len(deployment.received.alerts("pager")) == 1


def test_errors_of_the_platform_on_one_tenant_are_one_page(deployment: Deployment) -> None:
    deployment.received.every.clear()
    call("PUT", f"{deployment.control}/faults", {"fault": "server_error", "tenant": "legacy"})
    seconds_until(lambda: bool(deployment.received.alerts("pager")))
    call("DELETE", f"{deployment.control}/faults")

    seconds_until(lambda: bool(deployment.received.notifications("pager", "resolved")), 120)
    (labels,) = deployment.received.alerts("pager")
    assert (labels["alertname"], labels["culprit"]) == ("ProberErrorBudgetBurnsFast", "platform")
    assert (labels["tenant"], labels["environment"]) == ("legacy", "production")
    assert deployment.received.alerts("development") == []


def test_one_tenants_network_is_that_tenants_alert_and_development_pages_nobody(
    deployment: Deployment,
) -> None:
    deployment.received.every.clear()
    call("PUT", f"{deployment.control}/tenants/acme-dev/network", {"cut": True})
    seconds_until(lambda: bool(deployment.received.alerts("development")))
    deployment.calm()

    (labels,) = deployment.received.alerts("development")
    assert (labels["alertname"], labels["tenant"]) == ("ProberTenantUnreachable", "acme-dev")
    assert deployment.received.alerts("pager") == []
    call("PUT", f"{deployment.control}/tenants/acme-dev/network", {"cut": False})
    seconds_until(lambda: bool(deployment.received.notifications("development", "resolved")))


@dataclass(frozen=True)
class Cell:
    """A fault at some scope, and the one notification that it must bring, by whom it may be."""

    fault: str
    tenant: str | None
    path: str | None
    receiver: str
    alert: str
    culprit: str
    in_short: bool = False
    """Whether it runs without E2E_EVERY_CELL, which `make e2e` sets."""


ONE_PROBE, ALL_PROBES, ALL_TENANTS = ("legacy", "*/datasets"), ("legacy", None), (None, None)
CELLS = (
    Cell("permission_denied", *ONE_PROBE, "tickets", "ProberPermissionDenied", "credential"),
    Cell("client_error", *ONE_PROBE, "tickets", "ProberProbeFailing", "request", in_short=True),
    Cell("captive_portal", *ONE_PROBE, "tickets", "ProberProbeFailing", "network"),
    Cell("hang", *ONE_PROBE, "tickets", "ProberProbeFailing", "undecided"),
    Cell("server_error", *ONE_PROBE, "pager", "ProberErrorBudgetBurnsFast", "platform"),
    Cell("permission_denied", *ALL_PROBES, "pager", "ProberTenantRefused", "credential"),
    Cell("client_error", *ALL_PROBES, "pager", "ProberTenantRefused", "request"),
    Cell("captive_portal", *ALL_PROBES, "pager", "ProberTenantUnreachable", "network"),
    Cell("hang", *ALL_PROBES, "pager", "ProberTenantSilent", "undecided"),
    Cell("permission_denied", *ALL_TENANTS, "pager", "ProberTenantRefused", "credential"),
    Cell("client_error", *ALL_TENANTS, "pager", "ProberTenantRefused", "request"),
    Cell("captive_portal", *ALL_TENANTS, "pager", "ProberVantagePointOffline", "network"),
    Cell("hang", *ALL_TENANTS, "pager", "ProberLocationSilent", "undecided", in_short=True),
    Cell("server_error", *ALL_TENANTS, "pager", "ProberPlatformDown", "platform"),
    # The platform responds, and its responses are errors.
    Cell("datasets_empty", *ALL_PROBES, "tickets", "ProberCheckFailing", "tenant", in_short=True),
    Cell("user_empty", *ALL_PROBES, "pager", "ProberErrorBudgetBurnsFast", "platform"),
    Cell("datasets_empty", *ALL_TENANTS, "tickets", "ProberCheckFailing", "tenant"),
)


def of_the_cell(note: dict[str, Any]) -> list[dict[str, str]]:
    """Return the labels of a notification's alerts, but for those of a machine that is busy."""
    every = [each["labels"] for each in note["alerts"] if each["status"] == "firing"]
    return [each for each in every if each["scope"] != "prober"]


@pytest.mark.parametrize(
    "cell",
    [each for each in CELLS if EVERY_CELL or each.in_short],
    ids=lambda cell: f"{cell.fault} {cell.tenant} {cell.path}",
)
def test_what_is_hard_down_is_notified_once(deployment: Deployment, cell: Cell) -> None:
    deployment.calm()
    deployment.received.every.clear()
    scope = {"tenant": cell.tenant, "path": cell.path}
    wanted = {name: value for name, value in scope.items() if value is not None}
    call("PUT", f"{deployment.control}/faults", {"fault": cell.fault, **wanted})
    try:
        seconds_until(
            lambda: any(
                map(of_the_cell, deployment.received.notifications(cell.receiver, "firing"))
            ),
            2 * LIMIT_SECONDS,
        )
        deployment.calm()
        notes = [
            labels
            for receiver in ("pager", "tickets")
            for note in deployment.received.notifications(receiver, "firing")
            if (labels := of_the_cell(note))
        ]
        alerts = [labels for note in notes for labels in note]
        assert {each["alertname"] for each in alerts} == {cell.alert}
        assert {each["culprit"] for each in alerts} == {cell.culprit}
        assert len(notes) == 1
    finally:
        call("DELETE", f"{deployment.control}/faults")
    seconds_until(
        lambda: bool(deployment.received.notifications(cell.receiver, "resolved")),
        2 * LIMIT_SECONDS,
    )


def test_the_watchdog_is_sent_all_the_time(deployment: Deployment) -> None:
    known = len(deployment.received.watchdog)
    seconds_until(lambda: len(deployment.received.watchdog) > known + 1)
    _, note = deployment.received.watchdog[-1]
    assert [each["labels"]["alertname"] for each in note["alerts"]] == ["Watchdog"]
