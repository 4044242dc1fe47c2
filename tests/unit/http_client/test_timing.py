import pytest

from prober.http_client.timing import RequestTimings, phases_until
from prober.models import Phases


@pytest.mark.parametrize(
    ("moments", "phases"),
    [
        pytest.param(
            RequestTimings(0.0, 1.0, 3.0, 6.0, 10.0, 15.0),
            Phases(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            id="whole",
        ),
        pytest.param(
            RequestTimings(0.0, 1.0, send=3.0, wait=6.0, transfer=10.0),
            Phases(1.0, 2.0, None, 3.0, 4.0, 11.0),
            id="without-tls",
        ),
        pytest.param(RequestTimings(0.0), Phases(21.0), id="failed-while-resolving"),
        pytest.param(
            RequestTimings(0.0, 1.0, 3.0), Phases(1.0, 2.0, 18.0), id="failed-in-the-handshake"
        ),
        pytest.param(
            RequestTimings(0.0, send=1.0, wait=6.0, transfer=10.0, reused=True),
            Phases(send=6.0, wait=4.0, transfer=11.0),
            id="reused",
        ),
    ],
)
def test_a_phase_ends_where_the_next_begins_and_all_add_up(
    moments: RequestTimings, phases: Phases
) -> None:
    assert phases_until(moments, 21.0) == phases
    assert sum(seconds for _, seconds in phases.as_pairs()) == 21.0
