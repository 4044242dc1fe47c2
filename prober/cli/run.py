"""`prober run`: the daemon."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from prober.cli import early_signals
from prober.cli.options import SHARD, config_option, web_config_option
from prober.models import Shard

if TYPE_CHECKING:
    from prober.config.resolve import Config

_T = TypeVar("_T")


@click.command()
@config_option
@web_config_option
@click.option(
    "--shard",
    type=SHARD,
    default="0/1",
    help="Probe only the tenants of one shard: INDEX/COUNT, from 0, such as 0/3, 1/3 and 2/3.",
)
def run(config_file: Path, web_config_file: Path | None, shard: Shard) -> None:
    """Run the daemon: probe all tenants on schedule and export metrics.

    \b
    Example:
      prober run --config config/prober.yaml
      curl http://127.0.0.1:9824/metrics

    SIGHUP and changes of the file (reload.on_change) reload the configuration. An invalid
    file is rejected as a whole. Unchanged tenants are unaffected.

    With --shard, several daemons share the tenants: all read the same configuration, each tenant
    belongs to exactly one shard, and adding a shard moves few tenants. Shards are counted from 0,
    like the pods of a StatefulSet: --shard "$(POD_INDEX)/3". Each needs its own state directory.

    SIGTERM or SIGINT stops the daemon: it starts no new requests, waits up to shutdown_timeout for
    those in flight, and exits with 0. A second signal stops it at once.

    Exit status: 0; 1 if the port is in use; 2 if the configuration is invalid (all problems are
    listed).
    """
    # Late: `--help`, `demo` and `simulate` import this module too.
    import structlog  # noqa: PLC0415

    from prober.config.limits import check_series_limit  # noqa: PLC0415
    from prober.config.loader import load  # noqa: PLC0415
    from prober.config.sharding import filter_shard  # noqa: PLC0415
    from prober.daemon import run_daemon  # noqa: PLC0415
    from prober.logs import configure_logging, is_journal  # noqa: PLC0415

    def read() -> "Config":
        return filter_shard(load(config_file, web_config_file), shard)

    configuration = check_series_limit(read())
    configure_logging(
        sys.stderr,
        configuration.log.level,
        configuration.log.format,
        is_journal=is_journal(sys.stderr, os.environ),
    )
    logger = structlog.get_logger("prober")
    run_loop(run_daemon(configuration, os.environ, logger, wait_for_stop_signal, read))


def wait_for_stop_signal(on_hangup: Callable[[], None] | None = None) -> asyncio.Future[None]:
    """Return a future that completes at the first SIGTERM or SIGINT; the second one kills."""
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
        if early_signals.take_hangup():
            on_hangup()
    return received


def run_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` to its end; the timed sockets need asyncio's own event loop."""
    return asyncio.run(main)
