"""A saved exchange, and why a file is none."""

from dataclasses import dataclass

from prober.errors import ProberError
from prober.models import Expectations, HttpExchange
from prober.outcomes import Reason

USAGE = "save the response with `curl --silent --include ... > FILE`"
NO_EXPECTATIONS = Expectations()
MAX_DECODED_BYTES = 16 * 1024 * 1024
"""A body that is larger after decoding is cut, and counts as too large."""
QUOTED_CHARACTERS = 80


class RecordedExchangeError(ProberError, ValueError):
    """A file has no saved exchange; says what it has instead, and how to save one."""


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A saved exchange, and what its file says beside it.

    `reason` is the verdict's of that time. `notes` say what the reader should know before trusting
    a classification of it.
    """

    exchange: HttpExchange
    expectations: Expectations = NO_EXPECTATIONS
    tenant: str | None = None
    probe: str | None = None
    reason: Reason | None = None
    notes: tuple[str, ...] = ()
