"""The exit status of commands that judge: one for each outcome."""

from collections.abc import Iterable
from types import MappingProxyType

from prober.outcomes import Outcome

BY_OUTCOME = MappingProxyType(
    {
        Outcome.SUCCESS: 0,
        Outcome.AUTH_FAILURE: 10,
        Outcome.API_ERROR: 11,
        Outcome.NETWORK_FAILURE: 12,
        Outcome.PROBER_FAULT: 13,
    }
)
OTHER_ERROR = 1
USAGE_OR_SETTINGS = 2
INTERRUPTED = 130

# What hides more comes first: a prober that cannot ask has learned nothing about anything else.
_WORST_FIRST = (
    Outcome.PROBER_FAULT,
    Outcome.NETWORK_FAILURE,
    Outcome.AUTH_FAILURE,
    Outcome.API_ERROR,
    Outcome.SUCCESS,
)

# One per line, as click prints it under \b.
HELP = """\b
Exit status:
  0   success
  10  auth_failure: the credential
  11  api_error: the platform, or what was asked of it
  12  network_failure: the way to the platform
  13  prober_fault: the prober itself
  2   a command line or a configuration that cannot be used
  1   any other error

Of several results the worst counts: prober_fault, then network_failure, auth_failure, api_error,
success."""


def of_worst(outcomes: Iterable[Outcome]) -> int:
    """Return the exit status of the worst outcome; 0 for none."""
    seen = set(outcomes)
    return next((BY_OUTCOME[outcome] for outcome in _WORST_FIRST if outcome in seen), 0)
