"""One run of given probes, now, over the same path as the daemon's."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence

from prober.attempt import Collaborators, attempt
from prober.exchange.client import ExchangeClient
from prober.exchange.loop_lag import LoopLag
from prober.model import Probe, Result, Tenant
from prober.tokens.keeper import TokenKeeper
from prober.verdict.rules import judge


async def run_probes(
    tenant: Tenant, probes: Sequence[Probe], environ: Mapping[str, str]
) -> AsyncIterator[Result]:
    """Yield the result of each probe, one after the other."""
    loop_lag = LoopLag()
    loop_lag.start()
    try:
        async with ExchangeClient(loop_lag) as client:
            await client.prepare([tenant.transport])
            house = Collaborators(TokenKeeper([tenant], environ), client, judge, time.time)
            for probe in probes:
                yield await attempt(tenant, probe, house)
    finally:
        loop_lag.stop()
