"""The unit file, as systemd's own tools see it."""

import re
import subprocess
from pathlib import Path

import pytest

from prober.config.machine_limits import OTHER_THREADS
from prober.config.schema import ConfigFile
from prober.config.sections import SchedulerSettings, WebSettings
from prober.formatting import duration_seconds
from prober.http_client.dns import MAX_LOOKUPS
from prober.scheduler.scheduler import HEARTBEAT_SECONDS
from tests.programs import PROBER

UNIT = Path(__file__).parents[2] / "systemd" / "prober.service"
MOST_EXPOSURE = 1.2


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Make a unit that starts the prober of these tests, with the tenants' credentials."""
    text = UNIT.read_text().replace("/opt/prober/bin/prober", PROBER)
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^#(LoadCredential)", r"\1", text, flags=re.MULTILINE))
    return unit


def setting(name: str) -> str:
    found: list[str] = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert len(found) == 1, name
    return found[0]


def seconds(name: str) -> float:
    return float(setting(name).removesuffix("s"))


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong_with_it(installed: Path) -> None:
    seen = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "", "")


@pytest.mark.systemd
def test_little_is_exposed(installed: Path) -> None:
    seen = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(installed)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"exposure level for prober\.service: ([\d.]+)", seen.stdout)
    assert found is not None
    assert float(found[1]) <= MOST_EXPOSURE, seen.stdout


def test_the_watchdog_waits_for_several_beats_and_the_stop_for_the_grace_period() -> None:
    assert seconds("WatchdogSec") >= 3 * HEARTBEAT_SECONDS
    shutdown_seconds = duration_seconds(ConfigFile.model_fields["shutdown_timeout"].default)
    assert seconds("TimeoutStopSec") >= 2 * shutdown_seconds


def test_there_are_tasks_for_all_threads_and_files_for_all_connections() -> None:
    beside = 16  # a command beside the daemon
    assert int(setting("TasksMax")) >= MAX_LOOKUPS + OTHER_THREADS + beside
    connections = SchedulerSettings().max_concurrent + WebSettings().max_connections
    assert int(setting("LimitNOFILE")) >= 2 * connections + 1000  # a connection for each tenant


def test_a_start_that_fails_is_tried_for_ever_and_ever_more_seldom() -> None:
    assert setting("StartLimitIntervalSec") == "0"
    assert seconds("RestartSec") >= 15  # a start takes more than a second of a core
    backoff = (UNIT.parent / "prober.service.d" / "backoff.conf").read_text()
    assert re.findall(r"^(\w+)=(\w+)$", backoff, re.MULTILINE) == [
        ("RestartSteps", "4"),
        ("RestartMaxDelaySec", "2min"),
    ]


def test_a_configuration_that_cannot_be_used_is_not_tried_again_and_again() -> None:
    assert setting("RestartPreventExitStatus") == "2"
    assert setting("Restart") == "on-failure"
