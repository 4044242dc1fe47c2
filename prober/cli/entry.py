"""The program's entry point: signal handlers first, then everything that takes time to import."""

import gc
import os
import sys

from prober.cli import early_signals

_GC_THRESHOLD = 300_000


def main() -> None:
    """Run the `prober` command."""
    _open_standard_streams()
    early_signals.install(sys.argv)
    # Imports make many objects and no garbage. The daemon sets thresholds of its own later.
    gc.set_threshold(_GC_THRESHOLD)
    from prober.cli.main import main as run_command  # noqa: PLC0415 -- after the handlers

    run_command()


def _open_standard_streams() -> None:
    """Open /dev/null in place of standard streams that are closed.

    Python has None for such a stream. And a file or a socket that is opened later would get its
    number, so that what a library writes to standard error would end up there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123 -- it stays
            setattr(sys, name, stream)
