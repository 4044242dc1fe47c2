"""`prober run`: the daemon."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from prober.cli.choices import config_option, web_config_option
from prober.daemon import refuse_too_many_series
from prober.daemon import run as run_daemon
from prober.recorders.log import configure_logging
from prober.settings.load import load

_T = TypeVar("_T")


@click.command()
@config_option
@web_config_option
def run(config_file: Path, web_config_file: Path | None) -> None:
    """Run the daemon: probe every tenant on schedule and export what is found.

    \b
    Example:
      prober run --config config/prober.yaml
      curl http://127.0.0.1:9824/metrics

    SIGHUP reads the file anew, and so does a change of it (reload.on_change): all of it or, if it
    cannot be used, nothing. What stays as it was does not notice.

    SIGTERM or SIGINT stops it: nothing new is started, requests in flight may end within
    schedule.grace, then it exits with 0. A second signal ends it at once. A configuration that
    cannot be used: exit 2 with the complete list. A port that is taken: exit 1.
    """
    configuration = refuse_too_many_series(load(config_file, web_config_file))
    configure_logging(sys.stderr, configuration.log.level, configuration.log.format)
    logger = structlog.get_logger("prober")
    reread = partial(load, config_file, web_config_file)
    run_loop(run_daemon(configuration, os.environ, logger, first_signal, reread))


def first_signal(on_hangup: Callable[[], None] | None = None) -> asyncio.Future[None]:
    """Return a future that is done at the first SIGTERM or SIGINT; the second one kills."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        if not received.done():
            received.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if on_hangup is not None:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    return received


def run_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` to its end on uvloop where it is available, else on asyncio's own loop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- not available on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
