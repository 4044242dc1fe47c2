"""One target under atheris, in a process of its own: `python -m tests.fuzz.one TARGET SECONDS`."""

import sys
import tempfile
from pathlib import Path

import atheris

_OURS = ["prober.classifier", "prober.recorded", "prober.render", "prober.cli.explain"]

with atheris.instrument_imports(include=_OURS):
    from tests.fuzz.targets import MOST_BYTES, SEEDS, TARGETS, WORDS

_FLAGS = (f"-max_len={MOST_BYTES}", "-len_control=0", "-timeout=10", "-print_final_stats=1")


def main(name: str, seconds: str) -> None:
    """Fuzz until the time is up, or a finding ends the process."""
    with tempfile.TemporaryDirectory(prefix="prober-fuzz-") as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        for number, seed in enumerate(SEEDS[name]):
            (corpus / str(number)).write_bytes(seed)
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS[name]))
        flags = [*_FLAGS, f"-max_total_time={seconds}", f"-dict={words}"]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], TARGETS[name])
        atheris.Fuzz()


def _escaped(word: str) -> str:
    """Return a word as libFuzzer's dictionaries want it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode("latin-1"))


if __name__ == "__main__":
    main(*sys.argv[1:])
