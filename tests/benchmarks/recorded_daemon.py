"""The daemon as `prober run` runs it, which writes down each run and each hold of its loop.

A program of its own: `python -m tests.benchmarks.recorded_daemon CONFIG OUT [--holds]`. At its end
it writes OUT, as JSON: rows of [epoch seconds, server error, network error, bound of doubt] for
answers of `known_target`, latenesses as [epoch seconds, seconds], and holds as [epoch seconds,
seconds, CPU seconds of the loop's thread meanwhile]; all in seconds.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from prober.cli.run import run_loop, wait_for_stop_signal
from prober.config.loader import load
from prober.daemon import Daemon, tune_gc_and_switch_interval
from prober.logs import configure_logging
from prober.models import ProbeResult
from prober.sinks import EventSink
from tests.benchmarks.timed_server import NETWORK_HEADER

_TICK_SECONDS = 0.001
_LEAST_HOLD_SECONDS = 0.0005


class Recording(EventSink):
    """Records how far results are from the truth."""

    def __init__(self) -> None:
        self.errors: list[tuple[float, float, float, float]] = []
        self.latenesses: list[tuple[float, float]] = []
        self.holds: list[tuple[float, float, float]] = []

    def on_result(self, result: ProbeResult) -> None:
        """Compare a result with what the server measured."""
        response, latency = result.exchange.response, result.verdict.latency
        if response is None or latency.network_seconds is None or latency.server_seconds is None:
            return
        known = response.header_values(NETWORK_HEADER)
        if not known:
            return
        phases = dict(result.exchange.phases.as_pairs())
        set_up = sum(phases.get(name, 0.0) for name in ("resolve", "connect", "tls"))
        told = float(response.header_values("server-timing")[0].partition("dur=")[2]) / 1e3
        self.errors.append(
            (
                result.started_at,
                latency.server_seconds - told,
                latency.network_seconds - set_up - float(known[0]) / 1e3,
                result.exchange.loop_lag_seconds,
            )
        )

    def heard(self, tell: Callable[[float], None], lateness_seconds: float) -> None:
        """Write a lateness down, and pass it on."""
        self.latenesses.append((time.time(), lateness_seconds))
        tell(lateness_seconds)

    async def watch(self) -> None:
        """Write down how long the loop was held at a time."""
        last, used = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now, now_used = time.perf_counter(), time.thread_time()
            hold = now - last - _TICK_SECONDS
            if hold > _LEAST_HOLD_SECONDS:
                self.holds.append((time.time(), hold, now_used - used))
            last, used = now, now_used


async def _run(config: Path, recording: Recording, *, holds: bool) -> None:
    logger = structlog.get_logger("prober")
    daemon = Daemon(
        load(config), os.environ, logger, extra={"recording": recording}, load=partial(load, config)
    )
    tune_gc_and_switch_interval()
    daemon.metrics.run_started = partial(  # type: ignore[method-assign]
        recording.heard, daemon.metrics.run_started
    )
    ended = wait_for_stop_signal(daemon.request_reload)
    await daemon.start()
    watching = asyncio.create_task(recording.watch()) if holds else None
    await ended
    if watching is not None:
        watching.cancel()
    await daemon.stop()


def main() -> None:
    """Run until a signal comes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--holds", action="store_true")
    options = arguments.parse_args()
    configure_logging(sys.stderr, "info", "json")
    recording = Recording()
    run_loop(_run(options.config, recording, holds=options.holds))
    rows = {
        "errors": recording.errors,
        "latenesses": recording.latenesses,
        "holds": recording.holds,
    }
    options.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
