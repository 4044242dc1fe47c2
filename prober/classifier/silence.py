"""What a wait that ended without a whole response means, from what the kernel saw. Pure.

Keep-alive probes are sent each second once nothing else is under way: the kernel of the far end
answers them, whatever its HTTP server does. So a server that is silent is told from a path that is
dead, from a single place.

"The far end" is whoever holds the other end of our TCP connection. A transparent middlebox may
acknowledge in a server's name, which nobody can see from here.
"""

from prober.models import TcpEvidence
from prober.outcomes import Reason

MIN_WAIT_SECONDS = 2.5
"""A shorter wait does not hold enough keep-alive probes to decide anything."""
LEAST_DECIDABLE_TIMEOUT_SECONDS = 3.0
"""A probe's time-out below this leaves too short a wait once it has connected."""
HEARD_SECONDS = 2.0
"""A far end that was last heard within this time is up: a keep-alive probe goes out each second."""
KEEPALIVE_IDLE_SECONDS = 1
_KEEPALIVE_MARGIN_SECONDS = 0.1


def attribute_silence(
    evidence: TcpEvidence | None, waited_seconds: float, *, response_begun: bool, via_proxy: bool
) -> Reason:
    """Return what it means that no whole response came.

    `waited_seconds` counts from the moment at which the request was handed to the kernel.
    `via_proxy`: the far end is a proxy that is configured, so its life says nothing of the server.
    """
    if evidence is None or waited_seconds < MIN_WAIT_SECONDS:
        return Reason.RESPONSE_TIMEOUT
    if not evidence.acknowledged:
        # Without a retransmission the far end may just not be reading as fast as we send.
        if evidence.retransmissions:
            return Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED
        return Reason.RESPONSE_TIMEOUT
    if evidence.since_heard_seconds > HEARD_SECONDS:
        return Reason.RESPONSE_TIMEOUT_PATH_LOST
    if via_proxy:
        return Reason.RESPONSE_TIMEOUT
    if response_begun and evidence.since_data_seconds <= HEARD_SECONDS:
        return Reason.RESPONSE_TIMEOUT  # it is still coming: a slow server or a slow path
    heard_after_request = waited_seconds - evidence.since_heard_seconds
    if heard_after_request < KEEPALIVE_IDLE_SECONDS - _KEEPALIVE_MARGIN_SECONDS:
        return Reason.RESPONSE_TIMEOUT  # that was the acknowledgement of the request, no keep-alive
    return Reason.RESPONSE_TIMEOUT_FAR_END_SILENT
