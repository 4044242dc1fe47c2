"""References beside failing tenants: what is notified, and how soon."""

from collections.abc import Mapping

from tests.alerting.coverage import (
    BEGINS_AT,
    HERE,
    UNTIL,
    Sent,
    changed_at_begin,
    measured_inputs,
    sent_words,
)
from tests.alerting.fleet import Place, Scenario, series

FAILING: Mapping[str, tuple[str, str | None]] = {
    "nothing": ("none", ""),
    "one tenant is unreachable": ("network", "acme"),
    "one tenant is silent": ("undecided", "acme"),
    "all tenants are unreachable": ("network", None),
    "all tenants are silent": ("undecided", None),
}
"""The culprit, and the tenant that fails; None: all of them."""
REACHABLE = ("all", "one of two", "none")
CASES = tuple((failing, reachable) for failing in FAILING for reachable in REACHABLE)


def measured_references() -> dict[tuple[str, str], list[Sent]]:
    """Return what is notified in each case."""
    inputs: dict[str, str] = {}
    for number, (failing, reachable) in enumerate(CASES):
        job = f"r{number}"
        inputs |= series(job, HERE, _scenario(*FAILING[failing]), UNTIL)
        for place in range(2):
            is_lost = reachable == "none" or (reachable == "one of two" and place == 0)
            inputs[_series(job, place)] = changed_at_begin(1, 0 if is_lost else 1)
    found = measured_inputs(inputs)
    return {case: found.get(f"r{number}", []) for number, case in enumerate(CASES)}


def _scenario(culprit: str, tenant: str | None) -> Scenario:
    def outcome(place: Place, at: int) -> str:
        return culprit if at >= BEGINS_AT and tenant in {None, place.tenant} else "none"

    return outcome


def _series(job: str, place: int) -> str:
    return (
        f'prober_reference_reachable{{job="{job}",instance="here",location="here",'
        f'reference="https://{place}.example"}}'
    )


def section(found: Mapping[tuple[str, str], list[Sent]]) -> str:
    """Return the section of the page."""
    return "\n".join([_INTRODUCTION, *(line(case, found[case]) for case in CASES)])


def line(case: tuple[str, str], sent: list[Sent]) -> str:
    """Return the row of one case."""
    return f"| {case[0]} | {case[1]} | {sent_words(sent) or 'nothing'} |"


_INTRODUCTION = """## References

One location, with two references. While it reaches none of them, its own network is cut off.

| fails | references reachable | notified |
|---|---|---|"""
