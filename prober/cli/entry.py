"""The program's entry point: signal handlers first, then everything that takes time to import."""

import sys

from prober.cli import early_signals


def main() -> None:
    """Run the `prober` command."""
    early_signals.install(sys.argv)
    from prober.cli.main import main as run_command  # noqa: PLC0415 -- after the handlers

    run_command()
