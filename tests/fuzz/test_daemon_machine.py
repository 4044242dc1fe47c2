"""A daemon through any order of settings, reloads and faults, beside a model of what must hold.

The daemon is the real one, over real sockets to the simulator; only its schedule is replaced by the
machine, which lets runs fall due.
"""

import asyncio
import os
import re
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from prober.config.loader import load
from prober.daemon import Daemon
from prober.outcomes import CLASSIFICATION, Reason
from prober.simulator.faults import FAULTS, FaultLayer
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from tests.integration.daemons import SILENT

TENANTS = ("a", "b", "c")
PROBES = ("datasets", "current-user")
QUICK_FAULTS = sorted(
    name
    for name, fault in FAULTS.items()
    if fault.layer is FaultLayer.RESPONSE
    # A rejected token and a Retry-After of a 429 keep later runs from being started.
    and fault.reason not in {"response_timeout", "token_rejected", "rate_limited"}
)
LIMIT_SECONDS = 20.0
_T = TypeVar("_T")


def written(tenants: frozenset[str], probes: int, base_urls: dict[str, str]) -> str:
    return yaml.safe_dump(
        {
            "web": {"listen": "127.0.0.1:0"},
            "state": {"directory": "state"},
            "history": {"enabled": False},
            "reload": {"on_change": False},
            "defaults": {"interval": "1h", "timeout": "5s", "proxy": "none"},
            "tenants": [
                {
                    "name": name,
                    "base_url": base_urls[name],
                    "token": {"file": f"{name}.token"},
                    "probes": list(PROBES[:probes]),
                    "objectives": {"availability": 0.5},
                }
                for name in sorted(tenants)
            ],
        }
    )


class DaemonMachine(RuleBasedStateMachine):
    """`model` counts, for each tenant and probe that there is, its runs by reason."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory(prefix="prober-machine-")
        self.file = Path(self.directory.name, "prober.yaml")
        self.model: dict[tuple[str, str], Counter[str]] = {}
        self.faults: dict[str, str] = {}
        self.is_file_good = self.is_current = True
        self.simulator = Simulator(
            SimulatorConfig(
                tuple(SimulatedTenant(name, TenantAddress("acme", name)) for name in TENANTS),
                latency=Latency(0.0, 0.0),
                token_directory=Path(self.directory.name),
            )
        )

    def done(self, work: Awaitable[_T]) -> _T:
        return self.loop.run_until_complete(asyncio.wait_for(work, LIMIT_SECONDS))

    @initialize()
    def begin(self) -> None:
        self.done(self.simulator.__aenter__())
        self.base_urls = {name: self.simulator.base_url(name) for name in TENANTS}
        self.write(frozenset("a"), 1)
        self.daemon = Daemon(load(self.file), os.environ, SILENT, load=lambda: load(self.file))
        self.done(self.daemon.start())
        self.model = {("a", "datasets"): Counter()}

    def teardown(self) -> None:
        self.done(self.daemon.stop())
        self.done(self.simulator.__aexit__(None, None, None))
        assert asyncio.all_tasks(self.loop) == set()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    @rule(tenants=st.frozensets(st.sampled_from(TENANTS), min_size=1), probes=st.integers(1, 2))
    def write(self, tenants: frozenset[str], probes: int) -> None:
        self.file.write_text(written(tenants, probes, self.base_urls))
        self.in_file = {(t, probe) for t in tenants for probe in PROBES[:probes]}
        self.is_file_good = True

    @rule(cut=st.integers(1, 60))
    def write_half(self, cut: int) -> None:
        self.file.write_text(self.file.read_text()[:-cut] + "\n  - [")
        self.is_file_good = False

    @rule()
    def reload(self) -> None:
        assert self.daemon._reloader is not None
        problems = self.done(self.daemon._reloader.reload())
        assert bool(problems) == (not self.is_file_good)
        self.is_current = self.is_file_good
        if self.is_file_good:
            new = {tenant for tenant, _ in self.in_file} - {tenant for tenant, _ in self.model}
            self.model = {key: self.model.get(key, Counter()) for key in self.in_file}
            self.done(self.tokens_read())
            for tenant in new:
                self.take_note_of_a_run_at_once(tenant)

    def take_note_of_a_run_at_once(self, tenant: str) -> None:
        """A token that was not known before is tried at once, by the first probe."""
        key = (tenant, PROBES[0])
        if (counted := self.exported()[key]).total():
            assert counted == Counter([self.expected(tenant)])
            self.model[key] = counted

    @rule(tenant=st.sampled_from(TENANTS), fault=st.sampled_from(QUICK_FAULTS))
    def break_it(self, tenant: str, fault: str) -> None:
        self.done(self.simulator.clear_faults(tenant))
        self.done(self.simulator.set_fault(fault, tenant))
        self.faults[tenant] = fault

    @rule(tenant=st.sampled_from(TENANTS))
    def mend_it(self, tenant: str) -> None:
        self.done(self.simulator.clear_faults(tenant))
        self.faults.pop(tenant, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.done(self.run_to_its_end(*key))
        self.model[key][self.expected(key[0])] += 1

    @invariant()
    def what_is_exported_is_what_happened(self) -> None:
        assert self.exported() == self.model
        is_current = f"prober_config_last_reload_successful {float(self.is_current)}\n"
        assert is_current in self.daemon.metrics.render(False).decode()

    def expected(self, tenant: str) -> str:
        fault = self.faults.get(tenant)
        return Reason.OK if fault is None else FAULTS[fault].reason

    def exported(self) -> dict[tuple[str, str], Counter[str]]:
        text = self.daemon.metrics.render(False).decode()
        found: dict[tuple[str, str], Counter[str]] = {}
        pattern = r'^prober_probe_runs_total\{.*probe="(.*?)",reason="(.*?)",tenant="(.*?)"\} (.*)$'
        for probe, reason, tenant, value in re.findall(pattern, text, re.MULTILINE):
            assert reason in CLASSIFICATION
            counted = found.setdefault((tenant, probe), Counter())
            if float(value):
                counted[reason] = int(float(value))
        return found

    async def tokens_read(self) -> None:
        while any(each.fingerprint is None for each in self.daemon.tokens.statuses.values()):
            await self.daemon.tokens._source_watcher.poll()
        await self.all_ended()

    async def run_to_its_end(self, tenant: str, probe: str) -> None:
        self.daemon._runner.on_due(tenant, probe, self.loop.time())
        await self.all_ended()

    async def all_ended(self) -> None:
        while self.daemon._runner.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # the task's own end is what is waited for


DaemonMachine.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
TestDaemon = DaemonMachine.TestCase
