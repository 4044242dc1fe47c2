"""The daemon as a process against the simulator over TLS: faults by their names in /metrics.

How an answer reads does not depend on TLS: what alters answers alone is tested in `tests/faults`,
and stands here by three of its kind.
"""

import base64
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from prober.outcomes import CLASSIFICATION, Reason
from prober.simulator.faults import FAULTS, Fault, FaultLayer
from tests.programs import PROBER, call, get, started

OVER_TLS = [
    fault
    for name, fault in FAULTS.items()
    if fault.layer not in {FaultLayer.RESPONSE, FaultLayer.CONTENT}
    or name in {"token_rejected", "server_error", "echoed_token"}
]
SERIES = re.compile(
    r'prober_probe_runs_total\{culprit="(\w+)",outcome="(\w+)",probe="[^"]+",reason="(\w+)",'
    r'tenant="acme-prod"\} (\S+)'
)
LIMIT_SECONDS = 90
PROBES = 8
JOURNALS = ("-journal", "-wal", "-shm")
ENOUGH_RUNS = PROBES + 1  # one more than may still be under way from before


class Installation:
    """The addresses of both programs."""

    def __init__(self, control: str, metrics: str, file: Path) -> None:
        self.control, self.metrics, self.file = control, metrics, file
        self.log = file.with_name("prober.log")

    def verdicts(self) -> dict[tuple[str, str, str], float]:
        """Return how often each outcome, reason, culprit was said."""
        counted: defaultdict[tuple[str, str, str], float] = defaultdict(float)
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
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("faults")
    simulate = ("simulate", "--port", "0", "--control-port", "0", "--tls", "--server-ms", "5")
    files = ("--token-directory", str(directory), "--ca-file", str(directory / "ca.pem"))
    log = directory / "simulator.log"
    with started(*simulate, *files, until=r"control: (\S+)", log=log) as (_, control):
        [base_url] = re.findall(r"acme-prod: (\S+)", log.read_text())
        oauth = {
            "token_url": call("GET", f"{control}/tenants")["acme-dev"]["token_url"],
            "client_id": "acme-dev-client",
            "client_secret": {"file": "acme-dev.client-secret"},
        }
        settings = {
            "web": {"listen": "127.0.0.1:0"},
            "tokens": {"retry_initial": "100ms", "retry_max": "200ms"},
            "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "400ms"},
            "tenants": [
                {
                    "name": "acme-prod",
                    "base_url": base_url,
                    "token": {"file": "acme-prod.token"},
                    "ca_file": "ca.pem",
                    "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(PROBES)],
                },
                {
                    "name": "acme-dev",
                    "base_url": base_url.replace("/acme/prod/", "/acme/dev/"),
                    "token": {"oauth": oauth},
                    "ca_file": "ca.pem",
                    "probes": ["datasets"],
                },
            ],
            "state": {"directory": "state"},
            "log": {"level": "debug"},
        }
        file = directory / "prober.yaml"
        file.write_text(yaml.safe_dump(settings))
        log = directory / "prober.log"
        run = ("run", "--config", str(file))
        with started(*run, until=r'"listening": "([^"]+)"', log=log) as (_, url):
            yield Installation(control, f"{url}/metrics", file)


@pytest.mark.parametrize("fault", OVER_TLS, ids=lambda fault: fault.name)
def test_a_fault_gets_its_name(installation: Installation, fault: Fault) -> None:
    reason = Reason(fault.reason)
    expected = CLASSIFICATION[reason]
    call("PUT", f"{installation.control}/faults", {"fault": fault.name})
    try:
        assert installation.settled() == (expected.outcome, reason, expected.culprit)
    finally:
        call("DELETE", f"{installation.control}/faults")


def test_afterwards_all_is_well_and_no_exception_was_logged(installation: Installation) -> None:
    assert installation.settled() == ("success", "ok", "none")
    log = installation.log.read_text()
    assert "Traceback" not in log
    assert "exception" not in log


def secrets_of(installation: Installation) -> Iterator[str]:
    for name, tenant in call("GET", f"{installation.control}/tenants").items():
        yield tenant["token"]
        yield from tenant["issued_tokens"]
        yield installation.file.with_name(f"{name}.client-secret").read_text().strip()


def written_by(installation: Installation) -> Iterator[tuple[str, bytes]]:
    for path in (installation.log, *installation.file.with_name("state").iterdir()):
        with suppress(FileNotFoundError):  # a journal goes when its transaction has ended
            yield path.name, path.read_bytes()
    yield "metrics", get(installation.metrics).encode()
    config = ("--config", str(installation.file), "--json")
    for command in (("tokens",), ("probe", "acme-prod"), ("probe", "acme-dev")):
        arguments = [PROBER, *command, *config]
        done = subprocess.run(arguments, capture_output=True, timeout=LIMIT_SECONDS, check=False)
        yield f"prober {' '.join(command)}", done.stdout + done.stderr


def test_no_secret_is_in_anything_that_was_written(installation: Installation) -> None:
    secrets = set(secrets_of(installation))
    assert len(secrets) >= 7  # three tokens, three clients' secrets, one issued token
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret, safe=""), secret.upper(), secret[:12], secret[-12:])
    } | {form for secret in secrets for form in base64_forms(secret)}
    names = []
    for name, content in written_by(installation):
        names.append(name)
        assert content or name.endswith(JOURNALS)
        assert [form for form in forms if form.encode() in content] == [], name
    assert {"prober.log", "tokens.sqlite3", "metrics", "prober probe acme-dev"} <= set(names)


def base64_forms(secret: str) -> Iterator[str]:
    """Yield what is seen of a secret in base64, wherever in a longer text it stands."""
    for shift in range(3):
        whole = base64.b64encode(b"x" * shift + secret.encode()).decode()
        yield whole[4:-4]
