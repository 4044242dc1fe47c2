"""What a wait that ended without a whole response means, from what the kernel saw. Pure.

Keep-alive probes are sent each second once nothing else is under way (see `kernel_timing`): the
kernel of the far end answers them, whatever its HTTP server does. So a server that is silent is
told from a path that is dead, from a single place.

"The far end" is whoever holds the other end of our TCP connection. A transparent middlebox may
acknowledge in a server's name, which nobody can see from here.
"""

from dataclasses import dataclass
from enum import StrEnum

MIN_WAIT_SECONDS = 2.5
"""A shorter wait does not hold enough keep-alive probes to decide anything."""
HEARD_SECONDS = 2.0
"""A far end that was last heard within this time is up: a keep-alive probe goes out each second."""
KEEPALIVE_IDLE_SECONDS = 1
_KEEPALIVE_MARGIN_SECONDS = 0.1


class Silence(StrEnum):
    """What a wait without a whole response means."""

    UNACKNOWLEDGED = "unacknowledged"
    FAR_END_SILENT = "far_end_silent"
    PATH_LOST = "path_lost"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class TcpEvidence:
    """What the kernel says of one attempt's connection when the attempt ends. Seconds.

    `retransmissions` are those of this attempt. `acknowledged`: every byte that was sent has been
    acknowledged. `since_heard_seconds`: how long ago the last segment of any kind came, an empty
    acknowledgement included; `since_data_seconds` of one with data in it.
    `lost_addresses` are those that were tried before, or beside, the one that connected first.
    """

    rtt_seconds: float
    retransmissions: int
    acknowledged: bool
    since_heard_seconds: float
    since_data_seconds: float
    lost_addresses: tuple[str, ...] = ()


def attribute_silence(
    evidence: TcpEvidence | None, waited_seconds: float, *, response_begun: bool, via_proxy: bool
) -> Silence:
    """Return what it means that no whole response came.

    `waited_seconds` counts from the moment at which the request was handed to the kernel.
    `via_proxy`: the far end is a proxy that is configured, so its life says nothing of the server.
    """
    if evidence is None or waited_seconds < MIN_WAIT_SECONDS:
        return Silence.UNDECIDED
    if not evidence.acknowledged:
        # Without a retransmission the far end may just not be reading as fast as we send.
        return Silence.UNACKNOWLEDGED if evidence.retransmissions else Silence.UNDECIDED
    if evidence.since_heard_seconds > HEARD_SECONDS:
        return Silence.PATH_LOST
    if via_proxy:
        return Silence.UNDECIDED
    if response_begun and evidence.since_data_seconds <= HEARD_SECONDS:
        return Silence.UNDECIDED  # it is still coming: a slow server or a slow path
    heard_after_request = waited_seconds - evidence.since_heard_seconds
    if heard_after_request < KEEPALIVE_IDLE_SECONDS - _KEEPALIVE_MARGIN_SECONDS:
        return Silence.UNDECIDED  # that was the acknowledgement of the request, no keep-alive
    return Silence.FAR_END_SILENT
