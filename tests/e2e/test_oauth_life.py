"""An OAuth tenant through many lives of its token: tokens of 5 s, for a minute."""

import re
import time
from pathlib import Path

import yaml

from tests.programs import call, get, started

LIFE_SECONDS, LONG_SECONDS = 5, 20
LEAD_SECONDS = 1.0


def test_no_life_ends_in_a_401_and_each_costs_one_request(tmp_path: Path) -> None:
    simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
    more = ("--token-directory", str(tmp_path), "--issued-token-seconds", str(LIFE_SECONDS))
    log = tmp_path / "simulator.log"
    with started(*simulate, *more, until=r"control: (\S+)", log=log) as (_, control):
        tenant = call("GET", f"{control}/tenants")["acme-prod"]
        client = {"client_id": tenant["client_id"], "token_url": tenant["token_url"]}
        secret = {"file": "acme-prod.client-secret"}
        written = {
            "web": {"listen": "127.0.0.1:0"},
            "state": {"directory": "state"},
            "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "400ms"},
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
            time.sleep(LONG_SECONDS)  # the length is the subject
            text = get(f"{url}/metrics")
        requests = call("GET", f"{control}/requests?tenant=acme-prod")["requests"]

    asked = [each for each in requests if each["path"] == "/identity_/connect/token"]
    probed = [each for each in requests if each not in asked]
    assert {each["status"] for each in requests} == {200}
    assert len(probed) > 8 * LONG_SECONDS * 0.9
    lives = LONG_SECONDS / (LIFE_SECONDS - LEAD_SECONDS)
    assert lives - 2 <= len(asked) <= lives + 1
    assert 'prober_token_state{state="valid",tenant="acme-prod"} 1.0' in text
    assert 'prober_token_rotations_total{tenant="acme-prod"} 0.0' in text
    expiry = re.search(r"prober_token_expiry_timestamp_seconds\{[^}]*\} (\S+)", text)
    assert expiry is not None
    assert 0 < float(expiry.group(1)) - time.time() + 3 < LIFE_SECONDS + 3
    bad = re.findall(r'runs_total\{.*outcome="(?!success)[^"]*".* [1-9]', text)
    assert bad == []
