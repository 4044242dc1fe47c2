"""Faults of the prober's own machine: disk, files, clock, being stopped, being killed."""

import json
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from prober.history.reader import HistoryReader
from prober.tokens.store import TokenStore
from tests.faults.harness import OUT_OF_TIME, Daemon, Stage, daemon, eventually, quick, settings_of

NEIGHBOURS = ("good-plain", "good-name", "good-tls")
FAKETIME = "*/faketime/libfaketime.so.1"


def some(stage: Stage, state: str, *names: str, **parts: object) -> dict[str, Any]:
    tenants = {name: stage.tenants[name] for name in (*NEIGHBOURS, *names)}
    return quick(settings_of(tenants, state=state, **parts))


def with_mount(directory: Path, options: str, *, read_only: bool = False) -> tuple[str, ...]:
    """Return words that put a small disk of its own at `directory`, for what follows them."""
    directory.mkdir()
    mount = f"mount -t tmpfs -o {options} tmpfs {directory}"
    lock = f" && mount -o remount,ro {directory}" if read_only else ""
    return ("unshare", "--mount", "sh", "-c", f'{mount}{lock} && exec "$@"', "sh")


def never_late(running: Daemon) -> bool:
    return all(
        not any(running.series("prober_probe_skipped_total", tenant=name, cause=cause).values())
        for name in NEIGHBOURS
        for cause in ("misfire", "concurrency")
    )


def test_a_full_disk_stops_no_probe_and_loses_nothing(stage: Stage) -> None:
    before = with_mount(stage.directory / "full", "size=6m")
    with daemon(stage, "full", some(stage, "full"), before=before) as running:
        disk = Path(f"/proc/{running.process.pid}/root{stage.directory / 'full'}")
        running.go_on("good-plain")
        filler = disk / "filler"
        fill(filler)
        eventually("it is noticed", lambda: running.total("prober_state_write_failures_total") > 0)
        eventually("so is the history", lambda: "history.write_failed" in running.log.read_text())
        running.go_on("good-plain", more=3)
        filler.unlink()
        eventually(
            "it is written again", lambda: "history.write_recovered" in running.log.read_text()
        )
        assert running.total("prober_history_dropped_total") == 0
        assert never_late(running)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        block = bytes(65_536)
        while block:
            try:
                out.write(block)
            except OSError:
                block = block[: len(block) // 2]


def test_a_state_directory_that_is_read_only_stops_no_probe(stage: Stage) -> None:
    before = with_mount(stage.directory / "locked", "size=1m", read_only=True)
    with daemon(stage, "locked", some(stage, "locked"), before=before) as running:
        running.go_on(*NEIGHBOURS)
        assert running.total("prober_state_write_failures_total") > 0
        log = running.log.read_text()
        assert "state.write_failed" in log
        assert "Read-only file system" in log
        assert never_late(running)


@pytest.fixture(scope="module")
def installation(stage: Stage) -> Iterator[Daemon]:
    settings = some(stage, "machine", scheduler={"max_start_delay": "1s"}, shutdown_timeout="1s")
    with daemon(stage, "machine", settings) as running:
        running.go_on("good-plain")
        yield running


def out_of_files(log: str) -> set[str]:
    """Return the tenants of which a run has failed since there was no file."""
    lines = [json.loads(line) for line in log.splitlines() if '"resource_exhausted"' in line]
    return {line["tenant"] for line in lines if line["event"] == "probe.failed"}


def test_files_used_up_are_our_own_fault_and_pass(installation: Daemon) -> None:
    pid, log = installation.process.pid, installation.log
    before = {name: installation.verdicts(name) for name in NEIGHBOURS}
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    # Only the log can be asked meanwhile: an answer needs a file as well.
    eventually("each run fails", lambda: out_of_files(log.read_text()) >= set(NEIGHBOURS))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    installation.go_on(*NEIGHBOURS)
    for name in NEIGHBOURS:
        said = {
            verdict: count - before[name].get(verdict, 0)
            for verdict, count in installation.verdicts(name).items()
            if verdict[1] not in OUT_OF_TIME
        }
        assert said.pop(("success", "ok", "none")) > 0
        known = {verdict for verdict, count in said.items() if count}
        assert known == {("prober_fault", "resource_exhausted", "prober")}
        states = installation.series("prober_token_state", tenant=name, state="valid")
        assert set(states.values()) == {1}
    assert installation.total("prober_token_rotations_total") == 0


def test_a_prober_that_was_stopped_for_a_while_neither_bursts_nor_lies(
    installation: Daemon,
) -> None:
    began = time.monotonic()
    before = {name: installation.runs(name) for name in NEIGHBOURS}
    installation.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    time.sleep(3.2)  # longer than the interval, the time-out and the misfire grace
    began += time.monotonic() - stopped
    installation.process.send_signal(signal.SIGCONT)
    installation.go_on(*NEIGHBOURS, more=1)
    for name in NEIGHBOURS:
        assert installation.runs(name) - before[name] <= time.monotonic() - began + 2
    assert installation.total("prober_probe_skipped_total", cause="misfire") > 0
    slow = installation.series("prober_probe_duration_seconds_bucket")
    by_bound = dict.fromkeys(("2.5", "+Inf"), 0.0)
    for labels, count in slow.items():
        if dict(labels)["le"] in by_bound:
            by_bound[dict(labels)["le"]] += count
    assert by_bound["2.5"] == by_bound["+Inf"] > 0


def test_a_wall_clock_that_is_set_changes_nothing(stage: Stage) -> None:
    clock = stage.directory / "clock"
    clock.write_text("+0")
    environ = {
        "LD_PRELOAD": str(next(Path("/usr/lib").glob(FAKETIME))),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }
    with daemon(stage, "clock", some(stage, "clock"), environ=environ) as running:
        running.go_on("good-plain", more=1)
        for step_seconds in (-3600, 86_400, 0):
            began, begun = time.monotonic(), running.runs("good-plain")
            clock.write_text(f"{step_seconds:+d}")
            running.go_on("good-plain")
            assert running.runs("good-plain") - begun <= time.monotonic() - began + 2
            last = running.total("prober_probe_last_run_timestamp_seconds", tenant="good-plain")
            assert abs(last - (time.time() + step_seconds)) < 60
        phases = running.series("prober_probe_last_phase_duration_seconds", tenant="good-plain")
        assert min(phases.values()) >= 0
        for side in ("server", "network"):
            assert (
                running.total(
                    "prober_probe_last_duration_seconds", tenant="good-plain", component=side
                )
                >= 0
            )
        seconds = running.total("prober_probe_duration_seconds_sum", tenant="good-plain")
        assert 0 < seconds < running.runs("good-plain")
        assert never_late(running)
        eventually("each is logged", lambda: running.log.read_text().count("clock.stepped") == 3)


def written_at(running: Daemon) -> float:
    return running.total("prober_history_last_write_timestamp_seconds")


def accepted(state: Path) -> tuple[str, ...]:
    """Return the neighbours of which it is saved that the token was accepted."""
    store = TokenStore.read(state)
    if store is None:
        return ()
    with closing(store):
        records = store.records()
    return tuple(n for n in NEIGHBOURS if n in records and records[n].first_accepted_at is not None)


def test_being_killed_again_and_again_loses_a_second_at_most(stage: Stage) -> None:
    settings = some(stage, "killed")
    seen, state = 0.0, stage.directory / "killed"
    for _ in range(3):
        with daemon(stage, "killed", settings) as running:
            running.go_on(*NEIGHBOURS, more=2)
            seen += running.runs("good-plain")
            eventually("it is saved which tokens are good", lambda: accepted(state) == NEIGHBOURS)
            for _ in range(2):  # the batch that is under way, and the next: all runs seen are in it
                before = written_at(running)
                eventually("a batch is written", lambda: written_at(running) > before)  # noqa: B023
            running.process.kill()
            running.process.wait()
    slots = HistoryReader(state).buckets(time.time() - 3600)["good-plain"]
    assert sum(slot.runs for slot in slots.values()) >= seen
    for name in ("history.sqlite3", "tokens.sqlite3"):
        with closing(sqlite3.connect(state / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert list(state.glob("*.aside-*")) == []
    logs = "".join(log.read_text() for log in stage.directory.glob("killed-*.log"))
    assert logs.count('"token.accepted"') == len(NEIGHBOURS)  # the later ones remember
