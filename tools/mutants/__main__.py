"""Run `python -m tools.mutants [--sample N] [--seed N] [PATTERN ...]`; `make mutants` calls it.

Works on a copy in build/mutants, with mutmut: one process, one mutant at a time, each against the
unit tests that reach it. Exits with 1 if too many mutants survive.
"""

import argparse
import fnmatch
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.mutants.score import (
    LEAST_RATIO,
    Equivalent,
    added_lines,
    equivalent_to,
    killed_ratio,
    sample,
    survivors,
)

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "mutants"
_NO_MUTANT = "none.*"
"""Makes mutmut create all mutants and find out which tests reach them, and run none."""


def main() -> int:
    """Make mutants, run a sample of them, and report which survive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="run so many mutants, chosen at random")
    parser.add_argument("--seed", type=int, default=1, help="which ones are chosen")
    parser.add_argument("patterns", nargs="*", default=["*"], help="such as 'prober.stats.*'")
    arguments = parser.parse_args()
    _copy()
    _mutmut("run", "--max-children", "1", _NO_MUTANT, is_shown=False)
    every = _statuses()
    if not every:
        sys.exit("mutmut made no mutants: run it in build/mutants to see why")
    wanted = [n for n in every if any(fnmatch.fnmatch(n, p) for p in arguments.patterns)]
    chosen = sample(wanted, arguments.sample, arguments.seed)
    _say(f"{len(chosen)} of {len(every)} mutants")
    _mutmut("run", "--max-children", "1", *chosen, is_shown=True)
    return _report(chosen)


def _report(chosen: list[str]) -> int:
    statuses = _statuses()
    surviving = survivors({name: statuses[name] for name in chosen})
    known = _equivalents()
    alive = 0
    for name in surviving:
        diff = _mutmut("show", name, is_shown=False)
        reason = equivalent_to(name, added_lines(diff), known)
        if reason is None:
            alive += 1
            _say(diff)
    ratio = killed_ratio(len(chosen), len(surviving), len(surviving) - alive)
    equivalent = len(surviving) - alive
    _say(f"{ratio:.1%} killed; {alive} survived, {equivalent} cannot be killed")
    return 0 if ratio >= LEAST_RATIO else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _equivalents() -> list[Equivalent]:
    content = tomllib.loads((ROOT / "tools" / "mutants" / "equivalent.toml").read_text("utf-8"))
    return [Equivalent(**each) for each in content["equivalent"]]


def _copy() -> None:
    """Copy the repository's files; keep what mutmut knows of those that have not changed."""
    listed = subprocess.run(  # noqa: S603 -- our own arguments
        [
            shutil.which("git") or "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source, target = ROOT / name, WORK / name
        if not name or not source.is_file():
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _statuses() -> dict[str, str]:
    """Return the status of each mutant by its name."""
    text = _mutmut("results", "--all", "true", is_shown=False)
    pairs = (line.strip().partition(": ") for line in text.splitlines() if ": " in line)
    return {name: status for name, _, status in pairs}


def _mutmut(*arguments: str, is_shown: bool) -> str:
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [
            shutil.which("nice") or "nice",
            "-n",
            "10",
            str(Path(sys.executable).with_name("mutmut")),
            *arguments,
        ],
        cwd=WORK,
        stdout=None if is_shown else subprocess.PIPE,
        stderr=None if is_shown else subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return done.stdout or ""


if __name__ == "__main__":
    raise SystemExit(main())
