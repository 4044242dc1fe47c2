"""The classification rules: the table of docs/concepts/outcomes.md as an ordered tuple. Pure.

1.  The first rule that applies decides, so the order matters. First it is settled who responded (a
    failure, then an intermediary, then the platform). Among the platform's responses, the token is
    checked before the format (401 and 403 win over an invalid or over-long body), and the format
    before the probe's expectations.
2.  A response is the platform's if it has an envelope or a valid `total` in Server-Timing. An
    invalid `total` proves nothing. Headers such as `cf-ray` prove nothing either: successful
    responses have them as well.
3.  A failed exchange is classified by its failure, even if part of a response arrived.
4.  A body over the probe's limit is not read, so it has no envelope. With a server time it is rule
    14 (which therefore comes before 12); without one the sender is unknown: rule 7.
5.  A negative check (a probe that expects a 4xx) succeeds if the platform returns that status with
    an `error` envelope. 401 and 403 keep their meaning, because a rejected token proves nothing.
6.  The rules do not know the tenant, the probe's name, the time or earlier results: equal exchanges
    have equal verdicts. What needs several results (a superseded token, a timeout at all locations)
    is decided by the token state machine and the alert rules.
7.  A rule names its reason; the outcome and culprit of a reason are defined in
    `outcomes.CLASSIFICATION` only. Where the culprit varies, the rule finds it. Every rule needs a
    case in its test and a specimen in `tests/fixtures/answers`; a test compares the document with
    `describe_rules()`.

The last rules need no fallback: from rule 10 on a platform response has an envelope, which is `ok`
or `error`, and either matches its status or is inconsistent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from prober.classifier import messages
from prober.classifier.messages import extract_attributes
from prober.classifier.observation import Observation, observe
from prober.models import Expectations, HttpExchange, Verdict
from prober.outcomes import CLASSIFICATION, Culprit, FailureKind, Outcome, Reason, Responder

_UNAUTHORIZED, _PAYMENT_REQUIRED, _FORBIDDEN, _TOO_MANY_REQUESTS = 401, 402, 403, 429

Condition = Callable[[Observation], bool]
MessageBuilder = Callable[[Observation], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `when` describes for readers what `applies` decides.

    `culprit` is given where the culprit of the reason varies.
    """

    number: str
    when: str
    reason: Reason
    responder: Responder
    applies: Condition
    message: MessageBuilder
    culprit: Callable[[Observation], Culprit] | None = None


@dataclass(frozen=True, slots=True)
class RuleDescription:
    """One rule as data, for documentation and tests."""

    number: str
    when: str
    outcome: Outcome
    reason: Reason
    culprit: Culprit
    responder: Responder


def classify(exchange: HttpExchange, expectations: Expectations) -> Verdict:
    """Return the verdict on an exchange with the API. Never raises."""
    observation = observe(exchange, expectations)
    rule = next(rule for rule in _candidate_rules(observation) if rule.applies(observation))
    classification = CLASSIFICATION[rule.reason]
    return Verdict(
        outcome=classification.outcome,
        reason=rule.reason,
        culprit=classification.culprit if rule.culprit is None else rule.culprit(observation),
        responder=rule.responder,
        rule=rule.number,
        evidence=rule.message(observation),
        latency=observation.latency,
        facts=extract_attributes(observation),
    )


def _candidate_rules(observation: Observation) -> tuple[Rule, ...]:
    """Return the rules for this kind of exchange; one of them always applies."""
    if observation.failure is not None:
        return FAILURES
    return _PLATFORM_RULES if observation.by_platform else _INTERMEDIARY_RULES


def describe_rules() -> tuple[RuleDescription, ...]:
    """Return all rules as data, in order."""
    rows = list(map(describe_rule, RULES))
    for number, rule in (("8", ROUTE_UNAUTHORIZED_RULE), ("13", CHECK_FAILED_RULE)):
        after = max(index for index, row in enumerate(rows) if row.number == number)
        rows.insert(after + 1, rule)
    return tuple(rows)


def route_unauthorized(verdict: Verdict, accepted_route: str) -> Verdict:
    """Return the verdict on a 401 (rule 8 or 7a) whose token another route accepts.

    It takes a second request to know, so no rule on one exchange can say it.
    """
    classification = CLASSIFICATION[Reason.ROUTE_UNAUTHORIZED]
    return replace(
        verdict,
        outcome=classification.outcome,
        reason=Reason.ROUTE_UNAUTHORIZED,
        culprit=classification.culprit,
        rule=ROUTE_UNAUTHORIZED_RULE.number,
        evidence=messages.route_unauthorized_message(accepted_route),
    )


def describe_rule(rule: Rule) -> RuleDescription:
    """Return a rule with the outcome and culprit of its reason."""
    classification = CLASSIFICATION[rule.reason]
    return RuleDescription(
        rule.number,
        rule.when,
        classification.outcome,
        rule.reason,
        classification.culprit,
        rule.responder,
    )


def _failed(
    number: str, kind: FailureKind, when: str, responder: Responder = Responder.NOBODY
) -> Rule:
    """Return the rule for a failure kind; the reason has the same name."""

    def applies(observation: Observation) -> bool:
        return observation.failure is not None and observation.failure.kind is kind

    return Rule(number, when, Reason(kind.value), responder, applies, messages.failure_message)


def _silent(reason: Reason, when: str) -> Rule:
    """Return a rule for a timeout that TCP statistics explain."""

    def applies(observation: Observation) -> bool:
        return observation.silence is reason

    return Rule(
        "6", f"timeout: {when}", reason, Responder.NOBODY, applies, messages.silence_message
    )


def _proxy_answered(observation: Observation) -> bool:
    failure = observation.failure
    return failure is not None and failure.kind is FailureKind.PROXY and observation.status > 0


def _gateway_rejected_token(observation: Observation) -> bool:
    return (
        not observation.by_platform
        and observation.status == _UNAUTHORIZED
        and observation.asks_for_bearer
    )


def _inconsistent(observation: Observation) -> bool:
    if not observation.has_body:
        return not any(observation.has_class(hundreds) for hundreds in (2, 4, 5))
    if observation.body.status == "ok":
        return not observation.has_class(2)
    return not (observation.has_class(4) or observation.has_class(5))


_PROBER_RULES = (
    _failed("1", FailureKind.TOKEN_MISSING, "no request: no usable token"),
    _failed("1", FailureKind.RESOURCE_EXHAUSTED, "no request: out of file descriptors or memory"),
    _failed(
        "1", FailureKind.TLS_CONFIGURATION, "no request: invalid CA file or client certificate"
    ),
    _failed("1", FailureKind.INTERNAL_ERROR, "internal error of the prober"),
)
_NO_RESPONSE = (
    _failed("2", FailureKind.DNS, "no response: DNS"),
    _failed("3", FailureKind.CONNECTION_REFUSED, "no response: TCP refused"),
    _failed("3", FailureKind.UNREACHABLE, "no response: unreachable"),
    _failed("3", FailureKind.CONNECT_TIMEOUT, "no response: TCP timed out"),
    _failed(
        "4a", FailureKind.CERTIFICATE_EXPIRED, "no response: certificate expired or not yet valid"
    ),
    _failed(
        "4b", FailureKind.CERTIFICATE_NAME_MISMATCH, "no response: certificate of another host"
    ),
    _failed("4", FailureKind.TLS_CERTIFICATE, "no response: certificate issuer not trusted"),
    _failed("4", FailureKind.TLS_HANDSHAKE, "no response: TLS handshake failed"),
    Rule(
        "5",
        "the proxy refused the request or requires authentication",
        Reason.PROXY,
        Responder.INTERMEDIARY,
        _proxy_answered,
        messages.failure_message,
    ),
    _failed("5", FailureKind.PROXY, "no response: proxy failure"),
    _failed("6", FailureKind.CONNECTION_RESET, "incomplete response: connection reset"),
    _silent(
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED,
        "the request was never acknowledged",
    ),
    _silent(
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
        "acknowledged; the far end is reachable and does not respond",
    ),
    _silent(
        Reason.RESPONSE_TIMEOUT_PATH_LOST,
        "acknowledged; then the network path failed",
    ),
    _failed("6", FailureKind.RESPONSE_TIMEOUT, "incomplete response: timeout"),
    _failed("6", FailureKind.TRUNCATED, "incomplete response: truncated"),
    _failed(
        "6a",
        FailureKind.PROTOCOL_ERROR,
        "a response that is not HTTP",
        Responder.INTERMEDIARY,
    ),
)
_INTERMEDIARY_RULES = (
    Rule(
        "7a",
        "not the platform: 401 with a Bearer challenge",
        Reason.TOKEN_REJECTED,
        Responder.INTERMEDIARY,
        _gateway_rejected_token,
        messages.gateway_rejection_message,
    ),
    Rule(
        "7b",
        "not the platform: redirect to the portal's page for unknown addresses",
        Reason.UNKNOWN_TENANT,
        Responder.INTERMEDIARY,
        lambda observation: not observation.by_platform and observation.is_unknown_tenant,
        messages.redirect_message,
    ),
    Rule(
        "7c",
        "not the platform: challenge page or 1xxx refusal of the CDN",
        Reason.EDGE_REFUSED,
        Responder.INTERMEDIARY,
        lambda observation: not observation.by_platform and observation.is_refused_by_edge,
        messages.edge_refused_message,
    ),
    Rule(
        "7d",
        "not the platform: 5xx of the platform's CDN",
        Reason.EDGE_ERROR,
        Responder.INTERMEDIARY,
        lambda observation: not observation.by_platform and observation.is_edge_error,
        messages.edge_error_message,
    ),
    Rule(
        "7",
        "not the platform: 3xx",
        Reason.REDIRECTED,
        Responder.INTERMEDIARY,
        lambda observation: not observation.by_platform and observation.has_class(3),
        messages.redirect_message,
    ),
    Rule(
        "7",
        "not the platform: anything else, including 200",
        Reason.FOREIGN_RESPONSE,
        Responder.INTERMEDIARY,
        lambda observation: not observation.by_platform,
        messages.intermediary_message,
    ),
)


def _platform(
    number: str,
    when: str,
    reason: Reason,
    applies: Condition,
    message: MessageBuilder,
    culprit: Callable[[Observation], Culprit] | None = None,
) -> Rule:
    """Return a rule for responses of the platform."""
    return Rule(number, f"platform: {when}", reason, Responder.PLATFORM, applies, message, culprit)


def _culprit_of_expectation(observation: Observation) -> Culprit:
    unmet = observation.unmet_expectation
    return CLASSIFICATION[Reason.EXPECTATION_FAILED].culprit if unmet is None else unmet.culprit


_PLATFORM_RULES = (
    _platform(
        "8",
        "401",
        Reason.TOKEN_REJECTED,
        lambda observation: observation.status == _UNAUTHORIZED,
        messages.token_rejected_message,
    ),
    _platform(
        "9a",
        "402, or 403 with a message about a quota",
        Reason.QUOTA_EXCEEDED,
        lambda observation: (
            observation.status == _PAYMENT_REQUIRED
            or (observation.status == _FORBIDDEN and observation.mentions_quota)
        ),
        messages.quota_exceeded_message,
    ),
    _platform(
        "9",
        "403",
        Reason.PERMISSION_DENIED,
        lambda observation: observation.status == _FORBIDDEN,
        messages.permission_denied_message,
    ),
    _platform(
        "13",
        "the expected 4xx with an error envelope; another expectation fails",
        Reason.EXPECTATION_FAILED,
        lambda observation: (
            observation.is_expected_error and observation.unmet_expectation is not None
        ),
        messages.expectation_failed_message,
        _culprit_of_expectation,
    ),
    _platform(
        "15",
        "the expected 4xx with an error envelope",
        Reason.OK,
        lambda observation: observation.is_expected_error,
        messages.expected_error_message,
    ),
    _platform(
        "14",
        "body over the limit",
        Reason.RESPONSE_TOO_LARGE,
        lambda observation: observation.is_over_limit,
        messages.response_too_large_message,
    ),
    _platform(
        "12",
        "Server-Timing without an envelope",
        Reason.MALFORMED_ENVELOPE,
        lambda observation: observation.has_body and observation.body.status is None,
        messages.malformed_envelope_message,
    ),
    _platform(
        "12",
        "status code and envelope contradict each other",
        Reason.INCONSISTENT_ENVELOPE,
        _inconsistent,
        messages.inconsistent_envelope_message,
    ),
    _platform(
        "10",
        "429 with an error envelope",
        Reason.RATE_LIMITED,
        lambda observation: observation.status == _TOO_MANY_REQUESTS,
        messages.rate_limited_message,
    ),
    _platform(
        "10",
        "other 4xx with an error envelope",
        Reason.CLIENT_ERROR,
        lambda observation: observation.has_class(4),
        messages.client_error_message,
    ),
    _platform(
        "11",
        "5xx with an error envelope",
        Reason.SERVER_ERROR,
        lambda observation: observation.has_class(5),
        messages.server_error_message,
    ),
    _platform(
        "13",
        "2xx with an ok envelope; an expectation fails",
        Reason.EXPECTATION_FAILED,
        lambda observation: observation.unmet_expectation is not None,
        messages.expectation_failed_message,
        _culprit_of_expectation,
    ),
    _platform(
        "15",
        "2xx with an ok envelope; to HEAD, a 2xx with Server-Timing",
        Reason.OK,
        lambda observation: observation.is_ok,
        messages.success_message,
    ),
)

FAILURES = _PROBER_RULES + _NO_RESPONSE
RULES = FAILURES + _INTERMEDIARY_RULES + _PLATFORM_RULES

ROUTE_UNAUTHORIZED_RULE = RuleDescription(
    "8a",
    "401 on this route, while another route accepts the same token",
    CLASSIFICATION[Reason.ROUTE_UNAUTHORIZED].outcome,
    Reason.ROUTE_UNAUTHORIZED,
    CLASSIFICATION[Reason.ROUTE_UNAUTHORIZED].culprit,
    Responder.PLATFORM,
)
"""What `route_unauthorized` decides; the responder is that of the 401, rarely a gateway."""

CHECK_FAILED_RULE = RuleDescription(
    "13a",
    "platform: 2xx with an ok envelope; a check of the content fails (culprit: that of the check)",
    CLASSIFICATION[Reason.CHECK_FAILED].outcome,
    Reason.CHECK_FAILED,
    CLASSIFICATION[Reason.CHECK_FAILED].culprit,
    Responder.PLATFORM,
)
"""What `checks.with_failures` decides; it takes the time and earlier runs to know."""
