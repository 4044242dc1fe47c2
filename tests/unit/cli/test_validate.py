import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.cli.validate import validate

TENANTS = """
tenants:
  - {name: acme, domain: acme, token: {env: ACME_TOKEN}, probes: [datasets, sources]}
  - {name: beta, domain: beta, token: {env: BETA_TOKEN}, probes: [datasets]}
"""
TIMEOUTS = """\
tenants:
  - name: acme
    base_url: https://cloud.uipath.com/acme/prod/reinfer_
    token: {env: TOKEN}
    probes:
      - {use: datasets, name: short, timeout: 2900ms, connect_timeout: 1s}
      - {use: datasets, name: long, timeout: 3s, connect_timeout: 1s}
"""
SLOW_IMPORTS = ("prober.daemon", "aiohttp", "apscheduler", "cryptography", "jinja2", "sqlite3")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prober.yaml"
    path.write_text(TENANTS)
    return path


def test_validate_does_not_import_the_daemon() -> None:
    program = "import sys, prober.cli.validate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(SLOW_IMPORTS) & set(done.stdout.decode().split()) == set()


def test_a_valid_file_is_summarized(file: Path) -> None:
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 0
    first, *tenants, total = result.stdout.splitlines()
    assert first == f"{file}: valid"
    assert tenants == [
        "  acme (production) https://acme.reinfer.io: probes 2 every 60s",
        "  beta (production) https://beta.reinfer.io: probes 1 every 60s",
    ]
    assert total.startswith("  total: 0.05 requests per second, ")


def test_the_tenants_of_each_shard_are_listed(file: Path) -> None:
    result = CliRunner().invoke(validate, ["--config", str(file), "--shards", "3"])
    assert result.exit_code == 0
    shards = result.stdout.splitlines()[-3:]
    assert [line.split(":")[0].strip() for line in shards] == [f"shard {n}/3" for n in range(3)]
    assert sum(name in line for name in ("acme", "beta") for line in shards) == 2


def test_all_problems_are_listed_and_counted(file: Path) -> None:
    file.write_text("web: {hosts: [a]}\nlog: {level: loud}\n" + TENANTS)
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{file}:1: web.hosts: was renamed: write 'web.allowed_hosts'",
        f"{file}:2: log.level: write 'debug', 'info', 'warning' or 'error'",
        f"{file}: 2 problems",
    ]


def test_too_many_series_are_a_problem(file: Path) -> None:
    file.write_text("metrics: {max_series: 9}\n" + TENANTS)
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 1
    assert "metrics.max_series: these tenants and probes yield" in result.stderr


def test_at_most_one_file_may_be_named() -> None:
    result = CliRunner().invoke(validate, ["a.yaml", "--config", "b.yaml"])
    assert result.exit_code == 2
    assert "name one file" in result.stderr


def test_probes_whose_timeout_is_too_short_to_decide_a_silence_are_named(file: Path) -> None:
    file.write_text(TIMEOUTS)
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 0
    assert "acme: short: with a timeout under 3s, a response that does not come" in result.output
    assert "long" not in result.output


SOURCES = """\
defaults: {interval: 10s}
tenants:
  - {name: a, domain: a, token: {env: A_TOKEN}}
  - {name: b, domain: b, token: {file: secrets/b}}
  - name: c
    domain: c
    token:
      oauth:
        token_url: https://login.example/token
        client_id: c
        client_secret: {file: secrets/c}
"""


def warnings_of(file: Path) -> list[str]:
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}: valid")
    return result.stderr.splitlines()


def test_tokens_that_are_not_there_are_warned_of(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SOURCES)
    monkeypatch.setenv("STATE_DIRECTORY", str(file.parent / "state"))
    secrets = file.parent / "secrets"
    unset = "the environment variable A_TOKEN is not set here"
    missing = "cannot be read: No such file or directory"
    secret = "tenants[2].token.oauth.client_secret.file"
    assert warnings_of(file) == [
        f"warning: {file}:3: tenants[0].token.env: {unset}",
        f"warning: {file}:4: tenants[1].token.file: the file {secrets}/b {missing}",
        f"warning: {file}:11: {secret}: the file {secrets}/c {missing}",
    ]
    monkeypatch.setenv("A_TOKEN", " ")
    secrets.mkdir()
    (secrets / "b").touch(0o600)
    os.mkfifo(secrets / "c", 0o600)
    assert [line.split(": ", 3)[3] for line in warnings_of(file)] == [
        "the environment variable A_TOKEN is empty",
        f"the file {secrets}/b is empty",
        f"{secrets}/c is not a regular file",
    ]


def test_secrets_and_state_that_others_can_read_are_warned_of(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SOURCES)
    state, secrets = file.parent / "state", file.parent / "secrets"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setenv("A_TOKEN", "a")
    state.mkdir(mode=0o700)
    secrets.mkdir()
    for path in (secrets / "b", secrets / "c", state / "history.sqlite3"):
        path.write_text("x")
        path.chmod(0o640 if path.parent == secrets else 0o644)
    assert warnings_of(file) == []  # others cannot enter the state directory
    (secrets / "b").chmod(0o644)
    (secrets / "c").chmod(0o602)
    state.chmod(0o755)
    (state / "history.sqlite3").chmod(0o640)
    assert [line.split(": ", 3)[3] for line in warnings_of(file)] == [
        f"other users can list {state}: use 'chmod 700 {state}'",
        f"other users can read {state}/history.sqlite3: use 'chmod 600 {state}/history.sqlite3'",
        f"every user of this machine can read {secrets}/b: use 'chmod o= {secrets}/b'",
        f"every user of this machine can change {secrets}/c: use 'chmod o= {secrets}/c'",
    ]


HOSTILE = "a\x1b]8;;http://evil.example\x1b\\b\x07\u202e\x9b31m"


@pytest.mark.parametrize(
    "template",
    [
        "{}: 1\n",
        "web: {{{}: 1}}\n",
        "probes: {{{}: {{path: 1}}}}\n",
        "web: {{listen: {}}}\n",
        "defaults: {{headers: {{{}: {{}}}}}}\n",
        "log: {{level: {}}}\n",
    ],
)
def test_control_characters_of_a_file_never_reach_the_terminal(file: Path, template: str) -> None:
    file.write_text(template.format(json.dumps(HOSTILE)) + TENANTS)
    result = CliRunner().invoke(validate, [str(file)])
    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.output.splitlines())


CANARY = """\
tenants:
  - name: acme
    domain: acme
    token: {env: TOKEN}
    probes:
      - use: canary
        source: ops/mailbox
        dataset: ops/mail
        model_version: 7
        allow_billable: true
        allow_writes: true
"""


def test_the_costs_of_a_canary_are_told(tmp_path: Path) -> None:
    path = tmp_path / "prober.yaml"
    path.write_text(CANARY)
    done = CliRunner().invoke(validate, [str(path)])
    assert done.exit_code == 0
    assert (
        "acme: canary writes one comment every 3600s: 24 a day, each billed as 1 AI Unit or 0.2"
        " Platform Units" in done.output
    )
