"""Run `python -m tools.mutants [--sample N] [--seed N] [PATTERN ...]`; `make mutants` calls it.

Works on a copy in build/mutants. mutmut makes the mutants; `worker` runs each against the unit
tests that reach its function. Exits with 1 if too many mutants survive.
"""

import argparse
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.mutants.changes import reason_without_effect
from tools.mutants.generate import Mutant, mutate
from tools.mutants.score import (
    LEAST_RATIO,
    Equivalent,
    added_lines,
    equivalent_to,
    killed_ratio,
    own_tests,
    sample,
    survivors,
)

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "mutants"
_FRESH_SECONDS = 300


def main() -> int:
    """Make mutants, run a sample of them, and report which survive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="run so many mutants, chosen at random")
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[1], help="which ones; several: a sample of each"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="run so many at once")
    parser.add_argument("--tests", nargs="+", help="only these tests, to start sooner")
    parser.add_argument("patterns", nargs="*", default=["*"], help="such as 'prober.stats.*'")
    arguments = parser.parse_args()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    _copy(WORK / "tree")
    wanted = _wanted(_mutants(settings["only_mutate"]), arguments.patterns)
    samples = [
        sample([each.name for each in wanted], arguments.sample, seed) for seed in arguments.seed
    ]
    names = {name for each in samples for name in each}
    chosen = {each.name: each for each in wanted if each.name in names}
    _say(f"{len(chosen)} of {len(wanted)} mutants that can have an effect")
    selection = arguments.tests or settings["pytest_add_cli_args_test_selection"]
    statuses = _run(chosen, settings["pytest_add_cli_args"], selection, arguments.jobs)
    ratios = [_report(each, {name: chosen[name] for name in each}, statuses) for each in samples]
    return 0 if min(ratios) >= LEAST_RATIO else 1


def _mutants(patterns: Sequence[str]) -> list[Mutant]:
    """Put all mutants into the copy of the code, and return them."""
    found: list[Mutant] = []
    for path in sorted({path for each in patterns for path in ROOT.glob(each)}):
        name = str(path.relative_to(ROOT))
        code, mutants = mutate(name, path.read_text("utf-8"), WORK / "cache")
        (WORK / "tree" / name).write_text(code, "utf-8")
        found += mutants
    return found


def _wanted(mutants: Iterable[Mutant], patterns: Sequence[str]) -> list[Mutant]:
    """Return the mutants of these names that can have an effect; say how many others there are."""
    named = [m for m in mutants if any(fnmatch.fnmatch(m.name, each) for each in patterns)]
    reasons = {mutant.name: reason_without_effect(mutant.change) for mutant in named}
    for reason, count in Counter(filter(None, reasons.values())).items():
        _say(f"left out {count}: {reason}")
    wanted = [mutant for mutant in named if reasons[mutant.name] is None]
    if not wanted:
        sys.exit(f"no mutant has a name like {' or '.join(patterns)}")
    return wanted


def _run(
    chosen: Mapping[str, Mutant], options: Sequence[str], tests: Sequence[str], jobs: int
) -> dict[str, str]:
    """Return the status of each mutant."""
    plan = WORK / "plan.json"
    mutants = {name: mutant.function for name, mutant in chosen.items()}
    plan.write_text(json.dumps({"mutants": mutants, "jobs": jobs}), "utf-8")
    # In one word: pytest would take the file for one of tests, and search its directory's parents
    # for the configuration.
    plugin = ["-p", "tools.mutants.worker", f"--mutants={plan}"]
    arguments = [*plugin, "-q", *options, *tests]
    _pytest(arguments, "stats", is_shown=True)
    results = json.loads(plan.read_text("utf-8"))
    if "statuses" not in results:
        sys.exit("the tests fail without any mutant: run make unit")
    statuses: dict[str, str] = results["statuses"]
    for name in survivors(statuses):
        # What runs while modules are imported has run when the worker forks.
        if chosen[name].function in results["imported"]:
            own = [str(file.relative_to(ROOT)) for file in ROOT.glob(f"{own_tests(name)}*")]
            is_killed = _pytest(["-x", "-q", *options, *own], name) == 1
            statuses[name] = "killed" if is_killed else statuses[name]
    return statuses


def _report(
    names: Sequence[str], chosen: Mapping[str, Mutant], statuses: Mapping[str, str]
) -> float:
    """Print the survivors of a sample, and return how much of it was killed."""
    surviving = survivors({name: statuses[name] for name in names})
    known = _equivalents()
    alive = 0
    for name in surviving:
        if equivalent_to(name, added_lines(chosen[name].diff), known) is None:
            alive += 1
            _say(f"\n{name}: {statuses[name]}\n{chosen[name].diff}")
    ratio = killed_ratio(len(chosen), len(surviving), len(surviving) - alive)
    equivalent = len(surviving) - alive
    _say(f"{ratio:.1%} of {len(chosen)} killed; {alive} survived, {equivalent} cannot be killed")
    return ratio


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _equivalents() -> list[Equivalent]:
    content = tomllib.loads((ROOT / "tools" / "mutants" / "equivalent.toml").read_text("utf-8"))
    return [Equivalent(**each) for each in content["equivalent"]]


def _copy(target: Path) -> None:
    """Make a copy of the repository's files."""
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
    shutil.rmtree(target, ignore_errors=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _pytest(arguments: Sequence[str], mutant: str, *, is_shown: bool = False) -> int:
    """Run pytest in the copy with a mutant; return its exit code, 1 for failed tests or none."""
    tree = WORK / "tree"
    environment = {**os.environ, "PYTHONPATH": str(tree), "MUTANT_UNDER_TEST": mutant}
    command = [shutil.which("nice") or "nice", "-n", "5", sys.executable, "-m", "pytest"]
    output = None if is_shown else subprocess.DEVNULL
    try:
        return subprocess.run(  # noqa: S603 -- our own arguments
            [*command, *arguments],
            cwd=tree,
            env=environment,
            stdout=output,
            stderr=output,
            timeout=None if is_shown else _FRESH_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
