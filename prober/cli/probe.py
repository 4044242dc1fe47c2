"""`prober probe`: one run of a tenant's probes, now, with the evidence."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from prober.cli import exit_status
from prober.cli.attempts import run_probes
from prober.cli.choices import choose_probes, choose_tenant, config_option
from prober.cli.output import console, print_json
from prober.model import Probe, Result
from prober.outcomes import Outcome
from prober.settings.load import load
from prober.views.document import result_document
from prober.views.verdict import VerdictView, deciding_row

SLOW_SECONDS = 1.0


@click.command(epilog=exit_status.HELP)
@click.argument("tenant")
@click.argument("probe", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line instead.")
def probe(tenant: str, probe: str | None, config_file: Path, *, as_json: bool) -> None:
    """Probe TENANT once, now, with PROBE or with all its probes, and say whose fault it is.

    Shows each verdict, what it rests on, and a waterfall of the phases.

    \b
    Examples:
      prober probe acme-prod --config config/prober.yaml
      prober probe acme-prod datasets --config config/prober.yaml
      prober probe acme-prod datasets --config config/prober.yaml --json > saved.json
      prober explain saved.json
    """
    configuration = load(config_file)
    chosen = choose_tenant(configuration.tenants, tenant)
    probes = choose_probes(chosen, probe)
    results = run_probes(chosen, probes, os.environ, configuration.state_directory)
    outcomes = asyncio.run(show(results, probes, as_json=as_json))
    click.get_current_context().exit(exit_status.of_worst(outcomes))


async def show(
    results: AsyncIterator[Result], probes: Sequence[Probe], *, as_json: bool
) -> list[Outcome]:
    """Print each result of `probes` as it comes, and return the outcomes."""
    out, outcomes = console(), []
    for probe in probes:
        result = await _next(results, probe)
        if as_json:
            print_json(result_document(result, probe.expectations))
        else:
            _print(out, result, probe)
        outcomes.append(result.verdict.outcome)
    return outcomes


async def _next(results: AsyncIterator[Result], probe: Probe) -> Result:
    """Return the next result; say on stderr what is waited for when it takes long."""
    asking = asyncio.ensure_future(anext(results))
    done, _ = await asyncio.wait({asking}, timeout=SLOW_SECONDS)
    if done:
        return asking.result()
    with _waiting(f"{probe.name}: no answer yet, waiting up to {probe.timeout_seconds:g} s"):
        return await asking


@contextmanager
def _waiting(text: str) -> Iterator[None]:
    err = console(stderr=True)
    if err.is_terminal:
        with err.status(text):
            yield
    else:
        err.print(text)
        yield


def _print(out: Console, result: Result, probe: Probe) -> None:
    row = deciding_row(result.exchange, probe.expectations, result.counterpart)
    subject = f"{result.tenant} / {result.probe}"
    out.print(VerdictView(subject, result.exchange, result.verdict, row, result.token))
    out.print()
