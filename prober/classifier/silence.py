"""Attributes a timeout to the server or to the network path, from TCP statistics. Pure.

The kernel sends a keep-alive probe each second while the connection is idle. The kernel at the far
end answers it, whatever its HTTP server does. So a silent server can be told from a broken path
from a single location.

"The far end" is the other end of our TCP connection. A transparent middlebox may acknowledge in
place of the server; that cannot be detected from here.
"""

from prober.models import TcpEvidence
from prober.outcomes import Reason

MIN_WAIT_SECONDS = 2.5
"""A shorter wait has too few keep-alive probes for a decision."""
LEAST_DECIDABLE_TIMEOUT_SECONDS = 3.0
"""With a shorter probe timeout, the wait after connecting is too short."""
RECENT_SECONDS = 2.0
"""A far end that sent a packet within this time is up: a probe is sent each second."""
KEEPALIVE_IDLE_SECONDS = 1
_KEEPALIVE_MARGIN_SECONDS = 0.1


def attribute_silence(
    evidence: TcpEvidence | None, waited_seconds: float, *, response_begun: bool, via_proxy: bool
) -> Reason:
    """Return the reason for a timeout after the request was sent.

    `waited_seconds` is the time since the kernel got the request. `via_proxy`: the far end
    is the configured proxy, so its keep-alive responses prove nothing about the server.
    """
    if evidence is None or waited_seconds < MIN_WAIT_SECONDS:
        return Reason.RESPONSE_TIMEOUT
    if not evidence.acknowledged:
        # Without a retransmission, the far end may only be reading slowly.
        if evidence.retransmissions:
            return Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED
        return Reason.RESPONSE_TIMEOUT
    if evidence.since_received_seconds > RECENT_SECONDS:
        return Reason.RESPONSE_TIMEOUT_PATH_LOST
    if via_proxy:
        return Reason.RESPONSE_TIMEOUT
    if response_begun and evidence.since_data_seconds <= RECENT_SECONDS:
        return Reason.RESPONSE_TIMEOUT  # still arriving: a slow server or a slow path
    received_after_seconds = waited_seconds - evidence.since_received_seconds
    if received_after_seconds < KEEPALIVE_IDLE_SECONDS - _KEEPALIVE_MARGIN_SECONDS:
        return (
            Reason.RESPONSE_TIMEOUT
        )  # this acknowledged the request; it was not a keep-alive response
    return Reason.RESPONSE_TIMEOUT_FAR_END_SILENT
