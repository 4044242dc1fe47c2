"""The exit status of commands."""

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
