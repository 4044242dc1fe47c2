"""A proxy that demands a log-in is not the platform: row 5, on a real socket."""

from pathlib import Path

from prober.cli.probe import run_probes
from prober.simulator.platform import TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from tests.builders import a_probe, a_tenant, a_transport


async def test_a_proxy_that_demands_a_log_in_is_named(tmp_path: Path) -> None:
    async with Simulator(
        SimulatorConfig((SimulatedTenant("a", TenantAddress("a", "b")),))
    ) as proxy:
        probe = a_probe(timeout_seconds=60.0)
        tenant = a_tenant(
            base_url="https://platform.invalid",
            transport=a_transport(proxy_url=proxy.url, proxy_from_environment=False),
            probes=(probe,),
        )
        variable = tenant.token.location
        every = [r async for r in run_probes(tenant, [probe], {variable: "a-token"}, tmp_path)]
    verdict = every[0].verdict
    assert (verdict.reason, verdict.culprit, verdict.responder, verdict.rule) == (
        "proxy",
        "network",
        "intermediary",
        "5",
    )
