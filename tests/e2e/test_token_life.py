"""The life of tokens, with the daemon and the simulator as processes: what the issue calls done."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from prober.tokens.state_machine import TokenRecord
from prober.tokens.store import TokenStore
from tests.programs import (
    END_LIMIT_SECONDS,
    LIMIT_SECONDS,
    PROBER,
    call,
    end,
    get,
    seconds_until,
    started,
)

TENANTS = ("acme-prod", "acme-dev", "legacy")
PROBES = 8
FIRST_PAUSE_SECONDS, LATER_PAUSE_SECONDS = 2.0, 4.0


class Installation:
    """A simulated platform, the configuration of a prober on it, and the prober's address."""

    def __init__(self, directory: Path, control: str) -> None:
        self.directory, self.control, self.metrics = directory, control, ""
        self.file = directory / "prober.yaml"
        base_urls = {name: each["base_url"] for name, each in self.tenants().items()}
        written = {
            "web": {"listen": "127.0.0.1:0"},
            "state": {"directory": "state"},
            "tokens": {"retry_initial": "2s", "retry_max": "4s"},
            "shutdown_timeout": "2s",
            "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "400ms"},
            "tenants": [
                {
                    "name": name,
                    "base_url": base_urls[name],
                    "token": {"file": f"{name}.token"},
                    "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(PROBES)],
                }
                for name in TENANTS
            ],
        }
        self.file.write_text(yaml.safe_dump(written))

    @contextmanager
    def running(self, log: str = "prober.log") -> Iterator[subprocess.Popen[bytes]]:
        command = ("run", "--config", str(self.file))
        until = r'"listening": "([^"]+)"'
        with started(*command, until=until, log=self.directory / log) as (process, url):
            self.metrics = f"{url}/metrics"
            yield process

    def tenants(self) -> dict[str, Any]:
        return call("GET", f"{self.control}/tenants")

    def regenerate(self, tenant: str) -> None:
        call("POST", f"{self.control}/tenants/{tenant}/regenerate")

    def deliver(self, tenant: str) -> None:
        call("POST", f"{self.control}/tenants/{tenant}/deliver")

    def refused_at(self, tenant: str) -> list[float]:
        """Return the times of the tenant's requests with a 401 so far, in epoch seconds."""
        logged = call("GET", f"{self.control}/requests?tenant={tenant}")["requests"]
        return [each["at"] for each in logged if each["status"] == 401]

    def refused(self, tenant: str) -> int:
        return len(self.refused_at(tenant))

    def longest_pause(self, tenant: str) -> float:
        """Return the longest time (seconds) between two requests of the tenant with a 401."""
        pauses = (later - earlier for earlier, later in pairwise(self.refused_at(tenant)))
        return max(pauses, default=0.0)

    def value(self, series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (\S+)$", get(self.metrics), re.MULTILINE)
        return float(found.group(1)) if found else float("nan")

    def is_in(self, tenant: str, state: str) -> bool:
        return self.value(f'prober_token_state{{state="{state}",tenant="{tenant}"}}') == 1

    def is_rejected_for(self, tenant: str, cause: str) -> bool:
        series = f'prober_token_rejected_cause{{cause="{cause}",tenant="{tenant}"}}'
        return self.is_in(tenant, "rejected") and self.value(series) == 1

    def all_valid(self) -> bool:
        return all(self.is_in(tenant, "valid") for tenant in TENANTS)

    def api_errors(self) -> float:
        runs = re.findall(r'prober_probe_runs_total\{.*outcome="api_error".*\} (\S+)', self.text())
        return sum(map(float, runs))

    def text(self) -> str:
        return get(self.metrics)

    def stored(self, tenant: str) -> TokenRecord:
        store = TokenStore.read(self.directory / "state")
        assert store is not None
        try:
            return store.records()[tenant]
        finally:
            store.close()

    def status(self, tenant: str) -> dict[str, Any]:
        done = subprocess.run(  # noqa: PLW1510 -- 10 is an answer
            [PROBER, "tokens", tenant, "--config", str(self.file), "--json"],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode in {0, 10}, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
    files = ("--token-directory", str(tmp_path))
    log = tmp_path / "simulator.log"
    with started(*simulate, *files, until=r"control: (\S+)", log=log) as (_, control):
        yield Installation(tmp_path, control)


def test_a_regenerated_token_is_named_spared_and_followed_by_the_new_one(
    installation: Installation,
) -> None:
    with installation.running():
        seconds_until(installation.all_valid)

        installation.regenerate("acme-prod")
        seconds_until(lambda: installation.is_rejected_for("acme-prod", "superseded"))
        at_first = installation.refused("acme-prod")
        assert at_first <= 2 * PROBES

        # The pause after the first refusal is 2 s, the later ones are 4 s. The simulator logs a
        # request before it responds, so that no stall makes a pause shorter.
        seconds_until(lambda: installation.longest_pause("acme-prod") >= LATER_PAUSE_SECONDS)
        skipped = re.findall(
            r'probe_skipped_total\{cause="token_rejected",.*tenant="acme-prod"\} (\S+)',
            installation.text(),
        )
        assert sum(map(float, skipped)) > PROBES

        installation.deliver("acme-prod")
        seconds_until(lambda: installation.is_in("acme-prod", "valid"))
        assert installation.value('prober_token_rotations_total{tenant="acme-prod"}') == 1
        assert installation.api_errors() == 0
        assert [installation.refused(each) for each in TENANTS[1:]] == [0, 0]
    log = (installation.directory / "prober.log").read_text()
    assert [log.count(f'"event": "{event}"') for event in ("token.rejected", "token.rotated")] == [
        1,
        1,
    ]


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_forgets_nothing(installation: Installation, ended_by: signal.Signals) -> None:
    with installation.running() as process:
        seconds_until(installation.all_valid)
        installation.regenerate("acme-dev")
        seconds_until(lambda: installation.is_rejected_for("acme-dev", "superseded"))
        # The file and not `prober tokens`, which asks the daemon what it may not have saved yet.
        seconds_until(lambda: installation.stored("acme-dev").cause == "superseded")
        before = installation.status("acme-dev")
        process.send_signal(ended_by)
        process.wait(END_LIMIT_SECONDS)

    refused = installation.refused("acme-dev")
    with installation.running("after.log"):
        assert installation.is_rejected_for("acme-dev", "superseded")
        after = installation.status("acme-dev")
        kept = ("fingerprint", "first_accepted_at_timestamp_seconds", "cause", "rotations")
        assert [after[name] for name in kept] == [before[name] for name in kept]
        seconds_until(lambda: installation.refused("acme-dev") > refused)
        # One more may have been under way when it was killed; eight probes would be eight a second.
        first, *more = installation.refused_at("acme-dev")[refused:]
        assert sum(at < first + FIRST_PAUSE_SECONDS for at in more) <= 1
        installation.deliver("acme-dev")
        seconds_until(lambda: installation.is_in("acme-dev", "valid"))
        assert installation.value('prober_token_rotations_total{tenant="acme-dev"}') == 1
        assert installation.api_errors() == 0


def test_a_token_that_was_wrong_from_the_start_was_never_accepted(
    installation: Installation,
) -> None:
    installation.directory.joinpath("legacy.token").write_text("not-the-platforms\n")
    # One probe: on a slow machine, others may be running when the first is refused.
    configuration = yaml.safe_load(installation.file.read_text())
    del configuration["tenants"][TENANTS.index("legacy")]["probes"][1:]
    installation.file.write_text(yaml.safe_dump(configuration))
    with installation.running():
        seconds_until(lambda: installation.is_rejected_for("legacy", "never_accepted"))
        seconds_until(lambda: installation.refused("legacy") > 2)
        # The run, the check of another route, and nothing else before the first pause is over.
        first, _, third = installation.refused_at("legacy")[:3]
        assert third - first > FIRST_PAUSE_SECONDS
        assert installation.status("legacy")["cause"] == "never_accepted"
        installation.deliver("legacy")
        seconds_until(lambda: installation.is_in("legacy", "valid"))
        assert installation.api_errors() == 0


def test_a_permission_that_is_taken_away_never_touches_the_tokens_state(
    installation: Installation,
) -> None:
    with installation.running():
        seconds_until(installation.all_valid)
        denied = {"permissions": ["View labels"]}
        call("PUT", f"{installation.control}/tenants/legacy/denied", denied)
        forbidden = re.compile(
            r'runs_total\{.*reason="permission_denied",tenant="legacy"\} [1-9]', re.MULTILINE
        )
        seconds_until(lambda: forbidden.search(installation.text()) is not None)
        assert installation.is_in("legacy", "valid")


def test_a_second_prober_on_the_same_state_is_refused_in_one_line(
    installation: Installation,
) -> None:
    with installation.running() as first:
        done = subprocess.run(  # noqa: PLW1510 -- 10 is an answer
            [PROBER, "run", "--config", str(installation.file)],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 1
        assert f"in use by another prober (process {first.pid})" in done.stderr
        assert done.stderr.count("\n") == 1
        assert end(first) == 0
