"""`make fuzz`: every target under atheris, each in a process of its own, for so long in all.

Ends with 1 at the first finding, whose input libFuzzer leaves in the current folder.
"""

import argparse
import subprocess
import sys

import click

from tests.fuzz.targets import TARGETS

_PATIENCE_SECONDS = 60


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS)
    arguments = parser.parse_args()
    names = [arguments.target] if arguments.target else list(TARGETS)
    seconds = max(1, arguments.seconds // len(names))
    for name in names:
        click.echo(f"--- {name}, {seconds} s")
        command = [sys.executable, "-m", "tests.fuzz.one", name, str(seconds)]
        if subprocess.run(command, check=False, timeout=seconds + _PATIENCE_SECONDS).returncode:
            click.echo(f"{name}: a finding, see above", err=True)
            return 1
    click.echo("no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
