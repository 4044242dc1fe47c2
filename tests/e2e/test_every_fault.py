"""The daemon as a process against the simulator over TLS: every fault, by its name in /metrics."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from prober.outcomes import CLASSIFICATION, Reason
from prober.simulator.faults import FAULTS, Fault
from tests.programs import call, get, started

SERIES = re.compile(
    r'prober_probe_runs_total\{culprit="(\w+)",outcome="(\w+)",probe="[^"]+",reason="(\w+)",'
    r'tenant="acme-prod"\} (\S+)'
)
LIMIT_SECONDS = 8
PROBES = 8
ENOUGH_RUNS = PROBES  # no run of before is still under way


class House:
    """The addresses of both programs."""

    def __init__(self, control: str, metrics: str, log: Path) -> None:
        self.control, self.metrics, self.log = control, metrics, log

    def verdicts(self) -> dict[tuple[str, str, str], float]:
        """Return how often each outcome, reason, culprit was said."""
        counted: Counter[tuple[str, str, str]] = Counter()
        for culprit, outcome, reason, count in SERIES.findall(get(self.metrics)):
            counted[outcome, reason, culprit] += float(count)
        return counted

    def settled(self) -> tuple[str, str, str]:
        """Return the one verdict that every run comes to once those of before have ended."""
        before = self.verdicts()
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            time.sleep(0.05)
            now = self.verdicts()
            more = {key: times - before[key] for key, times in now.items() if times > before[key]}
            if len(more) > 1:
                before = now
            elif sum(more.values()) >= ENOUGH_RUNS:
                return next(iter(more))
        raise AssertionError(f"no verdict was said alone; last: {more}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("faults")
    simulate = ("simulate", "--port", "0", "--control-port", "0", "--tls", "--server-ms", "5")
    files = ("--token-directory", str(directory), "--ca-file", str(directory / "ca.pem"))
    log = directory / "simulator.log"
    with started(*simulate, *files, until=r"control: (\S+)", log=log) as (_, control):
        base_url = re.search(r"acme-prod: (\S+)", log.read_text()).group(1)
        settings = {
            "web": {"listen": "127.0.0.1:0"},
            "tokens": {"canary_first": "100ms", "canary_limit": "200ms"},
            "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "400ms"},
            "tenants": [
                {
                    "name": "acme-prod",
                    "base_url": base_url,
                    "token": {"file": "acme-prod.token"},
                    "ca_file": "ca.pem",
                    "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(PROBES)],
                }
            ],
        }
        file = directory / "prober.yaml"
        file.write_text(yaml.safe_dump(settings))
        log = directory / "prober.log"
        run = ("run", "--config", str(file))
        with started(*run, until=r'"listening": "([^"]+)"', log=log) as (_, url):
            yield House(control, f"{url}/metrics", log)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_gets_its_name(house: House, fault: Fault) -> None:
    reason = Reason(fault.reason)
    expected = CLASSIFICATION[reason]
    call("PUT", f"{house.control}/faults", {"fault": fault.name})
    try:
        assert house.settled() == (expected.outcome, reason, expected.culprit)
    finally:
        call("DELETE", f"{house.control}/faults")


def test_afterwards_all_is_well_and_no_exception_was_logged(house: House) -> None:
    assert house.settled() == ("success", "ok", "none")
    log = house.log.read_text()
    assert "Traceback" not in log
    assert "exception" not in log
