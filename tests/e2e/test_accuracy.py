"""The numbers are right: known server time, known network, through the whole of one attempt."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
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
RUNS, MOST_RUNS = 5, 200


async def results(
    directory: Path,
    *,
    tls: bool,
    enough: Callable[[Sequence[ProbeResult]], bool] = lambda every: len(every) == RUNS,
) -> list[ProbeResult]:
    """Return the results of runs, until there are `enough`, `MOST_RUNS` at most."""
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
        probe = a_probe(name="datasets", sent_path="/api/v1/datasets", timeout_seconds=60.0)
        tenant: Tenant = replace(
            a_tenant(name="acme", probes=(probe,)),
            base_url=simulator.base_url("acme"),
            token=TokenSource(TokenSourceKind.FILE, str(directory / "acme.token")),
            transport=a_transport(proxy_from_environment=False, ca_file=ca_file if tls else None),
        )
        every: list[ProbeResult] = []
        runs = run_probes(tenant, [probe] * MOST_RUNS, {}, directory)
        async with aclosing(runs):
            async for result in runs:
                every.append(result)
                if enough(every):
                    break
        return every


def known(seconds: float | None) -> float:
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_server_and_network_are_told_apart(tmp_path: Path, tls: bool) -> None:
    every = await results(tmp_path, tls=tls, enough=lambda every: is_accurate(every, tls=tls))

    assert {result.verdict.reason for result in every} == {"ok"}
    assert is_accurate(every, tls=tls), [measured(result) for result in every]


def measured(result: ProbeResult) -> tuple[float, float, float]:
    """Return server time, network time and the set-up that is a part of it, in seconds."""
    phases = result.exchange.phases.as_pairs()
    set_up = sum(seconds for name, seconds in phases if name in {"resolve", "connect", "tls"})
    latency = result.verdict.latency
    return known(latency.server_seconds), known(latency.network_seconds), set_up


def is_accurate(every: Sequence[ProbeResult], *, tls: bool) -> bool:
    """Return whether the least disturbed runs show what is known.

    Whatever else the machine does only adds to a time, so that more runs come closer.
    """
    server, network, set_up = map(min, zip(*map(measured, every), strict=True))
    is_set_up_right = set_up == pytest.approx(NETWORK, abs=0.05) if tls else set_up < 0.05
    return bool(
        len(every) >= RUNS
        and server == pytest.approx(SERVER, abs=0.005)
        and network - set_up == pytest.approx(NETWORK, abs=0.010)
        and is_set_up_right
    )


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_the_phases_add_up(tmp_path: Path, tls: bool) -> None:
    for result in await results(tmp_path, tls=tls):
        phases = dict(result.exchange.phases.as_pairs())
        names = ["resolve", "connect", *(["tls"] if tls else []), "send", "wait", "transfer", "own"]
        assert list(phases) == names
        assert sum(phases.values()) == pytest.approx(result.exchange.total_seconds, abs=1e-6)
