"""An OAuth tenant with tokens that are valid for 12 s: renewed in time, and not more often."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tests.programs import call, get, seconds_until, started

LIFETIME_SECONDS, TOKENS = 12, 3
LEAD_SECONDS = 0.2 * LIFETIME_SECONDS
VALID = 'prober_token_state{state="valid",tenant="acme-prod"} 1.0'
TOKEN_PATH = "/identity_/connect/token"


def token_requests(control: str) -> list[dict[str, Any]]:
    requests = call("GET", f"{control}/requests?tenant=acme-prod")["requests"]
    return [each for each in requests if each["path"] == TOKEN_PATH]


def test_no_token_expires_in_use_and_each_costs_one_request(tmp_path: Path) -> None:
    simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
    more = ("--token-directory", str(tmp_path), "--issued-token-seconds", str(LIFETIME_SECONDS))
    log = tmp_path / "simulator.log"
    with started(*simulate, *more, until=r"control: (\S+)", log=log) as (_, control):
        tenant = call("GET", f"{control}/tenants")["acme-prod"]
        client = {"client_id": tenant["client_id"], "token_url": tenant["token_url"]}
        secret = {"file": "acme-prod.client-secret"}
        written = {
            "web": {"listen": "127.0.0.1:0"},
            "state": {"directory": "state"},
            "defaults": {"interval": "4s", "timeout": "3900ms", "connect_timeout": "3s"},
            "tenants": [
                {
                    "name": "acme-prod",
                    "base_url": tenant["base_url"],
                    "token": {"oauth": {**client, "client_secret": secret}},
                    "probes": [{"use": "datasets", "name": f"p{n}"} for n in range(8)],
                }
            ],
        }
        file = tmp_path / "prober.yaml"
        file.write_text(yaml.safe_dump(written))
        run = ("run", "--config", str(file))
        prober_log = tmp_path / "prober.log"
        with started(*run, until=r'"listening": "([^"]+)"', log=prober_log) as (_, url):
            seconds_until(lambda: len(token_requests(control)) > TOKENS)
            requests = call("GET", f"{control}/requests?tenant=acme-prod")["requests"]
            # A renewed token is unverified until a request has used it.
            seconds_until(lambda: VALID in get(f"{url}/metrics"))
            text = get(f"{url}/metrics")

    assert {each["status"] for each in requests} == {200}
    renewed = [each["at"] for each in requests if each["path"] == TOKEN_PATH]
    # The load of a machine makes gaps longer, and a gap shorter only if the first of two is late.
    gaps = sorted(after - before for before, after in pairwise(renewed))
    assert gaps[len(gaps) // 2] > (LIFETIME_SECONDS - LEAD_SECONDS) / 2
    assert len(requests) > 2 * len(renewed)
    assert 'prober_token_rotations_total{tenant="acme-prod"} 0.0' in text
    expiry = re.search(r"prober_token_expiry_timestamp_seconds\{[^}]*\} (\S+)", text)
    assert expiry is not None
    assert renewed[-1] < float(expiry[1]) < renewed[-1] + 2 * LIFETIME_SECONDS
    bad = re.findall(r'runs_total\{.*outcome="(?!success)[^"]*".* [1-9]', text)
    assert bad == []
