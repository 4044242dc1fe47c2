"""`prober tokens`: shows the state of each tenant's token."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

import click

from prober.cli.exit_codes import BY_OUTCOME
from prober.cli.options import choose_tenant, config_option, console, print_json
from prober.cli.probe import restore_saved_state
from prober.config.loader import load
from prober.config.resolve import Config
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import TokenStatus
from prober.outcomes import Outcome, TokenState
from prober.render.documents import token_document
from prober.render.terminal import TokenTable
from prober.sinks import EventSink
from prober.tokens.manager import TokenManager
from prober.version import current_version

_TROUBLED_STATES = frozenset({TokenState.MISSING, TokenState.REJECTED})


@click.command()
@click.argument("tenant", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
def token(tenant: str | None, config_file: Path, *, as_json: bool) -> None:
    """Show the token of TENANT, or of all tenants: source, state, times, and sharing.

    No request is sent. The sources are read now; the rest is what the daemon has saved in its state
    directory (at most a second old). A token is shown only as a fingerprint.

    \b
    Examples:
      prober tokens --config config/prober.yaml
      prober tokens acme-prod --config config/prober.yaml --json

    Exit status: 0; 10 if a token shown is rejected or missing; 2 for an invalid command line or
    configuration.
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
    troubled = any(statuses[name].state in _TROUBLED_STATES for name in chosen)
    click.get_current_context().exit(BY_OUTCOME[Outcome.AUTH_FAILURE] if troubled else 0)


async def _statuses(configuration: Config) -> Mapping[str, TokenStatus]:
    manager = TokenManager(
        configuration.tenants,
        os.environ,
        ProbeHttpClient(EventLoopLagMonitor()).exchange,
        now=time.time,
        version=current_version().version,
        sink=EventSink(),
    )
    if not await asyncio.to_thread(restore_saved_state, manager, configuration.state_directory):
        click.echo(
            f"no daemon has saved anything in {configuration.state_directory} that can be read: no"
            " token's life is known, and fingerprints are other ones at each call",
            err=True,
        )
    await manager.load()
    return manager.statuses
