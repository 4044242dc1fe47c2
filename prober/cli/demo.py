"""`prober demo`: the daemon on a simulated platform, with a fault of each kind, live."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click
import structlog
import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from prober.cli.demo_watch import DemoWatch
from prober.cli.exit_status import OTHER_ERROR
from prober.cli.output import console
from prober.cli.run import first_signal, run_loop
from prober.cli.simulate import DEFAULT_TENANTS, parse_tenant
from prober.daemon import Daemon
from prober.recorders.log import configure_logging
from prober.settings.load import load
from prober.settings.resolve import Configuration
from prober.simulator.control import create_control
from prober.simulator.latency import Latency
from prober.simulator.scenario import Phase, demo_scenario, play
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.views.status import StatusTable
from prober.web.server import listen

_ENVIRONMENTS = {"acme-prod": "production", "acme-dev": "development", "legacy": "production"}
_PROBES = (
    "current-user",
    "datasets",
    {"use": "stream-fetch", "dataset": "ops/mail", "stream": "triage"},
)
_INTERVAL_SECONDS = 5.0
_PICTURES_PER_SECOND = 4


@click.command()
@click.option("--once", is_flag=True, help="End after the scenario; else it begins anew.")
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 5),
    default=1.0,
    show_default=True,
    help="Play the scenario faster.",
)
@click.option(
    "--port", default=9824, show_default=True, help="For page and metrics; 0 takes a free one."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep configuration, tokens and log there. Default: a temporary one, removed at the end.",
)
def demo(*, once: bool, speed: float, port: int, directory: Path | None) -> None:
    """Start a simulated platform and the daemon on it, and watch verdicts change for two minutes.

    Needs no configuration and no account; everything stays on this machine. One after the other
    you see a slow network, a network that is down, errors of the platform, and a token that
    somebody regenerated elsewhere, each with its culprit. Ctrl-C ends it.

    \b
    Example:
      prober demo
      prober demo --once --speed 5     a quick check: exit 0 if every verdict was the expected one
    """
    with _files(directory) as chosen:
        unexpected = run_loop(Demo(chosen, speed, port).play(once=once))
    for line in unexpected:
        click.echo(f"not as expected: {line}", err=True)
    click.get_current_context().exit(OTHER_ERROR if unexpected else 0)


def _with_open_writes(configuration: Configuration) -> Configuration:
    """Let anybody on this machine run a probe of the simulated platform; no file can say so."""
    return replace(
        configuration,
        web=replace(configuration.web, ad_hoc_runs=True),
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
    """Platform, daemon and screen of one demo."""

    def __init__(
        self, directory: Path, speed: float, port: int, out: Console | None = None
    ) -> None:
        self._directory = directory
        self._speed = speed
        self._port = port
        self._scenario = demo_scenario()
        self._out = console() if out is None else out
        self._where: list[str] = []

    async def play(self, *, once: bool) -> list[str]:
        """Run until the scenario has ended (`once`) or a signal comes; return what surprised."""
        async with AsyncExitStack() as resources:
            simulator = await resources.enter_async_context(Simulator(self._simulated()))
            control = await listen(create_control(simulator), "127.0.0.1", 0)
            resources.push_async_callback(control.close)
            configuration = await asyncio.to_thread(self._configure, simulator)
            watch = DemoWatch(configuration.tenants, None if self._lively else click.echo)
            log = resources.enter_context(configuration.source.with_name("prober.log").open("a"))
            configure_logging(log, configuration.log.level, "json")
            resources.callback(configure_logging, sys.stderr, "warning", "auto")
            daemon = Daemon(configuration, os.environ, structlog.get_logger("prober"), (watch,))
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
            for line in self._where if not self._lively else ():
                click.echo(line)
            await self._watch_scenario(simulator, watch, once=once)
            return watch.unexpected

    @property
    def _lively(self) -> bool:
        return self._out.is_terminal

    def _simulated(self) -> SimulatorConfig:
        return SimulatorConfig(
            tenants=tuple(parse_tenant(text, networks=True) for text in DEFAULT_TENANTS),
            latency=Latency(0.12, 0.2),
            token_directory=self._directory,
        )

    def _configure(self, simulator: Simulator) -> Configuration:
        interval_ms = int(_INTERVAL_SECONDS / self._speed * 1000)
        written = {
            "web": {"listen": f"127.0.0.1:{self._port}"},
            "defaults": {"interval": f"{interval_ms}ms", "proxy": "none"},
            "schedule": {"grace": "3s"},
            "state": {"directory": "state"},
            "tenants": [
                {
                    "name": name,
                    "base_url": simulator.base_url(name),
                    "environment": _ENVIRONMENTS[name],
                    "token": {"file": f"{name}.token"},
                    "probes": list(_PROBES),
                }
                for name in simulator.world.tenants
            ],
        }
        file = self._directory / "prober.yaml"
        file.write_text(yaml.safe_dump(written, sort_keys=False))
        return _with_open_writes(load(file))

    async def _watch_scenario(self, simulator: Simulator, watch: DemoWatch, *, once: bool) -> None:
        ended = first_signal()
        playing = asyncio.create_task(self._play(simulator, watch, once=once), name="scenario")
        showing = asyncio.create_task(self._show(watch), name="screen")
        await asyncio.wait({playing, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, showing):
            if not task.done():
                task.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        if playing.done() and not playing.cancelled():
            playing.result()

    async def _play(self, simulator: Simulator, watch: DemoWatch, *, once: bool) -> None:
        async def on_phase(phase: Phase) -> None:
            watch.begin(phase, time.time(), self._speed)
            if not self._lively:
                click.echo(f"--- {phase.name}: {phase.say}")

        while True:
            await play(self._scenario, simulator, on_phase, self._speed)
            watch.end()
            if once:
                return

    async def _show(self, watch: DemoWatch) -> None:
        if not self._lively:
            return
        with Live(console=self._out, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self.picture(watch), refresh=True)
                    await asyncio.sleep(1 / _PICTURES_PER_SECOND)
            finally:
                live.update(self.picture(watch), refresh=True)

    def picture(self, watch: DemoWatch) -> RenderableType:
        """Return what the terminal shows now."""
        lines = [Text(f"prober demo: {self._scenario.title}", "bold"), Text()]
        if watch.phase is not None:
            names = [phase.name for phase in self._scenario.phases]
            number = names.index(watch.phase.name) + 1
            left = max(0.0, watch.phase_ends_at - time.time())
            lines.append(
                Text(f"{number} of {len(names)}, {watch.phase.name} ({left:.0f} s left)", "bold")
            )
            lines.append(Text(watch.phase.say))
        where = [Text(line, "dim") for line in (*self._where, "Ctrl-C ends it.")]
        return Group(*lines, Text(), StatusTable(watch.rows()), Text(), *where)
