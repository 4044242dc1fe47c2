"""The numbers are right: known server time, known network, through the whole of one attempt."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from prober.cli.probe import run_probes
from prober.models import ProbeResult, Tenant, TokenSource, TokenSourceKind
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from tests.builders import a_probe, a_tenant, a_transport

SERVER, NETWORK = 0.120, 0.080
RUNS = 5


async def results(directory: Path, *, tls: bool) -> list[ProbeResult]:
    tenants = (SimulatedTenant("acme", TenantAddress("acme", "prod"), behind_proxy=True),)
    config = SimulatorConfig(
        tenants, tls=tls, latency=Latency(SERVER, 0.0), token_directory=directory
    )
    async with AsyncExitStack() as resources:
        simulator = await resources.enter_async_context(Simulator(config))
        simulator.proxy("acme").delay_seconds = NETWORK
        ca_file = directory / "ca.pem"
        if simulator.certificates is not None:
            simulator.certificates.write_authority(ca_file)
        probe = a_probe(name="datasets", sent_path="/api/v1/datasets", timeout_seconds=5.0)
        tenant: Tenant = replace(
            a_tenant(name="acme", probes=(probe,)),
            base_url=simulator.base_url("acme"),
            token=TokenSource(TokenSourceKind.FILE, str(directory / "acme.token")),
            transport=a_transport(proxy_from_environment=False, ca_file=ca_file if tls else None),
        )
        return [result async for result in run_probes(tenant, [probe] * RUNS, {}, directory)]


def known(seconds: float | None) -> float:
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_server_and_network_are_told_apart(tmp_path: Path, tls: bool) -> None:
    every = await results(tmp_path, tls=tls)

    assert {result.verdict.reason for result in every} == {"ok"}
    # Whatever else the machine does only adds to a time: the least disturbed run tells.
    server = min(known(result.verdict.latency.server_seconds) for result in every)
    set_up = min(
        [
            sum(s for n, s in r.exchange.phases.as_pairs() if n in {"resolve", "connect", "tls"})
            for r in every
        ]
    )
    network = min(known(result.verdict.latency.network_seconds) for result in every)
    assert server == pytest.approx(SERVER, abs=0.005)
    assert network - set_up == pytest.approx(NETWORK, abs=0.010)
    assert set_up < 0.05 if not tls else set_up == pytest.approx(NETWORK, abs=0.05)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_the_phases_add_up(tmp_path: Path, tls: bool) -> None:
    for result in await results(tmp_path, tls=tls):
        phases = dict(result.exchange.phases.as_pairs())
        names = ["resolve", "connect", *(["tls"] if tls else []), "send", "wait", "transfer", "own"]
        assert list(phases) == names
        assert sum(phases.values()) == pytest.approx(result.exchange.total_seconds, abs=1e-6)
