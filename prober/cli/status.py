"""`prober status`: what the running daemon knows of all tenants, as its page shows it."""

import time
from collections.abc import Mapping, Sequence
from os import environ
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from prober.cli.daemon_address import urls_to_ask
from prober.cli.daemon_client import PASSWORD_VARIABLE, fetch_overview
from prober.cli.options import HELP, console, exit_code_for, print_json, unknown
from prober.formatting import format_ago, format_percent, one_line
from prober.outcomes import Culprit, Outcome
from prober.render.text import style, symbol

_MAX_TEXT_CHARACTERS = 200
_Document = Mapping[str, Any]


@click.command(epilog=HELP)
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The daemon's configuration file, to find its address. Default: $PROBER_CONFIG, then"
    " prober.yaml, then /etc/prober/prober.yaml.",
)
@click.option("--url", help="The daemon's address, such as https://prober.example.com:9824.")
@click.option("--user", help=f"A user of web.yml; the password is read from ${PASSWORD_VARIABLE}.")
@click.option("--troubled", is_flag=True, help="Only tenants that something is wrong with.")
@click.option("--environment", help="Only tenants of this environment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Timeout in seconds.",
)
def status(  # noqa: PLR0913 -- one argument for each option
    *,
    tenants: tuple[str, ...],
    config_file: Path | None,
    url: str | None,
    user: str | None,
    troubled: bool,
    environment: str | None,
    as_json: bool,
    timeout_seconds: float,
) -> None:
    """Show what the running daemon knows of TENANTs, or of all: who is in trouble, and why.

    Those in trouble come first, as on the page.

    \b
    Examples:
      prober status
      prober status --troubled --environment production
      prober status acme-prod --json
      prober status --url https://prober.example.com:9824 --user alice
    """
    document = overview(config_file, url, user, timeout_seconds)
    chosen = select(document["tenants"], tenants, environment, troubled=troubled)
    if as_json:
        for each in chosen:
            print_json(each)
    else:
        _show(document, chosen, time.time())
    outcomes = (outcome for each in chosen for outcome in outcomes_of(each))
    click.get_current_context().exit(exit_code_for(outcomes))


def overview(
    config_file: Path | None, url: str | None, user: str | None, timeout_seconds: float
) -> _Document:
    """Return the overview of the daemon at `url`, or of the one with the configuration."""
    try:
        asked = urls_to_ask(config_file, url, environ)
        return fetch_overview(asked, user, environ, timeout_seconds)
    except ValueError as error:
        raise click.BadParameter(f"'{url}': {error}", param_hint="--url") from None


def select(
    documents: Sequence[_Document],
    names: Sequence[str],
    environment: str | None,
    *,
    troubled: bool,
) -> list[_Document]:
    """Return the tenants that are named, in the daemon's order; raises click.BadParameter."""
    known = {each["name"]: each for each in documents}
    for name in names:
        if name not in known:
            raise click.BadParameter(unknown("tenant", name, list(known)), param_hint="TENANT")
    environments = sorted({each["environment"] for each in documents})
    if environment is not None and environment not in environments:
        raise click.BadParameter(
            unknown("environment", environment, environments), param_hint="--environment"
        )
    return [
        each
        for name, each in known.items()
        if (not names or name in names)
        and environment in {None, each["environment"]}
        and not (troubled and is_well(each))
    ]


def outcomes_of(document: _Document) -> list[Outcome]:
    """Return the outcomes of a tenant's failing probes.

    Without any, a tenant in trouble is one that is not probed, which is a fault of the prober.
    """
    if document["is_ok"] or _is_waiting(document):
        return []
    last_runs = [probe["last_run"] for probe in document["probes"]]
    outcomes = [Outcome(run["outcome"]) for run in last_runs if run is not None]
    failures: list[Outcome] = [each for each in outcomes if each is not Outcome.SUCCESS]
    return failures or [Outcome.PROBER_FAULT]


def is_well(document: _Document) -> bool:
    """Return whether nothing is wrong with a tenant, its token included."""
    has_token = document["token"]["state"] not in {"rejected", "missing"}
    return has_token and (document["is_ok"] or _is_waiting(document))


def _is_waiting(document: _Document) -> bool:
    """Return whether a tenant waits for its first run, which is no failure."""
    return not document["is_ok"] and document["culprit"] == Culprit.NONE


def _show(document: _Document, chosen: Sequence[_Document], now: float) -> None:
    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("tenant", "environment", "status", "since", "24 h", "token"):
        table.add_column(title, overflow="fold")
    for each in chosen:
        culprit = Culprit(each["culprit"])
        colour = style(culprit)
        verdict = one_line(each["verdict"], _MAX_TEXT_CHARACTERS)
        since = "" if each["since"] is None else format_ago(now - each["since"])
        table.add_row(
            Text(one_line(each["name"], _MAX_TEXT_CHARACTERS), "bold"),
            Text(one_line(each["environment"], _MAX_TEXT_CHARACTERS)),
            Text(f"{symbol(culprit)} {verdict}", colour),
            Text(since),
            Text(format_percent(each["availability"]["day"]["platform_ratio"])),
            Text(one_line(each["token"]["state"], _MAX_TEXT_CHARACTERS)),
        )
    if chosen:
        out.print(table)
    wrong = sum(not is_well(each) for each in document["tenants"])
    count = len(document["tenants"])
    tenants = "1 tenant" if count == 1 else f"{count} tenants"
    out.print(f"\n{tenants}, {wrong} in trouble; {_own_health(document)}")


def _own_health(document: _Document) -> str:
    health = document["prober"]["health"]
    parts = [f"prober {one_line(health['version'], _MAX_TEXT_CHARACTERS)}"]
    if not health.get("state_is_writable", True):
        parts.append("its state directory cannot be written")
    if health["configuration_problem"] is not None:
        problem = one_line(health["configuration_problem"], _MAX_TEXT_CHARACTERS)
        parts.append(f"the last reload failed: {problem}")
    return "; ".join(parts)
