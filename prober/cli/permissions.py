"""`prober permissions`: the permissions that a tenant's probes need, and which of them it has."""

import asyncio
import os
from pathlib import Path

import click
from rich.table import Table

from prober.cli.discover import needs_document
from prober.cli.exit_codes import BY_OUTCOME, OTHER_ERROR
from prober.cli.options import (
    choose_tenant,
    config_option,
    console,
    exit_code_for,
    print_json,
)
from prober.cli.session import builtin_probe, session
from prober.config.loader import load
from prober.models import ProbeResult, Tenant
from prober.outcomes import Outcome
from prober.permissions import Access, Grants, access
from prober.tokens.permissions import grants_in

_WORDS = {Access.GRANTED: "yes", Access.MISSING: "MISSING", Access.UNKNOWN: "unknown"}
_NOTES = (
    "documented: the platform's guide names this permission for the route; assumed: it does not.",
    "Which API name belongs to which name of the user interface is assumed.",
    "MISSING: not granted by this name. unknown: the user has a role, which may include it.",
)


@click.command()
@click.argument("tenant")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def permissions(tenant: str, config_file: Path, *, as_json: bool) -> None:
    """Show which permissions each probe of TENANT needs, and whether its token has them.

    Sends one request: it reads the permissions of the token's user from /auth/user. No probe runs.

    \b
    Examples:
      prober permissions acme-prod
      prober permissions acme-prod --json

    Exit status: 0 if no permission is missing; 10 if one is; the status of the outcome (see
    'prober probe --help') if /auth/user cannot be read; 2 for an invalid command line or
    configuration.
    """
    configuration = load(config_file)
    chosen = choose_tenant(configuration.tenants, tenant)
    result = asyncio.run(_current_user(chosen, configuration.state_directory))
    if not result.verdict.succeeded:
        verdict = result.verdict
        click.echo(f"{chosen.name}: {verdict.outcome}: {verdict.evidence}", err=True)
        click.get_current_context().exit(exit_code_for([verdict.outcome]))
    grants = grants_in(result.exchange)
    if grants is None:
        click.echo(f"{chosen.name}: /auth/user does not list permissions", err=True)
        click.get_current_context().exit(OTHER_ERROR)
    if as_json:
        print_json(_document(chosen, grants))
    else:
        _print(chosen, grants)
    if _is_any_missing(chosen, grants):
        click.get_current_context().exit(BY_OUTCOME[Outcome.AUTH_FAILURE])


async def _current_user(tenant: Tenant, state_directory: Path) -> ProbeResult:
    async with session(tenant, os.environ, state_directory) as opened:
        return await opened.send(builtin_probe("current-user"))


def _is_any_missing(tenant: Tenant, grants: Grants) -> bool:
    return any(
        access(grants, need.permission, probe.project) is Access.MISSING
        for probe in tenant.probes
        for need in probe.needs or ()
    )


def _print(tenant: Tenant, grants: Grants) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("probe", "project", "permission", "API name", "granted", "source"):
        table.add_column(heading, overflow="fold")
    for probe in tenant.probes:
        project = probe.project or "any"
        if not probe.needs:
            known = "any valid token" if probe.needs is not None else "not known: a custom probe"
            table.add_row(probe.name, "", known, "", "", "")
        for number, need in enumerate(probe.needs or ()):
            granted = access(grants, need.permission, probe.project)
            table.add_row(
                probe.name if number == 0 else "",
                "tenant" if need.permission.is_global else project,
                need.permission.title,
                need.permission.name,
                _WORDS[granted],
                "assumed" if need.is_assumed else "documented",
                style="bold red" if granted is Access.MISSING else None,
            )
    out = console()
    out.print(table)
    for note in _NOTES:
        out.print(note, style="dim")


def _document(tenant: Tenant, grants: Grants) -> dict[str, object]:
    return {
        "tenant": tenant.name,
        "probes": [
            {
                "probe": probe.name,
                "project": probe.project,
                "needs": needs_document(probe.needs, grants, probe.project),
            }
            for probe in tenant.probes
        ],
    }
