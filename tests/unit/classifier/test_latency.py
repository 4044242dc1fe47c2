from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.observation import is_trustworthy, split
from prober.models import Latency
from prober.outcomes import ServerTimingAnomaly, TimingFallback
from tests.unit.classifier.factories import an_answer


def test_network_is_what_the_server_did_not_take() -> None:
    assert split(0.5, 0.0, 0.125) == Latency(0.5, server_seconds=0.125, network_seconds=0.375)


def test_our_own_time_is_neither_the_servers_nor_the_networks() -> None:
    assert split(1.0, 0.25, 0.5) == Latency(1.0, 0.5, 0.25, own_seconds=0.25)


def test_a_server_time_equal_to_the_total_leaves_no_network() -> None:
    assert split(0.5, 0.0, 0.5) == Latency(0.5, server_seconds=0.5, network_seconds=0.0)


@pytest.mark.parametrize(
    ("server", "anomaly"),
    [
        (0.6, ServerTimingAnomaly.EXCEEDS_TOTAL),
        (0.41, ServerTimingAnomaly.EXCEEDS_TOTAL),
        (ServerTimingAnomaly.MISSING, ServerTimingAnomaly.MISSING),
        (ServerTimingAnomaly.UNPARSABLE, ServerTimingAnomaly.UNPARSABLE),
    ],
)
def test_an_anomaly_yields_no_split(
    server: float | ServerTimingAnomaly, anomaly: ServerTimingAnomaly
) -> None:
    assert split(0.5, 0.1, server) == Latency(0.5, own_seconds=0.1, anomaly=anomaly)


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 100))
def test_no_part_is_ever_negative(total: float, own_share: float, server: float) -> None:
    latency = split(total, total * own_share, server)

    assert latency.network_seconds is None or latency.network_seconds >= 0
    assert (latency.server_seconds is None) == (latency.anomaly is not None)


@pytest.mark.parametrize(("lag", "trusted"), [(0.0, True), (0.05, True), (0.051, False)])
def test_what_the_loop_timed_is_doubted_above_the_threshold(lag: float, *, trusted: bool) -> None:
    measured = replace(an_answer(), loop_lag_seconds=lag)
    assert is_trustworthy(measured, 0.05)
    fallen_back = replace(measured, timing_fallback=TimingFallback.UNSUPPORTED)
    assert is_trustworthy(fallen_back, 0.05) is trusted
