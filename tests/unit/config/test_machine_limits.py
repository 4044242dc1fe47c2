"""Limits of the process that a configuration can reach are warned of at the start."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prober.config.loader import load
from prober.config.machine_limits import (
    OTHER_FILES,
    OTHER_THREADS,
    ProcessLimits,
    current_limits,
    limit_warnings,
    needed_files,
    needed_threads,
)
from prober.config.resolve import Config
from prober.http_client.dns import MAX_LOOKUPS


def configured(
    directory: Path, tenants: int, *, connection: str = "fresh", host: str = ""
) -> Config:
    path = directory / "prober.yaml"
    entries = [
        f"  - {{name: t{n}, base_url: 'https://{host or f'h{n}.test'}/a', token: {{env: T}},"
        f" concurrency: 2, probes: [{{use: datasets, connection: {connection}}}, sources, {{use:"
        f" current-user}}]}}\n"
        for n in range(tenants)
    ]
    path.write_text("web: {max_connections: 100}\ntenants:\n" + "".join(entries))
    return load(path)


def test_files_are_those_of_runs_kept_connections_and_clients(tmp_path: Path) -> None:
    one = configured(tmp_path, 1)
    assert needed_files(one) == 2 + 100 + MAX_LOOKUPS + OTHER_FILES
    many = configured(tmp_path, 300)
    assert needed_files(many) == (200 + 300) + 100 + MAX_LOOKUPS + OTHER_FILES
    kept = configured(tmp_path, 300, connection="reuse")
    assert needed_files(kept) == needed_files(many) + 300


def test_threads_are_those_of_lookups_of_different_names(tmp_path: Path) -> None:
    assert needed_threads(configured(tmp_path, 3).tenants) == 3 * 4 + OTHER_THREADS
    assert needed_threads(configured(tmp_path, 3, host="same.test").tenants) == 4 + OTHER_THREADS
    assert needed_threads(configured(tmp_path, 3, host="127.0.0.1:1").tenants) == OTHER_THREADS
    assert needed_threads(configured(tmp_path, 50).tenants) == MAX_LOOKUPS + OTHER_THREADS


def test_only_what_is_too_low_is_warned_of(tmp_path: Path) -> None:
    config = configured(tmp_path, 3)
    enough = ProcessLimits(needed_files(config), needed_threads(config.tenants))
    assert enough.files is not None
    assert limit_warnings(config, enough) == []
    assert limit_warnings(config, ProcessLimits()) == []
    [(path, message)] = limit_warnings(config, replace(enough, files=enough.files - 1))
    assert path == ("scheduler", "max_concurrent")
    assert f"ulimit -n {enough.files}" in message
    [(path, message)] = limit_warnings(config, replace(enough, threads=10))
    assert path == ("tenants",)
    assert "TasksMax" in message


def test_the_limits_are_those_of_this_process() -> None:
    program = (
        "import resource; from prober.config.machine_limits import current_limits;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); print(current_limits().files)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"100"]
    current_limits()


def test_a_control_group_bounds_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path("/proc/self/cgroup").read_text().splitlines()
    path = next((line[4:] for line in own if line.startswith("0::/")), None)
    if path is None:
        assert current_limits().threads is None or os.geteuid() != 0
        return
    (tmp_path / path).mkdir(parents=True, exist_ok=True)
    for written, expected in (("70\n", 70), ("max\n", None), ("\n", None)):
        (tmp_path / path / "pids.max").write_text(written)
        monkeypatch.setattr("prober.config.machine_limits._CGROUP_DIRECTORY", tmp_path)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert current_limits().threads == expected
