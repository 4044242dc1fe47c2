"""Whose is it when no token could be had: the law for answers of the identity server. Pure.

It is asked for OAuth tokens (RFC 6749, 4.4) before the API can be asked at all. What happens before
it answers is judged by the rows of the other table; what it says, by these. A JSON object with
the text `error` (RFC 6749, 5.2) is its own form of answer, and proves that it answered itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from prober.classifier import messages
from prober.classifier.messages import extract_attributes
from prober.classifier.observation import Observation, observe, read_body
from prober.classifier.rules import FAILURES, Condition, Rule, RuleDescription, Wording, rule_number
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
    """A token that the identity server issued; `lifetime_seconds` is None where it says nothing."""

    token: SecretStr
    lifetime_seconds: float | None


def issued_token(response: Response) -> IssuedToken | None:
    """Return the token in an answer, None if there is no usable one (RFC 6749, 5.1)."""
    if not 200 <= response.status <= 299 or response.body_over_limit:  # noqa: PLR2004
        return None
    document = read_body(response.body).document
    if not isinstance(document, dict) or _unusable_because(document):
        return None
    return IssuedToken(SecretStr(document["access_token"]), _lifetime(document.get("expires_in")))


def _unusable_because(document: Mapping[str, object]) -> str:
    """Return what is wrong with the token in an answer, and nothing of it; empty if it is good."""
    token, kind = document.get("access_token"), document.get("token_type", "Bearer")
    if token is None:
        return "no access_token"
    if not isinstance(token, str):
        return "an access_token that is no text"
    if not token:
        return "an empty access_token"
    if len(token) > _MAX_TOKEN_CHARACTERS:
        return f"an access_token of more than {_MAX_TOKEN_CHARACTERS} characters"
    if not (token.isascii() and token.isprintable()) or " " in token:
        return "an access_token with characters that no HTTP header can carry"
    if not isinstance(kind, str):
        return "a token_type that is no text"
    if kind.lower() != "bearer":
        return f"the token_type '{one_line(kind, _TYPE_CHARACTERS)}', where 'Bearer' is needed"
    return ""


def tokens_in(response: Response) -> tuple[SecretStr, ...]:
    """Return all that an answer calls a token, usable or not."""
    document = read_body(response.body).document
    if not isinstance(document, dict):
        return ()
    named = (value for key, value in document.items() if key.lower().endswith("token"))
    return tuple(SecretStr(value) for value in named if isinstance(value, str))


def classify_token_response(exchange: HttpExchange) -> Verdict:
    """Return whose fault an exchange with the identity server is, and why; never raises."""
    seen = observe(exchange, Expectations())
    rule = next(rule for rule in IDENTITY_RULES if rule.applies(seen))
    classification = CLASSIFICATION[rule.reason]
    return Verdict(
        outcome=classification.outcome,
        reason=rule.reason,
        culprit=classification.culprit,
        responder=rule.provenance,
        rule=rule.row,
        evidence=rule.message(seen),
        latency=Latency(exchange.total_seconds),
        facts=extract_attributes(seen),
    )


def identity_table() -> tuple[RuleDescription, ...]:
    """Return the rows that this law has of its own, in order."""
    return tuple(map(rule_number, _RESPONSES))


def _lifetime(value: object) -> float | None:
    """Return seconds; some servers write the number as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME_SECONDS) if math.isfinite(seconds) and seconds > 0 else None


def _error(seen: Observation) -> str:
    document = seen.body.document
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, str) else ""


def _description(seen: Observation) -> str:
    document = seen.body.document
    told = document.get("error_description") if isinstance(document, dict) else None
    words = one_line(told, _DESCRIPTION_CHARACTERS, seen.redactor) if isinstance(told, str) else ""
    error = one_line(_error(seen), _DESCRIPTION_CHARACTERS, seen.redactor)
    return f" ({': '.join(each for each in (error, words) if each)})" if error else ""


def _issued(seen: Observation) -> bool:
    return seen.response is not None and issued_token(seen.response) is not None


def _wording(meaning: str) -> Wording:
    def words(seen: Observation) -> str:
        server = f"the identity server {seen.host}"
        return f"HTTP {seen.status} from {server}: {meaning}{_description(seen)}"

    return words


def _unusable_words(seen: Observation) -> str:
    document = seen.body.document
    why = _unusable_because(document) if isinstance(document, dict) else ""
    return (
        f"HTTP {seen.status} from the identity server {seen.host}: its answer holds no usable"
        f" token, but {why or 'a body over the limit'}"
    )


def _rule(row: str, when: str, reason: Reason, applies: Condition, meaning: str) -> Rule:
    return Rule(
        row, f"identity server: {when}", reason, Responder.PLATFORM, applies, _wording(meaning)
    )


_RESPONSES = (
    _rule(
        "8i",
        "invalid_client, unauthorized_client, invalid_grant",
        Reason.TOKEN_REJECTED,
        lambda seen: _error(seen) in _CLIENT_REFUSED,
        "it refuses the client; check the client's id and secret",
    ),
    _rule(
        "8i",
        "401",
        Reason.TOKEN_REJECTED,
        lambda seen: (
            seen.status == _UNAUTHORIZED
            and bool(_error(seen) or seen.header_values("www-authenticate"))
        ),
        "it refuses the client; check the client's id and secret",
    ),
    _rule(
        "10i",
        "429 with an OAuth error",
        Reason.RATE_LIMITED,
        lambda seen: seen.status == _TOO_MANY_REQUESTS and bool(_error(seen)),
        "it limits the rate",
    ),
    _rule(
        "11i",
        "5xx with an OAuth error, server_error, temporarily_unavailable",
        Reason.SERVER_ERROR,
        lambda seen: _error(seen) in _SERVER_FAILED or (seen.has_class(5) and bool(_error(seen))),
        "it failed",
    ),
    _rule(
        "10i",
        "another OAuth error, such as invalid_scope",
        Reason.CLIENT_ERROR,
        lambda seen: seen.has_class(4) and bool(_error(seen)),
        "it finds fault with the request for a token",
    ),
    _rule("15i", "2xx with a token", Reason.OK, _issued, "a token was issued"),
    Rule(
        "12i",
        "identity server: 2xx with a JSON object, no usable token",
        Reason.MALFORMED_ENVELOPE,
        Responder.PLATFORM,
        lambda seen: seen.has_class(2) and isinstance(seen.body.document, dict),
        _unusable_words,
    ),
    Rule(
        "7i",
        "not the identity server: 3xx",
        Reason.REDIRECTED,
        Responder.INTERMEDIARY,
        lambda seen: seen.has_class(3),
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
