from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from prober.config.loader import load
from prober.config.sharding import assign_shards, filter_shard
from prober.models import OAuthClient, Shard, Tenant, TokenSource, TokenSourceKind
from tests.builders import a_tenant

FILE, ENVIRONMENT, OAUTH = (
    TokenSourceKind.FILE,
    TokenSourceKind.ENVIRONMENT,
    TokenSourceKind.OAUTH,
)


def tenant_of(name: str, kind: TokenSourceKind = FILE, location: str | None = None) -> Tenant:
    return a_tenant(name=name, token=TokenSource(kind, location or f"/run/{name}"))


names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
fleets = st.lists(
    st.builds(
        tenant_of, names, st.sampled_from([FILE, ENVIRONMENT]), st.sampled_from([None, "A", "B"])
    ),
    unique_by=lambda tenant: tenant.name,
    max_size=30,
)
counts = st.integers(1, 12)


@given(fleets, counts)
def test_every_tenant_has_exactly_one_shard(fleet: list[Tenant], count: int) -> None:
    owners = assign_shards(fleet, count)
    assert owners.keys() == {tenant.name for tenant in fleet}
    assert all(0 <= owner < count for owner in owners.values())


@given(fleets, counts)
def test_a_shard_that_is_added_takes_tenants_and_no_other_does(
    fleet: list[Tenant], count: int
) -> None:
    before, after = assign_shards(fleet, count), assign_shards(fleet, count + 1)
    assert {after[name] for name in before if before[name] != after[name]} <= {count}


@given(fleets.flatmap(lambda fleet: st.tuples(st.just(fleet), st.permutations(fleet))), counts)
def test_the_order_of_tenants_does_not_matter(
    pair: tuple[list[Tenant], list[Tenant]], count: int
) -> None:
    assert assign_shards(pair[0], count) == assign_shards(pair[1], count)


@given(fleets, counts)
def test_a_token_has_one_owner(fleet: list[Tenant], count: int) -> None:
    owners = assign_shards(fleet, count)
    by_origin = {(tenant.token.origin, owners[tenant.name]) for tenant in fleet}
    assert len(by_origin) == len({origin for origin, _ in by_origin})


@given(fleets, counts)
def test_where_the_configuration_lies_does_not_matter(fleet: list[Tenant], count: int) -> None:
    moved = [
        a_tenant(
            name=tenant.name,
            token=TokenSource(tenant.token.kind, f"/elsewhere/{tenant.token.location}"),
        )
        for tenant in fleet
    ]
    assert assign_shards(moved, count) == assign_shards(fleet, count)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_of_a_thousand_tenants_one_more_shard_moves_its_own_part(count: int) -> None:
    fleet = [tenant_of(f"tenant-{number}") for number in range(1000)]
    before, after = assign_shards(fleet, count), assign_shards(fleet, count + 1)
    moved = sum(before[name] != after[name] for name in before)
    assert moved == pytest.approx(1000 / (count + 1), rel=0.2)
    assert min(Counter(after.values()).values()) > 0.7 * 1000 / (count + 1)


def test_the_division_is_a_contract() -> None:
    fleet = [tenant_of(name) for name in ("acme-prod", "acme-dev", "legacy", "initech", "wayne")]
    assert assign_shards(fleet, 3) == PINNED


PINNED = {"acme-prod": 2, "acme-dev": 2, "legacy": 1, "initech": 0, "wayne": 0}


def test_an_oauth_client_is_one_origin_whatever_it_asks_for() -> None:
    secret = TokenSource(ENVIRONMENT, "SECRET")
    one, other = (
        TokenSource(OAUTH, "https://id/token", client=OAuthClient("app", secret, scope))
        for scope in ("A", "B")
    )
    third = TokenSource(OAUTH, "https://id/token", client=OAuthClient("other", secret))
    assert one.origin == other.origin != third.origin


@pytest.mark.parametrize("shard", [(0, 0), (3, 3), (-1, 3), (0, 1001)])
def test_a_shard_that_cannot_be_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="shards"):
        Shard(*shard)


def test_a_configuration_is_divided_and_a_shard_with_nothing_to_do_says_so(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text("tenants: [{name: lab, domain: lab, token: {env: T}, probes: [datasets]}]")
    whole = load(file)
    parts = [filter_shard(whole, Shard(index, 2)) for index in range(2)]

    assert sorted(len(part.tenants) for part in parts) == [0, 1]
    assert {part.hash for part in parts} == {whole.hash}
    busy, idle = sorted(parts, key=lambda part: -len(part.tenants))
    assert busy.warnings == whole.warnings
    (more,) = set(idle.warnings) - set(whole.warnings)
    assert str(more) == (
        f"{file}: tenants: none of the 1 belongs to shard {idle.shard}: this prober is idle;"
        " `prober validate --shards 2` shows the assignment"
    )


def test_without_shards_all_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text("tenants: [{name: lab, domain: lab, token: {env: T}, probes: [datasets]}]")
    assert filter_shard(load(file), Shard()) == load(file)
