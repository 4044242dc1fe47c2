"""All benchmarks, one after the other: every target beside its measured figure.

`python -m tests.benchmarks [--quick] [--only NAME ...] [--write]`; `--write` renews
docs/benchmarks.json and the table in docs/explanation/performance.md. Exits with 1 if a target
is missed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    cpu_per_probe,
    history_size,
    reading,
    real_pace,
    schedule_delay,
    size,
    start,
    timing_accuracy,
)
from tests.benchmarks.blackbox import blackbox_version
from tests.benchmarks.results import Figure, Surroundings, document, formatted, from_document
from tests.conventions.test_docs import BENCHMARKS as JSON_FILE
from tests.conventions.test_docs import PERFORMANCE, with_bench_table

Measure = Callable[[Path, bool], list[Figure]]

_MEASURED = (
    cpu_per_probe, real_pace, timing_accuracy, schedule_delay, size, history_size, start,
    reading,
)  # fmt: skip
MODULES: Mapping[str, Measure] = {
    "cpu": cpu_per_probe.measure,
    "pace": real_pace.measure,
    "timing": timing_accuracy.measure,
    "punctuality": schedule_delay.measure,
    "size": size.measure,
    "history": history_size.measure,
    "reading": reading.measure,
    "start": start.measure,
}


def main() -> int:
    """Run the chosen benchmarks and print their figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="little of each, to try it")
    arguments.add_argument("--only", nargs="*", choices=MODULES, default=list(MODULES))
    arguments.add_argument("--write", action="store_true", help="write the documents' figures")
    options = arguments.parse_args()
    console, failed = Console(width=150), False
    figures: list[Figure] = []
    for name in options.only:
        console.print(f"measuring {name} ...", style="dim")
        try:
            with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as directory:
                figures += MODULES[name](Path(directory), options.quick)
        except Exception:  # noqa: BLE001 -- the others' figures are not lost for it
            console.print_exception()
            failed = True
    around = surroundings()
    console.print(_table(around, figures))
    if options.write:
        written = json.dumps(document(around, _with_others(figures)), indent=1)
        JSON_FILE.write_text(written + "\n")
        PERFORMANCE.write_text(with_bench_table(PERFORMANCE.read_text()))
    return 1 if failed or any(each.is_met is False for each in figures) else 0


def _with_others(figures: list[Figure]) -> list[Figure]:
    """Return figures, and of the groups that were not measured now those of the last time."""
    _, before = from_document(json.loads(JSON_FILE.read_text()))
    now = {each.group for each in figures}
    kept = {module.GROUP for module in _MEASURED} - now
    return [*(each for each in before if each.group in kept), *figures]


def surroundings() -> Surroundings:
    """Return where this runs."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    libraries = [f"{name} {version(name)}" for name in ("aiohttp",)]
    packages = [f"nginx-light {_debian_version('nginx-light')}", blackbox_version()]
    python = f"Python {platform.python_version()}"
    return Surroundings(
        machine=f"{os.cpu_count()} cores of {cpu}",
        versions=", ".join([python, *libraries, *packages]),
        date=_today().isoformat(),
    )


def _today() -> date:
    return datetime.now(UTC).date()  # noqa: TID251 -- the figures bear their date


def _debian_version(package: str) -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return found.stdout or "not installed"


def _table(around: Surroundings, figures: list[Figure]) -> Table:
    table = Table(title=f"{around.machine}\n{around.versions}")
    for column in ("question", "figure"):
        table.add_column(column)
    for column in ("measured", "at most"):
        table.add_column(column, justify="right")
    table.add_column("remark")
    for each in figures:
        style = {True: "green", False: "bold red", None: None}[each.is_met]
        most = "" if each.target is None else formatted(each.target, each.unit)
        measured = formatted(each.measured, each.unit)
        table.add_row(each.group, each.name, measured, most, each.remark, style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
