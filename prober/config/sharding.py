"""Assigns tenants to shards: several daemons share one configuration file. Pure.

Rendezvous hashing: a tenant belongs to the shard with the highest hash of (tenant, shard). Growing
from N to N+1 shards moves about 1/(N+1) of the tenants, all of them to the new shard. A tenant's
shard does not depend on the other tenants, their order, or the location of the file, with one
intended exception: tenants whose tokens have the same source are in the same shard, so that one
daemon alone watches and renews that token. The tenant whose name sorts first decides the shard.

Daemons of different versions must agree on the hashes: do not change them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b

from prober.config.resolve import Config
from prober.errors import ConfigProblem
from prober.models import Shard, Tenant


def filter_shard(config: Config, shard: Shard) -> Config:
    """Return the configuration with only the tenants of this shard, which may be none.

    Apply it after every load. `hash` stays that of the whole configuration.
    """
    owners = assign_shards(config.tenants, shard.count)
    selected = tuple(each for each in config.tenants if owners[each.name] == shard.index)
    warnings = config.warnings
    if not selected:
        warnings = (*warnings, _idle_warning(config, shard))
    return replace(config, tenants=selected, shard=shard, warnings=warnings)


def assign_shards(tenants: Iterable[Tenant], count: int) -> Mapping[str, int]:
    """Return the shard of each tenant name, from 0 to `count` - 1."""
    all_tenants = tuple(tenants)
    first_by_origin: dict[tuple[str, ...], str] = {}
    for name, origin in sorted((tenant.name, tenant.token.origin) for tenant in all_tenants):
        first_by_origin.setdefault(origin, name)
    return {
        tenant.name: _rendezvous_shard(first_by_origin[tenant.token.origin], count)
        for tenant in all_tenants
    }


def _rendezvous_shard(name: str, count: int) -> int:
    return max(range(count), key=lambda index: (_weight(name, index), index))


def _weight(name: str, index: int) -> bytes:
    return blake2b(f"{name} {index}".encode(), digest_size=8).digest()


def _idle_warning(config: Config, shard: Shard) -> ConfigProblem:
    message = (
        f"none of the {len(config.tenants)} belongs to shard {shard}: this prober is idle;"
        f" `prober validate --shards {shard.count}` shows the assignment"
    )
    return ConfigProblem(str(config.source), None, "tenants", message)
