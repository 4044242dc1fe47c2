"""Scenarios: phases with faults, and the verdicts that a correct prober reports.

A scenario is YAML: phases with a duration in seconds, the actions at their start, and for each
tenant the reasons that are expected during the phase.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prober.simulator.platform import Latency
from prober.simulator.simulator import Simulator

_VERBS = (
    "fault",
    "clear_faults",
    "regenerate",
    "deliver",
    "network_delay_ms",
    "cut",
    "restore",
    "server_ms",
    "block_prober_ms",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Action(_Strict):
    """One action: exactly one verb; `tenant`, `path` and `times` limit what it applies to."""

    fault: str | None = None
    """Start the fault of this name."""
    clear_faults: Literal["all", "tenant"] | None = None
    """End all faults, or those of `tenant`."""
    regenerate: str | None = None
    """Generate a new token for this tenant's user, without writing it to the file."""
    deliver: str | None = None
    """Write this tenant's current token to its file."""
    network_delay_ms: Annotated[float, Field(ge=0, le=60_000)] | None = None
    """Delay responses to `tenant`."""
    cut: str | None = None
    """Cut this tenant's network."""
    restore: str | None = None
    """Restore this tenant's network."""
    server_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    """Set the platform's response time, for `tenant` or all."""
    block_prober_ms: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """Block the event loop of the demo's prober for so long, again and again; 0 ends it."""
    tenant: str | None = None
    path: str | None = None
    times: Annotated[int, Field(gt=0)] | None = None
    message: Annotated[str, Field(max_length=1000)] | None = None
    """The message of a fault that is an error in the envelope."""

    @model_validator(mode="after")
    def _has_one_verb(self) -> "Action":
        if sum(getattr(self, verb) is not None for verb in _VERBS) != 1:
            raise ValueError(f"an action has exactly one of: {', '.join(_VERBS)}")
        if self.network_delay_ms is not None and self.tenant is None:
            raise ValueError("network_delay_ms needs a tenant")
        if self.message is not None and self.fault is None:
            raise ValueError("message needs a fault")
        return self


class Expected(_Strict):
    """The expected verdicts of a tenant during a phase."""

    reasons: tuple[str, ...]
    slow: Literal["server", "network"] | None = None
    """The latency component over its objective."""
    own_ms: float | None = None
    """At least one result has so much of the prober's own time."""
    must_see: str | None = None
    """At least one result has this one of `reasons`."""


class Phase(_Strict):
    """A phase of a scenario."""

    name: str
    description: str
    """One sentence for the viewer."""
    seconds: Annotated[float, Field(gt=0, le=86_400)]
    actions: tuple[Action, ...] = ()
    expect: dict[str, Expected] = Field(default_factory=dict)


class Scenario(_Strict):
    """A sequence of phases."""

    title: str
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]


def read_scenario(text: str, source: str) -> Scenario:
    """Parse a scenario. Raises ValueError that lists all problems."""
    try:
        return Scenario.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{source}: {line}" for line in format_validation_errors(error)]
        raise ValueError("\n".join(lines)) from error


def demo_scenario() -> Scenario:
    """Return the scenario of `prober demo`."""
    text = files("prober.simulator").joinpath("scenarios/demo.yaml").read_text()
    return read_scenario(text, "demo.yaml")


async def play(
    scenario: Scenario,
    apply: Callable[[Action], Awaitable[None]],
    on_phase: Callable[[Phase], Awaitable[None]],
    speed: float = 1.0,
    on_end: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Play all phases, `speed` times as fast.

    `on_phase` is called after a phase's actions, `on_end` before the actions of the next phase.
    """
    for phase in scenario.phases:
        for action in phase.actions:
            await apply(action)
        await on_phase(phase)
        await asyncio.sleep(phase.seconds / speed)
        if on_end is not None:
            await on_end()


async def apply_action(action: Action, simulator: Simulator) -> None:
    """Apply one action. Raises KeyError or ValueError if it is not possible."""
    if action.fault is not None:
        await simulator.set_fault(
            action.fault, action.tenant, action.path, action.times, message=action.message
        )
    elif action.clear_faults is not None:
        await simulator.clear_faults(action.tenant if action.clear_faults == "tenant" else None)
    elif action.server_ms is not None:
        simulator.state.set_latency(Latency(action.server_ms / 1000, 0.0), action.tenant)
    elif action.network_delay_ms is not None and action.tenant is not None:
        simulator.proxy(action.tenant).delay_seconds = action.network_delay_ms / 1000
    elif action.regenerate is not None:
        simulator.regenerate(action.regenerate)
    elif action.deliver is not None:
        await simulator.deliver(action.deliver)
    elif action.cut is not None:
        await simulator.proxy(action.cut).cut()
    elif action.restore is not None:
        await simulator.proxy(action.restore).restore()
    elif action.block_prober_ms is not None:
        raise ValueError("block_prober_ms is for `prober demo`: a simulator has no prober")


def format_validation_errors(error: ValidationError) -> list[str]:
    """Return one line for each problem: location and message."""
    return [
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    ]
