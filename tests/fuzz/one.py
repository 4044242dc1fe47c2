"""One target under atheris, in a process of its own: `python -m tests.fuzz.one TARGET SECONDS`."""

import sys
import tempfile
from pathlib import Path

import atheris

_OURS = ["prober.verdict", "prober.exchange.saved", "prober.views", "prober.cli.explain"]

with atheris.instrument_imports(include=_OURS):
    from tests.fuzz.targets import MOST_BYTES, SEEDS, TARGETS


def main(name: str, seconds: str) -> None:
    """Fuzz until the time is up, or a finding ends the process."""
    with tempfile.TemporaryDirectory(prefix="prober-fuzz-") as corpus:
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(seed)
        flags = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=10"]
        atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
