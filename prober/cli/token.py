"""`prober token`: where every tenant's token stands in its life."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

import click

from prober.attempt import VERSION
from prober.cli.attempts import Unheard, remember
from prober.cli.choices import choose_tenant, config_option
from prober.cli.exit_status import BY_OUTCOME
from prober.cli.output import console, print_json
from prober.credential import TokenStatus
from prober.exchange.client import ExchangeClient
from prober.exchange.loop_lag import LoopLag
from prober.outcomes import Outcome, TokenState
from prober.settings.load import load
from prober.settings.resolve import Configuration
from prober.tokens.keeper import TokenKeeper
from prober.views.tokens import TokenTable, token_document

_IN_TROUBLE = frozenset({TokenState.MISSING, TokenState.REJECTED})


@click.command()
@click.argument("tenant", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line instead.")
def token(tenant: str | None, config_file: Path, *, as_json: bool) -> None:
    """Show the token of TENANT, or of all: source, state, life, and who shares it.

    Nobody is asked: the sources are read as they are now, the rest is what the daemon has saved in
    its state directory (within the last second). A token is shown by its fingerprint alone.

    \b
    Examples:
      prober token --config config/prober.yaml
      prober token acme-prod --config config/prober.yaml --json

    Exit status: 0; 10 if a token shown is rejected or missing; 2 for a command line or a
    configuration that cannot be used.
    """
    configuration = load(config_file)
    if tenant is not None:
        choose_tenant(configuration.tenants, tenant)
    statuses = asyncio.run(_statuses(configuration))
    chosen = [name for name in statuses if tenant in {None, name}]
    if as_json:
        for name in chosen:
            print_json(token_document(statuses, name))
    else:
        console().print(TokenTable(statuses, chosen))
    troubled = any(statuses[name].state in _IN_TROUBLE for name in chosen)
    click.get_current_context().exit(BY_OUTCOME[Outcome.AUTH_FAILURE] if troubled else 0)


async def _statuses(configuration: Configuration) -> Mapping[str, TokenStatus]:
    keeper = TokenKeeper(
        configuration.tenants,
        os.environ,
        ExchangeClient(LoopLag()).exchange,
        now=time.time,
        version=VERSION,
        listener=Unheard(),
    )
    if not await asyncio.to_thread(remember, keeper, configuration.state_directory):
        click.echo(
            f"no daemon has saved anything in {configuration.state_directory} that can be read: no"
            " token's life is known, and fingerprints are other ones at each call",
            err=True,
        )
    await keeper.load()
    return keeper.statuses
