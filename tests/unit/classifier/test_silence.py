from dataclasses import replace

import pytest

from prober.classifier.silence import attribute_silence
from prober.models import TcpEvidence
from prober.outcomes import Reason

_RECEIVED = TcpEvidence(
    rtt_seconds=0.04,
    retransmissions=0,
    acknowledged=True,
    since_received_seconds=0.9,
    since_data_seconds=5.0,
)
_LOST = replace(_RECEIVED, since_received_seconds=6.5)
_NOT_ACKNOWLEDGED = replace(
    _RECEIVED, acknowledged=False, retransmissions=3, since_received_seconds=5.0
)


@pytest.mark.parametrize(
    ("evidence", "waited", "begun", "proxy", "meaning"),
    [
        pytest.param(
            _RECEIVED,
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
            id="answers-keep-alive",
        ),
        pytest.param(_RECEIVED, 5.0, False, True, Reason.RESPONSE_TIMEOUT, id="the-proxy-answers"),
        pytest.param(
            _RECEIVED,
            5.0,
            True,
            False,
            Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
            id="stopped-in-the-middle",
        ),
        pytest.param(
            replace(_RECEIVED, since_data_seconds=0.4),
            5.0,
            True,
            False,
            Reason.RESPONSE_TIMEOUT,
            id="drips",
        ),
        pytest.param(
            replace(_RECEIVED, since_data_seconds=0.4),
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
            id="data-without-a-head",
        ),
        pytest.param(
            _LOST,
            6.6,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_PATH_LOST,
            id="link-cut-after-the-request",
        ),
        pytest.param(
            _LOST,
            6.6,
            True,
            False,
            Reason.RESPONSE_TIMEOUT_PATH_LOST,
            id="link-cut-in-the-response",
        ),
        pytest.param(
            _LOST, 6.6, False, True, Reason.RESPONSE_TIMEOUT_PATH_LOST, id="path-to-the-proxy-cut"
        ),
        pytest.param(
            _NOT_ACKNOWLEDGED,
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED,
            id="request-lost",
        ),
        pytest.param(
            _NOT_ACKNOWLEDGED,
            5.0,
            False,
            True,
            Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED,
            id="lost-before-the-proxy",
        ),
        pytest.param(
            replace(_NOT_ACKNOWLEDGED, retransmissions=0),
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT,
            id="not-read-but-not-lost",
        ),
        pytest.param(_RECEIVED, 2.4, False, False, Reason.RESPONSE_TIMEOUT, id="too-short"),
        pytest.param(
            _NOT_ACKNOWLEDGED, 2.4, False, False, Reason.RESPONSE_TIMEOUT, id="too-short-lost"
        ),
        pytest.param(None, 9.0, False, False, Reason.RESPONSE_TIMEOUT, id="no-tcp-info"),
        pytest.param(
            replace(_RECEIVED, since_received_seconds=1.9),
            2.6,
            False,
            False,
            Reason.RESPONSE_TIMEOUT,
            id="received-the-request-acknowledged-only",
        ),
        pytest.param(
            replace(_RECEIVED, since_received_seconds=2.0),
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
            id="received-two-seconds-ago",
        ),
        pytest.param(
            replace(_RECEIVED, since_received_seconds=2.001),
            5.0,
            False,
            False,
            Reason.RESPONSE_TIMEOUT_PATH_LOST,
            id="received-longer-ago",
        ),
    ],
)
def test_silence_is_attributed(
    evidence: TcpEvidence | None, waited: float, begun: bool, proxy: bool, meaning: Reason
) -> None:
    assert attribute_silence(evidence, waited, response_begun=begun, via_proxy=proxy) is meaning
