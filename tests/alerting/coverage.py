"""Every culprit at every scope, failing in every way: what is notified, how soon, how often.

`python -m tests.alerting.coverage` (`make coverage`) writes docs/reference/alerts-coverage.md; a
test compares it with the rules.
"""

import itertools
import json
import math
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.alerting.fleet import (
    NOT_RUN,
    REJECTED,
    STEP_SECONDS,
    Place,
    Scenario,
    places,
    series,
)
from tests.alerting.histograms import BOUNDS, histogram
from tests.alerting.notifications import Firing, Model
from tests.alerting.test_rules import GROUPS, groups_of, read_for

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "alerts-coverage.md"
BEGINS_AT, UNTIL = 10 * 60, 40 * 60
DAY = 86_400
DRIFT_BEGINS_AT, DRIFT_UNTIL, DRIFT_STEP = 8 * DAY, 8 * DAY + 3 * 3600, 600
HERE, BOTH = ("here",), ("here", "there")
TOKEN = "credential: token"
CULPRITS = ("credential", TOKEN, "request", "tenant", "platform", "network", "undecided", "prober")
Failing = Mapping[str, tuple[str, ...] | None]
SCOPES: Mapping[str, tuple[tuple[str, ...], Failing | None]] = {
    "one probe": (HERE, {"acme": ("datasets",)}),
    "some probes": (HERE, {"acme": ("datasets", "sources")}),
    "all probes": (HERE, {"acme": None}),
    "several tenants": (HERE, {"acme": None, "beta": None}),
    "all tenants": (HERE, None),
    "two locations": (BOTH, None),
}
"""The locations that probe, and the tenants and probes that fail; None: all of them."""
PATTERNS = {
    "hard down": "Every run fails from a certain time on.",
    "flapping": "Every other run fails.",
    "never succeeded": "Every run fails since the prober started.",
    "empty response": "Responses arrive, and an expectation of their content fails.",
    "never ran": "The probe is on the schedule and does not run, from the start.",
    "slow drift": "Latency is three times that of the days before; nothing fails.",
}

_DRIFT_RULES = groups_of(read_for("ProberServerLatencyDrifts", "ProberNetworkLatencyDrifts"))


def _is_other(rule: Mapping[str, object]) -> bool:
    return bool(OF_OTHER_SERIES.search(str(rule.get("alert") or rule.get("record"))))


OF_OTHER_SERIES = re.compile(r"slow|Drift|Retention|ratio6h|Token(Expires|Overdue|Shared|Rotated)")
"""Rules of days, and of series that no cell has: they cost time at every step."""
_RULES = [
    {**group, "rules": [each for each in group["rules"] if not _is_other(each)]}
    for group in GROUPS
    if not OF_OTHER_SERIES.search(group["name"])
]


@dataclass(frozen=True)
class Cell:
    pattern: str
    culprit: str
    scope: str


@dataclass(frozen=True)
class Sent:
    """One notification: its alerts by name, the most severe one, and when the first of it fired."""

    alerts: tuple[str, ...]
    severity: str
    culprits: tuple[str, ...]
    minutes: int


ONE_ROUTE = "A 401 on one route leaves the token alone: see the row `credential`."
BY_TURNS = "A token is not accepted by turns; a route that is refused by turns is `credential`."
FROM_THE_START = "Never accepted since the start: the same as a token that dies."
NO_RESPONSE = (
    "Only a response can be empty; an expectation names `platform`, `request` or `tenant`."
)
ONLY_PROBER = "What did not run was not asked: only the prober can be responsible."
ONLY_LATENCY = "Only a response has a latency, and it is the platform's or the network path's."


def reason(cell: Cell) -> str | None:
    """Return why a cell is not to be measured, None if it is."""
    if cell.culprit == TOKEN and cell.pattern in {"hard down", "never succeeded"}:
        return ONE_ROUTE if cell.scope in {"one probe", "some probes"} else None
    by_pattern = {
        "flapping": (BY_TURNS, {*CULPRITS} - {TOKEN}),
        "empty response": (NO_RESPONSE, {"platform", "request", "tenant"}),
        "never ran": (ONLY_PROBER, {"prober"}),
        "slow drift": (ONLY_LATENCY, {"platform", "network"}),
    }
    text, kept = by_pattern.get(cell.pattern, ("", {*CULPRITS}))
    return None if cell.culprit in kept else text


CELLS = tuple(itertools.starmap(Cell, itertools.product(PATTERNS, CULPRITS, SCOPES)))
ROWS = tuple(itertools.product(PATTERNS, CULPRITS))
DRIFT = "slow drift"

MORE_THAN_ONE = {
    (TOKEN, "several tenants"): "One for each token: two rejected tokens may have two owners.",
}
"""Why a cell sends more than one notification, by culprit and scope."""


def scenario(cell: Cell) -> Scenario:
    """Return who fails when."""
    culprit = REJECTED if cell.culprit == TOKEN else cell.culprit

    def outcome(place: Place, at: int) -> str:
        if not _is_concerned(cell, place):
            return "none"
        if cell.pattern == "never ran":
            return NOT_RUN
        if cell.pattern == "never succeeded":
            return culprit
        is_turn = cell.pattern != "flapping" or at // 60 % 2 == 0
        return culprit if at >= BEGINS_AT and is_turn else "none"

    return outcome


def _is_concerned(cell: Cell, place: Place) -> bool:
    _, failing = SCOPES[cell.scope]
    if failing is None or place.tenant not in failing:
        return failing is None
    probes = failing[place.tenant]
    return probes is None or place.probe in probes


def began_at(cell: Cell) -> int:
    return 0 if cell.pattern in {"never ran", "never succeeded"} else BEGINS_AT


def measured_inputs(inputs: Mapping[str, str]) -> dict[str, list[Sent]]:
    """Return what is notified of each job in promtool's input series, from BEGINS_AT on."""
    firing = _firing(inputs, Course(_RULES, UNTIL, STEP_SECONDS))
    return {job: list(_sent(alerts, BEGINS_AT)) for job, alerts in firing.items()}


def changed_at_begin(before: int, after: int) -> str:
    """Return promtool's samples of a value that changes at BEGINS_AT."""
    return f"{before}x{BEGINS_AT // STEP_SECONDS - 1} {after}x{UNTIL // STEP_SECONDS}"


def measured(row: tuple[str, str]) -> dict[Cell, list[Sent]]:
    """Return what is notified of the cells of one row: all of them in one run of promtool."""
    cells = [each for each in CELLS if (each.pattern, each.culprit) == row and not reason(each)]
    named = {f"c{place}": cell for place, cell in enumerate(cells)}
    if not named:
        return {}
    if row[0] == DRIFT:
        inputs = {k: v for job, cell in named.items() for k, v in _drifting(job, cell).items()}
        begins_at, course = DRIFT_BEGINS_AT, Course(_DRIFT_RULES, DRIFT_UNTIL, DRIFT_STEP)
    else:
        inputs = {}
        for job, cell in named.items():
            inputs |= series(job, SCOPES[cell.scope][0], scenario(cell), UNTIL)
        begins_at, course = began_at(cells[0]), Course(_RULES, UNTIL, STEP_SECONDS)
    firing = _firing(inputs, course)
    return {cell: list(_sent(firing[job], begins_at)) for job, cell in named.items()}


def _drifting(job: str, cell: Cell) -> dict[str, str]:
    side = {"platform": "server", "network": "network"}[cell.culprit]
    name, found = f"prober_probe_{side}_seconds", {}
    for place in places(SCOPES[cell.scope][0]):
        slow = 0.3 if _is_concerned(cell, place) else 0.1
        owner = (
            f'job="{job}",instance="{place.location}",location="{place.location}",'
            f'tenant="{place.tenant}"'
        )
        columns = histogram(
            BOUNDS[name],
            partial(_latency, slow),
            DRIFT_UNTIL,
            DRIFT_STEP,
        )
        for part, values in columns.items():
            extra = f',le="{part}"' if part not in {"sum", "count"} else ""
            suffix = part if part in {"sum", "count"} else "bucket"
            found[f'{name}_{suffix}{{{owner},probe="{place.probe}"{extra}}}'] = values
        info = f'prober_tenant_info{{{owner},environment="production",base_url="https://x"}}'
        found[info] = f"1x{DRIFT_UNTIL // DRIFT_STEP}"
    return found


def _latency(slow: float, at: float) -> float:
    return slow if at >= DRIFT_BEGINS_AT else 0.1


def _sent(alerts: list[Firing], since: int) -> Iterator[Sent]:
    starts = {frozenset(each.labels.items()): each.starts_at for each in alerts}
    until = max((each.starts_at for each in alerts), default=0) + 3600
    for note in Model().notifications(alerts, until):
        if note.receiver in {"deadman", "nobody"}:
            continue
        first = min(starts[frozenset(each.items())] for each in note.alerts)
        severities = {each["severity"] for each in note.alerts}
        yield Sent(
            alerts=tuple(sorted({each["alertname"] for each in note.alerts})),
            severity="page" if "page" in severities else "ticket",
            culprits=tuple(sorted({each["culprit"] for each in note.alerts})),
            minutes=math.ceil((first - since) / 60),
        )


@dataclass(frozen=True)
class Course:
    """One run of promtool: the rules, until when, and how often; in seconds."""

    rules: list[dict[str, Any]]
    until: int
    step: int


def _firing(inputs: Mapping[str, str], course: Course) -> dict[str, list[Firing]]:
    """Return when each alert begins and ends to fire, by job."""
    times = f'(time() * ALERTS{{alertstate="firing", job!=""}})[{course.until}s:{course.step}s]'
    begins, ends = _ask(inputs, course, [f"min_over_time({times})", f"max_over_time({times})"])
    found: dict[str, list[Firing]] = defaultdict(list)
    for labels, starts_at in begins.items():
        known, last = dict(labels), ends[labels]
        del known["alertstate"]
        ends_at = None if last >= course.until else last + course.step
        found[known["job"]].append(Firing(known, starts_at, ends_at))
    return found


def _ask(
    inputs: Mapping[str, str], course: Course, queries: list[str]
) -> list[dict[frozenset[tuple[str, str]], float]]:
    """Return what promtool gets: it only compares, so it expects nothing."""
    with tempfile.TemporaryDirectory() as directory:
        rules, file = Path(directory, "rules.yml"), Path(directory, "test.yml")
        rules.write_text(json.dumps({"groups": course.rules}))
        tests = [
            {"expr": each, "eval_time": f"{course.until}s", "exp_samples": []} for each in queries
        ]
        content = {
            "rule_files": [str(rules)],
            "evaluation_interval": f"{course.step}s",
            "group_eval_order": [each["name"] for each in course.rules],
            "tests": [
                {
                    "interval": f"{course.step}s",
                    "input_series": [
                        {"series": name, "values": values} for name, values in inputs.items()
                    ],
                    "promql_expr_test": tests,
                }
            ],
        }
        file.write_text(json.dumps(content))
        command = ["promtool", "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    got = re.findall(r"got: (.*)", done.stdout + done.stderr)
    assert len(got) == len(queries), done.stdout + done.stderr
    return [
        {
            frozenset(re.findall(r'(\w+)="([^"]*)"', labels)): float(value)
            for labels, value in re.findall(r"\{([^}]*)\} (\S+?)(?:,|$)", each)
        }
        for each in got
    ]


def unexplained(cells: Mapping[Cell, list[Sent]]) -> list[Cell]:
    """Return the cells that are silent, or sent more than once, without a written reason."""
    return [
        cell
        for cell, sent in cells.items()
        if len(sent) != 1 and not (sent and (cell.culprit, cell.scope) in MORE_THAN_ONE)
    ]


def page(cells: Mapping[Cell, list[Sent]], more_sections: str) -> str:
    """Return the text of the page; `more_sections` are its last sections."""
    lines = [_INTRODUCTION]
    for pattern, meaning in PATTERNS.items():
        lines += [f"## {pattern.capitalize()}", "", meaning, ""]
        notes = dict.fromkeys(reason(c) for c in CELLS if c.pattern == pattern and reason(c))
        lines += [
            "| responsible | " + " | ".join(SCOPES) + " |",
            "|---|" + "---|" * len(SCOPES),
        ]
        for culprit in CULPRITS:
            row = [Cell(pattern, culprit, scope) for scope in SCOPES]
            texts = [words(each, cells.get(each, []), [*notes]) for each in row]
            lines.append(f"| {culprit} | " + " | ".join(texts) + " |")
        lines += ["", *(f"{place}. {text}" for place, text in enumerate(notes, 1)), ""]
    more = [f"- {culprit}, {scope}: {text}" for (culprit, scope), text in MORE_THAN_ONE.items()]
    lines += ["## More than one notification", "", *more, "", more_sections, ""]
    return "\n".join(lines)


def words(cell: Cell, sent: list[Sent], notes: list[str | None]) -> str:
    """Return the text of a cell."""
    why = reason(cell)
    if why is not None:
        return f"({notes.index(why) + 1})"
    return sent_words(sent)


def sent_words(sent: list[Sent]) -> str:
    """Return notifications in words."""
    return "<br>".join(
        f"{' and '.join(each.alerts)}: {each.severity}, {each.minutes} min" for each in sent
    ) + (f"; {len(sent)} notifications" if len(sent) > 1 else "")


_INTRODUCTION = """# What alerts, and how soon

*Made by `make coverage` from the shipped rules on promtool; a test compares it with them.*

Five tenants, one of them with three probes, each once a minute, settings by default, at one
location unless the scope says two. A cell has the alert that is notified, its severity, and the
minutes from the first failing run (or from the start) until it fires. The notification follows
2 minutes later (45 s if a page is about a whole location or the platform). Every cell sends one
notification, unless it says otherwise. A number in brackets is the reason why a cell is empty.

The row `credential` is a 403, or a 401 of one route alone; `credential: token` is a 401 to all.
"""


def main() -> None:
    """Measure every cell and write the page."""
    cells: dict[Cell, list[Sent]] = {}
    with ThreadPoolExecutor(2) as pool:  # promtool is a process of its own
        for found in pool.map(measured, ROWS):
            cells |= found
    # These import this module.
    from tests.alerting import coverage_of_checks as checks  # noqa: PLC0415
    from tests.alerting import coverage_of_permissions as permissions  # noqa: PLC0415
    from tests.alerting import coverage_of_references as references  # noqa: PLC0415

    sections = (
        checks.section(checks.measured_checks()),
        permissions.section(permissions.measured_permissions()),
        references.section(references.measured_references()),
    )
    PAGE.write_text(page(cells, "\n\n".join(sections)))


if __name__ == "__main__":
    main()
