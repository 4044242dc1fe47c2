"""The commands as a user types them, as processes."""

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.cli.main import COMMANDS, main
from prober.tokens.store import TokenStore
from tests.programs import END_LIMIT_SECONDS, PROBER, end, get, started

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120
DEMO_LIMIT_SECONDS = 300
SLOW = re.compile(r": the (?:server|network) was slow$")


def run(
    *arguments: str, cwd: Path = ROOT, limit_seconds: float = LIMIT_SECONDS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: PLW1510 -- the status is what is tested
        [PROBER, *arguments], cwd=cwd, capture_output=True, text=True, timeout=limit_seconds
    )


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "prober.yaml"
    file.write_text(
        "web: {listen: '127.0.0.1:0'}\n"
        "defaults: {interval: 1s, timeout: 900ms}\n"
        "tenants:\n"
        "  - {name: lab, base_url: 'http://127.0.0.1:1/acme/lab/reinfer_',\n"
        "     token: {file: lab.token}, probes: [datasets]}\n"
        "  - {name: tokenless, base_url: 'http://127.0.0.1:1/acme/x/reinfer_',\n"
        "     token: {file: none.token}, probes: [datasets]}\n"
    )
    (tmp_path / "lab.token").write_text("a-token\n")
    return file


def test_the_demo_ends_with_every_verdict_as_expected(tmp_path: Path) -> None:
    done = run(
        *("demo", "--once", "--speed", "4", "--port", "0", "--directory", str(tmp_path)),
        limit_seconds=DEMO_LIMIT_SECONDS,
    )

    # A busy machine may slow down a response; no verdict depends on that.
    unexpected = [line for line in done.stderr.splitlines() if not SLOW.search(line)]
    assert unexpected == []
    assert (done.returncode == 0) == (done.stderr == "")
    assert "network path: connection_refused" in done.stdout
    assert "ok, slow network" in done.stdout
    assert re.search(r"busy prober: own time up to \d.*, network time at most \d", done.stdout)
    assert "platform: server_error" in done.stdout
    assert "check_failed" in done.stdout
    assert "credential: token_rejected" in done.stdout
    assert "Traceback" not in (tmp_path / "prober.log").read_text()


def test_ctrl_c_ends_the_demo_cleanly(tmp_path: Path) -> None:
    command = ("demo", "--port", "0", "--directory", str(tmp_path / "demo"))
    with started(*command, until=r"(metrics .*)", log=tmp_path / "log") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(END_LIMIT_SECONDS) == 0


@pytest.mark.prometheus
def test_the_daemon_ends_with_0_and_says_what_a_missing_token_means(
    settings: Path, tmp_path: Path
) -> None:
    command = ("run", "--config", str(settings))
    until = r'"listening": "([^"]+)"'
    with started(*command, until=until, log=tmp_path / "log") as (process, url):
        text = get(f"{url}/metrics")
        seen = subprocess.run(  # noqa: PLW1510 -- the status is what is tested
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
        )
        assert (seen.returncode, seen.stdout, seen.stderr) == (0, "", "")
        openmetrics = get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert openmetrics.endswith("# EOF\n")
        assert get(f"{url}/-/healthy") == "healthy\n"
        assert get(f"{url}/-/ready") == "ready\n"
        for found in (
            r'reason="token_missing",tenant="tokenless"} [1-9]',
            r'reason="connection_refused",tenant="lab"} [1-9]',
        ):
            while not re.search(found, get(f"{url}/metrics")):
                assert process.poll() is None
                time.sleep(0.05)
        assert end(process) == 0
    log = (tmp_path / "log").read_text()
    assert "connection_refused" in log
    assert "a-token" not in log
    for line in log.splitlines():
        json.loads(line)


def test_a_taken_port_is_one_clear_line(settings: Path, tmp_path: Path) -> None:
    with started(
        "run", "--config", str(settings), until=r'"listening": "([^"]+)"', log=tmp_path / "log"
    ) as (_, url):
        settings.write_text(
            settings.read_text().replace("127.0.0.1:0", url.removeprefix("http://"))
        )
        done = run("run", "--config", str(settings))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "address already in use" in done.stderr


def test_a_bad_configuration_starts_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("tenants: [{name: X Y, token: {}}]\nweb: {lisen: 1}\n")
    done = run("run", "--config", str(bad))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) >= 3
    checked = run("validate", str(bad))
    assert checked.returncode == 1
    assert checked.stderr.startswith(done.stderr)


def test_probe_exits_by_outcome_and_its_json_can_be_explained(settings: Path) -> None:
    shown = run("probe", "lab", "datasets", "--config", str(settings))
    assert shown.stderr == ""
    assert shown.returncode == 12
    assert "network path: connection_refused" in shown.stdout
    saved = run("probe", "lab", "--config", str(settings), "--json")
    assert json.loads(saved.stdout)["verdict"]["reason"] == "connection_refused"
    (settings.parent / "saved.json").write_text(saved.stdout)
    explained = run("explain", "saved.json", cwd=settings.parent)
    assert explained.returncode == 12
    assert "connection_refused" in explained.stdout
    assert run("probe", "tokenless", "--config", str(settings)).returncode == 13
    assert run("probe", "lap", "--config", str(settings)).returncode == 2


def test_every_command_explains_itself() -> None:
    assert run("--help").returncode == 0
    for name in COMMANDS:  # in this process: to start one for each takes minutes on a busy machine
        explained = CliRunner().invoke(main, [name, "--help"], prog_name="prober").output
        assert "Usage: prober" in explained
        assert "\\b" not in explained


def test_documented_commands_run() -> None:
    pages = (
        "concepts/tokens.md",
        "concepts/outcomes.md",
        "how-to/report.md",
        "how-to/simulator.md",
    )
    text = (ROOT / "README.md").read_text()
    text += "".join((ROOT / "docs" / page).read_text() for page in pages)
    for command in re.findall(r"^\.venv/bin/prober (.*?)(?:\s+#.*)?$", text, re.MULTILINE):
        name, *rest = command.split()
        if name in {"run", "probe", "init", "discover"}:  # they call real tenants, or ask the user
            if "--config" in rest:
                assert run("validate", rest[rest.index("--config") + 1]).returncode == 0
            assert run(name, "--help").returncode == 0
        else:
            expected = {"tokens": 10, "report": 1, "explain": 12}.get(command.split()[0], 0)
            assert run(*command.split()).returncode == expected, command


def without_a_table(path: Path) -> None:
    path.mkdir()
    TokenStore.open(path, lambda *_: None).close()
    with closing(sqlite3.connect(path / "tokens.sqlite3")) as connection:
        connection.execute("DROP TABLE token")


@pytest.mark.parametrize(
    ("make", "event"),
    [
        (lambda path: path.write_text("no directory"), "state.write_failed"),
        (
            lambda path: (path.mkdir(), (path / "tokens.sqlite3").write_bytes(b"\xff" * 9000)),
            "state.quarantined",
        ),
        (without_a_table, "state.quarantined"),
    ],
    ids=["unusable", "corrupt", "incomplete"],
)
def test_the_daemon_starts_whatever_became_of_its_state(
    settings: Path, tmp_path: Path, make: Callable[[Path], object], event: str
) -> None:
    make(tmp_path / "state")
    settings.write_text("state: {directory: state}\n" + settings.read_text())
    command = ("run", "--config", str(settings))
    log = tmp_path / "log"
    with started(*command, until=r'"listening": "([^"]+)"', log=log) as (process, _):
        assert end(process) == 0
    assert log.read_text().count(f'"event": "{event}"') == 1
