import pytest

from prober.http_client.attempt_timing import AttemptTiming, Phase
from prober.http_client.timing import phases_of

MILLISECOND = 1_000_000


@pytest.mark.parametrize(
    ("wire", "own"),
    [
        ({Phase.RESOLVE: 1, Phase.CONNECT: 2, Phase.SEND: 0, Phase.WAIT: 4, Phase.TRANSFER: 5}, 9),
        ({Phase.SEND: 0, Phase.WAIT: 4, Phase.TRANSFER: 5}, 12),
        ({Phase.RESOLVE: 21}, 0),
        ({}, 21),
    ],
)
def test_phases_and_our_own_time_add_up_to_the_total(wire: dict[Phase, int], own: int) -> None:
    timing = AttemptTiming(began=0)
    timing.wire_nanoseconds = {phase: took * MILLISECOND for phase, took in wire.items()}
    phases = phases_of(timing, 0.021)
    assert phases.own == pytest.approx(own / 1000)
    assert sum(seconds for _, seconds in phases.as_pairs()) == pytest.approx(0.021)
    assert {name for name, _ in phases.as_pairs()} == {*map(str, wire), "own"}


def test_a_total_that_is_smaller_than_the_wire_leaves_nothing_of_our_own() -> None:
    timing = AttemptTiming(began=0)
    timing.wire_nanoseconds = {Phase.WAIT: 5 * MILLISECOND}
    assert phases_of(timing, 0.004).own == 0.0
