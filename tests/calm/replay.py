"""What a real Alertmanager sends for alerts that fired: each incident is played to one of its own.

Time runs faster by `SPEED`, and all durations of the shipped file are shortened as much.
"""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.alerting.notifications import Firing
from tests.prometheus import CONFIG, running_at_any_port

SPEED = 120
APART_SECONDS = 1800
"""Alerts that begin no later than this after another one ended belong to the same incident."""
LONG_SECONDS = 5400
"""An alert that goes on for longer is played for so long after the last one began."""
DURATION = re.compile(r"((?:group_wait|group_interval|repeat_interval): )(\d+)([smh])")
UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True)
class Sent:
    """One notification: when, in seconds of the simulated time, to whom, and of what."""

    at: float
    receiver: str
    alerts: tuple[dict[str, str], ...]


def incidents(firing: Iterable[Firing]) -> list[list[Firing]]:
    """Divide alerts into groups that have nothing to do with one another, by time."""
    found: list[list[Firing]] = []
    latest = 0.0
    for each in sorted(firing, key=lambda one: one.starts_at):
        if not found or each.starts_at > latest + APART_SECONDS:
            found.append([])
            latest = 0.0
        found[-1].append(each)
        ends_at = min(each.ends_at or each.starts_at, each.starts_at + LONG_SECONDS)
        latest = max(latest, ends_at)
    return found


def play(every: Sequence[Sequence[Firing]], directory: Path) -> list[Sent]:
    """Play all incidents at once, and return all notifications in the order of their time."""
    with ThreadPoolExecutor(max(1, len(every))) as pool:
        jobs = [
            pool.submit(_play, incident, directory / f"incident{place}")
            for place, incident in enumerate(every)
        ]
        return sorted((each for job in jobs for each in job.result()), key=lambda each: each.at)


def _play(incident: Sequence[Firing], directory: Path) -> list[Sent]:
    directory.mkdir()
    first = min(each.starts_at for each in incident)
    until = max(each.starts_at for each in incident) + LONG_SECONDS
    sent: list[Sent] = []
    with ExitStack() as resources:
        started = time.monotonic()
        receiver = _receiver(sent, lambda: first + (time.monotonic() - started) * SPEED)
        resources.callback(receiver.shutdown)
        command = _alertmanager(directory, receiver.server_address[1])
        log = directory / "alertmanager.log"
        port = resources.enter_context(running_at_any_port(command, log, "Listening on"))
        started = time.monotonic()
        moments = {each.starts_at for each in incident} | {each.ends_at for each in incident}
        for at in sorted(each for each in moments if each is not None and each <= until):
            time.sleep(max(0.0, (at - first) / SPEED - (time.monotonic() - started)))
            _post(port, [each for each in incident if each.starts_at <= at], at)
        left = (until - first) / SPEED - (time.monotonic() - started)
        time.sleep(max(0.0, left))
        return list(sent)


def _post(port: int, alerts: Sequence[Firing], now: float) -> None:
    real = time.time()
    content = [
        {
            "labels": dict(each.labels),
            "annotations": {},
            "startsAt": _text(real - (now - each.starts_at) / SPEED),
            "endsAt": _text(
                real + 3600
                if each.ends_at is None or each.ends_at > now
                else real - (now - each.ends_at) / SPEED
            ),
        }
        for each in alerts
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()


def _text(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


def _receiver(sent: list[Sent], now: object) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            firing = tuple(each["labels"] for each in body["alerts"] if each["status"] == "firing")
            if firing:
                sent.append(Sent(now(), self.path.strip("/"), firing))  # type: ignore[operator]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _alertmanager(directory: Path, receiver: int) -> list[str]:
    text = (CONFIG / "alertmanager" / "alertmanager.yml").read_text()
    text = DURATION.sub(
        lambda found: f"{found[1]}{int(found[2]) * UNITS_MS[found[3]] // SPEED}ms", text
    )
    text = re.sub(r"\n +mute_time_intervals: .*", "", text).replace("9095", str(receiver))
    (directory / "alertmanager.yml").write_text(text)
    template = (CONFIG / "alertmanager" / "prober.tmpl").read_text()
    (directory / "prober.tmpl").write_text(template)
    return [
        "prometheus-alertmanager",
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'state'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
