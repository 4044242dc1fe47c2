"""Where a report is made: the host's name, and what the kernel says of its clock."""

import ctypes
import socket
import struct

from prober.report.models import ClockState, Vantage
from prober.version import current_version

# struct timex of Linux (adjtimex(2)): modes, offset, freq, maxerror (µs), and more that is unused.
_TIMEX = struct.Struct("@Illl")
_TIMEX_BYTES = 256
_TIME_ERROR = 5


def read_vantage(location: str | None) -> Vantage:
    """Return the vantage of this machine; `location` is in the user's own words."""
    state, error_seconds = _clock()
    build = current_version()
    return Vantage(
        socket.gethostname(), location, state, error_seconds, build.version, build.revision
    )


def _clock() -> tuple[ClockState, float | None]:
    """Return whether the clock is synchronized, and how far it is off at most (seconds)."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)  # no modes: the call only reads
    try:
        result = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return ClockState.UNKNOWN, None
    if result < 0:
        return ClockState.UNKNOWN, None
    if result == _TIME_ERROR:
        return ClockState.UNSYNCHRONIZED, None
    _, _, _, max_error_microseconds = _TIMEX.unpack_from(buffer)
    return ClockState.SYNCHRONIZED, max_error_microseconds / 1e6
