"""The token manager over real files, canned HTTP responses and a settable clock."""

import asyncio
import base64
import errno
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yarl
from aioresponses import CallbackResult, aioresponses
from aioresponses.core import RequestCall
from structlog.testing import capture_logs

from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import (
    Latency,
    OAuthClient,
    Tenant,
    TokenEvent,
    TokenSource,
    TokenSourceKind,
    Verdict,
)
from prober.outcomes import (
    CLASSIFICATION,
    Reason,
    RejectionCause,
    Responder,
    TokenState,
)
from prober.sinks import EventSink
from prober.tokens.manager import TokenLease, TokenManager
from prober.tokens.oauth_client import TokenUnavailable
from prober.tokens.sources import STABLE_SECONDS
from prober.tokens.state_machine import Backoff, TokenRecord
from tests.builders import a_tenant

VARIABLE = "ACME_TOKEN"
PROBE = "datasets"
BEFORE_ANY_FILE, AFTER_ANY_FILE = 1e9, 4e9  # epoch seconds
SECRET = "3f9c0d1e-not-a-real-token"
BY_VARIABLE = a_tenant(token=TokenSource(TokenSourceKind.ENVIRONMENT, VARIABLE))
URL = "https://identity.example/connect/token"
CLIENT = OAuthClient("prober", TokenSource(TokenSourceKind.ENVIRONMENT, VARIABLE))
BY_OAUTH = a_tenant(token=TokenSource(TokenSourceKind.OAUTH, URL, client=CLIENT))
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


@dataclass
class Harness(EventSink):
    """What surrounds a manager: what it reads and requests, and the events that it emits."""

    server: aioresponses
    client: ProbeHttpClient
    environ: dict[str, str] = field(default_factory=lambda: {VARIABLE: SECRET})
    now: float = 1_800_000_000.0
    events: list[TokenEvent] = field(default_factory=list)

    def manager(self, tenant: Tenant = BY_VARIABLE) -> TokenManager:
        return TokenManager(
            [tenant],
            self.environ,
            self.client.exchange,
            now=lambda: self.now,
            version="0",
            sink=self,
        )

    def issue_tokens(self) -> None:
        """Let the identity server issue another token for each request from now on."""
        self.server.post(URL, callback=self.issued_token, repeat=True)

    def issued_token(self, _url: yarl.URL, **_: object) -> CallbackResult:
        token = f"issued-{len(self.token_requests)}"
        content = {"access_token": token, "expires_in": 100, "token_type": "Bearer"}
        return CallbackResult(payload=content)

    @property
    def token_requests(self) -> list[RequestCall]:
        return self.server.requests.get(("POST", yarl.URL(URL)), [])

    def on_token_event(self, event: TokenEvent) -> None:
        self.events.append(event)

    def event_kinds(self) -> list[str]:
        """Return the events since the last call."""
        kinds = [event.kind.value.removeprefix("token_") for event in self.events]
        self.events.clear()
        return kinds


@pytest.fixture
async def harness(http_responses: aioresponses) -> AsyncIterator[Harness]:
    async with ProbeHttpClient(EventLoopLagMonitor()) as client:
        yield Harness(http_responses, client)


def a_verdict(reason: Reason) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, Responder.PLATFORM, "", "", Latency(0.5))


def observe(
    manager: TokenManager, grant: TokenLease | TokenUnavailable, reason: Reason, status: int
) -> None:
    assert isinstance(grant, TokenLease)
    manager.observe(BY_VARIABLE, "datasets", grant.ref, a_verdict(reason), status, 4e9)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- nothing tells of these conditions
            await asyncio.sleep(0)


async def granted(manager: TokenManager, tenant: Tenant = BY_VARIABLE) -> TokenLease:
    grant = await manager.lease(tenant)
    assert isinstance(grant, TokenLease), grant
    return grant


def secret_of(grant: TokenLease) -> str:
    return grant.token.get_secret_value()


async def test_a_token_is_known_by_a_stable_fingerprint_that_is_not_it(harness: Harness) -> None:
    manager = harness.manager()
    await manager.load()
    one, other = await granted(manager), await granted(manager)

    assert secret_of(one) == SECRET
    assert one.ref == other.ref
    assert re.fullmatch(r"[0-9a-f]{8}", one.ref.fingerprint)
    assert SECRET not in repr(one)


async def test_one_key_gives_one_fingerprint_and_another_key_another(harness: Harness) -> None:
    managers = [harness.manager() for _ in range(3)]
    for manager in managers[:2]:
        manager.restore(Memory(b"k" * 32))
    for manager in managers:
        await manager.load()

    one, two, other = [(await granted(manager)).ref.fingerprint for manager in managers]
    assert one == two != other


@dataclass
class Memory:
    key: bytes
    saved: dict[str, TokenRecord] = field(default_factory=dict)
    broken: bool = False

    def records(self) -> Mapping[str, TokenRecord]:
        return self.saved

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.saved.update(records)


async def test_what_could_not_be_saved_is_saved_the_next_time(harness: Harness) -> None:
    manager, memory = harness.manager(), Memory(b"k" * 32, broken=True)
    await manager.load()
    with pytest.raises(OSError, match="No space left"):
        await manager.save(memory)
    memory.broken = False
    await manager.save(memory)

    assert memory.saved[BY_VARIABLE.name].state is TokenState.UNVERIFIED


async def test_a_tenant_that_is_removed_while_its_save_fails_does_not_stop_later_saves(
    harness: Harness,
) -> None:
    other = a_tenant(name="other", token=BY_VARIABLE.token)
    manager, memory = harness.manager(), Memory(b"k" * 32, broken=True)
    await manager.load()
    saving = asyncio.create_task(manager.save(memory))
    await asyncio.sleep(0)  # the records have been taken, and the thread has them
    manager.apply_config([other], Backoff(), {})
    with pytest.raises(OSError, match="No space left"):
        await saving
    await manager.load()
    memory.broken = False
    await manager.save(memory)

    assert memory.saved.keys() == {"other"}


async def test_a_restored_life_goes_on_and_is_no_news(harness: Harness) -> None:
    memory = Memory(b"k" * 32)
    first = harness.manager()
    first.restore(memory)
    await first.load()
    observe(first, await granted(first), Reason.OK, 200)
    observe(first, await granted(first), Reason.TOKEN_REJECTED, 401)
    await first.save(memory)
    harness.event_kinds()

    second = harness.manager()
    second.restore(memory)
    await second.load()

    assert second.statuses[BY_VARIABLE.name].cause is RejectionCause.SUPERSEDED
    assert not second.may_probe(BY_VARIABLE, "datasets")
    assert harness.event_kinds() == []


async def test_a_new_token_is_a_rotation_and_each_step_is_told_once(harness: Harness) -> None:
    manager = harness.manager()
    await manager.load()
    old = await granted(manager)
    for _ in range(2):
        observe(manager, old, Reason.OK, 200)
    for _ in range(2):
        observe(manager, old, Reason.TOKEN_REJECTED, 401)
    assert harness.event_kinds() == ["loaded", "accepted", "rejected"]

    harness.environ[VARIABLE] = "another-token"
    await manager.load()
    new = await granted(manager)
    observe(manager, old, Reason.TOKEN_REJECTED, 401)  # was on its way
    observe(manager, new, Reason.OK, 200)

    assert harness.event_kinds() == ["rotated", "accepted"]
    assert manager.statuses[BY_VARIABLE.name].rotations == 1


async def test_a_401_reads_the_source_once_for_all_who_ask_at_the_same_time(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = harness.manager()
    await manager.load()
    old = await granted(manager)
    harness.environ[VARIABLE] = "another-token"
    looks: list[Iterable[str]] = []
    look = manager._source_watcher.poll

    def noted(names: Iterable[str]) -> Awaitable[None]:
        looks.append(names)
        return look(names)

    monkeypatch.setattr(manager._source_watcher, "poll", noted)

    renewed = await asyncio.gather(
        *(manager.refresh_rejected(BY_VARIABLE, old, PROBE) for _ in range(5))
    )

    assert [secret_of(each) for each in renewed if isinstance(each, TokenLease)] == [
        "another-token"
    ] * 5
    assert looks == [[BY_VARIABLE.name]]


async def test_of_a_token_known_to_be_rejected_the_source_is_not_read_again(
    harness: Harness,
) -> None:
    manager = harness.manager()
    await manager.load()
    old = await granted(manager)
    observe(manager, old, Reason.TOKEN_REJECTED, 401)
    harness.environ[VARIABLE] = "another-token"

    assert await manager.refresh_rejected(BY_VARIABLE, old, PROBE) == old  # the watch will find it


async def test_a_missing_token_says_why(harness: Harness) -> None:
    harness.environ.clear()
    manager = harness.manager()
    await manager.load()

    assert await manager.lease(BY_VARIABLE) == TokenUnavailable(
        f"the environment variable {VARIABLE} is not set"
    )
    assert manager.statuses[BY_VARIABLE.name].state is TokenState.MISSING
    assert harness.event_kinds() == ["missing"]


async def test_nobody_ever_gets_half_a_token(harness: Harness, tmp_path: Path) -> None:
    whole = ["first-" + "a" * 200, "second-" + "b" * 300]
    file = tmp_path / "token"
    file.write_text(whole[0])
    tenant = a_tenant(token=TokenSource(TokenSourceKind.FILE, str(file)))
    harness.now = AFTER_ANY_FILE
    manager = harness.manager(tenant)
    await manager.load()
    harness.now = BEFORE_ANY_FILE  # no file looks as if it had been left alone for long
    seen: set[str] = set()

    async def let_time_pass(seconds: float) -> None:
        harness.now += seconds
        await manager._source_watcher.poll()
        seen.add(secret_of(await granted(manager, tenant)))

    for content in (whole[1], whole[0], whole[1]):
        with file.open("w") as out:
            for start in range(0, len(content), 100):
                out.write(content[start : start + 100])
                out.flush()
                await let_time_pass(STABLE_SECONDS / 2)
        await let_time_pass(STABLE_SECONDS / 2)
        await let_time_pass(STABLE_SECONDS)
        assert secret_of(await granted(manager, tenant)) == content
    assert seen == set(whole)


def a_jwt(expiry: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expiry}).encode()).decode().rstrip("=")
    return f"header.{claims}.signature"


async def test_the_expiry_in_a_jwt_is_told_in_stages(harness: Harness) -> None:
    day = 86_400.0
    harness.environ[VARIABLE] = a_jwt(harness.now + 20 * day)
    manager = harness.manager()
    await manager.load()
    assert manager.statuses[BY_VARIABLE.name].expires_at == harness.now + 20 * day
    reported = []
    for _ in range(22):
        manager._registry.notify_expiries(harness.now)
        reported.append(harness.event_kinds().count("expiring"))
        harness.now += day

    assert [number for number, times in enumerate(reported) if times] == [7, 18, 21]


async def test_an_oauth_token_is_asked_for_once_by_all_and_kept(harness: Harness) -> None:
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    grants = await asyncio.gather(*(granted(manager, BY_OAUTH) for _ in range(5)))

    assert {secret_of(grant) for grant in grants} == {"issued-1"}
    harness.now += 79
    assert secret_of(await granted(manager, BY_OAUTH)) == "issued-1"
    [request] = harness.token_requests
    assert parse_qs(request.kwargs["data"].decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["prober"],
        "client_secret": [SECRET],
    }
    assert ("Content-Type", "application/x-www-form-urlencoded") in request.kwargs["headers"]
    assert request.kwargs["allow_redirects"] is False


async def test_an_oauth_token_is_renewed_ahead_while_the_old_one_is_still_used(
    harness: Harness,
) -> None:
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    await granted(manager, BY_OAUTH)
    harness.now += 81
    assert secret_of(await granted(manager, BY_OAUTH)) == "issued-1"
    await until(lambda: not manager._oauth_clients[BY_OAUTH.name].is_fetching)
    assert secret_of(await granted(manager, BY_OAUTH)) == "issued-2"
    assert manager.statuses[BY_OAUTH.name].rotations == 0


async def test_an_oauth_token_that_is_too_old_to_arrive_alive_is_not_used(harness: Harness) -> None:
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    await granted(manager, BY_OAUTH)
    harness.now += 96
    assert secret_of(await granted(manager, BY_OAUTH)) == "issued-2"


async def test_an_identity_server_that_cannot_be_reached_is_evidence_and_not_hammered(
    harness: Harness,
) -> None:
    for _ in range(2):
        harness.server.post(URL, exception=REFUSED)
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    first, second = await manager.lease(BY_OAUTH), await manager.lease(BY_OAUTH)

    assert isinstance(first, TokenUnavailable)
    assert first.exchange is not None
    assert (first.exchange.method, first.exchange.url) == ("POST", URL)
    assert first.verdict is not None
    assert first.verdict.reason is Reason.CONNECTION_REFUSED
    assert (second, len(harness.token_requests)) == (first, 1)
    assert manager.statuses[BY_OAUTH.name].state is TokenState.UNVERIFIED
    harness.now += 1.1
    await manager.lease(BY_OAUTH)
    harness.now += 1.1
    await manager.lease(BY_OAUTH)
    assert len(harness.token_requests) == 2
    harness.now += 1.1
    assert isinstance(await manager.lease(BY_OAUTH), TokenLease)


@pytest.mark.parametrize(("status", "asked", "waited"), [(429, "60", 60), (503, "9999", 300)])
async def test_an_identity_server_that_asks_to_wait_is_not_asked_before(
    harness: Harness, status: int, asked: str, waited: float
) -> None:
    headers = {"Retry-After": asked}
    harness.server.post(URL, status=status, payload={"error": "slow_down"}, headers=headers)
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    for _ in range(10):
        assert isinstance(await manager.lease(BY_OAUTH), TokenUnavailable)
        harness.now += (waited - 1) / 10
    assert len(harness.token_requests) == 1
    harness.now += 1.1
    assert isinstance(await manager.lease(BY_OAUTH), TokenLease)


async def test_a_clock_that_was_set_back_ends_the_wait_for_an_identity_server(
    harness: Harness,
) -> None:
    harness.server.post(URL, status=429, headers={"Retry-After": "60"})
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    assert isinstance(await manager.lease(BY_OAUTH), TokenUnavailable)
    harness.now -= 3600.0
    assert isinstance(await manager.lease(BY_OAUTH), TokenLease)


async def test_a_client_that_is_refused_is_a_rejection_and_a_new_secret_ends_it(
    harness: Harness,
) -> None:
    harness.server.post(URL, status=400, payload={"error": "invalid_client"})
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    refused = await manager.lease(BY_OAUTH)

    assert isinstance(refused, TokenUnavailable)
    assert refused.verdict is not None
    assert refused.verdict.reason is Reason.TOKEN_REJECTED
    assert manager.statuses[BY_OAUTH.name].cause is RejectionCause.NEVER_ACCEPTED
    assert not manager.may_probe(BY_OAUTH, "datasets")

    harness.environ[VARIABLE] = "another-secret"
    await manager.load()
    assert manager.may_probe(BY_OAUTH, "datasets")
    assert secret_of(await granted(manager, BY_OAUTH)) == "issued-2"
    assert harness.event_kinds() == ["rejected", "rotated", "loaded"]


async def test_an_oauth_token_that_the_platform_rejects_is_replaced_at_once(
    harness: Harness,
) -> None:
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    await granted(manager, BY_OAUTH)
    held = await granted(manager, BY_OAUTH)
    renewed = await manager.refresh_rejected(BY_OAUTH, held, PROBE)

    assert isinstance(renewed, TokenLease)
    assert secret_of(renewed) == "issued-2"
    assert await manager.refresh_rejected(BY_OAUTH, renewed, PROBE) == await manager.lease(BY_OAUTH)


async def test_a_reload_leaves_the_token_of_a_tenant_that_stays_alone(harness: Harness) -> None:
    manager = harness.manager()
    await manager.load()
    grant = await granted(manager)
    observe(manager, grant, Reason.OK, 200)
    before = manager.statuses[BY_VARIABLE.name]
    harness.event_kinds()
    manager.apply_config([replace(BY_VARIABLE, environment="test")], Backoff(), {})
    assert manager.statuses[BY_VARIABLE.name] == before
    assert await granted(manager) == grant
    assert harness.event_kinds() == []


async def test_a_tenant_that_came_with_a_reload_has_a_token_at_once_and_a_memory(
    harness: Harness,
) -> None:
    manager = harness.manager()
    await manager.load()
    other = replace(BY_VARIABLE, name="other")
    harness.environ["OTHER_TOKEN"] = "other-token"
    other = replace(other, token=TokenSource(TokenSourceKind.ENVIRONMENT, "OTHER_TOKEN"))
    manager.apply_config([BY_VARIABLE, other], Backoff(), {"other": TokenRecord(rotations=7)})
    grant = await manager.lease(other)
    assert isinstance(grant, TokenLease)
    assert secret_of(grant) == "other-token"
    assert manager.statuses["other"].rotations == 7
    assert manager.statuses["other"].state is TokenState.UNVERIFIED


async def test_another_source_after_a_reload_is_a_rotation(harness: Harness) -> None:
    manager = harness.manager()
    await manager.load()
    harness.environ["NEW_TOKEN"] = "new-token"
    moved = replace(BY_VARIABLE, token=TokenSource(TokenSourceKind.ENVIRONMENT, "NEW_TOKEN"))
    harness.event_kinds()
    manager.apply_config([moved], Backoff(), {})
    grant = await manager.lease(moved)
    assert isinstance(grant, TokenLease)
    assert secret_of(grant) == "new-token"
    assert harness.event_kinds() == ["rotated"]


async def test_what_is_still_under_way_for_a_tenant_that_is_gone_does_no_harm(
    harness: Harness,
) -> None:
    manager = harness.manager()
    await manager.load()
    grant = await granted(manager)
    manager.apply_config([], Backoff(), {})
    observe(manager, grant, Reason.TOKEN_REJECTED, 401)
    assert isinstance(await manager.refresh_rejected(BY_VARIABLE, grant, PROBE), TokenUnavailable)
    assert dict(manager.statuses) == {}
    await manager.close()


async def test_a_response_to_a_client_that_a_reload_replaced_is_not_taken(harness: Harness) -> None:
    requested, released = asyncio.Event(), asyncio.Event()

    async def respond_late(url: yarl.URL, **_: object) -> CallbackResult:
        requested.set()
        await released.wait()
        return harness.issued_token(url)

    harness.server.post(URL, callback=respond_late)
    harness.issue_tokens()
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    lease = asyncio.create_task(manager.lease(BY_OAUTH))
    await requested.wait()
    other = OAuthClient("another", CLIENT.secret)
    moved = replace(BY_OAUTH, token=replace(BY_OAUTH.token, client=other))
    manager.apply_config([moved], Backoff(), {})
    before = manager.statuses[moved.name]
    released.set()
    await lease

    assert manager.statuses[moved.name] == before
    assert secret_of(await granted(manager, moved)) == "issued-2"
    await manager.close()


@pytest.mark.parametrize("lifetime", [5, 6, 9, 10, 11, 60])
async def test_a_short_lived_oauth_token_is_not_used_after_its_expiry(
    harness: Harness, lifetime: int
) -> None:
    def issue(_url: yarl.URL, **_: object) -> CallbackResult:
        token = f"issued-{len(harness.token_requests)}"
        content = {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"}
        return CallbackResult(payload=content)

    harness.server.post(URL, callback=issue, repeat=True)
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    first_use: dict[str, float] = {}
    for _ in range(240):
        token = secret_of(await granted(manager, BY_OAUTH))
        assert harness.now - first_use.setdefault(token, harness.now) < lifetime
        await until(lambda: not manager._oauth_clients[BY_OAUTH.name].is_fetching)
        harness.now += 0.25
    assert len(harness.token_requests) <= 60 / (lifetime * 0.8) + 2


@pytest.mark.parametrize(
    ("issued", "number"),
    [
        ({"expires_in": 0}, 1),
        ({"expires_in": 1}, 4),
        ({"expires_in": -5}, 1),
        ({"expires_in": "soon"}, 1),
        ({}, 1),
        ({"access_token": "a-jwt-of-the-past"}, 1),
    ],
)
async def test_tokens_are_not_requested_over_and_over(
    harness: Harness, issued: dict[str, object], number: int
) -> None:
    token = a_jwt(harness.now - 3600) if "access_token" in issued else "a-token"
    content = {"token_type": "Bearer", **issued, "access_token": token}
    harness.server.post(URL, payload=content, repeat=True)
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    with capture_logs() as logged:
        for _ in range(35):
            assert secret_of(await granted(manager, BY_OAUTH)) == token
            harness.now += 1.0
    assert len(harness.token_requests) <= number
    assert len(logged) == ("access_token" in issued)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "no access_token"),
        ({"access_token": 1}, "an access_token that is not a string"),
        ({"access_token": ""}, "an empty access_token"),
        ({"access_token": "a b"}, "characters that are invalid in an HTTP header"),
        ({"access_token": "x" * 20_000}, "of more than 16384 characters"),
        ({"access_token": "a-token", "token_type": "mac"}, "the token_type 'mac'"),
        ({"access_token": "a-token", "token_type": 3}, "a token_type that is not a string"),
    ],
)
async def test_it_is_said_why_a_token_cannot_be_used(
    harness: Harness, document: dict[str, object], why: str
) -> None:
    harness.server.post(URL, payload=document)
    manager = harness.manager(BY_OAUTH)
    await manager.load()
    found = await manager.lease(BY_OAUTH)
    assert isinstance(found, TokenUnavailable)
    assert why in found.problem
    assert "a-token" not in found.problem
