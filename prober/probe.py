"""One run of a probe, from token to result; daemon, command line, demo and tests all use it.

Get the token, send the request, classify the response. If the token was rejected, read its source
again, and send the request once more if the source holds another token by now. If it is still
rejected, try another route with the same token: a 401 of one route alone says nothing about the
token.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from pydantic import SecretStr

from prober.canary import InThread, Pacing, run_canary
from prober.classifier.checks import RunCounts, check_response, count_runs, with_failures
from prober.classifier.observation import MAX_INLINE_BODY_BYTES
from prober.classifier.rules import route_unauthorized
from prober.config.builtin_probes import CATALOGUE
from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Probe,
    ProbeResult,
    Request,
    Tenant,
    TokenRef,
    TransportOptions,
    Verdict,
)
from prober.outcomes import Endpoint, FailureKind, Reason
from prober.permissions import Permission, missing_message
from prober.tokens.manager import TokenLease
from prober.tokens.oauth_client import TokenUnavailable
from prober.tokens.route_check import ROUTE_CHECK
from prober.tokens.state_machine import TokenResponse, accepts
from prober.version import current_version


def build_request(
    tenant: Tenant,
    probe: Probe,
    token: SecretStr,
    *,
    version: str,
    other_secrets: tuple[SecretStr, ...] = (),
) -> Request:
    """Return the request of `probe` to `tenant`, authorized by `token`.

    `other_secrets` are not sent, but a server may know them: they and the secrets of all probes of
    the tenant are removed from the response, too.

    The explicit User-Agent is necessary: the platform's CDN rejects those of HTTP libraries.
    """
    return Request(
        method=probe.method,
        url=tenant.base_url + probe.sent_path,
        headers=_headers(version, probe.sent_headers, has_body=probe.body is not None),
        body=probe.body,
        authorization=SecretStr(f"Bearer {token.get_secret_value()}"),
        secrets=(token, *other_secrets, *_all_secrets(tenant, probe)),
    )


def _all_secrets(tenant: Tenant, probe: Probe) -> Iterator[SecretStr]:
    yield from probe.secrets
    for other in tenant.probes:
        if other.secrets and other.name != probe.name:
            yield from other.secrets


@lru_cache(maxsize=1024)
def _headers(
    version: str, own: tuple[tuple[str, str], ...], *, has_body: bool
) -> tuple[tuple[str, str], ...]:
    headers = [
        ("User-Agent", f"prober/{version}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    if has_body:
        headers.append(("Content-Type", "application/json"))
    names = {name.lower() for name, _ in own}
    kept = [pair for pair in headers if pair[0].lower() not in names or pair[0] == "User-Agent"]
    return (*kept, *own)


class TokenProvider(Protocol):
    """Where a run gets its token, and reports how the platform responded to it."""

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        """Return the token to use now, or why there is none."""
        ...

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease, probe: str
    ) -> TokenLease | TokenUnavailable:
        """Return the token after a new read of its source; the same one if nothing changed."""
        ...

    async def confirm_rejection(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        check: Callable[[], Awaitable[str | None]],
    ) -> str | None:
        """Return what accepts a token that was rejected for `probe`, None if it is rejected.

        `check` requests another route, and returns its name if it accepts the token.
        """
        ...

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        verdict: Verdict,
        status: int | None,
        started_at: float,
    ) -> None:
        """Report the verdict on a request that was sent with `token`."""
        ...


class HttpClient(Protocol):
    """Sends requests. Raises nothing but cancellation."""

    async def exchange(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        """Send the request once and return the response or the failure."""
        ...


class CheckStreaks:
    """How many runs in a row each check's limits were broken, by tenant and probe."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], RunCounts] = {}

    def judge(self, result: ProbeResult, *, is_recorded: bool = True) -> ProbeResult:
        """Return a result with the verdict on its checks, and count its run.

        A run that is not recorded does not count. A response that was not checked neither ends nor
        continues a streak: it says nothing about the values.
        """
        checks = result.verdict.checks
        if checks is None:
            return result
        key = result.tenant, result.probe
        if not any(each.failed for each in checks):  # nearly always
            if is_recorded:
                self._counts.pop(key, None)
            return result
        judged, counts = count_runs(checks, self._counts.get(key, {}))
        if is_recorded:
            self._counts[key] = counts
        return replace(result, verdict=with_failures(result.verdict, judged))

    def keep_only(self, probes: Collection[tuple[str, str]]) -> None:
        """Forget the streaks of all other probes."""
        self._counts = {key: counts for key, counts in self._counts.items() if key in probes}


class PermissionSource(Protocol):
    """Knows which permissions the user of a tenant's token has."""

    async def missing_for(
        self, tenant: Tenant, probe: Probe, read: Callable[[], Awaitable[HttpExchange | None]]
    ) -> tuple[Permission, ...] | None:
        """Return what a refused probe lacks; None if that is not known.

        `read` requests `/auth/user`, and returns None if that fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProbeDeps:
    """The dependencies of a run. `now` returns epoch seconds.

    `in_thread` calls a function without blocking the event loop; if None, the loop calls it.
    """

    tokens: TokenProvider
    client: HttpClient
    classify: Callable[[HttpExchange, Expectations], Verdict]
    now: Callable[[], float]
    in_thread: InThread | None = None
    check_streaks: CheckStreaks = field(default_factory=CheckStreaks)
    permissions: PermissionSource | None = None
    pacing: Pacing | None = None
    """How a canary waits; without it none can run."""


async def run_probe(
    tenant: Tenant, probe: Probe, deps: ProbeDeps, *, is_recorded: bool = True
) -> ProbeResult:
    """Run a probe once and return the result; raises nothing but cancellation.

    A run that is not recorded does not count for the checks that have to fail several times.
    """
    if probe.canary is not None and deps.pacing is not None:
        result = await run_canary(
            probe,
            probe.canary,
            lambda step: _run_once(tenant, step, deps),
            deps.pacing,
            deps.now(),
        )
    else:
        result = await _run_once(tenant, probe, deps)
    return deps.check_streaks.judge(result, is_recorded=is_recorded)


async def _run_once(tenant: Tenant, probe: Probe, deps: ProbeDeps) -> ProbeResult:
    """Send a request, and again if its token was rejected and the source has another by now."""
    lease = await deps.tokens.lease(tenant)
    if isinstance(lease, TokenUnavailable):
        return _without_token(tenant, probe, lease, deps)
    result = await _send(tenant, probe, lease, deps)
    if result.verdict.reason is Reason.TOKEN_REJECTED:
        refreshed = await deps.tokens.refresh_rejected(tenant, lease, probe.name)
        if isinstance(refreshed, TokenLease):
            # The same token again would only be rejected again.
            if refreshed.ref != lease.ref:
                lease, result = refreshed, await _send(tenant, probe, refreshed, deps)
            result = await _confirmed(tenant, probe, lease, result, deps)
    if result.verdict.reason is Reason.PERMISSION_DENIED:
        result = await _with_missing_permissions(tenant, probe, lease, result, deps)
    _observe(tenant, probe, lease, result, deps.tokens)
    return result


async def _with_missing_permissions(
    tenant: Tenant, probe: Probe, lease: TokenLease, result: ProbeResult, deps: ProbeDeps
) -> ProbeResult:
    """Return a result with the missing permissions in its evidence, if they are known."""
    if deps.permissions is None:
        return result

    async def read() -> HttpExchange | None:
        checked = await _send(tenant, _builtin("current-user", probe), lease, deps)
        return checked.exchange if checked.verdict.succeeded else None

    missing = await deps.permissions.missing_for(tenant, probe, read)
    if not missing:
        return result
    text = missing_message(missing, probe.project)
    assumed = any(need.is_assumed for need in probe.needs or () if need.permission in missing)
    note = " (that this route needs it is assumed)" if assumed else ""
    names = ", ".join(each.name for each in missing)
    verdict = replace(
        result.verdict,
        evidence=f"{result.verdict.evidence}; {text}{note}",
        facts={**result.verdict.facts, "missing_permission": names},
    )
    return replace(result, verdict=verdict)


async def _confirmed(
    tenant: Tenant, probe: Probe, lease: TokenLease, result: ProbeResult, deps: ProbeDeps
) -> ProbeResult:
    """Return a result whose 401, if it is one, has been confirmed by another route."""
    if result.verdict.reason is not Reason.TOKEN_REJECTED:
        return result
    other = route_to_check(tenant, probe)

    async def check() -> str | None:
        checked = await _send(tenant, other, lease, deps)
        _observe(tenant, replace(other, name=ROUTE_CHECK), lease, checked, deps.tokens)
        return other.name if _is_accepted(checked, lease.ref) else None

    accepted_route = await deps.tokens.confirm_rejection(tenant, probe.name, lease.ref, check)
    if accepted_route is None:
        return result
    return replace(result, verdict=route_unauthorized(result.verdict, accepted_route))


def _is_accepted(result: ProbeResult, token: TokenRef) -> bool:
    response = result.exchange.response
    status = None if response is None else response.status
    return accepts(
        TokenResponse(token.fingerprint, result.probe, result.verdict, status, result.started_at)
    )


def route_to_check(tenant: Tenant, refused: Probe) -> Probe:
    """Return the cheapest probe on another route than the one that answered 401.

    That is `current-user`, whether the tenant uses it or not: every token may read it. If it is the
    one that was refused, another GET of the tenant without a body whose success proves that the
    token is accepted (a 4xx that is expected proves nothing), else the built-in `datasets`.
    It has no more time than the probe that was refused.
    """
    current_user = _builtin("current-user", refused)
    if refused.sent_path.rstrip("/") != current_user.sent_path:
        other = current_user
    else:
        others = (each for each in tenant.probes if _can_check(each, refused))
        other = next(others, _builtin("datasets", refused))
    return replace(
        other,
        timeout_seconds=refused.timeout_seconds,
        connect_timeout_seconds=refused.connect_timeout_seconds,
    )


def _can_check(probe: Probe, refused: Probe) -> bool:
    expected = probe.expectations.status
    return (
        probe.method == "GET"
        and probe.body is None
        and probe.sent_path != refused.sent_path
        and (expected is None or expected < HTTPStatus.BAD_REQUEST)
    )


def _builtin(name: str, refused: Probe) -> Probe:
    """Return a built-in probe without parameters, with the limits of the one that was refused."""
    builtin = CATALOGUE[name]
    return replace(
        refused,
        name=name,
        sent_path=builtin.path,
        method=builtin.method,
        body=None,
        sent_headers=(),
        secrets=(),
        expectations=builtin.expectations,
        checks=(),
    )


MAX_INLINE_ITEMS_BODY_BYTES = 4096
"""The same of a probe that checks each item of a list."""


async def _classified(
    exchange: HttpExchange, probe: Probe, started_at: float, deps: ProbeDeps
) -> Verdict:
    """Classify an exchange; a large body in a thread, since reading it takes long."""
    now = started_at + exchange.total_seconds

    def classified() -> Verdict:
        verdict = deps.classify(exchange, probe.expectations)
        return check_response(probe.checks, exchange, verdict, now)

    response = exchange.response
    # A check of each item costs far more than reading the item.
    has_items = any(check.each is not None for check in probe.checks)
    limit_bytes = MAX_INLINE_ITEMS_BODY_BYTES if has_items else MAX_INLINE_BODY_BYTES
    if deps.in_thread is None or response is None or len(response.body) <= limit_bytes:
        return classified()
    return await deps.in_thread(classified)


async def _send(tenant: Tenant, probe: Probe, lease: TokenLease, deps: ProbeDeps) -> ProbeResult:
    started_at = deps.now()
    request = build_request(
        tenant,
        probe,
        lease.token,
        version=current_version().version,
        other_secrets=lease.other_secrets,
    )
    exchange = await deps.client.exchange(request, probe, tenant.transport)
    verdict = await _classified(exchange, probe, started_at, deps)
    return ProbeResult(tenant.name, probe.name, started_at, exchange, verdict, lease.ref)


def _observe(
    tenant: Tenant, probe: Probe, lease: TokenLease, result: ProbeResult, tokens: TokenProvider
) -> None:
    response = result.exchange.response
    status = None if response is None else response.status
    tokens.observe(tenant, probe.name, lease.ref, result.verdict, status, result.started_at)


def _without_token(
    tenant: Tenant, probe: Probe, unavailable: TokenUnavailable, deps: ProbeDeps
) -> ProbeResult:
    now = deps.now()
    if unavailable.exchange is not None and unavailable.verdict is not None:
        return ProbeResult(
            tenant.name,
            probe.name,
            now,
            unavailable.exchange,
            unavailable.verdict,
            endpoint=Endpoint.IDENTITY,
        )
    exchange = HttpExchange(
        method=probe.method,
        url=tenant.base_url + probe.shown_path,
        total_seconds=0.0,
        failure=Failure(FailureKind.TOKEN_MISSING, unavailable.problem),
    )
    verdict = deps.classify(exchange, probe.expectations)
    return ProbeResult(tenant.name, probe.name, now, exchange, verdict)
