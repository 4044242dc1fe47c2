"""Which of several daemons probes a tenant: one configuration for all, each takes its shard. Pure.

Rendezvous hashing: a tenant belongs to the shard that draws the highest number for it. Growing
from N to N+1 shards moves about 1/(N+1) of the tenants, all of them to the new shard, and no
tenant's shard depends on which others there are, on their order, or on where the file lies. The one
exception is wanted: tenants that take their token from the same place stay together, so that it has
one owner. They go where the first of them by name belongs.

The numbers drawn are a contract between daemons of different versions: do not change them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b

from prober.config.resolve import Config
from prober.errors import ConfigProblem
from prober.models import Shard, Tenant


def filter_shard(configuration: Config, shard: Shard) -> Config:
    """Return the configuration with the tenants of this shard alone; none at all is allowed.

    Apply it whenever a configuration was read. `hash` stays that of the whole.
    """
    owners = assign_shards(configuration.tenants, shard.count)
    held = tuple(each for each in configuration.tenants if owners[each.name] == shard.index)
    warnings = configuration.warnings
    if not held:
        warnings = (*warnings, _idle_warning(configuration, shard))
    return replace(configuration, tenants=held, shard=shard, warnings=warnings)


def assign_shards(tenants: Iterable[Tenant], count: int) -> Mapping[str, int]:
    """Return for each tenant's name which of `count` shards it belongs to, from 0."""
    every = tuple(tenants)
    first_by_origin: dict[tuple[str, ...], str] = {}
    for name, origin in sorted((tenant.name, tenant.token.origin) for tenant in every):
        first_by_origin.setdefault(origin, name)
    return {
        tenant.name: _rendezvous_shard(first_by_origin[tenant.token.origin], count)
        for tenant in every
    }


def _rendezvous_shard(name: str, count: int) -> int:
    return max(range(count), key=lambda index: (_weight(name, index), index))


def _weight(name: str, index: int) -> bytes:
    return blake2b(f"{name} {index}".encode(), digest_size=8).digest()


def _idle_warning(configuration: Config, shard: Shard) -> ConfigProblem:
    message = (
        f"none of the {len(configuration.tenants)} belongs to shard {shard}: this prober is idle,"
        " and well; `prober validate --shards` shows who belongs where"
    )
    return ConfigProblem(str(configuration.source), None, "tenants", message)
