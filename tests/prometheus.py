"""The real Prometheus with the shipped rules, faster than in life: a minute is a second."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.programs import end, seconds_until

CONFIG = Path(__file__).parents[1] / "config"
SCALE = 60
OVERLOAD = (
    *("ProberEventLoopLags", "ProberMeasurementsDiscarded"),
    *("ProberRunsSkipped", "ProberScheduleLate"),
)
"""Alerts about a machine that is too busy, as one that runs tests may be."""
READY = "Server is ready to receive web requests"
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = re.compile(
    r"((?:\[|\[\d\w+:|offset |for: |interval: |group_wait: |_interval: ))(\d+)(ms|s|m|h|d)\b",
    re.MULTILINE,
)


def scaled(text: str) -> str:
    """Divide every duration, and nothing else."""
    return DURATION.sub(
        lambda found: f"{found[1]}{int(found[2]) * UNITS_MS[found[3]] // SCALE}ms", text
    )


LISTENING = re.compile(r'msg="Listening on" .*?address=127\.0\.0\.1:(\d+)')


@contextmanager
def running_at_any_port(command: list[str], log: Path, until: str) -> Iterator[int]:
    """Run a program that is told to listen at port 0; yield the port that it got."""
    with running(command, log, until):
        found = LISTENING.search(log.read_text())
        assert found is not None, log.read_text()
        yield int(found[1])


@contextmanager
def running(command: list[str], log: Path, until: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        seconds_until(lambda: until in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        end(process)


def prometheus(directory: Path, targets: Sequence[str], port: int, alertmanager: int) -> list[str]:
    """Return the command that scrapes `targets` and listens at `port`."""
    (directory / "rules").mkdir()
    for path in (CONFIG / "prometheus" / "rules").iterdir():
        (directory / "rules" / path.name).write_text(scaled(path.read_text()))
    text = (CONFIG / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9824", '", "'.join(targets)).replace("9093", str(alertmanager))
    file = directory / "prometheus.yml"
    file.write_text(scaled(text))
    return [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
