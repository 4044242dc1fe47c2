"""The program's entry point: signal handlers first, then everything that takes time to import."""

import gc
import sys

from prober.cli import early_signals

_GC_THRESHOLD = 100_000


def main() -> None:
    """Run the `prober` command."""
    early_signals.install(sys.argv)
    # Imports make many objects and no garbage. The daemon sets thresholds of its own later.
    gc.set_threshold(_GC_THRESHOLD)
    from prober.cli.main import main as run_command  # noqa: PLC0415 -- after the handlers

    run_command()
