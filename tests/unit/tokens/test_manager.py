"""The keeper over real files and a settable clock; the identity server is a fake that counts."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from prober.models import (
    Failure,
    HttpExchange,
    Latency,
    OAuthClient,
    Probe,
    Request,
    Tenant,
    TokenEvent,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
    Verdict,
)
from prober.outcomes import (
    CLASSIFICATION,
    FailureKind,
    Reason,
    RejectionCause,
    Responder,
    TokenState,
)
from prober.sinks import EventSink
from prober.tokens.manager import TokenLease, TokenManager
from prober.tokens.oauth_client import TokenUnavailable
from prober.tokens.state_machine import Backoff, TokenRecord
from tests.builders import a_tenant
from tests.unit.classifier.factories import an_answer

VARIABLE = "ACME_TOKEN"
SECRET = "3f9c0d1e-not-a-real-token"
BY_VARIABLE = a_tenant(token=TokenSource(TokenSourceKind.ENVIRONMENT, VARIABLE))
URL = "https://identity.example/connect/token"
CLIENT = OAuthClient("prober", TokenSource(TokenSourceKind.ENVIRONMENT, VARIABLE))
BY_OAUTH = a_tenant(token=TokenSource(TokenSourceKind.OAUTH, URL, client=CLIENT))
UNREACHABLE = HttpExchange("POST", URL, 0.1, failure=Failure(FailureKind.CONNECTION_REFUSED, "no"))
INVALID_CLIENT = an_answer(400, b'{"error":"invalid_client"}')


@dataclass
class House(EventSink):
    """A keeper's surroundings: what it reads, asks, and told."""

    environ: dict[str, str] = field(default_factory=lambda: {VARIABLE: SECRET})
    now: float = 1_800_000_000.0
    answers: list[HttpExchange] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    events: list[TokenEvent] = field(default_factory=list)

    def keeper(self, tenant: Tenant = BY_VARIABLE) -> TokenManager:
        return TokenManager(
            [tenant],
            self.environ,
            self.ask,
            now=lambda: self.now,
            version="0",
            sink=self,
        )

    async def ask(self, request: Request, probe: Probe, options: TransportOptions) -> HttpExchange:
        assert (probe.method, options) == ("POST", BY_OAUTH.transport)
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.answers:
            return self.answers.pop(0)
        number = len(self.requests)
        content = {"access_token": f"issued-{number}", "expires_in": 100, "token_type": "Bearer"}
        return an_answer(200, json.dumps(content).encode())

    def on_token_event(self, event: TokenEvent) -> None:
        self.events.append(event)

    def told(self) -> list[str]:
        told = [event.kind.value.removeprefix("token_") for event in self.events]
        self.events.clear()
        return told


@pytest.fixture
def house() -> House:
    return House()


def a_verdict(reason: Reason) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, Responder.PLATFORM, "", "", Latency(0.5))


def observe(
    keeper: TokenManager, grant: TokenLease | TokenUnavailable, reason: Reason, status: int
) -> None:
    assert isinstance(grant, TokenLease)
    keeper.observe(BY_VARIABLE, "datasets", grant.ref, a_verdict(reason), status, 4e9)


async def granted(keeper: TokenManager, tenant: Tenant = BY_VARIABLE) -> TokenLease:
    grant = await keeper.lease(tenant)
    assert isinstance(grant, TokenLease), grant
    return grant


def secret_of(grant: TokenLease) -> str:
    return grant.token.get_secret_value()


async def test_a_token_is_known_by_a_stable_fingerprint_that_is_not_it(house: House) -> None:
    keeper = house.keeper()
    await keeper.load()
    one, other = await granted(keeper), await granted(keeper)

    assert secret_of(one) == SECRET
    assert one.ref == other.ref
    assert re.fullmatch(r"[0-9a-f]{8}", one.ref.fingerprint)
    assert SECRET not in repr(one)


async def test_one_key_gives_one_fingerprint_and_another_key_another(house: House) -> None:
    keepers = [house.keeper() for _ in range(3)]
    for keeper in keepers[:2]:
        keeper.restore(Memory(b"k" * 32))
    for keeper in keepers:
        await keeper.load()

    one, two, other = [(await granted(keeper)).ref.fingerprint for keeper in keepers]
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


async def test_what_could_not_be_saved_is_saved_the_next_time(house: House) -> None:
    keeper, memory = house.keeper(), Memory(b"k" * 32, broken=True)
    await keeper.load()
    with pytest.raises(OSError, match="No space left"):
        await keeper.save(memory)
    memory.broken = False
    await keeper.save(memory)

    assert memory.saved[BY_VARIABLE.name].state is TokenState.UNVERIFIED


async def test_a_restored_life_goes_on_and_is_no_news(house: House) -> None:
    memory = Memory(b"k" * 32)
    first = house.keeper()
    first.restore(memory)
    await first.load()
    observe(first, await granted(first), Reason.OK, 200)
    observe(first, await granted(first), Reason.TOKEN_REJECTED, 401)
    await first.save(memory)
    house.told()

    second = house.keeper()
    second.restore(memory)
    await second.load()

    assert second.statuses[BY_VARIABLE.name].cause is RejectionCause.SUPERSEDED
    assert not second.may_probe(BY_VARIABLE, "datasets")
    assert house.told() == []


async def test_a_new_token_is_a_rotation_and_each_step_is_told_once(house: House) -> None:
    keeper = house.keeper()
    await keeper.load()
    old = await granted(keeper)
    for _ in range(2):
        observe(keeper, old, Reason.OK, 200)
    for _ in range(2):
        observe(keeper, old, Reason.TOKEN_REJECTED, 401)
    assert house.told() == ["loaded", "accepted", "rejected"]

    house.environ[VARIABLE] = "another-token"
    await keeper.load()
    new = await granted(keeper)
    observe(keeper, old, Reason.TOKEN_REJECTED, 401)  # was on its way
    observe(keeper, new, Reason.OK, 200)

    assert house.told() == ["rotated", "accepted"]
    assert keeper.statuses[BY_VARIABLE.name].rotations == 1


async def test_a_401_reads_the_source_once_for_all_who_ask_at_the_same_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = house.keeper()
    await keeper.load()
    old = await granted(keeper)
    house.environ[VARIABLE] = "another-token"
    looks: list[Iterable[str]] = []
    look = keeper._watch.poll

    def noted(names: Iterable[str]) -> Awaitable[None]:
        looks.append(names)
        return look(names)

    monkeypatch.setattr(keeper._watch, "poll", noted)

    renewed = await asyncio.gather(*(keeper.refresh_rejected(BY_VARIABLE, old) for _ in range(5)))

    assert [secret_of(each) for each in renewed if isinstance(each, TokenLease)] == [
        "another-token"
    ] * 5
    assert looks == [[BY_VARIABLE.name]]


async def test_of_a_token_known_to_be_rejected_the_source_is_not_read_again(house: House) -> None:
    keeper = house.keeper()
    await keeper.load()
    old = await granted(keeper)
    observe(keeper, old, Reason.TOKEN_REJECTED, 401)
    house.environ[VARIABLE] = "another-token"

    assert await keeper.refresh_rejected(BY_VARIABLE, old) == old  # the watch will find it


async def test_a_missing_token_says_why(house: House) -> None:
    house.environ.clear()
    keeper = house.keeper()
    await keeper.load()

    assert await keeper.lease(BY_VARIABLE) == TokenUnavailable(
        f"the environment variable {VARIABLE} is not set"
    )
    assert keeper.statuses[BY_VARIABLE.name].state is TokenState.MISSING
    assert house.told() == ["missing"]


async def test_nobody_ever_gets_half_a_token(tmp_path: Path) -> None:
    whole = ["first-" + "a" * 200, "second-" + "b" * 300]
    file = tmp_path / "token"
    file.write_text(whole[0])
    tenant = a_tenant(token=TokenSource(TokenSourceKind.FILE, str(file)))
    house = House()
    keeper = TokenManager([tenant], {}, house.ask, now=_wall_clock, version="0", sink=house)
    await keeper.load()
    watch = asyncio.create_task(keeper.watch())
    seen: set[str] = set()

    async def write_slowly() -> None:
        for content in (whole[1], whole[0], whole[1]):
            with file.open("w") as out:
                for start in range(0, len(content), 100):
                    out.write(content[start : start + 100])
                    out.flush()
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.2)

    writing = asyncio.create_task(write_slowly())
    for _ in range(400):
        seen.add(secret_of(await granted(keeper, tenant)))
        if writing.done() and whole[1] in seen:
            break
        await asyncio.sleep(0.02)
    watch.cancel()

    assert seen == set(whole)


def _wall_clock() -> float:
    return time.time()


def a_jwt(expiry: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expiry}).encode()).decode().rstrip("=")
    return f"header.{claims}.signature"


async def test_the_expiry_in_a_jwt_is_told_in_stages(house: House) -> None:
    day = 86_400.0
    house.environ[VARIABLE] = a_jwt(house.now + 20 * day)
    keeper = house.keeper()
    await keeper.load()
    assert keeper.statuses[BY_VARIABLE.name].expires_at == house.now + 20 * day
    told = []
    for _ in range(22):
        keeper._books.notify_expiries(house.now)
        told.append(house.told().count("expiring"))
        house.now += day

    assert [number for number, times in enumerate(told) if times] == [7, 18, 21]


async def test_an_oauth_token_is_asked_for_once_by_all_and_kept(house: House) -> None:
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    grants = await asyncio.gather(*(granted(keeper, BY_OAUTH) for _ in range(5)))

    assert {secret_of(grant) for grant in grants} == {"issued-1"}
    house.now += 79
    assert secret_of(await granted(keeper, BY_OAUTH)) == "issued-1"
    assert len(house.requests) == 1
    assert house.requests[0].url == URL


async def test_an_oauth_token_is_renewed_ahead_while_the_old_one_is_still_used(
    house: House,
) -> None:
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    await granted(keeper, BY_OAUTH)
    house.now += 81
    assert secret_of(await granted(keeper, BY_OAUTH)) == "issued-1"
    await asyncio.sleep(0.01)
    assert secret_of(await granted(keeper, BY_OAUTH)) == "issued-2"
    assert keeper.statuses[BY_OAUTH.name].rotations == 0


async def test_an_oauth_token_that_is_too_old_to_arrive_alive_is_not_used(house: House) -> None:
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    await granted(keeper, BY_OAUTH)
    house.now += 96
    assert secret_of(await granted(keeper, BY_OAUTH)) == "issued-2"


async def test_an_identity_server_that_cannot_be_reached_is_evidence_and_not_hammered(
    house: House,
) -> None:
    house.answers = [UNREACHABLE, UNREACHABLE]
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    first, second = await keeper.lease(BY_OAUTH), await keeper.lease(BY_OAUTH)

    assert isinstance(first, TokenUnavailable)
    assert first.exchange == UNREACHABLE
    assert first.verdict is not None
    assert first.verdict.reason is Reason.CONNECTION_REFUSED
    assert (second, len(house.requests)) == (first, 1)
    assert keeper.statuses[BY_OAUTH.name].state is TokenState.UNVERIFIED
    house.now += 1.1
    await keeper.lease(BY_OAUTH)
    house.now += 1.1
    await keeper.lease(BY_OAUTH)
    assert len(house.requests) == 2
    house.now += 1.1
    assert isinstance(await keeper.lease(BY_OAUTH), TokenLease)


async def test_a_client_that_is_refused_is_a_rejection_and_a_new_secret_ends_it(
    house: House,
) -> None:
    house.answers = [INVALID_CLIENT]
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    refused = await keeper.lease(BY_OAUTH)

    assert isinstance(refused, TokenUnavailable)
    assert refused.verdict is not None
    assert refused.verdict.reason is Reason.TOKEN_REJECTED
    assert keeper.statuses[BY_OAUTH.name].cause is RejectionCause.NEVER_ACCEPTED
    assert not keeper.may_probe(BY_OAUTH, "datasets")

    house.environ[VARIABLE] = "another-secret"
    await keeper.load()
    assert keeper.may_probe(BY_OAUTH, "datasets")
    assert secret_of(await granted(keeper, BY_OAUTH)) == "issued-2"
    assert house.told() == ["rejected", "rotated", "loaded"]


async def test_an_oauth_token_that_the_platform_rejects_is_replaced_at_once(house: House) -> None:
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    await granted(keeper, BY_OAUTH)
    held = await granted(keeper, BY_OAUTH)
    renewed = await keeper.refresh_rejected(BY_OAUTH, held)

    assert isinstance(renewed, TokenLease)
    assert secret_of(renewed) == "issued-2"
    assert await keeper.refresh_rejected(BY_OAUTH, renewed) == await keeper.lease(BY_OAUTH)


async def test_a_reload_leaves_the_token_of_a_tenant_that_stays_alone(house: House) -> None:
    keeper = house.keeper()
    await keeper.load()
    grant = await granted(keeper)
    observe(keeper, grant, Reason.OK, 200)
    before = keeper.statuses[BY_VARIABLE.name]
    house.told()
    keeper.apply_config([replace(BY_VARIABLE, environment="test")], Backoff(), {})
    assert keeper.statuses[BY_VARIABLE.name] == before
    assert await granted(keeper) == grant
    assert house.told() == []


async def test_a_tenant_that_came_with_a_reload_has_a_token_at_once_and_a_memory(
    house: House,
) -> None:
    keeper = house.keeper()
    await keeper.load()
    other = replace(BY_VARIABLE, name="other")
    house.environ["OTHER_TOKEN"] = "other-token"
    other = replace(other, token=TokenSource(TokenSourceKind.ENVIRONMENT, "OTHER_TOKEN"))
    keeper.apply_config([BY_VARIABLE, other], Backoff(), {"other": TokenRecord(rotations=7)})
    grant = await keeper.lease(other)
    assert isinstance(grant, TokenLease)
    assert secret_of(grant) == "other-token"
    assert keeper.statuses["other"].rotations == 7
    assert keeper.statuses["other"].state is TokenState.UNVERIFIED


async def test_another_source_after_a_reload_is_a_rotation(house: House) -> None:
    keeper = house.keeper()
    await keeper.load()
    house.environ["NEW_TOKEN"] = "new-token"
    moved = replace(BY_VARIABLE, token=TokenSource(TokenSourceKind.ENVIRONMENT, "NEW_TOKEN"))
    house.told()
    keeper.apply_config([moved], Backoff(), {})
    grant = await keeper.lease(moved)
    assert isinstance(grant, TokenLease)
    assert secret_of(grant) == "new-token"
    assert house.told() == ["rotated"]


async def test_what_is_still_under_way_for_a_tenant_that_is_gone_does_no_harm(
    house: House,
) -> None:
    keeper = house.keeper()
    await keeper.load()
    grant = await granted(keeper)
    keeper.apply_config([], Backoff(), {})
    observe(keeper, grant, Reason.TOKEN_REJECTED, 401)
    assert isinstance(await keeper.refresh_rejected(BY_VARIABLE, grant), TokenUnavailable)
    assert dict(keeper.statuses) == {}
    await keeper.close()


async def test_an_answer_that_another_client_asked_for_is_not_taken(house: House) -> None:
    keeper = house.keeper(BY_OAUTH)
    await keeper.load()
    asking = asyncio.create_task(keeper.lease(BY_OAUTH))
    for _ in range(10):
        await asyncio.sleep(0)
    assert house.requests
    other = OAuthClient("another", CLIENT.secret)
    moved = replace(BY_OAUTH, token=replace(BY_OAUTH.token, client=other))
    keeper.apply_config([moved], Backoff(), {})
    await asking
    first = keeper.statuses[moved.name].fingerprint
    grant = await keeper.lease(moved)
    assert isinstance(grant, TokenLease)
    assert secret_of(grant) == "issued-2"
    assert first != grant.ref.fingerprint
    await keeper.close()
