"""A lost permission: what is notified, and how soon, by what it does to the probe."""

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

EFFECTS = ("the probe succeeds", "the probe is refused", "all probes are refused")


def measured_permissions() -> dict[str, list[Sent]]:
    """Return what is notified when a tenant's user loses a permission, for each effect."""
    inputs: dict[str, str] = {}
    for number, effect in enumerate(EFFECTS):
        job = f"p{number}"
        inputs |= series(job, HERE, _scenario(effect), UNTIL)
        inputs[_series(job)] = changed_at_begin(0, 1)
    found = measured_inputs(inputs)
    return {effect: found.get(f"p{number}", []) for number, effect in enumerate(EFFECTS)}


def _scenario(effect: str) -> Scenario:
    def outcome(place: Place, at: int) -> str:
        is_refused = at >= BEGINS_AT and place.tenant == "acme"
        if effect == "the probe is refused":
            is_refused = is_refused and place.probe == "datasets"
        return "credential" if is_refused and effect != "the probe succeeds" else "none"

    return outcome


def _series(job: str) -> str:
    return (
        f'prober_token_permission_missing{{job="{job}",instance="here",location="here",'
        f'tenant="acme",probe="datasets",permission="voc-readonly"}}'
    )


def section(found: Mapping[str, list[Sent]]) -> str:
    """Return the section of the page."""
    return "\n".join([_INTRODUCTION, *(line(effect, found[effect]) for effect in EFFECTS)])


def line(effect: str, sent: list[Sent]) -> str:
    """Return the row of one effect."""
    return f"| {effect} | credential | {sent_words(sent)} |"


_INTRODUCTION = """## Permissions

The user of a tenant's token loses a permission that one of its probes needs.

| effect | responsible | notified |
|---|---|---|"""
