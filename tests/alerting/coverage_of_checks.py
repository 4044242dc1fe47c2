"""Every built-in check, failing: what is notified, and how soon."""

from collections.abc import Iterator, Mapping

from prober.config.builtin_probes import CATALOGUE
from prober.models import AlertSeverity, Check
from tests.alerting.coverage import (
    BEGINS_AT,
    HERE,
    UNTIL,
    Sent,
    changed_at_begin,
    measured_inputs,
    sent_words,
)
from tests.alerting.fleet import CHECK_FAILED, Place, Scenario, series

Key = tuple[str, str]
"""A built-in probe and its check."""
FAILING = Place("here", "acme", "datasets")


def checks() -> Iterator[tuple[Key, Check]]:
    for probe in CATALOGUE.values():
        for check in probe.checks:
            if check.has_limits:
                yield (probe.name, check.name), check


def measured_checks() -> dict[Key, list[Sent]]:
    """Return what is notified when a check of one probe fails: all of them in one promtool run."""
    inputs: dict[str, str] = {}
    jobs: dict[str, Key] = {}
    for number, (key, check) in enumerate(checks()):
        job = f"k{number}"
        jobs[job] = key
        inputs |= series(job, HERE, _scenario(check), UNTIL)
        inputs[_series(job, check)] = changed_at_begin(0, 1)
    found = measured_inputs(inputs)
    return {key: found.get(job, []) for job, key in jobs.items()}


def _scenario(check: Check) -> Scenario:
    def outcome(place: Place, at: int) -> str:
        failed = place == FAILING and at >= BEGINS_AT
        return f"{CHECK_FAILED}{check.culprit}" if failed else "none"

    return outcome


def _series(job: str, check: Check) -> str:
    severity = check.severity or AlertSeverity.TICKET
    return (
        f'prober_probe_check_failed{{job="{job}",instance="here",location="here",tenant="acme",'
        f'probe="datasets",check="{check.name}",culprit="{check.culprit}",severity="{severity}"}}'
    )


def section(found: Mapping[Key, list[Sent]]) -> str:
    """Return the section of the page."""
    lines = [_INTRODUCTION, "| probe | check | responsible | notified |", "|---|---|---|---|"]
    lines += [line(key, check, found[key]) for key, check in checks()]
    return "\n".join(lines)


def line(key: Key, check: Check, sent: list[Sent]) -> str:
    """Return the row of one check."""
    return f"| `{key[0]}` | `{key[1]}` | {check.culprit} | {sent_words(sent)} |"


_INTRODUCTION = """## Checks

Every response is good, and one value in it exceeds its limit from a certain time on, on one probe
of one tenant. Values over time have alerts of their own, which need hours or days: see
[checks of values](../how-to/checks.md#built-in-checks).
"""
