from dataclasses import replace

import pytest
import structlog

from prober.metrics.self_health import SelfHealth
from prober.outcomes import HistoryDropReason, SkipCause
from prober.systemd import SystemdNotifier, Watchdog

PATIENCE = 110.0
WELL = SelfHealth(
    version="1",
    started_at=0.0,
    heartbeat_at=0.0,
    probes_in_flight=0,
    runs=7,
    start_delay_p99_seconds=None,
    loop_lag_p99_seconds=None,
    skipped=dict.fromkeys(SkipCause, 0),
    discarded_measurements=0,
    configuration_is_current=True,
    configuration_problem=None,
    configuration_loaded_at=0.0,
    state_write_failures=0,
    history_written_at=None,
    history_size_bytes=0,
    history_dropped=dict.fromkeys(HistoryDropReason, 0),
)


class Systemd(SystemdNotifier):
    """Counts signs of life."""

    def __init__(self, watchdog_seconds: float | None = None) -> None:
        super().__init__(watchdog_seconds=watchdog_seconds)
        self.signs = 0

    def notify_watchdog(self) -> None:
        self.signs += 1


@pytest.mark.parametrize(
    ("seen", "fed"),
    [
        (WELL, False),
        (replace(WELL, runs=8), True),
        (replace(WELL, probes_in_flight=1), True),
        (replace(WELL, skipped={**WELL.skipped, SkipCause.TOKEN_REJECTED: 1}), True),
        (replace(WELL, skipped={**WELL.skipped, SkipCause.RATE_LIMITED: 1}), True),
        (replace(WELL, skipped={**WELL.skipped, SkipCause.OVERLAP: 99}), False),
        (replace(WELL, skipped={**WELL.skipped, SkipCause.MISFIRE: 99}), False),
    ],
    ids=[
        "nothing",
        "begun",
        "in flight",
        "rejected",
        "rate limited",
        "overlap alone",
        "misfire alone",
    ],
)
def test_it_is_fed_while_probing_goes_on(seen: SelfHealth, *, fed: bool) -> None:
    systemd = Systemd()
    with structlog.testing.capture_logs() as log:
        watchdog = Watchdog(systemd, structlog.get_logger())
        watchdog.tick(WELL, PATIENCE, now=0.0)
        watchdog.tick(seen, PATIENCE, now=PATIENCE + 1)
        watchdog.tick(seen, PATIENCE, now=PATIENCE + 2)
    assert systemd.signs == (3 if fed else 1)
    assert [line["event"] for line in log] == ([] if fed else ["scheduler.stalled"])


def test_what_moves_again_is_fed_again() -> None:
    systemd = Systemd()
    with structlog.testing.capture_logs():
        watchdog = Watchdog(systemd, structlog.get_logger())
        watchdog.tick(WELL, PATIENCE, now=0.0)
        watchdog.tick(WELL, PATIENCE, now=PATIENCE + 1)
    watchdog.tick(replace(WELL, runs=8), PATIENCE, now=PATIENCE + 2)
    assert systemd.signs == 2


@pytest.mark.parametrize(
    ("seen", "after_seconds", "reason"),
    [
        (WELL, 30.0, None),
        (replace(WELL, runs=8), PATIENCE + 1, "the scheduler has not run for 111 s"),
        (WELL, 61.0, "the scheduler has not run for 61 s"),
    ],
    ids=["in time", "runs go on, but no heart beats", "silent"],
)
def test_a_scheduler_that_is_silent_is_stuck_whatever_it_said_last(
    seen: SelfHealth, after_seconds: float, reason: str | None
) -> None:
    watchdog = Watchdog(Systemd(), structlog.get_logger())
    watchdog.tick(WELL, PATIENCE, now=0.0)
    assert watchdog.stuck_reason(seen, PATIENCE, now=after_seconds) == reason


def test_stuck_is_said_at_once_and_no_longer_than_it_is_true() -> None:
    watchdog = Watchdog(Systemd(), structlog.get_logger())
    assert watchdog.stuck_reason(WELL, PATIENCE, now=9e9) is None  # it has not started
    with structlog.testing.capture_logs():
        for second in range(0, 121, 15):
            watchdog.tick(WELL, PATIENCE, now=float(second))
    expected = "no run has started or ended for 125 s although some were due"
    assert watchdog.stuck_reason(WELL, PATIENCE, now=125.0) == expected
    assert watchdog.stuck_reason(replace(WELL, runs=8), PATIENCE, now=125.0) is None
    assert watchdog.stuck_reason(WELL, float("inf"), now=125.0) is None  # nothing is to be probed


@pytest.mark.parametrize(("patience", "beats"), [(None, 15.0), (60.0, 15.0), (10.0, 5.0)])
def test_the_heart_beats_twice_within_the_watchdogs_patience(
    patience: float | None, beats: float
) -> None:
    watchdog = Watchdog(Systemd(patience), structlog.get_logger())
    assert watchdog.heartbeat_seconds(usual=15.0) == beats
