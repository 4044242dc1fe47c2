import pytest

from prober.scheduler.stall import (
    StallState,
    advance_stall_state,
    is_stalled,
    stall_timeout_seconds,
)
from tests.builders import a_probe, a_tenant

PATIENCE = 30.0
SINCE = StallState((7, 1, 0), PATIENCE, progressed_at=100.0)


@pytest.mark.parametrize(
    ("counts", "moved_at"),
    [
        ((7, 1, 0), 100.0),  # nothing
        ((8, 2, 0), 160.0),  # a run has begun
        ((7, 0, 0), 160.0),  # one has ended
        ((7, 1, 1), 160.0),  # one was held back: its token is dead
        ((3, 1, 0), 160.0),  # a reload took counts away
    ],
)
def test_any_change_of_the_counts_is_progress(counts: tuple[int, ...], moved_at: float) -> None:
    assert advance_stall_state(SINCE, counts, PATIENCE, now=160.0) == StallState(
        counts, PATIENCE, moved_at
    )


def test_it_begins_with_what_is_seen_first() -> None:
    assert advance_stall_state(None, (0, 0, 0), PATIENCE, now=5.0) == StallState(
        (0, 0, 0), PATIENCE, 5.0
    )


def test_a_reload_that_asks_for_less_patience_does_not_look_back() -> None:
    assert advance_stall_state(SINCE, SINCE.counts, 10.0, now=128.0) == StallState(
        SINCE.counts, 10.0, 128.0
    )


@pytest.mark.parametrize(("now", "stuck"), [(100.0, False), (130.0, False), (130.1, True)])
def test_it_is_stuck_when_nothing_moves_for_longer_than_it_may(now: float, *, stuck: bool) -> None:
    assert is_stalled(SINCE, now) is stuck


@pytest.mark.parametrize(
    ("probes", "patience"),
    [
        ([(60.0, 10.0)], 60.0 + 4 * 10.0 + 30.0),
        ([(60.0, 10.0), (3600.0, 120.0)], 60.0 + 4 * 120.0 + 30.0),
        ([(0.5, 0.4)], 0.5 + 4 * 0.4 + 30.0),
        ([], float("inf")),
    ],
)
def test_patience_is_the_shortest_interval_and_the_longest_run(
    probes: list[tuple[float, float]], patience: float
) -> None:
    made = [
        a_tenant(name=f"t{n}", probes=(a_probe(interval_seconds=every, timeout_seconds=limit),))
        for n, (every, limit) in enumerate(probes)
    ]
    assert stall_timeout_seconds(made) == pytest.approx(patience)


def test_without_probes_nothing_is_ever_stalled() -> None:
    assert stall_timeout_seconds([]) == float("inf")
    assert not is_stalled(StallState((), float("inf"), 0.0), 1e300)
