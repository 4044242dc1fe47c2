"""`prober simulate`: runs the simulated platform on this machine."""

import asyncio
import os
import re
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from prober.cli.run import run_loop, wait_for_stop_signal
from prober.errors import ListenError, ProberError
from prober.simulator.admin_api import create_admin_api
from prober.simulator.faults import FAULTS
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.scenario import Phase, Scenario, apply_action, play, read_scenario
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from prober.web.server import listen

_TENANT = re.compile(r"([a-z0-9][a-z0-9_-]*)=(?:([\w.-]+)/([\w.-]+)|([a-z0-9-]+))")
DEFAULT_TENANTS = ("acme-prod=acme/prod", "acme-dev=acme/dev", "legacy=legacy")


def parse_tenant(text: str, *, networks: bool) -> SimulatedTenant:
    """Parse NAME=ORGANISATION/TENANT or NAME=DOMAIN."""
    found = _TENANT.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"'{text}': write NAME=ORGANISATION/TENANT or NAME=DOMAIN")
    name, organisation, tenant, domain = found.groups()
    address = TenantAddress(organisation, tenant, domain)
    return SimulatedTenant(name, address, behind_proxy=networks)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, help="The platform's port; 0 selects a free port."
)
@click.option(
    "--control-port",
    default=8081,
    show_default=True,
    help="Port of the admin API, on loopback only.",
)
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    default=DEFAULT_TENANTS,
    metavar="NAME=ORG/TENANT|NAME=DOMAIN",
    help="A tenant; can be repeated. Default: acme-prod, acme-dev, legacy.",
)
@click.option(
    "--token-directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write tokens to DIR/NAME.token, and secrets of OAuth clients to DIR/NAME.client-secret.",
)
@click.option(
    "--issued-token-seconds",
    type=click.FloatRange(1, 86_400),
    default=3600,
    show_default=True,
    help="Lifetime of tokens issued to OAuth clients.",
)
@click.option(
    "--jwt-seconds",
    type=click.FloatRange(1, 86_400),
    help="Make all tokens JWTs; those of users expire after this time.",
)
@click.option("--tls", is_flag=True, help="Use HTTPS, with a certificate made for this run.")
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("simulator-ca.pem"),
    show_default=True,
    help="With --tls: write the CA certificate that clients need to trust to this file.",
)
@click.option(
    "--networks", is_flag=True, help="Give each tenant a network that can be delayed and cut."
)
@click.option(
    "--server-ms",
    type=click.FloatRange(0, 600_000),
    help="Constant response time of the platform, in ms.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Equal seeds give equal tokens and times."
)
@click.option("--scenario", type=click.File("r"), help="Play this scenario of faults (YAML), once.")
@click.option(
    "--speed", type=click.FloatRange(0.1, 1000), default=1.0, help="Speed factor of the scenario."
)
def simulate(  # noqa: PLR0913 -- one argument for each option
    *,
    host: str,
    port: int,
    control_port: int,
    tenants: tuple[str, ...],
    token_directory: Path | None,
    issued_token_seconds: float,
    jwt_seconds: float | None,
    tls: bool,
    ca_file: Path,
    networks: bool,
    server_ms: float | None,
    seed: int,
    scenario: TextIO | None,
    speed: float,
) -> None:
    """Run a simulated platform: tokens, permissions, Server-Timing, and faults on demand.

    \b
    Example:
      prober simulate --token-directory .
      curl -H "Authorization: Bearer $(cat acme-prod.token)" \\
        http://127.0.0.1:8080/acme/prod/reinfer_/api/v1/datasets
      curl http://127.0.0.1:8081/                      list of requests
      curl -X PUT -d '{"fault": "html_502"}' http://127.0.0.1:8081/faults

    SIGTERM or Ctrl-C stops it.
    """
    script = None if scenario is None else _script(scenario)
    config = SimulatorConfig(
        tenants=tuple(parse_tenant(text, networks=networks) for text in tenants),
        seed=seed,
        host=host,
        port=port,
        tls=tls,
        latency=Latency() if server_ms is None else Latency(server_ms / 1000, 0.0),
        token_directory=token_directory,
        issued_token_seconds=issued_token_seconds,
        jwt_seconds=jwt_seconds,
    )
    if token_directory is not None:
        token_directory.mkdir(parents=True, exist_ok=True)
    run_loop(_serve(Simulator(config), control_port, ca_file, script, speed))


def _script(file: TextIO) -> Scenario:
    try:
        return read_scenario(file.read(), file.name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scenario") from error


async def _serve(
    simulator: Simulator, control_port: int, ca_file: Path, script: Scenario | None, speed: float
) -> None:
    # Before anything is printed: who has read the addresses may press Ctrl-C.
    stop_requested = wait_for_stop_signal()
    async with AsyncExitStack() as resources:
        await _enter(simulator, resources)
        control = await listen(
            create_admin_api(simulator),
            control_host(simulator.config.host),
            control_port,
            setting="--control-port",
        )
        resources.push_async_callback(control.close)
        if simulator.certificates is not None:
            await asyncio.to_thread(simulator.certificates.write_authority, ca_file)
            click.echo(f"trust {ca_file}: ca_file in prober.yaml, --cacert for curl")
        for name in simulator.state.tenants:
            click.echo(f"{name}: {simulator.base_url(name)}")
        click.echo(f"OAuth clients NAME-client: {simulator.token_url}")
        click.echo(f"control: {control.url} ({len(FAULTS)} faults on demand; Ctrl-C stops it)")
        sys.stdout.flush()
        if script is not None:
            await _play_until(stop_requested, script, simulator, speed)
        await stop_requested


def control_host(host: str) -> str:
    """Return the loopback address for the admin API: of the family that the platform listens on."""
    return "::1" if ":" in host else "127.0.0.1"


async def _enter(simulator: Simulator, resources: AsyncExitStack) -> None:
    try:
        await resources.enter_async_context(simulator)
    except OSError as error:
        config = simulator.config
        why = os.strerror(error.errno or 0).lower()
        raise ListenError(
            f"cannot listen on {config.host} port {config.port}: {why};"
            " stop what uses this address, or set --host or --port to another"
        ) from error


async def _play_until(
    ended: asyncio.Future[None], script: Scenario, simulator: Simulator, speed: float
) -> None:
    """Play a scenario to its end, or until the simulator stops."""

    async def say(phase: Phase) -> None:
        click.echo(f"{phase.name}: {phase.description}")

    apply = partial(apply_action, simulator=simulator)
    playing = asyncio.create_task(play(script, apply, say, speed), name="scenario")
    await asyncio.wait({playing, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not playing.done():
        playing.cancel()
        return
    try:
        playing.result()
    except (KeyError, ValueError) as error:
        raise ProberError(f"the scenario cannot be played: {error.args[0]}") from error
    click.echo("the scenario has ended; the platform keeps running")
