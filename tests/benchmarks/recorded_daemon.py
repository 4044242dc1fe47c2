"""The daemon as `prober run` runs it, which writes down each run and each hold of its loop.

A program of its own: `python -m tests.benchmarks.recorded_daemon CONFIG OUT [--holds] [--block]`.
At its end it writes OUT, as JSON: rows of [epoch seconds, number of the request, seconds from
request to response, bound of the error, own seconds, seconds of the whole attempt but the lookup of
the name] for responses of `timed_server`, latenesses
as [epoch seconds, seconds], and holds as [epoch seconds, seconds, CPU seconds of the loop's thread
meanwhile]; all in seconds.
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
from tests.benchmarks.timed_server import NUMBER_HEADER

_TICK_SECONDS = 0.001
_BLOCK_SECONDS = 0.05
_LEAST_HOLD_SECONDS = 0.0005


class Recording(EventSink):
    """Records how far results are from the truth."""

    def __init__(self) -> None:
        self.measured: list[tuple[float, ...]] = []
        self.latenesses: list[tuple[float, float]] = []
        self.holds: list[tuple[float, float, float]] = []

    def on_result(self, result: ProbeResult) -> None:
        """Compare a result with what the server measured."""
        response = result.exchange.response
        if response is None:
            return
        number = response.header_values(NUMBER_HEADER)
        if number:
            self._compare(result, int(number[0]))

    def _compare(self, result: ProbeResult, number: int) -> None:
        exchange = result.exchange
        phases = dict(exchange.phases.as_pairs())
        took = sum(phases.get(name, 0.0) for name in ("send", "wait", "transfer"))
        bound, own = exchange.timing_bound_seconds, phases.get("own", 0.0)
        if exchange.timing_fallback is not None:
            bound = exchange.loop_lag_seconds
        whole = exchange.total_seconds - phases.get("resolve", 0.0)
        self.measured.append((result.started_at, number, took, bound, own, whole))

    async def block(self) -> None:
        """Hold the loop again and again."""
        while True:
            await asyncio.sleep(1.0)
            time.sleep(_BLOCK_SECONDS)  # noqa: ASYNC251 -- that is what it is for

    def on_started(self, record: Callable[[float], None], lateness_seconds: float) -> None:
        """Write a lateness down, and pass it on."""
        self.latenesses.append((time.time(), lateness_seconds))
        record(lateness_seconds)

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


async def _run(config: Path, recording: Recording, *, holds: bool, block: bool) -> None:
    logger = structlog.get_logger("prober")
    daemon = Daemon(
        load(config), os.environ, logger, extra={"recording": recording}, load=partial(load, config)
    )
    tune_gc_and_switch_interval()
    daemon.metrics.run_started = partial(  # type: ignore[method-assign]
        recording.on_started, daemon.metrics.run_started
    )
    ended = wait_for_stop_signal(daemon.request_reload)
    await daemon.start()
    beside = [recording.watch()] * holds + [recording.block()] * block
    tasks = [asyncio.create_task(each) for each in beside]
    await ended
    for task in tasks:
        task.cancel()
    await daemon.stop()


def main() -> None:
    """Run until a signal comes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--holds", action="store_true")
    arguments.add_argument("--block", action="store_true", help="for 50 ms once a second")
    options = arguments.parse_args()
    configure_logging(sys.stderr, "info", "json")
    recording = Recording()
    run_loop(_run(options.config, recording, holds=options.holds, block=options.block))
    rows = {
        "measured": recording.measured,
        "latenesses": recording.latenesses,
        "holds": recording.holds,
    }
    options.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
