"""`prober demo`: runs the daemon against a simulated platform and plays a scenario of faults.

The demo compares each result with the scenario's expectations.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Protocol

import click
import structlog
import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from prober.classifier.observation import slow_components
from prober.cli.exit_codes import OTHER_ERROR
from prober.cli.options import console
from prober.cli.run import run_loop, wait_for_stop_signal
from prober.cli.simulate import DEFAULT_TENANTS, parse_tenant
from prober.config.loader import load
from prober.config.resolve import Config
from prober.daemon import Daemon
from prober.formatting import format_latency
from prober.logs import configure_logging
from prober.models import Probe, ProbeResult, Tenant, TokenStatus
from prober.outcomes import LatencyComponent, TokenState
from prober.render.terminal import StatusRow, StatusTable, status_lines
from prober.simulator.admin_api import create_admin_api
from prober.simulator.platform import Latency
from prober.simulator.scenario import (
    Action,
    Expected,
    Phase,
    apply_action,
    demo_scenario,
    play,
)
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.thread import SimulatorThread
from prober.sinks import EventSink
from prober.web.server import listen


class TokenStatuses(Protocol):
    """Provides the state of each tenant's token."""

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """The public state of each tenant's token."""
        ...


def unexpected_result(result: ProbeResult, probe: Probe, expected: Expected) -> str | None:
    """Return how a result differs from the expectation, None if it does not. Pure."""
    reason = result.verdict.reason
    if reason not in expected.reasons:
        return f"{reason} instead of {' or '.join(expected.reasons)}: {result.verdict.evidence}"
    slow = slow_components(result.verdict.latency, probe)
    if expected.slow is not None and expected.slow not in slow:
        return f"the {expected.slow} was not slow"
    if expected.slow is None and slow:
        return f"the {slow[0]} was slow"
    return None


class DemoSink(EventSink):
    """Compares results with a scenario; `report` gets a line when a probe's status changes."""

    def __init__(self, tenants: Sequence[Tenant], report: Callable[[str], None] | None) -> None:
        self.tokens: TokenStatuses | None = None
        self.phase: Phase | None = None
        self.phase_ends_at = 0.0
        self.unexpected: list[str] = []
        self._report = report
        self._began_at = 0.0
        self._seen: set[tuple[str, str]] = set()
        self._results: Counter[str] = Counter()
        self._most_own_seconds: defaultdict[str, float] = defaultdict(float)
        self._most_network_seconds = 0.0
        self._last: dict[tuple[str, str], ProbeResult] = {}
        self._reported: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._tenants = tuple(tenants)
        self._probes: Mapping[tuple[str, str], Probe] = {
            (tenant.name, probe.name): probe for tenant in tenants for probe in tenant.probes
        }

    def begin(self, phase: Phase, now: float, speed: float) -> None:
        """Start a phase, after its actions; `now` is in epoch seconds."""
        self.end()
        self.phase, self._began_at = phase, now
        self.phase_ends_at = now + phase.seconds / speed

    def end(self) -> None:
        """End a phase: every tenant must have had a result, with as much own time as expected."""
        if self.phase is not None:
            self._report_own_time(self.phase)
        self.unexpected += self.missing
        self.phase = None
        self._results.clear()
        self._seen.clear()
        self._most_own_seconds.clear()
        self._most_network_seconds = 0.0

    @property
    def missing(self) -> list[str]:
        """What the phase has not shown yet; empty between two phases."""
        if self.phase is None:
            return []
        return [
            f"{self.phase.name}: {missing}"
            for tenant, expected in self.phase.expect.items()
            if (missing := self._missing(tenant, expected)) is not None
        ]

    def _report_own_time(self, phase: Phase) -> None:
        is_subject = any(expected.own_ms is not None for expected in phase.expect.values())
        if self._report is not None and is_subject:
            own = max(self._most_own_seconds.values(), default=0.0)
            self._report(
                f"{phase.name}: own time up to {format_latency(own)},"
                f" network time at most {format_latency(self._most_network_seconds)}"
            )

    def _missing(self, tenant: str, expected: Expected) -> str | None:
        if not self._results[tenant]:
            return f"no result of {tenant}"
        own_ms = self._most_own_seconds[tenant] * 1000
        if expected.own_ms is not None and own_ms < expected.own_ms:
            return f"{tenant}: at most {own_ms:.0f} ms of own time, {expected.own_ms:g} expected"
        if expected.must_see is not None and (tenant, expected.must_see) not in self._seen:
            return f"{tenant}: no result is {expected.must_see}"
        return None

    def on_result(self, result: ProbeResult) -> None:
        """Check a result, unless its run started before the phase's actions were done."""
        key = (result.tenant, result.probe)
        self._last[key] = result
        self._report_change(key)
        if self.phase is None or result.started_at < self._began_at:
            return
        expected = self.phase.expect.get(result.tenant)
        if expected is None:
            return
        self._results[result.tenant] += 1
        self._seen.add((result.tenant, result.verdict.reason.value))
        own_seconds = result.verdict.latency.own_seconds
        if result.exchange.timing_fallback is not None:  # this system cannot measure own time
            own_seconds = inf
        self._most_own_seconds[result.tenant] = max(
            own_seconds, self._most_own_seconds[result.tenant]
        )
        self._most_network_seconds = max(
            result.verdict.latency.network_seconds or 0.0, self._most_network_seconds
        )
        wrong = unexpected_result(result, self._probes[key], expected)
        if wrong is not None:
            self.unexpected.append(f"{self.phase.name}: {result.tenant}/{result.probe}: {wrong}")

    def rows(self) -> list[StatusRow]:
        """Return the status of every probe."""
        return [
            self._row(tenant, probe.name) for tenant in self._tenants for probe in tenant.probes
        ]

    def _row(self, tenant: Tenant, probe: str) -> StatusRow:
        result = self._last.get((tenant.name, probe))
        token = None if self.tokens is None else self.tokens.statuses[tenant.name]
        slow: tuple[LatencyComponent, ...] = ()
        if result is not None:
            slow = slow_components(result.verdict.latency, self._probes[(tenant.name, probe)])
        return StatusRow(
            tenant=tenant.name,
            environment=tenant.environment,
            probe=probe,
            token_state=TokenState.MISSING if token is None else token.state,
            verdict=None if result is None else result.verdict,
            token_fingerprint=None if token is None else token.fingerprint,
            slow=slow[0] if slow else None,
        )

    def _report_change(self, key: tuple[str, str]) -> None:
        tenant = next(tenant for tenant in self._tenants if tenant.name == key[0])
        row = self._row(tenant, key[1])
        status = (self._last[key].verdict.reason.value, row.slow)
        if self._report is not None and self._reported.get(key) != status:
            self._reported[key] = status
            self._report(status_lines([row])[0])


_ENVIRONMENTS = {"acme-prod": "production", "acme-dev": "development", "legacy": "production"}
_PROBES = (
    "current-user",
    "datasets",
    {"use": "stream-fetch", "dataset": "ops/mail", "stream": "triage"},
)
_INTERVAL_SECONDS = 5.0
_FRAMES_PER_SECOND = 4
_MAX_EXTRA_SECONDS = 20.0
"""How much longer a phase lasts while an expected result is missing, on a busy machine."""
_FREE_SECONDS = 0.1
"""How long the event loop runs between two blocks: shorter than a response takes."""


@click.command()
@click.option("--once", is_flag=True, help="Stop after the scenario; else it starts again.")
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 5),
    default=1.0,
    show_default=True,
    help="Speed factor of the scenario.",
)
@click.option(
    "--port",
    default=9824,
    show_default=True,
    help="Port of page and metrics; 0 selects a free port.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for configuration, tokens and log. Default: temporary, removed at the end.",
)
def demo(*, once: bool, speed: float, port: int, directory: Path | None) -> None:
    """Run the daemon against a simulated platform and watch verdicts change for two minutes.

    Needs no configuration and no account; everything stays on this machine. It shows a slow and a
    broken network, errors of the platform, and a token that was regenerated elsewhere, each with
    its culprit. A busy prober is not mistaken for a slow network. Ctrl-C stops it.

    \b
    Example:
      prober demo
      prober demo --once --speed 5     a quick check: exit 0 if all verdicts were as expected
    """
    with _files(directory) as chosen:
        unexpected = run_loop(Demo(chosen, speed, port).play(once=once))
    for line in unexpected:
        click.echo(f"not as expected: {line}", err=True)
    click.get_current_context().exit(OTHER_ERROR if unexpected else 0)


def _with_writes_enabled(configuration: Config) -> Config:
    """Enable ad-hoc runs without authentication, which no configuration file can do."""
    return replace(
        configuration,
        web=configuration.web.model_copy(update={"enable_run_now": True}),
        access=replace(configuration.access, writes_are_open=True),
    )


@contextmanager
def _files(directory: Path | None) -> Iterator[Path]:
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="prober-demo-") as made:
            yield Path(made)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory


class Demo:
    """The platform, daemon and screen of a demo."""

    def __init__(
        self, directory: Path, speed: float, port: int, out: Console | None = None
    ) -> None:
        self._directory = directory
        self._speed = speed
        self._port = port
        self._scenario = demo_scenario()
        self._out = console() if out is None else out
        self._where: list[str] = []
        self._block_seconds = 0.0

    async def play(self, *, once: bool) -> list[str]:
        """Run until the scenario ends (`once`) or a signal; return unexpected results."""
        # Before anything is printed: who has read the addresses may press Ctrl-C.
        stop_requested = wait_for_stop_signal()
        async with AsyncExitStack() as resources:
            simulated = SimulatorThread(self._run_simulated())
            platform = await resources.enter_async_context(simulated)
            simulator = platform.simulator
            control = await platform.run(listen(create_admin_api(simulator), "127.0.0.1", 0))
            resources.push_async_callback(lambda: platform.run(control.close()))
            configuration = await asyncio.to_thread(self._configure, simulator)
            watch = DemoSink(configuration.tenants, None if self._run_live else click.echo)
            log = resources.enter_context(configuration.source.with_name("prober.log").open("a"))
            configure_logging(log, configuration.log.level, "json")
            resources.callback(configure_logging, sys.stderr, "warning", "auto")
            daemon = Daemon(
                configuration, os.environ, structlog.get_logger("prober"), {"demo": watch}
            )
            await daemon.start()
            resources.push_async_callback(daemon.stop)
            watch.tokens = daemon.tokens
            assert daemon.listening is not None  # noqa: S101 -- it has been started
            self._where = [
                f"page      {daemon.listening.url}/",
                f"metrics   {daemon.listening.url}/metrics",
                f"faults    {control.url}   (faults on demand, by curl)",
                f"log       {self._directory / 'prober.log'}",
                f"settings  {configuration.source}",
            ]
            for line in self._where if not self._run_live else ():
                click.echo(line)
            playing = self._play(platform, watch, once=once)
            await self._watch_scenario(playing, watch, stop_requested)
            return watch.unexpected

    @property
    def _run_live(self) -> bool:
        return self._out.is_terminal

    def _run_simulated(self) -> SimulatorConfig:
        return SimulatorConfig(
            tenants=tuple(parse_tenant(text, networks=True) for text in DEFAULT_TENANTS),
            latency=Latency(0.12, 0.2),
            token_directory=self._directory,
        )

    def _configure(self, simulator: Simulator) -> Config:
        interval_ms = int(_INTERVAL_SECONDS / self._speed * 1000)
        written = {
            "web": {"listen": f"127.0.0.1:{self._port}"},
            "defaults": {"interval": f"{interval_ms}ms", "proxy": "none"},
            "shutdown_timeout": "3s",
            "state": {"directory": "state"},
            "tenants": [
                {
                    "name": name,
                    "base_url": simulator.base_url(name),
                    "environment": _ENVIRONMENTS[name],
                    "token": {"file": f"{name}.token"},
                    "probes": list(_PROBES),
                }
                for name in simulator.state.tenants
            ],
        }
        file = self._directory / "prober.yaml"
        file.write_text(yaml.safe_dump(written, sort_keys=False))
        return _with_writes_enabled(load(file))

    async def _watch_scenario(
        self,
        scenario: Coroutine[Any, Any, None],
        watch: DemoSink,
        stop_requested: asyncio.Future[None],
    ) -> None:
        playing = asyncio.create_task(scenario, name="scenario")
        beside = (
            asyncio.create_task(self._show(watch), name="screen"),
            asyncio.create_task(self._block(), name="block"),
        )
        await asyncio.wait({playing, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, *beside):
            if not task.done():
                task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if playing.done() and not playing.cancelled():
            playing.result()

    async def _block(self) -> None:
        """Block the event loop again and again, as long as the scenario has it so."""
        while True:
            await asyncio.sleep(_FREE_SECONDS)
            time.sleep(self._block_seconds)  # noqa: ASYNC251 -- that is what it is for

    async def _apply(self, platform: SimulatorThread, action: Action) -> None:
        if action.block_prober_ms is not None:
            self._block_seconds = action.block_prober_ms / 1000
        else:
            await platform.run(apply_action(action, platform.simulator))

    async def _play(self, platform: SimulatorThread, watch: DemoSink, *, once: bool) -> None:
        async def on_phase(phase: Phase) -> None:
            watch.begin(phase, time.time(), self._speed)
            if not self._run_live:
                click.echo(f"--- {phase.name}: {phase.description}")

        async def on_end() -> None:
            # Before the next phase's actions: runs that they interrupt belong to no phase.
            await _wait_for_results(watch)
            watch.end()

        apply = partial(self._apply, platform)
        while True:
            await play(self._scenario, apply, on_phase, self._speed, on_end)
            if once:
                return

    async def _show(self, watch: DemoSink) -> None:
        if not self._run_live:
            return
        with Live(console=self._out, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self.screenshot(watch), refresh=True)
                    await asyncio.sleep(1 / _FRAMES_PER_SECOND)
            finally:
                live.update(self.screenshot(watch), refresh=True)

    def screenshot(self, watch: DemoSink) -> RenderableType:
        """Return the current content of the terminal."""
        lines = [Text(f"prober demo: {self._scenario.title}", "bold"), Text()]
        if watch.phase is not None:
            names = [phase.name for phase in self._scenario.phases]
            number = names.index(watch.phase.name) + 1
            left = max(0.0, watch.phase_ends_at - time.time())
            lines.append(
                Text(f"{number} of {len(names)}, {watch.phase.name} ({left:.0f} s left)", "bold")
            )
            lines.append(Text(watch.phase.description))
        where = [Text(line, "dim") for line in (*self._where, "Ctrl-C stops it.")]
        return Group(*lines, Text(), StatusTable(watch.rows()), Text(), *where)


async def _wait_for_results(watch: DemoSink) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_EXTRA_SECONDS):
            while watch.missing:  # noqa: ASYNC110 -- nothing signals a result
                await asyncio.sleep(_FREE_SECONDS)
