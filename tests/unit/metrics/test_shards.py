import re

import pytest

from prober.metrics.sink import PrometheusSink
from prober.models import SINGLE_SHARD, Shard
from prober.version import Build


@pytest.mark.parametrize(
    ("shard", "held"),
    [
        (SINGLE_SHARD, {"0": 1}),
        (Shard(0, 3), {"0": 1, "1": 0, "2": 0}),
        (Shard(2, 3), {"0": 0, "1": 0, "2": 1}),
    ],
)
def test_a_daemon_without_tenants_tells_its_shard_and_those_that_there_should_be(
    shard: Shard, held: dict[str, float]
) -> None:
    metrics = PrometheusSink(
        (),
        histograms="probe",
        max_loop_lag_seconds=0.05,
        started_at=0.0,
        build=Build("1"),
        shard=shard,
    )
    text = metrics.render(False).decode()
    reported = re.findall(r'^prober_shard_active\{shard="(\d+)"\} (\S+)$', text, re.MULTILINE)
    assert {name: float(value) for name, value in reported} == held
    assert len(reported) == shard.count
