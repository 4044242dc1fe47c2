"""The enumerations that results are made of, and the outcome and culprit of each reason.

Their values are a public interface: label values, JSON values, and the names of exit codes.
A reason determines its outcome, and nearly always its culprit, by `CLASSIFICATION` alone. Where
the user decides who is responsible (`culprit_varies`), the culprit is a part of the result. To add
a reason: one member, one row in `CLASSIFICATION`, one rule in `classifier/rules.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """The result of a run."""

    SUCCESS = "success"
    AUTH_FAILURE = "auth_failure"
    API_ERROR = "api_error"
    NETWORK_FAILURE = "network_failure"
    PROBER_FAULT = "prober_fault"


class Culprit(StrEnum):
    """Who is responsible: the word that alerts begin with.

    `request` is what the probe sends, and where from; `tenant` is the tenant's own set-up or use of
    the platform, such as a quota that is used up.
    """

    NONE = "none"
    CREDENTIAL = "credential"
    REQUEST = "request"
    TENANT = "tenant"
    PLATFORM = "platform"
    NETWORK = "network"
    UNDECIDED = "undecided"
    PROBER = "prober"


class Responder(StrEnum):
    """Who sent the response. Evidence, never a label."""

    PLATFORM = "platform"
    INTERMEDIARY = "intermediary"
    NOBODY = "nobody"


class Reason(StrEnum):
    """Why a run has its outcome."""

    OK = "ok"
    TOKEN_MISSING = "token_missing"  # noqa: S105 -- a reason, not a token
    RESOURCE_EXHAUSTED = "resource_exhausted"
    TLS_CONFIGURATION = "tls_configuration"
    INTERNAL_ERROR = "internal_error"
    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_CERTIFICATE = "tls_certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    TLS_HANDSHAKE = "tls_handshake"
    PROXY = "proxy"
    CONNECTION_RESET = "connection_reset"
    RESPONSE_TIMEOUT_UNACKNOWLEDGED = "response_timeout_unacknowledged"
    RESPONSE_TIMEOUT_FAR_END_SILENT = "response_timeout_far_end_silent"
    RESPONSE_TIMEOUT_PATH_LOST = "response_timeout_path_lost"
    RESPONSE_TIMEOUT = "response_timeout"
    TRUNCATED = "truncated"
    PROTOCOL_ERROR = "protocol_error"
    UNKNOWN_TENANT = "unknown_tenant"
    EDGE_REFUSED = "edge_refused"
    EDGE_ERROR = "edge_error"
    REDIRECTED = "redirected"
    FOREIGN_RESPONSE = "foreign_response"
    TOKEN_REJECTED = "token_rejected"  # noqa: S105 -- a reason, not a token
    ROUTE_UNAUTHORIZED = "route_unauthorized"
    PERMISSION_DENIED = "permission_denied"
    QUOTA_EXCEEDED = "quota_exceeded"
    RATE_LIMITED = "rate_limited"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    INCONSISTENT_ENVELOPE = "inconsistent_envelope"
    MALFORMED_ENVELOPE = "malformed_envelope"
    EXPECTATION_FAILED = "expectation_failed"
    RESPONSE_TOO_LARGE = "response_too_large"
    CHECK_FAILED = "check_failed"


class FailureKind(StrEnum):
    """Why there was no complete response. Each is also a `Reason` of the same name.

    What a RESPONSE_TIMEOUT means is decided from what the kernel knew of the connection, so it has
    further reasons.
    """

    TOKEN_MISSING = "token_missing"  # noqa: S105 -- a reason, not a token
    RESOURCE_EXHAUSTED = "resource_exhausted"
    TLS_CONFIGURATION = "tls_configuration"
    INTERNAL_ERROR = "internal_error"
    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_CERTIFICATE = "tls_certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    TLS_HANDSHAKE = "tls_handshake"
    PROXY = "proxy"
    CONNECTION_RESET = "connection_reset"
    RESPONSE_TIMEOUT = "response_timeout"
    TRUNCATED = "truncated"
    PROTOCOL_ERROR = "protocol_error"


class TokenState(StrEnum):
    """The state of a tenant's token."""

    MISSING = "missing"
    UNVERIFIED = "unverified"
    VALID = "valid"
    REJECTED = "rejected"


class RejectionCause(StrEnum):
    """Why a token is rejected, concluded from its history."""

    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    NEVER_ACCEPTED = "never_accepted"


class TokenEventKind(StrEnum):
    """What can happen to a token; the log event is named after it."""

    LOADED = "token_loaded"
    ROTATED = "token_rotated"
    ACCEPTED = "token_accepted"
    REJECTED = "token_rejected"
    EXPIRING = "token_expiring"
    MISSING = "token_missing"
    PERMISSION_LOST = "token_permission_lost"


class Endpoint(StrEnum):
    """Which server an exchange was with: the API, or the identity server that issues tokens."""

    API = "api"
    IDENTITY = "identity"


class SkipCause(StrEnum):
    """Why a due run was not started."""

    OVERLAP = "overlap"
    TOKEN_REJECTED = "token_rejected"  # noqa: S105 -- a reason, not a token
    CONCURRENCY = "concurrency"
    MISFIRE = "misfire"
    RATE_LIMITED = "rate_limited"


class HistoryDropReason(StrEnum):
    """Why something is missing from the history."""

    QUEUE_FULL = "queue_full"
    FILE_LOST = "file_lost"
    OVER_SIZE = "over_size"
    INTERNAL_ERROR = "internal_error"


class LatencyComponent(StrEnum):
    """The components of a latency that have an objective."""

    SERVER = "server"
    NETWORK = "network"


class TimingFallback(StrEnum):
    """Why an attempt was timed by the event loop, not by the kernel's stamps."""

    UNSUPPORTED = "unsupported"  # the system refuses the option
    MISSING_STAMP = "missing_stamp"  # data came without a stamp
    END_OF_STREAM = "end_of_stream"  # the response ended with its connection: a FIN has no stamp
    FUTURE_STAMP = "future_stamp"
    STAMP_BEFORE_SEND = "stamp_before_send"
    CLOCK_STEPPED = "clock_stepped"  # the system clock was set during the attempt
    SYN_RETRANSMITTED = "syn_retransmitted"  # the handshake's round trip was not measured
    OUT_OF_ORDER = "out_of_order"  # a segment overtook another: the last byte's stamp is too early


class ServerTimingAnomaly(StrEnum):
    """Why the latency of a platform response could not be split."""

    MISSING = "missing"
    UNPARSABLE = "unparsable"
    EXCEEDS_TOTAL = "exceeds_total"


@dataclass(frozen=True, slots=True)
class Classification:
    """The outcome and the culprit of a reason.

    With `culprit_varies`, `culprit` is only the usual one: each result has its own.
    """

    outcome: Outcome
    culprit: Culprit
    culprit_varies: bool = False


_PROBER = Classification(Outcome.PROBER_FAULT, Culprit.PROBER)
_NETWORK = Classification(Outcome.NETWORK_FAILURE, Culprit.NETWORK)
_UNDECIDED = Classification(Outcome.NETWORK_FAILURE, Culprit.UNDECIDED)
_CREDENTIAL = Classification(Outcome.AUTH_FAILURE, Culprit.CREDENTIAL)
_REQUEST = Classification(Outcome.API_ERROR, Culprit.REQUEST)
_TENANT = Classification(Outcome.API_ERROR, Culprit.TENANT)
_PLATFORM = Classification(Outcome.API_ERROR, Culprit.PLATFORM)

CLASSIFICATION = MappingProxyType(
    {
        Reason.OK: Classification(Outcome.SUCCESS, Culprit.NONE),
        Reason.TOKEN_MISSING: _PROBER,
        Reason.RESOURCE_EXHAUSTED: _PROBER,
        Reason.TLS_CONFIGURATION: _PROBER,
        Reason.INTERNAL_ERROR: _PROBER,
        Reason.DNS: _NETWORK,
        Reason.CONNECTION_REFUSED: _NETWORK,
        Reason.UNREACHABLE: _NETWORK,
        Reason.CONNECT_TIMEOUT: _NETWORK,
        Reason.TLS_CERTIFICATE: _NETWORK,
        # A chain that is trusted but for its dates is the platform's own, and its fault.
        Reason.CERTIFICATE_EXPIRED: Classification(Outcome.NETWORK_FAILURE, Culprit.PLATFORM),
        Reason.CERTIFICATE_NAME_MISMATCH: _UNDECIDED,
        Reason.TLS_HANDSHAKE: _NETWORK,
        Reason.PROXY: _NETWORK,
        Reason.CONNECTION_RESET: _UNDECIDED,
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: _NETWORK,
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: _PLATFORM,
        Reason.RESPONSE_TIMEOUT_PATH_LOST: _NETWORK,
        Reason.RESPONSE_TIMEOUT: _UNDECIDED,
        Reason.TRUNCATED: _UNDECIDED,
        Reason.PROTOCOL_ERROR: _NETWORK,
        Reason.UNKNOWN_TENANT: _REQUEST,
        Reason.EDGE_REFUSED: _REQUEST,
        Reason.EDGE_ERROR: _PLATFORM,
        Reason.REDIRECTED: _NETWORK,
        Reason.FOREIGN_RESPONSE: _NETWORK,
        Reason.TOKEN_REJECTED: _CREDENTIAL,
        Reason.ROUTE_UNAUTHORIZED: _CREDENTIAL,
        Reason.PERMISSION_DENIED: _CREDENTIAL,
        Reason.QUOTA_EXCEEDED: _TENANT,
        Reason.RATE_LIMITED: _REQUEST,
        Reason.CLIENT_ERROR: _REQUEST,
        Reason.SERVER_ERROR: _PLATFORM,
        Reason.INCONSISTENT_ENVELOPE: _PLATFORM,
        Reason.MALFORMED_ENVELOPE: _PLATFORM,
        # Expectations of the tenant's data are the user's own: the platform does not promise them.
        Reason.EXPECTATION_FAILED: Classification(
            Outcome.API_ERROR, Culprit.TENANT, culprit_varies=True
        ),
        Reason.RESPONSE_TOO_LARGE: _PLATFORM,
        # The culprit is that of the check.
        Reason.CHECK_FAILED: Classification(Outcome.API_ERROR, Culprit.TENANT, culprit_varies=True),
    }
)
