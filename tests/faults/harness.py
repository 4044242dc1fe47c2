"""What tests hold of the stage and of daemons on it: started, asked, ended."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from prober.outcomes import Reason
from tests.programs import ANSWER_LIMIT_SECONDS, PROBER, end, wait_for_line

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120.0
OUT_OF_TIME = {Reason.CONNECT_TIMEOUT, Reason.RESPONSE_TIMEOUT}
"""How a run on a busy machine may end, whatever its server does."""
_UNSHARE = ("--net", "--mount") if os.geteuid() == 0 else ("--map-root-user", "--net", "--mount")
_ENTER = (
    ("--net", "--mount")
    if os.geteuid() == 0
    else ("--user", "--preserve-credentials", "--net", "--mount")
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Verdicts = dict[tuple[str, str, str], float]


class _Bridged(http.client.HTTPConnection):
    """A connection to a port inside the stage's network."""

    def __init__(self, bridge: Path, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=ANSWER_LIMIT_SECONDS)
        self._bridge = bridge

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_LIMIT_SECONDS)
        self.sock.connect(str(self._bridge))
        self.sock.sendall(f"{self.port}\n".encode())


class Stage:
    """The namespace, with all that listens in it. `tenants` are settings by name."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.directory, self.process = directory, process
        self.tenants: dict[str, dict[str, Any]] = json.loads(
            (directory / "tenants.json").read_text()
        )

    def inside(self, *command: str) -> list[str]:
        """Return the command line that runs `command` inside, as one process."""
        return ["nsenter", "--target", str(self.process.pid), *_ENTER, "--wd", "--", *command]

    def get(self, port: int, path: str) -> str:
        connection = _Bridged(self.directory / "bridge", port)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """Set up the stage; its directory has a short name, since a socket stands in it."""
    for name, content in {
        "good": "good-token",
        "empty": "",
        "two": "two words",
        "long": "x" * 100_000,
    }.items():
        (directory / f"{name}.token").write_text(content)
    log = directory / "stage.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", *_UNSHARE, sys.executable, "-m", "tests.faults.netns", str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_line(process, log, "(READY)")
        yield Stage(directory, process)
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


class Daemon:
    """A `prober run` on the stage."""

    def __init__(
        self, stage: Stage, process: subprocess.Popen[bytes], port: int, log: Path
    ) -> None:
        self.stage, self.process, self.port, self.log = stage, process, port, log
        self._metrics, self._fresh_until = "", 0.0

    def get(self, path: str) -> str:
        return self.stage.get(self.port, path)

    def json(self, path: str) -> Any:  # noqa: ANN401 -- whatever the API says
        return json.loads(self.get(path))

    def metrics(self) -> str:
        """Return /metrics, at most a quarter of a second old."""
        if time.monotonic() > self._fresh_until:
            self._metrics = self.get("/metrics")
            self._fresh_until = time.monotonic() + 0.25
        return self._metrics

    def series(self, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the samples of this name with these labels, by all of their labels."""
        return matching(self.metrics(), name, **labels)

    def total(self, name: str, **labels: str) -> float:
        return sum(self.series(name, **labels).values())

    def verdicts(self, tenant: str) -> Verdicts:
        """Return how often each outcome, reason, culprit was said of a tenant."""
        return verdicts(self.metrics(), tenant)

    def runs(self, tenant: str) -> float:
        """Return how many runs of a tenant have ended."""
        return sum(self.verdicts(tenant).values())

    def go_on(self, *tenants: str, more: int = 2) -> None:
        """Wait for further runs of each tenant, good ones."""
        good = ("success", "ok", "none")
        wanted = {name: self.verdicts(name).get(good, 0) + more for name in tenants}
        eventually(
            f"{more} good runs more of {', '.join(tenants)}",
            lambda: all(self.verdicts(n).get(good, 0) >= runs for n, runs in wanted.items()),
            reported=wanted,
        )

    def status_kib(self, name: str) -> int:
        """Return a figure of /proc/PID/status, such as VmRSS."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        [figure] = re.findall(rf"{name}:\s+(\d+)", text)
        return int(figure)


def matching(text: str, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
    found = {}
    label = "".join(f'{key}="{value}"' for key, value in labels.items())
    for written, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
        pairs = tuple(_LABEL.findall(written)) if label in written or len(labels) > 1 else ()
        if labels.items() <= dict(pairs).items():
            found[pairs] = float(value)
    return found


def verdicts(text: str, tenant: str) -> Verdicts:
    counted: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for pairs, count in matching(text, "prober_probe_runs_total", tenant=tenant).items():
        labels = dict(pairs)
        if count:
            counted[labels["outcome"], labels["reason"], labels["culprit"]] += count
    return dict(counted)


@contextmanager
def daemon(
    stage: Stage,
    name: str,
    settings: Mapping[str, Any],
    *,
    before: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Run a daemon on the stage; `before` are words before `prober run`, such as a wrapper's."""
    file = stage.directory / f"{name}.yaml"
    file.write_text(yaml.safe_dump(dict(settings)))
    number = len(list(stage.directory.glob(f"{name}-*.log")))
    log = stage.directory / f"{name}-{number}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            stage.inside(*before, PROBER, "run", "--config", str(file)),
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
        )
    try:
        port = wait_for_line(process, log, r'"listening": "http://[^:]+:(\d+)"')
        yield Daemon(stage, process, int(port), log)
    finally:
        end(process)


def settings_of(
    tenants: Mapping[str, Mapping[str, Any]], *, state: str, **parts: object
) -> dict[str, Any]:
    """Return settings with short intervals for these tenants."""
    return {
        "web": {"listen": "127.0.0.1:0"},
        "defaults": {
            "interval": "3s",
            "timeout": "2s",
            "connect_timeout": "1s",
            "ca_file": "ca.pem",
            "proxy": "none",
        },
        "tokens": {"retry_initial": "100ms", "retry_max": "200ms"},
        "shutdown_timeout": "1s",
        "state": {"directory": state},
        "log": {"level": "debug"},
        "tenants": [
            {"name": name, "token": {"file": "good.token"}, "probes": ["datasets"], **tenant}
            for name, tenant in tenants.items()
        ],
        **parts,
    }


def quick(settings: dict[str, Any]) -> dict[str, Any]:
    """Let every probe run each second."""
    short = {"interval": "1s", "timeout": "900ms", "connect_timeout": "600ms"}
    return {**settings, "defaults": {**settings["defaults"], **short}}


def eventually(
    what: str,
    holds: Callable[[], object],
    limit_seconds: float = LIMIT_SECONDS,
    reported: object = "",
) -> None:
    """Wait until something holds; `reported` is shown when it does not."""
    until = time.monotonic() + limit_seconds
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"not within {limit_seconds:g} s: {what}; {reported}")
        time.sleep(0.05)
