from dataclasses import replace

import pytest
import structlog

from prober.metrics.sink import SelfHealth
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


@pytest.mark.parametrize(("patience", "beats"), [(None, 15.0), (60.0, 15.0), (10.0, 5.0)])
def test_the_heart_beats_twice_within_the_watchdogs_patience(
    patience: float | None, beats: float
) -> None:
    watchdog = Watchdog(Systemd(patience), structlog.get_logger())
    assert watchdog.heartbeat_seconds(usual=15.0) == beats
