"""Whose is it: the outcome table of the README as an ordered tuple. The law.

1.  The first rule that applies decides. Order is law: who answered is settled before what he said
    (a failure, then an intermediary, then the platform), and among the platform's answers the
    credential comes before the form (401 and 403 win over a broken or over-long body), the form
    before the probe's wishes.
2.  An answer is the platform's when it has an envelope or a readable `total` in Server-Timing. An
    unreadable `total` is no proof. Headers such as `cf-ray` prove nothing: they stand on successes
    as well.
3.  A failed exchange is judged by its failure, even when part of an answer had come.
4.  A body over the probe's limit is not read, so it has no envelope: with a server time it is row
    14 (which therefore stands before 12), without one nobody knows whose it is: row 7.
5.  A negative check (a probe that expects a 4xx) is a success when the platform gives that status
    with an `error` envelope; 401 and 403 stay what they are, since a dead token answers nothing.
6.  These rules do not know the tenant, the probe's name, the time, or earlier results: equal
    exchanges have equal verdicts. What is known only over time or from two places (a token
    superseded, a time-out seen everywhere) is decided by the token ledger and the alert rules.
7.  A rule names its reason; the reason's outcome and culprit stand in `outcomes.CLASSIFICATION`
    and nowhere else. Every rule must have a case in its test and a specimen in
    `tests/fixtures/answers`; the table in the README is compared with `table()`.

The last rules need no fallback: a platform's answer has an envelope from row 10 on, so it is `ok`
or `error`, and each of the two is either in accord with its status or inconsistent.
"""

from collections.abc import Callable
from dataclasses import dataclass

from prober.classifier import messages
from prober.classifier.messages import extract_attributes
from prober.classifier.observation import Observation, observe
from prober.models import Expectations, HttpExchange, Verdict
from prober.outcomes import CLASSIFICATION, Culprit, FailureKind, Outcome, Reason, Responder

_UNAUTHORIZED, _PAYMENT_REQUIRED, _FORBIDDEN, _TOO_MANY_REQUESTS = 401, 402, 403, 429

Condition = Callable[[Observation], bool]
Wording = Callable[[Observation], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the law: `when` says for people what `applies` says for the machine."""

    row: str
    when: str
    reason: Reason
    provenance: Responder
    applies: Condition
    message: Wording


@dataclass(frozen=True, slots=True)
class RuleDescription:
    """One line of the table for documents and tests."""

    row: str
    when: str
    outcome: Outcome
    reason: Reason
    culprit: Culprit
    provenance: Responder


def classify(exchange: HttpExchange, expectations: Expectations) -> Verdict:
    """Return whose fault an exchange is, and why; never raises."""
    seen = observe(exchange, expectations)
    rule = next(rule for rule in _candidate_rules(seen) if rule.applies(seen))
    classification = CLASSIFICATION[rule.reason]
    return Verdict(
        outcome=classification.outcome,
        reason=rule.reason,
        culprit=classification.culprit,
        responder=rule.provenance,
        rule=rule.row,
        evidence=rule.message(seen),
        latency=seen.latency,
        facts=extract_attributes(seen),
    )


def _candidate_rules(seen: Observation) -> tuple[Rule, ...]:
    """Return the part of the law that can speak of this: each part has a rule for all it gets."""
    if seen.failure is not None:
        return FAILURES
    return _PLATFORM_RULES if seen.by_platform else _INTERMEDIARY_RULES


def describe_rules() -> tuple[RuleDescription, ...]:
    """Return the law as data, in order."""
    return tuple(map(rule_number, RULES))


def rule_number(rule: Rule) -> RuleDescription:
    """Return a rule as it stands in the table."""
    classification = CLASSIFICATION[rule.reason]
    return RuleDescription(
        rule.row,
        rule.when,
        classification.outcome,
        rule.reason,
        classification.culprit,
        rule.provenance,
    )


def _failed(
    row: str, kind: FailureKind, when: str, provenance: Responder = Responder.NOBODY
) -> Rule:
    """Make the rule of a failure: its reason is the one of the same name."""

    def applies(seen: Observation) -> bool:
        return seen.failure is not None and seen.failure.kind is kind

    return Rule(row, when, Reason(kind.value), provenance, applies, messages.failure_message)


def _silent(reason: Reason, when: str) -> Rule:
    """Make a rule on a time-out that the kernel can explain."""

    def applies(seen: Observation) -> bool:
        return seen.silence is reason

    return Rule(
        "6", f"sent, timed out: {when}", reason, Responder.NOBODY, applies, messages.silence_message
    )


def _proxy_answered(seen: Observation) -> bool:
    failure = seen.failure
    return failure is not None and failure.kind is FailureKind.PROXY and seen.status > 0


def _gateway_rejected_token(seen: Observation) -> bool:
    return not seen.by_platform and seen.status == _UNAUTHORIZED and seen.asks_for_bearer


def _inconsistent(seen: Observation) -> bool:
    if seen.body.status == "ok":
        return not seen.has_class(2)
    return not (seen.has_class(4) or seen.has_class(5))


_PROBER_RULES = (
    _failed("1", FailureKind.TOKEN_MISSING, "not asked: no token, or it cannot be read"),
    _failed("1", FailureKind.RESOURCE_EXHAUSTED, "not asked: out of files or memory"),
    _failed("1", FailureKind.TLS_CONFIGURATION, "not asked: invalid CA file or client certificate"),
    _failed("1", FailureKind.INTERNAL_ERROR, "the prober's own bug"),
)
_NO_RESPONSE = (
    _failed("2", FailureKind.DNS, "no response: name resolution"),
    _failed("3", FailureKind.CONNECTION_REFUSED, "no response: TCP refused"),
    _failed("3", FailureKind.UNREACHABLE, "no response: unreachable"),
    _failed("3", FailureKind.CONNECT_TIMEOUT, "no response: TCP timed out"),
    _failed("4a", FailureKind.CERTIFICATE_EXPIRED, "no response: certificate out of its dates"),
    _failed("4b", FailureKind.CERTIFICATE_NAME_MISMATCH, "no response: certificate's host name"),
    _failed("4", FailureKind.TLS_CERTIFICATE, "no response: certificate's issuer is not trusted"),
    _failed("4", FailureKind.TLS_HANDSHAKE, "no response: TLS handshake"),
    Rule(
        "5",
        "the proxy answered for itself: refused, or demanded a log-in",
        Reason.PROXY,
        Responder.INTERMEDIARY,
        _proxy_answered,
        messages.failure_message,
    ),
    _failed("5", FailureKind.PROXY, "no response: the proxy"),
    _failed("6", FailureKind.CONNECTION_RESET, "sent, no whole answer: reset"),
    _silent(
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED,
        "the request was never acknowledged",
    ),
    _silent(
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT,
        "the far end has it, is up, and does not respond",
    ),
    _silent(
        Reason.RESPONSE_TIMEOUT_PATH_LOST,
        "the far end had it, then the path was lost",
    ),
    _failed("6", FailureKind.RESPONSE_TIMEOUT, "sent, no whole answer: timed out"),
    _failed("6", FailureKind.TRUNCATED, "sent, no whole answer: cut short"),
    _failed(
        "6a",
        FailureKind.PROTOCOL_ERROR,
        "an answer that is not HTTP",
        Responder.INTERMEDIARY,
    ),
)
_INTERMEDIARY_RULES = (
    Rule(
        "7a",
        "not the platform: 401 with a challenge for a Bearer token",
        Reason.TOKEN_REJECTED,
        Responder.INTERMEDIARY,
        _gateway_rejected_token,
        messages.gateway_rejection_message,
    ),
    Rule(
        "7b",
        "not the platform: redirect to the portal's page for an unknown address",
        Reason.UNKNOWN_TENANT,
        Responder.INTERMEDIARY,
        lambda seen: not seen.by_platform and seen.is_unknown_tenant,
        messages.redirect_message,
    ),
    Rule(
        "7c",
        "not the platform: the CDN's challenge page or 1xxx refusal",
        Reason.EDGE_REFUSED,
        Responder.INTERMEDIARY,
        lambda seen: not seen.by_platform and seen.is_refused_by_edge,
        messages.edge_refused_message,
    ),
    Rule(
        "7d",
        "not the platform: 5xx of the platform's CDN about its origin",
        Reason.EDGE_ERROR,
        Responder.INTERMEDIARY,
        lambda seen: not seen.by_platform and seen.is_edge_error,
        messages.edge_error_message,
    ),
    Rule(
        "7",
        "not the platform: 3xx",
        Reason.REDIRECTED,
        Responder.INTERMEDIARY,
        lambda seen: not seen.by_platform and seen.has_class(3),
        messages.redirect_message,
    ),
    Rule(
        "7",
        "not the platform: anything else, 200 included",
        Reason.FOREIGN_RESPONSE,
        Responder.INTERMEDIARY,
        lambda seen: not seen.by_platform,
        messages.intermediary_message,
    ),
)


def _platform(
    row: str,
    when: str,
    reason: Reason,
    applies: Condition,
    wording: Wording,
) -> Rule:
    """Make a rule on a platform's answer: all others have been judged above."""
    return Rule(row, f"platform: {when}", reason, Responder.PLATFORM, applies, wording)


_PLATFORM_RULES = (
    _platform(
        "8",
        "401",
        Reason.TOKEN_REJECTED,
        lambda seen: seen.status == _UNAUTHORIZED,
        messages.token_rejected_message,
    ),
    _platform(
        "9a",
        "402, or 403 with a message about a quota",
        Reason.QUOTA_EXCEEDED,
        lambda seen: (
            seen.status == _PAYMENT_REQUIRED or (seen.status == _FORBIDDEN and seen.mentions_quota)
        ),
        messages.quota_exceeded_message,
    ),
    _platform(
        "9",
        "403",
        Reason.PERMISSION_DENIED,
        lambda seen: seen.status == _FORBIDDEN,
        messages.permission_denied_message,
    ),
    _platform(
        "13",
        "the expected 4xx with an error envelope, another expectation fails",
        Reason.EXPECTATION_FAILED,
        lambda seen: seen.is_expected_error and seen.unmet_expectation is not None,
        messages.expectation_failed_message,
    ),
    _platform(
        "15",
        "the expected 4xx with an error envelope",
        Reason.OK,
        lambda seen: seen.is_expected_error,
        messages.expected_error_message,
    ),
    _platform(
        "14",
        "body over the limit",
        Reason.RESPONSE_TOO_LARGE,
        lambda seen: seen.is_over_limit,
        messages.response_too_large_message,
    ),
    _platform(
        "12",
        "Server-Timing without an envelope",
        Reason.MALFORMED_ENVELOPE,
        lambda seen: seen.body.status is None,
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
        lambda seen: seen.status == _TOO_MANY_REQUESTS,
        messages.rate_limited_message,
    ),
    _platform(
        "10",
        "other 4xx with an error envelope",
        Reason.CLIENT_ERROR,
        lambda seen: seen.has_class(4),
        messages.client_error_message,
    ),
    _platform(
        "11",
        "5xx with an error envelope",
        Reason.SERVER_ERROR,
        lambda seen: seen.has_class(5),
        messages.server_error_message,
    ),
    _platform(
        "13",
        "2xx with an ok envelope, an expectation fails",
        Reason.EXPECTATION_FAILED,
        lambda seen: seen.unmet_expectation is not None,
        messages.expectation_failed_message,
    ),
    _platform(
        "15",
        "2xx with an ok envelope",
        Reason.OK,
        lambda seen: seen.is_ok,
        messages.success_message,
    ),
)

FAILURES = _PROBER_RULES + _NO_RESPONSE
RULES = FAILURES + _INTERMEDIARY_RULES + _PLATFORM_RULES
