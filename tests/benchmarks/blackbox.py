"""prometheus-blackbox-exporter, driven as Prometheus would: a scrape for each probe."""

import http.client
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import yaml

from tests.benchmarks.processes import cpu_seconds, running
from tests.programs import free_port


def blackbox_program() -> str:
    """Return the program: `blackbox_exporter` on the path, a newer build, else Debian's."""
    return shutil.which("blackbox_exporter") or "prometheus-blackbox-exporter"


def blackbox_version() -> str:
    """Return which one it is, in words."""
    command = [blackbox_program(), "--version"]
    formatted = subprocess.run(command, check=True, capture_output=True, text=True)
    first = (formatted.stdout + formatted.stderr).splitlines()[0]
    return " ".join(first.split(" (")[0].split()).replace(", version", "")


class Blackbox:
    """A running exporter."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    def cpu_seconds_per_probe(self, url: str, rate: float, number: int) -> float:
        """Ask for so many probes at that rate; return what each cost the exporter alone."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        path = f"/probe?module=api&target={quote(url, safe='')}"
        _ask(connection, path)
        before, began = cpu_seconds(self._pid), time.monotonic()
        for count in range(number):
            time.sleep(max(0.0, began + count / rate - time.monotonic()))
            _ask(connection, path)
        used = cpu_seconds(self._pid) - before
        connection.close()
        return used / number


def _ask(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse().read()
    if b"probe_success 1" not in answer:
        raise AssertionError(answer.decode())


@contextmanager
def blackbox(directory: Path, ca_file: Path | None) -> Iterator[Blackbox]:
    """Start the exporter with one module that asks as the prober does."""
    module = {
        "prober": "http",
        "timeout": "5s",
        "http": {
            "preferred_ip_protocol": "ip4",
            "bearer_token": "a-token-of-the-benchmark",
            "headers": {"Accept": "application/json"},
            "tls_config": {} if ca_file is None else {"ca_file": str(ca_file)},
        },
    }
    configuration = directory / "blackbox.yml"
    configuration.write_text(yaml.safe_dump({"modules": {"api": module}}))
    port = free_port()
    command = [
        blackbox_program(),
        f"--config.file={configuration}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, directory / "blackbox.log", port) as process:
        yield Blackbox(process.pid, port)
