"""`prober tokens`: shows the state of each tenant's token."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from prober.cli.daemon_address import UnknownAddressError, daemon_urls
from prober.cli.daemon_client import (
    PASSWORD_VARIABLE,
    DaemonUnreachableError,
    fetch_overview,
)
from prober.cli.exit_codes import BY_OUTCOME
from prober.cli.options import choose_tenant, config_option, console, print_json
from prober.config.loader import load
from prober.config.resolve import Config
from prober.errors import ProberError
from prober.models import TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import Outcome, RejectionCause, TokenState
from prober.render.documents import token_document
from prober.render.terminal import TokenTable

_TIMEOUT_SECONDS = 5.0
_SAME_FIELDS = (
    "fingerprint",
    "problem",
    "loaded_at",
    "rejected_since",
    "first_accepted_at",
    "last_accepted_at",
    "expires_at",
    "rotations",
)
_TROUBLED_STATES = frozenset({TokenState.MISSING, TokenState.REJECTED})


@click.command()
@click.argument("tenant", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
@click.option("--user", help=f"A user of web.yml; the password is read from ${PASSWORD_VARIABLE}.")
def token(tenant: str | None, config_file: Path, user: str | None, *, as_json: bool) -> None:
    """Show the token of TENANT, or of all tenants: source, state, times, and sharing.

    The running daemon is asked: it alone has its environment and its credentials. If none answers,
    the sources are read from here, and the rest is what a daemon has saved in its state directory.
    The platform is never asked. A token is shown only as a fingerprint.

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
    statuses = _running_statuses(configuration, config_file, user)
    if statuses is None:
        statuses = asyncio.run(_statuses(configuration))
    if tenant is not None and tenant not in statuses:
        raise ProberError(f"the running daemon does not know '{tenant}': has it been reloaded?")
    chosen = [name for name in statuses if tenant in {None, name}]
    if as_json:
        for name in chosen:
            print_json(token_document(statuses, name))
    else:
        console().print(TokenTable(statuses, chosen))
    troubled = any(statuses[name].state in _TROUBLED_STATES for name in chosen)
    click.get_current_context().exit(BY_OUTCOME[Outcome.AUTH_FAILURE] if troubled else 0)


def _running_statuses(
    configuration: Config, config_file: Path, user: str | None
) -> Mapping[str, TokenStatus] | None:
    """Return what the running daemon knows, None if there is none; raises DaemonRefusedError."""
    try:
        urls = daemon_urls(config_file, os.environ)
        document = fetch_overview(urls, user, os.environ, _TIMEOUT_SECONDS)
    except UnknownAddressError:
        return None
    except DaemonUnreachableError as error:
        click.echo(f"{error}; the sources are read from here", err=True)
        return None
    configured = {tenant.name: tenant.token for tenant in configuration.tenants}
    return {
        each["name"]: status_from_document(each["name"], each["token"], configured)
        for each in document["tenants"]
    }


def status_from_document(
    tenant: str, document: Mapping[str, Any], configured: Mapping[str, TokenSource]
) -> TokenStatus:
    """Return a token's status from the API's document. Pure.

    A source is known in full only from the configuration, if that still names the same one.
    """
    source = configured.get(tenant)
    if source is None or str(source) != document["source"]:
        kind, _, location = document["source"].partition(" ")
        source = TokenSource(TokenSourceKind(kind), location)
    cause = document["cause"]
    return TokenStatus(
        tenant=tenant,
        source=source,
        state=TokenState(document["state"]),
        cause=None if cause is None else RejectionCause(cause),
        **{name: document[name] for name in _SAME_FIELDS},
    )


async def _statuses(configuration: Config) -> Mapping[str, TokenStatus]:
    # Late: usually the running daemon answers, and nothing is read from here.
    from prober.cli.probe import restore_saved_state, token_manager  # noqa: PLC0415
    from prober.http_client.client import ProbeHttpClient  # noqa: PLC0415
    from prober.http_client.timing import EventLoopLagMonitor  # noqa: PLC0415

    client = ProbeHttpClient(EventLoopLagMonitor())
    manager = token_manager(configuration.tenants, os.environ, client)
    if not await asyncio.to_thread(restore_saved_state, manager, configuration.state_directory):
        click.echo(
            f"no daemon has saved anything in {configuration.state_directory} that can be read: no"
            " token's life is known, and fingerprints are other ones at each call",
            err=True,
        )
    await manager.load()
    return manager.statuses
