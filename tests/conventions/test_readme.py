"""The README tells the truth: its tables are the code's, its map is the tree, its commands run.

`python tests/conventions/test_readme.py` writes the tables anew.
"""

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from prober.classifier.oauth_rules import identity_table
from prober.classifier.rules import RuleDescription, describe_rules
from prober.metrics.definitions import METRIC_DEFINITIONS
from tests.benchmarks.results import from_document, markdown

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.json"


def outcome_table(rows: Iterable[RuleDescription] = describe_rules()) -> str:
    lines = [
        "| # | what was seen | outcome | reason | culprit | who answered |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.number} | {row.when} | {row.outcome} | `{row.reason}` | {row.culprit} |"
        f" {row.responder} |"
        for row in rows
    ]
    return "\n".join(lines)


def identity_outcome_table() -> str:
    return outcome_table(identity_table())


def metrics_table() -> str:
    lines = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{family.name}` | {family.kind} | {', '.join(family.labels)} | {family.help} |"
        for family in METRIC_DEFINITIONS
    ]
    return "\n".join(lines)


def bench_table() -> str:
    return markdown(*from_document(json.loads(BENCHMARKS.read_text())))


TABLES = {
    "bench": bench_table,
    "outcomes": outcome_table,
    "identity": identity_outcome_table,
    "metrics": metrics_table,
}


def _filled(table: str, found: re.Match[str]) -> str:
    return f"{found[1]}{table}\n{found[2]}"


def with_tables(text: str) -> str:
    for name, made in TABLES.items():
        text = re.sub(
            rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)",
            partial(_filled, made()),
            text,
            flags=re.DOTALL,
        )
    return text


def test_the_tables_are_the_codes() -> None:
    assert README.read_text() == with_tables(README.read_text())


def test_the_map_names_every_module() -> None:
    drawn = README.read_text().partition("<!-- map -->")[2].partition("<!-- /map -->")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", drawn))
    modules = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "prober").iterdir()
        if not path.name.startswith("__") and path.name != "py.typed"
    }
    assert named == modules


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
