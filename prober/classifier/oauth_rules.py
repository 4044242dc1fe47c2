"""The classification rules for token requests to the identity server. Pure.

OAuth tokens (RFC 6749, 4.4) are requested before the API can be called. Failures without a response
are classified by the rules of `rules.py`, responses by the rules here. A JSON object with a string
`error` (RFC 6749, 5.2) proves that the identity server responded itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from prober.classifier import messages
from prober.classifier.messages import extract_attributes
from prober.classifier.observation import Observation, observe, read_body
from prober.classifier.rules import (
    FAILURES,
    Condition,
    MessageBuilder,
    Rule,
    RuleDescription,
    describe_rule,
)
from prober.formatting import one_line
from prober.models import Expectations, HttpExchange, Latency, Response, Verdict
from prober.outcomes import CLASSIFICATION, Reason, Responder

_CLIENT_REFUSED = frozenset({"invalid_client", "unauthorized_client", "invalid_grant"})
_SERVER_FAILED = frozenset({"server_error", "temporarily_unavailable"})
_UNAUTHORIZED, _TOO_MANY_REQUESTS = 401, 429
_DESCRIPTION_CHARACTERS = 160
_MAX_TOKEN_CHARACTERS = 16 * 1024
_TYPE_CHARACTERS = 40
_MAX_LIFETIME_SECONDS = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that the identity server issued; `lifetime_seconds` is None if it is not stated."""

    token: SecretStr
    lifetime_seconds: float | None


def issued_token(response: Response) -> IssuedToken | None:
    """Return the token in a response (RFC 6749, 5.1), None if there is no usable one."""
    if not 200 <= response.status <= 299 or response.body_over_limit:  # noqa: PLR2004
        return None
    document = read_body(response.body).document
    if not isinstance(document, dict) or _token_problem(document):
        return None
    return IssuedToken(SecretStr(document["access_token"]), _lifetime(document.get("expires_in")))


def _token_problem(document: Mapping[str, object]) -> str:
    """Return why the token in a response cannot be used, empty if it can; never quotes it."""
    token, kind = document.get("access_token"), document.get("token_type", "Bearer")
    if token is None:
        return "no access_token"
    if not isinstance(token, str):
        return "an access_token that is not a string"
    if not token:
        return "an empty access_token"
    if len(token) > _MAX_TOKEN_CHARACTERS:
        return f"an access_token of more than {_MAX_TOKEN_CHARACTERS} characters"
    if not (token.isascii() and token.isprintable()) or " " in token:
        return "an access_token with characters that are invalid in an HTTP header"
    if not isinstance(kind, str):
        return "a token_type that is not a string"
    if kind.lower() != "bearer":
        return f"the token_type '{one_line(kind, _TYPE_CHARACTERS)}' instead of 'Bearer'"
    return ""


def tokens_in(response: Response) -> tuple[SecretStr, ...]:
    """Return all values that a response calls a token, usable or not."""
    document = read_body(response.body).document
    if not isinstance(document, dict):
        return ()
    named = (value for key, value in document.items() if key.lower().endswith("token"))
    return tuple(SecretStr(value) for value in named if isinstance(value, str))


def classify_token_response(exchange: HttpExchange) -> Verdict:
    """Return the verdict on an exchange with the identity server. Never raises."""
    observation = observe(exchange, Expectations())
    rule = next(rule for rule in IDENTITY_RULES if rule.applies(observation))
    classification = CLASSIFICATION[rule.reason]
    return Verdict(
        outcome=classification.outcome,
        reason=rule.reason,
        culprit=classification.culprit,
        responder=rule.responder,
        rule=rule.number,
        evidence=rule.message(observation),
        latency=Latency(exchange.total_seconds),
        facts=extract_attributes(observation),
    )


def identity_table() -> tuple[RuleDescription, ...]:
    """Return the rules for responses of the identity server, in order."""
    return tuple(map(describe_rule, _RESPONSES))


def _lifetime(value: object) -> float | None:
    """Return seconds, None if invalid; some servers send the number as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME_SECONDS) if math.isfinite(seconds) and seconds > 0 else None


def _error(observation: Observation) -> str:
    document = observation.body.document
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, str) else ""


def _description(observation: Observation) -> str:
    document = observation.body.document
    description = document.get("error_description") if isinstance(document, dict) else None
    texts = [_error(observation), description if isinstance(description, str) else ""]
    error, text = (one_line(t, _DESCRIPTION_CHARACTERS, observation.redactor) for t in texts)
    return f" ({': '.join(each for each in (error, text) if each)})" if error else ""


def _issued(observation: Observation) -> bool:
    return observation.response is not None and issued_token(observation.response) is not None


def _message(meaning: str) -> MessageBuilder:
    def build(observation: Observation) -> str:
        server = f"the identity server {observation.host}"
        return f"HTTP {observation.status} from {server}: {meaning}{_description(observation)}"

    return build


def _unusable_token_message(observation: Observation) -> str:
    document = observation.body.document
    problem = _token_problem(document) if isinstance(document, dict) else ""
    return (
        f"HTTP {observation.status} from the identity server {observation.host}: "
        f"the response has no usable token: {problem or 'the body is over the limit'}"
    )


def _rule(number: str, when: str, reason: Reason, applies: Condition, meaning: str) -> Rule:
    return Rule(
        number, f"identity server: {when}", reason, Responder.PLATFORM, applies, _message(meaning)
    )


_RESPONSES = (
    _rule(
        "8i",
        "invalid_client, unauthorized_client, invalid_grant",
        Reason.TOKEN_REJECTED,
        lambda observation: _error(observation) in _CLIENT_REFUSED,
        "it rejected the client; check the client ID and secret",
    ),
    _rule(
        "8i",
        "401",
        Reason.TOKEN_REJECTED,
        lambda observation: (
            observation.status == _UNAUTHORIZED
            and bool(_error(observation) or observation.header_values("www-authenticate"))
        ),
        "it rejected the client; check the client ID and secret",
    ),
    _rule(
        "10i",
        "429 with an OAuth error",
        Reason.RATE_LIMITED,
        lambda observation: observation.status == _TOO_MANY_REQUESTS and bool(_error(observation)),
        "it limits the request rate",
    ),
    _rule(
        "11i",
        "5xx with an OAuth error, server_error, temporarily_unavailable",
        Reason.SERVER_ERROR,
        lambda observation: (
            _error(observation) in _SERVER_FAILED
            or (observation.has_class(5) and bool(_error(observation)))
        ),
        "it failed",
    ),
    _rule(
        "10i",
        "another OAuth error, such as invalid_scope",
        Reason.CLIENT_ERROR,
        lambda observation: observation.has_class(4) and bool(_error(observation)),
        "it rejected the token request as invalid",
    ),
    _rule("15i", "2xx with a token", Reason.OK, _issued, "a token was issued"),
    Rule(
        "12i",
        "identity server: 2xx with a JSON object, no usable token",
        Reason.MALFORMED_ENVELOPE,
        Responder.PLATFORM,
        lambda observation: (
            observation.has_class(2) and isinstance(observation.body.document, dict)
        ),
        _unusable_token_message,
    ),
    Rule(
        "7i",
        "not the identity server: 3xx",
        Reason.REDIRECTED,
        Responder.INTERMEDIARY,
        lambda observation: observation.has_class(3),
        messages.redirect_message,
    ),
    Rule(
        "7i",
        "not the identity server: anything else",
        Reason.FOREIGN_RESPONSE,
        Responder.INTERMEDIARY,
        lambda _: True,
        messages.identity_intermediary_message,
    ),
)
IDENTITY_RULES = FAILURES + _RESPONSES
