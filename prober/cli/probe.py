"""`prober probe`: runs a tenant's probes once, with the same code as the daemon."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import click
from rich.console import Console

from prober.canary import Pacing
from prober.classifier.rules import classify
from prober.cli import options
from prober.cli.options import choose_probes, choose_tenant, config_option, console, print_json
from prober.config.loader import load
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import Probe, ProbeResult, Tenant
from prober.outcomes import Outcome
from prober.probe import ProbeDeps, run_probe
from prober.render.terminal import VerdictView, deciding_rule
from prober.sinks import EventSink
from prober.tokens.manager import TokenManager
from prober.tokens.permissions import PermissionTracker
from prober.tokens.store import TokenStore
from prober.version import current_version


def restore_saved_state(manager: TokenManager, state_directory: Path) -> bool:
    """Load the token state that a daemon has saved; return whether there is any to read."""
    with suppress(OSError):
        store = TokenStore.read(state_directory)
        if store is not None:
            manager.restore(store)
            store.close()
            return True
    return False


def token_manager(
    tenants: Sequence[Tenant], environ: Mapping[str, str], client: ProbeHttpClient
) -> TokenManager:
    """Return a manager of the tenants' tokens for one command; its events go nowhere."""
    version = current_version().version
    return TokenManager(
        tenants, environ, client.exchange, now=time.time, version=version, sink=EventSink()
    )


@asynccontextmanager
async def open_tenant(
    tenant: Tenant, environ: Mapping[str, str], state_directory: Path | None
) -> AsyncIterator[tuple[ProbeHttpClient, TokenManager]]:
    """Open what a command needs for requests to one tenant: a client, and its loaded token.

    Token state is read from `state_directory`, if there is any; nothing is written to it.
    """
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(ProbeHttpClient(EventLoopLagMonitor()))
        await client.reload_tls([tenant.transport])
        manager = token_manager([tenant], environ, client)
        resources.push_async_callback(manager.close)
        if state_directory is not None:
            restore_saved_state(manager, state_directory)
        await manager.load()
        yield client, manager


async def run_probes(
    tenant: Tenant, probes: Sequence[Probe], environ: Mapping[str, str], state_directory: Path
) -> AsyncGenerator[ProbeResult]:
    """Run the probes one after the other and yield each result; token state is not saved."""
    async with open_tenant(tenant, environ, state_directory) as (client, manager):
        deps = ProbeDeps(
            manager,
            client,
            classify,
            time.time,
            permissions=PermissionTracker([tenant], time.time),
            pacing=Pacing(asyncio.sleep, time.monotonic),
        )
        for probe in probes:
            yield await run_probe(tenant, probe, deps)


SLOW_SECONDS = 1.0


@click.command(epilog=options.HELP)
@click.argument("tenant")
@click.argument("probe", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
def probe(tenant: str, probe: str | None, config_file: Path, *, as_json: bool) -> None:
    """Run PROBE, or all probes, of TENANT once and name the culprit of each failure.

    Shows each verdict with its evidence, and a waterfall of the phases.

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
    click.get_current_context().exit(options.exit_code_for(outcomes))


async def show(
    results: AsyncGenerator[ProbeResult], probes: Sequence[Probe], *, as_json: bool
) -> list[Outcome]:
    """Print each result as it arrives, and return the outcomes; closes `results`."""
    out, outcomes = console(), []
    async with aclosing(results):
        for probe in probes:
            result = await _next_step(results, probe)
            if as_json:
                # Late: the documents of pages come with it.
                from prober.render.documents import result_document  # noqa: PLC0415

                print_json(result_document(result, probe.expectations))
            else:
                _print(out, result, probe)
            outcomes.append(result.verdict.outcome)
    return outcomes


async def _next_step(results: AsyncIterator[ProbeResult], probe: Probe) -> ProbeResult:
    """Return the next result; if it takes long, print on stderr what it waits for."""
    asking = asyncio.ensure_future(anext(results))
    done, _ = await asyncio.wait({asking}, timeout=SLOW_SECONDS)
    if done:
        return asking.result()
    seconds, what = probe.timeout_seconds, "no response yet"
    if probe.canary is not None:
        seconds, what = max(check.max or 0.0 for check in probe.checks), "the canary is running"
    with _waiting(f"{probe.name}: {what}, waiting up to {seconds:g} s"):
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


def _print(out: Console, result: ProbeResult, probe: Probe) -> None:
    reason = result.verdict.reason
    row = deciding_rule(result.exchange, probe.expectations, result.endpoint, reason)
    subject = f"{result.tenant} / {result.probe}"
    out.print(
        VerdictView(subject, result.exchange, result.verdict, row, result.token, steps=result.steps)
    )
    out.print()
