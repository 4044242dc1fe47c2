"""A picture of where the daemon's time goes: `make profile` writes build/profile.html.

The daemon runs as in `prober run`, at 200 probes/s against nginx, under pyinstrument.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from pyinstrument import Profiler
from rich.console import Console

from prober.cli.run import run_loop
from prober.config.loader import load
from prober.daemon import run_daemon
from prober.logs import configure_logging
from tests.benchmarks.daemon import Load
from tests.benchmarks.nginx import static_platform

_SAMPLE_SECONDS = 0.0005


def main() -> int:
    """Profile for some seconds and say where the picture is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--connection", choices=("fresh", "reuse"), default="fresh")
    arguments.add_argument("--tls", action="store_true")
    arguments.add_argument("--out", type=Path, default=Path("build/profile.html"))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with static_platform(directory) as platform:
            work = Load(
                platform.url(tls=options.tls),
                options.rate,
                connection=options.connection,
                ca_file=platform.ca_file if options.tls else None,
            )
            settings = directory / "prober.yaml"
            settings.write_text(json.dumps(work.settings(directory)))
            picture = _profiled(settings, options.seconds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(picture)
    Console().print(f"written: {options.out}")
    return 0


def _profiled(settings: Path, seconds: float) -> str:
    """Run the daemon for so long and return the picture, as HTML."""
    configure_logging(sys.stderr, "warning", "json")

    def until(_on_hangup: Callable[[], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.call_later(seconds, ended.set_result, None)
        return ended

    logger, reload = structlog.get_logger("prober"), partial(load, settings)
    profiler = Profiler(interval=_SAMPLE_SECONDS, async_mode="disabled")
    profiler.start()
    run_loop(run_daemon(load(settings), os.environ, logger, until, reload))
    profiler.stop()
    return profiler.output_html()


if __name__ == "__main__":
    sys.exit(main())
