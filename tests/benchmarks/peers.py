"""cloudprober and Gatus, as the daemon is run: so many probes, each once a second.

They are measured only where the programs are on the path; Debian has neither.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.benchmarks.nginx import StaticPlatform
from tests.benchmarks.processes import cpu_seconds, running
from tests.programs import free_port, get

_PATH = "/api/v1/datasets"
_WARM_UP_SECONDS = 15.0  # Gatus begins with one endpoint after the other
_LEAST_GOOD_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, and the metric that counts its good runs."""

    program: str
    successes: str

    @property
    def is_there(self) -> bool:
        """Whether the program can be started."""
        return shutil.which(self.program) is not None

    def cpu_seconds_per_probe(
        self,
        directory: Path,
        platform: StaticPlatform,
        *,
        tls: bool,
        reuse: bool,
        rate: int,
        seconds: float,
    ) -> float:
        """Return what one probe costs, at `rate` probes a second for `seconds`."""
        directory.mkdir(parents=True)
        port = free_port()
        url = platform.url(tls=tls)
        configure = _CONFIGURE[self.program]
        command = configure(directory, port, rate, url, None if reuse else "close")
        with running(command, directory / "log", port) as process:
            time.sleep(_WARM_UP_SECONDS)
            before, cpu_before = self._good(port), cpu_seconds(process.pid)
            time.sleep(seconds)
            cpu, after = cpu_seconds(process.pid) - cpu_before, self._good(port)
        if after - before < rate * seconds * _LEAST_GOOD_RATIO:
            raise AssertionError(f"{self.program}: only {after - before:g} good runs")
        return cpu / (after - before)

    def _good(self, port: int) -> float:
        lines = get(f"http://127.0.0.1:{port}/metrics").splitlines()
        samples = [line for line in lines if line.startswith(self.successes)]
        return sum(float(line.rpartition("}")[2].split()[0]) for line in samples)


def _cloudprober(
    directory: Path, port: int, rate: int, url: str, connection: str | None
) -> Sequence[str]:
    scheme, _, address = url.partition("://")
    host, _, target_port = address.partition(":")
    http = [
        f"protocol: {scheme.upper()}",
        f"port: {target_port}",
        f'relative_url: "{_PATH}"',
        f"keep_alive: {str(connection is None).lower()}",
    ]
    if scheme == "https":
        http.append("tls_config { disable_cert_validation: true }")
    probes = [
        f'probe {{ name: "p{number}" type: HTTP targets {{ host_names: "{host}" }}'
        f" interval_msec: 1000 timeout_msec: 900 stats_export_interval_msec: 1000"
        f" http_probe {{ {' '.join(http)} }} }}"
        for number in range(rate)
    ]
    configuration = directory / "cloudprober.cfg"
    head = [f"port: {port}", 'host: "127.0.0.1"', "surfacer { type: PROMETHEUS }"]
    configuration.write_text("\n".join([*head, *probes]))
    return ["cloudprober", f"--config_file={configuration}"]


def _gatus(
    directory: Path, port: int, rate: int, url: str, connection: str | None
) -> Sequence[str]:
    endpoint = {
        "group": "bench",
        "url": url + _PATH,
        "interval": "1s",
        "conditions": ["[STATUS] == 200"],
        "client": {"insecure": True, "timeout": "900ms"},  # it takes no CA file
        "headers": {} if connection is None else {"Connection": connection},
    }
    content = {
        "metrics": True,
        "concurrency": 0,
        "web": {"address": "127.0.0.1", "port": port},
        "endpoints": [{"name": f"p{number}", **endpoint} for number in range(rate)],
    }
    configuration = directory / "config.yaml"
    configuration.write_text(yaml.safe_dump(content))
    return ["env", f"GATUS_CONFIG_PATH={configuration}", "GATUS_LOG_LEVEL=ERROR", "gatus"]


_CONFIGURE = {"cloudprober": _cloudprober, "gatus": _gatus}
PEERS: Mapping[str, Peer] = {
    "cloudprober": Peer("cloudprober", "success{"),
    "gatus": Peer("gatus", "gatus_results_total{"),
}
