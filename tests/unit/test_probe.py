import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import yarl
from aioresponses import aioresponses
from aioresponses.core import RequestCall
from pydantic import SecretStr

from prober.classifier.oauth_rules import classify_token_response
from prober.classifier.observation import MAX_INLINE_BODY_BYTES
from prober.classifier.rules import classify
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import (
    Check,
    CheckKind,
    Expectations,
    HttpExchange,
    Probe,
    ProbeResult,
    Tenant,
    TokenRef,
    Verdict,
)
from prober.outcomes import Culprit, Endpoint, FailureKind, Outcome, Reason
from prober.probe import ProbeDeps, route_to_check, run_probe
from prober.tokens.manager import TokenLease
from prober.tokens.oauth_client import TokenUnavailable
from prober.tokens.route_check import ROUTE_CHECK
from prober.version import current_version
from tests.builders import a_probe, a_tenant, a_transport
from tests.unit.classifier.factories import SERVER_TIMING, a_failure

TENANT, PROBE = a_tenant(), a_probe()
URL = TENANT.base_url + PROBE.sent_path
OK, ERROR = b'{"status":"ok"}', b'{"status":"error","message":"no"}'
NOW = 1_763_941_234.125


@dataclass
class Tokens:
    """Yields what is given, one after the other, to grants and renewals alike."""

    given: list[str | TokenUnavailable]
    observed: list[tuple[str, str, Reason, int | None, float]] = field(default_factory=list)
    checks: bool = False

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        token = self.given.pop(0)
        if isinstance(token, TokenUnavailable):
            return token
        return TokenLease(SecretStr(token), TokenRef(f"print-of-{token}", tenant.token))

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease, probe: str
    ) -> TokenLease | TokenUnavailable:
        assert rejected.ref.fingerprint.startswith("print-of-")
        assert probe == PROBE.name
        return await self.lease(tenant)

    async def confirm_rejection(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        check: Callable[[], Awaitable[str | None]],
    ) -> str | None:
        assert (tenant.name, probe) == (TENANT.name, PROBE.name)
        assert token.fingerprint.startswith("print-of-")
        return await check() if self.checks else None

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        verdict: Verdict,
        status: int | None,
        started_at: float,
    ) -> None:
        assert tenant.name == TENANT.name
        self.observed.append((probe, token.fingerprint, verdict.reason, status, started_at))


@dataclass
class Harness:
    """What `run_probe` depends on; the platform's responses are canned, in order."""

    tokens: Tokens
    server: aioresponses
    client: ProbeHttpClient

    async def run(
        self, *tokens: str | TokenUnavailable, tenant: Tenant = TENANT, probe: Probe = PROBE
    ) -> ProbeResult:
        self.tokens.given = list(tokens)
        return await run_probe(
            tenant, probe, ProbeDeps(self.tokens, self.client, classify, lambda: NOW)
        )

    def respond(self, status: int, body: bytes) -> None:
        self.server.get(URL, status=status, body=body, headers=dict([SERVER_TIMING]))

    @property
    def requests(self) -> list[RequestCall]:
        return self.server.requests.get(("GET", yarl.URL(URL)), [])

    @property
    def authorizations(self) -> list[str]:
        return [dict(request.kwargs["headers"])["Authorization"] for request in self.requests]


@pytest.fixture
async def harness(http_responses: aioresponses) -> AsyncIterator[Harness]:
    async with ProbeHttpClient(EventLoopLagMonitor()) as client:
        yield Harness(Tokens([]), http_responses, client)


async def test_a_good_response_is_a_success_and_is_observed(harness: Harness) -> None:
    harness.respond(200, OK)
    result = await harness.run("old")
    assert (result.tenant, result.probe, result.started_at) == (TENANT.name, PROBE.name, NOW)
    assert result.exchange.response is not None
    assert result.exchange.response.body == OK
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenRef("print-of-old", TENANT.token)
    assert harness.authorizations == ["Bearer old"]
    assert harness.tokens.observed == [(PROBE.name, "print-of-old", Reason.OK, 200, NOW)]


async def test_what_a_probe_sends(harness: Harness) -> None:
    probe = a_probe(
        method="POST",
        body=b'{"limit": 1}',
        sent_headers=(("X-Trace", "1"), ("accept", "text/plain")),
        timeout_seconds=7.0,
        connect_timeout_seconds=3.0,
    )
    harness.server.post(URL, body=OK)
    await harness.run("secret", probe=probe)
    [request] = harness.server.requests["POST", yarl.URL(URL)]
    assert request.kwargs["headers"] == [
        ("User-Agent", f"prober/{current_version().version}"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Content-Type", "application/json"),
        ("X-Trace", "1"),
        ("accept", "text/plain"),
        ("Authorization", "Bearer secret"),
    ]
    assert request.kwargs["data"] == b'{"limit": 1}'
    assert request.kwargs["allow_redirects"] is False
    assert request.kwargs["proxy"] is None
    timeout = request.kwargs["timeout"]
    assert (timeout.total, timeout.connect, timeout.sock_connect) == (7.0, 3.0, 3.0)


async def test_a_proxy_of_the_settings_is_used(harness: Harness) -> None:
    tenant = replace(TENANT, transport=a_transport(proxy_url="http://proxy.example:3128"))
    harness.respond(200, OK)
    await harness.run("old", tenant=tenant)
    assert harness.requests[0].kwargs["proxy"] == "http://proxy.example:3128"


async def test_a_token_in_a_response_is_redacted(harness: Harness) -> None:
    harness.respond(500, b'{"status":"error","message":"bad token s3cr3t-t0ken"}')
    result = await harness.run("s3cr3t-t0ken")
    assert "s3cr3t" not in repr((result.exchange, result.verdict))


async def test_a_failure_in_the_network_has_no_status_to_observe(harness: Harness) -> None:
    harness.server.get(URL, exception=ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    result = await harness.run("old")
    assert result.verdict.reason is Reason.CONNECTION_REFUSED
    assert harness.tokens.observed == [
        (PROBE.name, "print-of-old", Reason.CONNECTION_REFUSED, None, NOW)
    ]


async def test_without_a_token_nothing_is_sent_and_the_prober_is_at_fault(
    harness: Harness,
) -> None:
    result = await harness.run(TokenUnavailable("the environment variable ACME_TOKEN is not set"))
    verdict = result.verdict
    assert (verdict.outcome, verdict.reason, verdict.culprit) == (
        Outcome.PROBER_FAULT,
        Reason.TOKEN_MISSING,
        Culprit.PROBER,
    )
    assert result.exchange.url == URL
    assert result.exchange.failure is not None
    assert "ACME_TOKEN is not set" in result.exchange.failure.detail
    assert (result.token, harness.requests, harness.tokens.observed) == (None, [], [])


async def test_a_rejected_token_that_was_replaced_is_followed_by_the_new_one(
    harness: Harness,
) -> None:
    harness.respond(401, ERROR)
    harness.respond(200, OK)
    result = await harness.run("old", "new")
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenRef("print-of-new", TENANT.token)
    assert harness.authorizations == ["Bearer old", "Bearer new"]
    assert harness.tokens.observed == [(PROBE.name, "print-of-new", Reason.OK, 200, NOW)]


async def test_without_an_oauth_token_the_identity_servers_exchange_is_the_evidence(
    harness: Harness,
) -> None:
    failure = a_failure(FailureKind.CONNECTION_REFUSED)
    withheld = TokenUnavailable("refused", failure, classify_token_response(failure))
    result = await harness.run(withheld)
    assert result.endpoint is Endpoint.IDENTITY
    assert (result.exchange, result.verdict) == (withheld.exchange, withheld.verdict)
    assert result.verdict.outcome is Outcome.NETWORK_FAILURE
    assert (result.token, harness.requests, harness.tokens.observed) == (None, [], [])


async def test_a_rejected_token_whose_source_is_now_empty_is_rejected_all_the_same(
    harness: Harness,
) -> None:
    harness.respond(401, ERROR)
    result = await harness.run("old", TokenUnavailable("empty"))
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert harness.authorizations == ["Bearer old"]
    assert [each[1] for each in harness.tokens.observed] == ["print-of-old"]


async def test_a_rejected_token_that_is_still_there_is_not_tried_again(harness: Harness) -> None:
    harness.respond(401, ERROR)
    result = await harness.run("old", "old")
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert harness.authorizations == ["Bearer old"]


async def test_the_second_rejection_is_final(harness: Harness) -> None:
    harness.respond(401, ERROR)
    harness.respond(401, ERROR)
    result = await harness.run("old", "new", "newer")
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert result.token == TokenRef("print-of-new", TENANT.token)
    assert harness.authorizations == ["Bearer old", "Bearer new"]
    assert harness.tokens.given == ["newer"]


CHECK_URL = TENANT.base_url + "/auth/user"


async def test_a_401_of_one_route_is_no_rejection_of_the_token(harness: Harness) -> None:
    harness.tokens.checks = True
    harness.respond(401, ERROR)
    harness.server.get(CHECK_URL, body=b'{"status":"ok","user":{}}', headers=dict([SERVER_TIMING]))
    verdict = (await harness.run("old", "old")).verdict
    assert (verdict.outcome, verdict.reason, verdict.rule) == (
        Outcome.AUTH_FAILURE,
        Reason.ROUTE_UNAUTHORIZED,
        "8a",
    )
    assert "current-user accepts the same token" in verdict.evidence
    assert harness.tokens.observed == [
        (ROUTE_CHECK, "print-of-old", Reason.OK, 200, NOW),
        (PROBE.name, "print-of-old", Reason.ROUTE_UNAUTHORIZED, 401, NOW),
    ]


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500])
async def test_a_token_that_the_other_route_does_not_accept_either_is_rejected(
    harness: Harness, status: int
) -> None:
    harness.tokens.checks = True
    harness.respond(401, ERROR)
    harness.server.get(CHECK_URL, status=status, body=ERROR, headers=dict([SERVER_TIMING]))
    result = await harness.run("old", "old")
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert harness.tokens.observed[-1][:3] == (PROBE.name, "print-of-old", Reason.TOKEN_REJECTED)


async def test_a_token_is_accepted_whose_other_route_disappoints_an_expectation(
    harness: Harness,
) -> None:
    harness.tokens.checks = True
    harness.respond(401, ERROR)
    harness.server.get(CHECK_URL, body=b'{"status":"ok"}', headers=dict([SERVER_TIMING]))
    assert (await harness.run("old", "old")).verdict.reason is Reason.ROUTE_UNAUTHORIZED


CURRENT_USER = a_probe(name="current-user", sent_path="/auth/user")
NOT_FOUND = a_probe(name="not-found", sent_path="/nothing", expectations=Expectations(status=404))
POST = a_probe(name="fetch", sent_path="/fetch", method="POST", body=b"{}")
SOURCES = a_probe(name="sources", sent_path="/api/v1/sources")


@pytest.mark.parametrize(
    ("probes", "refused", "path"),
    [
        ((POST,), POST, "/auth/user"),
        ((POST, SOURCES), SOURCES, "/auth/user"),
        ((CURRENT_USER, POST, NOT_FOUND, SOURCES), CURRENT_USER, "/api/v1/sources"),
        ((CURRENT_USER, POST, NOT_FOUND), CURRENT_USER, "/api/v1/datasets"),
        ((CURRENT_USER,), replace(CURRENT_USER, name="me"), "/api/v1/datasets"),
    ],
)
def test_the_route_that_is_checked(probes: tuple[Probe, ...], refused: Probe, path: str) -> None:
    refused = replace(refused, timeout_seconds=3.0, connect_timeout_seconds=1.0)
    other = route_to_check(a_tenant(probes=probes), refused)
    assert (other.method, other.sent_path, other.body) == ("GET", path, None)
    assert (other.timeout_seconds, other.connect_timeout_seconds) == (3.0, 1.0)


@pytest.mark.parametrize("status", [302, 403, 429, 500])
async def test_no_other_response_is_followed_by_another_request(
    harness: Harness, status: int
) -> None:
    harness.respond(status, ERROR)
    await harness.run("old", "new")
    assert harness.authorizations == ["Bearer old"]


@pytest.mark.parametrize(("size", "in_thread"), [(100, False), (MAX_INLINE_BODY_BYTES + 1, True)])
async def test_a_large_body_is_classified_off_the_event_loop(
    harness: Harness, size: int, *, in_thread: bool
) -> None:
    threads: list[int] = []

    def noted(exchange: HttpExchange, expectations: Expectations) -> Verdict:
        threads.append(threading.get_ident())
        return classify(exchange, expectations)

    harness.respond(200, OK + b" " * size)
    harness.tokens.given = ["old"]
    deps = ProbeDeps(harness.tokens, harness.client, noted, lambda: NOW, asyncio.to_thread)
    result = await run_probe(TENANT, PROBE, deps)
    assert result.verdict.outcome is Outcome.SUCCESS
    assert (threads[0] != threading.get_ident()) is in_thread


async def test_a_list_with_checked_items_is_read_in_a_thread(harness: Harness) -> None:
    threads: list[int] = []

    def noted(exchange: HttpExchange, expectations: Expectations) -> Verdict:
        threads.append(threading.get_ident())
        return classify(exchange, expectations)

    probe = replace(PROBE, checks=(Check("n", CheckKind.NUMBER, "n", each="rows"),))
    deps = ProbeDeps(harness.tokens, harness.client, noted, lambda: NOW, asyncio.to_thread)
    for rows in (10, 1000):
        harness.respond(200, b'{"status":"ok","rows":[' + b",".join([b'{"n":1}'] * rows) + b"]}")
        harness.tokens.given = ["token"]
        await run_probe(TENANT, probe, deps)
    assert [each == threading.get_ident() for each in threads] == [True, False]


CHECKED = replace(PROBE, checks=(Check("rows", CheckKind.COUNT, "rows", min=1, for_runs=2),))


async def test_a_check_counts_runs_in_a_row_and_only_those_that_are_recorded(
    harness: Harness,
) -> None:
    deps = ProbeDeps(harness.tokens, harness.client, classify, lambda: NOW)
    reasons = []
    for body, is_recorded in (
        (b'{"status":"ok","rows":[]}', True),
        (b'{"status":"ok","rows":[]}', False),
        (ERROR, True),
        (b'{"status":"ok","rows":[]}', True),
        (b'{"status":"ok","rows":[1]}', True),
        (b'{"status":"ok","rows":[]}', False),
    ):
        harness.respond(200 if body != ERROR else 500, body)
        harness.tokens.given = ["token"]
        result = await run_probe(TENANT, CHECKED, deps, is_recorded=is_recorded)
        reasons.append(result.verdict.reason)
    failed = Reason.CHECK_FAILED
    assert reasons == [Reason.OK, failed, Reason.SERVER_ERROR, failed, Reason.OK, Reason.OK]


async def test_a_failed_check_proves_the_token_valid(harness: Harness) -> None:
    harness.respond(200, b'{"status":"ok","rows":[]}')
    probe = replace(PROBE, checks=(Check("rows", CheckKind.COUNT, "rows", min=1),))
    result = await harness.run("token", probe=probe)
    assert result.verdict.reason is Reason.CHECK_FAILED
    assert [each[2] for each in harness.tokens.observed] == [Reason.OK]


def test_the_route_that_checks_a_token_has_no_checks() -> None:
    assert route_to_check(TENANT, CHECKED).checks == ()


async def test_the_streaks_of_probes_that_are_gone_are_forgotten(harness: Harness) -> None:
    deps = ProbeDeps(harness.tokens, harness.client, classify, lambda: NOW)
    for keep in (True, False):
        harness.respond(200, b'{"status":"ok","rows":[]}')
        harness.tokens.given = ["token"]
        result = await run_probe(TENANT, CHECKED, deps)
        assert result.verdict.reason is Reason.OK
        if keep:
            deps.check_streaks.keep_only(set())
