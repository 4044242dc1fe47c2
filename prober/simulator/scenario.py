"""A script of what goes wrong, phase by phase, and what a good prober says of it.

A scenario is YAML: phases with a length in seconds, the actions at their beginning, and for each
tenant the reasons that may be seen once they have begun.
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
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Action(_Strict):
    """One thing that is done: exactly one verb; `tenant`, `path`, `times` say to whom."""

    fault: str | None = None
    """Put a fault in force, by its name."""
    clear_faults: Literal["all", "tenant"] | None = None
    """End all faults, or those of `tenant`."""
    regenerate: str | None = None
    """Generate a new token for this tenant's user; nobody is told."""
    deliver: str | None = None
    """Write this tenant's present token into its file."""
    network_delay_ms: Annotated[float, Field(ge=0, le=60_000)] | None = None
    """Let answers to `tenant` arrive so much later."""
    cut: str | None = None
    """Cut the network before this tenant."""
    restore: str | None = None
    """Mend it."""
    server_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    """Let the platform take so long, for `tenant` or all."""
    tenant: str | None = None
    path: str | None = None
    times: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_one_verb(self) -> "Action":
        if sum(getattr(self, verb) is not None for verb in _VERBS) != 1:
            raise ValueError(f"an action has exactly one of: {', '.join(_VERBS)}")
        if self.network_delay_ms is not None and self.tenant is None:
            raise ValueError("network_delay_ms needs a tenant")
        return self


class Expected(_Strict):
    """What is right to be said of a tenant while a phase lasts."""

    reasons: tuple[str, ...]
    slow: Literal["server", "network"] | None = None
    """The side over its objective."""


class Phase(_Strict):
    """A stretch of a scenario."""

    name: str
    description: str
    """One sentence for who watches."""
    seconds: Annotated[float, Field(gt=0, le=86_400)]
    actions: tuple[Action, ...] = ()
    expect: dict[str, Expected] = Field(default_factory=dict)


class Scenario(_Strict):
    """Phases, one after the other."""

    title: str
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]


def read_scenario(text: str, source: str) -> Scenario:
    """Return the scenario in `text`; raises ValueError that names what is wrong where."""
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
    simulator: Simulator,
    on_phase: Callable[[Phase], Awaitable[None]],
    speed: float = 1.0,
) -> None:
    """Play all phases, `speed` times as fast; `on_phase` is told when one's actions are done."""
    for phase in scenario.phases:
        for action in phase.actions:
            await apply_action(action, simulator)
        await on_phase(phase)
        await asyncio.sleep(phase.seconds / speed)


async def apply_action(action: Action, simulator: Simulator) -> None:
    """Do one thing; raises KeyError or ValueError if it cannot be done."""
    if action.fault is not None:
        await simulator.set_fault(action.fault, action.tenant, action.path, action.times)
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


def format_validation_errors(error: ValidationError) -> list[str]:
    """Return a line for each thing that is wrong: where, and what."""
    return [
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    ]
