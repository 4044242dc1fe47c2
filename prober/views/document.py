"""A result as JSON: for other programs, and to be judged again by `prober explain`. Pure.

Durations are seconds, points in time are epoch seconds, what is unknown is null; every key is
always there. What is lost, by intent: a platform's body is reduced to its envelope (`status`,
`message`, `path`), since all else in it is customers' data, and of any other body the excerpt
among the facts is kept. Cookies are dropped. The token is known by its fingerprint alone.
"""

from dataclasses import asdict
from urllib.parse import urlsplit

from prober.credential import TokenView
from prober.model import (
    PHASE_NAMES,
    Exchange,
    Expectations,
    Failure,
    Phases,
    Response,
    Result,
    Verdict,
)
from prober.outcomes import Counterpart, Provenance
from prober.verdict.envelope import read_body

SCHEMA_VERSION = 1
_SECRET_HEADERS = frozenset({"set-cookie", "set-cookie2", "authorization", "proxy-authorization"})


def result_document(result: Result, expectations: Expectations | None = None) -> dict[str, object]:
    """Return a result in the form of `prober probe --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": result.tenant,
        "probe": result.probe,
        "started_at_timestamp_seconds": result.started_at,
        "token": _token(result.token),
        "counterpart": result.counterpart.value,
        **_judged(result.exchange, result.verdict, expectations),
    }


def explanation_document(
    exchange: Exchange,
    verdict: Verdict,
    expectations: Expectations,
    tenant: str | None = None,
    probe: str | None = None,
) -> dict[str, object]:
    """Return a saved exchange, judged again, in the same form."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": tenant,
        "probe": probe,
        "started_at_timestamp_seconds": None,
        "token": None,
        "counterpart": Counterpart.API.value,
        **_judged(exchange, verdict, expectations),
    }


def _judged(
    exchange: Exchange, verdict: Verdict, expectations: Expectations | None
) -> dict[str, object]:
    return {
        "verdict": {
            "outcome": verdict.outcome.value,
            "reason": verdict.reason.value,
            "culprit": verdict.culprit.value,
            "provenance": verdict.provenance.value,
            "row": verdict.rule,
            "evidence": verdict.evidence,
        },
        "latency": _latency(exchange, verdict),
        "phase_seconds": _phases(exchange.phases),
        "facts": dict(verdict.facts),
        "request": {"method": exchange.method, "url": _without_credentials(exchange.url)},
        "response": None if exchange.response is None else _response(exchange.response, verdict),
        "failure": _failure(exchange.failure),
        "connection": {
            "reused": exchange.connection_reused,
            "remote_address": exchange.remote_address,
            "certificate_expiry_timestamp_seconds": exchange.certificate_expiry_timestamp_seconds,
            "via_proxy": exchange.via_proxy,
            "tcp": None if exchange.tcp is None else asdict(exchange.tcp),
        },
        "expectations": _expectations(expectations),
    }


def _latency(exchange: Exchange, verdict: Verdict) -> dict[str, object]:
    latency = verdict.latency
    return {
        "total_seconds": exchange.total_seconds or None,
        "server_seconds": latency.server_seconds,
        "network_seconds": latency.network_seconds,
        "anomaly": None if latency.anomaly is None else latency.anomaly.value,
        "own_seconds": latency.own_seconds,
        "bound_seconds": exchange.timing_bound_seconds,
        "timing_fallback": None
        if exchange.timing_fallback is None
        else exchange.timing_fallback.value,
        "loop_lag_seconds": exchange.loop_lag_seconds,
    }


def _phases(phases: Phases) -> dict[str, float | None]:
    known = dict(phases.as_pairs())
    return {name: known.get(name) for name in PHASE_NAMES}


def _response(response: Response, verdict: Verdict) -> dict[str, object]:
    by_platform = verdict.provenance is Provenance.PLATFORM
    return {
        "status": response.status,
        "headers": [
            [name, value] for name, value in response.headers if name.lower() not in _SECRET_HEADERS
        ],
        "body_over_limit": response.body_over_limit,
        "envelope": _envelope(response) if by_platform else None,
        "excerpt": None if by_platform else _excerpt(verdict),
    }


def _envelope(response: Response) -> dict[str, str] | None:
    body = read_body(b"" if response.body_over_limit else response.body)
    if body.status is None:
        return None
    optional = {"message": body.message, "path": body.path}
    return {"status": body.status, **{name: value for name, value in optional.items() if value}}


def _excerpt(verdict: Verdict) -> str | None:
    """Return the excerpt, unless it would be taken for an envelope, which its whole was not."""
    excerpt = verdict.facts.get("excerpt")
    if excerpt is None or read_body(excerpt.encode()).status is not None:
        return None
    return excerpt


def _failure(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"kind": failure.kind.value, "detail": failure.detail}


def _expectations(expectations: Expectations | None) -> dict[str, object] | None:
    if expectations is None:
        return None
    return {
        "status": expectations.status,
        "jmespath": expectations.jmespath,
        "max_server_seconds": expectations.max_server_seconds,
    }


def _token(token: TokenView | None) -> dict[str, str] | None:
    if token is None:
        return None
    return {"fingerprint": token.fingerprint, "source": str(token.source)}


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
