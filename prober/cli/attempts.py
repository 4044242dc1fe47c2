"""One run of given probes, now, over the same path as the daemon's."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from prober.attempt import VERSION, Collaborators, attempt
from prober.credential import TokenEvent, TokenStatus
from prober.exchange.client import ExchangeClient
from prober.exchange.loop_lag import LoopLag
from prober.model import Probe, Result, Tenant
from prober.tokens.keeper import TokenKeeper
from prober.tokens.store import LedgerFile
from prober.verdict.rules import judge


class Unheard:
    """A listener for those who look once and want no news."""

    def token_changed(self, status: TokenStatus) -> None:
        """See `Listener`."""

    def token_event(self, event: TokenEvent) -> None:
        """See `Listener`."""


def remember(keeper: TokenKeeper, state_directory: Path) -> bool:
    """Give a keeper what a daemon has saved; tell whether there is a ledger that may be read."""
    with suppress(OSError):
        ledger = LedgerFile.read(state_directory)
        if ledger is not None:
            keeper.restore(ledger)
            ledger.close()
            return True
    return False


async def run_probes(
    tenant: Tenant, probes: Sequence[Probe], environ: Mapping[str, str], state_directory: Path
) -> AsyncIterator[Result]:
    """Yield the result of each probe, one after the other; what is learned is not saved."""
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(ExchangeClient(LoopLag()))
        await client.renew([tenant.transport])
        keeper = TokenKeeper(
            [tenant],
            environ,
            client.exchange,
            now=time.time,
            version=VERSION,
            listener=Unheard(),
        )
        resources.push_async_callback(keeper.close)
        remember(keeper, state_directory)
        await keeper.load()
        house = Collaborators(keeper, client, judge, time.time)
        for probe in probes:
            yield await attempt(tenant, probe, house)
